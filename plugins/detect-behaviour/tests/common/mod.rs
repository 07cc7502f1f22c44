//! Events for tests, and what is found in them.

#![allow(dead_code, reason = "each test file uses some of it")]

use detect_behaviour::DetectBehaviour;
use serde_json::{Value, json};
use sluicegate_plugin::testing::{Kit, Seen};

pub(crate) type Behaviour = Kit<DetectBehaviour>;

pub(crate) const ANN: &str = "arn:aws:iam::111122223333:user/ann";

pub(crate) fn kit(configuration: &Value) -> Behaviour {
    Kit::new(&configuration.to_string())
}

/// An event of the user Ann: a number that identifies it, and its second after midnight of 1 March.
pub(crate) fn event(number: usize, second: u64, more: Value) -> String {
    let (day, rest) = (second / 86_400, second % 86_400);
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    let mut event = json!({
        // No digits that volume is counted by.
        "eventID": format!("ff{number:06}-0000-4000-8000-000000000000"),
        "eventTime": format!("2026-03-{:02}T{hour:02}:{minute:02}:{second:02}Z", 1 + day),
        "awsRegion": "eu-central-1",
        "sourceIPAddress": "203.0.113.7",
        "recipientAccountId": "111122223333",
        "managementEvent": true,
        "readOnly": true,
        "userIdentity": {
            "type": "IAMUser", "arn": ANN, "accountId": "111122223333", "userName": "ann",
            "accessKeyId": "AKIAIOSFODNN7EXAMPLE",
        },
    });
    merge(&mut event, more);
    event.to_string()
}

fn merge(into: &mut Value, more: Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (name, value) in more {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (into, more) => *into = more,
    }
}

/// A call of a service: `("ec2", "DescribeInstances")`.
pub(crate) fn call(service: &str, name: &str) -> Value {
    json!({ "eventSource": format!("{service}.amazonaws.com"), "eventName": name })
}

pub(crate) fn with(mut event: Value, more: Value) -> Value {
    merge(&mut event, more);
    event
}

pub(crate) fn run(kit: &Behaviour, events: &[String]) -> Seen {
    let events: Vec<&str> = events.iter().map(String::as_str).collect();
    kit.run(&events)
}

/// Every rule that found something, with how many events.
pub(crate) fn rules(seen: &Seen) -> Vec<(String, usize)> {
    let mut rules = std::collections::BTreeMap::new();
    for (_, finding) in seen.findings() {
        *rules.entry(finding.rule.clone()).or_insert(0) += 1;
    }
    rules.into_iter().collect()
}

pub(crate) fn names(seen: &Seen) -> Vec<String> {
    rules(seen).into_iter().map(|(rule, _)| rule).collect()
}

/// An attribute of the first finding of a rule.
pub(crate) fn attribute(seen: &Seen, rule: &str, name: &str) -> Option<String> {
    let (_, finding) = seen.findings().find(|(_, finding)| finding.rule == rule)?;
    let (_, value) = finding.attributes.iter().find(|(key, _)| key == name)?;
    Some(value.clone())
}
