//! What the pipeline does with objects whose bytes are in memory already, to the moment that each is settled:
//! `cargo bench --bench in_memory`, part of `make bench`.
//!
//! The library with its ledger on disk, without S3, SQS and any network: the sink encodes for Splunk and takes
//! everything. For objects of five events it tells objects a second; for busy ones what a second worker
//! costs. Two workers share the machine's cores, and hyperthreads share what is in a core, so that they are
//! held against two processes of one worker each that run at the same time: what is left is what workers
//! of one pipeline cost each other. It reports and asserts nothing.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark may panic, and prints"
)]

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Instant,
};

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sluicegate::{
    effects::EventView,
    finding::Finding,
    generate::{Plan, write_tree},
    sink::{Accept, Batch, Limits, Refused, SendError, Sink, Unencodable, splunk_hec::SplunkHec},
};
use sluicegate_tests::{
    host::{Setup, engine, plugins},
    parts::collector,
    process::cpu,
    shelf::{BUCKET, Shelf},
};

/// What a process that measures is told, as JSON.
const ORDER: &str = "SLUICEGATE_BENCH_ORDER";

#[derive(Clone, Copy, Serialize, Deserialize)]
struct Order {
    events: usize,
    objects: usize,
    workers: usize,
    with_plugins: bool,
}

#[derive(Serialize, Deserialize)]
struct Measured {
    wall_s: f64,
    cpu_s: f64,
    objects: usize,
    events: usize,
}

impl Measured {
    #[allow(clippy::cast_precision_loss, reason = "far fewer than a float counts")]
    fn objects_a_second(&self) -> f64 {
        self.objects as f64 / self.wall_s
    }

    #[allow(clippy::cast_precision_loss, reason = "far fewer than a float counts")]
    fn cpu_ns_an_event(&self) -> f64 {
        self.cpu_s / self.events as f64 * 1e9
    }
}

const SMALL: Order = Order {
    events: 5,
    objects: 20_000,
    workers: 1,
    with_plugins: false,
};
const BUSY: Order = Order {
    events: 1_600,
    objects: 150,
    workers: 1,
    with_plugins: false,
};

fn main() {
    if let Ok(order) = std::env::var(ORDER) {
        let measured = measure(serde_json::from_str(&order).unwrap());
        println!("{}", serde_json::to_string(&measured).unwrap());
        return;
    }
    let mut rows = Vec::new();
    println!(
        "| objects of 5 events, one core | objects/s | CPU ns an event |\n| --- | ---: | ---: |"
    );
    for (name, with_plugins) in [("no plugin", false), ("three plugins", true)] {
        let order = Order {
            with_plugins,
            ..SMALL
        };
        let measured = result(start(order, "0"));
        let (objects, cpu) = (measured.objects_a_second(), measured.cpu_ns_an_event());
        println!("| {name} | {objects:.0} | {cpu:.0} |");
        rows.push(json!({ "case": format!("objects of 5 events, {name}"), "objects_per_s": objects, "cpu_ns_per_event": cpu }));
    }
    println!(
        "\n| objects of 1,600 events | one worker, CPU ns an event | twice one worker, each | two workers | ratio |\n\
         | --- | ---: | ---: | ---: | ---: |"
    );
    for (name, with_plugins) in [("no plugin", false), ("three plugins", true)] {
        let one = Order {
            with_plugins,
            ..BUSY
        };
        let two = Order {
            workers: 2,
            objects: 2 * BUSY.objects,
            ..one
        };
        let alone = result(start(one, "0")).cpu_ns_an_event();
        // In turn, and the median, so that an hour's mood falls on both.
        let mut pairs: Vec<(f64, f64)> = (0..5)
            .map(|_| {
                let apart = [start(one, "0"), start(one, "1")];
                let apart = apart.map(|child| result(child).cpu_ns_an_event());
                let together = result(start(two, "0,1")).cpu_ns_an_event();
                (f64::midpoint(apart[0], apart[1]), together)
            })
            .collect();
        pairs.sort_by(|a, b| (a.1 / a.0).total_cmp(&(b.1 / b.0)));
        let (apart, together) = pairs[pairs.len() / 2];
        let ratio = together / apart;
        println!("| {name} | {alone:.0} | {apart:.0} | {together:.0} | {ratio:.3} |");
        rows.push(json!({
            "case": format!("two workers, {name}"), "one_cpu_ns_per_event": alone,
            "twice_one_cpu_ns_per_event": apart, "two_cpu_ns_per_event": together, "ratio": ratio,
        }));
    }
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).with_file_name("in_memory.json");
    std::fs::write(&path, serde_json::to_string_pretty(&rows).unwrap()).unwrap();
    println!("\nwritten to {}", path.display());
}

/// A process of its own on these cores.
fn start(order: Order, cores: &str) -> Child {
    Command::new("taskset")
        .args(["-c", cores])
        .arg(std::env::current_exe().unwrap())
        .env(ORDER, serde_json::to_string(&order).unwrap())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn result(child: Child) -> Measured {
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "a process that measures");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn measure(order: Order) -> Measured {
    let (object, events) = made(order.events);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(order.workers)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let shelf = Arc::new(Shelf::default());
        shelf.keep_open();
        let mut setup = Setup::new(Arc::clone(&shelf) as _, BUCKET)
            .settings(|settings| settings.workers = order.workers)
            .sink(
                "discard",
                Arc::new(Discard(collector("original"))),
                &Accept::events_and_findings(),
            );
        if order.with_plugins {
            setup = setup.plugins(plugins(&engine()));
        }
        let host = setup.start();
        // What is compiled and filled once is not what is measured.
        for number in 0..100 {
            shelf.put(&key(number), object.clone());
        }
        host.until("it is warm", |_| shelf.settled().0 == 100).await;
        let (began, before) = (Instant::now(), cpu(std::process::id()));
        for number in 100..100 + order.objects {
            shelf.put(&key(number), object.clone());
        }
        shelf.close();
        host.finish().await;
        let wall = began.elapsed();
        let cpu = cpu(std::process::id()).saturating_sub(before);
        assert_eq!(shelf.settled(), (100 + order.objects, 0));
        Measured {
            wall_s: wall.as_secs_f64(),
            cpu_s: cpu.as_secs_f64(),
            objects: order.objects,
            events: order.objects * events,
        }
    })
}

/// An object with about so many events, and how many it has.
fn made(events: usize) -> (Bytes, usize) {
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan {
        objects: 4,
        events_per_object: events,
        companions: false,
        attacks: 0,
        secrets: 0,
        ..Plan::default()
    };
    let truth = write_tree(folder.path(), &plan).unwrap();
    let made = truth.objects.iter();
    let made = made.min_by_key(|made| made.events.abs_diff(events as u64));
    let made = made.unwrap();
    let bytes = std::fs::read(folder.path().join(&made.key)).unwrap();
    (bytes.into(), made.events.try_into().unwrap())
}

fn key(number: usize) -> String {
    format!(
        "AWSLogs/123456789012/CloudTrail/eu-west-1/2026/03/01/123456789012_CloudTrail_eu-west-1_20260301T1000Z_{number:016}.json.gz"
    )
}

/// A collector that takes everything at once.
struct Discard(SplunkHec);

#[async_trait]
impl Sink for Discard {
    fn limits(&self) -> Limits {
        self.0.limits()
    }

    fn encode_event(&self, event: &EventView<'_>, out: &mut Vec<u8>) -> Result<(), Unencodable> {
        self.0.encode_event(event, out)
    }

    fn encode_finding(&self, finding: &Finding, out: &mut Vec<u8>) -> Result<(), Unencodable> {
        self.0.encode_finding(finding, out)
    }

    async fn send(&self, _: &Batch) -> Result<Vec<Refused>, SendError> {
        Ok(Vec::new())
    }

    async fn check(&self) -> anyhow::Result<String> {
        Ok("takes everything".into())
    }
}
