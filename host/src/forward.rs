//! Forwarding one object: opened, decoded, judged by the plugins, encoded, and given to the deliveries.
//!
//! [`Forwarder::forward`] reads the object batch by batch under the memory budget. Each delivery (every
//! sink that takes events, and the findings) has an acknowledgement of its own, so that the ledger can
//! say afterwards who has all of the object. The same way leads a pending reference back to its sink,
//! with a [`Scope`] that names the sink and the events.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
    time::Duration,
};

use anyhow::Context as _;
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::{
    StreamExt as _,
    future::{BoxFuture, join_all},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    ack::Outcome,
    claims::{Claims, Held},
    clock::Clock,
    deadletter::{Cause, DeadLetter, Subject},
    digest::{hex, sha256},
    effects::{Fate, Processed, Withheld},
    event::{EventBatch, Object, ObjectRef},
    finding::Sighting,
    findings::Findings,
    guard::{
        Guard, Mode,
        alarm::{Alarms, Watch},
    },
    ledger::{Known, Ledger},
    mask::Masker,
    pipeline::{OWN_PENDING, Settings, SinkPlan},
    plugin::ChainWorker,
    progress::Track,
    selection::{Selection, Taken},
    sink::{
        Accept, Entry, Guarantee, Origin, Parcel, Sink, Unencodable,
        catch_up::{Replay, Replayed},
        delivery::Delivery,
    },
    source::{
        Body, OpenError, OpenObject, Source,
        records::{BATCH_BYTES, BadEvent, Decoder, ObjectFault, Step, Summary},
    },
    store::Store,
    telemetry::{Counters, SinkCounters},
    work::Work,
    workers::Workers,
};

/// The name under which the ledger notes that an object's findings are safe.
const FINDINGS: &str = "findings";
/// Stored bytes that are gathered before a worker is asked to decode them.
const PIECE: usize = 256 << 10;
/// The memory budget is counted in these units.
const UNIT: usize = 1 << 10;
/// How often opening is tried before the message is released.
const OPEN_TRIES: u32 = 4;
/// Bad events that are gathered, and ranges of them that one dead letter lists.
const BAD_EVENTS: usize = 1000;

/// What of an object is to be forwarded, and to whom.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    /// One sink, by name; everybody where it is none.
    sink: Option<String>,
    /// Half-open ranges of positions, ascending; all events where there are none.
    ranges: Vec<(u32, u32)>,
    /// Whether a pending reference leads here, which stays where it is unless this ends well.
    replay: bool,
    /// Told when the first bytes are about to be read, and what goes wrong.
    work: Arc<Work>,
}

impl Scope {
    /// All of an object to everybody who does not have it, as a message announced it. `work` is that on the
    /// message: until it has begun the message can be handed back without any waste.
    pub(crate) fn live(work: &Arc<Work>) -> Self {
        Self {
            sink: None,
            ranges: Vec::new(),
            replay: false,
            work: Arc::clone(work),
        }
    }

    /// What a pending reference stands for.
    fn replay(sink: Option<&str>, ranges: &[(u32, u32)]) -> Self {
        Self {
            sink: sink.map(ToOwned::to_owned),
            ranges: ranges.to_vec(),
            replay: true,
            work: Arc::default(),
        }
    }

    fn wants(&self, index: u32) -> bool {
        self.ranges.is_empty()
            || self
                .ranges
                .iter()
                .any(|(first, end)| (*first..*end).contains(&index))
    }

    /// Whether the whole object goes to everybody: then what is wrong with it is told, and the ledger
    /// knows who has it.
    fn is_whole(&self) -> bool {
        self.sink.is_none() && self.ranges.is_empty()
    }

    /// What a dead letter says when the object cannot be read from its fault on; nothing when no event
    /// from there on was wanted.
    fn rest(&self, object: &ObjectRef, fault: &ObjectFault) -> Option<Subject> {
        let wanted = self
            .ranges
            .iter()
            .filter(|(_, end)| *end > fault.from_index);
        let ranges: Vec<_> = wanted
            .map(|(first, end)| (*first.max(&fault.from_index), *end))
            .collect();
        let to_the_end = |(_, end): &(u32, u32)| *end == u32::MAX;
        if self.ranges.is_empty() || ranges.last().is_some_and(to_the_end) {
            return Some(Subject::Object {
                object: object.clone(),
                offset: Some(fault.offset),
                from_index: Some(fault.from_index),
            });
        }
        (!ranges.is_empty()).then(|| Subject::Events {
            object: object.clone(),
            ranges,
            sha256: None,
        })
    }

    /// What a dead letter says when the object cannot be read at all.
    fn subject(&self, object: &ObjectRef) -> Subject {
        if self.ranges.is_empty() {
            Subject::Object {
                object: object.clone(),
                offset: None,
                from_index: None,
            }
        } else {
            Subject::Events {
                object: object.clone(),
                ranges: self.ranges.clone(),
                sha256: None,
            }
        }
    }
}

/// What a [`Forwarder`] is made of.
pub(crate) struct Parts {
    pub(crate) source: Arc<dyn Source>,
    pub(crate) workers: Workers,
    pub(crate) sinks: Vec<SinkPlan>,
    pub(crate) masker: Arc<Masker>,
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) store: Arc<Store>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) settings: Settings,
    pub(crate) findings: crate::findings::Settings,
    pub(crate) claims: Arc<Claims>,
    pub(crate) clock: Clock,
}

/// A sink that takes events.
struct Lane {
    name: String,
    sink: Arc<dyn Sink>,
    /// Position among the sinks of the plugin chain.
    position: usize,
    selection: Selection,
    delivery: Arc<Delivery>,
    counters: Arc<SinkCounters>,
}

/// Forwards objects.
pub(crate) struct Forwarder {
    source: Arc<dyn Source>,
    workers: Workers,
    lanes: Arc<Vec<Lane>>,
    watch: Arc<Watch>,
    deliveries: Vec<Arc<Delivery>>,
    findings: Findings,
    ledger: Arc<dyn Ledger>,
    store: Arc<Store>,
    counters: Arc<Counters>,
    settings: Settings,
    budget: Arc<Semaphore>,
    claims: Arc<Claims>,
    clock: Clock,
}

/// The end of one object: how it ended for everybody concerned.
pub(crate) type End = BoxFuture<'static, Outcome>;

fn ended(outcome: Outcome) -> End {
    Box::pin(std::future::ready(outcome))
}

/// Those who get something of one object, each with acknowledgements of its own.
struct Shares {
    /// By lane.
    lanes: BTreeMap<usize, Track>,
    findings: Option<Track>,
}

impl Shares {
    fn all(&mut self) -> impl Iterator<Item = &mut Track> {
        self.lanes.values_mut().chain(&mut self.findings)
    }

    fn is_empty(&self) -> bool {
        self.lanes.is_empty() && self.findings.is_none()
    }

    /// What a worker has to know of them.
    fn wanted(&self) -> Wanted {
        let lanes = self.lanes.iter().map(|(lane, track)| (*lane, track.from));
        let findings = self.findings.as_ref().map(|track| track.from);
        let lanes: BTreeMap<_, _> = lanes.collect();
        let from = lanes.values().copied().chain(findings).min();
        Wanted {
            from: from.unwrap_or(0),
            lanes,
            findings: findings.is_some(),
        }
    }
}

/// What a worker made of the next bytes of an object.
struct Progress {
    decoder: Decoder,
    bad: Vec<BadEvent>,
    what: What,
}

enum What {
    Batch(Box<Shipment>),
    /// Nothing yet, and enough bad events to deal with them first.
    Bad,
    Hungry,
    End(Summary),
    Fault(ObjectFault),
}

/// A batch, judged and encoded.
struct Shipment {
    /// The position that follows its last event.
    end: u32,
    events: usize,
    bytes: usize,
    /// Events that were dropped, by the filter that dropped them.
    drops: BTreeMap<String, usize>,
    sightings: Vec<Sighting>,
    withheld: Vec<(u32, Withheld, [u8; 32])>,
    lanes: Vec<Encoded>,
}

/// What one lane gets of a batch.
struct Encoded {
    lane: usize,
    data: Vec<u8>,
    entries: Vec<Entry>,
    /// Events that this lane cannot be sent, and why.
    rejected: Vec<(u32, Cause, String)>,
    /// Events that it would have got: of those that a filter dropped, how many, and of those that nobody
    /// gets, their positions.
    dropped: usize,
    withheld: Vec<u32>,
}

impl Forwarder {
    pub(crate) fn start(parts: Parts) -> anyhow::Result<Arc<Self>> {
        check_names(&parts.sinks)?;
        let room = room(&parts.sinks, parts.settings.memory_bytes);
        let mut settings = parts.settings;
        settings.memory_bytes -= room * best_effort(&parts.sinks);
        let mut lanes = Vec::new();
        let mut deliveries = Vec::new();
        let mut finding_deliveries = Vec::new();
        for (position, plan) in parts.sinks.into_iter().enumerate() {
            let counters = parts.counters.sink(&plan.name);
            let delivery = Delivery::spawn(
                &plan.name,
                Arc::clone(&plan.sink),
                &plan.delivery.shared_by(settings.replicas),
                Guard::new(plan.egress_guard, Arc::clone(&parts.masker)),
                Arc::clone(&parts.store),
                Arc::clone(&counters),
            );
            let delivery = Arc::new(delivery.with_room(room));
            deliveries.push(Arc::clone(&delivery));
            if plan.accept.contains(&Accept::Findings) {
                finding_deliveries.push(Arc::clone(&delivery));
            }
            let fields = plan.sink.fields().len();
            if let Some(selection) = Selection::of(&plan.accept, &plan.clauses, fields) {
                lanes.push(Lane {
                    name: plan.name,
                    sink: plan.sink,
                    position,
                    selection,
                    delivery,
                    counters,
                });
            }
        }
        let guarded = finding_deliveries
            .iter()
            .any(|delivery| delivery.guard() != Mode::Count);
        let ledger = Arc::clone(&parts.ledger);
        let findings = Findings::new(
            ledger,
            finding_deliveries,
            &parts.findings,
            Arc::clone(&parts.clock),
        );
        let forwarder = Arc::new(Self {
            source: parts.source,
            workers: parts.workers,
            lanes: Arc::new(lanes),
            watch: Arc::new(Watch::new(guarded)),
            deliveries,
            findings,
            ledger: parts.ledger,
            store: parts.store,
            counters: parts.counters,
            budget: Arc::new(Semaphore::new(settings.memory_bytes / UNIT)),
            settings,
            claims: parts.claims,
            clock: parts.clock,
        });
        for delivery in &forwarder.deliveries {
            delivery.catch_up(Arc::new(Replayer(Arc::downgrade(&forwarder))));
        }
        Ok(forwarder)
    }

    /// Sends what is still owed and stops the deliveries.
    pub(crate) async fn drain(&self) {
        self.findings.drain().await;
        // A best-effort sink must not use up what the others get.
        let last_call = Duration::from_secs(self.settings.grace_s) / 2;
        let deliveries = self.deliveries.iter();
        join_all(deliveries.map(|delivery| delivery.drain_with(last_call))).await;
    }

    /// Reads an object and gives its events to the deliveries. Returns, once all of it was given, the
    /// end to wait for.
    pub(crate) async fn forward(&self, reference: &ObjectRef, scope: Scope) -> End {
        let open = match self.open(reference).await {
            Ok(open) => open,
            Err(error) => return ended(self.unopened(reference, &scope, error).await),
        };
        let object = Arc::new(open.object);
        let takes = |lane: &Lane| lane.selection.of_object(object.kind) != Taken::Nothing;
        if !object.kind.has_events() && !self.lanes.iter().any(takes) {
            self.counters.notifications.add("digest-object", 1);
            return ended(Outcome::Delivered);
        }
        let mut shares = self.shares(&object, &scope).await;
        if shares.is_empty() {
            self.counters.objects_skipped.add(1);
            return ended(Outcome::Delivered);
        }
        self.counters.objects.add(1);
        let (read, sha256) = match self
            .read(&object, open.size, open.body, &scope, &mut shares)
            .await
        {
            Ok((outcome, sha256)) => (outcome, sha256),
            Err(error) => {
                scope.work.failed(&error.root_cause().to_string());
                let error = crate::text::shown(&format!("{error:#}"));
                tracing::warn!(
                    object = object.url,
                    error,
                    "failed to forward an object; it comes again"
                );
                (Outcome::Failed, None)
            }
        };
        self.end(object, shares, read, sha256, scope)
    }

    /// Opens an object; what is passing is tried again here.
    async fn open(&self, reference: &ObjectRef) -> Result<OpenObject, OpenError> {
        let mut tries = 0;
        loop {
            match self.source.open(reference).await {
                Err(OpenError::Unavailable(error)) if tries + 1 < OPEN_TRIES => {
                    let wait = Duration::from_millis(fastrand::u64(100..=500 << tries));
                    tracing::debug!(
                        object = reference.url(),
                        error = format!("{error:#}"),
                        "opening again"
                    );
                    tries += 1;
                    tokio::time::sleep(wait).await;
                }
                opened => return opened,
            }
        }
    }

    /// What becomes of an object that cannot be opened.
    async fn unopened(&self, reference: &ObjectRef, scope: &Scope, error: OpenError) -> Outcome {
        let object = crate::text::shown(&reference.url());
        let subject = scope.subject(reference);
        match error {
            OpenError::Unavailable(error) => {
                // Which object it is stands beside it.
                scope.work.failed(&error.root_cause().to_string());
                let error = crate::text::shown(&format!("{error:#}"));
                tracing::warn!(object, error, "failed to open an object; it comes again");
                Outcome::Failed
            }
            OpenError::Denied(error) => {
                let error = crate::text::shown(&format!("{error:#}"));
                tracing::error!(
                    object,
                    error,
                    "access to an object is denied; it is kept as pending"
                );
                self.pend(Cause::ObjectDenied, subject, None, error, scope)
                    .await
            }
            OpenError::Lost { cause, error } => {
                let error = format!("{error:#}");
                tracing::error!(object, %cause, error = crate::text::shown(&error), "an object is lost; it is kept as a dead letter");
                self.bury(cause, subject, None, error, scope).await
            }
        }
    }

    async fn bury(
        &self,
        cause: Cause,
        subject: Subject,
        plugin: Option<String>,
        error: String,
        scope: &Scope,
    ) -> Outcome {
        let sink = scope.sink.clone();
        let letter = DeadLetter {
            time_ms: (self.clock)(),
            cause,
            subject,
            sink,
            plugin,
            error,
        };
        self.counters.dead_letters.add(cause.as_str(), 1);
        stored(cause, self.store.bury(&letter).await, Outcome::DeadLettered)
    }

    /// Stores a reference that the pipeline itself will try again. One that led here stays instead.
    async fn pend(
        &self,
        cause: Cause,
        subject: Subject,
        plugin: Option<String>,
        error: String,
        scope: &Scope,
    ) -> Outcome {
        if scope.replay {
            return Outcome::Failed;
        }
        let letter = DeadLetter {
            time_ms: (self.clock)(),
            cause,
            subject,
            sink: None,
            plugin,
            error,
        };
        stored(
            cause,
            self.store.pend(OWN_PENDING, &letter).await,
            Outcome::Pending,
        )
    }

    /// A share for each delivery that does not have all of the object.
    async fn shares(&self, object: &Object, scope: &Scope) -> Shares {
        let whole = scope.is_whole();
        let known = if whole {
            self.ledger.known(object.id).await.unwrap_or_else(|error| {
                let error = crate::text::shown(&format!("{error:#}"));
                tracing::warn!(
                    object = object.url,
                    error,
                    "failed to ask the ledger; sinks may get this object again"
                );
                Known::default()
            })
        } else {
            Known::default()
        };
        let track = |name: &str| {
            let from = known.upto.get(name).copied().unwrap_or(0);
            let owed = !known.complete.iter().any(|complete| complete == name);
            owed.then(|| Track::new(name, from, whole))
        };
        let wanted = |lane: &Lane| scope.sink.as_ref().is_none_or(|sink| *sink == lane.name);
        let lanes = self.lanes.iter().enumerate();
        let lanes = lanes.filter(|(_, lane)| wanted(lane));
        Shares {
            lanes: lanes
                .filter_map(|(number, lane)| Some((number, track(&lane.name)?)))
                .collect(),
            findings: scope.sink.is_none().then(|| track(FINDINGS)).flatten(),
        }
    }

    /// Waits for everybody concerned, and notes in the ledger who has all of the object.
    fn end(
        &self,
        object: Arc<Object>,
        shares: Shares,
        read: Outcome,
        sha256: Option<[u8; 32]>,
        scope: Scope,
    ) -> End {
        let ledger = Arc::clone(&self.ledger);
        Box::pin(async move {
            let tracks = shares.lanes.into_values().chain(shares.findings);
            let ends = tracks.map(|track| track.outcome(read, &object, &*ledger));
            let mut worst = Outcome::Delivered;
            let mut complete = Vec::new();
            for (name, outcome) in join_all(ends).await {
                worst = worst.max(outcome);
                if outcome.is_settled() {
                    complete.push(name);
                } else {
                    scope
                        .work
                        .failed(&format!("{name} could not be given all of it"));
                }
            }
            if scope.is_whole()
                && !complete.is_empty()
                && let Err(error) = ledger
                    .complete(object.id, &object.url, &complete, sha256)
                    .await
            {
                let error = crate::text::shown(&format!("{error:#}"));
                tracing::warn!(
                    object = object.url,
                    error,
                    "failed to note an object in the ledger"
                );
            }
            worst
        })
    }

    /// Reads all of an object. Returns how that ended, sinks apart, and the hash of the inflated bytes.
    async fn read(
        &self,
        object: &Arc<Object>,
        size: Option<u64>,
        mut body: Body,
        scope: &Scope,
        shares: &mut Shares,
    ) -> anyhow::Result<(Outcome, Option<[u8; 32]>)> {
        let charge = self.charge(size);
        let mut decoder = Decoder::new(Arc::clone(object), self.settings.objects);
        let mut permit = self.permit(charge).await?;
        scope.work.begin();
        let mut worst = Outcome::Delivered;
        let mut bad = BadEvents::default();
        loop {
            let progress = self.step(decoder, scope, shares).await?;
            decoder = progress.decoder;
            bad.add(progress.bad);
            if bad.is_full() {
                worst = worst.max(self.bury_bad(object, std::mem::take(&mut bad), scope).await);
            }
            match progress.what {
                What::Bad => {}
                What::Hungry => match next_piece(&mut body).await? {
                    Some(piece) => decoder.feed(piece),
                    None => decoder.finish(),
                },
                What::Batch(shipment) => {
                    worst = worst.max(
                        self.dispatch(object, *shipment, permit, scope, shares)
                            .await,
                    );
                    for track in shares.all() {
                        track.advance(object, &*self.ledger).await;
                    }
                    permit = self.permit(charge).await?;
                }
                What::End(summary) => {
                    self.counters
                        .bytes
                        .add(usize::try_from(summary.bytes).unwrap_or(usize::MAX));
                    worst = worst.max(self.bury_bad(object, bad, scope).await);
                    return Ok((worst, Some(summary.sha256)));
                }
                What::Fault(fault) => {
                    worst = worst.max(self.bury_bad(object, bad, scope).await);
                    return Ok((worst.max(self.bury_rest(object, fault, scope).await), None));
                }
            }
        }
    }

    /// What a batch of an object may take of the memory budget, in bytes, with its encoded forms.
    fn charge(&self, size: Option<u64>) -> usize {
        let forms = 2 + 2 * self.lanes.len();
        let full = forms * BATCH_BYTES + 2 * self.settings.objects.max_event_bytes;
        let small = size
            .and_then(|size| usize::try_from(size).ok())
            .map(|size| (size * 32 + (64 << 10)) * forms);
        small
            .map_or(full, |small| small.min(full))
            .min(self.settings.memory_bytes)
    }

    async fn permit(&self, bytes: usize) -> anyhow::Result<OwnedSemaphorePermit> {
        let units = u32::try_from(bytes / UNIT).unwrap_or(u32::MAX);
        Arc::clone(&self.budget)
            .acquire_many_owned(units)
            .await
            .context("the memory budget is closed")
    }

    /// Decodes on until there is a batch, judges it and encodes it, all on one worker.
    async fn step(
        &self,
        mut decoder: Decoder,
        scope: &Scope,
        shares: &Shares,
    ) -> anyhow::Result<Progress> {
        let lanes = Arc::clone(&self.lanes);
        let watch = Arc::clone(&self.watch);
        let wanted = shares.wanted();
        let scope = scope.clone();
        let now_ms = (self.clock)();
        self.workers
            .run(move |worker| {
                let mut bad = Vec::new();
                let what = loop {
                    match decoder.step() {
                        // Of a reference's events, those outside it were told of when it was made.
                        Step::Bad(event) if !scope.wants(event.index) => {}
                        Step::Bad(event) => {
                            bad.push(event);
                            if bad.len() == BAD_EVENTS {
                                break What::Bad;
                            }
                        }
                        Step::Hungry => break What::Hungry,
                        Step::End(summary) => break What::End(summary),
                        Step::Fault(fault) => break What::Fault(fault),
                        Step::Batch(mut batch) => {
                            batch.events.retain(|span| {
                                scope.wants(span.index) && span.index >= wanted.from
                            });
                            if !batch.events.is_empty() {
                                let shipment = ship(worker, batch, &lanes, &wanted, &watch, now_ms);
                                break What::Batch(Box::new(shipment));
                            }
                        }
                    }
                };
                Progress { decoder, bad, what }
            })
            .await
    }

    /// Gives a batch to the deliveries. Waits while one of their queues is full.
    async fn dispatch(
        &self,
        object: &Arc<Object>,
        shipment: Shipment,
        mut permit: OwnedSemaphorePermit,
        scope: &Scope,
        shares: &mut Shares,
    ) -> Outcome {
        // What the batch turned out to need less than was reserved is given back now.
        let surplus = (permit.num_permits() * UNIT).saturating_sub(shipment.bytes) / UNIT;
        drop(permit.split(surplus));
        let permit = Arc::new(permit);
        if shares.findings.is_some() {
            self.counters.events.add(shipment.events);
            self.counters.sightings.add(shipment.sightings.len());
            for (plugin, count) in &shipment.drops {
                self.counters.plugin_drops.add(plugin, *count as u64);
            }
        }
        let withheld = self.withhold(object, &shipment, scope, shares).await;
        if let Some(findings) = &mut shares.findings {
            let ack = findings.share(shipment.end);
            if !shipment.sightings.is_empty() {
                self.findings.report(shipment.sightings, ack.clone()).await;
            }
            ack.settle(withheld);
        }
        for encoded in shipment.lanes {
            let Some(track) = shares.lanes.get_mut(&encoded.lane) else {
                continue;
            };
            let ack = track.share(shipment.end);
            let lane = &self.lanes[encoded.lane];
            lane.counters.dropped(encoded.dropped);
            for (index, cause, reason) in encoded.rejected {
                let entry = Entry {
                    start: 0,
                    end: 0,
                    index,
                };
                let parcel = parcel(object, Vec::new(), vec![entry], &permit);
                lane.delivery
                    .reject(parcel, ack.clone(), cause, &reason)
                    .await;
            }
            if !encoded.entries.is_empty() {
                let parcel = parcel(object, encoded.data, encoded.entries, &permit);
                if scope.sink.is_some() {
                    lane.delivery.deliver_replayed(parcel, ack.clone()).await;
                } else {
                    lane.delivery.deliver(parcel, ack.clone()).await;
                }
            }
            ack.settle(withheld);
        }
        withheld
    }

    /// Keeps the references of events that redaction could not judge.
    async fn withhold(
        &self,
        object: &Object,
        shipment: &Shipment,
        scope: &Scope,
        shares: &Shares,
    ) -> Outcome {
        let mut worst = Outcome::Delivered;
        let (pending, dead): (Vec<_>, Vec<_>) = shipment
            .withheld
            .iter()
            .partition(|(_, withheld, _)| withheld.pending);
        for (index, event, sha256) in dead {
            let subject = Subject::Events {
                object: object.reference.clone(),
                ranges: vec![(*index, index + 1)],
                sha256: Some(hex(sha256)),
            };
            let plugin = Some(event.plugin.clone());
            worst = worst.max(
                self.bury(Withheld::CAUSE, subject, plugin, event.error.clone(), scope)
                    .await,
            );
        }
        if let Some((_, first, _)) = pending.first() {
            let ranges = ranges(pending.iter().map(|(index, ..)| *index));
            let subject = Subject::Events {
                object: object.reference.clone(),
                ranges,
                sha256: None,
            };
            let plugin = Some(first.plugin.clone());
            worst = worst.max(
                self.pend(Withheld::CAUSE, subject, plugin, first.error.clone(), scope)
                    .await,
            );
        }
        let lanes = shipment.lanes.iter();
        for encoded in lanes.filter(|encoded| shares.lanes.contains_key(&encoded.lane)) {
            let counters = &self.lanes[encoded.lane].counters;
            let withheld = &encoded.withheld;
            let is_its = |(index, ..): &&&(u32, _, _)| withheld.binary_search(index).is_ok();
            let pending = pending.iter().filter(is_its).count();
            counters.received(withheld.len(), scope.replay);
            let ended = |count, outcome| counters.ended(count, outcome, Withheld::CAUSE);
            if worst == Outcome::Failed {
                ended(withheld.len(), Outcome::Failed);
            } else {
                ended(pending, Outcome::Pending);
                ended(withheld.len() - pending, Outcome::DeadLettered);
            }
        }
        worst
    }

    /// Dead-letters single events at fault: one letter a cause, however many they are.
    async fn bury_bad(&self, object: &Object, bad: BadEvents, scope: &Scope) -> Outcome {
        let mut worst = Outcome::Delivered;
        for (cause, group) in bad.0 {
            tracing::error!(
                object = object.url,
                %cause,
                events = group.count,
                error = group.first.error,
                "events at fault are kept as a dead letter",
            );
            let subject = Subject::Events {
                object: object.reference.clone(),
                sha256: group
                    .first
                    .sha256
                    .filter(|_| group.count == 1)
                    .map(|hash| hex(&hash)),
                ranges: group.ranges,
            };
            worst = worst.max(
                self.bury(cause, subject, None, group.first.error, scope)
                    .await,
            );
        }
        worst
    }

    /// Dead-letters an object from its fault on.
    async fn bury_rest(&self, object: &Object, fault: ObjectFault, scope: &Scope) -> Outcome {
        let Some(subject) = scope.rest(&object.reference, &fault) else {
            return Outcome::Delivered;
        };
        tracing::error!(
            object = object.url,
            cause = %fault.cause,
            offset = fault.offset,
            events_before = fault.from_index,
            error = fault.error,
            "an object is at fault and kept as a dead letter",
        );
        self.bury(fault.cause, subject, None, fault.error, scope)
            .await
    }

    /// Tries the pipeline's own pending references again, oldest first.
    pub(crate) async fn replay_own_pending(&self) -> anyhow::Result<()> {
        let mut after: Option<String> = None;
        loop {
            let page = self
                .store
                .pending(OWN_PENDING, after.as_deref(), 50)
                .await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = Some(last.name.clone());
            for stored in page {
                let letter = stored.letter?;
                let Some(_claim) = self.claim(&stored.name).await? else {
                    continue;
                };
                if self.replay_for_all(&letter).await.is_settled() {
                    self.store.resolve(&stored.name).await?;
                }
            }
        }
    }

    /// Claims a pending reference. Nothing where somebody else replays it, or has done so.
    async fn claim(&self, name: &str) -> anyhow::Result<Option<Held>> {
        let Some(claim) = self.claims.take_reference(name).await else {
            return Ok(None);
        };
        Ok(self.store.get(name).await?.map(|_| claim))
    }

    /// Replays a reference that every sink is owed.
    async fn replay_for_all(&self, letter: &DeadLetter) -> Outcome {
        match &letter.subject {
            Subject::Object { object, .. } => {
                self.forward(object, Scope::replay(None, &[])).await.await
            }
            Subject::Events { object, ranges, .. } => {
                self.forward(object, Scope::replay(None, ranges))
                    .await
                    .await
            }
            Subject::Message { .. } | Subject::Finding { .. } => Outcome::Failed,
        }
    }
}

/// Leads a sink's pending references back through the forwarder.
struct Replayer(Weak<Forwarder>);

#[async_trait]
impl Replay for Replayer {
    async fn replay(
        &self,
        sink: &str,
        name: &str,
        letter: &DeadLetter,
    ) -> anyhow::Result<Replayed> {
        let forwarder = self.0.upgrade().context("the pipeline has ended")?;
        let Some(claim) = forwarder.claim(name).await? else {
            return Ok(Outcome::Pending.into());
        };
        let outcome = match &letter.subject {
            Subject::Events { object, ranges, .. } => {
                let scope = Scope::replay(Some(sink), ranges);
                forwarder.forward(object, scope).await.await
            }
            Subject::Finding { id } => forwarder.findings.replay(sink, id).await?,
            Subject::Object { .. } | Subject::Message { .. } => {
                anyhow::bail!("a pending reference of a sink names no events and no finding")
            }
        };
        Ok(Replayed::under(claim, outcome))
    }
}

fn best_effort(sinks: &[SinkPlan]) -> usize {
    let is = |sink: &&SinkPlan| sink.delivery.guarantee == Guarantee::BestEffort;
    sinks.iter().filter(is).count()
}

/// What one best-effort sink may take of memory: together they have a quarter.
fn room(sinks: &[SinkPlan], memory_bytes: usize) -> usize {
    memory_bytes / 4 / best_effort(sinks).max(1)
}

fn check_names(sinks: &[SinkPlan]) -> anyhow::Result<()> {
    let mut names: Vec<&str> = sinks.iter().map(|sink| sink.name.as_str()).collect();
    names.sort_unstable();
    if let Some(pair) = names
        .windows(2)
        .find(|pair| pair[0] == pair[1])
        .and_then(<[_]>::first)
    {
        anyhow::bail!("two sinks are named {pair}");
    }
    let reserved = [FINDINGS, OWN_PENDING];
    anyhow::ensure!(
        !names.iter().any(|name| reserved.contains(name)),
        "a sink cannot be named {FINDINGS} or {OWN_PENDING}"
    );
    Ok(())
}

fn stored(cause: Cause, result: anyhow::Result<String>, outcome: Outcome) -> Outcome {
    match result {
        Ok(_) => outcome,
        Err(error) => {
            let error = crate::text::shown(&format!("{error:#}"));
            tracing::error!(%cause, error, "failed to store a reference; the message comes again");
            Outcome::Failed
        }
    }
}

/// Joins pieces of the stored bytes until there is enough to be worth a worker's time. `None` at the
/// end.
async fn next_piece(body: &mut Body) -> anyhow::Result<Option<Bytes>> {
    let Some(first) = body
        .next()
        .await
        .transpose()
        .context("failed to read the object")?
    else {
        return Ok(None);
    };
    if first.len() >= PIECE {
        return Ok(Some(first));
    }
    let mut joined = BytesMut::from(first);
    while joined.len() < PIECE {
        match body
            .next()
            .await
            .transpose()
            .context("failed to read the object")?
        {
            Some(piece) => joined.extend_from_slice(&piece),
            None => break,
        }
    }
    Ok(Some(joined.freeze()))
}

/// Who gets a batch.
struct Wanted {
    /// Events before this position are wanted by nobody.
    from: u32,
    /// By lane, from which position on.
    lanes: BTreeMap<usize, u32>,
    findings: bool,
}

/// Judges a batch and encodes it for every lane that gets it.
fn ship(
    worker: &mut ChainWorker,
    batch: EventBatch,
    lanes: &[Lane],
    wanted: &Wanted,
    watch: &Watch,
    now_ms: i64,
) -> Shipment {
    let end = batch.events.last().map_or(0, |span| span.index + 1);
    let mut processed = worker.process(batch, now_ms);
    let mut alarms = Alarms::default();
    // Findings are told what the guards of all lanes say, of those too that have the object already.
    let looked =
        (0..lanes.len()).filter(|number| wanted.findings || wanted.lanes.contains_key(number));
    let mut encoded: Vec<Encoded> = looked
        .map(|number| {
            let from = wanted.lanes.get(&number).copied().unwrap_or(0);
            let mut encoded = encode(number, &lanes[number], &processed, from);
            let delivery = &lanes[number].delivery;
            inspect(delivery, &mut encoded, &processed, &mut alarms);
            encoded
        })
        .collect();
    encoded.retain(|encoded| wanted.lanes.contains_key(&encoded.lane));
    let sightings = std::mem::take(&mut processed.sightings);
    let facts = |row| worker.facts(&processed, row, now_ms);
    let sightings = watch.over(sightings, alarms, facts);
    let withheld = std::mem::take(&mut processed.withheld)
        .into_iter()
        .map(|withheld| {
            let row = withheld.row;
            (
                processed.batch.events[row].index,
                withheld,
                sha256(&[processed.batch.event(row)]),
            )
        })
        .collect();
    Shipment {
        end,
        events: processed.rows(),
        bytes: encoded.iter().map(|lane| lane.data.capacity()).sum(),
        drops: std::mem::take(&mut processed.drops),
        sightings,
        withheld,
        lanes: encoded,
    }
}

fn encode(number: usize, lane: &Lane, processed: &Processed, from: u32) -> Encoded {
    let mut encoded = Encoded {
        lane: number,
        data: Vec::new(),
        entries: Vec::new(),
        rejected: Vec::new(),
        dropped: 0,
        withheld: Vec::new(),
    };
    let selection = &lane.selection;
    let taken = selection.of_object(processed.batch.object.kind);
    if taken == Taken::Nothing {
        return encoded;
    }
    if taken == Taken::Everything && selection.has_no_clause() {
        encoded
            .data
            .reserve(processed.batch.data.len() + processed.rows() * 256);
    }
    let mut seen = Vec::new();
    for row in 0..processed.rows() {
        let view = processed.view(row, lane.position);
        if view.index() < from {
            continue;
        }
        let fate = processed.fate(row);
        // Whether something was found in an event that is withheld, nobody may know.
        if fate != Fate::Withhold && taken == Taken::Found && !view.has_findings() {
            continue;
        }
        if !selection.matches(&view, &mut seen) {
            continue;
        }
        match fate {
            Fate::Forward => {}
            Fate::Drop => {
                encoded.dropped += 1;
                continue;
            }
            Fate::Withhold => {
                encoded.withheld.push(view.index());
                continue;
            }
        }
        let start = encoded.data.len();
        match lane.sink.encode_event(&view, &mut encoded.data) {
            Ok(()) => encoded.entries.push(Entry {
                start: offset(start),
                end: offset(encoded.data.len()),
                index: view.index(),
            }),
            Err(Unencodable(reason)) => {
                encoded.data.truncate(start);
                encoded
                    .rejected
                    .push((view.index(), Cause::SinkUnencodable, reason));
            }
        }
    }
    encoded
}

/// The last look at what a lane is about to get.
fn inspect(delivery: &Delivery, encoded: &mut Encoded, processed: &Processed, alarms: &mut Alarms) {
    let events = &processed.batch.events;
    let place = &processed.batch.object.url;
    for caught in delivery.inspect(&mut encoded.data, &mut encoded.entries, place) {
        if caught.withheld {
            let rejected = (caught.index, Cause::SecretFound, caught.reason());
            encoded.rejected.push(rejected);
        }
        if delivery.guard() != Mode::Count
            && let Ok(row) = events.binary_search_by_key(&caught.index, |event| event.index)
        {
            alarms.note(row, caught);
        }
    }
}

fn offset(at: usize) -> u32 {
    u32::try_from(at).expect("an encoded batch is far smaller than 4 GiB")
}

fn parcel(
    object: &Arc<Object>,
    data: Vec<u8>,
    entries: Vec<Entry>,
    permit: &Arc<OwnedSemaphorePermit>,
) -> Parcel {
    Parcel {
        origin: Origin::Object(Arc::clone(object)),
        data: Bytes::from(data),
        entries,
        budget: Some(Arc::clone(permit)),
    }
}

/// Half-open ranges of ascending positions.
fn ranges(positions: impl Iterator<Item = u32>) -> Vec<(u32, u32)> {
    let mut ranges = Vec::new();
    for position in positions {
        append(&mut ranges, position);
    }
    ranges
}

fn append(ranges: &mut Vec<(u32, u32)>, position: u32) {
    match ranges.last_mut() {
        Some((_, end)) if *end == position => *end += 1,
        _ => ranges.push((position, position + 1)),
    }
}

/// Events at fault, by cause.
#[derive(Debug, Default)]
struct BadEvents(BTreeMap<Cause, BadGroup>);

#[derive(Debug)]
struct BadGroup {
    first: BadEvent,
    count: usize,
    ranges: Vec<(u32, u32)>,
}

impl BadEvents {
    fn add(&mut self, events: Vec<BadEvent>) {
        for event in events {
            let index = event.index;
            let group = self.0.entry(event.cause).or_insert_with(|| BadGroup {
                first: event,
                count: 0,
                ranges: Vec::new(),
            });
            group.count += 1;
            append(&mut group.ranges, index);
        }
    }

    /// Whether there are as many ranges as one dead letter should list.
    fn is_full(&self) -> bool {
        self.0
            .values()
            .any(|group| group.ranges.len() >= BAD_EVENTS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_in_a_row_are_one_range() {
        assert_eq!(
            ranges([0, 1, 2, 5, 7, 8].into_iter()),
            [(0, 3), (5, 6), (7, 9)]
        );
    }

    #[test]
    fn a_scope_without_ranges_wants_everything() {
        assert!(Scope::live(&Arc::default()).wants(7));
        let some = Scope::replay(Some("a"), &[(1, 3), (5, 6)]);
        assert_eq!(
            (0..7)
                .filter(|index| some.wants(*index))
                .collect::<Vec<_>>(),
            [1, 2, 5]
        );
    }

    #[test]
    fn what_cannot_be_read_from_a_fault_on_is_owed_as_far_as_it_was_wanted() {
        let object = ObjectRef {
            bucket: "b".into(),
            key: "k".into(),
            version: None,
        };
        let fault = ObjectFault {
            cause: Cause::CorruptGzip,
            offset: 9,
            from_index: 4,
            error: String::new(),
        };
        let rest = |ranges| Scope::replay(None, ranges).rest(&object, &fault);
        assert_eq!(rest(&[(0, 4)]), None);
        let Some(Subject::Events { ranges, .. }) = rest(&[(0, 2), (3, 6), (8, 9)]) else {
            panic!("events");
        };
        assert_eq!(ranges, [(4, 6), (8, 9)]);
        for ranges in [&[][..], &[(2, u32::MAX)]] {
            let Some(Subject::Object { from_index, .. }) = rest(ranges) else {
                panic!("the rest of the object");
            };
            assert_eq!(from_index, Some(4));
        }
    }

    #[test]
    fn bad_events_are_told_by_cause_with_their_ranges() {
        let bad = |index, cause| BadEvent {
            index,
            cause,
            error: String::new(),
            sha256: None,
        };
        let mut events = BadEvents::default();
        events.add(vec![
            bad(1, Cause::EventInvalid),
            bad(2, Cause::EventNotObject),
        ]);
        events.add(vec![
            bad(3, Cause::EventNotObject),
            bad(9, Cause::EventInvalid),
        ]);
        let ranges: Vec<_> = events
            .0
            .values()
            .map(|group| (group.count, group.ranges.clone()))
            .collect();
        assert_eq!(ranges, [(2, vec![(2, 4)]), (2, vec![(1, 2), (9, 10)])]);
    }
}
