//! From what was measured to what is told: lines of a table, and the same as JSON.

use std::{fmt::Write as _, path::PathBuf};

use serde_json::{Value, json};

use crate::{
    corpus::Corpus,
    parts::{PARTS, Part},
};

/// The floor on the machine on which budgets in nanoseconds were set.
const FLOOR_NS: f64 = 1330.0;

/// Nanoseconds an event of every part, in one round.
pub(crate) struct Round(pub(crate) [f64; PARTS.len()]);

impl Round {
    fn of(&self, part: Part) -> f64 {
        self.0[part as usize]
    }

    fn floor(&self) -> f64 {
        self.of(Part::InflateWhole) + self.of(Part::Boundaries)
    }

    /// What a chain of plugins adds to one without.
    fn plugin(&self, part: Part) -> f64 {
        self.of(part) - self.of(Part::Bare)
    }

    /// Without the SHA-256 that decoding includes, which has a line of its own.
    fn unhashed(&self, part: Part) -> f64 {
        self.of(part) - self.of(Part::Hash)
    }
}

/// What a line may be at most.
enum Budget {
    None,
    /// So many times the floor.
    Floor(f64),
    /// So many nanoseconds where the floor is [`FLOOR_NS`].
    Ns(f64),
    /// So many times inflating in steps and finding boundaries.
    Steps(f64),
}

/// One line of the table: medians over the rounds.
pub(crate) struct Line {
    name: &'static str,
    ns: f64,
    /// Times the floor of the same round.
    floors: f64,
    /// The budget, in times the floor.
    budget: Option<f64>,
}

type Cost = fn(&Round) -> f64;

const LINES: [(&str, Cost, Budget); 29] = [
    (
        "floor: inflate whole, find boundaries",
        Round::floor,
        Budget::None,
    ),
    (
        "  inflate whole (libdeflate)",
        |r| r.of(Part::InflateWhole),
        Budget::None,
    ),
    (
        "  find boundaries (memchr)",
        |r| r.of(Part::Boundaries),
        Budget::None,
    ),
    (
        "inflate in 64 KiB steps (zlib-rs)",
        |r| r.of(Part::InflateSteps),
        Budget::None,
    ),
    ("SHA-256", |r| r.of(Part::Hash), Budget::None),
    (
        "inflate, split, validate",
        |r| r.unhashed(Part::Decode),
        Budget::None,
    ),
    (
        "  split, validate",
        |r| r.unhashed(Part::Decode) - r.of(Part::InflateSteps),
        Budget::None,
    ),
    (
        "columns of 12 fields",
        |r| r.of(Part::Columns),
        Budget::None,
    ),
    (
        "inflate, split, validate, 12 columns",
        columns,
        Budget::Floor(1.6),
    ),
    (
        "  the same, by the streaming floor",
        columns,
        Budget::Steps(1.3),
    ),
    ("chain without plugins", |r| r.of(Part::Bare), Budget::None),
    (
        "empty plugin, matches none",
        |r| r.plugin(Part::EmptyNone),
        Budget::Ns(15.0),
    ),
    (
        "empty plugin, matches all, 1 field",
        |r| r.plugin(Part::EmptyAll),
        Budget::Ns(150.0),
    ),
    (
        "empty plugin, matches all, 12 fields",
        |r| r.plugin(Part::EmptyTwelve),
        Budget::None,
    ),
    (
        "enrich-context",
        |r| r.plugin(Part::Enrich),
        Budget::Ns(400.0),
    ),
    (
        "detect-cloudtrail",
        |r| r.plugin(Part::Detect),
        Budget::Ns(600.0),
    ),
    (
        "redaction-check",
        |r| r.plugin(Part::Redact),
        Budget::Ns(2000.0),
    ),
    (
        "detect-sigma, published rules",
        |r| r.plugin(Part::SigmaPublished),
        Budget::Ns(1500.0),
    ),
    (
        "detect-sigma, 1,000 rules",
        |r| r.plugin(Part::SigmaThousand),
        Budget::Ns(1875.0),
    ),
    ("all three plugins", |r| r.plugin(Part::Three), Budget::None),
    (
        "encode for HEC, untouched",
        |r| r.of(Part::EncodeBare),
        Budget::Floor(0.5),
    ),
    (
        "encode in OCSF for HEC, untouched",
        |r| r.of(Part::EncodeOcsf),
        Budget::Floor(5.0),
    ),
    (
        "encode for HEC, after three plugins",
        |r| r.of(Part::EncodeThree),
        Budget::None,
    ),
    (
        "egress guard, one sink",
        |r| r.of(Part::Guard),
        Budget::Ns(700.0),
    ),
    (
        "gzip of the output, level 1",
        |r| r.of(Part::Compress),
        Budget::None,
    ),
    (
        "object to HEC, no plugins",
        |r| r.unhashed(Part::WholeBare),
        Budget::Floor(2.5),
    ),
    (
        "object to HEC, no plugins, SHA-256",
        |r| r.of(Part::WholeBare),
        Budget::None,
    ),
    (
        "object to HEC, three plugins, guard",
        |r| r.unhashed(Part::WholeThree),
        Budget::Floor(6.0),
    ),
    (
        "  the same with SHA-256",
        |r| r.of(Part::WholeThree),
        Budget::None,
    ),
];

fn columns(round: &Round) -> f64 {
    round.unhashed(Part::Decode) + round.of(Part::Columns)
}

/// The lines of some rounds.
pub(crate) fn lines(rounds: &[Round]) -> Vec<Line> {
    let median = |of: &dyn Fn(&Round) -> f64| {
        let mut values: Vec<_> = rounds.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    LINES
        .iter()
        .filter(|(_, cost, _)| !median(cost).is_nan())
        .map(|(name, cost, budget)| Line {
            name,
            ns: median(cost),
            floors: median(&|round| cost(round) / round.floor()),
            budget: match budget {
                Budget::None => None,
                Budget::Floor(times) => Some(*times),
                Budget::Ns(ns) => Some(ns / FLOOR_NS),
                Budget::Steps(times) => Some(
                    times
                        * median(&|round| {
                            (round.of(Part::InflateSteps) + round.of(Part::Boundaries))
                                / round.floor()
                        }),
                ),
            },
        })
        .collect()
}

#[allow(
    clippy::cast_precision_loss,
    reason = "sizes far below what a float counts"
)]
fn mean(bytes: usize, corpus: &Corpus) -> f64 {
    bytes as f64 / corpus.events as f64
}

/// Events of a second.
fn per_second(ns: f64) -> f64 {
    1e9 / ns
}

/// Megabytes of a second, inflated.
fn megabytes(ns: f64, corpus: &Corpus) -> f64 {
    mean(corpus.inflated(), corpus) * 1e3 / ns
}

pub(crate) fn table(corpus: &Corpus, lines: &[Line]) -> String {
    let mut out = format!(
        "{} events in {} objects, {:.0} bytes an event, {:.0} stored ({})\n{:<38} {:>9} {:>11} {:>8} {:>8} {:>8}\n",
        corpus.events,
        corpus.objects.len(),
        mean(corpus.inflated(), corpus),
        mean(corpus.stored(), corpus),
        corpus.name,
        "",
        "ns/event",
        "events/s",
        "MB/s",
        "x floor",
        "budget",
    );
    for line in lines {
        let budget = line.budget.map_or(String::new(), |budget| {
            let over = if line.floors > budget { " over" } else { "" };
            format!("{budget:.2}{over}")
        });
        writeln!(
            out,
            "{:<38} {:>9.0} {:>11.0} {:>8.0} {:>8.3} {budget:>8}",
            line.name,
            line.ns,
            per_second(line.ns),
            megabytes(line.ns, corpus),
            line.floors,
        )
        .unwrap();
    }
    out.push('\n');
    out
}

pub(crate) fn json(corpus: &Corpus, lines: &[Line]) -> Value {
    let rows: Vec<_> = lines
        .iter()
        .map(|line| {
            json!({
                "part": line.name.trim(),
                "ns_per_event": line.ns,
                "events_per_s": per_second(line.ns),
                "inflated_mb_per_s": megabytes(line.ns, corpus),
                "times_floor": line.floors,
                "budget_times_floor": line.budget,
            })
        })
        .collect();
    json!({
        "corpus": corpus.name,
        "events": corpus.events,
        "objects": corpus.objects.len(),
        "inflated_bytes": corpus.inflated(),
        "stored_bytes": corpus.stored(),
        "rows": rows,
    })
}

/// `bench.json` in the target folder.
pub(crate) fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).with_file_name("bench.json")
}
