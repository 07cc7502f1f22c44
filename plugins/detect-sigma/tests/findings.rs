//! Rules in, findings out, natively.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(missing_docs, reason = "a test")]

use detect_sigma::DetectSigma;
use serde_json::{Value, json};
use sluicegate_plugin::testing::{Kit, logged};

fn kit(texts: &[&str]) -> Kit<DetectSigma> {
    Kit::new(&configuration(texts).to_string())
}

fn configuration(texts: &[&str]) -> Value {
    let file =
        |(number, text): (usize, &&str)| json!({ "path": format!("{number}.yml"), "text": text });
    json!({ "rules": texts.iter().enumerate().map(file).collect::<Vec<_>>() })
}

const DELETED: &str = "
title: A bucket was deleted
id: 0b1c
level: high
description: What it held is gone.
tags: [attack.impact, attack.t1485]
logsource: {product: aws, service: cloudtrail}
detection:
  call: {eventSource: s3.amazonaws.com, eventName: DeleteBucket}
  condition: call
";

/// Failed logins of `user`, and their success.
const LOGINS: &str = "
title: Failed login
name: failed
detection: {s: {eventName: ConsoleLogin, responseElements.ConsoleLogin: Failure}, condition: s}
---
title: Login
name: succeeded
detection: {s: {eventName: ConsoleLogin, responseElements.ConsoleLogin: Success}, condition: s}
---
";

fn login(id: u32, minute: u32, user: &str, how: &str) -> String {
    let address = format!("192.0.2.{id}");
    json!({
        "eventID": id.to_string(), "eventTime": format!("2026-11-22T10:{minute:02}:00Z"), "eventName": "ConsoleLogin",
        "userIdentity": { "userName": user, "arn": format!("arn:{user}") }, "sourceIPAddress": address,
        "responseElements": { "ConsoleLogin": how }, "additionalEventData": { "size": id },
    })
    .to_string()
}

/// The events of one batch at which a rule was found.
fn found(kit: &Kit<DetectSigma>, events: &[String], rule: &str) -> Vec<usize> {
    let events: Vec<&str> = events.iter().map(String::as_str).collect();
    let seen = kit.run(&events);
    seen.findings()
        .filter(|(_, finding)| finding.rule == rule)
        .map(|(event, _)| event)
        .collect()
}

#[test]
fn a_match_is_a_finding_about_whoever_made_the_call() {
    let kit = kit(&[DELETED]);
    let event = |source: &str| {
        json!({
            "eventSource": source, "eventName": "DeleteBucket", "errorCode": "AccessDenied",
            "userIdentity": { "type": "AssumedRole", "arn": "session", "sessionContext": { "sessionIssuer": { "arn": "role" } } },
        })
        .to_string()
    };
    let seen = kit.run(&[&event("s3.amazonaws.com"), &event("iam.amazonaws.com")]);
    assert_eq!(seen.matched(), [0], "the other is not even looked at");
    let finding = seen.finding(0, "0b1c").unwrap();
    assert_eq!(
        (finding.title.as_str(), finding.description.as_str()),
        ("A bucket was deleted", "What it held is gone.")
    );
    assert_eq!(
        (
            finding.severity as u8,
            finding.window_s,
            finding.entity.as_slice()
        ),
        (3, 3_600, &["role".to_owned()][..])
    );
    let attribute = |name: &str| {
        finding
            .attributes
            .iter()
            .find(|(of, _)| of == name)
            .map(|(_, value)| value.as_str())
    };
    assert_eq!(
        ["technique", "tactic", "errorCode"].map(attribute),
        [Some("T1485"), Some("Impact"), Some("AccessDenied")]
    );
}

#[test]
fn a_broken_rule_is_told_of_and_stops_no_other() {
    let broken = "title: broken\ndetection:\n  a: {f|wrong: x}\n  condition: a\n";
    let kit = kit(&[broken, DELETED]);
    let lines = logged();
    assert_eq!(
        lines[0],
        "0.yml:3: `f|wrong`: modifier `wrong` is not one of Sigma 2"
    );
    assert_eq!(lines[1], "1 rules compiled, 1 refused, 0 about other logs");
    assert_eq!(
        kit.run(&[r#"{"eventSource":"s3.amazonaws.com","eventName":"DeleteBucket"}"#])
            .rules(0),
        ["0b1c"]
    );
    let alone = Kit::<DetectSigma>::try_new(&configuration(&[broken]).to_string()).unwrap_err();
    assert!(
        alone.contains("0 rules compiled, 1 refused") && alone.contains("0.yml:3"),
        "{alone}"
    );
    assert!(
        Kit::<DetectSigma>::try_new("{}")
            .unwrap_err()
            .contains("rules must hold Sigma rules")
    );
    assert!(
        Kit::<DetectSigma>::try_new(r#"{"window_s":5}"#)
            .unwrap_err()
            .contains("got 5")
    );
}

#[test]
fn values_that_were_not_foreseen_match_nothing_and_break_nothing() {
    let kit = kit(&[DELETED, LOGINS]);
    for value in [
        "null",
        "5",
        "[]",
        "{}",
        "[\"DeleteBucket\"]",
        "true",
        "\"\"",
        "{\"a\":[{}]}",
    ] {
        let event = format!(
            r#"{{"eventSource":{value},"eventName":{value},"userIdentity":{value},"responseElements":{value}}}"#
        );
        let _ = kit.run(&[&event]);
    }
}

#[test]
fn events_are_counted_by_what_they_are_grouped_by() {
    let count = "title: many\ncorrelation:\n  type: event_count\n  rules: failed\n  group-by: [userIdentity.userName]\n  timespan: 10m\n  condition: {gte: 3}\n";
    let kit = kit(&[LOGINS, count]);
    let _ = logged();
    let events = [
        login(1, 0, "ada", "Failure"),
        login(2, 1, "ada", "Failure"),
        login(3, 2, "bob", "Failure"),
        login(4, 20, "ada", "Failure"),
    ];
    assert!(found(&kit, &events, "many").is_empty());
    assert_eq!(
        found(
            &kit,
            &[login(5, 2, "ada", "Success"), login(6, 2, "ada", "Failure")],
            "many"
        ),
        [1]
    );
    assert_eq!(
        found(&kit, &[login(6, 2, "ada", "Failure")], "many"),
        [0],
        "delivered again"
    );
    assert!(
        found(&kit, &events, "failed-login").is_empty(),
        "spoken for by the correlation"
    );
    kit.set_unavailable(true);
    assert!(found(&kit, &[login(6, 2, "ada", "Failure")], "many").is_empty());
    assert!(logged()[0].starts_with("failed to count for rule many"));
}

#[test]
fn values_are_counted_summed_and_averaged() {
    let of = |kind: &str, field: &str, limit: u32| {
        format!(
            "title: {kind}\ncorrelation:\n  type: {kind}\n  rules: failed\n  timespan: 10m\n  condition: {{field: {field}, gte: {limit}}}\n"
        )
    };
    let count = of("value_count", "sourceIPAddress", 2);
    let sum = of("value_sum", "additionalEventData.size", 6);
    let average = of("value_avg", "additionalEventData.size", 3);
    let kit = kit(&[LOGINS, &count, &sum, &average]);
    let events: Vec<String> = [1, 2, 3, 9]
        .map(|id| login(id, id, "ada", "Failure"))
        .into();
    let ids = |rule| found(&kit, &events, rule);
    assert_eq!(ids("value-count"), [1, 2, 3]);
    assert_eq!(ids("value-sum"), [2, 3]);
    assert_eq!(ids("value-avg"), [3], "1, 1.5, 2, 3.75");
}

#[test]
fn rules_follow_one_another_in_time_and_in_order() {
    let of = |kind: &str| {
        format!(
            "title: {kind}\ncorrelation:\n  type: {kind}\n  rules: [failed, succeeded]\n  group-by: [who]\n  aliases: {{who: {{failed: userIdentity.userName, succeeded: userIdentity.arn}}}}\n  timespan: 10m\n"
        )
    };
    let pack = [of("temporal"), of("temporal_ordered")];
    let run = |first: &str, second: &str, minutes: u32| {
        let kit = kit(&[LOGINS, &pack[0], &pack[1]]);
        let one = login(1, 0, "x", first).replace("\"arn:x\"", "\"x\"");
        let two = login(2, minutes, "x", second).replace("\"arn:x\"", "\"x\"");
        let both = [one, two];
        ["temporal", "temporal-ordered"].map(|rule| !found(&kit, &both, rule).is_empty())
    };
    assert_eq!(run("Failure", "Success", 5), [true, true]);
    assert_eq!(run("Success", "Failure", 5), [true, false]);
    assert_eq!(run("Failure", "Success", 10), [false, false]);
    assert_eq!(run("Failure", "Failure", 5), [false, false]);
}

#[test]
fn a_sequence_early_in_a_long_batch_is_found() {
    let order = "title: order\ncorrelation: {type: temporal_ordered, rules: [failed, succeeded], timespan: 5m}\n";
    let kit = kit(&[LOGINS, order]);
    let events = [
        login(1, 0, "a", "Failure"),
        login(2, 1, "a", "Success"),
        login(3, 50, "b", "Failure"),
    ];
    assert_eq!(found(&kit, &events, "order"), [1]);
}

#[test]
fn correlations_of_correlations_count_what_those_found() {
    let many = "title: many\nname: many\ncorrelation: {type: event_count, rules: failed, timespan: 10m, condition: {gte: 2}}\n";
    let then = "title: then\nlevel: critical\ncorrelation: {type: temporal_ordered, rules: [many, succeeded], timespan: 10m}\n";
    let kit = kit(&[then, LOGINS, many]);
    let events = [
        login(1, 0, "a", "Success"),
        login(2, 1, "a", "Failure"),
        login(3, 2, "a", "Failure"),
        login(4, 3, "a", "Success"),
    ];
    assert_eq!(found(&kit, &events[..2], "then"), Vec::<usize>::new());
    assert_eq!(found(&kit, &events, "then"), [3]);
    assert!(found(&kit, &events, "many").is_empty());
}
