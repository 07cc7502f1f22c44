//! What `detect-cloudtrail` finds in real attacks, through the real component and the host's chain: every
//! technique of a red team's tool, and nothing in a real hour that cannot be explained.
//!
//! The events are read from `SLUICEGATE_CORPUS` (default `../shared/data`); without them these tests say
//! so and pass.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::PathBuf,
};

use serde_json::{Value, json};
use sluicegate::{
    finding::{Severity, Sighting},
    plugin::ChainWorker,
};
use sluicegate_tests::{
    batches,
    host::{component, engine, root},
    parts::chain,
};

/// Of the attack hour, findings at medium or above after aggregation.
const MOST_FINDINGS: usize = 40;
/// Of the techniques.
const LEAST_TECHNIQUES: usize = 30;

fn read(name: &str) -> Option<String> {
    let folder = std::env::var_os("SLUICEGATE_CORPUS")
        .map_or_else(|| root().join("../shared/data"), PathBuf::from);
    let path = folder.join(name);
    match fs::read_to_string(&path) {
        Ok(text) => Some(text),
        Err(error) => {
            eprintln!("SKIPPED: no corpus at {}: {error}", path.display());
            None
        }
    }
}

fn worker() -> ChainWorker {
    let plugin = component(&engine(), "plugins", "detect-cloudtrail", &json!({}));
    chain(vec![plugin])
}

/// What is found in some events, each with the position of its event.
fn found(worker: &mut ChainWorker, events: &[&str]) -> Vec<(usize, Sighting)> {
    let mut found = Vec::new();
    for (number, chunk) in events.chunks(500).enumerate() {
        let processed = worker.process(batches::events(chunk), 0);
        assert!(processed.failures.is_empty(), "{:?}", processed.failures);
        let sightings = processed.sightings.into_iter();
        found.extend(sightings.map(|(row, sighting)| (number * 500 + row, sighting)));
    }
    found
}

fn attribute<'a>(sighting: &'a Sighting, name: &str) -> &'a str {
    let named = |(key, _): &&(String, String)| key == name;
    let text = sighting.attributes.iter().find(named);
    text.map_or("", |(_, text)| text.as_str())
}

/// The words for a technique's tactic, from the tool's identifier to ATT&CK's.
fn tactic(technique: &str) -> String {
    let words = technique.split('.').nth(1).unwrap().split('-');
    let words = words.map(|word| format!("{}{}", word[..1].to_uppercase(), &word[1..]));
    words.collect::<Vec<_>>().join(" ")
}

/// Rules that name a technique by what they are about, where ATT&CK files it under another tactic than
/// the tool does.
const NAMED: [(&str, &str); 3] = [
    ("ec2-launch-unusual-instances", "ec2-unusual-instances"),
    (
        "ec2-security-group-open-port-22-ingress",
        "security-group-opened",
    ),
    (
        "iam-create-user-login-profile",
        "iam-login-for-another-user",
    ),
];

#[test]
fn techniques_of_a_red_team_are_named_by_a_finding() {
    let (Some(text), Some(labels)) = (
        read("stratus-red-team/events.ndjson"),
        read("stratus-red-team/labels.ndjson"),
    ) else {
        return;
    };
    let events: Vec<&str> = text.lines().collect();
    let mut worker = worker();
    let (mut named, mut missed) = (BTreeSet::new(), BTreeSet::new());
    for label in labels.lines() {
        let label: Value = serde_json::from_str(label).unwrap();
        let technique = label["technique"].as_str().unwrap().to_owned();
        let number = |name: &str| usize::try_from(label[name].as_u64().unwrap()).unwrap();
        let (first, count) = (number("first"), number("n"));
        let tactic = tactic(&technique);
        let found = found(&mut worker, &events[first..first + count]);
        let serious = found
            .iter()
            .filter(|(_, sighting)| sighting.severity >= Severity::Medium);
        let mut rules = BTreeSet::new();
        for (_, sighting) in serious {
            let by_name = NAMED
                .iter()
                .any(|(name, rule)| technique.ends_with(name) && sighting.rule == *rule);
            if attribute(sighting, "tactic") == tactic || by_name {
                rules.insert(sighting.rule.clone());
            }
        }
        eprintln!("{technique}: {rules:?}");
        if rules.is_empty() {
            missed.insert(technique);
        } else {
            named.insert(technique);
        }
    }
    assert_eq!(named.len() + missed.len(), 35, "the corpus is another one");
    assert!(
        named.len() >= LEAST_TECHNIQUES,
        "{} named, missed {missed:?}",
        named.len()
    );
}

/// Whom a finding is about, without the name: what it is, and a number by order of appearance.
fn shown<'a>(entity: &'a str, seen: &mut Vec<&'a str>) -> String {
    let kind = ["user", "role"]
        .into_iter()
        .find(|kind| entity.contains(&format!(":{kind}/")))
        .unwrap_or("account");
    let position = seen.iter().position(|known| *known == entity);
    let position = position.unwrap_or_else(|| {
        seen.push(entity);
        seen.len() - 1
    });
    format!("{kind}-{}", position + 1)
}

/// Each line of the golden list is a finding: rule, severity, principal, events, and why it is true. The
/// last is written by a person.
#[test]
fn everything_found_in_a_real_hour_is_explained() {
    let Some(text) = read("invictus-aws-dataset/events.ndjson") else {
        return;
    };
    let events: Vec<&str> = text.lines().collect();
    let sightings: Vec<Sighting> = found(&mut worker(), &events)
        .into_iter()
        .map(|(_, sighting)| sighting)
        .collect();
    let mut findings: BTreeMap<String, (Severity, &Sighting, usize)> = BTreeMap::new();
    for sighting in &sightings {
        let finding =
            findings
                .entry(sighting.finding_id())
                .or_insert((sighting.severity, sighting, 0));
        finding.0 = finding.0.max(sighting.severity);
        finding.2 += 1;
    }
    let mut serious: Vec<_> = findings
        .into_values()
        .filter(|(severity, ..)| *severity >= Severity::Medium)
        .collect();
    serious.sort_by_key(|(_, sighting, _)| (sighting.event.time_ms, sighting.rule.clone()));
    let mut seen = Vec::new();
    let mut lines: Vec<String> = serious
        .iter()
        .map(|(severity, sighting, count)| {
            let who = shown(&sighting.entity[0], &mut seen);
            format!(
                "{} | {} | {who} | {count}",
                sighting.rule,
                severity.as_str()
            )
        })
        .collect();
    lines.sort();

    let path = root().join("tests/golden/invictus-findings.txt");
    let golden = fs::read_to_string(&path).unwrap();
    let mut explained = Vec::new();
    for line in golden.lines().filter(|line| !line.starts_with('#')) {
        let (finding, why) = line.rsplit_once(" | ").unwrap();
        assert!(why.len() > 20, "why is {finding} true?");
        explained.push(finding.to_owned());
    }
    explained.sort();
    let mut difference = String::new();
    for line in lines.iter().filter(|line| !explained.contains(line)) {
        writeln!(difference, "found, not explained: {line}").unwrap();
    }
    for line in explained.iter().filter(|line| !lines.contains(line)) {
        writeln!(difference, "explained, not found: {line}").unwrap();
    }
    assert!(lines == explained, "{}\n{difference}", path.display());
    assert!(lines.len() <= MOST_FINDINGS, "{} findings", lines.len());
}
