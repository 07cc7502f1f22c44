//! Real events, which are not part of the project: `SLUICEGATE_CORPUS` names their folder.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use common::{kit, run};
use serde_json::{Value, json};

/// The events of a corpus, or nothing and a line that says so.
fn corpus(name: &str) -> Option<Vec<String>> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let folder = std::env::var_os("SLUICEGATE_CORPUS").map_or_else(beside, PathBuf::from);
    let path = folder.join(name).join("events.ndjson");
    match std::fs::read_to_string(&path) {
        Ok(text) => Some(text.lines().map(ToOwned::to_owned).collect()),
        Err(error) => {
            eprintln!("skipped: {}: {error}", path.display());
            None
        }
    }
}

/// Findings as the host would make them: by rule, entity and window of six hours; of each rule how many
/// there are, and how many events they have.
fn findings(events: &[String]) -> BTreeMap<String, (usize, usize)> {
    let kit = kit(&json!({}));
    let mut found: BTreeMap<(String, Vec<String>, String), BTreeSet<String>> = BTreeMap::new();
    for part in events.chunks(100) {
        let seen = run(&kit, part);
        for (at, finding) in seen.findings() {
            let event: Value = serde_json::from_str(&part[at]).unwrap();
            let time = event["eventTime"].as_str().unwrap();
            let window = format!(
                "{} {}",
                &time[..10],
                time[11..13].parse::<u32>().unwrap() / 6
            );
            let place = (finding.rule.clone(), finding.entity.clone(), window);
            found
                .entry(place)
                .or_default()
                .insert(event["eventID"].to_string());
        }
    }
    let mut rules = BTreeMap::new();
    for ((rule, _, _), events) in found {
        let (findings, all): &mut (usize, usize) = rules.entry(rule).or_default();
        *findings += 1;
        *all += events.len();
    }
    rules
}

fn as_listed(rules: &[(&str, usize, usize)]) -> BTreeMap<String, (usize, usize)> {
    rules
        .iter()
        .map(|(rule, findings, events)| ((*rule).to_owned(), (*findings, *events)))
        .collect()
}

/// An hour in which an attack tool's techniques were run one after another, set up and taken down by an
/// infrastructure tool. Every finding is true:
///
/// - discovery: one user makes 20 and more different listing calls of six services and more within ten minutes;
/// - instance secrets: two roles ask for the passwords of 29 and the user data of 15 instances, denied;
/// - deletions: 63 resources (parameters, secrets, roles, buckets) go within ten minutes, at the clean-up;
/// - secrets: 20 secrets and 42 encrypted parameters are read, before and after noon (two windows).
#[test]
fn the_findings_of_a_real_attack_are_few_and_true() {
    let Some(events) = corpus("invictus-aws-dataset") else {
        return;
    };
    let expected = [
        ("discovery-burst", 1, 34),
        ("instance-secrets-enumerated", 2, 37),
        ("resources-mass-deleted", 1, 63),
        ("secrets-enumerated", 2, 132),
    ];
    assert_eq!(findings(&events), as_listed(&expected));
}

/// Single techniques: passwords of instances; user data; secrets one by one, in batches, and parameters.
#[test]
fn techniques_that_are_bursts_are_found() {
    let Some(events) = corpus("stratus-red-team") else {
        return;
    };
    let expected = [
        ("instance-secrets-enumerated", 2, 45),
        ("secrets-enumerated", 3, 25),
    ];
    assert_eq!(findings(&events), as_listed(&expected));
}
