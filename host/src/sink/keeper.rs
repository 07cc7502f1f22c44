//! How entries end: settled and counted, after their references were stored where they have to be.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use super::{
    Batch, Origin, Parcel, Part,
    best_effort::{GivenUp, Stretch},
    catch_up::Owing,
    retry::Backoff,
};
use crate::{
    ack::Outcome,
    deadletter::{Cause, DeadLetter, Subject},
    store::Store,
    telemetry::SinkCounters,
    text::shown,
};

/// Tries to store a dead letter before its message is given back.
const BURY_ATTEMPTS: u32 = 3;
const BURY_BACKOFF: Backoff = Backoff {
    initial: Duration::from_millis(200),
    max: Duration::from_secs(2),
};

/// Ends the entries of one sink. Nobody else settles them.
#[derive(Debug)]
pub(super) struct Keeper {
    pub(super) sink: String,
    pub(super) store: Arc<Store>,
    pub(super) counters: Arc<SinkCounters>,
    pub(super) owing: Arc<Owing>,
    pub(super) store_failing: AtomicBool,
    /// Of a best-effort sink.
    pub(super) stretch: Option<Stretch>,
}

impl Keeper {
    /// Counts and settles; the cause tells dead letters apart.
    pub(super) fn settle(&self, batch: Batch, outcome: Outcome, cause: Cause) {
        self.counters.ended(batch.len(), outcome, cause);
        if outcome == Outcome::Delivered
            && !batch.is_empty()
            && let Some(stretch) = &self.stretch
        {
            stretch.took();
        }
        batch
            .parts
            .into_iter()
            .for_each(|part| part.ack.settle(outcome));
    }

    /// Whether nothing is stored for the sink.
    pub(super) fn is_best_effort(&self) -> bool {
        self.stretch.is_some()
    }

    /// Ends what a best-effort sink does not get: counted, and owed to nobody.
    pub(super) fn give_up(&self, batch: Batch, why: GivenUp, reason: &str) {
        self.counters.gave_up(batch.len(), why);
        if let Some(stretch) = &self.stretch {
            stretch.gave_up(batch.len(), why, reason);
        }
        let parts = batch.parts.into_iter();
        parts.for_each(|part| part.ack.settle(Outcome::Delivered));
    }

    /// Dead-letters every entry of the batch, or gives it up. Where the letter cannot be stored the entry
    /// fails.
    pub(super) async fn bury(&self, batch: Batch, cause: Cause, reason: &str) {
        if self.is_best_effort() {
            return self.give_up(batch, GivenUp::Sink(cause), reason);
        }
        for part in batch.parts {
            let mut stored = true;
            for position in part.entries.clone() {
                let subject = subject_of_one(&part.parcel, position);
                stored = stored && self.bury_one(&self.letter(subject, cause, reason)).await;
            }
            let outcome = if stored {
                Outcome::DeadLettered
            } else {
                Outcome::Failed
            };
            self.settle(Batch { parts: vec![part] }, outcome, cause);
        }
    }

    async fn bury_one(&self, letter: &DeadLetter) -> bool {
        for attempt in 0..BURY_ATTEMPTS {
            match self.store.bury(letter).await {
                Ok(_) => {
                    self.store_works();
                    return true;
                }
                Err(error) => self.store_fails(&error),
            }
            tokio::time::sleep(BURY_BACKOFF.jittered(attempt, None)).await;
        }
        false
    }

    /// Stores references to all entries, one an object, and settles those that are stored as pending.
    /// Returns those that are not.
    pub(super) async fn pend(&self, batch: Batch, cause: Cause, reason: &str) -> Option<Batch> {
        let mut left = Batch::default();
        for parts in by_origin(batch) {
            let letter = self.letter(subject_of_all(&parts), cause, reason);
            match self.store.pend(&self.sink, &letter).await {
                Ok(_) => {
                    self.store_works();
                    self.owing.more();
                    self.settle(Batch { parts }, Outcome::Pending, cause);
                }
                Err(error) => {
                    self.store_fails(&error);
                    left.parts.extend(parts);
                }
            }
        }
        Some(left).filter(|left| !left.is_empty())
    }

    fn letter(&self, subject: Subject, cause: Cause, reason: &str) -> DeadLetter {
        DeadLetter {
            time_ms: crate::clock::now_ms(),
            cause,
            subject,
            sink: Some(self.sink.clone()),
            plugin: None,
            error: shown(reason),
        }
    }

    fn store_fails(&self, error: &anyhow::Error) {
        if !self.store_failing.swap(true, Ordering::AcqRel) {
            let error = shown(&format!("{error:#}"));
            tracing::error!(
                sink = self.sink,
                error,
                "references cannot be stored; events are kept and tried again"
            );
        }
    }

    fn store_works(&self) {
        if self.store_failing.swap(false, Ordering::AcqRel) {
            tracing::info!(sink = self.sink, "references can be stored again");
        }
    }
}

/// An object, or a finding.
type Key = (Option<[u8; 16]>, Option<Arc<str>>);

fn by_origin(batch: Batch) -> Vec<Vec<Part>> {
    let mut groups: BTreeMap<Key, Vec<Part>> = BTreeMap::new();
    for part in batch.parts {
        let key = match &part.parcel.origin {
            Origin::Object(object) => (Some(object.id.0), None),
            Origin::Finding(id) => (None, Some(Arc::clone(id))),
        };
        groups.entry(key).or_default().push(part);
    }
    groups.into_values().collect()
}

fn indices(part: &Part) -> impl Iterator<Item = u32> {
    part.parcel.entries[part.entries.clone()]
        .iter()
        .map(|entry| entry.index)
}

/// What parts of one origin refer to, together.
fn subject_of_all(parts: &[Part]) -> Subject {
    match &parts[0].parcel.origin {
        Origin::Finding(id) => Subject::Finding { id: id.to_string() },
        Origin::Object(object) => Subject::Events {
            object: object.reference.clone(),
            ranges: ranges(parts.iter().flat_map(indices).collect()),
            sha256: None,
        },
    }
}

fn subject_of_one(parcel: &Parcel, position: usize) -> Subject {
    let index = parcel.entries[position].index;
    match &parcel.origin {
        Origin::Finding(id) => Subject::Finding { id: id.to_string() },
        Origin::Object(object) => Subject::Events {
            object: object.reference.clone(),
            ranges: vec![(index, index.saturating_add(1))],
            sha256: None,
        },
    }
}

/// Half-open ranges that cover exactly these indices, ascending.
fn ranges(mut indices: Vec<u32>) -> Vec<(u32, u32)> {
    indices.sort_unstable();
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for index in indices {
        match ranges.last_mut() {
            Some((_, end)) if index <= *end => *end = (*end).max(index.saturating_add(1)),
            _ => ranges.push((index, index.saturating_add(1))),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::ranges;

    #[test]
    fn neighbours_are_one_range_and_gaps_stay_gaps() {
        assert_eq!(ranges(vec![]), []);
        assert_eq!(ranges(vec![3, 1, 2, 2, 7, 9, 8]), [(1, 4), (7, 10)]);
    }
}
