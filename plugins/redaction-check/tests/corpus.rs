//! The plugin on real events, where they are at hand: what it masks is printed for a person to judge
//! (`cargo test -p redaction-check --test corpus -- --nocapture`), and each detector that fires there
//! must be one of those that were judged.

use std::{collections::BTreeMap, env, fs, path::PathBuf};

use redaction_check::RedactionCheck;
use sluicegate_plugin::testing::Kit;

/// Detectors whose masks in the corpora were looked at, and found right.
const JUDGED: [&str; 1] = ["issued-session-token"];

fn corpora() -> Vec<String> {
    let default = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let root = env::var_os("SLUICEGATE_CORPUS").map_or(default, PathBuf::from);
    let folders = fs::read_dir(root).into_iter().flatten().flatten();
    folders
        .filter_map(|folder| fs::read_to_string(folder.path().join("events.ndjson")).ok())
        .collect()
}

#[test]
fn what_is_masked_in_real_events_is_what_was_judged() {
    let texts = corpora();
    if texts.is_empty() {
        eprintln!(
            "no corpus at hand: set SLUICEGATE_CORPUS to a folder of folders with events.ndjson"
        );
        return;
    }
    let kit = Kit::<RedactionCheck>::new("{}");
    let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
    for event in texts.iter().flat_map(|text| text.lines()) {
        let seen = kit.run(&[event]);
        for (path, detector) in seen.masks(0) {
            let name = event
                .split(r#""eventName":""#)
                .nth(1)
                .and_then(|rest| rest.split('"').next());
            let place = format!("{} {path}", name.unwrap_or("?"));
            *counts.entry((place, detector.to_owned())).or_default() += 1;
        }
    }
    for ((place, detector), count) in &counts {
        assert!(
            JUDGED.contains(&detector.as_str()),
            "{count} times {detector} at {place}"
        );
        eprintln!("{count:5} {detector:22} {place}");
    }
}
