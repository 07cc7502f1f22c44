//! What an event costs, part by part: `make bench`.
//!
//! One thread takes the same objects through each part of the host, round after round. Every part is
//! compared with the floor of its own round: inflating with the fastest library and finding the
//! boundaries of the events, which no host can do without. It reports and asserts nothing.
//!
//! `cargo bench --bench cost -- Enrich Bare` measures these parts alone, for a profiler.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark may panic, and prints"
)]

mod corpus;
mod parts;
mod report;
mod rules;

use corpus::Corpus;
use parts::{PARTS, Parts};
use report::Round;

/// Rounds that count; one before them warms up.
const ROUNDS: usize = 7;

fn main() {
    let corpora = [Some(corpus::generated()), corpus::real()];
    let mut parts = Parts::new(&corpora.iter().flatten().collect::<Vec<_>>());
    let mut reports = Vec::new();
    for corpus in corpora.iter().flatten() {
        measure(&mut parts, corpus);
        let rounds: Vec<_> = (0..ROUNDS).map(|_| measure(&mut parts, corpus)).collect();
        let lines = report::lines(&rounds);
        print!("{}", report::table(corpus, &lines));
        reports.push(report::json(corpus, &lines));
    }
    let path = report::path();
    std::fs::write(&path, serde_json::to_vec_pretty(&reports).unwrap()).unwrap();
    println!("written to {}", path.display());
}

/// Nanoseconds that an event spends in each part, over the whole corpus; no number for a part that lacks
/// what it needs.
fn measure(parts: &mut Parts, corpus: &Corpus) -> Round {
    let mut wanted: Vec<String> = std::env::args().skip(1).collect();
    wanted.retain(|word| !word.starts_with("--"));
    Round(PARTS.map(|part| {
        let asked = wanted.is_empty() || wanted.contains(&format!("{part:?}"));
        if !parts.has(part) || !asked {
            return f64::NAN;
        }
        let spent: f64 = corpus
            .objects
            .iter()
            .map(|object| parts.run(part, object).as_secs_f64())
            .sum();
        #[allow(
            clippy::cast_precision_loss,
            reason = "far fewer events than a float counts"
        )]
        let events = corpus.events as f64;
        spent * 1e9 / events
    }))
}
