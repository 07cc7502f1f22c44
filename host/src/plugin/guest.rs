//! What belongs to one instance on the host's side: its meters and its log.

use std::{sync::Arc, time::Duration};

use wasmtime::{ResourceLimiter, StoreContextMut, UpdateDeadline};

use super::{
    abi::host::{log, manifest, types},
    engine::Budget,
    limits::Limits,
};
use crate::text::shown;

/// Core instances, tables and memories of one component. A Rust plugin has three, two and one.
const INSTANCES: usize = 32;
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
