//! Counters. For every sink, whatever happens: received = delivered + dropped + dead-lettered +
//! pending + failed + given up, once nothing is in hand.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{ack::Outcome, deadletter::Cause, guard::Secret, sink::GivenUp};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to it.
    pub fn add(&self, count: usize) {
        self.0.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// What it stands at.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Labels beyond this many are counted together as `other`: text from outside must not fill memory.
const MOST_LABELS: usize = 64;

/// Counters by label, for what happens a few times a message at the most.
#[derive(Debug, Default)]
pub struct Tally(Mutex<BTreeMap<String, u64>>);

impl Tally {
    /// Adds to the counter of this label.
    pub fn add(&self, label: &str, count: u64) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let full = counts.len() >= MOST_LABELS && !counts.contains_key(label);
        *counts
            .entry(if full { "other" } else { label }.to_owned())
            .or_default() += count;
    }

    /// What all of them stand at.
    #[must_use]
    pub fn get(&self) -> BTreeMap<String, u64> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// Counters of the host as a whole.
#[derive(Debug, Default)]
pub struct Counters {
    /// Messages received.
    pub messages: Counter,
    /// Messages deleted because all they announce is safe.
    pub messages_deleted: Counter,
    /// Messages released to come again.
    pub messages_released: Counter,
    /// Objects opened.
    pub objects: Counter,
    /// Objects passed over because every sink has all of them.
    pub objects_skipped: Counter,
    /// Events split from objects.
    pub events: Counter,
    /// Inflated bytes of objects.
    pub bytes: Counter,
    /// Sightings reported by plugins and by the host itself.
    pub sightings: Counter,
    /// Notifications by kind.
    pub notifications: Tally,
    /// Failures by plugin.
    pub plugin_failures: Tally,
    /// Events dropped, by the filter that dropped them.
    pub plugin_drops: Tally,
    /// Dead letters that concern no single sink, by cause.
    pub dead_letters: Tally,
    sinks: Mutex<BTreeMap<String, Arc<SinkCounters>>>,
}

impl Counters {
    /// The counters of one sink, made where they are missing.
    #[must_use]
    pub fn sink(&self, name: &str) -> Arc<SinkCounters> {
        let mut sinks = self.sinks.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(sinks.entry(name.to_owned()).or_default())
    }

    /// What all counters stand at.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let sinks = self.sinks.lock().unwrap_or_else(PoisonError::into_inner);
        Snapshot {
            messages: self.messages.get(),
            messages_deleted: self.messages_deleted.get(),
            messages_released: self.messages_released.get(),
            objects: self.objects.get(),
            objects_skipped: self.objects_skipped.get(),
            events: self.events.get(),
            bytes: self.bytes.get(),
            sightings: self.sightings.get(),
            notifications: self.notifications.get(),
            plugin_failures: self.plugin_failures.get(),
            plugin_drops: self.plugin_drops.get(),
            dead_letters: self.dead_letters.get(),
            shadows: BTreeMap::new(),
            sinks: sinks
                .iter()
                .map(|(name, sink)| (name.clone(), sink.snapshot()))
                .collect(),
        }
    }
}

/// What [`Counters`] stood at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "each field is that of `Counters`")]
pub struct Snapshot {
    pub messages: u64,
    pub messages_deleted: u64,
    pub messages_released: u64,
    pub objects: u64,
    pub objects_skipped: u64,
    pub events: u64,
    pub bytes: u64,
    pub sightings: u64,
    pub notifications: BTreeMap<String, u64>,
    pub plugin_failures: BTreeMap<String, u64>,
    pub plugin_drops: BTreeMap<String, u64>,
    pub dead_letters: BTreeMap<String, u64>,
    /// By plugin, how the one in shadow compares with the live one. Only a pipeline knows:
    /// [`Pipeline::snapshot`](crate::pipeline::Pipeline::snapshot).
    pub shadows: BTreeMap<String, ShadowSnapshot>,
    pub sinks: BTreeMap<String, SinkSnapshot>,
}

/// What a plugin in shadow has said otherwise than the live one, since it was put there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShadowSnapshot {
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
}

/// Counters of one sink, in events (or findings). What is replayed, or comes with a redelivered
/// message, is received once more and ends once more.
#[derive(Debug)]
pub struct SinkCounters {
    received: Counter,
    replayed: Counter,
    delivered: Counter,
    dropped: Counter,
    dead_lettered: [Counter; Cause::ALL.len()],
    pending: Counter,
    failed: Counter,
    given_up: [Counter; GivenUp::COUNT],
    secrets: [Counter; Secret::ALL.len()],
    /// Requests sent, whatever came of them.
    pub requests: Counter,
    /// Requests that have to be sent again because the sink was throttling or down.
    pub retries: Counter,
    /// Times the sink was held.
    pub holds: Counter,
}

impl Default for SinkCounters {
    fn default() -> Self {
        Self {
            received: Counter::default(),
            replayed: Counter::default(),
            delivered: Counter::default(),
            dropped: Counter::default(),
            dead_lettered: Default::default(),
            pending: Counter::default(),
            failed: Counter::default(),
            given_up: std::array::from_fn(|_| Counter::default()),
            secrets: Default::default(),
            requests: Counter::default(),
            retries: Counter::default(),
            holds: Counter::default(),
        }
    }
}

impl SinkCounters {
    /// Entries given to the sink's delivery, for the first time or again.
    pub fn received(&self, count: usize, replayed: bool) {
        self.received.add(count);
        if replayed {
            self.replayed.add(count);
        }
    }

    /// Events that a plugin dropped before they were encoded; nobody else has counted them.
    pub fn dropped(&self, count: usize) {
        self.received.add(count);
        self.dropped.add(count);
    }

    /// Entries that ended like this. The cause tells dead letters apart and is of no other use.
    pub fn ended(&self, count: usize, outcome: Outcome, cause: Cause) {
        match outcome {
            Outcome::Delivered => self.delivered.add(count),
            Outcome::Pending => self.pending.add(count),
            Outcome::DeadLettered => self.dead_lettered[cause as usize].add(count),
            Outcome::Failed => self.failed.add(count),
        }
    }

    /// Entries that a best-effort sink did not get.
    pub fn gave_up(&self, count: usize, why: GivenUp) {
        self.given_up[why.slot()].add(count);
    }

    /// An entry in which the egress guard found this.
    pub fn found(&self, secret: Secret) {
        self.secrets[secret as usize].add(1);
    }

    /// What they stand at.
    #[must_use]
    pub fn snapshot(&self) -> SinkSnapshot {
        let dead = Cause::ALL
            .iter()
            .map(|cause| (*cause, self.dead_lettered[*cause as usize].get()));
        let secrets = Secret::ALL
            .iter()
            .map(|secret| (*secret, self.secrets[*secret as usize].get()));
        let given_up = GivenUp::all().map(|why| (why, self.given_up[why.slot()].get()));
        SinkSnapshot {
            received: self.received.get(),
            replayed: self.replayed.get(),
            delivered: self.delivered.get(),
            dropped: self.dropped.get(),
            dead_lettered: dead.filter(|(_, count)| *count > 0).collect(),
            pending: self.pending.get(),
            failed: self.failed.get(),
            given_up: given_up.filter(|(_, count)| *count > 0).collect(),
            secrets: secrets.filter(|(_, count)| *count > 0).collect(),
            requests: self.requests.get(),
            retries: self.retries.get(),
            holds: self.holds.get(),
        }
    }
}

/// What [`SinkCounters`] stood at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SinkSnapshot {
    /// Entries given to the sink's delivery, dropped ones included.
    pub received: u64,
    /// Those of them that came from pending references.
    pub replayed: u64,
    /// Accepted by the sink.
    pub delivered: u64,
    /// Dropped by a plugin.
    pub dropped: u64,
    /// Stored as dead letters, by cause.
    pub dead_lettered: BTreeMap<Cause, u64>,
    /// Stored as references to be delivered later.
    pub pending: u64,
    /// Neither accepted nor stored: their message comes again.
    pub failed: u64,
    /// Lost: a best-effort sink did not take them, by reason.
    pub given_up: BTreeMap<GivenUp, u64>,
    /// Those in which the egress guard found a secret, whatever became of them, by kind; an entry with two
    /// kinds counts under both, and one that is encoded again counts again.
    pub secrets: BTreeMap<Secret, u64>,
    /// Requests sent.
    pub requests: u64,
    /// Requests that had to be sent again.
    pub retries: u64,
    /// Times the sink was held.
    pub holds: u64,
}

impl SinkSnapshot {
    /// Entries that have been received and have not ended: 0 when the sink is idle.
    #[must_use]
    pub fn in_hand(&self) -> i128 {
        let dead: u64 = self.dead_lettered.values().sum();
        let given_up: u64 = self.given_up.values().sum();
        let ended = [
            self.delivered,
            self.dropped,
            dead,
            self.pending,
            self.failed,
            given_up,
        ];
        i128::from(self.received) - ended.into_iter().map(i128::from).sum::<i128>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_its_own_counter() {
        let counters = SinkCounters::default();
        for cause in Cause::ALL {
            counters.received(1, false);
            counters.ended(1, Outcome::DeadLettered, cause);
        }
        let snapshot = counters.snapshot();
        assert!(
            Cause::ALL
                .iter()
                .all(|cause| snapshot.dead_lettered[cause] == 1)
        );
        assert_eq!(snapshot.in_hand(), 0);
    }

    #[test]
    fn what_has_not_ended_is_in_hand() {
        let counters = Counters::default();
        let sink = counters.sink("splunk");
        sink.received(5, false);
        sink.dropped(2);
        sink.ended(3, Outcome::Delivered, Cause::SinkRefused);
        assert_eq!(counters.snapshot().sinks["splunk"].in_hand(), 2);
    }

    #[test]
    fn labels_from_outside_cannot_fill_the_memory() {
        let tally = Tally::default();
        (0..1_000).for_each(|number| tally.add(&number.to_string(), 1));
        assert_eq!(tally.get().len(), MOST_LABELS + 1);
        assert_eq!(tally.get().values().sum::<u64>(), 1_000);
    }
}
