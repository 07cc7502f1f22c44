//! Delivery in any order and any number of times, a host that does not answer, and hostile events.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{Behaviour, call, event, kit, names, rules, run, with};
use detect_behaviour::DetectBehaviour;
use serde_json::{Value, json};
use sluicegate_plugin::testing::{Kit, logged};

fn denied(number: usize, second: u64, name: &str) -> String {
    event(
        number,
        second,
        with(call("sqs", name), json!({ "errorCode": "AccessDenied" })),
    )
}

/// Twelve deletions that were denied, and a few secrets.
fn attack() -> Vec<String> {
    let deletions = (0..12).map(|n| denied(n, n as u64 * 20, "DeleteQueue"));
    let read = |n: usize| {
        let secret = json!({ "requestParameters": { "secretId": format!("s{n}") } });
        event(
            100 + n,
            n as u64 * 10,
            with(call("secretsmanager", "GetSecretValue"), secret),
        )
    };
    deletions.chain((0..20).map(read)).collect()
}

/// Rules that were met by a delivery, one event a batch.
fn one_by_one(kit: &Behaviour, events: &[String]) -> Vec<String> {
    let mut found: Vec<String> = events
        .iter()
        .flat_map(|event| names(&run(kit, std::slice::from_ref(event))))
        .collect();
    found.sort();
    found.dedup();
    found
}

#[test]
fn the_same_is_found_however_often_and_in_whatever_order() {
    let expected = ["deletions-denied", "secrets-enumerated"];
    let (kit_, attack) = (kit(&json!({})), attack());
    let first = rules(&run(&kit_, &attack));
    assert_eq!(names(&run(&kit_, &attack)), expected);
    assert_eq!(rules(&run(&kit_, &attack)), first, "and by as many events");
    let mut backwards = attack.clone();
    backwards.reverse();
    assert_eq!(rules(&run(&kit_, &backwards)), first);
    let fresh = kit(&json!({}));
    // Backwards each event sees only what lies before it, which comes later.
    one_by_one(&fresh, &backwards);
    assert_eq!(one_by_one(&fresh, &backwards), expected, "delivered again");
    let mixed: Vec<String> = (0..attack.len())
        .map(|n| attack[n * 7 % attack.len()].clone())
        .collect();
    assert_eq!(names(&run(&kit(&json!({})), &mixed)), expected);
}

#[test]
fn one_event_is_one_event() {
    let same = denied(1, 0, "DeleteQueue");
    let kit = kit(&json!({}));
    for _ in 0..10 {
        assert_eq!(names(&run(&kit, &[same.clone(), same.clone()])), [""; 0]);
    }
}

#[test]
fn a_host_that_does_not_answer_costs_a_line_a_batch_and_nothing_else() {
    let (kit, attack) = (kit(&json!({ "locations": "places" })), attack());
    kit.set_unavailable(true);
    assert!(logged().is_empty());
    assert_eq!(names(&run(&kit, &attack)), [""; 0]);
    let lines = logged();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].starts_with("not all was judged: failed to look up"),
        "{lines:?}"
    );
    assert!(
        lines[0].contains("failed to count: Error::Unavailable"),
        "{lines:?}"
    );
    kit.set_unavailable(false);
    assert_eq!(
        names(&run(&kit, &attack)),
        ["deletions-denied", "secrets-enumerated"]
    );
    let lines = logged();
    assert!(
        lines[0].contains("table places: Error::NoSuchTable"),
        "{lines:?}"
    );
}

#[test]
fn a_flood_of_principals_and_of_events_is_bounded() {
    let kit = kit(&json!({}));
    let flood: Vec<String> = (0..1_000)
        .map(|n| {
            let arn = json!({ "userIdentity": { "arn": format!("arn:aws:iam::1:user/u{n}") } });
            event(
                n,
                0,
                with(
                    with(
                        call("sqs", "Describe"),
                        json!({ "errorCode": "AccessDenied" }),
                    ),
                    arn,
                ),
            )
        })
        .collect();
    assert_eq!(names(&run(&kit, &flood)), [""; 0]);
    let lines = logged();
    assert!(lines[0].contains("observations too many"), "{lines:?}");
    let storm: Vec<String> = (0..1_000)
        .map(|n| denied(10_000 + n, 9, "DeleteQueue"))
        .collect();
    let seen = run(&kit, &storm);
    let (rule, count) = &rules(&seen)[0];
    assert_eq!(rule, "deletions-denied");
    assert!((5..=64).contains(count), "{count} are enough to know it");
}

/// Events with something wrong in every field that is read.
fn hostile() -> Vec<String> {
    let mut events = vec![
        "{}".to_owned(),
        r#"{"errorCode":null}"#.to_owned(),
        r#"{"errorCode":"AccessDenied"}"#.to_owned(),
        r#"{"errorCode":5,"userIdentity":[],"eventID":{},"requestParameters":"x"}"#.to_owned(),
    ];
    let values = [
        json!(null),
        json!(7),
        json!(true),
        json!([]),
        json!(["a", 5, null, { "b": [] }]),
        json!({ "": { "key": [[[]]] } }),
        json!(""),
        json!("\u{0}\u{1f600}\"\\<>&"),
        json!("x".repeat(5_000)),
        json!("cloudtrail.amazonaws.com"),
        json!("0000-00-00T00:00:00Z"),
    ];
    let calls = [
        ("signin", "ConsoleLogin"),
        ("secretsmanager", "GetSecretValue"),
        ("ssm", "GetParameters"),
        ("ec2", "GetPasswordData"),
        ("ec2", "TerminateInstances"),
        ("s3", "GetObject"),
        ("s3", "DeleteObject"),
        ("sts", "AssumeRole"),
        ("iam", "CreateUser"),
        ("iam", "ListUsers"),
    ];
    for (service, name) in calls {
        for value in &values {
            for field in [
                "eventID",
                "eventTime",
                "awsRegion",
                "sourceIPAddress",
                "errorCode",
                "readOnly",
                "recipientAccountId",
                "requestParameters",
                "responseElements",
                "userIdentity",
            ] {
                let number = events.len();
                events.push(event(
                    number,
                    5,
                    with(call(service, name), json!({ field: value })),
                ));
            }
            for field in [
                "type",
                "arn",
                "accountId",
                "accessKeyId",
                "userName",
                "sessionContext",
            ] {
                let more = json!({ "userIdentity": { field: value } });
                events.push(event(events.len(), 5, with(call(service, name), more)));
            }
            for field in [
                "secretId",
                "names",
                "name",
                "instanceId",
                "instancesSet",
                "bucketName",
                "key",
            ] {
                let more =
                    json!({ "withDecryption": true, "key": "k", "bucketName": "b", field: value });
                let more = json!({ "requestParameters": more });
                events.push(event(events.len(), 5, with(call(service, name), more)));
            }
            for field in ["ConsoleLogin", "credentials"] {
                let more = json!({ "responseElements": { field: value } });
                events.push(event(events.len(), 5, with(call(service, name), more)));
            }
        }
    }
    events
}

#[test]
fn hostile_events_are_judged_as_what_they_are_and_keys_stay_short() {
    let events = hostile();
    let kit = kit(&json!({ "locations": "places" }));
    let mut longest = 0;
    for part in events.chunks(100) {
        let seen = run(&kit, part);
        for (_, finding) in seen.findings() {
            let texts = finding.attributes.iter().map(|(_, text)| text);
            longest = texts
                .chain(&finding.entity)
                .map(String::len)
                .chain([longest])
                .max()
                .unwrap();
        }
    }
    assert!(longest < 2_000, "{longest}");
    let lines = logged();
    assert!(
        lines
            .iter()
            .all(|line| line.len() < 1_000 && !line.contains("xxx")),
        "no value is told"
    );
}

#[test]
fn fields_of_the_wrong_kind_do_not_hide_the_rest() {
    let read = |n: usize| {
        let more = json!({ "requestParameters": { "secretId": format!("s{n}"), "secretIdList": 7 }, "awsRegion": ["eu"] });
        event(n, 5, with(call("secretsmanager", "GetSecretValue"), more))
    };
    let events: Vec<String> = (0..15).map(read).collect();
    assert_eq!(
        names(&run(&kit(&json!({})), &events)),
        ["secrets-enumerated"]
    );
    // Of a member that is there twice the last one counts.
    let twice: Vec<String> = (0..15)
        .map(|n| read(n).replace(r#""secretIdList":7"#, &format!(r#""secretId":"t{n}""#)))
        .collect();
    assert_eq!(
        names(&run(&kit(&json!({})), &twice)),
        ["secrets-enumerated"]
    );
}

#[test]
fn a_wrong_configuration_is_refused_with_what_is_right() {
    let refused = |configuration: Value| {
        Kit::<DetectBehaviour>::try_new(&configuration.to_string()).unwrap_err()
    };
    assert_eq!(
        refused(json!({ "finding_window_s": 5 })),
        "finding_window_s must be between 60 and 86400, got 5"
    );
    assert_eq!(
        refused(json!({ "rules": { "regions-swept": { "threshold": 0 } } })),
        "rules.regions-swept.threshold must be between 1 and 1000000, got 0"
    );
    assert_eq!(
        refused(json!({ "rules": { "regions-swept": { "window_s": 9_000_000 } } })),
        "rules.regions-swept.window_s must be between 60 and 2592000, got 9000000"
    );
    assert_eq!(
        refused(json!({ "rules": { "call-volume-outlier": { "window_s": 60 } } })),
        "rules.call-volume-outlier.window_s cannot be set: it compares hours"
    );
    let unknown = refused(json!({ "rules": { "region-swept": {} } }));
    assert!(
        unknown
            .starts_with("rules.\"region-swept\" is no rule of this plugin, which has: console-"),
        "{unknown}"
    );
    assert!(
        refused(json!({ "rules": { "regions-swept": { "treshold": 5 } } })).contains("treshold")
    );
}
