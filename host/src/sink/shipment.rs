//! One batch on its way to the sink, until each of its entries has ended.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    Batch, Refused, SendError, Sink,
    batch::{extract, halve},
    best_effort::GivenUp,
    day::{DayBytes, Taken},
    hold::Hold,
    keeper::Keeper,
    rate_limit::RateLimit,
    retry::Backoff,
};
use crate::{ack::Outcome, deadletter::Cause};

/// Attempts at a replayed load before its reference is left for the next round.
const REPLAY_ATTEMPTS: u32 = 4;

/// What all shipments of one sink share.
pub(super) struct Shipper {
    pub(super) sink: Arc<dyn Sink>,
    pub(super) hold: Arc<Hold>,
    pub(super) keeper: Arc<Keeper>,
    pub(super) rate: RateLimit,
    pub(super) day: Option<Arc<DayBytes>>,
    pub(super) backoff: Backoff,
    pub(super) hold_after: Duration,
    pub(super) probe_interval: Duration,
    /// Cancelled when a best-effort sink gets no more time.
    pub(super) abandoned: CancellationToken,
}

/// A batch, or what is left of one, and how it has fared so far.
struct Load {
    batch: Batch,
    /// A pending reference stands for it: nothing has to be stored when the sink does not take it.
    replayed: bool,
    /// May be sent once although the sink is held.
    probe: bool,
    attempts: u32,
    failing_since: Option<Instant>,
    error: Option<String>,
}

impl Load {
    fn new(batch: Batch, replayed: bool) -> Self {
        Self {
            batch,
            replayed,
            probe: replayed,
            attempts: 0,
            failing_since: None,
            error: None,
        }
    }

    fn fails(&mut self, error: &anyhow::Error) {
        self.probe = false;
        self.attempts = self.attempts.saturating_add(1);
        self.failing_since.get_or_insert_with(Instant::now);
        self.error = Some(format!("{error:#}"));
    }

    /// How long it has been failing.
    fn age(&self) -> Duration {
        self.failing_since
            .map_or(Duration::ZERO, |since| since.elapsed())
    }
}

impl Shipper {
    /// Sends a batch until each entry is delivered, dead-lettered, pending, failed or given up.
    pub(super) async fn ship(&self, batch: Batch, replayed: bool) {
        let mut loads = vec![Load::new(batch, replayed)];
        while let Some(load) = loads.pop() {
            if !load.batch.is_empty() {
                self.advance(load, &mut loads).await;
            }
        }
    }

    /// Sends a load once and decides; what has to be sent again goes onto `loads`.
    async fn advance(&self, mut load: Load, loads: &mut Vec<Load>) {
        if self.hold.cause().is_some() && !load.probe {
            load.probe = self.keeper.is_best_effort() && self.hold.probe(self.probe_interval);
            if !load.probe {
                return self.owe(load, loads).await;
            }
        }
        tokio::select! {
            () = self.rate.wait(load.batch.len(), load.batch.bytes()) => {}
            () = self.hold.begins(), if !load.probe => return loads.push(load),
            () = self.abandoned.cancelled() => return self.abandon(load),
        }
        let taken = match self.of_today(&load) {
            Ok(taken) => taken,
            Err(error) => return self.spent(load, &error, loads).await,
        };
        let begun = Instant::now();
        self.keeper.counters.requests.add(1);
        let sending = AssertUnwindSafe(self.sink.send(&load.batch)).catch_unwind();
        let sent = tokio::select! {
            sent = sending => sent,
            () = self.abandoned.cancelled() => return self.abandon(load),
        };
        let Ok(sent) = sent else {
            return self.panicked(load);
        };
        if self.sink.wants_less() {
            self.rate.slow_down();
        }
        if let (Err(_), Some(day), Some(taken)) = (&sent, &self.day, taken) {
            day.give_back(taken);
        }
        match sent {
            Err(SendError::Throttled { retry_after }) => {
                self.rate.slow_down();
                let error = anyhow::anyhow!("sink is throttling");
                self.retry(load, &error, retry_after, loads).await;
            }
            Err(SendError::Unavailable(error)) => self.retry(load, &error, None, loads).await,
            Err(SendError::Misconfigured(error)) => self.misconfigured(load, &error, loads).await,
            Err(fault) => {
                self.hold.answered(begun);
                self.isolate(load, fault, loads).await;
            }
            Ok(refused) => {
                self.hold.answered(begun);
                self.accepted(load, refused, loads).await;
            }
        }
    }

    /// Takes what the load needs of the day, where days are counted.
    fn of_today(&self, load: &Load) -> Result<Option<Taken>, anyhow::Error> {
        let Some(day) = &self.day else {
            return Ok(None);
        };
        day.take(load.batch.bytes()).map(Some).ok_or_else(|| {
            anyhow::anyhow!(
                "the {} bytes of `delivery.bytes_per_day` are spent; it goes on at midnight UTC",
                day.most()
            )
        })
    }

    async fn spent(&self, mut load: Load, error: &anyhow::Error, loads: &mut Vec<Load>) {
        load.fails(error);
        self.begin_hold(self.hold.begin(Cause::SinkQuota, error));
        self.owe(load, loads).await;
    }

    fn panicked(&self, load: Load) {
        let sink = &self.keeper.sink;
        if self.keeper.is_best_effort() && !load.replayed {
            tracing::error!(sink, "sink panicked; its events are given up");
            let why = GivenUp::Sink(Cause::SinkUnavailable);
            return self.keeper.give_up(load.batch, why, "the sink panicked");
        }
        tracing::error!(sink, "sink panicked; its events come again");
        self.keeper
            .settle(load.batch, Outcome::Failed, Cause::SinkUnavailable);
    }

    /// There is no more time for the load.
    fn abandon(&self, load: Load) {
        if load.replayed {
            let cause = Cause::SinkUnavailable;
            return self.keeper.settle(load.batch, Outcome::Pending, cause);
        }
        let reason = load.error.as_deref().unwrap_or("the host stops");
        self.keeper.give_up(load.batch, GivenUp::Stopped, reason);
    }

    /// The sink took the load, but for these entries.
    async fn accepted(&self, load: Load, mut refused: Vec<Refused>, loads: &mut Vec<Load>) {
        refused.retain(|refused| refused.position < load.batch.len());
        refused.sort_by_key(|refused| refused.position);
        refused.dedup_by_key(|refused| refused.position);
        let positions: Vec<usize> = refused.iter().map(|refused| refused.position).collect();
        let Load {
            batch,
            replayed,
            probe: _,
            attempts,
            failing_since,
            error,
        } = load;
        let (taken, rest) = extract(batch, &positions);
        self.keeper
            .settle(rest, Outcome::Delivered, Cause::SinkRefused);
        let mut again = Load {
            batch: Batch::default(),
            replayed,
            probe: false,
            attempts,
            failing_since,
            error,
        };
        let mut last_reason = None;
        for (one, refused) in taken.into_iter().zip(refused) {
            if refused.retry {
                again.batch.parts.extend(one.parts);
                last_reason = Some(refused.reason);
            } else {
                self.keeper
                    .bury(one, Cause::SinkRefused, &refused.reason)
                    .await;
            }
        }
        if let Some(reason) = last_reason {
            self.wait(again, &anyhow::anyhow!("{reason}"), None, loads)
                .await;
        }
    }

    /// The data is at fault: finds the entry, dead-letters it, sends the rest.
    async fn isolate(&self, load: Load, fault: SendError, loads: &mut Vec<Load>) {
        let replayed = load.replayed;
        let (cause, reason) = match fault {
            SendError::RefusedEntry { position, reason } if position < load.batch.len() => {
                // What stands before it may have been accepted and may not: sent again, it is there
                // twice at the worst.
                let (one, others) = extract(load.batch, &[position]);
                for one in one {
                    self.keeper.bury(one, Cause::SinkRefused, &reason).await;
                }
                return loads.push(Load::new(others, replayed));
            }
            SendError::TooLarge => (Cause::SinkTooLarge, "larger than the sink takes".to_owned()),
            other => (Cause::SinkRefused, other.to_string()),
        };
        if load.batch.len() == 1 {
            return self.keeper.bury(load.batch, cause, &reason).await;
        }
        let (head, tail) = halve(load.batch);
        loads.push(Load::new(tail, replayed));
        loads.push(Load::new(head, replayed));
    }

    async fn misconfigured(&self, mut load: Load, error: &anyhow::Error, loads: &mut Vec<Load>) {
        load.fails(error);
        self.begin_hold(self.hold.begin(Cause::SinkMisconfigured, error));
        self.owe(load, loads).await;
    }

    async fn retry(
        &self,
        load: Load,
        error: &anyhow::Error,
        retry_after: Option<Duration>,
        loads: &mut Vec<Load>,
    ) {
        // A single old reference must not keep everybody waiting: only new work begins a hold.
        if !load.replayed {
            self.begin_hold(self.hold.failed(error));
        }
        self.wait(load, error, retry_after, loads).await;
    }

    fn begin_hold(&self, begins: bool) {
        self.keeper.counters.holds.add(usize::from(begins));
    }

    /// Backs off before the load is sent again. One that has failed for too long is not sent again but
    /// owed, even where the sink answers others.
    async fn wait(
        &self,
        mut load: Load,
        error: &anyhow::Error,
        retry_after: Option<Duration>,
        loads: &mut Vec<Load>,
    ) {
        load.fails(error);
        let enough = load.replayed && load.attempts >= REPLAY_ATTEMPTS;
        if enough || load.age() >= self.hold_after || self.hold.cause().is_some() {
            return self.owe(load, loads).await;
        }
        self.keeper.counters.retries.add(1);
        let left = self.hold_after.saturating_sub(load.age());
        let wait = self.backoff.jittered(load.attempts - 1, retry_after);
        tokio::select! {
            () = tokio::time::sleep(wait.min(left)) => {}
            () = self.hold.begins() => {}
            () = self.abandoned.cancelled() => return self.abandon(load),
        }
        if wait > left && !load.replayed {
            // The sink asked for more patience than other sinks can be made to have.
            self.begin_hold(self.hold.failed(error));
        }
        loads.push(load);
    }

    /// The sink does not take the load now: a reference is stored instead, unless it is a best-effort sink.
    /// Where that fails too, the events stay here, and sink and store are asked in turn.
    async fn owe(&self, mut load: Load, loads: &mut Vec<Load>) {
        let cause = self.hold.cause().unwrap_or(Cause::SinkUnavailable);
        if load.replayed {
            return self.keeper.settle(load.batch, Outcome::Pending, cause);
        }
        let reason = load.error.as_deref().unwrap_or("sink is held");
        if self.keeper.is_best_effort() {
            let why = GivenUp::Sink(cause);
            return self.keeper.give_up(load.batch, why, reason);
        }
        let _unstored = self.keeper.owing.unstored();
        let Some(left) = self.keeper.pend(load.batch, cause, reason).await else {
            return;
        };
        load.batch = left;
        tokio::time::sleep(self.backoff.jittered(load.attempts, None)).await;
        load.attempts = load.attempts.saturating_add(1);
        load.probe = true;
        loads.push(load);
    }
}
