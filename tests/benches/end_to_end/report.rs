//! From what was measured to what is told.

use std::{fmt::Write as _, path::PathBuf, time::Duration};

use serde_json::json;

/// A run at full load.
pub(crate) struct Run {
    pub(crate) messages: usize,
    pub(crate) events: usize,
    /// Bytes of all events.
    pub(crate) inflated: usize,
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
}

impl Run {
    #[allow(clippy::cast_precision_loss, reason = "far fewer than a float counts")]
    pub(crate) fn messages_a_second(&self) -> f64 {
        self.messages as f64 / self.wall.as_secs_f64()
    }
}

/// What came of a case.
pub(crate) struct Result {
    pub(crate) name: &'static str,
    pub(crate) run: Run,
    pub(crate) peak_kb: u64,
    /// From announcement to deletion, at half load.
    pub(crate) latencies: Vec<Duration>,
}

struct Figures {
    messages_a_second: f64,
    events_a_second: f64,
    megabytes_a_second: f64,
    cpu_ns_an_event: f64,
    cpu_seconds_a_gigabyte: f64,
    p50_ms: f64,
    p99_ms: f64,
}

impl Result {
    #[allow(clippy::cast_precision_loss, reason = "far fewer than a float counts")]
    fn figures(&self) -> Figures {
        let (events, bytes) = (self.run.events as f64, self.run.inflated as f64);
        let (wall, cpu) = (self.run.wall.as_secs_f64(), self.run.cpu.as_secs_f64());
        let mut latencies = self.latencies.clone();
        latencies.sort_unstable();
        let at = |share: f64| {
            let last = (latencies.len() - 1) as f64;
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a position"
            )]
            let position = (last * share).round() as usize;
            latencies[position].as_secs_f64() * 1e3
        };
        Figures {
            messages_a_second: self.run.messages_a_second(),
            events_a_second: events / wall,
            megabytes_a_second: bytes / wall / 1e6,
            cpu_ns_an_event: cpu / events * 1e9,
            cpu_seconds_a_gigabyte: cpu / bytes * 1e9,
            p50_ms: at(0.5),
            p99_ms: at(0.99),
        }
    }

    /// One line of the table.
    pub(crate) fn line(&self) -> String {
        let of = self.figures();
        format!(
            "| {} | {:.0} | {:.0} | {:.0} | {:.0} | {:.2} | {:.0} | {:.0} | {:.0} |",
            self.name,
            of.messages_a_second,
            of.events_a_second,
            of.megabytes_a_second,
            of.cpu_ns_an_event,
            of.cpu_seconds_a_gigabyte,
            self.peak_kb / 1024,
            of.p50_ms,
            of.p99_ms,
        )
    }
}

pub(crate) fn table(results: &[Result]) -> String {
    let mut text = "| case | objects/s | events/s | MB/s | CPU ns an event | CPU s a GB | peak MiB | p50 ms | p99 ms |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n"
        .to_owned();
    for result in results {
        writeln!(text, "{}", result.line()).unwrap();
    }
    text
}

pub(crate) fn json(results: &[Result]) -> String {
    let rows: Vec<_> = results
        .iter()
        .map(|result| {
            let of = result.figures();
            json!({
                "case": result.name,
                "objects_per_s": of.messages_a_second,
                "events_per_s": of.events_a_second,
                "inflated_mb_per_s": of.megabytes_a_second,
                "cpu_ns_per_event": of.cpu_ns_an_event,
                "cpu_s_per_gb": of.cpu_seconds_a_gigabyte,
                "peak_kb": result.peak_kb,
                "p50_ms": of.p50_ms,
                "p99_ms": of.p99_ms,
            })
        })
        .collect();
    serde_json::to_string_pretty(&rows).unwrap()
}

/// `end_to_end.json` in the target folder.
pub(crate) fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).with_file_name("end_to_end.json")
}
