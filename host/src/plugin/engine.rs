//! wasmtime, narrowed to what plugins need.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread::{self, Thread},
    time::Duration,
};

use anyhow::Context as _;
use wasmtime::{Config, EngineWeak, OptLevel, Strategy};

use super::{
    cache::Cache,
    reach::Services,
    usage::{Meters, Usage},
};

/// The slowest the epoch ticks: while no plugin is loaded.
const SLOWEST_TICK: Duration = Duration::from_millis(100);

/// The fastest the epoch ticks, whatever the limits are: a thread that wakes more often costs more than
/// the precision is worth.
const FASTEST_TICK: Duration = Duration::from_millis(1);

/// Linear memory of all instances of an engine together, unless the embedder says otherwise.
const MEMORY_BUDGET: usize = 1 << 30;

/// Compiles and runs components; one for each chain of plugins.
///
/// A thread of its own ticks for all of them, which is how a plugin that never returns is stopped. It
/// ends with the last component and instance.
#[derive(Clone)]
pub struct Engine {
    pub(super) wasm: wasmtime::Engine,
    pub(super) ticker: Ticker,
    pub(super) cache: Option<Arc<Cache>>,
    pub(super) budget: Arc<Budget>,
    /// Of an engine that measures only.
    pub(super) meters: Option<Arc<Meters>>,
    pub(super) services: Services,
}

impl Engine {
    /// Starts an engine. With `cache`, a folder that only this user may enter, compiled components are
    /// kept there for the next start; it is made if it does not exist.
    ///
    /// # Errors
    /// When the folder cannot be made, belongs to another user or can be entered by one, or when the
    /// thread cannot be started.
    pub fn new(cache: Option<PathBuf>) -> anyhow::Result<Self> {
        Self::start(&config(), cache)
    }

    /// Starts an engine that counts what plugins use up, for the tools of their authors. With `fuel` it
    /// also counts the instructions they execute: a number that repeats on every machine, and that makes
    /// plugins slower.
    ///
    /// # Errors
    /// As [`Engine::new`].
    pub fn measuring(fuel: bool) -> anyhow::Result<Self> {
        let mut engine = Self::start(config().consume_fuel(fuel), None)?;
        engine.meters = Some(Arc::new(Meters::new(fuel)));
        Ok(engine)
    }

    /// What all plugins of this engine used up so far; nothing unless it measures.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.meters
            .as_ref()
            .map(|meters| meters.usage())
            .unwrap_or_default()
    }

    fn start(config: &Config, cache: Option<PathBuf>) -> anyhow::Result<Self> {
        let wasm = wasmtime::Engine::new(config)
            .map_err(anyhow::Error::from)
            .context("failed to set up the WebAssembly engine")?;
        let cache = cache.map(Cache::open).transpose()?.map(Arc::new);
        let ticker = Ticker::start(wasm.weak()).context("failed to start the epoch thread")?;
        Ok(Self {
            wasm,
            ticker,
            cache,
            budget: Arc::new(Budget::new(MEMORY_BUDGET)),
            meters: None,
            services: Services::default(),
        })
    }

    /// Bounds the linear memory of all instances together, in bytes (1 GiB unless set). An instance that
    /// wants more fails with [`OutOfMemory`](super::CallError::OutOfMemory).
    #[must_use]
    pub fn with_memory_budget(mut self, bytes: usize) -> Self {
        self.budget = Arc::new(Budget::new(bytes));
        self
    }

    /// What the plugins that are loaded from now on reach through the host, where they are granted it. A
    /// clone with other services shares all else: a trial run beside the real one has windows of its own.
    #[must_use]
    pub fn with_services(mut self, services: Services) -> Self {
        self.services = services;
        self
    }

    /// Linear memory that all instances hold now, in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.budget.used.load(Ordering::Relaxed)
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("cache", &self.cache)
            .finish_non_exhaustive()
    }
}

/// Whatever a plugin does not need is off: each feature is code that a hostile component could reach.
/// Threads, garbage collection, exceptions and asynchronous components are not even compiled in.
fn config() -> Config {
    let mut config = Config::new();
    config
        .strategy(Strategy::Cranelift)
        .cranelift_opt_level(OptLevel::Speed)
        // The same input gives the same bytes on every processor.
        .cranelift_nan_canonicalization(true)
        .epoch_interruption(true)
        .concurrency_support(false)
        .gc_support(false)
        .shared_memory(false)
        .wasm_component_model(true)
        .wasm_simd(true)
        .wasm_relaxed_simd(false)
        .wasm_memory64(false)
        .wasm_multi_memory(false)
        .wasm_tail_call(false)
        .wasm_custom_page_sizes(false)
        .wasm_wide_arithmetic(false)
        .wasm_stack_switching(false)
        .wasm_backtrace_max_frames(None)
        .max_wasm_stack(512 << 10);
    config
}

/// The clock of all deadlines: a thread that moves the epoch on while the engine is in use.
#[derive(Clone)]
pub(super) struct Ticker {
    period_us: Arc<AtomicU64>,
    thread: Thread,
}

impl Ticker {
    fn start(engine: EngineWeak) -> std::io::Result<Self> {
        let period_us = Arc::new(AtomicU64::new(micros(SLOWEST_TICK)));
        let period = Arc::clone(&period_us);
        let thread = thread::Builder::new()
            .name("sluicegate-epoch".to_owned())
            .spawn(move || {
                loop {
                    thread::park_timeout(Duration::from_micros(period.load(Ordering::Relaxed)));
                    let Some(engine) = engine.upgrade() else {
                        return;
                    };
                    engine.increment_epoch();
                }
            })?;
        Ok(Self {
            period_us,
            thread: thread.thread().clone(),
        })
    }

    /// Makes the ticks fine enough to measure `limit`: a tenth of it.
    pub(super) fn measure(&self, limit: Duration) {
        let wanted = micros((limit / 10).clamp(FASTEST_TICK, SLOWEST_TICK));
        if self.period_us.fetch_min(wanted, Ordering::Relaxed) > wanted {
            self.thread.unpark();
        }
    }

    /// What one tick stands for.
    pub(super) fn period(&self) -> Duration {
        Duration::from_micros(self.period_us.load(Ordering::Relaxed))
    }
}

fn micros(duration: Duration) -> u64 {
    duration.as_micros().try_into().unwrap_or(u64::MAX)
}

/// Linear memory that several instances share.
#[derive(Debug)]
pub(super) struct Budget {
    used: AtomicUsize,
    limit: usize,
}

impl Budget {
    fn new(limit: usize) -> Self {
        Self {
            used: AtomicUsize::new(0),
            limit,
        }
    }

    /// Takes bytes, or says which limit is in the way.
    pub(super) fn take(&self, bytes: usize) -> Result<(), usize> {
        let grown = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= self.limit);
        match self
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown)
        {
            Ok(_) => Ok(()),
            Err(_) => Err(self.limit),
        }
    }

    /// Gives back what was taken.
    pub(super) fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn the_budget_is_never_exceeded_and_comes_back() {
        let budget = Budget::new(10);
        assert_eq!(budget.take(6), Ok(()));
        assert_eq!(budget.take(5), Err(10));
        assert_eq!(budget.take(usize::MAX), Err(10));
        budget.give_back(6);
        assert_eq!(budget.take(10), Ok(()));
    }

    #[test]
    fn the_shortest_limit_sets_the_pace() {
        let engine = Engine::new(None).unwrap();
        engine.ticker.measure(Duration::from_millis(500));
        assert_eq!(engine.ticker.period(), Duration::from_millis(50));
        engine.ticker.measure(Duration::from_secs(5));
        assert_eq!(engine.ticker.period(), Duration::from_millis(50));
        engine.ticker.measure(Duration::from_micros(1));
        assert_eq!(engine.ticker.period(), FASTEST_TICK);
    }
}
