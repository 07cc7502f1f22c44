//! Measures what a plugin costs.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use serde_json::{Map, Value};

use super::{events, run};
use crate::{
    event::EventBatch,
    plugin::{
        ChainWorker, Compiled, Component, Engine, Grants, Services, Terms, Usage, inline_files,
    },
};

/// Starts of an instance that are measured.
pub(crate) const STARTS: usize = 21;

/// All events are run so many times at least, at most, and for so long in between.
const ROUNDS: std::ops::RangeInclusive<usize> = 5..=200;
const ENOUGH: Duration = Duration::from_secs(2);

/// What a plugin costs.
#[derive(Debug)]
pub(crate) struct Measured {
    /// The plugin.
    pub(crate) component: Component,
    /// From bytes to a first instance that is ready.
    pub(crate) load: Duration,
    /// Median of [`STARTS`] further instances.
    pub(crate) start: Duration,
    /// Events of one round.
    pub(crate) events: u64,
    /// How often they were run.
    pub(crate) rounds: usize,
    /// The median round by time; without fuel.
    pub(crate) round: Usage,
    /// Instructions for each event that reached the plugin; nothing where none did.
    pub(crate) fuel_per_event: Option<u64>,
    /// Linear memory of the instance after all rounds, in bytes.
    pub(crate) memory_bytes: usize,
}

/// Measures a component on these events.
///
/// # Errors
/// When it cannot be loaded, or fails on an event.
pub(crate) fn measure(
    wasm: &[u8],
    configuration: &Map<String, Value>,
    batches: &[EventBatch],
) -> anyhow::Result<Measured> {
    let terms = Terms {
        configuration: inline_files(configuration, Path::new(""))?,
        limits: run::limits(),
        grants: Grants {
            state: true,
            ..Grants::default()
        },
        script: None,
    };
    let services = Services::default().in_scratch()?;
    let engine = Engine::measuring(false)?.with_services(services);
    let began = Instant::now();
    let component = load(&engine, wasm, &terms)?;
    let load_time = began.elapsed();
    let (start, at_start) = start(&component)?;

    let mut worker = run::worker(component.clone());
    // The first one pays for what is new to it.
    once(&engine, &mut worker, batches)?;
    let (mut rounds, began) = (Vec::new(), Instant::now());
    while rounds.len() < *ROUNDS.start() || rounds.len() < *ROUNDS.end() && began.elapsed() < ENOUGH
    {
        rounds.push(once(&engine, &mut worker, batches)?);
    }
    // Where no event reaches the plugin, the worker makes no instance.
    let memory_bytes = engine.memory_bytes().max(at_start);
    rounds.sort_by_key(|round| round.time);

    // Windows of its own, so that what was counted above does not come again here.
    let services = Services::default().in_scratch()?;
    let counting = Engine::measuring(true)?.with_services(services);
    let mut counted = run::worker(load(&counting, wasm, &terms)?);
    let fuel_per_event = once(&counting, &mut counted, batches)?.fuel_per_event();
    Ok(Measured {
        component,
        load: load_time,
        start,
        events: batches.iter().map(|batch| batch.events.len() as u64).sum(),
        rounds: rounds.len(),
        round: rounds[rounds.len() / 2],
        fuel_per_event,
        memory_bytes,
    })
}

fn load(engine: &Engine, wasm: &[u8], terms: &Terms) -> anyhow::Result<Component> {
    let compiled = Compiled::new(engine, wasm)?;
    let name = compiled.describe()?.name;
    Ok(compiled.load(&name, terms)?)
}

/// Time to start, and the memory of an instance that was just started.
fn start(component: &Component) -> anyhow::Result<(Duration, usize)> {
    let mut memory_bytes = 0;
    let mut times = Vec::with_capacity(STARTS);
    for _ in 0..STARTS {
        let began = Instant::now();
        let instance = component.instantiate().context("failed to start")?;
        times.push(began.elapsed());
        memory_bytes = instance.memory_bytes();
    }
    times.sort_unstable();
    Ok((times[STARTS / 2], memory_bytes))
}

/// Runs all events, and says what that used up.
fn once(
    engine: &Engine,
    worker: &mut ChainWorker,
    batches: &[EventBatch],
) -> anyhow::Result<Usage> {
    let before = engine.usage();
    let mut first = 0;
    for batch in batches {
        let processed = worker.process(events::copy(batch), 0);
        if let Some(failure) = processed.failures.first() {
            let (at, count) = (first + failure.row, processed.failures.len());
            bail!(
                "the plugin failed on {count} events, first on event {at}: {}",
                failure.error
            );
        }
        first += processed.rows();
    }
    Ok(engine.usage().since(before))
}
