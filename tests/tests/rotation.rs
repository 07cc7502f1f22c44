//! Several collectors of one Splunk: they take turns, and what one does not take the others get.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};
use sluicegate::sink::{SendError, Sink as _, splunk_hec::SplunkHec};
use sluicegate_tests::{
    aws::{Aws, Wired},
    batches::batch,
    process::{Program, source},
    servers::{Fault, Splunk},
    shelf::gzip,
};

/// An address where nobody listens.
async fn closed() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

fn sink(addresses: &[String], token: &str) -> SplunkHec {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), token).unwrap();
    let settings =
        json!({ "endpoints": addresses, "token_file": file.path(), "request_timeout_ms": 2000 });
    SplunkHec::new(&serde_json::from_value(settings).unwrap()).unwrap()
}

async fn send(sink: &SplunkHec, event: &str) -> Result<(), SendError> {
    sink.send(&batch(sink, &[event])).await.map(|_| ())
}

#[tokio::test]
async fn all_collectors_take_turns() {
    let servers = [
        Splunk::start().await,
        Splunk::start().await,
        Splunk::start().await,
    ];
    let sink = sink(&servers.each_ref().map(Splunk::url), servers[0].token());
    for number in 0..9 {
        send(&sink, &json!({ "number": number }).to_string())
            .await
            .unwrap();
    }
    for server in &servers {
        assert_eq!(server.received().len(), 3);
    }
    let checked = sink.check().await.unwrap();
    assert!(checked.ends_with("take the token") && checked.contains(&servers[2].url()));
}

#[tokio::test]
async fn the_others_get_the_share_of_one_that_is_gone_and_it_comes_back() {
    let (first, second) = (Splunk::start().await, Splunk::start().await);
    let sink = sink(&[first.url(), closed().await, second.url()], first.token());
    let mut failed = 0;
    for number in 0..12 {
        let event = json!({ "number": number }).to_string();
        while let Err(error) = send(&sink, &event).await {
            assert!(matches!(error, SendError::Unavailable(_)), "{error}");
            failed += 1;
        }
    }
    // It rests for a second or more after its one failure, and the twelve take less.
    assert!((1..=2).contains(&failed), "{failed}");
    assert_eq!(first.received().len() + second.received().len(), 12);
    assert!(first.received().len().abs_diff(second.received().len()) <= 2);

    second.fail_with([Fault::Status(503)]);
    let mut failed = 0;
    for number in 0..4 {
        let event = json!({ "number": number }).to_string();
        failed += usize::from(send(&sink, &event).await.is_err());
    }
    assert_eq!(failed, 1);
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    let before = second.received().len();
    for number in 0..4 {
        // Those that look after the closed one's health may fail once more.
        let _ = send(&sink, &json!({ "number": number }).to_string()).await;
    }
    assert!(
        second.received().len() > before,
        "it answers, and takes its turns again"
    );
    assert_eq!(second.violations(), [""; 0]);
    let problem = sink.check().await.unwrap_err().to_string();
    assert!(problem.contains("failed at http://127.0.0.1:"), "{problem}");
}

#[tokio::test]
async fn one_that_refuses_the_token_does_not_hold_the_sink_and_all_do() {
    let (first, second) = (Splunk::start().await, Splunk::start().await);
    let sink = sink(&[first.url(), second.url()], first.token());
    second.enable_token(false);
    for number in 0..6 {
        let event = json!({ "number": number }).to_string();
        match send(&sink, &event).await {
            Ok(()) => {}
            Err(SendError::Unavailable(error)) => {
                assert!(format!("{error:#}").contains("disabled"), "{error:#}");
                send(&sink, &event).await.unwrap();
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(first.received().len(), 6);
    first.enable_token(false);
    assert!(matches!(
        send(&sink, "{}").await,
        Err(SendError::Misconfigured(_))
    ));
}

const EVENTS: usize = 5;
const OBJECTS: usize = 40;

fn program(aws: &Aws, wired: &Wired, servers: &[Splunk]) -> Program {
    Program::new(|folder| {
        let token = folder.join("token");
        std::fs::write(&token, servers[0].token()).unwrap();
        let addresses: Vec<String> = servers.iter().map(Splunk::url).collect();
        format!(
            "{}\n\
             [sinks.splunk]\ntype = \"splunk_hec\"\nendpoints = {addresses:?}\ntoken_file = \"{}\"\n\
             acknowledgement = true\nacknowledgement_timeout_s = 20\n\
             [sinks.splunk.delivery]\nretry_initial_ms = 50\nmax_events = 10\n",
            source(aws, wired),
            token.display(),
        )
    })
}

async fn put(aws: &Aws, wired: &Wired, number: usize) {
    let events: Vec<_> = (0..EVENTS)
        .map(|event| json!({ "eventID": format!("{number}-{event}") }).to_string())
        .collect();
    let key = format!(
        "AWSLogs/123456789012/CloudTrail/eu-west-1/2026/11/22/123456789012_CloudTrail_eu-west-1_20261122T1000Z_{number:016}.json.gz"
    );
    let object = gzip(format!(r#"{{"Records":[{}]}}"#, events.join(",")));
    aws.put_object(&wired.bucket, &key, object).await;
}

/// The whole host with indexer acknowledgement: two collectors, each with two indexers behind a balancer,
/// one of which fails for a while.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_host_with_acknowledgement_loses_nothing_when_a_collector_fails() {
    let aws = Aws::start().await;
    let wired = aws.wire("sqs", "rotation").await;
    let servers = [Splunk::start().await, Splunk::start().await];
    for server in &servers {
        server.acknowledge(2, 1);
    }
    let program = program(&aws, &wired, &servers);
    let running = program.start();
    for number in 0..OBJECTS {
        match number {
            10 => servers[1].fail_share(1.0, vec![Fault::Status(503)], 1),
            30 => servers[1].heal(),
            _ => {}
        }
        put(&aws, &wired, number).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    aws.queue_is_empty(&wired.queue_url).await;
    let output = running.terminate().await;
    let log = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{log}");

    let received: Vec<String> = servers
        .iter()
        .flat_map(Splunk::received)
        .map(|event| {
            let event: Value = serde_json::from_str(&event.event).unwrap();
            event["eventID"].as_str().unwrap().to_owned()
        })
        .collect();
    let distinct: BTreeSet<&String> = received.iter().collect();
    assert_eq!(distinct.len(), OBJECTS * EVENTS, "{log}");
    // A failing collector that answers 503 took nothing; what was in flight then may come twice.
    assert!(
        received.len() <= OBJECTS * EVENTS + 4 * 10,
        "{}",
        received.len()
    );
    for server in &servers {
        assert!(!server.received().is_empty() && server.questions() > 0);
        assert_eq!(server.violations(), [""; 0]);
    }
    assert!(
        log.contains("collector fails; the others get its share"),
        "{log}"
    );
}
