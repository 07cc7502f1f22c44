//! What plugins use up, counted for their authors.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

use wasmtime::Store;

use super::guest::Guest;

/// What calls of `process` used up together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Calls that came back.
    pub calls: u64,
    /// Events that they were about.
    pub rows: u64,
    /// Time in them, with what crosses into and out of the sandbox.
    pub time: Duration,
    /// WebAssembly instructions that they executed, as the engine counts them; 0 where it does not.
    pub fuel: u64,
}

impl Usage {
    /// What was used since `before`.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self {
            calls: self.calls - before.calls,
            rows: self.rows - before.rows,
            time: self.time.saturating_sub(before.time),
            fuel: self.fuel - before.fuel,
        }
    }

    /// Fuel for each event, rounded up; nothing where no event reached the plugin.
    #[must_use]
    pub fn fuel_per_event(self) -> Option<u64> {
        (self.rows > 0).then(|| self.fuel.div_ceil(self.rows))
    }
}

/// The counters of an engine.
#[derive(Debug)]
pub(super) struct Meters {
    fuel_counts: bool,
    calls: AtomicU64,
    rows: AtomicU64,
    nanos: AtomicU64,
    fuel: AtomicU64,
}

/// A call under way.
pub(super) struct Started(Instant);

impl Meters {
    pub(super) fn new(fuel_counts: bool) -> Self {
        Self {
            fuel_counts,
            calls: AtomicU64::new(0),
            rows: AtomicU64::new(0),
            nanos: AtomicU64::new(0),
            fuel: AtomicU64::new(0),
        }
    }

    pub(super) fn usage(&self) -> Usage {
        Usage {
            calls: self.calls.load(Relaxed),
            rows: self.rows.load(Relaxed),
            time: Duration::from_nanos(self.nanos.load(Relaxed)),
            fuel: self.fuel.load(Relaxed),
        }
    }

    /// Before the guest is entered, for whatever reason: what is never filled up stops it.
    pub(super) fn fill(&self, store: &mut Store<Guest>) -> Started {
        if self.fuel_counts {
            store
                .set_fuel(u64::MAX)
                .expect("the engine was set up to count fuel");
        }
        Started(Instant::now())
    }

    /// After a batch.
    pub(super) fn add(&self, started: &Started, rows: u32, store: &Store<Guest>) {
        let nanos = started.0.elapsed().as_nanos();
        self.nanos
            .fetch_add(nanos.try_into().unwrap_or(u64::MAX), Relaxed);
        self.calls.fetch_add(1, Relaxed);
        self.rows.fetch_add(rows.into(), Relaxed);
        if self.fuel_counts {
            let left = store
                .get_fuel()
                .expect("the engine was set up to count fuel");
            self.fuel.fetch_add(u64::MAX - left, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fuel_is_told_for_each_event_and_never_too_low() {
        let used = |rows, fuel| Usage {
            rows,
            fuel,
            ..Usage::default()
        };
        assert_eq!(used(2, 7).fuel_per_event(), Some(4));
        assert_eq!(used(0, 7).fuel_per_event(), None);
        assert_eq!(used(5, 9).since(used(2, 4)), used(3, 5));
    }
}
