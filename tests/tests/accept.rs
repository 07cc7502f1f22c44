//! What each sink takes: events, those with findings, Insight events, and of them those that match a clause.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;

use serde_json::{Value, json};
use sluicegate::sink::{Accept, splunk_hec::SplunkHec};
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

/// What became of the events at a sink.
#[derive(Debug, PartialEq)]
struct Fates {
    delivered: u64,
    dropped: u64,
    dead_lettered: u64,
}

/// Runs a host with one plugin and a sink for each of these clauses. What arrives there, and what becomes of it.
async fn beside(plugin: (&str, Value), clauses: &[(&'static str, Value)]) -> Vec<(Splunk, Fates)> {
    let plugin = component(&engine(), "guests", plugin.0, &plugin.1);
    let shelf = Arc::new(Shelf::default());
    objects(&shelf);
    let mut setup = Setup::new(Arc::clone(&shelf) as _, BUCKET).plugins(vec![plugin]);
    let mut servers = Vec::new();
    for (name, clauses) in clauses {
        let server = Splunk::start().await;
        setup = setup
            .sink(name, sink(&server, &[Accept::Events]), &[Accept::Events])
            .matching(clauses.clone());
        servers.push(server);
    }
    let drained = setup.start().finish().await;
    drained.sums_agree();
    let of = |(server, (name, _)): (Splunk, &(&str, Value))| {
        let counted = &drained.counted.sinks[*name];
        let fates = Fates {
            delivered: counted.delivered,
            dropped: counted.dropped,
            dead_lettered: counted.dead_lettered.values().sum(),
        };
        (server, fates)
    };
    servers.into_iter().zip(clauses).map(of).collect()
}

const PLACE: &str = "/requestParameters/bucketName";

fn of_bucket() -> (&'static str, Value) {
    ("bucket", json!([[{ "path": PLACE, "one_of": ["b"] }]]))
}

fn of_deletes() -> (&'static str, Value) {
    let clauses = json!([[{ "path": "/eventName", "starts_with": ["Delete"] }]]);
    ("deletes", clauses)
}

fn fates(delivered: u64, dropped: u64, dead_lettered: u64) -> Fates {
    Fates {
        delivered,
        dropped,
        dead_lettered,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clause_looks_at_what_was_there_before_it_was_masked() {
    let mask = json!({ "do": { "good": { "mask": { "path": PLACE, "detector": "name" } } } });
    let came = beside(("hostile-redact", mask), &[of_bucket()]).await;
    let (server, fate) = &came[0];
    assert_eq!(*fate, fates(4, 0, 0));
    for event in server.received() {
        let event: Value = serde_json::from_str(&event.event).unwrap();
        let masked = event.pointer(PLACE).unwrap().as_str().unwrap();
        assert!(masked.starts_with("<masked:name:"), "{masked}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drop_is_one_at_the_sinks_that_would_have_taken_the_event() {
    let drop = json!({ "events": ["StopLogging"], "do": { "good": "drop" } });
    let came = beside(("hostile-filter", drop), &[of_bucket(), of_deletes()]).await;
    assert_eq!(
        names(&came[0].0),
        ["DeleteBucket", "DeleteTrail", "GetObject"]
    );
    assert_eq!(came[0].1, fates(3, 1, 0));
    assert_eq!(came[1].1, fates(2, 0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_withheld_is_so_from_the_sinks_that_would_have_taken_it() {
    let trap = json!({ "when": "StopLogging", "do": { "evil": "trap" } });
    let came = beside(("hostile-redact", trap), &[of_bucket(), of_deletes()]).await;
    assert_eq!(
        names(&came[0].0),
        ["DeleteBucket", "DeleteTrail", "GetObject"]
    );
    assert_eq!(came[0].1, fates(3, 0, 1));
    assert_eq!(came[1].1, fates(2, 0, 0));
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
