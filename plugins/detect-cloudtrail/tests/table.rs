//! Every rule of the catalogue on events that it must find, and on near ones that it must not. The events
//! stand in `tests/rules`.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod cases;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use cases::cases;
use detect_cloudtrail::DetectCloudtrail;
use sluicegate_plugin::{Severity, testing::Kit};

fn tables() -> BTreeMap<String, String> {
    cases::tables(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rules"))
}

/// The word for a severity in the tables.
fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Informational => "informational",
        Severity::Low => "low",
        Severity::Medium => "medium",
        Severity::High => "high",
        Severity::Critical => "critical",
    }
}

#[test]
fn every_event_is_judged_as_the_tables_say() {
    let mut wrong = Vec::new();
    for (file, text) in &tables() {
        for case in cases(file, text) {
            let seen = Kit::<DetectCloudtrail>::new(case.configuration).run(&[&case.event]);
            let finding = seen.finding(0, case.rule);
            let got = finding.map(|finding| word(finding.severity));
            if got != case.severity {
                let (place, rule, rules) = (&case.place, case.rule, seen.rules(0));
                wrong.push(format!(
                    "{place} {rule}: expected {:?}, got {got:?} among {rules:?}",
                    case.severity
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_rule_has_events_that_it_finds_and_events_that_it_does_not() {
    let mut covered: BTreeMap<bool, BTreeSet<String>> = BTreeMap::new();
    for (file, text) in &tables() {
        for case in cases(file, text) {
            let (place, rule) = (&case.place, case.rule);
            assert!(detections::rule(rule).is_some(), "{place}: no rule {rule}");
            let rules = covered.entry(case.severity.is_some()).or_default();
            rules.insert(case.rule.to_owned());
        }
    }
    let all: BTreeSet<String> = detections::CLOUDTRAIL
        .iter()
        .map(|rule| rule.id.to_owned())
        .collect();
    for (finds, covered) in covered {
        let missing: Vec<_> = all.difference(&covered).collect();
        assert!(
            missing.is_empty(),
            "no events (found: {finds}) for {missing:?}"
        );
    }
}

#[test]
fn a_finding_says_what_the_catalogue_says() {
    for (file, text) in &tables() {
        for case in cases(file, text)
            .iter()
            .filter(|case| case.severity.is_some())
        {
            let seen = Kit::<DetectCloudtrail>::new(case.configuration).run(&[&case.event]);
            let rule = detections::rule(case.rule).unwrap();
            let Some(finding) = seen.finding(0, case.rule) else {
                continue;
            };
            assert_eq!(finding.title, rule.title);
            assert_eq!(finding.description, rule.description);
            assert_eq!(finding.window_s, 3600);
            assert!(!finding.entity[0].is_empty());
            let of = |name: &str| finding.attributes.iter().find(|(key, _)| key == name);
            let types = of("types").map(|(_, text)| text.as_str());
            assert_eq!(types, Some(rule.types), "{}", case.place);
            // An attempt says what it was an attempt at.
            let attempted = of("attempted").and_then(|(_, id)| detections::rule(id));
            let expected = attempted.unwrap_or(rule).techniques.first().copied();
            let technique = of("technique").map(|(_, text)| text.as_str());
            assert_eq!(technique, expected, "{}", case.place);
        }
    }
}
