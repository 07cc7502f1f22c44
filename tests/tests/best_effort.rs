//! A required sink beside a best-effort one that takes nothing: nobody waits for that one, what it loses is counted
//! and told, and it gets what is new when it is back.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use serde_json::Value;
use sluicegate_tests::{
    aws::{Aws, Wired},
    process::{Program, source},
    servers::{Datadog, Fault, Splunk},
    shelf::gzip,
};

const EVENTS: usize = 5;

fn program(aws: &Aws, wired: &Wired, splunk: &Splunk, datadog: &Datadog) -> Program {
    Program::new(|folder| {
        let (token, key) = (folder.join("token"), folder.join("key"));
        std::fs::write(&token, splunk.token()).unwrap();
        std::fs::write(&key, datadog.token()).unwrap();
        format!(
            "{}\n\
             [sinks.splunk]\ntype = \"splunk_hec\"\nendpoint = \"{}\"\ntoken_file = \"{}\"\n\
             [sinks.splunk.delivery]\nlinger_ms = 50\n\
             [sinks.datadog]\ntype = \"datadog_logs\"\nendpoint = \"{}\"\napi_key_file = \"{}\"\n\
             [sinks.datadog.delivery]\nguarantee = \"best-effort\"\nlinger_ms = 50\nhold_after_s = 1\n\
             probe_interval_s = 1\nretry_initial_ms = 50\nqueue_parcels = 1000\n",
            source(aws, wired),
            splunk.url(),
            token.display(),
            datadog.url(),
            key.display(),
        )
    })
}

async fn put(aws: &Aws, wired: &Wired, number: usize) {
    let now = time::OffsetDateTime::now_utc();
    let format =
        time::macros::format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
    let time = now.format(&format).unwrap();
    let events: Vec<_> = (0..EVENTS)
        .map(|event| format!(r#"{{"eventTime":"{time}","eventID":"{number}-{event}"}}"#))
        .collect();
    let key = format!(
        "AWSLogs/123456789012/CloudTrail/eu-west-1/2026/11/22/123456789012_CloudTrail_eu-west-1_20261122T1000Z_{number:016}.json.gz"
    );
    let object = gzip(format!(r#"{{"Records":[{}]}}"#, events.join(",")));
    aws.put_object(&wired.bucket, &key, object).await;
}

/// Puts objects, the first under this number, until something is so; returns how many there are then.
async fn put_until(aws: &Aws, wired: &Wired, first: usize, done: impl Fn() -> bool) -> usize {
    for number in first..first + 200 {
        if number >= first + 4 && done() {
            return number;
        }
        put(aws, wired, number).await;
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    panic!("waited in vain, with {first} objects before");
}

/// The lines of the log, by what they say.
fn lines(log: &str, message: &str) -> Vec<Value> {
    let lines = log.lines().map(|line| serde_json::from_str(line).unwrap());
    lines
        .filter(|line: &Value| line["message"].as_str().unwrap().starts_with(message))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_for_a_best_effort_sink_and_what_it_loses_is_told() {
    let aws = Aws::start().await;
    let wired = aws.wire("sqs", "best-effort").await;
    let (splunk, datadog) = (Splunk::start().await, Datadog::start().await);
    // Its key was revoked: the first request already is given up, and is not tried again.
    datadog.fail_share(1.0, vec![Fault::Status(403)], 1);
    let program = program(&aws, &wired, &splunk, &datadog);
    let running = program.start();
    // Two requests may be in flight: at the third the first has been answered.
    let before = put_until(&aws, &wired, 0, || datadog.requests() >= 3).await;
    splunk.wait_for(before * EVENTS).await;
    aws.queue_is_empty(&wired.queue_url).await;
    assert!(datadog.received().is_empty());

    datadog.heal();
    let objects = put_until(&aws, &wired, before, || !datadog.received().is_empty()).await;
    let all = objects * EVENTS;
    let at_splunk = splunk.wait_for(all).await.len();
    aws.queue_is_empty(&wired.queue_url).await;
    let (code, pending, _) = program
        .run(&["dead-letters", "list", "--pending", "datadog"])
        .await;
    assert_eq!((code, pending.as_str()), (0, ""));
    let (code, dead, _) = program.run(&["dead-letters", "list"]).await;
    assert_eq!((code, dead.as_str()), (0, ""));

    let output = running.terminate().await;
    let log = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{log}");
    assert_eq!(at_splunk, all, "nothing comes twice");
    let counted = |sink: &str| {
        let of_all = lines(&log, "sink drained");
        of_all
            .into_iter()
            .find(|line| line["sink"] == sink)
            .unwrap()
    };
    let number =
        |counted: &Value, name: &str| usize::try_from(counted[name].as_u64().unwrap()).unwrap();
    let (required, best_effort) = (counted("splunk"), counted("datadog"));
    assert_eq!(number(&required, "delivered"), all);
    let delivered = datadog.received().len();
    assert!(delivered > 0);
    assert_eq!(number(&best_effort, "received"), all);
    assert_eq!(number(&best_effort, "delivered"), delivered);
    assert_eq!(number(&best_effort, "given_up"), all - delivered);
    let begun = lines(&log, "best-effort sink does not get everything");
    let over = lines(&log, "best-effort sink did not get everything");
    assert_eq!((begun.len(), over.len()), (1, 1), "{log}");
    assert_eq!(number(&over[0], "events"), all - delivered);
}
