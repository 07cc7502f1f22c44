//! Findings on their way to the sinks: counted in the ledger, sent at their first match, and updated at
//! most once an interval.
//!
//! An event's share is settled when its sightings are in the ledger and the first announcement of each
//! finding was accepted, or is durably owed, by every sink that takes findings.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::StreamExt as _;
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinHandle,
};
use tokio_util::task::TaskTracker;

use crate::{
    ack::{self, Ack, Outcome},
    clock::Clock,
    config::Problems,
    deadletter::Cause,
    finding::{Finding, Sighting},
    ledger::{Ledger, Observed},
    sink::{
        Entry, Origin, Parcel,
        delivery::{Delivery, without_bytes},
        retry::Backoff,
    },
};

/// First announcements and updates in flight at the same time, each.
const IN_FLIGHT: usize = 64;
/// Acknowledgements that wait for a first announcement; more of them make `report` wait.
const PARKED: u32 = 4_096;
const PAGE: usize = 500;
const LEDGER_ATTEMPTS: u32 = 4;
const LEDGER_BACKOFF: Backoff = Backoff {
    initial: Duration::from_millis(200),
    max: Duration::from_secs(2),
};

/// How findings are announced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Seconds between two updates of one finding. Default 300; 1 to 86,400.
    pub update_interval_s: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            update_interval_s: 300,
        }
    }
}

impl Settings {
    /// Reports every value out of its range; `at` is the section's path.
    pub fn validate(&self, at: &str, problems: &mut Problems) {
        problems.range(
            &format!("{at}.update_interval_s"),
            self.update_interval_s,
            1..=86_400,
        );
    }
}

/// See the module. Dropping it gives back what is in flight.
pub struct Findings {
    desk: Arc<Desk>,
    updating: Mutex<Option<JoinHandle<()>>>,
}

struct Desk {
    ledger: Arc<dyn Ledger>,
    deliveries: Vec<Arc<Delivery>>,
    interval: Duration,
    clock: Clock,
    /// Acknowledgements that wait for the announcement in flight, by finding.
    parked: Mutex<HashMap<String, Vec<(Ack, OwnedSemaphorePermit)>>>,
    room: Arc<Semaphore>,
    berths: Arc<Semaphore>,
    announcements: TaskTracker,
}

impl Findings {
    /// Announces findings through these deliveries, which are those whose sinks accept findings.
    #[must_use]
    pub fn new(
        ledger: Arc<dyn Ledger>,
        deliveries: Vec<Arc<Delivery>>,
        settings: &Settings,
        clock: Clock,
    ) -> Self {
        let desk = Arc::new(Desk {
            ledger,
            deliveries,
            interval: Duration::from_secs(settings.update_interval_s.max(1)),
            clock,
            parked: Mutex::default(),
            room: Arc::new(Semaphore::new(PARKED as usize)),
            berths: Arc::new(Semaphore::new(IN_FLIGHT)),
            announcements: TaskTracker::new(),
        });
        let updating = tokio::spawn(Arc::clone(&desk).keep_updated());
        Self {
            desk,
            updating: Mutex::new(Some(updating)),
        }
    }

    /// Counts sightings and settles `ack` when their findings are safe. Waits while too much is in
    /// flight.
    pub async fn report(&self, sightings: Vec<Sighting>, ack: Ack) {
        let Some(observed) = self.desk.observe(sightings).await else {
            return ack.settle(Outcome::Failed);
        };
        for Observed { finding, announced } in observed {
            if !announced {
                self.desk.announce_first(finding.id, ack.clone()).await;
            }
        }
        ack.settle(Outcome::Delivered);
    }

    /// Sends a pending finding, as it is now, to one sink, and waits for the outcome.
    ///
    /// # Errors
    /// When there is no such sink or the ledger cannot be asked.
    pub async fn replay(&self, sink: &str, id: &str) -> anyhow::Result<Outcome> {
        let known = |delivery: &&Arc<Delivery>| delivery.name() == sink;
        let Some(delivery) = self.desk.deliveries.iter().find(known) else {
            anyhow::bail!("sink {} takes no findings", crate::text::shown(sink));
        };
        let (ack, finalizer) = ack::channel();
        if let Some(finding) = self.desk.ledger.take(id, (self.desk.clock)()).await? {
            send(delivery, &finding, ack, true).await;
        } else {
            let nothing = without_bytes(Origin::Finding(id.into()), 0);
            let reason = "the ledger does not know the finding any more";
            delivery
                .reject(nothing, ack, Cause::SinkUnavailable, reason)
                .await;
        }
        Ok(finalizer.outcome().await)
    }

    /// Waits for what is in flight and sends every finding whose last state was not sent yet. To be
    /// called when nothing is reported any more, before the deliveries are drained.
    pub async fn drain(&self) {
        let updating = self
            .updating
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        updating.inspect(JoinHandle::abort);
        self.desk.announcements.close();
        self.desk.announcements.wait().await;
        self.desk.update(i64::MAX).await;
    }
}

impl Drop for Findings {
    fn drop(&mut self) {
        let updating = self
            .updating
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        updating.inspect(JoinHandle::abort);
    }
}

impl std::fmt::Debug for Findings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Findings")
            .field("sinks", &self.desk.deliveries.len())
            .finish_non_exhaustive()
    }
}

impl Desk {
    async fn observe(&self, sightings: Vec<Sighting>) -> Option<Vec<Observed>> {
        for attempt in 0..LEDGER_ATTEMPTS {
            match self.ledger.observe(sightings.clone(), (self.clock)()).await {
                Ok(observed) => return Some(observed),
                Err(error) => warn("sightings are counted again", &error),
            }
            tokio::time::sleep(LEDGER_BACKOFF.jittered(attempt, None)).await;
        }
        None
    }

    /// Parks a share until the finding's first announcement ends, and begins that announcement unless
    /// it is in flight.
    async fn announce_first(self: &Arc<Self>, id: String, ack: Ack) {
        let room = Arc::clone(&self.room)
            .acquire_owned()
            .await
            .expect("never closed");
        let first = {
            let mut parked = self.parked();
            let first = !parked.contains_key(&id);
            parked.entry(id.clone()).or_default().push((ack, room));
            first
        };
        if first {
            let waiting = Waiting {
                desk: Arc::clone(self),
                id,
            };
            let berth = Arc::clone(&self.berths)
                .acquire_owned()
                .await
                .expect("never closed");
            self.announcements.spawn(async move {
                let outcome = waiting.desk.announce(&waiting.id).await;
                waiting.end(outcome);
                drop(berth);
            });
        }
    }

    /// Sends a finding as it is now to every sink, and notes it where all of them have it or owe it.
    async fn announce(&self, id: &str) -> Outcome {
        let finding = match self.ledger.take(id, (self.clock)()).await {
            Ok(Some(finding)) => finding,
            Ok(None) => return Outcome::Failed,
            Err(error) => {
                warn("finding could not be taken for sending", &error);
                return Outcome::Failed;
            }
        };
        let (ack, finalizer) = ack::channel();
        for delivery in &self.deliveries {
            send(delivery, &finding, ack.clone(), false).await;
        }
        ack.settle(Outcome::Delivered);
        let outcome = finalizer.outcome().await;
        if outcome.is_settled() {
            let noted = self
                .ledger
                .announced(id, finding.updated_ms, finding.count)
                .await;
            // The sinks have it: at worst they are told the same once more.
            let _ = noted.inspect_err(|error| warn("announcement could not be noted", error));
        }
        outcome
    }

    async fn keep_updated(self: Arc<Self>) {
        let interval = i64::try_from(self.interval.as_millis()).unwrap_or(i64::MAX);
        loop {
            tokio::time::sleep((self.interval / 10).max(Duration::from_secs(1))).await;
            self.update((self.clock)().saturating_sub(interval)).await;
        }
    }

    /// Sends findings that changed and whose last announcement is older than this.
    async fn update(&self, before_ms: i64) {
        loop {
            let outdated = match self.ledger.outdated(before_ms, PAGE).await {
                Ok(outdated) => outdated,
                Err(error) => return warn("outdated findings could not be looked for", &error),
            };
            let full = outdated.len() == PAGE;
            let outcomes =
                futures_util::stream::iter(outdated.into_iter().map(|id| self.update_one(id)))
                    .buffer_unordered(IN_FLIGHT)
                    .collect::<Vec<_>>()
                    .await;
            let all_well = outcomes.into_iter().all(Outcome::is_settled);
            // Those that failed come first again: asking at once would only repeat them.
            if !(full && all_well) {
                return;
            }
        }
    }

    async fn update_one(&self, id: String) -> Outcome {
        if self.parked().contains_key(&id) {
            return Outcome::Failed;
        }
        self.announce(&id).await
    }

    fn parked(
        &self,
    ) -> std::sync::MutexGuard<'_, HashMap<String, Vec<(Ack, OwnedSemaphorePermit)>>> {
        self.parked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A first announcement in flight. Dropped without an end, it gives back what waits for it.
struct Waiting {
    desk: Arc<Desk>,
    id: String,
}

impl Waiting {
    fn end(mut self, outcome: Outcome) {
        // Taken, so that the drop leaves alone whatever begins next under the same name.
        let id = std::mem::take(&mut self.id);
        let parked = self.desk.parked().remove(&id);
        parked
            .into_iter()
            .flatten()
            .for_each(|(ack, _room)| ack.settle(outcome));
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let parked = self.desk.parked().remove(&self.id);
        drop(parked);
    }
}

fn warn(what: &'static str, error: &anyhow::Error) {
    tracing::warn!(error = crate::text::shown(&format!("{error:#}")), "{what}");
}

/// Encodes a finding for one sink and hands it over.
async fn send(delivery: &Delivery, finding: &Finding, ack: Ack, replayed: bool) {
    let origin = Origin::Finding(finding.id.as_str().into());
    let mut data = Vec::new();
    if let Err(unencodable) = delivery.sink().encode_finding(finding, &mut data) {
        let nothing = without_bytes(origin, 0);
        return delivery
            .reject(nothing, ack, Cause::SinkUnencodable, &unencodable.0)
            .await;
    }
    let Ok(end) = u32::try_from(data.len()) else {
        let reason = "larger than one request to the sink may be";
        return delivery
            .reject(without_bytes(origin, 0), ack, Cause::SinkTooLarge, reason)
            .await;
    };
    let mut entries = vec![Entry {
        start: 0,
        end,
        index: 0,
    }];
    let caught = delivery.inspect(&mut data, &mut entries, &finding.id);
    if let Some(withheld) = caught.iter().find(|caught| caught.withheld) {
        let nothing = without_bytes(origin, 0);
        return delivery
            .reject(nothing, ack, Cause::SecretFound, &withheld.reason())
            .await;
    }
    let parcel = Parcel {
        origin,
        data: data.into(),
        entries,
        budget: None,
    };
    if replayed {
        delivery.deliver_replayed(parcel, ack).await;
    } else {
        delivery.deliver(parcel, ack).await;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;
    use crate::{
        ack::Finalizer,
        deadletter::Subject,
        finding::{EventFacts, Severity},
        ledger::Sqlite,
        sink::scripted::{Answer, World, misconfigured},
    };

    /// Findings over one scripted sink, and a clock that the test sets.
    struct Desk {
        world: World,
        findings: Findings,
        now_ms: Arc<AtomicI64>,
    }

    fn desk(ledger: &Sqlite, script: impl FnMut(&[String]) -> Answer + Send + 'static) -> Desk {
        let world = World::new(script);
        let now_ms = Arc::new(AtomicI64::new(1_000));
        let clock: Clock = {
            let now_ms = Arc::clone(&now_ms);
            Arc::new(move || now_ms.load(Ordering::SeqCst))
        };
        let deliveries = vec![Arc::clone(&world.delivery)];
        let findings = Findings::new(
            Arc::new(ledger.clone()),
            deliveries,
            &Settings::default(),
            clock,
        );
        Desk {
            world,
            findings,
            now_ms,
        }
    }

    impl Desk {
        async fn report(&self, sightings: Vec<Sighting>) -> Finalizer {
            let (ack, finalizer) = ack::channel();
            self.findings.report(sightings, ack).await;
            finalizer
        }

        fn sent(&self) -> Vec<String> {
            self.world.sink.requests.lock().unwrap().concat()
        }
    }

    fn sighting(rule: &str, event: u8) -> Sighting {
        Sighting {
            plugin: "p".into(),
            rule: rule.into(),
            title: "t".into(),
            description: "d".into(),
            severity: Severity::Low,
            entity: vec!["alice".into()],
            window_s: 3_600,
            attributes: Vec::new(),
            event: Arc::new(EventFacts {
                time_ms: 5,
                ..EventFacts::default()
            }),
            identity: [event; 16],
        }
    }

    #[tokio::test(start_paused = true)]
    async fn ten_matches_are_one_announcement_and_one_update() {
        let desk = desk(&Sqlite::in_memory().unwrap(), |_| Ok(vec![]));
        for event in 0..10 {
            let share = desk.report(vec![sighting("r", event)]).await;
            assert_eq!(share.outcome().await, Outcome::Delivered);
        }
        assert_eq!(desk.sent(), ["r x1 @1000"]);
        desk.now_ms.store(400_000, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_mins(3)).await;
        assert_eq!(desk.sent(), ["r x1 @1000", "r x10 @400000"]);
        desk.world.counted();
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_comes_during_the_first_announcement_waits_for_it() {
        let mut calls = 0;
        let desk = desk(&Sqlite::in_memory().unwrap(), move |_| {
            calls += 1;
            if calls == 1 {
                misconfigured()
            } else {
                Ok(vec![])
            }
        });
        let (first, second) = (
            desk.report(vec![sighting("r", 1)]).await,
            desk.report(vec![sighting("r", 2)]).await,
        );
        assert_eq!(
            (first.outcome().await, second.outcome().await),
            (Outcome::Pending, Outcome::Pending)
        );
        assert_eq!(desk.sent().len(), 1);
        let pending = desk.world.pending().await;
        assert!(matches!(&pending[..], [one] if matches!(one.subject, Subject::Finding { .. })));
    }

    #[tokio::test(start_paused = true)]
    async fn a_pending_finding_is_replayed_as_it_is_then() {
        let desk = desk(&Sqlite::in_memory().unwrap(), |_| misconfigured());
        desk.report(vec![sighting("r", 1)]).await.outcome().await;
        desk.report(vec![sighting("r", 2)]).await.outcome().await;
        desk.world.sink.now(|_| Ok(vec![]));
        let id = sighting("r", 1).finding_id();
        assert_eq!(
            desk.findings.replay("sink", &id).await.unwrap(),
            Outcome::Delivered
        );
        assert_eq!(desk.world.accepted(), ["r x2 @1001"]);
        assert!(desk.findings.replay("other", &id).await.is_err());
        assert_eq!(
            desk.findings.replay("sink", "unknown").await.unwrap(),
            Outcome::DeadLettered
        );
    }

    #[tokio::test(start_paused = true)]
    async fn final_counts_are_right_after_a_drain() {
        let desk = desk(&Sqlite::in_memory().unwrap(), |_| Ok(vec![]));
        for event in 0..3 {
            desk.report(vec![sighting("r", event), sighting("s", event)])
                .await
                .outcome()
                .await;
        }
        desk.findings.drain().await;
        let mut sent = desk.sent();
        sent.sort();
        assert_eq!(
            sent,
            ["r x1 @1000", "r x3 @1001", "s x1 @1000", "s x3 @1001"]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_restart_what_is_outdated_is_sent() {
        let ledger = Sqlite::in_memory().unwrap();
        let before = desk(&ledger, |_| Ok(vec![]));
        before.report(vec![sighting("r", 1)]).await.outcome().await;
        before.report(vec![sighting("r", 2)]).await.outcome().await;
        drop(before);
        let after = desk(&ledger, |_| Ok(vec![]));
        after.now_ms.store(500_000, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_mins(3)).await;
        assert_eq!(after.sent(), ["r x2 @500000"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_finding_that_cannot_be_said_is_a_dead_letter() {
        let desk = desk(&Sqlite::in_memory().unwrap(), |_| Ok(vec![]));
        let share = desk.report(vec![sighting("unspeakable", 1)]).await;
        assert_eq!(share.outcome().await, Outcome::DeadLettered);
        assert_eq!(desk.world.dead().await[0].cause, Cause::SinkUnencodable);
        desk.world.counted();
    }

    #[tokio::test(start_paused = true)]
    async fn without_sightings_there_is_nothing_to_wait_for() {
        let desk = desk(&Sqlite::in_memory().unwrap(), |_| Ok(vec![]));
        assert_eq!(
            desk.report(vec![]).await.outcome().await,
            Outcome::Delivered
        );
    }
}
