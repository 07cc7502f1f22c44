//! Faults: the real program between AWS and its sinks, while everything that can go wrong does.
//!
//! Each scenario compares what was put with what every sink holds, by object and position. The short
//! set runs with the tests; `make faults` runs all and writes `docs/reliability.md`.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod backlog;
mod proxy;
mod report;
mod run;
mod scenario;
mod world;

use futures_util::StreamExt as _;
use sluicegate_tests::{aws::Aws, host::root};

use crate::{report::Row, scenario::Scenario};

/// Scenarios wait more than they work.
const AT_ONCE: usize = 12;

async fn run_all(scenarios: Vec<Scenario>) -> Vec<Row> {
    let aws = Aws::start().await;
    let aws = &aws;
    let runs = scenarios
        .into_iter()
        .enumerate()
        .map(|(number, scenario)| async move {
            let row = run::run(aws, &format!("faults-{number}"), &scenario).await;
            eprintln!("{row:?}");
            (number, row)
        });
    let mut rows: Vec<_> = futures_util::stream::iter(runs)
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    rows.sort_by_key(|(number, _)| *number);
    rows.into_iter().map(|(_, row)| row).collect()
}

fn assert_sound(rows: &[Row]) {
    let wrong: Vec<_> = rows.iter().filter(|row| !row.wrong.is_empty()).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_in_the_short_set() {
    let short: Vec<_> = scenario::table()
        .into_iter()
        .filter(|scenario| scenario.short)
        .collect();
    assert!(short.len() >= 8);
    assert_sound(&run_all(short).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes; `make faults` runs it"]
async fn nothing_is_lost_in_any_scenario() {
    let only = std::env::var("FAULTS_ONLY").unwrap_or_default();
    let all: Vec<_> = scenario::table()
        .into_iter()
        .filter(|scenario| scenario.name.contains(&only))
        .collect();
    let mut rows = run_all(all).await;
    if backlog::NAME.contains(&only) {
        rows.push(backlog::run().await);
    }
    if only.is_empty() {
        assert!(rows.len() >= 60);
        std::fs::write(root().join("docs/reliability.md"), report::page(&rows)).unwrap();
    }
    assert_sound(&rows);
}
