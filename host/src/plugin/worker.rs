//! Takes batches through the chain, stage by stage.
//!
//! What plugins decide is collected beside the batch (`verdicts.rs`). A plugin in shadow is asked like the
//! others, and what it says is compared and not applied (`said.rs`).

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{
    Component, PluginChain,
    abi::Kind as Stage,
    added::{Added, AddedColumns},
    chain::{Link, Run},
    said::{Said, compare},
    seat::{Answer, Seat},
    verdicts::{Marks, Verdicts, finish},
};
use crate::{effects::Processed, event::EventBatch, finding::EventFacts};

/// The chain that workers take their batches through. Another can take its place at any time: each worker
/// moves to it between two batches.
#[derive(Debug)]
pub struct ChainSlot {
    chain: Mutex<Arc<PluginChain>>,
    generation: AtomicU64,
}

impl ChainSlot {
    /// A slot that holds this chain.
    #[must_use]
    pub fn new(chain: PluginChain) -> Self {
        Self {
            chain: Mutex::new(Arc::new(chain)),
            generation: AtomicU64::new(0),
        }
    }

    /// Puts another chain in its place.
    pub fn swap(&self, chain: PluginChain) {
        let mut held = self.chain.lock().unwrap_or_else(PoisonError::into_inner);
        *held = Arc::new(chain);
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// The chain, and its number.
    fn current(&self) -> (u64, Arc<PluginChain>) {
        let held = self.chain.lock().unwrap_or_else(PoisonError::into_inner);
        (self.generation.load(Ordering::Acquire), Arc::clone(&held))
    }

    /// A worker that begins with the chain as it is now.
    #[must_use]
    pub fn worker(&self) -> ChainWorker {
        let (generation, chain) = self.current();
        ChainWorker {
            generation,
            ..ChainWorker::new(chain)
        }
    }
}

/// Runs a chain on one thread, with instances of its own.
#[derive(Debug)]
pub struct ChainWorker {
    chain: Arc<PluginChain>,
    /// The chain's number in its slot.
    generation: u64,
    seats: Vec<Seat>,
}

impl ChainWorker {
    /// A worker without instances; they are made at their first batch.
    #[must_use]
    pub fn new(chain: Arc<PluginChain>) -> Self {
        let seats = chain.links.iter().map(|_| Seat::default()).collect();
        Self {
            chain,
            generation: 0,
            seats,
        }
    }

    /// Name, version and digest of every plugin, in the order of their stages.
    pub fn plugins(&self) -> impl Iterator<Item = String> {
        let plugins = self.chain.plugins();
        let about = |plugin: &Component| {
            let (name, digest) = (plugin.name(), plugin.digest());
            format!("{name} {} sha256:{digest}", plugin.version())
        };
        plugins.map(about).collect::<Vec<_>>().into_iter()
    }

    /// What findings say of a row that this worker has processed, and its identity for counting.
    pub(crate) fn facts(
        &self,
        processed: &Processed,
        row: usize,
        now_ms: i64,
    ) -> (Arc<EventFacts>, [u8; 16]) {
        self.chain.reporter.facts(processed, row, now_ms)
    }

    /// Moves to the chain that is in the slot now. Instances of plugins that both chains have come along.
    pub fn follow(&mut self, slot: &ChainSlot) {
        if slot.generation.load(Ordering::Acquire) == self.generation {
            return;
        }
        let (generation, chain) = slot.current();
        let mut seats: Vec<Seat> = Vec::new();
        for link in &chain.links {
            let before = self
                .chain
                .links
                .iter()
                .position(|old| old.component.is(&link.component));
            seats.push(before.map_or_else(Seat::default, |at| std::mem::take(&mut self.seats[at])));
        }
        *self = Self {
            chain,
            generation,
            seats,
        };
    }

    /// Takes a batch through all stages. `now_ms` is the time of receipt, milliseconds since 1970.
    pub fn process(&mut self, batch: EventBatch, now_ms: i64) -> Processed {
        let chain = Arc::clone(&self.chain);
        let columns = chain.projection.project(&batch);
        let run = Run {
            chain: &chain,
            batch: &batch,
            columns: &columns,
            now_ms,
        };

        let nothing = AddedColumns::none();
        let mut wanted = run.wanted(&chain.enrichers, &nothing);
        let mut marks = Marks::default();
        let mut heard = Heard::default();
        let mut added = Vec::new();
        for (number, link) in chain.links.iter().enumerate() {
            if link.component.kind() != Stage::Enrich {
                continue;
            }
            let answer = self.seats[number].ask(link, &run, &wanted[number], &nothing);
            if !heard.keep(link, &answer, &run) {
                marks.note(link, &answer);
                for (rows, outcome) in answer.parts {
                    added.push(Added::new(
                        link.name(),
                        &rows,
                        batch.events.len(),
                        outcome.additions,
                    ));
                }
            }
        }
        let set = AddedColumns::new(&added, &chain.added_paths);
        wanted = run.wanted(&chain.others, &set);
        let mut verdicts = Verdicts::default();
        for (number, link) in chain.links.iter().enumerate() {
            if link.component.kind() == Stage::Enrich {
                continue;
            }
            let answer = self.seats[number].ask(link, &run, &wanted[number], &set);
            if !heard.keep(link, &answer, &run) {
                marks.note(link, &answer);
                verdicts.take(number, link, answer, &run);
            }
        }
        drop(set);
        finish(&chain, batch, columns, now_ms, &added, &marks, verdicts)
    }
}

/// What live plugins said of a batch, for their shadows to be compared with.
#[derive(Default)]
struct Heard<'a>(BTreeMap<&'a str, Said>);

impl<'a> Heard<'a> {
    /// Compares what a plugin in shadow said with what the live one said before; whether it was one.
    fn keep(&mut self, link: &'a Link, answer: &Answer, run: &Run<'_>) -> bool {
        if let Some(trial) = &link.trial {
            let nothing = Said::default();
            let live = self.0.get(link.name()).unwrap_or(&nothing);
            let shadow = Said::new(answer, run);
            trial.add(compare(live, &shadow, run.batch, trial.room()));
        } else if run.chain.has_shadow(link.name()) {
            self.0.insert(link.name(), Said::new(answer, run));
        }
        link.trial.is_some()
    }
}
