//! Ten thousand messages that were there before the host.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use sluicegate_tests::{
    process::Program,
    servers::Splunk,
    shelf::gzip,
    stand_in::{ACCOUNT, StandIn},
};

use crate::{report::Row, run::peak_memory_kb, world::Process};

pub(crate) const NAME: &str = "10,000 messages of backlog";
const MESSAGES: usize = 10_000;
/// Of each object.
const EVENTS: usize = 2;
/// What waits, waits in the queue: of the order that rows of a few messages have.
const MOST_KB: u64 = 96 << 10;
const PATIENCE: Duration = Duration::from_mins(10);

pub(crate) async fn run() -> Row {
    let (aws, splunk) = (StandIn::start().await, Splunk::start().await);
    for number in 0..MESSAGES {
        let key = format!(
            "AWSLogs/{ACCOUNT}/CloudTrail/eu-west-1/2026/11/22/{ACCOUNT}_CloudTrail_eu-west-1_20261122T{:02}{:02}Z_{number:016}.json.gz",
            number / 60 % 24,
            number % 60,
        );
        let events: Vec<_> = (0..EVENTS).map(|index| event(number, index)).collect();
        let body = gzip(format!("{{\"Records\":[{}]}}", events.join(",")));
        aws.put(&key, body);
        aws.announce(&key);
    }
    let program = Program::new(|folder| {
        let token = folder.join("token");
        std::fs::write(&token, splunk.token()).unwrap();
        format!(
            "{}[limits]\nworkers = 1\nmessages = 64\n[sinks.splunk]\ntype = \"splunk_hec\"\nendpoint = \"{}\"\ntoken_file = \"{}\"\n",
            aws.source(),
            splunk.url(),
            token.display(),
        )
    });
    let mut hosts = [Process::start(program)];
    let began = Instant::now();
    let in_time = tokio::time::timeout(PATIENCE, aws.deleted(MESSAGES)).await;
    let peak_kb = peak_memory_kb(&hosts);
    let mut row = Row {
        name: NAME.to_owned(),
        put: MESSAGES * EVENTS,
        not_settled: u32::try_from(aws.waiting()).unwrap(),
        seconds: began.elapsed().as_secs_f64(),
        peak_kb,
        ..Row::default()
    };
    if in_time.is_err() {
        row.wrong.push("not settled in time".to_owned());
    }
    if !hosts[0].terminate().await {
        row.wrong
            .push("did not end within 30 s of SIGTERM".to_owned());
    }
    let mut held: HashMap<String, usize> = HashMap::new();
    for received in splunk.received() {
        let event: serde_json::Value = serde_json::from_str(&received.event).unwrap();
        let id = event["eventID"].as_str().unwrap_or_default();
        *held.entry(id.to_owned()).or_default() += 1;
    }
    row.delivered = held.len();
    row.lost = row.put.saturating_sub(held.len());
    row.duplicated = held.values().map(|times| times - 1).sum();
    if row.lost > 0 || row.duplicated > 0 {
        row.wrong
            .push(format!("{} lost, {} duplicated", row.lost, row.duplicated));
    }
    if peak_kb > MOST_KB {
        row.wrong.push(format!(
            "{peak_kb} kB of memory, at most {MOST_KB} expected"
        ));
    }
    if !row.wrong.is_empty() {
        row.wrong.push(hosts[0].last_words());
    }
    eprintln!("{row:?}");
    row
}

fn event(object: usize, index: usize) -> String {
    format!(
        r#"{{"eventVersion":"1.08","eventTime":"2026-11-22T10:00:00Z","eventSource":"s3.amazonaws.com","eventName":"DeleteBucket","eventID":"{object:08x}-0000-4000-8000-{index:012x}","awsRegion":"eu-west-1","userIdentity":{{"type":"IAMUser","accountId":"{ACCOUNT}"}},"recipientAccountId":"{ACCOUNT}"}}"#
    )
}
