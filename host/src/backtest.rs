//! Trying plugins on what was logged before: over a folder or a bucket's prefix, without any sink.
//!
//! Objects are judged in parallel and reported in the order of their keys, and a plugin's clock is the
//! newest event's time, so that two runs over the same objects say the same to the byte.

mod place;
mod report;

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use futures_util::{StreamExt as _, stream};
use tokio::runtime::Handle;

pub use place::{Listed, Place};
pub use report::{Hit, Hour, Report, RuleReport};

use crate::{
    columns::{Path, Projection},
    effects::{Fate, Processed},
    event::EventBatch,
    plugin::{ChainWorker, PluginChain},
    source::{
        OpenObject,
        records::{Decoder, Limits, Step},
    },
    timestamp,
};

/// Plugins, ready to be tried.
pub struct Backtest {
    chain: Arc<PluginChain>,
    limits: Limits,
    parallel: usize,
    idle: Mutex<Vec<ChainWorker>>,
}

/// What the plugins said of one object.
#[derive(Debug, Default)]
pub(crate) struct Judged {
    pub(crate) events: u64,
    pub(crate) bad_events: u64,
    pub(crate) hits: Vec<Hit>,
    pub(crate) masks: u64,
    pub(crate) dropped: u64,
    pub(crate) withheld: u64,
    /// Why the object ended early, or could not be opened.
    pub(crate) fault: Option<String>,
}

/// How far a back-test has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Objects reported.
    pub objects: u64,
    /// Objects in all.
    pub of_objects: u64,
    /// Stored bytes of the objects reported.
    pub bytes: u64,
    /// Stored bytes of all objects.
    pub of_bytes: u64,
    /// Events judged.
    pub events: u64,
}

impl Backtest {
    /// A back-test of these plugins, on at most `parallel` objects at once.
    #[must_use]
    pub fn new(chain: PluginChain, limits: Limits, parallel: usize) -> Self {
        Self {
            chain: Arc::new(chain),
            limits,
            parallel: parallel.max(1),
            idle: Mutex::default(),
        }
    }

    /// Judges all objects of a place. `each` is told every hit, in the order of objects and events, and
    /// `progress` after every object.
    ///
    /// # Errors
    /// When the place cannot be listed, or whoever is told fails. An object that cannot be read is no
    /// error; the report names it.
    pub async fn run(
        self: &Arc<Self>,
        place: &Arc<Place>,
        mut each: impl FnMut(&Hit) -> anyhow::Result<()>,
        mut progress: impl FnMut(Progress) -> anyhow::Result<()>,
    ) -> anyhow::Result<Report> {
        let listed = place.list().await?;
        let mut done = Progress {
            of_objects: listed.len() as u64,
            of_bytes: listed.iter().map(|object| object.size).sum(),
            ..Progress::default()
        };
        let judging = listed.into_iter().map(|object| {
            let (this, place, runtime) = (Arc::clone(self), Arc::clone(place), Handle::current());
            async move {
                let judge = move || {
                    let judged = this.judge(&place, &object, &runtime);
                    (object, judged)
                };
                let judged = tokio::task::spawn_blocking(judge).await;
                judged.context("judging an object panicked")
            }
        });
        let mut judging = stream::iter(judging).buffered(self.parallel);
        let mut report = Report::default();
        while let Some(judged) = judging.next().await {
            let (object, judged) = judged?;
            judged.hits.iter().try_for_each(&mut each)?;
            done.objects += 1;
            done.bytes += object.size;
            done.events += judged.events;
            report.add(&object.reference.url(), judged);
            progress(done)?;
        }
        Ok(report)
    }

    fn judge(&self, place: &Place, object: &Listed, runtime: &Handle) -> Judged {
        let mut judged = Judged::default();
        match runtime.block_on(place.open(&object.reference)) {
            Ok(open) => self.judge_open(open, runtime, &mut judged),
            Err(error) => judged.fault = Some(format!("{error:#}")),
        }
        judged
    }

    fn judge_open(&self, mut open: OpenObject, runtime: &Handle, judged: &mut Judged) {
        let idle = self.idle().pop();
        let mut worker = idle.unwrap_or_else(|| ChainWorker::new(Arc::clone(&self.chain)));
        let mut decoder = Decoder::new(Arc::new(open.object), self.limits);
        loop {
            match decoder.step() {
                Step::Batch(batch) => {
                    let now_ms = newest_ms(&batch);
                    judged.add(&worker.process(batch, now_ms));
                }
                Step::Bad(_) => judged.bad_events += 1,
                Step::Hungry => match runtime.block_on(open.body.next()) {
                    Some(Ok(piece)) => decoder.feed(piece),
                    Some(Err(error)) => {
                        judged.fault = Some(format!("{error:#}"));
                        break;
                    }
                    None => decoder.finish(),
                },
                Step::End(_) => break,
                Step::Fault(fault) => {
                    judged.fault = Some(format!("{}: {}", fault.cause, fault.error));
                    break;
                }
            }
        }
        self.idle().push(worker);
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<ChainWorker>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Backtest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Backtest")
            .field("parallel", &self.parallel)
            .finish_non_exhaustive()
    }
}

/// The time of a batch's newest event; 0 where none has a time.
pub(crate) fn newest_ms(batch: &EventBatch) -> i64 {
    let mut projection = Projection::new();
    let path = Path::parse("/eventTime").expect("a constant pointer");
    let column = projection.column(&path);
    let columns = projection.project(batch);
    (0..batch.events.len())
        .filter_map(|row| timestamp::parse_ms(&columns.text(batch, row, column)))
        .max()
        .unwrap_or_default()
}

impl Judged {
    fn add(&mut self, processed: &Processed) {
        self.events += processed.rows() as u64;
        self.masks += processed.masks.len() as u64;
        self.withheld += processed.withheld.len() as u64;
        let dropped = (0..processed.rows()).filter(|row| processed.fate(*row) == Fate::Drop);
        self.dropped += dropped.count() as u64;
        let object = processed.batch.object.id;
        let sightings = processed.sightings.iter();
        self.hits
            .extend(sightings.map(|(_, sighting)| Hit::new(object, sighting)));
    }
}
