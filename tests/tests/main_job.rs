//! The main job on real events: from SQS and S3 through the plugins to all sinks.
//!
//! The events are read from `SLUICEGATE_CORPUS` (default `../shared/data`); without them these tests
//! say so and pass.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt::Write as _,
    io::Write as _,
    sync::Arc,
    time::Duration,
};

use serde_json::Value;
use sluicegate::{event::ObjectId, timestamp};
use sluicegate_tests::{
    aws::{Aws, Wired},
    host::{self, Setup, engine, plugins, root},
    servers::{Datadog, Fault, SecurityHub, Splunk},
};

const ACCOUNT: &str = "123456789012";
/// As CloudTrail delivers: a few large objects among many small ones.
const SIZES: [usize; 5] = [7, 120, 33, 1, 390];

fn corpus() -> Option<Vec<String>> {
    let path = host::corpus()?.join("invictus-aws-dataset/events.ndjson");
    let text = std::fs::read_to_string(path).unwrap();
    Some(text.lines().map(ToOwned::to_owned).collect())
}

/// What was put, and where.
struct Put {
    /// Events by the identity that the host gives them: object and position.
    events: HashMap<String, String>,
}

/// Writes the events as objects, which S3 announces on the queue.
async fn put(aws: &Aws, wired: &Wired, events: &[String]) -> Put {
    let mut put = Put {
        events: HashMap::new(),
    };
    let mut rest = events;
    for number in 0.. {
        if rest.is_empty() {
            break;
        }
        let (now, later) = rest.split_at(SIZES[number % SIZES.len()].min(rest.len()));
        rest = later;
        let key = format!(
            "AWSLogs/{ACCOUNT}/CloudTrail/us-east-1/2023/07/10/{ACCOUNT}_CloudTrail_us-east-1_20230710T{:02}{:02}Z_{number:016}.json.gz",
            number / 60,
            number % 60,
        );
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        write!(encoder, "{{\"Records\":[{}]}}", now.join(",")).unwrap();
        let body = encoder.finish().unwrap();
        let version = aws
            .put_object(&wired.bucket, &key, body)
            .await
            .expect("the bucket has versions");
        let id = ObjectId::of(&wired.bucket, &key, &version);
        for (index, event) in now.iter().enumerate() {
            put.events.insert(format!("{id}.{index}"), event.clone());
        }
    }
    put
}

/// An event as a sink got it: the identity in its `sluicegate` member, that member, and the rest.
fn taken_apart(event: &str) -> (String, Value, String) {
    let at = event
        .rfind(",\"sluicegate\":{\"id\":\"")
        .expect("every event has the member");
    let member = &event[at + ",\"sluicegate\":".len()..];
    let member = serde_json::Deserializer::from_str(member)
        .into_iter::<Value>()
        .next()
        .unwrap()
        .unwrap();
    let id = member["id"].as_str().unwrap().to_owned();
    (id, member, format!("{}}}", &event[..at]))
}

/// How often each event came, whatever it looks like.
fn counts<'a>(events: impl Iterator<Item = &'a str>) -> HashMap<String, usize> {
    let mut counts = HashMap::new();
    for event in events {
        *counts.entry(taken_apart(event).0).or_default() += 1;
    }
    counts
}

fn each_once<'a>(sink: &str, put: &Put, events: impl Iterator<Item = &'a str>) {
    let counts = counts(events);
    let missing = put
        .events
        .keys()
        .filter(|id| !counts.contains_key(*id))
        .count();
    let more: Vec<_> = counts.iter().filter(|(_, count)| **count > 1).collect();
    assert_eq!(
        (missing, more.len(), counts.len()),
        (0, 0, put.events.len()),
        "{sink}"
    );
}

fn none_missing<'a>(sink: &str, put: &Put, events: impl Iterator<Item = &'a str>) -> usize {
    let counts = counts(events);
    let missing: Vec<_> = put
        .events
        .keys()
        .filter(|id| !counts.contains_key(*id))
        .collect();
    assert!(
        missing.is_empty(),
        "{sink} misses {} events, such as {:?}",
        missing.len(),
        &missing[..3.min(missing.len())]
    );
    assert_eq!(
        counts.len(),
        put.events.len(),
        "{sink} got events that nobody put"
    );
    counts.values().map(|count| count - 1).sum()
}

/// Who made a call, as findings name it.
fn principal(event: &Value) -> String {
    let identity = &event["userIdentity"];
    let issuer = &identity["sessionContext"]["sessionIssuer"]["arn"];
    let session =
        identity["type"] == "AssumedRole" && issuer.as_str().is_some_and(|arn| !arn.is_empty());
    let all = [
        if session { issuer } else { &Value::Null },
        &identity["arn"],
        &identity["accountId"],
        &event["recipientAccountId"],
    ];
    all.iter()
        .find_map(|text| text.as_str().filter(|text| !text.is_empty()))
        .unwrap_or("unknown")
        .to_owned()
}

/// The rules that are judged here once more; the others have tables of their own.
const JUDGED: [&str; 9] = [
    "call-failed",
    "call-unauthorized",
    "cloudtrail-tampered",
    "cloudtrail-tampering-attempted",
    "console-login-without-mfa",
    "iam-administrator-attached",
    "iam-policy-changed",
    "root-used",
    "s3-bucket-deleted",
];

/// Detection rules once more, slow and simple, for events of this corpus.
fn expected_rules(event: &Value) -> Vec<&'static str> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (source, name, error) = (
        text(&event["eventSource"]),
        text(&event["eventName"]),
        text(&event["errorCode"]),
    );
    let failed = !error.is_empty();
    let mut rules = Vec::new();
    if failed {
        let denied = [
            "AccessDenied",
            "Unauthorized",
            "NotAuthorized",
            "AuthFailure",
            "Forbidden",
            "AuthorizationError",
        ];
        let denied = denied.iter().any(|word| error.contains(word));
        rules.push(if denied {
            "call-unauthorized"
        } else {
            "call-failed"
        });
    }
    let root = event["userIdentity"]["type"] == "Root";
    let service =
        !event["userIdentity"]["invokedBy"].is_null() || event["eventType"] == "AwsServiceEvent";
    let login = text(&event["responseElements"]["ConsoleLogin"]);
    if root && !service && login != "Failure" {
        rules.push("root-used");
    }
    let own = root || event["userIdentity"]["type"] == "IAMUser";
    if name == "ConsoleLogin"
        && login == "Success"
        && own
        && event["additionalEventData"]["MFAUsed"] == "No"
    {
        rules.push("console-login-without-mfa");
    }
    if source == "s3.amazonaws.com" && name == "DeleteBucket" && !failed {
        rules.push("s3-bucket-deleted");
    }
    let policy = name.contains("Polic") || name.contains("PermissionsBoundary");
    let reads = ["Get", "List", "Simulate", "Generate"]
        .iter()
        .any(|word| name.starts_with(word));
    if source == "iam.amazonaws.com" && policy && !reads && !failed && !name.contains("Password") {
        let admin =
            text(&event["requestParameters"]["policyArn"]).ends_with(":policy/AdministratorAccess");
        let attach = name.starts_with("Attach");
        rules.push(if admin && attach {
            "iam-administrator-attached"
        } else {
            "iam-policy-changed"
        });
    }
    let changes = [
        "StopLogging",
        "DeleteTrail",
        "UpdateTrail",
        "PutEventSelectors",
        "DeleteEventDataStore",
    ];
    if source == "cloudtrail.amazonaws.com" && changes.contains(&name.as_str()) {
        rules.push(if failed {
            "cloudtrail-tampering-attempted"
        } else {
            "cloudtrail-tampered"
        });
    }
    rules
}

type FindingKey = (String, String, String, i64);

/// Distinct events by rule, principal, region and hour.
fn expected_findings(events: &[String]) -> BTreeMap<FindingKey, u64> {
    let mut findings: BTreeMap<FindingKey, BTreeSet<String>> = BTreeMap::new();
    for event in events {
        let event: Value = serde_json::from_str(event).unwrap();
        let time = timestamp::parse_ms(event["eventTime"].as_str().unwrap().as_bytes()).unwrap();
        for rule in expected_rules(&event) {
            let region = event["awsRegion"].as_str().unwrap_or_default().to_owned();
            let key = (rule.to_owned(), principal(&event), region, time / 3_600_000);
            findings
                .entry(key)
                .or_default()
                .insert(event["eventID"].as_str().unwrap().to_owned());
        }
    }
    findings
        .into_iter()
        .map(|(key, events)| (key, events.len() as u64))
        .collect()
}

/// The same, from what the hub holds; findings of other plugins and rules apart.
fn hub_findings(hub: &SecurityHub) -> (BTreeMap<FindingKey, u64>, usize) {
    let mut findings = BTreeMap::new();
    let mut others = 0;
    for finding in hub.findings().values() {
        let fields = &finding["ProductFields"];
        let text = |name: &str| fields[name].as_str().unwrap_or_default().to_owned();
        let judged = JUDGED.contains(&text("sluicegate/rule").as_str());
        if text("sluicegate/plugin") != "detect-cloudtrail" || !judged {
            others += 1;
            continue;
        }
        let first = finding["FirstObservedAt"].as_str().unwrap();
        let hour = timestamp::parse_ms(first.as_bytes()).unwrap() / 3_600_000;
        let key = (
            text("sluicegate/rule"),
            text("sluicegate/entity"),
            text("sluicegate/region"),
            hour,
        );
        let count = text("sluicegate/count").parse().unwrap();
        assert_eq!(
            findings.insert(key.clone(), count),
            None,
            "two findings for {key:?}"
        );
    }
    (findings, others)
}

/// One line a mask: the event's line in the corpus, the path, the detector.
fn masked(events: &[String], put: &Put, received: &[&str]) -> String {
    let lines: HashMap<&str, usize> = events
        .iter()
        .enumerate()
        .map(|(line, event)| (event.as_str(), line + 1))
        .collect();
    let mut masked = BTreeSet::new();
    for event in received {
        let (id, member, rest) = taken_apart(event);
        let original = &put.events[&id];
        let masks = member["masked"].as_array().cloned().unwrap_or_default();
        if masks.is_empty() {
            assert_eq!(
                &rest, original,
                "an event that was not masked left as it came"
            );
            continue;
        }
        let (original_tree, mut tree): (Value, Value) = (
            serde_json::from_str(original).unwrap(),
            serde_json::from_str(&rest).unwrap(),
        );
        for mask in masks {
            let path = mask["path"].as_str().unwrap();
            let place = tree.pointer_mut(path).unwrap();
            assert!(
                place.as_str().unwrap().starts_with("<masked:"),
                "{path}: {place}"
            );
            *place = original_tree.pointer(path).unwrap().clone();
            masked.insert((
                lines[original.as_str()],
                path.to_owned(),
                mask["detector"].as_str().unwrap().to_owned(),
            ));
        }
        assert_eq!(
            tree, original_tree,
            "nothing but the masked leaves has changed"
        );
    }
    masked
        .into_iter()
        .fold(String::new(), |mut text, (line, path, detector)| {
            writeln!(text, "{line} {path} {detector}").unwrap();
            text
        })
}

fn golden(name: &str, actual: &str) {
    let path = root().join("tests/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, actual).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        actual,
        expected,
        "{}: set UPDATE_GOLDEN=1 to rewrite it",
        path.display()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_reaches_every_sink_once() {
    let Some(events) = corpus() else { return };
    let aws = Aws::start().await;
    let wired = aws.deploy().await;
    let put = put(&aws, &wired, &events).await;
    let (splunk, datadog, hub) = (
        Splunk::start().await,
        Datadog::start().await,
        SecurityHub::start().await,
    );
    let engine = engine();
    let source = Arc::new(aws.source(&wired).await);
    let host = Setup::new(source, &wired.bucket)
        .plugins(plugins(&engine))
        .splunk(&splunk)
        .datadog(&datadog)
        .security_hub(&hub)
        .file()
        .start();

    let all = events.len() as u64;
    host.until("all events have arrived", |counted| {
        ["splunk", "datadog", "file"]
            .iter()
            .all(|sink| counted.sinks[*sink].delivered >= all)
    })
    .await;
    aws.queue_is_empty(&wired.queue_url).await;
    let drained = host.drain().await;
    drained.sums_agree();
    assert!(drained.dead_letters().await.is_empty());

    let received = splunk.received();
    let sent: Vec<&str> = received
        .iter()
        .filter(|event| event.sourcetype.as_deref() == Some("aws:cloudtrail"))
        .map(|event| event.event.as_str())
        .collect();
    each_once("splunk", &put, sent.iter().copied());
    let logs = datadog.received();
    let texts: Vec<String> = logs
        .iter()
        .filter(|log| log.json()["ddsource"] == "cloudtrail")
        .map(|log| log.text.clone())
        .collect();
    each_once("datadog", &put, texts.iter().map(String::as_str));
    let lines = drained.lines("events");
    each_once("file", &put, lines.iter().map(String::as_str));

    let at_splunk = masked(&events, &put, &sent);
    assert_eq!(
        at_splunk,
        masked(
            &events,
            &put,
            &lines.iter().map(String::as_str).collect::<Vec<_>>()
        )
    );
    golden("invictus-masks.txt", &at_splunk);

    let (findings, _) = hub_findings(&hub);
    assert_eq!(findings, expected_findings(&events));
    for (sink, violations) in [
        ("splunk", splunk.violations()),
        ("datadog", datadog.violations()),
        ("hub", hub.violations()),
    ] {
        assert!(violations.is_empty(), "{sink}: {violations:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sinks_that_fail_at_random_lose_nothing() {
    let Some(events) = corpus() else { return };
    let aws = Aws::start().await;
    let wired = aws.deploy().await;
    let (splunk, datadog, hub) = (
        Splunk::start().await,
        Datadog::start().await,
        SecurityHub::start().await,
    );
    let faults = || {
        vec![
            Fault::Status(503),
            Fault::Reset,
            Fault::ResetAfter,
            Fault::Timeout,
        ]
    };
    splunk.fail_share(0.3, faults(), 1);
    datadog.fail_share(0.3, faults(), 2);
    hub.fail_share(0.3, faults(), 3);
    let put = put(&aws, &wired, &events).await;
    let engine = engine();
    let source = Arc::new(aws.source(&wired).await);
    let host = Setup::new(source, &wired.bucket)
        .plugins(plugins(&engine))
        .splunk(&splunk)
        .datadog(&datadog)
        .security_hub(&hub)
        .start();

    tokio::time::sleep(Duration::from_secs(8)).await;
    splunk.heal();
    datadog.heal();
    hub.heal();
    let all = events.len() as u64;
    host.until("all events have arrived", |counted| {
        ["splunk", "datadog"]
            .iter()
            .all(|sink| counted.sinks[*sink].delivered >= all)
    })
    .await;
    aws.queue_is_empty(&wired.queue_url).await;
    let drained = host.drain().await;
    drained.sums_agree();
    assert!(drained.dead_letters().await.is_empty());

    let received = splunk.received();
    let at_splunk = received
        .iter()
        .filter(|event| event.sourcetype.as_deref() == Some("aws:cloudtrail"));
    let twice_at_splunk = none_missing("splunk", &put, at_splunk.map(|event| event.event.as_str()));
    let logs = datadog.received();
    let texts: Vec<String> = logs
        .iter()
        .filter(|log| log.json()["ddsource"] == "cloudtrail")
        .map(|log| log.text.clone())
        .collect();
    let twice_at_datadog = none_missing("datadog", &put, texts.iter().map(String::as_str));
    // Only a request that was accepted without an answer, or whose answer came too late, is sent again.
    let retries: u64 = drained
        .counted
        .sinks
        .values()
        .map(|sink| sink.retries)
        .sum();
    assert!(retries > 0, "the faults were met");
    eprintln!(
        "duplicates: splunk {twice_at_splunk}, datadog {twice_at_datadog}; requests sent again: {retries}"
    );
    assert_eq!(hub_findings(&hub).0, expected_findings(&events));
}
