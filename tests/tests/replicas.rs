//! Hosts that share a sink: each of them takes its part of the sink's rates.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use sluicegate_tests::{
    host::Setup,
    shelf::{BUCKET, Shelf, gzip},
};

/// Delivers 3,500 events, which are four requests at least, as one of so many hosts.
async fn time_of_one_of(replicas: u32) -> Duration {
    let shelf = Arc::new(Shelf::default());
    for number in 0..7 {
        let events = vec![r#"{"eventName":"GetObject"}"#; 500].join(",");
        shelf.put(
            &format!("object-{number}"),
            gzip(format!(r#"{{"Records":[{events}]}}"#)),
        );
    }
    let source: Arc<Shelf> = Arc::clone(&shelf);
    let begun = Instant::now();
    let drained = Setup::new(source, BUCKET)
        .settings(|settings| settings.replicas = replicas)
        .file()
        .start()
        .finish()
        .await;
    let time = begun.elapsed();
    drained.sums_agree();
    assert_eq!(drained.lines("events").len(), 3_500);
    time
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_a_thousand_hosts_sends_a_thousandth_of_the_requests() {
    // The sink is allowed 1,000 requests a second and as many at once.
    let alone = time_of_one_of(1).await;
    let part = time_of_one_of(1_000).await;
    eprintln!("alone {alone:?}, as one of a thousand {part:?}");
    assert!(part >= Duration::from_millis(2_900), "{part:?}");
    assert!(alone < part, "{alone:?}");
}
