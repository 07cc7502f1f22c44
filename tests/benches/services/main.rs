//! What counting and looking up cost: `make bench`.
//!
//! Processor time of one thread, so that a busy machine does not count; the store lies in a file, as it
//! does in a host. It reports and asserts nothing.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark may panic, and prints"
)]

use std::{
    fmt::Write as _,
    hint::black_box,
    time::{Duration, Instant},
};

use cpu_time::ThreadTime;
use sluicegate::{
    ledger::windows::{
        EventMark, MAX_ENTRIES_OF_KEY, Namespace, Observation, SqliteWindows, Windows,
    },
    lookup::Table,
};

/// Rounds, of which the median counts; one before them warms up.
const ROUNDS: usize = 7;

fn main() {
    println!("| counting | ns an observation |");
    println!("| --- | --- |");
    for (what, keys, in_one_call) in [
        ("a key of its own, 1 in a call", 1_000_000, 1),
        ("a key of its own, 100 in a call", 1_000_000, 100),
        ("a key of its own, 1,000 in a call", 1_000_000, 1_000),
        ("50 keys in turn, 100 in a call", 50, 100),
        ("one key, 100 in a call", 1, 100),
    ] {
        println!("| {what} | {} |", counting(keys, in_one_call));
    }
    println!("| delivered again, 100 in a call | {} |", again());
    println!(
        "| a full key, all of it in the window, 1 in a call | {} |",
        full(1)
    );
    println!(
        "| a full key, all of it in the window, 100 in a call | {} |",
        full(100)
    );
    println!("| 16 full keys, each once in a call | {} |", full_keys(16));
    println!();
    println!("| looking up | ns a key |");
    println!("| --- | --- |");
    println!("| exact, 100,000 rows | {} |", exact());
    println!("| network, 100,000 rows | {} |", networks());
}

/// The median over rounds, of each of which `round` tells the time and how many it did.
fn median(mut round: impl FnMut(usize) -> (Duration, usize)) -> u128 {
    let mut rounds: Vec<u128> = (0..=ROUNDS)
        .map(|number| {
            let (spent, count) = round(number);
            spent.as_nanos() / count as u128
        })
        .skip(1)
        .collect();
    rounds.sort_unstable();
    rounds[ROUNDS / 2]
}

/// A store in a file of its own.
struct Store {
    windows: SqliteWindows,
    _folder: tempfile::TempDir,
}

impl Store {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            windows: SqliteWindows::open(&folder.path().join("windows")).unwrap(),
            _folder: folder,
        }
    }

    fn observe(&self, observations: &[Observation]) -> Duration {
        let namespace = Namespace {
            plugin: "bench",
            keys: u64::MAX,
            entries: u64::MAX,
        };
        let deadline = Instant::now() + Duration::from_mins(10);
        let start = ThreadTime::now();
        black_box(
            self.windows
                .observe(&namespace, observations, deadline)
                .unwrap(),
        );
        start.elapsed()
    }
}

/// The observation with this number; one a second, over ten minutes.
fn observation(number: usize, keys: usize) -> Observation {
    let hash = sluicegate::digest::sha256(&[&number.to_be_bytes()]);
    Observation {
        event: EventMark {
            identity: hash[..16].try_into().unwrap(),
            time_ms: i64::try_from(number).unwrap() * 1_000,
        },
        key: format!("arn:aws:iam::123456789012:user/{}", number % keys),
        member: format!("192.0.2.{}", number % 7),
        value: 1.0,
        window_s: 600,
    }
}

fn counting(keys: usize, in_one_call: usize) -> u128 {
    let store = Store::new();
    let in_one_round = in_one_call.max(1_000);
    median(|round| {
        let from = round * in_one_round;
        let all: Vec<_> = (from..from + in_one_round)
            .map(|number| observation(number, keys))
            .collect();
        let spent = all
            .chunks(in_one_call)
            .map(|call| store.observe(call))
            .sum();
        (spent, in_one_round)
    })
}

fn again() -> u128 {
    let store = Store::new();
    let all: Vec<_> = (0..1_000).map(|number| observation(number, 50)).collect();
    median(|_| {
        let spent = all.chunks(100).map(|call| store.observe(call)).sum();
        (spent, all.len())
    })
}

fn full(in_one_call: usize) -> u128 {
    let store = Store::new();
    let of_key = |number: usize| Observation {
        window_s: 86_400,
        ..observation(number, 1)
    };
    let fill: Vec<_> = (0..MAX_ENTRIES_OF_KEY as usize).map(of_key).collect();
    for call in fill.chunks(1_000) {
        store.observe(call);
    }
    median(|round| {
        let from = fill.len() + round * 200;
        let all: Vec<_> = (from..from + 200).map(of_key).collect();
        let spent = all
            .chunks(in_one_call)
            .map(|call| store.observe(call))
            .sum();
        (spent, all.len())
    })
}

/// As many principals at once as a busy account has that fill their windows.
fn full_keys(keys: usize) -> u128 {
    let store = Store::new();
    let of_key = |number: usize| Observation {
        window_s: 86_400,
        ..observation(number, keys)
    };
    let fill: Vec<_> = (0..MAX_ENTRIES_OF_KEY as usize * keys)
        .map(of_key)
        .collect();
    for call in fill.chunks(1_000) {
        store.observe(call);
    }
    median(|round| {
        let from = fill.len() + round * 10 * keys;
        let all: Vec<_> = (from..from + 10 * keys).map(of_key).collect();
        let spent = all.chunks(keys).map(|call| store.observe(call)).sum();
        (spent, all.len())
    })
}

const ROWS: usize = 100_000;

fn exact() -> u128 {
    let mut csv = "account,team\n".to_owned();
    for number in 0..ROWS {
        writeln!(csv, "{number:012},team-{}", number % 100).unwrap();
    }
    let table = load(&csv, "account", "exact");
    looked_up(&table, "team", |number| format!("{number:012}"))
}

fn networks() -> u128 {
    let mut csv = "network,zone\n".to_owned();
    for number in 0..ROWS {
        writeln!(
            csv,
            "10.{}.{}.{}/28,zone",
            number >> 12,
            number >> 4 & 255,
            (number & 15) * 16
        )
        .unwrap();
    }
    let table = load(&csv, "network", "network");
    looked_up(&table, "zone", |number| {
        format!(
            "10.{}.{}.{}",
            number >> 12,
            number >> 4 & 255,
            (number & 15) * 16 + 3
        )
    })
}

fn load(csv: &str, key: &str, matches: &str) -> Table {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("table.csv");
    std::fs::write(&path, csv).unwrap();
    let settings =
        serde_json::json!({ "path": path, "format": "csv", "key": key, "match": matches });
    Table::load(&serde_json::from_value(settings).unwrap()).unwrap()
}

fn looked_up(table: &Table, field: &str, key: impl Fn(usize) -> String) -> u128 {
    let mut random = fastrand::Rng::with_seed(7);
    let keys: Vec<String> = (0..10_000).map(|_| key(random.usize(..ROWS))).collect();
    median(|_| {
        let start = ThreadTime::now();
        for key in &keys {
            black_box(table.get(field, key).unwrap());
        }
        (start.elapsed(), keys.len())
    })
}
