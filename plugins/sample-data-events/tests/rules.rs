//! The plugin through its whole interface: operators, eligibility, budgets, wrong configuration.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use proptest::prelude::*;
use sample_data_events::SampleDataEvents;
use serde_json::{Value, json};
use sluicegate_plugin::testing::{Kit, logged};

/// A read of an object, with these members besides.
fn event(id: &str, more: &Value) -> String {
    let mut event = json!({
        "eventID": id,
        "eventTime": "2026-03-01T10:20:30Z",
        "eventCategory": "Data",
        "eventName": "GetObject",
        "eventSource": "s3.amazonaws.com",
        "eventType": "AwsApiCall",
        "readOnly": true,
        "recipientAccountId": "123456789012",
        "userIdentity": { "arn": "arn:aws:iam::123456789012:user/ann" },
        "resources": [
            { "type": "AWS::S3::Object", "ARN": "arn:aws:s3:::logs/a.gz" },
            { "type": "AWS::S3::Bucket", "ARN": "arn:aws:s3:::logs", "accountId": "123456789012" },
        ],
    });
    for (name, value) in more.as_object().unwrap() {
        event[name] = value.clone();
    }
    event.to_string()
}

fn kit(configuration: &Value) -> Kit<SampleDataEvents> {
    Kit::new(&configuration.to_string())
}

fn rule(selectors: &Value, action: &Value) -> Value {
    json!({ "name": format!("{action}{selectors}").chars().take(60).collect::<String>(), "field_selectors": selectors, "action": action })
}

/// Whether a rule with this one selector, which drops, drops the event.
fn drops(selector: &Value, more: &Value) -> bool {
    let kit = kit(&json!({ "rules": [rule(&json!([selector]), &json!("drop"))] }));
    kit.run(&[&event("1", more)]).dropped(0)
}

#[test]
fn every_operator_matches_and_does_not() {
    let none = json!({});
    for (field, values) in [
        ("eventName", ["GetObject", "Get", "Object", "Put"]),
        ("eventSource", ["s3.amazonaws.com", "s3.", ".com", "ec2"]),
        ("eventType", ["AwsApiCall", "Aws", "Call", "Console"]),
        (
            "resources.ARN",
            [
                "arn:aws:s3:::logs",
                "arn:aws:s3:::logs/",
                "a.gz",
                "arn:aws:s3:::x",
            ],
        ),
        (
            "userIdentity.arn",
            [
                "arn:aws:iam::123456789012:user/ann",
                "arn:aws:iam",
                "/ann",
                "bob",
            ],
        ),
    ] {
        let [whole, start, end, other] = values;
        for (operator, value, expected) in [
            ("Equals", whole, true),
            ("Equals", start, false),
            ("Equals", other, false),
            ("NotEquals", whole, false),
            ("NotEquals", other, true),
            ("StartsWith", start, true),
            ("StartsWith", other, false),
            ("NotStartsWith", start, false),
            ("NotStartsWith", other, true),
            ("EndsWith", end, true),
            ("EndsWith", other, false),
            ("NotEndsWith", end, false),
            ("NotEndsWith", other, true),
        ] {
            let selector = json!({ "Field": field, operator: [value] });
            assert_eq!(drops(&selector, &none), expected, "{selector}");
        }
    }
    for (field, right, wrong) in [
        ("eventCategory", "Data", "NetworkActivity"),
        ("readOnly", "true", "false"),
        ("resources.type", "AWS::S3::Object", "AWS::Lambda::Function"),
    ] {
        assert!(drops(&json!({ "Field": field, "Equals": [right] }), &none));
        assert!(!drops(&json!({ "Field": field, "Equals": [wrong] }), &none));
    }
    let console = json!({ "Field": "sessionCredentialFromConsole", "Equals": ["true"] });
    assert!(drops(
        &console,
        &json!({ "sessionCredentialFromConsole": "true" })
    ));
    assert!(!drops(&console, &none), "what is absent matches nothing");
    let endpoint = json!({ "Field": "vpcEndpointId", "NotEquals": ["vpce-1"] });
    assert!(drops(&endpoint, &none), "and nothing excludes it");
    assert!(!drops(&endpoint, &json!({ "vpcEndpointId": "vpce-1" })));
    assert!(
        drops(
            &json!({ "Field": "readOnly", "Equals": ["false"] }),
            &json!({ "readOnly": "false" })
        ),
        "also as a string"
    );
}

#[test]
fn operators_of_one_field_are_joined_as_cloudtrail_joins_them() {
    let either = json!({ "Field": "eventName", "Equals": ["PutObject", "HeadObject"], "StartsWith": ["Get"] });
    assert!(drops(&either, &json!({})));
    assert!(drops(&either, &json!({ "eventName": "HeadObject" })));
    let but =
        json!({ "Field": "eventName", "StartsWith": ["Get"], "NotEndsWith": ["Acl", "Tagging"] });
    assert!(drops(&but, &json!({})));
    assert!(!drops(&but, &json!({ "eventName": "GetObjectAcl" })));
    assert!(!drops(&but, &json!({ "eventName": "GetObjectTagging" })));
}

#[test]
fn selectors_of_a_rule_hold_together_and_the_first_rule_decides() {
    let logs = json!({ "Field": "resources.ARN", "StartsWith": ["arn:aws:s3:::logs/"] });
    let reads = json!({ "Field": "readOnly", "Equals": ["true"] });
    let kit = kit(&json!({ "rules": [
        rule(&json!([logs, { "Field": "eventName", "Equals": ["HeadObject"] }]), &json!("keep")),
        rule(&json!([logs, reads]), &json!("drop")),
    ] }));
    let seen = kit.run(&[
        &event("1", &json!({})),
        &event("2", &json!({ "readOnly": false })),
        &event("3", &json!({ "eventName": "HeadObject" })),
    ]);
    assert_eq!([0, 1, 2].map(|at| seen.dropped(at)), [true, false, false]);
}

#[test]
fn only_what_a_rule_names_is_touched_besides_data_events() {
    let name = json!({ "Field": "eventName", "StartsWith": ["Get"] });
    let management = json!({ "Field": "eventCategory", "Equals": ["Management", "Insight"] });
    let denied = json!({ "Field": "errorCode", "Equals": ["NoSuchKey"] });
    let events = [
        event("1", &json!({})),
        event("2", &json!({ "eventCategory": "NetworkActivity" })),
        event("3", &json!({ "eventCategory": "Management" })),
        event("4", &json!({ "eventCategory": "Insight" })),
        event("5", &json!({ "eventCategory": "Aggregated" })),
        event("6", &json!({ "eventCategory": null })),
        event("7", &json!({ "errorCode": "NoSuchKey" })),
        event("8", &json!({ "errorCode": "AccessDenied" })),
        event(
            "9",
            &json!({ "eventCategory": "Management", "errorCode": "NoSuchKey" }),
        ),
    ];
    let events: Vec<&str> = events.iter().map(String::as_str).collect();
    let dropped = |selectors: &Value| {
        let seen = kit(&json!({ "rules": [rule(selectors, &json!("drop"))] })).run(&events);
        (1..=9)
            .filter(|number| seen.dropped(number - 1))
            .collect::<Vec<_>>()
    };
    assert_eq!(dropped(&json!([name])), [1, 2]);
    assert_eq!(dropped(&json!([name, management])), [3, 4]);
    assert_eq!(dropped(&json!([name, denied])), [7]);
    assert_eq!(dropped(&json!([name, denied, management])), [9]);
}

#[test]
fn a_budget_lets_the_first_of_a_day_through() {
    let kit = kit(&json!({ "budget": { "events_per_day": 3, "beyond": "drop" } }));
    let at = |id: &str, time: &str, account: &str| {
        event(
            id,
            &json!({ "eventTime": time, "recipientAccountId": account }),
        )
    };
    let run = |events: &[String]| {
        let events: Vec<&str> = events.iter().map(String::as_str).collect();
        let seen = kit.run(&events);
        (0..events.len())
            .map(|at| seen.dropped(at))
            .collect::<Vec<_>>()
    };
    let day: Vec<_> = (0..5)
        .map(|minute| {
            at(
                &format!("a{minute}"),
                &format!("2026-03-01T10:{minute:02}:00Z"),
                "1",
            )
        })
        .collect();
    assert_eq!(run(&day), [false, false, false, true, true]);
    assert_eq!(
        run(&day),
        [false, false, false, true, true],
        "delivered again"
    );
    assert_eq!(
        run(&[at("b", "2026-03-01T11:00:00Z", "2")]),
        [false],
        "another account"
    );
    assert_eq!(
        run(&[at("c", "2026-03-02T00:00:00Z", "1")]),
        [false],
        "another day"
    );
    kit.set_unavailable(true);
    let _ = logged();
    assert_eq!(
        run(&day),
        [false; 5],
        "nothing is lost where nothing is counted"
    );
    assert!(logged()[0].contains("failed to count"));
}

/// What the manual promises of events that are delivered again.
#[test]
fn an_event_that_is_delivered_again_is_decided_alike_while_nothing_earlier_arrives() {
    let kit = kit(&json!({ "budget": { "events_per_day": 2, "beyond": "drop" } }));
    let at = |minute: usize| {
        let time = format!("2026-03-01T10:{minute:02}:00Z");
        event(&format!("a{minute}"), &json!({ "eventTime": time }))
    };
    let dropped = |minutes: &[usize]| {
        let events: Vec<String> = minutes.iter().map(|minute| at(*minute)).collect();
        let events: Vec<&str> = events.iter().map(String::as_str).collect();
        let seen = kit.run(&events);
        (0..events.len())
            .map(|at| seen.dropped(at))
            .collect::<Vec<_>>()
    };
    assert_eq!(dropped(&[10, 20, 30]), [false, false, true]);
    assert_eq!(dropped(&[40]), [true]);
    // In another order, in other batches, with events that happened later in between.
    assert_eq!(dropped(&[30, 10]), [true, false]);
    assert_eq!(dropped(&[20]), [false]);
    // Whoever happened before counts before, however late it arrives.
    assert_eq!(dropped(&[5]), [false]);
    assert_eq!(dropped(&[5, 10, 20, 30]), [false, false, true, true]);
}

#[test]
fn a_budget_is_not_spent_by_what_goes_on_or_is_dropped_anyway() {
    let kit = kit(&json!({
        "rules": [
            rule(&json!([{ "Field": "eventName", "Equals": ["Keep"] }]), &json!("keep")),
            rule(&json!([{ "Field": "eventName", "Equals": ["Drop"] }]), &json!("drop")),
        ],
        "budget": { "events_per_day": 1, "beyond": "drop" },
    }));
    let events = ["Keep", "Drop", "Keep", "Any", "Any", "Keep"];
    let events: Vec<_> = (0..).zip(events).map(|(number, name)| event(&format!("{number}"), &json!({ "eventName": name, "eventTime": format!("2026-03-01T10:00:{number:02}Z") }))).collect();
    let events: Vec<&str> = events.iter().map(String::as_str).collect();
    let seen = kit.run(&events);
    let dropped: Vec<_> = (0..6).map(|at| seen.dropped(at)).collect();
    assert_eq!(dropped, [false, true, false, false, true, false]);
    let management = event("m", &json!({ "eventCategory": "Management" }));
    let failed = event("f", &json!({ "errorCode": "AccessDenied" }));
    let seen = kit.run(&[&management, &failed]);
    assert!(!seen.dropped(0) && !seen.dropped(1));
}

#[test]
fn a_line_a_minute_says_what_each_rule_dropped() {
    let rules = json!([{ "name": "reads of logs", "field_selectors": [{ "Field": "readOnly", "Equals": ["true"] }], "action": "drop" }]);
    let kit = kit(&json!({ "rules": rules }));
    let _ = logged();
    let (read, write) = (
        event("1", &json!({})),
        event("2", &json!({ "readOnly": false })),
    );
    let _ = kit.run(&[&read, &write]);
    assert_eq!(logged(), ["dropped 1 of 2 events: 1 by reads of logs"]);
    let _ = kit.run(&[&read]);
    assert_eq!(logged(), [""; 0], "not within a minute");
}

#[test]
fn wrong_configuration_is_told_with_its_place() {
    let name = json!({ "Field": "eventName", "Equals": ["GetObject"] });
    let two = json!([rule(&json!([name]), &json!("drop")), { "name": "b", "field_selectors": [name], "action": "keep" }]);
    for (configuration, expected) in [
        (
            json!({ "rules": [rule(&json!([]), &json!("drop"))] }),
            "rules.0.field_selectors must have 1 to 32 elements, got 0",
        ),
        (
            json!({ "rules": [two[0], rule(&json!([{ "Field": "eventname", "Equals": ["x"] }]), &json!("drop"))] }),
            "rules.1.field_selectors.0.Field must be one of eventCategory,",
        ),
        (
            json!({ "rules": [rule(&json!([name, { "Field": "eventName" }]), &json!("drop"))] }),
            "rules.0.field_selectors.1 must have 1 to 500 values",
        ),
        (
            json!({ "rules": [rule(&json!([{ "Field": "eventName", "Equals": vec!["x"; 501] }]), &json!("drop"))] }),
            "rules.0.field_selectors.0 must have 1 to 500 values to compare eventName with, got 501",
        ),
        (
            json!({ "rules": [rule(&json!([{ "Field": "eventName", "StartsWith": [""] }]), &json!("drop"))] }),
            "rules.0.field_selectors.0.StartsWith must have values of 1 to 2048 characters",
        ),
        (
            json!({ "rules": [rule(&json!([{ "Field": "readOnly", "NotEquals": ["true"] }]), &json!("drop"))] }),
            "rules.0.field_selectors.0.NotEquals cannot be used with readOnly",
        ),
        (
            json!({ "rules": [rule(&json!([{ "Field": "readOnly", "Equals": ["yes"] }]), &json!("drop"))] }),
            "rules.0.field_selectors.0.Equals must be of true, false, got `yes`",
        ),
        (
            json!({ "rules": [rule(&json!([{ "Field": "eventCategory", "Equals": ["data"] }]), &json!("drop"))] }),
            "rules.0.field_selectors.0.Equals must be of Data, NetworkActivity,",
        ),
        (
            json!({ "rules": [rule(&json!([name]), &json!({ "sample": 1.0 }))] }),
            "rules.0.action.sample must be more than 0 and less than 1, got 1",
        ),
        (
            json!({ "rules": [two[1], two[1]] }),
            "rules.1.name must be another than that of rules.0, got `b`",
        ),
        (
            json!({ "rules": [{ "name": "", "field_selectors": [name], "action": "keep" }] }),
            "rules.0.name must have 1 to 64 characters",
        ),
        (
            json!({ "rules": vec![two[1].clone(); 101] }),
            "rules must be at most 100, got 101",
        ),
        (
            json!({ "budget": { "events_per_day": 0, "beyond": "drop" } }),
            "budget.events_per_day must be between 1 and 10000000, got 0",
        ),
        (
            json!({ "budget": { "events_per_day": 1, "beyond": { "sample": 2.0 } } }),
            "budget.beyond.sample must be more than 0",
        ),
        (
            json!({ "rules": [rule(&json!([{ "Field": "eventName", "Equal": ["x"] }]), &json!("drop"))] }),
            "Equal",
        ),
        (
            json!({ "rules": [rule(&json!([name]), &json!("sometimes"))] }),
            "sometimes",
        ),
    ] {
        let error = Kit::<SampleDataEvents>::try_new(&configuration.to_string()).unwrap_err();
        assert!(
            error.contains(expected),
            "{error:?} does not say {expected:?}"
        );
    }
}

#[test]
fn an_event_without_an_identifier_is_not_sampled_away() {
    let kit = kit(
        &json!({ "rules": [rule(&json!([{ "Field": "readOnly", "Equals": ["true"] }]), &json!({ "sample": 0.000_001 }))] }),
    );
    assert!(!kit.run(&[&event("", &json!({}))]).dropped(0));
    assert!(kit.run(&[&event("some-id", &json!({}))]).dropped(0));
}

proptest! {
    /// Alone, among others, in another order, delivered again, on another replica: always the same.
    #[test]
    fn a_sample_depends_on_the_identifier_alone(ids in proptest::collection::hash_set("[0-9a-f]{8}-[0-9a-f]{4}", 1..40), share in 0.05_f64..0.95) {
        let rules = json!({ "rules": [rule(&json!([{ "Field": "readOnly", "Equals": ["true"] }]), &json!({ "sample": share }))] });
        let events: Vec<String> = ids.iter().map(|id| event(id, &json!({}))).collect();
        let all: Vec<&str> = events.iter().map(String::as_str).collect();
        let together = kit(&rules).run(&all);
        let other = kit(&rules);
        for (at, text) in all.iter().enumerate().rev() {
            prop_assert_eq!(other.run(&[text]).dropped(0), together.dropped(at));
        }
    }
}
