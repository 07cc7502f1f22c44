//! What the whole program does: `cargo bench --bench end_to_end`, part of `make bench`.
//!
//! The real binary, a release build, on one core receives from S3 and SQS in memory and delivers to a
//! collector that accepts and counts; those run on the other core. For every case it tells events and
//! bytes a second, processor time, the most memory, and from runs at half that load the time from the
//! announcement of an object to the deletion of its message. It reports and asserts nothing.
//!
//! `cargo bench --bench end_to_end -- "no plugin"` runs the cases whose names have this in them.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark may panic, and prints"
)]

mod case;
mod collector;
mod process;
mod report;

use std::{
    process::Command,
    time::{Duration, Instant},
};

use bytes::Bytes;
use case::{Case, Load};
use collector::Collector;
use process::Host;
use report::Result;
use sluicegate_tests::stand_in::StandIn;

/// The core of the host, and that of everything else.
const CORE: &str = "0";
const OTHER_CORE: &str = "1";
/// How long a collector takes to answer where latency is measured.
const ANSWER: Duration = Duration::from_millis(20);
/// How long the run at half load takes.
const HALF_LOAD: Duration = Duration::from_secs(8);

fn main() {
    // Before there are threads, so that all have it.
    let own = std::process::id().to_string();
    let pinned = Command::new("taskset")
        .args(["-cp", OTHER_CORE, &own])
        .output();
    assert!(pinned.unwrap().status.success(), "taskset pins a process");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let wanted: Vec<_> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with("--"))
        .collect();
    let mut results = Vec::new();
    for case in case::all() {
        if wanted.is_empty() || wanted.iter().any(|word| case.name.contains(word.as_str())) {
            let result = runtime.block_on(measure(&case));
            println!("{}", result.line());
            results.push(result);
        }
    }
    println!("\n{}", report::table(&results));
    let path = report::path();
    std::fs::write(&path, report::json(&results)).unwrap();
    println!("written to {}", path.display());
}

async fn measure(case: &Case) -> Result {
    let load = case.load.make();
    let (full, peak_kb) = at_full_load(case, &load).await;
    let half = full.messages_a_second() / 2.0;
    let latencies = at(case, &load, half).await;
    Result {
        name: case.name,
        run: full,
        peak_kb,
        latencies,
    }
}

/// Everything waits when the host begins.
async fn at_full_load(case: &Case, load: &Load) -> (report::Run, u64) {
    let (aws, collector) = (
        StandIn::start().await,
        Collector::start(Duration::ZERO).await,
    );
    put(&aws, load);
    let host = Host::start(case, &aws, &collector);
    // What is compiled and filled once is not what is measured.
    aws.announce(&key(0));
    aws.deleted(1).await;
    let (began, cpu) = (Instant::now(), host.cpu());
    for number in 1..=load.messages {
        aws.announce(&key(number));
    }
    aws.deleted(1 + load.messages).await;
    let run = report::Run {
        messages: load.messages,
        events: load.messages * load.events,
        inflated: load.messages * load.inflated,
        wall: began.elapsed(),
        cpu: host.cpu().saturating_sub(cpu),
    };
    let peak = host.peak_kb();
    let forwarded = host.end().await;
    assert_eq!(
        forwarded,
        (1 + load.messages) * load.events,
        "of {}",
        case.name
    );
    assert!(collector.bytes() > 0);
    (run, peak)
}

/// Announcements at an even pace; what comes of it are the times from each to its deletion.
async fn at(case: &Case, load: &Load, messages_a_second: f64) -> Vec<Duration> {
    let (aws, collector) = (StandIn::start().await, Collector::start(ANSWER).await);
    put(&aws, load);
    let host = Host::start(case, &aws, &collector);
    aws.announce(&key(0));
    aws.deleted(1).await;
    let interval = Duration::from_secs_f64(1.0 / messages_a_second);
    let began = Instant::now();
    let mut sent = 0;
    while began.elapsed() < HALF_LOAD {
        let due = 1 + began.elapsed().as_nanos() / interval.as_nanos();
        while (sent as u128) < due {
            sent += 1;
            aws.announce(&key(sent % (1 + load.messages)));
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let in_time = tokio::time::timeout(Duration::from_secs(30), aws.deleted(1 + sent)).await;
    assert!(in_time.is_ok(), "{} keeps up with half its load", case.name);
    host.end().await;
    aws.latencies().split_off(1)
}

fn put(aws: &StandIn, load: &Load) {
    for number in 0..=load.messages {
        let bodies: &[Bytes] = &load.objects;
        aws.put(&key(number), bodies[number % bodies.len()].clone());
    }
}

fn key(number: usize) -> String {
    let account = sluicegate_tests::stand_in::ACCOUNT;
    format!(
        "AWSLogs/{account}/CloudTrail/eu-west-1/2026/11/22/{account}_CloudTrail_eu-west-1_20261122T{:02}{:02}Z_{number:016}.json.gz",
        number / 60 % 24,
        number % 60,
    )
}
