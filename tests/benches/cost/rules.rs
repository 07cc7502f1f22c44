//! Sigma rules to measure with.

use std::{collections::BTreeMap, fs, path::PathBuf};

use serde_json::{Value, json};

use crate::corpus::workspace;

/// Calls that have rules of their own, two each.
const CALLS: usize = 500;

/// The published rules about `CloudTrail` in `SLUICEGATE_CORPUS`, where it is there.
pub(crate) fn published() -> Option<Value> {
    let root = std::env::var_os("SLUICEGATE_CORPUS")
        .map_or_else(|| workspace().join("../shared/data"), PathBuf::from);
    let files = fs::read_dir(root.join("sigma-cloudtrail/rules")).ok()?;
    let file = |entry: fs::DirEntry| {
        let text = fs::read_to_string(entry.path()).unwrap();
        json!({ "path": entry.path(), "text": text })
    };
    let files: Vec<Value> = files.flatten().map(file).collect();
    Some(json!({ "rules": files }))
}

/// A thousand rules: for each of 500 calls one where it succeeded and one where it failed. The calls are the
/// commonest of the events at hand, then some that nobody makes.
pub(crate) fn thousand<'a>(events: impl Iterator<Item = &'a Value>) -> Value {
    let mut seen: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for event in events {
        let text = |name: &str| event[name].as_str().unwrap_or_default();
        *seen
            .entry((text("eventSource"), text("eventName")))
            .or_default() += 1;
    }
    let mut calls: Vec<_> = seen
        .into_iter()
        .map(|(call, count)| (count, call))
        .collect();
    calls.sort_unstable_by(|one, other| other.cmp(one));
    let known = calls
        .iter()
        .map(|(_, (source, name))| ((*source).to_owned(), (*name).to_owned()));
    let nobodys = (0..).map(|number| {
        (
            format!("service{}.amazonaws.com", number % 50),
            format!("DoThing{number}"),
        )
    });
    let all = known.chain(nobodys).take(CALLS).enumerate();
    let rules = all.flat_map(|(number, (source, name))| {
        ["call and not failed", "call and failed"].map(|condition| {
            let failed = u8::from(condition.ends_with("and failed"));
            json!({
                "path": format!("{number}-{failed}.yml"),
                "text": format!(
                    "title: {name} of {source}\nid: {number:08x}-0000-4000-8000-{failed:012x}\nlevel: low\n\
                     logsource:\n    product: aws\n    service: cloudtrail\ndetection:\n    call:\n        \
                     eventSource: {source}\n        eventName: {name}\n    failed:\n        \
                     errorCode|exists: true\n    condition: {condition}\n"
                ),
            })
        })
    });
    json!({ "rules": rules.collect::<Vec<_>>() })
}
