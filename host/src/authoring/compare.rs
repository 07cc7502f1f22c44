//! Holds what a plugin said against what was expected of it.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::cases::{Addition, Expect, Failure, Finding, Mask};
use crate::{finding::Sighting, text::shown};

/// What a plugin said of the events of a case, which are counted from 0.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) findings: Vec<(usize, Sighting)>,
    /// What stands under the plugin's name.
    pub(super) additions: BTreeMap<usize, Value>,
    /// Event, path, detector.
    pub(super) masks: Vec<(usize, String, String)>,
    pub(super) drops: Vec<usize>,
    /// Event and error.
    pub(super) failures: Vec<(usize, String)>,
}

/// All differences, a line each, by event.
pub(super) fn differences(expect: &Expect, said: &Said) -> Vec<String> {
    let mut found = Vec::new();
    findings(&expect.findings, &said.findings, &mut found);
    additions(&expect.additions, &said.additions, &mut found);
    masks(&expect.masks, &said.masks, &mut found);
    drops(&expect.drops, &said.drops, &mut found);
    failures(&expect.failures, &said.failures, &mut found);
    found.sort_by_key(|(event, _)| *event);
    found
        .into_iter()
        .map(|(event, what)| format!("event {event}: {what}"))
        .collect()
}

/// Event, and what is not as expected there.
type Differences = Vec<(usize, String)>;

/// Takes for each expected finding one that fits, then for each that is left one of the same rule, so
/// that what differs can be named.
fn findings(expected: &[Finding], said: &[(usize, Sighting)], out: &mut Differences) {
    let mut left: Vec<&(usize, Sighting)> = said.iter().collect();
    let mut take = |fits: &dyn Fn(&(usize, Sighting)) -> bool| {
        let position = left.iter().position(|one| fits(one))?;
        Some(&left.remove(position).1)
    };
    let mut missing = Vec::new();
    for one in expected {
        let fits = |(event, sighting): &(usize, Sighting)| {
            *event == one.event && one.rule == sighting.rule && unlike(one, sighting).is_empty()
        };
        if take(&fits).is_none() {
            missing.push(one);
        }
    }
    for one in missing {
        let near = take(&|(event, sighting)| *event == one.event && one.rule == sighting.rule);
        let what = match near {
            Some(sighting) => unlike(one, sighting).join("; "),
            None => "expected it, got none".to_owned(),
        };
        out.push((one.event, format!("finding {}: {what}", shown(&one.rule))));
    }
    for (event, sighting) in left {
        let what = format!(
            "finding {}: got it unexpectedly, with severity {}, entity {}, title {}",
            shown(&sighting.rule),
            sighting.severity.as_str(),
            quoted(&sighting.entity),
            quoted(&sighting.title),
        );
        out.push((*event, what));
    }
}

/// What of a finding is not as expected.
fn unlike(expected: &Finding, said: &Sighting) -> Vec<String> {
    let mut out = Vec::new();
    let mut hold = |key: &str, wanted: Option<String>, got: String| {
        if let Some(wanted) = wanted.filter(|wanted| *wanted != got) {
            out.push(format!("expected {key} {wanted}, got {got}"));
        }
    };
    let text = |text: &Option<String>| text.as_ref().map(quoted);
    hold("title", text(&expected.title), quoted(&said.title));
    hold(
        "description",
        text(&expected.description),
        quoted(&said.description),
    );
    hold(
        "severity",
        expected
            .severity
            .map(|severity| severity.as_str().to_owned()),
        said.severity.as_str().to_owned(),
    );
    hold(
        "entity",
        expected.entity.as_ref().map(quoted),
        quoted(&said.entity),
    );
    hold(
        "window_s",
        expected.window_s.map(|window| window.to_string()),
        said.window_s.to_string(),
    );
    for (name, wanted) in &expected.attributes {
        let got = said.attributes.iter().find(|(key, _)| key == name);
        let got = got.map_or("nothing".to_owned(), |(_, value)| quoted(value));
        hold(
            &format!("attribute {}", shown(name)),
            Some(quoted(wanted)),
            got,
        );
    }
    out
}

fn additions(expected: &[Addition], said: &BTreeMap<usize, Value>, out: &mut Differences) {
    let nothing = Value::Object(Map::new());
    let mut wanted: BTreeMap<usize, Value> = BTreeMap::new();
    for one in expected {
        let set = wanted.entry(one.event).or_insert_with(|| nothing.clone());
        set.as_object_mut()
            .expect("made an object above")
            .extend(one.set.clone());
    }
    let events: std::collections::BTreeSet<usize> =
        wanted.keys().chain(said.keys()).copied().collect();
    for event in events {
        let of = |values: &BTreeMap<usize, Value>| values.get(&event).unwrap_or(&nothing).clone();
        let mut unlike = Vec::new();
        values("", Some(&of(&wanted)), Some(&of(said)), &mut unlike);
        out.extend(unlike.into_iter().map(|what| (event, what)));
    }
}

/// Walks down to where two values differ.
fn values(path: &str, wanted: Option<&Value>, got: Option<&Value>, out: &mut Vec<String>) {
    if wanted == got {
        return;
    }
    if let (Some(Value::Object(wanted)), Some(Value::Object(got))) = (wanted, got) {
        let names: std::collections::BTreeSet<&String> = wanted.keys().chain(got.keys()).collect();
        for name in names {
            let path = format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"));
            values(&path, wanted.get(name), got.get(name), out);
        }
        return;
    }
    let text = |value: Option<&Value>| value.map_or("nothing".to_owned(), quoted);
    out.push(format!(
        "addition {}: expected {}, got {}",
        shown(path),
        text(wanted),
        text(got)
    ));
}

fn masks(expected: &[Mask], said: &[(usize, String, String)], out: &mut Differences) {
    let mut left: Vec<&(usize, String, String)> = said.iter().collect();
    for one in expected {
        let here =
            |(event, path, _): &(usize, String, String)| *event == one.event && *path == one.path;
        let Some(position) = left.iter().position(|said| here(said)) else {
            let what = format!("mask of {}: expected it, got none", shown(&one.path));
            out.push((one.event, what));
            continue;
        };
        let (_, _, detector) = left.remove(position);
        if let Some(wanted) = one.detector.as_ref().filter(|wanted| *wanted != detector) {
            let what = format!(
                "mask of {}: expected detector {}, got {}",
                shown(&one.path),
                quoted(wanted),
                quoted(detector)
            );
            out.push((one.event, what));
        }
    }
    for (event, path, detector) in left {
        let what = format!(
            "mask of {}: got it unexpectedly, from detector {}",
            shown(path),
            quoted(detector)
        );
        out.push((*event, what));
    }
}

fn drops(expected: &[usize], said: &[usize], out: &mut Differences) {
    for event in expected.iter().filter(|event| !said.contains(event)) {
        out.push((
            *event,
            "drop: expected it, but the event goes on".to_owned(),
        ));
    }
    for event in said.iter().filter(|event| !expected.contains(event)) {
        out.push((*event, "drop: got it unexpectedly".to_owned()));
    }
}

fn failures(expected: &[Failure], said: &[(usize, String)], out: &mut Differences) {
    for one in expected {
        let got: Vec<&str> = of(said, one.event).collect();
        if got.is_empty() {
            let what = "failure: expected the plugin to fail, but it did not".to_owned();
            out.push((one.event, what));
        } else if !got.iter().any(|error| error.contains(&one.error)) {
            let what = format!(
                "failure: expected `{}` in it, got: {}",
                shown(&one.error),
                shown(&got.join("; "))
            );
            out.push((one.event, what));
        }
    }
    for (event, error) in said {
        if !expected.iter().any(|one| one.event == *event) {
            out.push((*event, format!("the plugin failed: {}", shown(error))));
        }
    }
}

fn of(said: &[(usize, String)], event: usize) -> impl Iterator<Item = &str> {
    said.iter()
        .filter(move |(at, _)| *at == event)
        .map(|(_, error)| error.as_str())
}

/// As JSON, cut and escaped for a terminal.
fn quoted(value: &(impl serde::Serialize + ?Sized)) -> String {
    shown(&serde_json::to_string(value).unwrap_or_default())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::finding::{EventFacts, Severity};

    fn sighting(rule: &str, severity: Severity, entity: &str) -> Sighting {
        Sighting {
            plugin: "mine".into(),
            rule: rule.into(),
            title: "A title".into(),
            description: String::new(),
            severity,
            entity: vec![entity.into()],
            window_s: 60,
            attributes: vec![("bucket".into(), "logs".into())],
            event: EventFacts::default().into(),
            identity: [0; 16],
        }
    }

    fn compared(expect: &str, said: &Said) -> Vec<String> {
        differences(&serde_saphyr::from_str(expect).unwrap(), said)
    }

    #[test]
    fn what_is_as_expected_makes_no_difference() {
        let said = Said {
            findings: vec![
                (1, sighting("a", Severity::Low, "x")),
                (1, sighting("a", Severity::High, "y")),
            ],
            additions: [(0, serde_json::json!({"actor": {"kind": "root"}}))].into(),
            masks: vec![(0, "/a/b".into(), "aws-key".into())],
            drops: vec![2],
            failures: vec![(3, "trapped: unreachable".into())],
        };
        let expect = "
findings:
- {event: 1, rule: a, entity: [y], severity: high, window_s: 60, attributes: {bucket: logs}}
- {event: 1, rule: a, title: A title}
additions: [{event: 0, set: {actor: {kind: root}}}]
masks: [{event: 0, path: /a/b}]
drops: [2]
failures: [{event: 3, error: trapped}]
";
        assert_eq!(compared(expect, &said), [""; 0]);
        assert_eq!(compared("{}", &said).len(), 6, "nothing of it was expected");
    }

    #[test]
    fn every_difference_of_a_finding_is_named() {
        let said = Said {
            findings: vec![
                (0, sighting("a", Severity::Low, "x")),
                (1, sighting("b\x1b", Severity::High, "y")),
            ],
            ..Said::default()
        };
        let expect = "
findings:
- {event: 0, rule: a, severity: high, entity: [y], attributes: {region: eu, bucket: logs}}
- {event: 2, rule: c}
";
        assert_eq!(
            compared(expect, &said),
            [
                r#"event 0: finding a: expected severity high, got low; expected entity ["y"], got ["x"]; expected attribute region "eu", got nothing"#,
                r#"event 1: finding b\u{1b}: got it unexpectedly, with severity high, entity ["y"], title "A title""#,
                "event 2: finding c: expected it, got none",
            ]
        );
    }

    #[test]
    fn every_difference_of_the_rest_is_named() {
        let said = Said {
            additions: [(0, serde_json::json!({"a": {"b": 1, "c/d": 2}}))].into(),
            masks: vec![
                (0, "/x".into(), "one".into()),
                (0, "/y".into(), "two".into()),
            ],
            drops: vec![1],
            failures: vec![(1, "exceeded 10 ms".into()), (2, "trapped".into())],
            ..Said::default()
        };
        let expect = "
additions: [{event: 0, set: {a: {b: 2, e: 3}}}]
masks: [{event: 0, path: /x, detector: three}, {event: 0, path: /z}]
drops: [0]
failures: [{event: 1, error: trapped}, {event: 3, error: trapped}]
";
        assert_eq!(
            compared(expect, &said),
            [
                "event 0: addition /a/b: expected 2, got 1",
                "event 0: addition /a/c~1d: expected nothing, got 2",
                "event 0: addition /a/e: expected 3, got nothing",
                r#"event 0: mask of /x: expected detector "three", got "one""#,
                "event 0: mask of /z: expected it, got none",
                r#"event 0: mask of /y: got it unexpectedly, from detector "two""#,
                "event 0: drop: expected it, but the event goes on",
                "event 1: drop: got it unexpectedly",
                "event 1: failure: expected `trapped` in it, got: exceeded 10 ms",
                "event 2: the plugin failed: trapped",
                "event 3: failure: expected the plugin to fail, but it did not",
            ]
        );
    }
}
