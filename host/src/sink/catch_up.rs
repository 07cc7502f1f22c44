//! Catching up: pending references are replayed one at a time, oldest first, when the sink answers.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use tokio::time::Instant;

use super::{day::DayBytes, hold::Hold};
use crate::{
    ack::Outcome,
    claims::Held,
    deadletter::{Cause, DeadLetter},
    store::{Store, Stored},
};

const PAGE: usize = 50;
/// How often it is looked without a reason: others may store references too, as `dead-letters redrive` does.
const LOOK_ANYWAY: Duration = Duration::from_mins(1);
/// Replays in a row that may come to nothing before the rest waits for the next pass.
const IN_VAIN: usize = 3;

/// Reads again what a pending reference is about, and gives it to the sink's delivery.
#[async_trait]
pub trait Replay: Send + Sync + 'static {
    /// Replays the reference of this name for one sink, through
    /// [`Delivery::deliver_replayed`](super::delivery::Delivery::deliver_replayed), and waits for the
    /// outcome. `Delivered` and `DeadLettered` remove the reference; otherwise it stays.
    ///
    /// # Errors
    /// When the reference could not be read again; it stays.
    async fn replay(&self, sink: &str, name: &str, letter: &DeadLetter)
    -> anyhow::Result<Replayed>;
}

/// How a replay ended. To be dropped after the reference was removed: until then nobody else replays it.
#[derive(Debug)]
pub struct Replayed {
    outcome: Outcome,
    _claim: Held,
}

impl Replayed {
    pub(crate) fn under(claim: Held, outcome: Outcome) -> Self {
        Self {
            outcome,
            _claim: claim,
        }
    }
}

impl From<Outcome> for Replayed {
    fn from(outcome: Outcome) -> Self {
        Self::under(Held::default(), outcome)
    }
}

/// What a sink may still be owed.
#[derive(Debug)]
pub(super) struct Owing {
    /// Whether there may be pending references; true at start, because nobody has looked.
    maybe: AtomicBool,
    /// Batches that could not be stored as references yet.
    unstored: AtomicUsize,
}

impl Owing {
    pub(super) fn new() -> Self {
        Self {
            maybe: AtomicBool::new(true),
            unstored: AtomicUsize::new(0),
        }
    }

    /// A reference was, or is about to be, stored.
    pub(super) fn more(&self) {
        self.maybe.store(true, Ordering::Release);
    }

    /// Counts a batch that cannot be stored, until what is returned is dropped.
    pub(super) fn unstored(&self) -> Unstored<'_> {
        self.unstored.fetch_add(1, Ordering::AcqRel);
        Unstored(self)
    }

    fn nothing(&self) -> bool {
        !self.maybe.load(Ordering::Acquire) && self.unstored.load(Ordering::Acquire) == 0
    }
}

/// See [`Owing::unstored`].
pub(super) struct Unstored<'a>(&'a Owing);

impl Drop for Unstored<'_> {
    fn drop(&mut self) {
        self.0.unstored.fetch_sub(1, Ordering::AcqRel);
    }
}

/// What the task that catches up for one sink knows.
pub(super) struct CatchUp {
    pub(super) sink: String,
    pub(super) store: Arc<Store>,
    pub(super) hold: Arc<Hold>,
    pub(super) owing: Arc<Owing>,
    /// What may go to the sink today: nothing is read again in vain once that is spent.
    pub(super) day: Option<Arc<DayBytes>>,
    pub(super) interval: Duration,
    pub(super) replay: Arc<dyn Replay>,
    /// Whether what comes is kept while the sink is held, so that nothing but this tries it.
    pub(super) alone: bool,
}

impl CatchUp {
    /// Runs until it is aborted. What it was replaying then is still pending.
    pub(super) async fn run(self) {
        let mut after: Option<String> = None;
        let mut looked = Instant::now();
        loop {
            if self.day.as_ref().is_some_and(|day| day.is_spent()) {
                tokio::time::sleep(self.interval).await;
                continue;
            }
            self.hold.lift(Cause::SinkQuota);
            let told = self.owing.maybe.load(Ordering::Acquire) || self.hold.cause().is_some();
            if told || looked.elapsed() >= LOOK_ANYWAY {
                after = self.pass(after).await;
                looked = Instant::now();
            }
            tokio::time::sleep(self.interval).await;
        }
    }

    /// Replays what is pending after this name, until the end or until the sink takes nothing. Returns
    /// where the next pass begins: every probe of a held sink takes the next reference, so that one that
    /// the sink cannot bear does not keep it held for ever.
    async fn pass(&self, mut after: Option<String>) -> Option<String> {
        let whole = after.is_none();
        let held = self.hold.cause().is_some();
        // Cleared before looking: what becomes pending meanwhile sets it again.
        self.owing.maybe.store(false, Ordering::Release);
        let (mut left, mut in_vain) = (0, 0);
        loop {
            let page = match self.store.pending(&self.sink, after.as_deref(), PAGE).await {
                Ok(page) => page,
                Err(error) => {
                    tracing::warn!(
                        sink = self.sink,
                        error = format!("{error:#}"),
                        "failed to look for pending work"
                    );
                    self.owing.more();
                    return after;
                }
            };
            let last = page.len() < PAGE;
            for stored in page {
                after = Some(stored.name.clone());
                let resolved = self.resolved(stored).await;
                left += usize::from(!resolved);
                in_vain = if resolved { 0 } else { in_vain + 1 };
                if in_vain >= IN_VAIN || in_vain > 0 && self.hold.cause().is_some() {
                    self.owing.more();
                    return after;
                }
            }
            if last {
                return self.finish(whole, left, held);
            }
        }
    }

    fn finish(&self, whole: bool, left: usize, held: bool) -> Option<String> {
        if left > 0 || !whole {
            self.owing.more();
        } else if held && self.alone && self.owing.nothing() {
            // There is nothing to probe with: the next batch will tell. A hold that has begun since is
            // about to store what it keeps.
            self.hold.end();
        }
        None
    }

    /// Replays one reference and removes it when nothing of it is owed any more.
    async fn resolved(&self, stored: Stored) -> bool {
        match self.replay(&stored).await {
            Ok(resolved) => resolved,
            Err(error) => {
                let error = crate::text::shown(&format!("{error:#}"));
                tracing::warn!(
                    sink = self.sink,
                    reference = stored.name,
                    error,
                    "failed to replay pending work"
                );
                false
            }
        }
    }

    async fn replay(&self, stored: &Stored) -> anyhow::Result<bool> {
        let letter = match &stored.letter {
            Ok(letter) => letter,
            Err(error) => anyhow::bail!("{error:#}"),
        };
        let replayed = self.replay.replay(&self.sink, &stored.name, letter).await?;
        match replayed.outcome {
            Outcome::Delivered | Outcome::DeadLettered => {
                self.store.resolve(&stored.name).await?;
                Ok(true)
            }
            Outcome::Pending | Outcome::Failed => Ok(false),
        }
    }
}
