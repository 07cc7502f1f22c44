//! The loop that every sink shares: batch, rate limit, send, retry, settle.
//!
//! Parcels wait in a bounded queue, are packed into batches, and each batch is shipped by a task of its
//! own, `concurrency` of them at a time. Only here are the acknowledgements of parcels settled.

use std::{
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicBool},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::{
    sync::{Semaphore, mpsc},
    task::{JoinHandle, JoinSet},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

pub use super::catch_up::{Replay, Replayed};
use super::{
    Batch, Entry, Origin, Parcel, Part, Sink,
    batch::Packer,
    catch_up::{CatchUp, Owing},
    hold::Hold,
    keeper::Keeper,
    rate_limit::RateLimit,
    retry::Backoff,
    shipment::Shipper,
};
use crate::{
    ack::Ack,
    config::Problems,
    deadletter::Cause,
    guard::{Caught, Guard, Mode},
    store::Store,
    telemetry::SinkCounters,
};

/// How events reach one sink.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Events in one request. Default 1,000; 1 to 100,000; never more than the sink takes.
    pub max_events: usize,
    /// Uncompressed bytes of one request. Default 1,000,000; 1,000 to 100,000,000; never more than the
    /// sink takes. A larger event goes alone.
    pub max_bytes: usize,
    /// Milliseconds that a batch waits for more events. Default 500; 0 to 60,000.
    pub linger_ms: u64,
    /// Requests in flight at the same time. Default 2; 1 to 64.
    pub concurrency: usize,
    /// Requests a second. Default 10; 1 to 10,000.
    pub requests_per_second: u32,
    /// Requests that may go at once after a pause. Default 10; 1 to 10,000.
    pub burst: u32,
    /// Events a second. Default none: no limit; 1 to 10,000,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events_per_second: Option<u32>,
    /// Bytes of events and findings a second, as they are sent but before they are compressed. Default
    /// none: no limit; 1,000 to 1,000,000,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_per_second: Option<u32>,
    /// Seconds without an answer after which the sink is held. Default 60; 1 to 3,600.
    pub hold_after_s: u64,
    /// Upper bound in milliseconds of the first wait before a request is sent again. Default 500; 10 to
    /// 60,000.
    pub retry_initial_ms: u64,
    /// Upper bound in milliseconds of every such wait. Default 30,000; 10 to 600,000.
    pub retry_max_ms: u64,
    /// Seconds between two attempts to reach a held sink. Default 30; 1 to 3,600.
    pub probe_interval_s: u64,
    /// Parcels (at most 1,000 events each) that wait before intake pauses. Default 8; 1 to 1,024.
    pub queue_parcels: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_events: 1_000,
            max_bytes: 1_000_000,
            linger_ms: 500,
            concurrency: 2,
            requests_per_second: 10,
            burst: 10,
            events_per_second: None,
            bytes_per_second: None,
            hold_after_s: 60,
            retry_initial_ms: 500,
            retry_max_ms: 30_000,
            probe_interval_s: 30,
            queue_parcels: 8,
        }
    }
}

impl Settings {
    /// Reports every value out of its range; `at` is the section's path.
    pub fn validate(&self, at: &str, problems: &mut Problems) {
        problems.range(&format!("{at}.max_events"), self.max_events, 1..=100_000);
        problems.range(
            &format!("{at}.max_bytes"),
            self.max_bytes,
            1_000..=100_000_000,
        );
        problems.range(&format!("{at}.linger_ms"), self.linger_ms, 0..=60_000);
        problems.range(&format!("{at}.concurrency"), self.concurrency, 1..=64);
        problems.range(
            &format!("{at}.requests_per_second"),
            self.requests_per_second,
            1..=10_000,
        );
        problems.range(&format!("{at}.burst"), self.burst, 1..=10_000);
        if let Some(events) = self.events_per_second {
            problems.range(&format!("{at}.events_per_second"), events, 1..=10_000_000);
        }
        if let Some(bytes) = self.bytes_per_second {
            problems.range(
                &format!("{at}.bytes_per_second"),
                bytes,
                1_000..=1_000_000_000,
            );
        }
        problems.range(&format!("{at}.hold_after_s"), self.hold_after_s, 1..=3_600);
        problems.range(
            &format!("{at}.retry_initial_ms"),
            self.retry_initial_ms,
            10..=60_000,
        );
        problems.range(
            &format!("{at}.retry_max_ms"),
            self.retry_max_ms,
            10..=600_000,
        );
        problems.range(
            &format!("{at}.probe_interval_s"),
            self.probe_interval_s,
            1..=3_600,
        );
        problems.range(
            &format!("{at}.queue_parcels"),
            self.queue_parcels,
            1..=1_024,
        );
    }

    /// The same for one of `replicas` hosts that send to the sink: its part of every rate, rounded down,
    /// so that all together stay within the whole, and at least 1, so that it still sends.
    #[must_use]
    pub fn shared_by(&self, replicas: u32) -> Self {
        let part = |whole: u32| (whole / replicas.max(1)).max(1);
        Self {
            requests_per_second: part(self.requests_per_second),
            burst: part(self.burst),
            events_per_second: self.events_per_second.map(part),
            bytes_per_second: self.bytes_per_second.map(part),
            ..self.clone()
        }
    }

    fn backoff(&self) -> Backoff {
        Backoff {
            initial: Duration::from_millis(self.retry_initial_ms),
            max: Duration::from_millis(self.retry_max_ms),
        }
    }

    fn rate(&self) -> RateLimit {
        let number = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        RateLimit::new(
            number(self.requests_per_second),
            number(self.burst),
            self.events_per_second.map(number),
            self.bytes_per_second.map(number),
        )
    }
}

/// The way to one sink. Dropping it abandons what is in hand: those messages come again.
pub struct Delivery {
    sink: Arc<dyn Sink>,
    guard: Guard,
    jobs: mpsc::Sender<Job>,
    closing: CancellationToken,
    hold: Arc<Hold>,
    keeper: Arc<Keeper>,
    probe_interval: Duration,
    loading: Mutex<Option<JoinHandle<()>>>,
    catching_up: Mutex<Option<JoinHandle<()>>>,
}

struct Job {
    parcel: Parcel,
    ack: Ack,
    replayed: bool,
}

impl Delivery {
    /// Starts to deliver to `sink`. Runs until [`drain`](Self::drain), or until dropped.
    #[must_use]
    pub fn spawn(
        name: &str,
        sink: Arc<dyn Sink>,
        settings: &Settings,
        guard: Guard,
        store: Arc<Store>,
        counters: Arc<SinkCounters>,
    ) -> Self {
        let hold_after = Duration::from_secs(settings.hold_after_s);
        let hold = Arc::new(Hold::new(name, hold_after));
        let keeper = Arc::new(Keeper {
            sink: name.to_owned(),
            store,
            counters,
            owing: Arc::new(Owing::new()),
            store_failing: AtomicBool::new(false),
        });
        let shipper = Shipper {
            sink: Arc::clone(&sink),
            hold: Arc::clone(&hold),
            keeper: Arc::clone(&keeper),
            rate: settings.rate(),
            backoff: settings.backoff(),
            hold_after,
        };
        let (jobs, queue) = mpsc::channel(settings.queue_parcels.max(1));
        let closing = CancellationToken::new();
        let loader = Loader::new(settings, shipper);
        Self {
            sink,
            guard,
            jobs,
            hold,
            keeper,
            probe_interval: Duration::from_secs(settings.probe_interval_s.max(1)),
            loading: Mutex::new(Some(tokio::spawn(loader.run(queue, closing.clone())))),
            catching_up: Mutex::new(None),
            closing,
        }
    }

    /// The sink's name in the configuration.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.keeper.sink
    }

    /// The sink itself, to encode for it.
    #[must_use]
    pub fn sink(&self) -> &Arc<dyn Sink> {
        &self.sink
    }

    /// What becomes of secrets that are found at the last look.
    #[must_use]
    pub fn guard(&self) -> Mode {
        self.guard.mode()
    }

    /// The last look at what was encoded for this sink, before it is handed over: see
    /// [`Guard::inspect`]. What it finds is counted and logged; `place` is the object or the finding.
    pub fn inspect(
        &self,
        data: &mut Vec<u8>,
        entries: &mut Vec<Entry>,
        place: &str,
    ) -> Vec<Caught> {
        let caught = self.guard.inspect(data, entries);
        for secret in caught.iter().flat_map(|caught| &caught.secrets) {
            self.keeper.counters.found(*secret);
        }
        let now_ms = crate::clock::now_ms();
        self.guard.tell(self.name(), place, &caught, now_ms);
        caught
    }

    /// Takes a parcel on; waits while the queue is full. The acknowledgement is settled when every
    /// entry has ended.
    pub async fn deliver(&self, parcel: Parcel, ack: Ack) {
        self.accept(Job {
            parcel,
            ack,
            replayed: false,
        })
        .await;
    }

    /// Takes on a parcel that a pending reference stands for. It is sent even while the sink is held;
    /// if the sink still does not take it, it ends as pending without being stored again.
    pub async fn deliver_replayed(&self, parcel: Parcel, ack: Ack) {
        self.accept(Job {
            parcel,
            ack,
            replayed: true,
        })
        .await;
    }

    async fn accept(&self, job: Job) {
        // Without a place in the queue, which happens after a drain only, the dropped
        // acknowledgement gives the message back.
        if let Ok(place) = self.jobs.reserve().await {
            self.keeper
                .counters
                .received(job.parcel.entries.len(), job.replayed);
            place.send(job);
        }
    }

    /// Dead-letters an event or a finding that this sink cannot be sent, such as one that it cannot
    /// express.
    pub async fn reject(&self, parcel: Parcel, ack: Ack, cause: Cause, reason: &str) {
        self.keeper.counters.received(parcel.entries.len(), false);
        let entries = 0..parcel.entries.len();
        let part = Part {
            parcel: Arc::new(parcel),
            entries,
            ack,
        };
        self.keeper
            .bury(Batch { parts: vec![part] }, cause, reason)
            .await;
    }

    /// Why the sink is held, if it is.
    #[must_use]
    pub fn held(&self) -> Option<Cause> {
        self.hold.cause()
    }

    /// Begins to catch up: pending references, those of earlier runs too, are replayed when the sink
    /// takes them. Without this a hold lasts until the next start.
    pub fn catch_up(&self, replay: Arc<dyn Replay>) {
        let task = CatchUp {
            sink: self.keeper.sink.clone(),
            store: Arc::clone(&self.keeper.store),
            hold: Arc::clone(&self.hold),
            owing: Arc::clone(&self.keeper.owing),
            interval: self.probe_interval,
            replay,
        };
        let before = locked(&self.catching_up).replace(tokio::spawn(task.run()));
        before.inspect(JoinHandle::abort);
    }

    /// Takes nothing more, sends what waits, and returns when every entry has ended. What was being
    /// caught up stays pending.
    pub async fn drain(&self) {
        let catching_up = locked(&self.catching_up).take();
        catching_up.inspect(JoinHandle::abort);
        self.closing.cancel();
        let loading = locked(&self.loading).take();
        if let Some(loading) = loading {
            // The loader does not panic, and if it did, what it held is given back.
            let _ = AbortOnDrop(loading).wait().await;
        }
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        locked(&self.catching_up).take().inspect(JoinHandle::abort);
        locked(&self.loading).take().inspect(JoinHandle::abort);
    }
}

impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Delivery")
            .field("sink", &self.name())
            .field("held", &self.held())
            .finish_non_exhaustive()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A drain that is given up takes the task with it.
struct AbortOnDrop(JoinHandle<()>);

impl AbortOnDrop {
    async fn wait(mut self) -> Result<(), tokio::task::JoinError> {
        (&mut self.0).await
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Packs parcels into batches and sends each batch on its way.
struct Loader {
    packer: Packer,
    /// When the open batch goes even if it is not full.
    due: Option<Instant>,
    linger: Duration,
    shipper: Arc<Shipper>,
    berths: Arc<Semaphore>,
    shipments: JoinSet<()>,
    new_packer: Box<dyn Fn() -> Packer + Send>,
}

impl Loader {
    fn new(settings: &Settings, shipper: Shipper) -> Self {
        let limits = shipper.sink.limits();
        let berths = shipper.sink.most_in_hand(settings.concurrency).max(1);
        let (max_events, max_bytes) = (settings.max_events, settings.max_bytes);
        let new_packer = move || Packer::new(limits).aiming_at(max_events, max_bytes);
        Self {
            packer: new_packer(),
            due: None,
            linger: Duration::from_millis(settings.linger_ms),
            shipper: Arc::new(shipper),
            berths: Arc::new(Semaphore::new(berths)),
            shipments: JoinSet::new(),
            new_packer: Box::new(new_packer),
        }
    }

    async fn run(mut self, mut queue: mpsc::Receiver<Job>, closing: CancellationToken) {
        loop {
            let due = self.due;
            tokio::select! {
                job = queue.recv() => match job {
                    Some(job) if job.replayed => self.load_replayed(job).await,
                    Some(job) => self.load(job).await,
                    None => break,
                },
                () = sleep_until(due) => self.flush().await,
                () = closing.cancelled(), if !queue.is_closed() => queue.close(),
                Some(_) = self.shipments.join_next() => {}
            }
        }
        self.flush().await;
        while self.shipments.join_next().await.is_some() {}
    }

    async fn load(&mut self, job: Job) {
        let filled = self.packer.push(job.parcel, job.ack);
        let full = !filled.full.is_empty();
        self.ship(filled.full, filled.too_large, false).await;
        if self.packer.is_empty() {
            self.due = None;
        } else if full || self.due.is_none() {
            self.due = Some(Instant::now() + self.linger);
        }
    }

    /// Whoever replays waits for the outcome, so that lingering would only cost time.
    async fn load_replayed(&mut self, job: Job) {
        let mut packer = (self.new_packer)();
        let mut filled = packer.push(job.parcel, job.ack);
        filled.full.extend(packer.take());
        self.ship(filled.full, filled.too_large, true).await;
    }

    async fn flush(&mut self) {
        self.due = None;
        let batch = self.packer.take();
        self.ship(batch, Vec::new(), false).await;
    }

    /// Waits for a berth for each batch.
    async fn ship(
        &mut self,
        batches: impl IntoIterator<Item = Batch>,
        too_large: Vec<Part>,
        replayed: bool,
    ) {
        if !too_large.is_empty() {
            let reason = "larger than one request to the sink may be";
            self.shipper
                .keeper
                .bury(Batch { parts: too_large }, Cause::SinkTooLarge, reason)
                .await;
        }
        for batch in batches {
            let berth = Arc::clone(&self.berths)
                .acquire_owned()
                .await
                .expect("never closed");
            let shipper = Arc::clone(&self.shipper);
            self.shipments.spawn(async move {
                shipper.ship(batch, replayed).await;
                drop(berth);
            });
        }
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// A parcel that stands for one entry without bytes, for [`Delivery::reject`].
#[must_use]
pub fn without_bytes(origin: Origin, index: u32) -> Parcel {
    let entries = vec![Entry {
        start: 0,
        end: 0,
        index,
    }];
    Parcel {
        origin,
        data: bytes::Bytes::new(),
        entries,
        budget: None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests;
