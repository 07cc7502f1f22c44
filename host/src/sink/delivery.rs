//! The loop that every sink shares: batch, rate limit, send, retry, settle.
//!
//! Parcels wait in a bounded queue, are packed into batches, and each batch is shipped by a task of its
//! own, `concurrency` of them at a time. Only here are the acknowledgements of parcels settled: for a
//! best-effort sink at once, for the others when every entry has ended.

use std::{
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicBool},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::{
    sync::{
        Semaphore,
        mpsc::{self, error::TrySendError},
    },
    task::{JoinHandle, JoinSet},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

pub use super::catch_up::{Replay, Replayed};
use super::{
    Batch, Entry, Origin, Parcel, Part, Sink,
    batch::Packer,
    best_effort::{GivenUp, Guarantee, Room, Stretch},
    catch_up::{CatchUp, Owing},
    day::DayBytes,
    hold::Hold,
    keeper::Keeper,
    rate_limit::RateLimit,
    retry::Backoff,
    shipment::Shipper,
};
use crate::{
    ack::{self, Ack, Outcome},
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
    /// What is promised about the sink. Default `required`.
    pub guarantee: Guarantee,
    /// Events in one request. Default 1,000; 1 to 100,000; never more than the sink takes.
    pub max_events: usize,
    /// Uncompressed bytes of one request. Default 1,000,000; 1,000 to 100,000,000; never more than the
    /// sink takes. A larger event goes alone.
    pub max_bytes: usize,
    /// Milliseconds that a batch waits for more events while another request is under way; with none under
    /// way it waits for a pause of 10 ms. Default 500; 0 to 60,000.
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
    /// The same in one calendar day in UTC, as a licence has it. Once that is spent the sink is held until
    /// midnight. Counted by each host since its start. Default none: no limit; 1,000,000 to 10^15.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_per_day: Option<u64>,
    /// Seconds without an answer after which the sink is held. Default 60; 1 to 3,600.
    pub hold_after_s: u64,
    /// Upper bound in milliseconds of the first wait before a request is sent again. Default 500; 10 to
    /// 60,000.
    pub retry_initial_ms: u64,
    /// Upper bound in milliseconds of every such wait. Default 30,000; 10 to 600,000.
    pub retry_max_ms: u64,
    /// Seconds between two attempts to reach a held sink. Default 30; 1 to 3,600.
    pub probe_interval_s: u64,
    /// Parcels (at most 1,000 events each, or one finding) that wait before intake pauses, or before a
    /// best-effort sink does not get what comes. Default 8; 1 to 1,024.
    pub queue_parcels: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            guarantee: Guarantee::Required,
            max_events: 1_000,
            max_bytes: 1_000_000,
            linger_ms: 500,
            concurrency: 2,
            requests_per_second: 10,
            burst: 10,
            events_per_second: None,
            bytes_per_second: None,
            bytes_per_day: None,
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
        if let Some(bytes) = self.bytes_per_day {
            problems.range(
                &format!("{at}.bytes_per_day"),
                bytes,
                1_000_000..=1_000_000_000_000_000,
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
            bytes_per_day: self
                .bytes_per_day
                .map(|bytes| (bytes / u64::from(replicas.max(1))).max(1)),
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

/// What a best-effort sink may take of memory, unless it is told otherwise.
const ROOM_BYTES: usize = 32 << 20;
/// What a best-effort sink gets at a drain for what waits.
const LAST_CALL: Duration = Duration::from_secs(5);

/// The way to one sink. Dropping it abandons what is in hand: those messages come again.
pub struct Delivery {
    sink: Arc<dyn Sink>,
    guard: Guard,
    jobs: mpsc::Sender<Job>,
    closing: CancellationToken,
    /// See [`Shipper::abandoned`].
    abandoned: CancellationToken,
    /// Of a best-effort sink.
    room: Option<Room>,
    hold: Arc<Hold>,
    keeper: Arc<Keeper>,
    day: Option<Arc<DayBytes>>,
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
        let hold = Arc::new(Hold::new(name, hold_after, settings.guarantee));
        let best_effort = settings.guarantee == Guarantee::BestEffort;
        let keeper = Arc::new(Keeper {
            sink: name.to_owned(),
            store,
            counters,
            owing: Arc::new(Owing::new()),
            store_failing: AtomicBool::new(false),
            stretch: best_effort.then(|| Stretch::new(name)),
        });
        let probe_interval = Duration::from_secs(settings.probe_interval_s.max(1));
        let abandoned = CancellationToken::new();
        let day = settings
            .bytes_per_day
            .map(|most| Arc::new(DayBytes::new(most, crate::clock::now_ms())));
        let shipper = Shipper {
            sink: Arc::clone(&sink),
            hold: Arc::clone(&hold),
            keeper: Arc::clone(&keeper),
            rate: settings.rate(),
            day: day.clone(),
            backoff: settings.backoff(),
            hold_after,
            probe_interval,
            abandoned: abandoned.clone(),
        };
        let (jobs, queue) = mpsc::channel(settings.queue_parcels.max(1));
        let closing = CancellationToken::new();
        let loader = Loader::new(settings, shipper);
        Self {
            sink,
            guard,
            jobs,
            abandoned,
            room: best_effort.then(|| Room::of(ROOM_BYTES)),
            hold,
            keeper,
            day,
            probe_interval,
            loading: Mutex::new(Some(tokio::spawn(loader.run(queue, closing.clone())))),
            catching_up: Mutex::new(None),
            closing,
        }
    }

    /// Sets how many bytes of encoded events may wait for a best-effort sink or be in flight to it; 32 MiB
    /// without this. What goes to other sinks is counted where it is made ([`Parcel::budget`]).
    #[must_use]
    pub fn with_room(mut self, bytes: usize) -> Self {
        if let Some(room) = &mut self.room {
            *room = Room::of(bytes);
        }
        self
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
    /// entry has ended. A best-effort sink makes nobody wait: its share is settled at once, and what
    /// finds no place in the queue is given up.
    pub async fn deliver(&self, parcel: Parcel, ack: Ack) {
        if let Some(room) = &self.room {
            return self.offer(room, parcel, ack);
        }
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

    fn offer(&self, room: &Room, mut parcel: Parcel, ack: Ack) {
        self.keeper.counters.received(parcel.entries.len(), false);
        let (why, reason) = match (self.jobs.try_reserve(), room.take(parcel.data.len())) {
            (Ok(place), Some(share)) => {
                // From here on it takes nothing from what the others work with.
                parcel.budget = Some(Arc::new(share));
                ack.settle(Outcome::Delivered);
                return place.send(Job {
                    parcel,
                    ack: ack::channel().0,
                    replayed: false,
                });
            }
            (Err(TrySendError::Closed(())), _) => (GivenUp::Stopped, "the host stops"),
            _ => (GivenUp::QueueFull, "its queue is full"),
        };
        self.keeper.give_up(whole(parcel, ack), why, reason);
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
    /// express. For a best-effort sink it is given up.
    pub async fn reject(&self, parcel: Parcel, ack: Ack, cause: Cause, reason: &str) {
        self.keeper.counters.received(parcel.entries.len(), false);
        self.keeper.bury(whole(parcel, ack), cause, reason).await;
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
            day: self.day.clone(),
            interval: self.probe_interval,
            replay,
            alone: !self.keeper.is_best_effort(),
        };
        let before = locked(&self.catching_up).replace(tokio::spawn(task.run()));
        before.inspect(JoinHandle::abort);
    }

    /// Takes nothing more, sends what waits, and returns when every entry has ended. What was being
    /// caught up stays pending. A best-effort sink gets five seconds; what it has not taken then is given
    /// up, and may be there all the same.
    pub async fn drain(&self) {
        self.drain_with(LAST_CALL).await;
    }

    /// The same with at most this time for a best-effort sink, if it is less.
    pub async fn drain_with(&self, last_call: Duration) {
        let catching_up = locked(&self.catching_up).take();
        catching_up.inspect(JoinHandle::abort);
        self.closing.cancel();
        let loading = locked(&self.loading).take();
        if let Some(loading) = loading {
            let ended = AbortOnDrop(loading).wait();
            tokio::pin!(ended);
            if self.keeper.is_best_effort() {
                let last_call = last_call.min(LAST_CALL);
                if tokio::time::timeout(last_call, &mut ended).await.is_ok() {
                    return self.end_stretch();
                }
                self.abandoned.cancel();
            }
            // The loader does not panic, and if it did, what it held is given back.
            let _ = ended.await;
        }
        self.end_stretch();
    }

    fn end_stretch(&self) {
        if let Some(stretch) = &self.keeper.stretch {
            stretch.end();
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

/// All of a parcel.
fn whole(parcel: Parcel, ack: Ack) -> Batch {
    let part = Part {
        entries: 0..parcel.entries.len(),
        parcel: Arc::new(parcel),
        ack,
    };
    Batch { parts: vec![part] }
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

/// With no request under way a batch goes when nothing has come for so long: while the sink is idle, waiting
/// for more only costs time. While it is busy what comes gathers, up to the linger.
const QUIET: Duration = Duration::from_millis(10);

/// Packs parcels into batches and sends each batch on its way.
struct Loader {
    packer: Packer,
    /// When the open batch goes even if it is not full.
    due: Option<Instant>,
    /// When it goes if no request is under way then.
    quiet: Option<Instant>,
    linger: Duration,
    shipper: Arc<Shipper>,
    berths: Arc<Semaphore>,
    shipments: JoinSet<()>,
    /// Those of replayed parcels, which do not make live ones wait.
    replays: JoinSet<()>,
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
            quiet: None,
            linger: Duration::from_millis(settings.linger_ms),
            shipper: Arc::new(shipper),
            berths: Arc::new(Semaphore::new(berths)),
            shipments: JoinSet::new(),
            replays: JoinSet::new(),
            new_packer: Box::new(new_packer),
        }
    }

    async fn run(mut self, mut queue: mpsc::Receiver<Job>, closing: CancellationToken) {
        loop {
            let due = self.due();
            tokio::select! {
                // In this order: what has come already goes with the batch that is due.
                biased;
                () = closing.cancelled(), if !queue.is_closed() => queue.close(),
                Some(_) = self.shipments.join_next() => {}
                Some(_) = self.replays.join_next() => {}
                job = queue.recv() => match job {
                    Some(job) if job.replayed => self.load_replayed(job).await,
                    Some(job) => self.load(job).await,
                    None => break,
                },
                () = sleep_until(due) => self.flush().await,
            }
        }
        self.flush().await;
        while self.shipments.join_next().await.is_some() {}
        while self.replays.join_next().await.is_some() {}
    }

    /// When the open batch is to go, as things stand.
    fn due(&self) -> Option<Instant> {
        let quiet = self.quiet.filter(|_| self.shipments.is_empty());
        quiet.into_iter().chain(self.due).min()
    }

    async fn load(&mut self, job: Job) {
        let filled = self.packer.push(job.parcel, job.ack);
        let full = !filled.full.is_empty();
        self.ship(filled.full, filled.too_large, false).await;
        if self.packer.is_empty() {
            (self.due, self.quiet) = (None, None);
            return;
        }
        let now = Instant::now();
        if full || self.due.is_none() {
            self.due = Some(now + self.linger);
        }
        self.quiet = Some(now + QUIET);
    }

    /// Whoever replays waits for the outcome, so that lingering would only cost time.
    async fn load_replayed(&mut self, job: Job) {
        let mut packer = (self.new_packer)();
        let mut filled = packer.push(job.parcel, job.ack);
        filled.full.extend(packer.take());
        self.ship(filled.full, filled.too_large, true).await;
    }

    async fn flush(&mut self) {
        (self.due, self.quiet) = (None, None);
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
            let tasks = if replayed {
                &mut self.replays
            } else {
                &mut self.shipments
            };
            tasks.spawn(async move {
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
