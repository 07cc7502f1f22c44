//! From a message to its acknowledgement.
//!
//! [`Pipeline::run`] receives messages and takes each one through `Pipeline::handle`: what it
//! announces is opened, decoded and put through the plugins (`forward.rs`), dispatched to the
//! deliveries, and when all of them have said how it ended, the message is deleted or released. Only
//! this file deletes messages.

use std::{collections::HashSet, sync::Arc, time::Duration};

use anyhow::Context as _;
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    ack::Outcome,
    claims::Claims,
    clock::Clock,
    config::Problems,
    deadletter::{Cause, DeadLetter, Subject},
    event::ObjectRef,
    forward::{Forwarder, Scope},
    guard,
    intake::{Intake, Slots},
    ledger::Ledger,
    mask::Masker,
    plugin::{self, Component, Rollout},
    selection::{self, Clauses},
    sink::{Accept, Sink, delivery},
    source::{
        Announcement, Message, Priority, Source,
        notification::{self, Trust},
        records,
    },
    store::Store,
    telemetry::{Counters, ShadowSnapshot, Snapshot},
    work::{Faults, Work},
    workers::Workers,
};

/// What the pipeline may use: the section `[limits]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Bytes of events and of what is made of them that may be in memory at once. Default 128 MiB, 48
    /// MiB to 64 GiB.
    pub memory_bytes: usize,
    /// Threads for inflating, plugins and encoding. Default 0: one a core; at most 256.
    pub workers: usize,
    /// Messages worked on at once, a tenth of them of the backfill where there is one (one of each at the
    /// least). Default 64, 1 to 1,000.
    pub messages: usize,
    /// Seconds that started messages get when the host drains. Default 30, 1 to 3,600.
    pub grace_s: u64,
    /// Seconds between two tries of objects whose bucket refused them, and of events that redaction
    /// could not judge. Default 60, 1 to 3,600.
    pub retry_pending_s: u64,
    /// Bytes of linear memory that all instances of plugins may have together. Default 1 GiB, 16 MiB to
    /// 64 GiB.
    pub plugin_memory_bytes: usize,
    /// Hosts that share the sinks, this one included: each takes an equal part of every sink's rates.
    /// Default 1, 1 to 1,000.
    pub replicas: u32,
    /// What an object and an event may be at most.
    pub objects: records::Limits,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            memory_bytes: 128 << 20,
            workers: 0,
            messages: 64,
            grace_s: 30,
            retry_pending_s: 60,
            plugin_memory_bytes: 1 << 30,
            replicas: 1,
            objects: records::Limits::default(),
        }
    }
}

impl Settings {
    /// Reports every value out of its range.
    pub fn validate(&self, at: &str, problems: &mut Problems) {
        problems.range(
            &format!("{at}.memory_bytes"),
            self.memory_bytes,
            48 << 20..=64 << 30,
        );
        problems.range(
            &format!("{at}.plugin_memory_bytes"),
            self.plugin_memory_bytes,
            16 << 20..=64 << 30,
        );
        problems.range(&format!("{at}.workers"), self.workers, 0..=256);
        problems.range(&format!("{at}.messages"), self.messages, 1..=1000);
        problems.range(&format!("{at}.grace_s"), self.grace_s, 1..=3600);
        problems.range(
            &format!("{at}.retry_pending_s"),
            self.retry_pending_s,
            1..=3600,
        );
        problems.range(&format!("{at}.replicas"), self.replicas, 1..=1000);
        self.objects.validate(&format!("{at}.objects"), problems);
    }
}

/// One sink of a pipeline.
pub struct SinkPlan {
    /// The name under which it is configured, counted and referred to.
    pub name: String,
    /// The sink itself.
    pub sink: Arc<dyn Sink>,
    /// What it takes.
    pub accept: Vec<Accept>,
    /// Which of the events it takes reach it; all where there are none.
    pub clauses: Clauses,
    /// How it is delivered to.
    pub delivery: delivery::Settings,
    /// What becomes of secrets that are found at the last look.
    pub egress_guard: guard::Mode,
}

/// Everything a pipeline is made of. From configuration, or by code in a program that embeds it.
pub struct Plan {
    /// Where messages and objects come from.
    pub source: Arc<dyn Source>,
    /// The buckets that a notification may name.
    pub trust: Trust,
    /// The plugins, in any order.
    pub plugins: Vec<Component>,
    /// Plugins that see every event, and whose say is counted and not applied.
    pub shadows: Vec<Component>,
    /// How plugins that are changed while the pipeline runs are tried.
    pub reload: plugin::ReloadSettings,
    /// Makes the markers of masked values.
    pub masker: Masker,
    /// The sinks.
    pub sinks: Vec<SinkPlan>,
    /// What is remembered between messages.
    pub ledger: Arc<dyn Ledger>,
    /// Where dead letters and pending references are kept.
    pub store: Arc<Store>,
    /// Limits.
    pub settings: Settings,
    /// How findings are announced.
    pub findings: crate::findings::Settings,
    /// The wall clock.
    pub clock: Clock,
}

/// A running host: one source, one plugin chain, any number of sinks.
pub struct Pipeline {
    source: Arc<dyn Source>,
    trust: Trust,
    rollout: Rollout,
    claims: Arc<Claims>,
    faults: Faults,
    forwarder: Arc<Forwarder>,
    ledger: Arc<dyn Ledger>,
    store: Arc<Store>,
    counters: Arc<Counters>,
    settings: Settings,
    clock: Clock,
    /// Cancelled when the grace period is over: started messages are released.
    give_up: CancellationToken,
}

/// The name under which the pipeline's own pending references are kept.
pub(crate) const OWN_PENDING: &str = "pipeline";

fn tell(decided: &plugin::Decided) {
    let plugin::Decided {
        plugin,
        digest,
        decision,
        seen,
    } = decided;
    let examples = seen.samples.iter().take(3);
    let examples: Vec<_> = examples
        .map(|difference| format!("{:?}: {}", difference.side, difference.what))
        .collect();
    match decision {
        plugin::Decision::Promoted => tracing::info!(
            plugin,
            digest,
            events = seen.events,
            only_before = seen.only_live,
            only_now = seen.only_shadow,
            examples = examples.join("; "),
            "plugin is live"
        ),
        plugin::Decision::Refused(reason) => tracing::error!(
            plugin,
            digest,
            reason,
            events = seen.events,
            examples = examples.join("; "),
            "plugin is refused; the one before it goes on"
        ),
    }
}

/// How often it is looked whether a plugin has been in shadow for long enough.
const ADVANCE_EVERY: Duration = Duration::from_millis(200);
/// How often the ledger forgets what is old.
const PRUNE_EVERY: Duration = Duration::from_hours(1);
/// How long the end of a run waits for claims to be given back.
const RELEASING: Duration = Duration::from_secs(2);

impl Pipeline {
    /// Starts the deliveries and the workers. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When two sinks have one name, a clause cannot be tried, a plugin names an unusable path, or threads cannot be started.
    pub fn new(plan: Plan) -> anyhow::Result<Arc<Self>> {
        let counters = Arc::new(Counters::default());
        let mut problems = Problems::default();
        for sink in &plan.sinks {
            let at = format!("match of {}", sink.name);
            selection::validate(&sink.clauses, &at, &mut problems);
        }
        anyhow::ensure!(problems.is_empty(), problems.lines().join("; "));
        let fields = plan.sinks.iter().map(|sink| {
            let own = sink.sink.fields().iter().copied();
            let of_clauses = selection::paths(&sink.clauses);
            own.chain(of_clauses).map(ToOwned::to_owned).collect()
        });
        let masker = Arc::new(plan.masker);
        let rollout = Rollout::new(
            plan.plugins,
            plan.shadows,
            fields.collect(),
            Arc::clone(&masker),
            plan.reload,
        )
        .context("failed to build the plugin chain")?;
        let workers = match plan.settings.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            count => count,
        };
        let workers = Workers::start(workers, rollout.slot())?;
        let claims = Arc::new(Claims::new(
            Arc::clone(&plan.ledger),
            Arc::clone(&plan.clock),
        ));
        let forwarder = Forwarder::start(crate::forward::Parts {
            source: Arc::clone(&plan.source),
            workers,
            sinks: plan.sinks,
            masker,
            ledger: Arc::clone(&plan.ledger),
            store: Arc::clone(&plan.store),
            counters: Arc::clone(&counters),
            settings: plan.settings.clone(),
            findings: plan.findings,
            claims: Arc::clone(&claims),
            clock: Arc::clone(&plan.clock),
        })?;
        Ok(Arc::new(Self {
            source: plan.source,
            trust: plan.trust,
            rollout,
            claims,
            faults: Faults::default(),
            forwarder,
            ledger: plan.ledger,
            store: plan.store,
            counters,
            settings: plan.settings,
            clock: plan.clock,
            give_up: CancellationToken::new(),
        }))
    }

    /// What the pipeline has counted, and how plugins in shadow compare.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let mut snapshot = self.counters.snapshot();
        for (plugin, status) in self.rollout.status() {
            if let Some((_, seen)) = status.shadow {
                snapshot.shadows.insert(
                    plugin,
                    ShadowSnapshot {
                        events: seen.events,
                        failed: seen.failed,
                        only_live: seen.only_live,
                        only_shadow: seen.only_shadow,
                        fewer_masks: seen.fewer_masks,
                    },
                );
            }
        }
        snapshot
    }

    /// The plugins: how each stands, and the way to change one while the pipeline runs.
    #[must_use]
    pub fn plugins(&self) -> &Rollout {
        &self.rollout
    }

    /// The pipeline's clock, milliseconds since 1970.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        (self.clock)()
    }

    /// Receives and handles messages until the source has no more, or until `drain` is cancelled; then
    /// finishes what was started, within the grace period, and sends what is still owed.
    ///
    /// # Errors
    /// When started messages had to be given up at the end of the grace period; they come again.
    pub async fn run(self: &Arc<Self>, drain: CancellationToken) -> anyhow::Result<()> {
        let own = tokio::spawn(Arc::clone(self).retry_own_pending());
        let plugins = tokio::spawn(Arc::clone(self).advance_plugins());
        let pruning = tokio::spawn(prune(Arc::clone(&self.ledger)));
        let tracker = TaskTracker::new();
        self.receive(&drain, &tracker).await;
        own.abort();
        plugins.abort();
        pruning.abort();
        tracker.close();
        let grace = Duration::from_secs(self.settings.grace_s);
        let finished = tokio::time::timeout(grace, tracker.wait()).await.is_ok();
        if !finished {
            self.give_up.cancel();
            tracker.wait().await;
        }
        // Claims that are not given back end by themselves: nobody has to wait long for a slow ledger.
        let _ = tokio::time::timeout(RELEASING, self.claims.drain()).await;
        // What a sink still owes after that is abandoned: nobody waits for it, and its messages come
        // again. Findings whose counts have grown are announced at the next start.
        let sent = finished
            && tokio::time::timeout(grace, self.forwarder.drain())
                .await
                .is_ok();
        anyhow::ensure!(
            sent || !finished,
            "the last findings could not be sent within {} s of grace",
            grace.as_secs()
        );
        anyhow::ensure!(
            finished,
            "started messages were released because {} s of grace were over",
            grace.as_secs()
        );
        Ok(())
    }

    /// Decides on plugins that are to go live, as soon as enough was seen of them.
    async fn advance_plugins(self: Arc<Self>) {
        loop {
            tokio::time::sleep(ADVANCE_EVERY).await;
            for decided in self.rollout.advance((self.clock)()) {
                tell(&decided);
            }
        }
    }

    /// Receives until the source has no more, live messages and those of a backfill at the same time.
    async fn receive(self: &Arc<Self>, drain: &CancellationToken, tracker: &TaskTracker) {
        let slots = Slots::new(self.settings.messages, self.source.has_backfill());
        let take = |priority| self.take_in(priority, &slots, drain, tracker);
        tokio::join!(take(Priority::Live), take(Priority::Backfill));
    }

    async fn take_in(
        self: &Arc<Self>,
        priority: Priority,
        slots: &Arc<Slots>,
        drain: &CancellationToken,
        tracker: &TaskTracker,
    ) {
        if priority == Priority::Backfill && !self.source.has_backfill() {
            return;
        }
        let mut intake = Intake::default();
        loop {
            let free = tokio::select! {
                () = drain.cancelled() => return,
                free = slots.next(priority) => free,
            };
            let receive = match priority {
                Priority::Live => self.source.receive(free.len()),
                Priority::Backfill => self.source.receive_backfill(free.len()),
            };
            let received = tokio::select! {
                () = drain.cancelled() => return,
                received = receive => received,
            };
            let messages = match received {
                Ok(Some(messages)) => messages,
                Ok(None) => return,
                Err(error) => {
                    // Nobody uses these while we wait.
                    drop(free);
                    let wait = intake.failed(&error);
                    tokio::select! {
                        () = drain.cancelled() => return,
                        () = tokio::time::sleep(wait) => continue,
                    }
                }
            };
            intake.answered();
            if priority == Priority::Live {
                slots.received(free.len(), messages.len());
            }
            self.counters.messages.add(messages.len());
            let mut free = free.into_iter();
            for message in messages {
                let Some(slot) = free.next() else {
                    // More than was asked for: it goes back, and comes again when there is room.
                    self.counters.messages_released.add(1);
                    self.source.release(message, false).await;
                    continue;
                };
                let (this, drain) = (Arc::clone(self), drain.clone());
                tracker.spawn(async move {
                    this.handle(message, &drain).await;
                    drop(slot);
                });
            }
        }
    }

    /// Takes one message from notification to acknowledgement.
    async fn handle(&self, message: Message, drain: &CancellationToken) {
        let lease = self.source.lease(&message);
        if drain.is_cancelled() {
            self.counters.messages_released.add(1);
            return self.source.release(message, false).await;
        }
        let work = Arc::default();
        let outcome = tokio::select! {
            outcome = self.process(&message, &work) => outcome,
            () = self.give_up.cancelled() => Outcome::Failed,
            () = not_started(drain, &work) => {
                self.counters.messages_released.add(1);
                return self.source.release(message, false).await;
            }
        };
        if outcome.is_settled() {
            self.counters.messages_deleted.add(1);
            self.source.delete(message).await;
        } else {
            self.counters.messages_released.add(1);
            let given_up = self.give_up.is_cancelled();
            self.source.release(message, !given_up).await;
        }
        drop(lease);
    }

    /// Forwards all that a message announces. A fault of the data is dead-lettered where it is found.
    async fn process(&self, message: &Message, work: &Arc<Work>) -> Outcome {
        let objects = match &message.announcement {
            Announcement::Objects(objects) => Ok(objects.clone()),
            Announcement::Notification(body) => self.announced(message, body).await,
        };
        let objects = match objects {
            Ok(objects) => once_each(objects),
            Err(error) => {
                let error = crate::text::shown(&format!("{error:#}"));
                tracing::error!(
                    message = message.id,
                    error,
                    "failed to store a dead letter; the message comes again"
                );
                return Outcome::Failed;
            }
        };
        let Some(_held) = self.claims.take(&objects).await else {
            return Outcome::Failed;
        };
        let most = self.source.poison_after().unwrap_or(u32::MAX);
        if message.receives > most {
            // The last try ended this host, or another one, before it could say so.
            return self.give_up_on(message, &objects).await;
        }
        // Objects are read one after the other; their ends are waited for together.
        let mut ends = Vec::new();
        for object in &objects {
            ends.push(self.forwarder.forward(object, Scope::live(work)).await);
        }
        let outcomes = join_all(ends).await;
        let failed: Vec<_> = objects
            .into_iter()
            .zip(&outcomes)
            .filter(|(_, outcome)| !outcome.is_settled())
            .map(|(object, _)| object)
            .collect();
        if failed.is_empty() {
            return outcomes.into_iter().max().unwrap_or(Outcome::Delivered);
        }
        if let Some(fault) = work.fault() {
            self.faults.remember(&message.id, fault);
        }
        if message.receives >= most {
            return self.give_up_on(message, &failed).await;
        }
        Outcome::Failed
    }

    /// Keeps objects as dead letters because their message came again too often.
    async fn give_up_on(&self, message: &Message, objects: &[ObjectRef]) -> Outcome {
        let last = self.faults.of(&message.id);
        let last = last.as_deref();
        let error = format!(
            "received {} times; the last time: {}",
            message.receives,
            last.unwrap_or("not known to this host")
        );
        tracing::error!(
            message = crate::text::shown(&message.id),
            error,
            "a message that always fails is kept as dead letters"
        );
        for object in objects {
            let subject = Subject::Object {
                object: object.clone(),
                offset: None,
                from_index: None,
            };
            let buried = self.bury(Cause::PoisonMessage, subject, error.clone());
            if let Err(error) = buried.await {
                let error = crate::text::shown(&format!("{error:#}"));
                tracing::error!(
                    error,
                    "failed to store a dead letter; the message comes again"
                );
                return Outcome::Failed;
            }
        }
        Outcome::DeadLettered
    }

    /// The objects that a notification announces; what else it says is counted or dead-lettered here.
    async fn announced(&self, message: &Message, body: &str) -> anyhow::Result<Vec<ObjectRef>> {
        let announced = notification::objects(body, &self.trust);
        for ignored in &announced.ignored {
            self.counters.notifications.add(ignored.as_str(), 1);
        }
        self.counters
            .notifications
            .add("object", announced.objects.len() as u64);
        for refused in announced.refused {
            tracing::error!(
                message = message.id,
                object = crate::text::shown(&refused.reference.url()),
                cause = %refused.cause,
                "a notification was refused and kept as a dead letter",
            );
            let subject = Subject::Object {
                object: refused.reference,
                offset: None,
                from_index: None,
            };
            self.bury(refused.cause, subject, refused.error).await?;
        }
        if let Some(error) = announced.not_understood {
            tracing::error!(message = message.id, error = %error, "a message was not understood and kept as a dead letter");
            let mut body = body.to_owned();
            body.truncate(body.floor_char_boundary(1 << 20));
            let subject = Subject::Message {
                id: message.id.clone(),
                body,
            };
            self.bury(Cause::NotUnderstood, subject, error.to_string())
                .await?;
        }
        Ok(announced.objects)
    }

    async fn bury(&self, cause: Cause, subject: Subject, error: String) -> anyhow::Result<()> {
        self.counters.dead_letters.add(cause.as_str(), 1);
        let letter = DeadLetter {
            time_ms: (self.clock)(),
            cause,
            subject,
            sink: None,
            plugin: None,
            error,
        };
        self.store.bury(&letter).await.map(drop)
    }

    /// Tries again, from time to time, what no single sink owes: objects that a bucket refused, and
    /// events that a failing redaction plugin held back.
    async fn retry_own_pending(self: Arc<Self>) {
        let every = Duration::from_secs(self.settings.retry_pending_s);
        loop {
            tokio::time::sleep(every).await;
            if let Err(error) = self.forwarder.replay_own_pending().await {
                let error = crate::text::shown(&format!("{error:#}"));
                tracing::warn!(error, "failed to try pending references again");
            }
        }
    }
}

/// An object that a message names twice is read once; the order stays.
fn once_each(mut objects: Vec<ObjectRef>) -> Vec<ObjectRef> {
    let mut seen = HashSet::new();
    objects.retain(|object| seen.insert(object.clone()));
    objects
}

async fn prune(ledger: Arc<dyn Ledger>) {
    loop {
        tokio::time::sleep(PRUNE_EVERY).await;
        if let Err(error) = ledger.prune().await {
            let error = crate::text::shown(&format!("{error:#}"));
            tracing::warn!(error, "the ledger could not forget what is old");
        }
    }
}

/// Ends when the host drains and the message is not started; otherwise never.
async fn not_started(drain: &CancellationToken, work: &Work) {
    drain.cancelled().await;
    if work.has_begun() {
        std::future::pending::<()>().await;
    }
}

impl std::fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pipeline")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
