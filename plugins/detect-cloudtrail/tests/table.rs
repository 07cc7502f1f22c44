//! Every rule of the catalogue on events that it must find, and on near ones that it must not.
//!
//! The events stand in `tests/rules`, a file a theme, a section a rule, a line an event:
//!
//! ```text
//! # rule-id {"configuration": …}
//! + severity | source Name who !Error | {request parameters} & {other members}
//! - | …
//! ```
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use detect_cloudtrail::DetectCloudtrail;
use sluicegate_plugin::{Severity, testing::Kit};

/// Those who call, by the names that the tables use.
const CALLERS: [(&str, &str); 9] = [
    (
        "ann",
        r#"{"type":"IAMUser","arn":"arn:aws:iam::111111111111:user/staff/ann","accountId":"111111111111"}"#,
    ),
    (
        "root",
        r#"{"type":"Root","arn":"arn:aws:iam::111111111111:root","accountId":"111111111111"}"#,
    ),
    (
        "root-by-service",
        r#"{"type":"Root","arn":"arn:aws:iam::111111111111:root","accountId":"111111111111","invokedBy":"support.amazonaws.com"}"#,
    ),
    (
        "ops",
        r#"{"type":"AssumedRole","arn":"arn:aws:sts::111111111111:assumed-role/ops/run-7","accountId":"111111111111","sessionContext":{"sessionIssuer":{"arn":"arn:aws:iam::111111111111:role/ops"}}}"#,
    ),
    (
        "kim",
        r#"{"type":"AssumedRole","arn":"arn:aws:sts::111111111111:assumed-role/AWSReservedSSO_Dev_0a1b2c/kim","accountId":"111111111111","sessionContext":{"sessionIssuer":{"arn":"arn:aws:iam::111111111111:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_Dev_0a1b2c"}}}"#,
    ),
    (
        "machine",
        r#"{"type":"AssumedRole","arn":"arn:aws:sts::111111111111:assumed-role/web/i-0a1b2c3d4e5f60718","accountId":"111111111111","sessionContext":{"ec2RoleDelivery":"2.0","sessionIssuer":{"arn":"arn:aws:iam::111111111111:role/web"}}}"#,
    ),
    (
        "federated",
        r#"{"type":"FederatedUser","arn":"arn:aws:sts::111111111111:federated-user/bob","accountId":"111111111111"}"#,
    ),
    (
        "service",
        r#"{"type":"AWSService","invokedBy":"backup.amazonaws.com"}"#,
    ),
    ("nobody", "null"),
];

/// One line of a table.
struct Case<'a> {
    place: String,
    rule: &'a str,
    configuration: &'a str,
    /// What the rule must say; nothing where it must be silent.
    severity: Option<Severity>,
    event: String,
}

fn cases<'a>(file: &str, text: &'a str) -> Vec<Case<'a>> {
    let (mut rule, mut configuration) = ("", "{}");
    let mut cases = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let place = format!("{file}:{number}");
        if line.is_empty() {
            continue;
        }
        if let Some(section) = line.strip_prefix("# ") {
            (rule, configuration) = section.split_once(' ').unwrap_or((section, "{}"));
            assert!(detections::rule(rule).is_some(), "{place}: no rule {rule}");
            continue;
        }
        let mut parts = line.splitn(3, " | ");
        let mut part = || parts.next().unwrap_or_default();
        let severity = match part() {
            "-" => None,
            "+ informational" => Some(Severity::Informational),
            "+ low" => Some(Severity::Low),
            "+ medium" => Some(Severity::Medium),
            "+ high" => Some(Severity::High),
            "+ critical" => Some(Severity::Critical),
            other => panic!("{place}: {other:?} is no expectation"),
        };
        let event = event(&place, part(), part());
        cases.push(Case {
            place,
            rule,
            configuration,
            severity,
            event,
        });
    }
    cases
}

/// The event of a line.
fn event(place: &str, call: &str, members: &str) -> String {
    let (call, error) = call.split_once(" !").unwrap_or((call, ""));
    let words: Vec<&str> = call.split(' ').collect();
    let [source, name, who] = words[..] else {
        panic!("{place}: {call:?} is no source, name and caller");
    };
    let caller = CALLERS.iter().find(|(caller, _)| *caller == who);
    let identity = caller
        .unwrap_or_else(|| panic!("{place}: nobody is called {who}"))
        .1;
    let (parameters, others) = match members.split_once(" & ") {
        Some((parameters, others)) => (parameters, others),
        None => (members, "{}"),
    };
    let parameters = if parameters.is_empty() {
        "null"
    } else {
        parameters
    };
    let error = if error.is_empty() {
        String::new()
    } else {
        format!(r#","errorCode":"{error}""#)
    };
    let others = others.strip_prefix('{').unwrap().strip_suffix('}').unwrap();
    let comma = if others.is_empty() { "" } else { "," };
    format!(
        r#"{{"eventSource":"{source}.amazonaws.com","eventName":"{name}","recipientAccountId":"111111111111","userIdentity":{identity},"requestParameters":{parameters}{error}{comma}{others}}}"#
    )
}

fn tables() -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rules");
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    files
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect()
}

#[test]
fn every_event_is_judged_as_the_tables_say() {
    let mut wrong = Vec::new();
    for (file, text) in &tables() {
        for case in cases(file, text) {
            let seen = Kit::<DetectCloudtrail>::new(case.configuration).run(&[&case.event]);
            let got = seen.finding(0, case.rule).map(|finding| finding.severity);
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
