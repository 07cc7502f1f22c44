//! What one plugin may use up.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::Problems;

/// Rows that [`Limits::deadline_ms`] is meant for.
const DEADLINE_ROWS: u64 = 1_000;

/// Bytes of column data that [`Limits::deadline_ms`] is meant for.
const DEADLINE_BYTES: u64 = 1 << 20;

/// A batch gets at least one such part of the deadline, however small it is.
const DEADLINE_FLOOR: u32 = 5;

/// What one instance of a plugin may use up. Whatever goes past a limit fails that batch of that plugin
/// and nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Time for a batch of 1,000 rows or 1 MiB of column data, in milliseconds; more gets more and less
    /// gets less, in proportion, but a fifth at least. Only time in which the plugin really runs is
    /// counted, in steps of a tenth of the shortest deadline of all plugins. Default 50, range 10 to
    /// 60,000.
    pub deadline_ms: u64,
    /// Time for an instance to start and to take its configuration, in milliseconds. Default 2,000, range
    /// 10 to 60,000.
    pub start_ms: u64,
    /// Linear memory of one instance, in bytes. Default 67,108,864 (64 MiB), range 1 MiB to 2 GiB.
    pub memory_bytes: usize,
    /// Elements in all tables of one instance (what calls through pointers need). Default 20,000, range
    /// 100 to 1,000,000.
    pub table_elements: usize,
    /// What one call may hand back, in bytes, the host's own bookkeeping included. Default 4,194,304
    /// (4 MiB), range 64 KiB to 64 MiB.
    pub output_bytes: usize,
    /// Findings of one batch. Default 4,000, range 1 to 100,000.
    pub findings: usize,
    /// Log lines of one batch; more are counted, not shown. Default 100, range 0 to 10,000.
    pub log_lines: u32,
    /// Time for one call that counts or remembers, in milliseconds, after which the answer is
    /// `unavailable`; all such calls of one batch get four times as much. Default 50, range 1 to 60,000.
    pub state_ms: u64,
    /// Keys under which the plugin counts, over all workers. Default 100,000, range 1 to 10,000,000.
    pub state_keys: u64,
    /// Entries under all those keys. Default 1,000,000, range 1 to 100,000,000.
    pub state_entries: u64,
    /// Observations of one batch, and keys that it remembers. Default 10,000, range 1 to 1,000,000.
    pub state_operations: u32,
    /// Keys that are looked up in tables for one batch. Default 20,000, range 1 to 1,000,000.
    pub lookup_keys: u32,
    /// An instance is replaced after at least so many batches. Default 10,000, range 1 to 10,000,000.
    pub recycle_batches_min: u64,
    /// And after so many at the latest; each instance draws its own number, so that not all are replaced
    /// at once. Default 20,000, range `recycle_batches_min` to 10,000,000.
    pub recycle_batches_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            deadline_ms: 50,
            start_ms: 2_000,
            memory_bytes: 64 << 20,
            table_elements: 20_000,
            output_bytes: 4 << 20,
            findings: 4_000,
            log_lines: 100,
            state_ms: 50,
            state_keys: 100_000,
            state_entries: 1_000_000,
            state_operations: 10_000,
            lookup_keys: 20_000,
            recycle_batches_min: 10_000,
            recycle_batches_max: 20_000,
        }
    }
}

impl Limits {
    /// Reports every value that is out of range. `at` is the section, `plugins.<name>.limits`.
    pub fn validate(&self, at: &str, problems: &mut Problems) {
        problems.range(&format!("{at}.deadline_ms"), self.deadline_ms, 10..=60_000);
        problems.range(&format!("{at}.start_ms"), self.start_ms, 10..=60_000);
        problems.range(
            &format!("{at}.memory_bytes"),
            self.memory_bytes,
            1 << 20..=2 << 30,
        );
        problems.range(
            &format!("{at}.table_elements"),
            self.table_elements,
            100..=1_000_000,
        );
        problems.range(
            &format!("{at}.output_bytes"),
            self.output_bytes,
            64 << 10..=64 << 20,
        );
        problems.range(&format!("{at}.findings"), self.findings, 1..=100_000);
        problems.range(&format!("{at}.log_lines"), self.log_lines, 0..=10_000);
        self.validate_services(at, problems);
        problems.range(
            &format!("{at}.recycle_batches_min"),
            self.recycle_batches_min,
            1..=10_000_000,
        );
        let min = self.recycle_batches_min.min(10_000_000);
        problems.range(
            &format!("{at}.recycle_batches_max"),
            self.recycle_batches_max,
            min..=10_000_000,
        );
    }

    fn validate_services(&self, at: &str, problems: &mut Problems) {
        problems.range(&format!("{at}.state_ms"), self.state_ms, 1..=60_000);
        problems.range(&format!("{at}.state_keys"), self.state_keys, 1..=10_000_000);
        problems.range(
            &format!("{at}.state_entries"),
            self.state_entries,
            1..=100_000_000,
        );
        for (key, value) in [
            ("state_operations", self.state_operations),
            ("lookup_keys", self.lookup_keys),
        ] {
            problems.range(&format!("{at}.{key}"), value, 1..=1_000_000);
        }
    }

    /// Time for one call that counts or remembers.
    pub(super) fn state_time(&self) -> Duration {
        Duration::from_millis(self.state_ms)
    }

    /// The deadline as it stands.
    pub(super) fn deadline(&self) -> Duration {
        Duration::from_millis(self.deadline_ms)
    }

    /// Time for instantiation and configuration.
    pub(super) fn start(&self) -> Duration {
        Duration::from_millis(self.start_ms)
    }

    /// Time for a batch of this many rows and bytes of column data.
    pub(super) fn allowed(&self, rows: u64, bytes: u64) -> Duration {
        let whole = self.deadline().as_micros().try_into().unwrap_or(u64::MAX);
        let by_rows = whole.saturating_mul(rows) / DEADLINE_ROWS;
        let by_bytes = whole.saturating_mul(bytes) / DEADLINE_BYTES;
        Duration::from_micros(by_rows.max(by_bytes)).max(self.deadline() / DEADLINE_FLOOR)
    }

    /// After how many batches an instance that starts now is replaced.
    pub(super) fn recycle_after(&self) -> u64 {
        let max = self.recycle_batches_max.max(self.recycle_batches_min);
        fastrand::u64(self.recycle_batches_min..=max)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn problems(change: impl FnOnce(&mut Limits)) -> Vec<String> {
        let mut limits = Limits::default();
        change(&mut limits);
        let mut problems = Problems::default();
        limits.validate("plugins.p.limits", &mut problems);
        problems.lines().to_vec()
    }

    #[test]
    fn the_defaults_are_in_range() {
        assert_eq!(problems(|_| ()), Vec::<String>::new());
    }

    #[test]
    fn every_value_out_of_range_is_named() {
        let found = problems(|limits| {
            limits.deadline_ms = 9;
            limits.findings = 0;
            limits.state_ms = 0;
            limits.state_keys = 0;
            limits.state_entries = 100_000_001;
            limits.state_operations = 0;
            limits.lookup_keys = 1_000_001;
            limits.recycle_batches_max = limits.recycle_batches_min - 1;
        });
        assert_eq!(
            found,
            [
                "plugins.p.limits.deadline_ms must be between 10 and 60000, got 9",
                "plugins.p.limits.findings must be between 1 and 100000, got 0",
                "plugins.p.limits.state_ms must be between 1 and 60000, got 0",
                "plugins.p.limits.state_keys must be between 1 and 10000000, got 0",
                "plugins.p.limits.state_entries must be between 1 and 100000000, got 100000001",
                "plugins.p.limits.state_operations must be between 1 and 1000000, got 0",
                "plugins.p.limits.lookup_keys must be between 1 and 1000000, got 1000001",
                "plugins.p.limits.recycle_batches_max must be between 10000 and 10000000, got 9999",
            ]
        );
    }

    #[test]
    fn a_key_that_does_not_exist_is_an_error() {
        assert!(serde_json::from_str::<Limits>(r#"{"deadline": 5}"#).is_err());
        assert_eq!(
            serde_json::from_str::<Limits>("{}").unwrap(),
            Limits::default()
        );
    }

    #[test]
    fn time_grows_with_rows_or_bytes_and_never_goes_below_a_fifth() {
        let limits = Limits::default();
        let ms = Duration::from_millis;
        assert_eq!(limits.allowed(1_000, 0), ms(50));
        assert_eq!(limits.allowed(500, 0), ms(25));
        assert_eq!(limits.allowed(1, 2 << 20), ms(100));
        assert_eq!(limits.allowed(1, 10), ms(10));
    }

    #[test]
    fn instances_draw_their_end_from_the_range() {
        let limits = Limits {
            recycle_batches_min: 3,
            recycle_batches_max: 5,
            ..Limits::default()
        };
        assert!((0..100).all(|_| (3..=5).contains(&limits.recycle_after())));
    }
}
