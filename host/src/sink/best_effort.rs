//! Sinks that nobody waits for. A best-effort sink gets what it can take; the rest is given up and
//! counted, and the log tells of it at both ends of a bad stretch.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use crate::{deadletter::Cause, text::shown};

/// What is promised about one sink.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Guarantee {
    /// A message is done only when the sink has all of it, or what it does not have is stored as
    /// pending or as a dead letter.
    #[default]
    Required,
    /// No message waits for the sink and nothing is stored for it: what it does not take is given up.
    BestEffort,
}

/// Why a best-effort sink did not get something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GivenUp {
    /// As many parcels, or as many bytes, as may wait for it did so already.
    QueueFull,
    /// The host stopped before the sink had taken it.
    Stopped,
    /// What would have been pending, or a dead letter, for a required sink.
    Sink(Cause),
}

impl GivenUp {
    /// How many there are.
    pub(crate) const COUNT: usize = Cause::ALL.len() + 2;

    /// All of them, in the order of [`slot`](Self::slot).
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let causes = Cause::ALL.into_iter().map(Self::Sink);
        causes.chain([Self::QueueFull, Self::Stopped])
    }

    /// Its number, below [`COUNT`](Self::COUNT).
    pub(crate) fn slot(self) -> usize {
        match self {
            Self::Sink(cause) => cause as usize,
            Self::QueueFull => Cause::ALL.len(),
            Self::Stopped => Cause::ALL.len() + 1,
        }
    }

    /// The name as it stands in logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::QueueFull => "queue-full",
            Self::Stopped => "stopped",
            Self::Sink(cause) => cause.as_str(),
        }
    }
}

impl std::fmt::Display for GivenUp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A room is counted in these bytes.
const UNIT: usize = 1 << 10;

/// How much may wait for one sink and be in flight to it, in bytes of encoded events. It is apart from
/// what the pipeline works with, so that a slow sink does not hold up the others.
#[derive(Debug)]
pub(super) struct Room {
    whole: u32,
    free: Arc<Semaphore>,
}

impl Room {
    pub(super) fn of(bytes: usize) -> Self {
        let whole = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
        Self {
            whole,
            free: Arc::new(Semaphore::new(whole as usize)),
        }
    }

    /// Takes a share for so many bytes. What is larger than the room has it for itself.
    pub(super) fn take(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
        let free = Arc::clone(&self.free);
        free.try_acquire_many_owned(units.min(self.whole)).ok()
    }
}

/// How long nothing must have been given up before a stretch counts as over.
const QUIET: Duration = Duration::from_mins(1);

/// The time in which one sink does not get everything: a line in the log when it begins, and one when it
/// is over.
#[derive(Debug)]
pub(super) struct Stretch {
    sink: String,
    bad: Mutex<Option<Bad>>,
}

#[derive(Debug)]
struct Bad {
    events: usize,
    last: Instant,
}

impl Stretch {
    pub(super) fn new(sink: &str) -> Self {
        Self {
            sink: sink.to_owned(),
            bad: Mutex::default(),
        }
    }

    /// So many were given up.
    pub(super) fn gave_up(&self, events: usize, why: GivenUp, reason: &str) {
        let last = Instant::now();
        let mut bad = self.bad.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bad) = &mut *bad {
            bad.events += events;
            bad.last = last;
            return;
        }
        *bad = Some(Bad { events, last });
        drop(bad);
        tracing::warn!(
            sink = self.sink,
            cause = %why,
            error = shown(reason),
            "best-effort sink does not get everything; what it does not take is given up"
        );
    }

    /// The sink took something. Ends the stretch if nothing was given up for a while.
    pub(super) fn took(&self) {
        self.end_if(|bad| bad.last.elapsed() >= QUIET);
    }

    /// Ends the stretch with the host.
    pub(super) fn end(&self) {
        self.end_if(|_| true);
    }

    fn end_if(&self, over: impl FnOnce(&mut Bad) -> bool) {
        let mut bad = self.bad.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = bad.take_if(over);
        drop(bad);
        if let Some(Bad { events, .. }) = ended {
            tracing::warn!(
                sink = self.sink,
                events,
                "best-effort sink did not get everything; that is over, and these were given up"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_slot_of_its_own() {
        assert!(GivenUp::all().map(GivenUp::slot).eq(0..GivenUp::COUNT));
    }

    #[test]
    fn a_room_is_shared_out_until_it_is_full() {
        let room = Room::of(10 << 10);
        let (first, second) = (room.take(1), room.take(9 << 10));
        assert!(first.is_some() && second.is_some());
        assert!(room.take(1).is_none());
        drop((first, second));
        assert!(room.take(1 << 30).is_some(), "alone in the room");
    }
}
