//! What an instance reaches through the host, and how much of that is left for the batch at hand.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{grants::Grants, limits::Limits};
use crate::{
    ledger::windows::{EventMark, SqliteWindows, Windows},
    lookup::Tables,
};

/// All calls of one batch together may take so many times the budget of one.
const CALLS_OF_FULL_LENGTH: u32 = 4;

/// What plugins reach through the host, each only where it is granted. Where something is missing, its
/// calls answer `unavailable`.
#[derive(Clone, Default)]
pub struct Services {
    /// Where windows are kept. A back-test or a trial run has its own, in memory.
    pub windows: Option<Arc<dyn Windows>>,
    /// The operator's tables.
    pub tables: Option<Arc<Tables>>,
}

impl Services {
    /// The same with windows of their own, in memory: what is only tried must not be counted.
    ///
    /// # Errors
    /// When there is no room for them.
    pub fn in_scratch(&self) -> anyhow::Result<Self> {
        let windows = SqliteWindows::in_memory()?;
        Ok(Self {
            windows: Some(Arc::new(windows)),
            tables: self.tables.clone(),
        })
    }
}

impl std::fmt::Debug for Services {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Services")
            .field("windows", &self.windows.is_some())
            .field("tables", &self.tables)
            .finish()
    }
}

/// What no plugin does by mistake: its instance is not used again.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Misuse(pub(super) String);

/// One instance's share of the services.
pub(super) struct Reach {
    pub(super) plugin: Arc<str>,
    pub(super) services: Services,
    pub(super) grants: Grants,
    pub(super) limits: Limits,
    /// Nothing while the plugin starts: what it says of itself must not hang on what was counted.
    pub(super) batch: Option<AtHand>,
    /// Calls that were answered with `unavailable`.
    unanswered: u64,
    report_at: u64,
}

/// The batch that a plugin is judging.
pub(super) struct AtHand {
    pub(super) rows: u32,
    /// One a row; none where the embedder gave none.
    pub(super) events: Vec<EventMark>,
    pub(super) state_left: u32,
    pub(super) lookups_left: u32,
    time_left: Duration,
}

impl Reach {
    pub(super) fn new(
        plugin: &Arc<str>,
        limits: &Limits,
        grants: &Grants,
        services: &Services,
    ) -> Self {
        Self {
            plugin: Arc::clone(plugin),
            services: services.clone(),
            grants: grants.clone(),
            limits: limits.clone(),
            batch: None,
            unanswered: 0,
            report_at: 1,
        }
    }

    /// Before a batch: which events it has, and what may be done for it.
    pub(super) fn begin(&mut self, rows: u32, events: Vec<EventMark>) {
        self.batch = Some(AtHand {
            rows,
            events,
            state_left: self.limits.state_operations,
            lookups_left: self.limits.lookup_keys,
            time_left: self.limits.state_time() * CALLS_OF_FULL_LENGTH,
        });
    }

    /// After a batch.
    pub(super) fn end(&mut self) {
        self.batch = None;
    }

    /// Says why a plugin gets no answer, each time the number of such calls has doubled.
    pub(super) fn unanswered(&mut self, call: &str, why: &dyn std::fmt::Display) {
        self.unanswered += 1;
        if self.unanswered >= self.report_at {
            tracing::warn!(
                plugin = %self.plugin, call, calls = self.unanswered, error = format!("{why:#}"),
                "plugin was told that a service is unavailable",
            );
            self.report_at = self.unanswered.saturating_mul(2);
        }
    }
}

impl AtHand {
    /// Runs a call that may take `budget`, and less where little is left for the batch.
    pub(super) fn timed<T>(
        &mut self,
        budget: Duration,
        call: impl FnOnce(&Self, Instant) -> T,
    ) -> T {
        let start = Instant::now();
        let result = call(self, start + budget.min(self.time_left));
        self.time_left = self.time_left.saturating_sub(start.elapsed());
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calls_of_a_batch_share_their_time() {
        let mut reach = Reach::new(
            &"p".into(),
            &Limits::default(),
            &Grants::default(),
            &Services::default(),
        );
        reach.begin(0, Vec::new());
        let batch = reach.batch.as_mut().expect("it was begun");
        let budget = Duration::from_millis(50);
        let given = |batch: &mut AtHand| {
            let now = Instant::now();
            batch.timed(budget, |_, deadline| {
                deadline.saturating_duration_since(now)
            })
        };
        assert!(given(batch) >= budget);
        batch.time_left = Duration::from_millis(3);
        assert!(given(batch) < budget);
        batch.time_left = Duration::ZERO;
        assert!(given(batch) < Duration::from_millis(3));
        reach.end();
        assert!(reach.batch.is_none());
    }
}
