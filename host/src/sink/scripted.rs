//! For tests: a sink that answers as it is told, a store that can be made to fail, and who replays.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, OnceLock, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;

use super::{
    Batch, Entry, Limits, Origin, Parcel, Refused, SendError, Sink, Unencodable,
    delivery::{Delivery, Replay, Replayed, Settings},
};
use crate::{
    ack::{self, Finalizer, Outcome},
    deadletter::{DeadLetter, Subject},
    effects::EventView,
    event::{Object, ObjectKind, ObjectRef},
    finding::Finding,
    guard::{Guard, Mode},
    store::{Backend, Store},
    telemetry::{SinkCounters, SinkSnapshot},
};

pub(crate) type Answer = Result<Vec<Refused>, SendError>;
type Script = Box<dyn FnMut(&[String]) -> Answer + Send>;

/// A sink that asks its script about every request, given the entries as text.
pub(crate) struct Scripted {
    script: Mutex<Script>,
    pub(crate) limits: Limits,
    pub(crate) requests: Mutex<Vec<Vec<String>>>,
    pub(crate) accepted: Mutex<Vec<String>>,
    /// How long an answer takes.
    pub(crate) answers_after: Mutex<Duration>,
    in_flight: AtomicUsize,
    pub(crate) most_in_flight: AtomicUsize,
}

pub(crate) const LIMITS: Limits = Limits {
    max_entries: 100,
    max_bytes: 10_000,
    max_entry_bytes: 50,
    frame_bytes: 2,
    separator_bytes: 1,
};

impl Scripted {
    pub(crate) fn new(script: impl FnMut(&[String]) -> Answer + Send + 'static) -> Arc<Self> {
        Arc::new(Self {
            script: Mutex::new(Box::new(script)),
            limits: LIMITS,
            requests: Mutex::default(),
            accepted: Mutex::default(),
            answers_after: Mutex::new(Duration::from_millis(10)),
            in_flight: AtomicUsize::new(0),
            most_in_flight: AtomicUsize::new(0),
        })
    }

    pub(crate) fn now(&self, script: impl FnMut(&[String]) -> Answer + Send + 'static) {
        // A script that panicked is replaced like any other.
        *self
            .script
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = Box::new(script);
    }

    fn answer(&self, entries: Vec<String>) -> Answer {
        let answer = (self
            .script
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner))(&entries);
        let taken = match &answer {
            Ok(refused) => {
                let refused: Vec<usize> = refused.iter().map(|refused| refused.position).collect();
                (0..entries.len())
                    .filter(|position| !refused.contains(position))
                    .collect::<Vec<_>>()
            }
            Err(_) => Vec::new(),
        };
        self.accepted
            .lock()
            .unwrap()
            .extend(taken.into_iter().map(|position| entries[position].clone()));
        self.requests.lock().unwrap().push(entries);
        answer
    }
}

#[async_trait]
impl Sink for Scripted {
    fn limits(&self) -> Limits {
        self.limits
    }

    fn encode_event(&self, _: &EventView<'_>, _: &mut Vec<u8>) -> Result<(), Unencodable> {
        Err(Unencodable("takes no events".into()))
    }

    fn encode_finding(&self, finding: &Finding, out: &mut Vec<u8>) -> Result<(), Unencodable> {
        if finding.rule == "unspeakable" {
            return Err(Unencodable("cannot be said".into()));
        }
        out.extend_from_slice(
            format!(
                "{} x{} @{}",
                finding.rule, finding.count, finding.updated_ms
            )
            .as_bytes(),
        );
        Ok(())
    }

    async fn send(&self, batch: &Batch) -> Answer {
        let entries = batch
            .entries()
            .map(|entry| String::from_utf8(entry.to_vec()).unwrap())
            .collect();
        let in_flight = self.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_in_flight.fetch_max(in_flight, Ordering::SeqCst);
        let after = *self.answers_after.lock().unwrap();
        tokio::time::sleep(after).await;
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
        self.answer(entries)
    }

    async fn check(&self) -> anyhow::Result<String> {
        Ok("scripted".into())
    }
}

pub(crate) fn unavailable() -> Answer {
    Err(SendError::Unavailable(anyhow::anyhow!("503")))
}

pub(crate) fn misconfigured() -> Answer {
    Err(SendError::Misconfigured(anyhow::anyhow!("401")))
}

/// A store in memory that can be told to fail.
#[derive(Default)]
pub(crate) struct Shelf {
    blobs: Mutex<BTreeMap<String, Bytes>>,
    pub(crate) broken: AtomicBool,
}

#[async_trait]
impl Backend for Shelf {
    async fn put(&self, name: &str, body: Bytes) -> anyhow::Result<()> {
        anyhow::ensure!(!self.broken.load(Ordering::SeqCst), "disk full");
        self.blobs.lock().unwrap().insert(name.to_owned(), body);
        Ok(())
    }

    async fn get(&self, name: &str) -> anyhow::Result<Option<Bytes>> {
        Ok(self.blobs.lock().unwrap().get(name).cloned())
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> anyhow::Result<Vec<String>> {
        let blobs = self.blobs.lock().unwrap();
        let wanted = |name: &&String| {
            name.starts_with(prefix) && after.is_none_or(|after| name.as_str() > after)
        };
        Ok(blobs.keys().filter(wanted).take(limit).cloned().collect())
    }

    async fn delete(&self, name: &str) -> anyhow::Result<()> {
        self.blobs.lock().unwrap().remove(name);
        Ok(())
    }
}

/// One delivery with all around it.
pub(crate) struct World {
    pub(crate) sink: Arc<Scripted>,
    pub(crate) shelf: Arc<Shelf>,
    pub(crate) store: Arc<Store>,
    pub(crate) counters: Arc<SinkCounters>,
    pub(crate) delivery: Arc<Delivery>,
}

impl World {
    pub(crate) fn new(script: impl FnMut(&[String]) -> Answer + Send + 'static) -> Self {
        Self::with(&Settings::default(), script)
    }

    pub(crate) fn with(
        settings: &Settings,
        script: impl FnMut(&[String]) -> Answer + Send + 'static,
    ) -> Self {
        Self::on(Arc::default(), settings, script)
    }

    /// On the store that another world has left.
    pub(crate) fn on(
        shelf: Arc<Shelf>,
        settings: &Settings,
        script: impl FnMut(&[String]) -> Answer + Send + 'static,
    ) -> Self {
        let sink = Scripted::new(script);
        let store = Arc::new(Store::new(Arc::clone(&shelf) as Arc<dyn Backend>));
        let counters = Arc::new(SinkCounters::default());
        let delivery = Delivery::spawn(
            "sink",
            Arc::clone(&sink) as _,
            settings,
            Guard::new(Mode::Mask, Arc::default()),
            Arc::clone(&store),
            Arc::clone(&counters),
        );
        let delivery = Arc::new(delivery);
        delivery.catch_up(Arc::new(Again::of(&delivery)));
        Self {
            sink,
            shelf,
            store,
            counters,
            delivery,
        }
    }

    /// Delivers the events of one object at these positions.
    pub(crate) async fn give(&self, object: u32, indices: std::ops::Range<u32>) -> Finalizer {
        let (ack, finalizer) = ack::channel();
        self.delivery.deliver(parcel(object, indices), ack).await;
        finalizer
    }

    /// What the sink has accepted, sorted.
    pub(crate) fn accepted(&self) -> Vec<String> {
        let mut accepted = self.sink.accepted.lock().unwrap().clone();
        accepted.sort();
        accepted
    }

    pub(crate) fn requests(&self) -> usize {
        self.sink.requests.lock().unwrap().len()
    }

    pub(crate) async fn dead(&self) -> Vec<DeadLetter> {
        let stored = self.store.dead_letters(None, 10_000).await.unwrap();
        stored
            .into_iter()
            .map(|stored| stored.letter.unwrap())
            .collect()
    }

    pub(crate) async fn pending(&self) -> Vec<DeadLetter> {
        let stored = self.store.pending("sink", None, 10_000).await.unwrap();
        stored
            .into_iter()
            .map(|stored| stored.letter.unwrap())
            .collect()
    }

    /// The counters, which have to add up.
    pub(crate) fn counted(&self) -> SinkSnapshot {
        let snapshot = self.counters.snapshot();
        assert_eq!(snapshot.in_hand(), 0, "{snapshot:?}");
        snapshot
    }
}

pub(crate) fn names(object: u32, indices: std::ops::Range<u32>) -> Vec<String> {
    indices
        .map(|index| format!("{object}/{index:03}"))
        .collect()
}

/// Entries whose bytes are `object/index`.
pub(crate) fn parcel(object: u32, indices: std::ops::Range<u32>) -> Parcel {
    let reference = ObjectRef {
        bucket: "leanda-ng-cloudtrail-test-123456789012".into(),
        key: format!("a_CloudTrail_eu-west-1_202307{object:02}T0000Z_x.json.gz"),
        version: None,
    };
    let origin = Origin::Object(Arc::new(Object::new(
        reference,
        "1".into(),
        ObjectKind::Log,
    )));
    let (mut data, mut entries) = (Vec::new(), Vec::new());
    for (index, name) in indices.clone().zip(names(object, indices)) {
        let start = u32::try_from(data.len()).unwrap();
        data.extend_from_slice(name.as_bytes());
        entries.push(Entry {
            start,
            end: u32::try_from(data.len()).unwrap(),
            index,
        });
    }
    Parcel {
        origin,
        data: data.into(),
        entries,
        budget: None,
    }
}

/// Replays what [`parcel`] made.
struct Again {
    delivery: OnceLock<Weak<Delivery>>,
}

impl Again {
    fn of(delivery: &Arc<Delivery>) -> Self {
        Self {
            delivery: OnceLock::from(Arc::downgrade(delivery)),
        }
    }
}

#[async_trait]
impl Replay for Again {
    async fn replay(
        &self,
        _sink: &str,
        _name: &str,
        letter: &DeadLetter,
    ) -> anyhow::Result<Replayed> {
        let Subject::Events { object, ranges, .. } = &letter.subject else {
            anyhow::bail!("no events")
        };
        let delivery = self.delivery.get().and_then(Weak::upgrade).unwrap();
        let number: u32 = object.key.split('_').nth(3).unwrap()[6..8].parse().unwrap();
        let (ack, finalizer) = ack::channel();
        for (start, end) in ranges {
            delivery
                .deliver_replayed(parcel(number, *start..*end), ack.clone())
                .await;
        }
        ack.settle(Outcome::Delivered);
        Ok(finalizer.outcome().await.into())
    }
}
