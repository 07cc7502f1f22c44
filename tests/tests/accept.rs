//! What each sink takes: events, those with findings, Insight events, and of them those that match a clause.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;

use serde_json::{Value, json};
use sluicegate::{
    deadletter::Cause,
    sink::{Accept, splunk_hec::SplunkHec},
};
use sluicegate_tests::{
    host::{Setup, component, engine, plugins},
    servers::{Fault, Splunk},
    shelf::{BUCKET, Shelf, gzip},
};

const LOG: &str = "AWSLogs/123456789012/CloudTrail/eu-west-1/2026/11/22/a.json.gz";
const DIGEST: &str = "AWSLogs/123456789012/CloudTrail-Digest/eu-west-1/2026/11/22/c.json.gz";
const INSIGHT: &str = "AWSLogs/123456789012/CloudTrail-Insight/eu-west-1/2026/11/22/b.json.gz";

fn sink(server: &Splunk, accept: &[Accept]) -> Arc<SplunkHec> {
    let token = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(token.path(), server.token()).unwrap();
    let settings = json!({ "endpoint": server.url(), "token_file": token.path(), "request_timeout_ms": 2000, "accept": accept });
    Arc::new(SplunkHec::new(&serde_json::from_value(settings).unwrap()).unwrap())
}

fn event(source: &str, name: &str) -> Value {
    json!({
        "eventVersion": "1.09", "eventTime": "2026-11-22T10:00:00Z", "eventSource": source, "eventName": name,
        "eventID": format!("id-of-{name}"), "awsRegion": "eu-west-1", "recipientAccountId": "123456789012",
        "sourceIPAddress": "192.0.2.7", "readOnly": name.starts_with("Get"),
        "userIdentity": { "type": "IAMUser", "arn": "arn:aws:iam::123456789012:user/a", "accountId": "123456789012" },
        "requestParameters": { "name": "trail", "bucketName": "b" },
    })
}

fn objects(shelf: &Shelf) {
    let events = [
        event("s3.amazonaws.com", "GetObject"),
        event("s3.amazonaws.com", "DeleteBucket"),
        event("cloudtrail.amazonaws.com", "StopLogging"),
        event("cloudtrail.amazonaws.com", "DeleteTrail"),
    ];
    shelf.put(LOG, gzip(json!({ "Records": events }).to_string()));
    let insight = json!({
        "eventVersion": "1.08", "eventTime": "2026-11-22T10:00:00Z", "eventType": "AwsCloudTrailInsight",
        "eventID": "insight", "awsRegion": "eu-west-1", "recipientAccountId": "123456789012",
        "insightDetails": { "state": "Start", "eventSource": "iam.amazonaws.com", "eventName": "ListUsers" },
    });
    shelf.put(INSIGHT, gzip(json!({ "Records": [insight] }).to_string()));
    let digest = json!({ "awsAccountId": "123456789012", "digestEndTime": "2026-11-22T11:00:00Z", "logFiles": [] });
    shelf.put(DIGEST, gzip(digest.to_string()));
}

/// The events that came, by name; of those without, what they are.
fn names(server: &Splunk) -> Vec<String> {
    assert_eq!(server.violations(), [""; 0]);
    let mut names: Vec<String> = server
        .received()
        .iter()
        .map(|event| serde_json::from_str::<Value>(&event.event).unwrap())
        .map(|event| {
            let other = if event["logFiles"].is_array() {
                "digest"
            } else {
                "insight"
            };
            event["eventName"].as_str().unwrap_or(other).to_owned()
        })
        .collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_sink_gets_exactly_what_it_takes() {
    use Accept::{Digests, Events, EventsWithFindings, Insights};
    let deletes = json!([[{ "path": "/eventName", "starts_with": ["Delete"] }]]);
    let trail = json!([[
        { "path": "/eventSource", "one_of": ["cloudtrail.amazonaws.com"] },
        { "path": "/errorCode", "present": false },
        { "path": "/readOnly", "one_of": ["false"] },
    ]]);
    let everything = [
        "DeleteBucket",
        "DeleteTrail",
        "GetObject",
        "StopLogging",
        "insight",
    ];
    let cases: [(&str, &[Accept], Value, &[&str]); 8] = [
        ("all", &[Events], json!([]), &everything),
        ("insights", &[Insights], json!([]), &["insight"]),
        ("digests", &[Digests], json!([]), &["digest"]),
        (
            "deletes",
            &[Events],
            deletes.clone(),
            &["DeleteBucket", "DeleteTrail"],
        ),
        (
            "found",
            &[EventsWithFindings],
            trail.clone(),
            &["DeleteTrail", "StopLogging"],
        ),
        (
            "found-deletes",
            &[EventsWithFindings],
            json!([[&deletes[0][0], &trail[0][0]]]),
            &["DeleteTrail"],
        ),
        (
            "mixed",
            &[EventsWithFindings, Insights],
            json!([[{ "path": "/eventName", "present": false }]]),
            &["insight"],
        ),
        (
            "nothing",
            &[Events],
            json!([[{ "path": "/eventName", "one_of": ["GetBucket"] }]]),
            &[],
        ),
    ];
    let shelf = Arc::new(Shelf::default());
    objects(&shelf);
    let mut setup = Setup::new(Arc::clone(&shelf) as _, BUCKET).plugins(plugins(&engine()));
    let mut servers = Vec::new();
    for (name, accept, clauses, _) in &cases {
        let server = Splunk::start().await;
        setup = setup
            .sink(name, sink(&server, accept), accept)
            .matching(clauses.clone());
        servers.push(server);
    }
    let drained = setup.start().finish().await;
    assert_eq!(shelf.settled(), (3, 0), "messages are deleted");
    for ((name, _, _, expected), server) in cases.iter().zip(&servers) {
        assert_eq!(&names(server), expected, "{name}");
        let counted = &drained.counted.sinks[*name];
        let count = expected.len() as u64;
        assert_eq!(
            (counted.received, counted.delivered),
            (count, count),
            "{name}"
        );
        assert_eq!(counted.in_hand(), 0, "{name}");
    }
    let digest = &servers[cases.iter().position(|case| case.0 == "digests").unwrap()].received()[0];
    assert_eq!(digest.sourcetype.as_deref(), Some("aws:cloudtrail:digest"));
    assert_eq!(digest.time.as_deref(), Some("1795345200"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_caught_up_is_what_matches() {
    let shelf = Arc::new(Shelf::default());
    shelf.keep_open();
    let server = Splunk::start().await;
    server.fail_share(1.0, vec![Fault::Status(403)], 1);
    let host = Setup::new(Arc::clone(&shelf) as _, BUCKET)
        .sink(
            "deletes",
            sink(&server, &[Accept::Events]),
            &[Accept::Events],
        )
        .matching(json!([[{ "path": "/eventName", "starts_with": ["Delete"] }]]))
        .start();
    objects(&shelf);
    host.until("the events are pending", |counted| {
        counted.sinks["deletes"].pending >= 2
    })
    .await;
    server.heal();
    host.owes_nothing("deletes").await;
    shelf.close();
    let counted = host.finish().await.counted;
    assert_eq!(names(&server), ["DeleteBucket", "DeleteTrail"]);
    assert_eq!(counted.sinks["deletes"].in_hand(), 0);
    assert_eq!(shelf.settled(), (3, 0));
}

/// Plugins see every event whoever takes it, and a clause looks at the event before any of them changed it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clauses_stand_beside_what_plugins_decide() {
    let engine = engine();
    let guest =
        |name: &str, configuration: Value| component(&engine, "guests", name, &configuration);
    let bucket = "/requestParameters/bucketName";
    let (of_bucket, deletes, trail) = (
        json!([[{ "path": bucket, "one_of": ["b"] }]]),
        json!([[{ "path": "/eventName", "starts_with": ["Delete"] }]]),
        json!([[{ "path": "/eventName", "one_of": ["StopLogging"] }]]),
    );
    // Redaction fails on StopLogging and masks what a clause looks at; a filter drops DeleteBucket.
    let plugins = vec![
        guest(
            "hostile-filter",
            json!({ "events": ["DeleteBucket"], "do": { "good": "drop" } }),
        ),
        guest(
            "hostile-redact",
            json!({ "do": { "good": { "mask": { "path": bucket, "detector": "name" } } } }),
        ),
        guest(
            "hostile-redact",
            json!({ "when": "StopLogging", "do": { "evil": "trap" } }),
        ),
    ];
    let shelf = Arc::new(Shelf::default());
    objects(&shelf);
    let mut setup = Setup::new(Arc::clone(&shelf) as _, BUCKET).plugins(plugins);
    let mut servers = Vec::new();
    let cases: [(&str, Value, &[&str], [u64; 3]); 3] = [
        (
            "bucket",
            of_bucket,
            &["DeleteTrail", "GetObject"],
            [2, 1, 1],
        ),
        ("deletes", deletes, &["DeleteTrail"], [1, 1, 0]),
        ("trail", trail, &[], [0, 0, 1]),
    ];
    for (name, clauses, ..) in &cases {
        let server = Splunk::start().await;
        setup = setup
            .sink(name, sink(&server, &[Accept::Events]), &[Accept::Events])
            .matching(clauses.clone());
        servers.push(server);
    }
    let drained = setup.start().finish().await;
    drained.sums_agree();
    for ((name, _, arrived, counts), server) in cases.iter().zip(&servers) {
        assert_eq!(&names(server), arrived, "{name}");
        for event in server.received() {
            let event: Value = serde_json::from_str(&event.event).unwrap();
            let masked = event.pointer(bucket).unwrap().as_str().unwrap();
            assert!(masked.starts_with("<masked:name:"), "{masked}");
        }
        let counted = &drained.counted.sinks[*name];
        let [delivered, dropped, dead] = *counts;
        assert_eq!(
            (
                counted.delivered,
                counted.dropped,
                counted.dead_lettered.values().sum(),
            ),
            (delivered, dropped, dead),
            "{name}"
        );
    }
    let letters = drained.dead_letters().await;
    let causes: Vec<_> = letters.iter().map(|letter| letter.cause).collect();
    assert_eq!(causes, [Cause::RedactionFailed], "one for all sinks");
}

/// What is owed is what the sink takes when it is sent, not what it took when it was read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_clause_holds_for_what_is_pending_too() {
    let server = Splunk::start().await;
    server.fail_share(1.0, vec![Fault::Status(403)], 1);
    let setup = |shelf: &Arc<Shelf>, prefix: &str| {
        Setup::new(Arc::clone(shelf) as _, BUCKET)
            .sink("some", sink(&server, &[Accept::Events]), &[Accept::Events])
            .matching(json!([[{ "path": "/eventName", "starts_with": [prefix] }]]))
    };
    let shelf = Arc::new(Shelf::default());
    shelf.keep_open();
    objects(&shelf);
    let first = setup(&shelf, "Delete").start();
    first
        .until("the events are pending", |counted| {
            counted.sinks["some"].pending == 2 && counted.messages_deleted == 3
        })
        .await;
    let stored = first.drain().await;

    server.heal();
    let second = setup(&shelf, "DeleteT").left_by(stored).start();
    second.owes_nothing("some").await;
    let drained = second.drain().await;
    assert_eq!(names(&server), ["DeleteTrail"]);
    assert_eq!(drained.counted.sinks["some"].in_hand(), 0);
}
