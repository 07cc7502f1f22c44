//! Claims to the objects of a message, so that an object that is announced twice at once is worked on
//! once: the second message waits, and finds in the ledger what the first has done.
//!
//! A claim only ever saves work. Where the ledger cannot be asked the work is done without one.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{sync::oneshot, time::Instant};
use tokio_util::task::TaskTracker;

use crate::{
    clock::Clock,
    event::ObjectRef,
    ledger::{Claim, Ledger},
    sink::retry::Backoff,
};

/// How long a claim outlives a host that is gone.
const LEASE: Duration = Duration::from_secs(90);
/// How often a claim is made to last longer while its objects are worked on.
const RENEW_EVERY: Duration = Duration::from_secs(30);
/// How long a message waits for others to finish before it is released.
const PATIENCE: Duration = Duration::from_mins(1);
/// Between two looks whether a claim has ended.
const WAIT: Backoff = Backoff {
    initial: Duration::from_millis(100),
    max: Duration::from_secs(3),
};

/// The claims of one pipeline.
pub(crate) struct Claims {
    ledger: Arc<dyn Ledger>,
    clock: Clock,
    /// Tells this pipeline from all others.
    host: String,
    messages: AtomicU64,
    keepers: TaskTracker,
}

/// Claims that are kept until this is dropped, and given back then.
#[derive(Debug, Default)]
pub(crate) struct Held(Vec<oneshot::Sender<()>>);

impl Claims {
    pub(crate) fn new(ledger: Arc<dyn Ledger>, clock: Clock) -> Self {
        Self {
            ledger,
            clock,
            host: format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..)),
            messages: AtomicU64::new(0),
            keepers: TaskTracker::new(),
        }
    }

    /// Claims all objects of a message, and waits for those that others work on. `None` when that takes
    /// too long: the message should come again later.
    pub(crate) async fn take(&self, objects: &[ObjectRef]) -> Option<Held> {
        let number = self.messages.fetch_add(1, Ordering::Relaxed);
        let owner = format!("{}-{number}", self.host);
        // Everybody claims in the same order, so that no two messages wait for each other.
        let places: BTreeSet<(&str, &str)> = objects
            .iter()
            .map(|object| (object.bucket.as_str(), object.key.as_str()))
            .collect();
        let deadline = Instant::now() + PATIENCE;
        let mut held = Held::default();
        for (bucket, key) in places {
            let claim = Claim::new(bucket, key, &owner);
            match self.wait_for(&claim, deadline).await {
                Ok(true) => held.0.push(self.keep(claim)),
                Ok(false) => {
                    tracing::info!(
                        bucket,
                        key,
                        "an object is worked on elsewhere; the message comes again"
                    );
                    return None;
                }
                Err(error) => {
                    let error = crate::text::shown(&format!("{error:#}"));
                    tracing::warn!(bucket, key, error, "an object is worked on without a claim");
                }
            }
        }
        Some(held)
    }

    /// Claims a pending reference, without waiting. `None` while somebody else replays it.
    pub(crate) async fn take_reference(&self, name: &str) -> Option<Held> {
        let number = self.messages.fetch_add(1, Ordering::Relaxed);
        // No bucket is called nothing, so that no object's claim is meant.
        let claim = Claim::new("", name, &format!("{}-{number}", self.host));
        match lengthen(&*self.ledger, &self.clock, &claim).await {
            Ok(true) => Some(Held(vec![self.keep(claim)])),
            Ok(false) => None,
            Err(error) => {
                debug("a reference is replayed without a claim", &error);
                Some(Held::default())
            }
        }
    }

    /// Waits until what was dropped is given back.
    pub(crate) async fn drain(&self) {
        self.keepers.close();
        self.keepers.wait().await;
    }

    async fn wait_for(&self, claim: &Claim, deadline: Instant) -> anyhow::Result<bool> {
        for attempt in 0.. {
            if lengthen(&*self.ledger, &self.clock, claim).await? {
                return Ok(true);
            }
            let wait = WAIT.jittered(attempt, None);
            if Instant::now() + wait > deadline {
                break;
            }
            tokio::time::sleep(wait).await;
        }
        Ok(false)
    }

    fn keep(&self, claim: Claim) -> oneshot::Sender<()> {
        let (until_dropped, mut dropped) = oneshot::channel();
        let (ledger, clock) = (Arc::clone(&self.ledger), Arc::clone(&self.clock));
        self.keepers.spawn(async move {
            // Whatever goes wrong here, the claim ends with its lease at the latest.
            while tokio::time::timeout(RENEW_EVERY, &mut dropped)
                .await
                .is_err()
            {
                if let Err(error) = lengthen(&*ledger, &clock, &claim).await {
                    debug("a claim could not be lengthened", &error);
                }
            }
            if let Err(error) = ledger.release(&claim).await {
                debug("a claim could not be released", &error);
            }
        });
        until_dropped
    }
}

async fn lengthen(ledger: &dyn Ledger, clock: &Clock, claim: &Claim) -> anyhow::Result<bool> {
    let now_ms = clock();
    let lease_ms = i64::try_from(LEASE.as_millis()).unwrap_or(i64::MAX);
    ledger
        .claim(claim, now_ms, now_ms.saturating_add(lease_ms))
        .await
}

fn debug(what: &'static str, error: &anyhow::Error) {
    tracing::debug!(error = crate::text::shown(&format!("{error:#}")), "{what}");
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::{
        event::ObjectId,
        finding::{Finding, Sighting},
        ledger::{Known, Observed, Sqlite},
    };

    /// A wall clock that goes with the paused one.
    fn clock() -> Clock {
        let start = Instant::now();
        Arc::new(move || i64::try_from(start.elapsed().as_millis()).unwrap())
    }

    fn object(key: &str) -> ObjectRef {
        ObjectRef {
            bucket: "b".into(),
            key: key.into(),
            version: None,
        }
    }

    fn two() -> (Claims, Claims) {
        let ledger = Sqlite::in_memory().unwrap();
        let clock = clock();
        let one = || Claims::new(Arc::new(ledger.clone()), Arc::clone(&clock));
        (one(), one())
    }

    #[tokio::test(start_paused = true)]
    async fn the_second_waits_until_the_first_has_finished() {
        let (first, second) = two();
        let held = first.take(&[object("k")]).await.unwrap();
        let waiting = async {
            let held = second.take(&[object("k")]).await;
            (held.is_some(), Instant::now())
        };
        let working = async {
            tokio::time::sleep(Duration::from_secs(20)).await;
            drop(held);
            Instant::now()
        };
        let ((taken, at), finished) = tokio::join!(waiting, working);
        assert!(taken && at >= finished);
        assert!(at - finished < Duration::from_secs(10));
    }

    #[tokio::test(start_paused = true)]
    async fn a_claim_lasts_as_long_as_the_work_and_patience_does_not() {
        let (first, second) = two();
        let held = first.take(&[object("k")]).await.unwrap();
        tokio::time::sleep(LEASE * 10).await;
        let before = Instant::now();
        assert!(second.take(&[object("k")]).await.is_none());
        assert!(before.elapsed() <= PATIENCE);
        drop(held);
        first.drain().await;
        assert!(second.take(&[object("k")]).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn the_claim_of_one_who_is_gone_runs_out() {
        let (_, second) = two();
        let gone = Claim::new("b", "k", "gone");
        assert!(
            lengthen(&*second.ledger, &second.clock, &gone)
                .await
                .unwrap()
        );
        assert!(second.take(&[object("k")]).await.is_none(), "it has 90 s");
        let before = Instant::now();
        assert!(second.take(&[object("k")]).await.is_some());
        assert!(before.elapsed() <= LEASE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reference_is_replayed_by_one_at_a_time() {
        let (first, second) = two();
        let held = first.take_reference("pending/splunk/a.json").await.unwrap();
        let before = Instant::now();
        assert!(
            second
                .take_reference("pending/splunk/a.json")
                .await
                .is_none()
        );
        assert_eq!(before.elapsed(), Duration::ZERO, "nobody waits for it");
        assert!(
            second
                .take_reference("pending/splunk/b.json")
                .await
                .is_some()
        );
        drop(held);
        first.drain().await;
        assert!(
            second
                .take_reference("pending/splunk/a.json")
                .await
                .is_some()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_gives_up_waiting_gives_back_what_it_has() {
        let (first, second) = two();
        let held = first.take(&[object("b")]).await.unwrap();
        assert!(second.take(&[object("b"), object("a")]).await.is_none());
        second.drain().await;
        assert!(first.take(&[object("a"), object("a")]).await.is_some());
        drop(held);
    }

    #[tokio::test(start_paused = true)]
    async fn messages_with_the_same_objects_never_wait_for_each_other_both() {
        let (first, second) = two();
        let work = async |claims: &Claims, objects: &[ObjectRef]| {
            for _ in 0..50 {
                let held = claims.take(objects).await.unwrap();
                tokio::time::sleep(Duration::from_millis(50)).await;
                drop(held);
            }
        };
        let (a, b) = ([object("a"), object("b")], [object("b"), object("a")]);
        tokio::join!(work(&first, &a), work(&second, &b));
    }

    /// A ledger that answers nothing.
    struct Broken;

    #[async_trait::async_trait]
    impl Ledger for Broken {
        async fn claim(&self, _: &Claim, _: i64, _: i64) -> anyhow::Result<bool> {
            anyhow::bail!("broken")
        }
        async fn release(&self, _: &Claim) -> anyhow::Result<()> {
            anyhow::bail!("broken")
        }
        async fn known(&self, _: ObjectId) -> anyhow::Result<Known> {
            anyhow::bail!("broken")
        }
        async fn reached(&self, _: ObjectId, _: &str, _: &str, _: u32) -> anyhow::Result<()> {
            anyhow::bail!("broken")
        }
        async fn complete(
            &self,
            _: ObjectId,
            _: &str,
            _: &[String],
            _: Option<[u8; 32]>,
        ) -> anyhow::Result<()> {
            anyhow::bail!("broken")
        }
        async fn inflated_sha256(&self, _: ObjectId) -> anyhow::Result<Option<[u8; 32]>> {
            anyhow::bail!("broken")
        }
        async fn observe(&self, _: Vec<Sighting>, _: i64) -> anyhow::Result<Vec<Observed>> {
            anyhow::bail!("broken")
        }
        async fn take(&self, _: &str, _: i64) -> anyhow::Result<Option<Finding>> {
            anyhow::bail!("broken")
        }
        async fn announced(&self, _: &str, _: i64, _: u64) -> anyhow::Result<()> {
            anyhow::bail!("broken")
        }
        async fn outdated(&self, _: i64, _: usize) -> anyhow::Result<Vec<String>> {
            anyhow::bail!("broken")
        }
        async fn prune(&self) -> anyhow::Result<()> {
            anyhow::bail!("broken")
        }
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_ledger_the_work_is_done_without_claims() {
        let claims = Claims::new(Arc::new(Broken), clock());
        let before = Instant::now();
        assert!(claims.take(&[object("k")]).await.is_some());
        assert_eq!(before.elapsed(), Duration::ZERO);
    }
}
