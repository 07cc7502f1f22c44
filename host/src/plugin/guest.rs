//! What belongs to one instance on the host's side: its meters and its log.

use std::{sync::Arc, time::Duration};

use wasmtime::{ResourceLimiter, StoreContextMut, UpdateDeadline};

use super::{
    abi::host::{log, manifest, types},
    engine::Budget,
    grants::Grants,
    limits::Limits,
    reach::{Reach, Services},
};
use crate::text::shown;

/// Core instances, tables and memories of one component. A plugin in Rust has three, two and one; one in
/// Python is joined of its interpreter's libraries at its start, which takes forty-odd instances.
const INSTANCES: usize = 64;
const TABLES: usize = 16;
const MEMORIES: usize = 4;

/// What was asked for and not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// More linear memory than the plugin may have, in bytes.
    #[error("{0} bytes of memory")]
    Memory(usize),
    /// More linear memory than all plugins may have together, in bytes.
    #[error("the {0} bytes of memory that all plugins share")]
    Shared(usize),
    /// More table elements than the plugin may have.
    #[error("{0} table elements")]
    Table(usize),
}

/// The data of a store.
pub(super) struct Guest {
    plugin: Arc<str>,
    pub(super) meter: Meter,
    pub(super) reach: Reach,
    time_left: Duration,
    log_lines: u32,
    log_left: u32,
    log_dropped: u64,
    log_report_at: u64,
}

impl Guest {
    pub(super) fn new(plugin: &Arc<str>, limits: &Limits, budget: &Arc<Budget>) -> Self {
        Self {
            plugin: Arc::clone(plugin),
            meter: Meter {
                memory: 0,
                memory_limit: limits.memory_bytes,
                elements: 0,
                element_limit: limits.table_elements,
                budget: Arc::clone(budget),
                denied: None,
            },
            reach: Reach::new(plugin, limits, &Grants::default(), &Services::default()),
            time_left: Duration::ZERO,
            log_lines: limits.log_lines,
            log_left: 0,
            log_dropped: 0,
            log_report_at: 1,
        }
    }

    /// Before a call: what it may use.
    pub(super) fn begin(&mut self, allowed: Duration) {
        self.time_left = allowed;
        self.log_left = self.log_lines;
        self.meter.denied = None;
    }

    /// After a call: says how many log lines nobody saw, each time that number has doubled.
    pub(super) fn end(&mut self) {
        if self.log_dropped >= self.log_report_at {
            tracing::warn!(plugin = %self.plugin, lines = self.log_dropped, "plugin logs more than its limit, lines dropped");
            self.log_report_at = self.log_dropped.saturating_mul(2);
        }
    }
}

/// Takes one tick from the guest's time.
///
/// A plugin is asked only where it runs, so however many ticks pass while its thread waits for a
/// processor, they count as one: a busy machine does not make a healthy plugin late.
pub(super) fn tick(mut store: StoreContextMut<'_, Guest>, period: Duration) -> UpdateDeadline {
    let guest = store.data_mut();
    match guest.time_left.checked_sub(period) {
        Some(left) => {
            guest.time_left = left;
            UpdateDeadline::Continue(1)
        }
        None => UpdateDeadline::Interrupt,
    }
}

// These two hold types alone, so there is nothing to do for them.
impl manifest::Host for Guest {}
impl types::Host for Guest {}

impl log::Host for Guest {
    fn write(&mut self, level: log::Level, message: String) {
        if self.log_left == 0 {
            self.log_dropped += 1;
            return;
        }
        self.log_left -= 1;
        let (plugin, message) = (&*self.plugin, shown(&message));
        match level {
            log::Level::Debug => tracing::debug!(plugin, message),
            log::Level::Info => tracing::info!(plugin, message),
            log::Level::Warn => tracing::warn!(plugin, message),
            log::Level::Error => tracing::error!(plugin, message),
        }
    }
}

/// Counts memory and table elements. It refuses by telling the guest so; one that cannot live with that
/// traps, and the refusal is then named as the cause.
pub(super) struct Meter {
    memory: usize,
    memory_limit: usize,
    elements: usize,
    element_limit: usize,
    budget: Arc<Budget>,
    denied: Option<Denied>,
}

impl Meter {
    /// Linear memory held now, in bytes. It only ever grows.
    pub(super) fn memory(&self) -> usize {
        self.memory
    }

    /// What was refused in this call.
    pub(super) fn denied(&self) -> Option<Denied> {
        self.denied
    }

    fn grow_memory(&mut self, by: usize) -> Result<(), Denied> {
        let grown = self.memory.saturating_add(by);
        if grown > self.memory_limit {
            return Err(Denied::Memory(self.memory_limit));
        }
        self.budget.take(by).map_err(Denied::Shared)?;
        self.memory = grown;
        Ok(())
    }

    fn grow_table(&mut self, by: usize) -> Result<(), Denied> {
        let grown = self.elements.saturating_add(by);
        if grown > self.element_limit {
            return Err(Denied::Table(self.element_limit));
        }
        self.elements = grown;
        Ok(())
    }

    fn answer(&mut self, grown: Result<(), Denied>) -> bool {
        if let Err(denied) = grown {
            self.denied = Some(denied);
        }
        grown.is_ok()
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.budget.give_back(self.memory);
    }
}

impl ResourceLimiter for Meter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let grown = self.grow_memory(desired.saturating_sub(current));
        Ok(self.answer(grown))
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let grown = self.grow_table(desired.saturating_sub(current));
        Ok(self.answer(grown))
    }

    fn instances(&self) -> usize {
        INSTANCES
    }

    fn tables(&self) -> usize {
        TABLES
    }

    fn memories(&self) -> usize {
        MEMORIES
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::{fmt::Write as _, sync::Mutex};

    use log::Host as _;
    use tracing::{Event, Metadata, Subscriber, field, span};

    use super::*;
    use crate::plugin::Engine;

    fn guest(limits: &Limits) -> Guest {
        let budget = Engine::new(None)
            .unwrap()
            .with_memory_budget(10 << 20)
            .budget;
        Guest::new(&"mine".into(), limits, &budget)
    }

    /// The lines of an instance that logs `lines` in each of `calls`.
    fn logged(calls: usize, lines: usize, message: &str) -> Vec<String> {
        let seen = Seen::default();
        let shared = Arc::clone(&seen.0);
        tracing::subscriber::with_default(seen, || {
            let mut guest = guest(&Limits {
                log_lines: 3,
                ..Limits::default()
            });
            for _ in 0..calls {
                guest.begin(Duration::ZERO);
                (0..lines).for_each(|_| guest.write(log::Level::Info, message.to_owned()));
                guest.end();
            }
        });
        shared.lock().unwrap().clone()
    }

    /// Keeps the level and the fields of all events.
    #[derive(Default)]
    struct Seen(Arc<Mutex<Vec<String>>>);

    impl Subscriber for Seen {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }

        fn event(&self, event: &Event<'_>) {
            let mut line = event.metadata().level().to_string();
            event.record(&mut |field: &field::Field, value: &dyn std::fmt::Debug| {
                write!(line, " {field}={value:?}").unwrap();
            });
            self.0.lock().unwrap().push(line);
        }

        fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
            span::Id::from_u64(1)
        }

        fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
        fn enter(&self, _: &span::Id) {}
        fn exit(&self, _: &span::Id) {}
    }

    #[test]
    fn a_line_carries_the_plugins_name_and_no_control_characters() {
        let lines = logged(1, 1, "a\n\x1b[31mb");
        assert_eq!(
            lines,
            ["INFO plugin=\"mine\" message=\"a\\\\u{a}\\\\u{1b}[31mb\""]
        );
    }

    #[test]
    fn lines_past_the_limit_are_counted_and_seldom_spoken_of() {
        let lines = logged(8, 10, "x");
        let (shown, dropped): (Vec<_>, Vec<_>) =
            lines.iter().partition(|line| line.starts_with("INFO"));
        assert_eq!(shown.len(), 8 * 3, "each call may write three");
        let counts: Vec<_> = dropped
            .iter()
            .map(|line| line.rsplit_once("lines=").unwrap().1)
            .collect();
        assert_eq!(
            counts,
            ["7", "14", "28", "56"],
            "each time the number has doubled"
        );
    }

    #[test]
    fn memory_and_tables_are_refused_past_their_limits_and_the_reason_is_kept() {
        let mut meter = guest(&Limits {
            memory_bytes: 8 << 20,
            ..Limits::default()
        })
        .meter;
        assert!(meter.memory_growing(0, 8 << 20, None).unwrap());
        assert!(!meter.memory_growing(8 << 20, 9 << 20, None).unwrap());
        assert_eq!(meter.denied(), Some(Denied::Memory(8 << 20)));
        assert!(meter.table_growing(0, 20_000, None).unwrap());
        assert!(!meter.table_growing(20_000, 20_001, None).unwrap());
        assert_eq!(meter.denied(), Some(Denied::Table(20_000)));
        assert_eq!(meter.memory(), 8 << 20);
    }

    #[test]
    fn the_shared_budget_binds_before_the_plugins_own_limit() {
        let mut meter = guest(&Limits::default()).meter;
        assert!(!meter.memory_growing(0, 11 << 20, None).unwrap());
        assert_eq!(meter.denied(), Some(Denied::Shared(10 << 20)));
    }
}
