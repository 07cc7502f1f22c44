//! The plugin on real events, where they are at hand: every mask is one of those that were looked at, and
//! none of those is missing. A line of the list is the hash of an event's identifier, the path, the detector
//! and why it is right; no value of an event stands in it. `UPDATE_GOLDEN=1` rewrites it, and a detector or
//! a path that nobody has judged yet fails even then.

use std::{env, fs, path::PathBuf};

use redaction_check::RedactionCheck;
use sluicegate_plugin::testing::Kit;

/// Detectors and paths whose masks in the corpora were looked at, and why they are right.
const JUDGED: [(&str, &str, &str); 1] = [(
    "issued-session-token",
    "/responseElements/credentials/sessionToken",
    "the call hands out this token, and whoever reads the log could use it until it expires",
)];

fn corpora() -> Vec<String> {
    let default = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let root = env::var_os("SLUICEGATE_CORPUS").map_or(default, PathBuf::from);
    let mut folders: Vec<_> = fs::read_dir(root)
        .into_iter()
        .flatten()
        .flatten()
        .map(|folder| folder.path())
        .collect();
    folders.sort();
    folders
        .iter()
        .filter_map(|folder| fs::read_to_string(folder.join("events.ndjson")).ok())
        .collect()
}

/// FNV-1a of 64 bits.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn identifier(event: &str) -> &str {
    let after = event.split(r#""eventID":""#).nth(1).unwrap_or_default();
    after.split('"').next().unwrap_or_default()
}

#[test]
fn what_is_masked_in_real_events_is_what_was_judged() {
    let texts = corpora();
    if texts.is_empty() {
        eprintln!(
            "SKIPPED: no corpus: set SLUICEGATE_CORPUS to a folder of folders with events.ndjson"
        );
        return;
    }
    let kit = Kit::<RedactionCheck>::new("{}");
    let mut lines = Vec::new();
    for event in texts.iter().flat_map(|text| text.lines()) {
        for (path, detector) in kit.run(&[event]).masks(0) {
            let judged = JUDGED
                .iter()
                .find(|judged| judged.0 == detector && judged.1 == path);
            let (_, _, why) =
                judged.unwrap_or_else(|| panic!("nobody judged {detector} at {path}"));
            lines.push(format!(
                "{:016x} {path} {detector}: {why}\n",
                hash(identifier(event))
            ));
        }
    }
    lines.sort();
    let golden = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/real-events.txt");
    if env::var_os("UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(golden.parent().expect("the file lies in a folder"))
            .and_then(|()| fs::write(&golden, lines.concat()))
            .expect("the list can be written");
    }
    let expected = fs::read_to_string(&golden).unwrap_or_default();
    assert_eq!(
        lines.concat(),
        expected,
        "UPDATE_GOLDEN=1 rewrites {}",
        golden.display()
    );
}
