//! Who may receive next: the slots for messages in flight, shared by live messages and a backfill.
//!
//! Live comes first. The backfill has a tenth of the slots of its own and, while live is busy, takes one
//! message for nine of live; what live leaves free it borrows. Ten slots at the most are held by a live
//! receive, so that a borrower never takes the last one from it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::source::{NeedsMending, Priority};

/// Messages in one receive.
const MOST: usize = 10;
/// Live messages for each one of the backfill, while both have more than there is room for.
const LIVE_FOR_ONE: usize = 9;

/// The slots of messages in flight.
#[derive(Debug)]
pub(crate) struct Slots {
    /// Those of live messages, which the backfill may borrow.
    room: Arc<Semaphore>,
    /// Those of the backfill alone.
    own: Arc<Semaphore>,
    /// Whether live leaves room.
    spare: AtomicBool,
    /// Live messages for which the backfill has not had its turn yet.
    credit: AtomicUsize,
    changed: Notify,
}

/// Room for one message, until dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    slots: Arc<Slots>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        // Given back first: who is woken looks for it.
        self.permit.take();
        self.slots.changed.notify_one();
    }
}

impl Slots {
    /// So many slots, of which a backfill has a tenth: at least one, and one is left to live.
    pub(crate) fn new(messages: usize, backfill: bool) -> Arc<Self> {
        let own = if backfill { (messages / 10).max(1) } else { 0 };
        Arc::new(Self {
            room: Arc::new(Semaphore::new(messages.saturating_sub(own).max(1))),
            own: Arc::new(Semaphore::new(own)),
            spare: AtomicBool::new(false),
            credit: AtomicUsize::new(0),
            changed: Notify::new(),
        })
    }

    /// Waits for room for the next receive; one slot at least, ten at the most.
    pub(crate) async fn next(self: &Arc<Self>, priority: Priority) -> Vec<Slot> {
        match priority {
            Priority::Live => self.next_live().await,
            Priority::Backfill => self.next_backfill().await,
        }
    }

    async fn next_live(self: &Arc<Self>) -> Vec<Slot> {
        let first = Arc::clone(&self.room).acquire_owned().await;
        let mut slots = vec![self.slot(first.expect("never closed"))];
        self.fill(&mut slots, &self.room, MOST);
        slots
    }

    async fn next_backfill(self: &Arc<Self>) -> Vec<Slot> {
        loop {
            let mut slots = Vec::new();
            if self.spare.load(Ordering::Acquire) {
                self.fill(&mut slots, &self.own, MOST);
                self.fill(&mut slots, &self.room, MOST);
            } else {
                let due = self.credit.load(Ordering::Acquire) / LIVE_FOR_ONE;
                self.fill(&mut slots, &self.own, due.min(MOST));
                let spent = slots.len() * LIVE_FOR_ONE;
                self.credit.fetch_sub(spent, Ordering::AcqRel);
            }
            if !slots.is_empty() {
                return slots;
            }
            self.changed.notified().await;
        }
    }

    fn fill(self: &Arc<Self>, slots: &mut Vec<Slot>, from: &Arc<Semaphore>, most: usize) {
        while slots.len() < most
            && let Ok(permit) = Arc::clone(from).try_acquire_owned()
        {
            slots.push(self.slot(permit));
        }
    }

    fn slot(self: &Arc<Self>, permit: OwnedSemaphorePermit) -> Slot {
        Slot {
            slots: Arc::clone(self),
            permit: Some(permit),
        }
    }

    /// Notes what a receive of live messages that asked for so many has brought: only an answer that is not
    /// half full says that live leaves room. A service that is slow or fails says nothing.
    pub(crate) fn received(&self, asked: usize, count: usize) {
        self.credit.fetch_add(count, Ordering::AcqRel);
        let most = MOST * LIVE_FOR_ONE;
        self.credit.fetch_min(most, Ordering::AcqRel);
        // A queue with a backlog may still answer with a few less than it was asked for.
        self.leave(count * 2 < asked);
    }

    fn leave(&self, spare: bool) {
        self.spare.store(spare, Ordering::Release);
        self.changed.notify_one();
    }
}

/// How one queue of the source answers to receives.
#[derive(Debug, Default)]
pub(crate) struct Intake {
    failures: u32,
    /// What somebody has to mend, where the source has said so.
    held: Option<NeedsMending>,
}

impl Intake {
    /// How long to wait before the source is asked again.
    pub(crate) fn failed(&mut self, error: &anyhow::Error) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let wait = Duration::from_secs(1 << self.failures.min(5));
        let wait_s = wait.as_secs();
        let needs = error.downcast_ref::<NeedsMending>().copied();
        let error = crate::text::shown(&format!("{error:#}"));
        match needs {
            // Told once: what the operator has to do does not change by being said every half minute.
            Some(needs) if self.held == Some(needs) => {
                tracing::debug!(error, wait_s, "failed to receive messages");
            }
            Some(needs) => {
                self.held = Some(needs);
                tracing::error!(
                    error,
                    "no messages can be received until this is mended; it is tried again and again"
                );
            }
            None => tracing::warn!(error, wait_s, "failed to receive messages"),
        }
        wait
    }

    pub(crate) fn answered(&mut self) {
        if self.held.take().is_some() {
            tracing::info!("messages can be received again");
        }
        self.failures = 0;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn backfill(slots: &Arc<Slots>) -> Option<Vec<Slot>> {
        slots.next(Priority::Backfill).now_or_never()
    }

    #[tokio::test]
    async fn a_busy_live_queue_leaves_one_message_in_ten() {
        let slots = Slots::new(64, true);
        assert!(backfill(&slots).is_none(), "live has not answered yet");
        slots.received(10, 8);
        assert!(backfill(&slots).is_none());
        slots.received(10, 10);
        let two = backfill(&slots).unwrap();
        assert_eq!(two.len(), 2, "eighteen of live");
        for _ in 0..20 {
            slots.received(10, 10);
        }
        let four = backfill(&slots).unwrap();
        assert_eq!(four.len(), 4, "six slots are its own");
        assert!(backfill(&slots).is_none());
        drop(two);
        assert_eq!(backfill(&slots).unwrap().len(), 2);
    }

    #[tokio::test]
    async fn an_empty_live_queue_leaves_all_but_the_slots_of_its_receive() {
        let slots = Slots::new(64, true);
        let live = slots.next(Priority::Live).await;
        assert_eq!(live.len(), 10);
        slots.received(10, 0);
        let taken = std::iter::from_fn(|| backfill(&slots)).flatten();
        assert_eq!(taken.collect::<Vec<_>>().len(), 54);
    }

    #[tokio::test]
    async fn what_is_given_back_goes_to_live_first() {
        let slots = Slots::new(20, true);
        slots.received(10, 0);
        let mut borrowed: Vec<_> = std::iter::from_fn(|| backfill(&slots)).flatten().collect();
        assert_eq!(borrowed.len(), 20);
        let live = slots.next(Priority::Live);
        tokio::pin!(live);
        assert!(live.as_mut().now_or_never().is_none());
        borrowed.pop();
        assert!(backfill(&slots).is_none());
        assert_eq!(live.await.len(), 1);
    }

    #[tokio::test]
    async fn without_a_backfill_every_slot_is_for_live() {
        let slots = Slots::new(3, false);
        assert_eq!(slots.next(Priority::Live).await.len(), 3);
        let one = Slots::new(1, true);
        assert_eq!(one.next(Priority::Live).await.len(), 1, "never none");
    }
}
