//! Shadow: a plugin that sees the same events as the live one, and whose say is compared, not applied.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use super::Component;

/// Differences that are kept as examples.
const SAMPLES: usize = 20;

/// A plugin in shadow, and where it is compared.
#[derive(Clone, Debug)]
pub struct Shadow {
    /// The plugin.
    pub component: Component,
    /// Where what it says is compared.
    pub trial: std::sync::Arc<Trial>,
}

impl Shadow {
    /// Puts a plugin into shadow.
    #[must_use]
    pub fn new(component: Component) -> Self {
        Self {
            component,
            trial: std::sync::Arc::default(),
        }
    }
}

/// Who said something that the other did not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The live plugin.
    Live,
    /// The one in shadow.
    Shadow,
}

/// Something that only one side said of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The event, as its `sluicegate` member names it: object and position.
    pub event: String,
    /// Who said it.
    pub side: Side,
    /// What was said: kind, and rule or path; never a value of the event.
    pub what: String,
}

/// How a plugin in shadow has fared so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Events that at least one side was asked about.
    pub events: u64,
    /// Events that the shadow failed on while the live plugin did not.
    pub failed: u64,
    /// What only the live plugin said.
    pub only_live: u64,
    /// What only the shadow said.
    pub only_shadow: u64,
    /// Leaves that the live plugin masked and the shadow did not.
    pub fewer_masks: u64,
    /// Some of the differences, the first ones.
    pub samples: Vec<Difference>,
}

/// Where the sayings of a plugin in shadow are compared, by all workers.
#[derive(Debug, Default)]
pub struct Trial {
    events: AtomicU64,
    failed: AtomicU64,
    only_live: AtomicU64,
    only_shadow: AtomicU64,
    fewer_masks: AtomicU64,
    samples: Mutex<Vec<Difference>>,
}

impl Trial {
    /// How it stands.
    #[must_use]
    pub fn comparison(&self) -> Comparison {
        let get = |counter: &AtomicU64| counter.load(Ordering::Acquire);
        // Events first: whoever sees enough of them sees all that was said of them.
        Comparison {
            events: get(&self.events),
            failed: get(&self.failed),
            only_live: get(&self.only_live),
            only_shadow: get(&self.only_shadow),
            fewer_masks: get(&self.fewer_masks),
            samples: self.samples().clone(),
        }
    }

    /// How many more examples are kept.
    pub(super) fn room(&self) -> usize {
        SAMPLES.saturating_sub(self.samples().len())
    }

    /// Adds what was seen of one batch.
    pub(super) fn add(&self, seen: Comparison) {
        let add = |counter: &AtomicU64, count| counter.fetch_add(count, Ordering::Relaxed);
        add(&self.failed, seen.failed);
        add(&self.only_live, seen.only_live);
        add(&self.only_shadow, seen.only_shadow);
        add(&self.fewer_masks, seen.fewer_masks);
        if !seen.samples.is_empty() {
            let mut samples = self.samples();
            samples.extend(seen.samples);
            samples.truncate(SAMPLES);
        }
        self.events.fetch_add(seen.events, Ordering::Release);
    }

    fn samples(&self) -> std::sync::MutexGuard<'_, Vec<Difference>> {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
