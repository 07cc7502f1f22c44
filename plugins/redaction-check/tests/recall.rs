//! How many planted secrets are found, by kind and by how they are written.

#[allow(
    unreachable_pub,
    dead_code,
    reason = "the file belongs to the integration tests, which use all of it"
)]
#[path = "../../../tests/src/planted.rs"]
mod planted;

use std::fmt::Write as _;

use planted::{KINDS, Planted, WRITINGS};
use redaction_check::RedactionCheck;
use sluicegate_plugin::testing::Kit;

/// Secrets of each kind in each writing.
const EACH: u32 = 200;

fn planted_of_each() -> usize {
    (0..EACH).len()
}

#[test]
fn nearly_every_secret_is_found_in_every_kind_and_writing() {
    let kit = Kit::<RedactionCheck>::new("{}");
    let mut missed = Vec::new();
    let mut low = Vec::new();
    for kind in KINDS {
        let mut line = format!("{:20}", format!("{kind:?}"));
        for writing in WRITINGS {
            let planted: Vec<Planted> = (0..EACH)
                .map(|number| planted::event(kind, writing, number.into()))
                .collect();
            let events: Vec<&str> = planted.iter().map(|one| one.event.as_str()).collect();
            let seen = kit.run(&events);
            let is_found = |(row, one): &(usize, &Planted)| {
                seen.masks(*row).iter().any(|(path, _)| *path == one.path)
            };
            let (found, lost): (Vec<_>, Vec<_>) = planted.iter().enumerate().partition(is_found);
            write!(line, " {writing:?} {}/{EACH}", found.len())
                .expect("a String takes every write");
            if lost.len() * 50 > planted.len() {
                low.push(format!("{kind:?} {writing:?}"));
            }
            missed.extend(
                lost.into_iter()
                    .map(|(_, one)| (kind, writing, one.event.clone())),
            );
        }
        eprintln!("{line}");
    }
    let all = planted_of_each() * KINDS.len() * WRITINGS.len();
    for (kind, writing, event) in missed.iter().take(40) {
        let start = event.find("\"requestParameters\"").unwrap_or(0);
        eprintln!("missed {kind:?} {writing:?} {}", &event[start..]);
    }
    eprintln!("{} of {all} found", all - missed.len());
    assert!(low.is_empty(), "below 98 %: {low:?}");
    assert!(missed.len() * 200 <= all, "below 99.5 %");
}
