//! `sample-data-events` in the host: what is delivered and what is dropped is all there was, the same on every
//! replica, and the manual's example works.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    sync::Arc,
};

use serde_json::{Value, json};
use sluicegate::{
    config::Config,
    plugin::{Component, Engine, Grants, Services, Terms},
};
use sluicegate_tests::{
    host::{Drained, Setup, engine, load, patient, root},
    shelf::{BUCKET, Shelf, gzip},
};

const NAME: &str = "sample-data-events";

/// The plugin with this configuration.
fn plugin(engine: &Engine, configuration: &Value) -> Component {
    let terms = Terms {
        configuration: configuration.as_object().unwrap().clone(),
        limits: patient(),
        grants: Grants {
            state: true,
            ..Grants::default()
        },
        ..Terms::default()
    };
    load(engine, "plugins", NAME, &terms).unwrap_or_else(|error| panic!("{error:?}"))
}

/// An engine with windows of its own.
fn counting() -> Engine {
    engine().with_services(Services::default().in_scratch().unwrap())
}

/// The configuration in the manual.
fn manual() -> Value {
    let page = fs::read_to_string(root().join("docs/sampling.md")).unwrap();
    let block = page
        .split("```toml\n")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    let around = "[source]\ntype = 'directory'\npath = '/in'\n[sinks.archive]\ntype = 'file'\ndirectory = '/out'\n";
    let config = match Config::parse(&format!("{around}{block}"), BTreeMap::new()) {
        Ok(config) => config,
        Err(problems) => panic!("{:#?}", problems.lines()),
    };
    let settings = &config.plugins[NAME];
    assert!(settings.grants.state);
    serde_json::to_value(&settings.configuration).unwrap()
}

fn event(number: usize, more: &Value) -> Value {
    let mut event = json!({
        "eventID": format!("{number:08x}-1111-4222-8333-444444444444"),
        "eventTime": format!("2026-03-01T{:02}:{:02}:{:02}Z", number / 3600 % 24, number / 60 % 60, number % 60),
        "eventCategory": "Data",
        "eventName": "GetObject",
        "eventSource": "s3.amazonaws.com",
        "readOnly": true,
        "recipientAccountId": "123456789012",
        "userIdentity": { "type": "IAMUser", "arn": "arn:aws:iam::123456789012:user/ann" },
        "resources": [{ "type": "AWS::S3::Object", "ARN": "arn:aws:s3:::pictures/1.png" }],
    });
    for (name, value) in more.as_object().unwrap() {
        event[name] = value.clone();
    }
    event
}

/// The identifiers that arrive, and what was counted.
async fn run(plugins: Vec<Component>, events: &[Value]) -> (BTreeSet<String>, Drained) {
    let shelf = Arc::new(Shelf::default());
    for (number, part) in events.chunks(500).enumerate() {
        shelf.put(
            &format!("object-{number:05}"),
            gzip(json!({ "Records": part }).to_string()),
        );
    }
    let source: Arc<Shelf> = Arc::clone(&shelf);
    let drained = Setup::new(source, BUCKET)
        .plugins(plugins)
        // One object after the other, as the events' time goes.
        .settings(|settings| (settings.workers, settings.messages) = (1, 1))
        .file()
        .start()
        .finish()
        .await;
    drained.sums_agree();
    let sink = &drained.counted.sinks["file"];
    let delivered = drained.lines("events");
    assert_eq!(
        delivered.len() + usize::try_from(sink.dropped).unwrap(),
        events.len()
    );
    let by_plugin = drained
        .counted
        .plugin_drops
        .get(NAME)
        .copied()
        .unwrap_or_default();
    assert_eq!(by_plugin, sink.dropped);
    let id = |line: &String| {
        let event: Value = serde_json::from_str(line).unwrap();
        event["eventID"].as_str().unwrap().to_owned()
    };
    (delivered.iter().map(id).collect(), drained)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_of_the_manual_drops_what_it_says() {
    let events: Vec<Value> = (0..4_000)
        .map(|number| match number % 8 {
            0 => event(number, &json!({ "eventCategory": "Management" })),
            1 => event(number, &json!({ "errorCode": "AccessDenied" })),
            2 => event(number, &json!({ "resources": [{ "ARN": "arn:aws:s3:::customer-records/7" }] })),
            3 => event(number, &json!({ "readOnly": false, "eventName": "PutObject" })),
            4 => event(number, &json!({
                "resources": [{ "ARN": "arn:aws:s3:::logs/7" }],
                "userIdentity": { "arn": "arn:aws:sts::123456789012:assumed-role/log-shipper/x" },
            })),
            _ => event(number, &json!({})),
        })
        .collect();
    let (left, _) = run(vec![plugin(&counting(), &manual())], &events).await;
    let of = |kind: usize| {
        let ids = events.iter().skip(kind).step_by(8);
        ids.filter(|event| left.contains(event["eventID"].as_str().unwrap()))
            .count()
    };
    for kept in 0..4 {
        assert_eq!(of(kept), 500, "{kept}");
    }
    assert_eq!(of(4), 0);
    let sampled: usize = (5..8).map(of).sum();
    assert!(
        (1..=40).contains(&sampled),
        "one in a hundred of 1,500: {sampled}"
    );

    let (again, _) = run(vec![plugin(&counting(), &manual())], &events).await;
    assert_eq!(again, left, "another replica decides alike");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_budget_is_kept_when_events_come_in_order() {
    let budget = |events: u32| json!({ "budget": { "events_per_day": events, "beyond": "drop" } });
    let events: Vec<Value> = (0..3_000).map(|number| event(number, &json!({}))).collect();
    let (left, _) = run(vec![plugin(&counting(), &budget(1_000))], &events).await;
    assert_eq!(left.len(), 1_000);
    let (left, _) = run(vec![plugin(&counting(), &budget(5_000))], &events).await;
    assert_eq!(left.len(), 3_000, "two parts, neither full");
    let (left, drained) = run(
        vec![plugin(&counting(), &budget(4_001))],
        &(0..8_000)
            .map(|number| event(number, &json!({})))
            .collect::<Vec<_>>(),
    )
    .await;
    assert_eq!(left.len(), 4_001, "two parts, both full");
    assert_eq!(drained.counted.plugin_drops[NAME], 3_999);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_with_a_finding_is_not_dropped() {
    let rules = json!({ "rules": [{
        "name": "all",
        "action": "drop",
        "field_selectors": [{ "Field": "eventCategory", "Equals": ["Data"] }],
    }] });
    let engine = counting();
    let guest = sluicegate_tests::host::component(
        &engine,
        "guests",
        "hostile-detect",
        &json!({
            "fields": ["/eventName"], "when": "PutObject", "do": { "good": { "find": { "rule": "r", "window_s": 60 } } },
        }),
    );
    let events: Vec<Value> = (0..10)
        .map(|number| {
            event(
                number,
                &json!({ "eventName": if number == 3 { "PutObject" } else { "GetObject" } }),
            )
        })
        .collect();
    let (left, _) = run(vec![guest, plugin(&engine, &rules)], &events).await;
    assert_eq!(left.len(), 1);
}
