//! Draining: what is not started is handed back at once, what is started gets the grace period.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    path::Path,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use sluicegate_tests::{
    aws::{Aws, Depth, Wired},
    host::Setup,
    process::{Program, binary, source},
    servers::{Fault, Splunk},
    shelf::{BUCKET, OpenFault, Shelf, gzip},
};

const RECORDS: &str = r#"{"Records":[{"eventTime":"2026-11-22T10:00:00Z","eventName":"A"}]}"#;

#[tokio::test]
async fn a_message_that_is_not_started_is_handed_back_at_once() {
    let shelf = Arc::new(Shelf::default());
    shelf.put("done", gzip(RECORDS));
    shelf.put("stuck", gzip(RECORDS));
    shelf.fail("stuck", [OpenFault::Stuck]);
    let source: Arc<Shelf> = Arc::clone(&shelf);
    let host = Setup::new(source, BUCKET).file().start();
    host.until("one event has arrived", |counted| {
        counted.messages_deleted == 1
    })
    .await;
    let began = Instant::now();
    let drained = host.drain().await;
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "nobody waited for the grace period"
    );
    assert_eq!(shelf.settled(), (1, 1));
    assert_eq!(drained.lines("events").len(), 1);
}

fn program(aws: &Aws, wired: &Wired, sink: impl FnOnce(&Path) -> String) -> Program {
    Program::new(|folder| {
        format!(
            "{}\n{}\n[limits]\ngrace_s = 2\n",
            source(aws, wired),
            sink(folder)
        )
    })
}

async fn put(aws: &Aws, wired: &Wired, objects: usize) {
    for number in 0..objects {
        let key = format!(
            "AWSLogs/123456789012/CloudTrail/eu-west-1/2026/11/22/123456789012_CloudTrail_eu-west-1_20261122T10{number:02}Z_{number:016}.json.gz"
        );
        aws.put_object(&wired.bucket, &key, gzip(RECORDS)).await;
    }
}

async fn until(what: &str, done: impl AsyncFn() -> bool) {
    for _ in 0..600 {
        if done().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("waited in vain until {what}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_ends_the_program_with_everything_delivered() {
    let aws = Aws::start().await;
    let wired = aws.wire("sqs", "drain").await;
    put(&aws, &wired, 20).await;
    let program = program(&aws, &wired, |folder| {
        format!(
            "[sinks.archive]\ntype = \"file\"\ndirectory = \"{}/out\"",
            folder.display()
        )
    });
    let running = program.start();
    let lines = || {
        std::fs::read_to_string(program.folder().join("out/events.ndjson"))
            .unwrap_or_default()
            .lines()
            .count()
    };
    until("all events have arrived", async || lines() >= 20).await;
    aws.queue_is_empty(&wired.queue_url).await;
    let output = running.terminate().await;
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(lines(), 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_grace_period_does_not_suffice_for_is_released() {
    let aws = Aws::start().await;
    let wired = aws.wire("sqs", "grace").await;
    let splunk = Splunk::start().await;
    splunk.fail_share(1.0, vec![Fault::Timeout], 1);
    put(&aws, &wired, 5).await;
    let program = program(&aws, &wired, |folder| {
        let token = folder.join("token");
        std::fs::write(&token, splunk.token()).unwrap();
        format!(
            "[sinks.splunk]\ntype = \"splunk_hec\"\nendpoint = \"{}\"\ntoken_file = \"{}\"",
            splunk.url(),
            token.display(),
        )
    });
    let running = program.start();
    until("the sink was asked", async || splunk.requests() > 0).await;
    let output = running.terminate().await;
    assert_eq!(
        output.status.code(),
        Some(1),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    // S3's own test message is one more, unless it was settled before.
    until("all messages are visible again", async || {
        let Depth { visible, in_flight } = aws.depth(&wired.queue_url).await;
        visible >= 5 && in_flight == 0
    })
    .await;
}

#[test]
fn a_wrong_configuration_ends_with_64_and_names_every_problem() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wrong.toml");
    std::fs::write(
        &path,
        "[source]\ntype = \"directory\"\npth = \"x\"\n[limits]\nmessages = 0\n",
    )
    .unwrap();
    for arguments in [["run", "--config"], ["check", "--config"]] {
        let output = Command::new(binary())
            .args(arguments)
            .arg(&path)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(64));
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        for part in ["pth", "source.path", "limits.messages", "sinks"] {
            assert!(said.contains(part), "{part} in {said}");
        }
    }
}
