//! The one shared idea: who may say that a message is done.
//!
//! Whoever has to do with a message's events holds an [`Ack`]. Each `Ack` is settled once, with an
//! [`Outcome`]; one that is dropped unsettled counts as [`Outcome::Failed`], so that a panic or a
//! forgotten branch leads to redelivery and never to loss. When the last one is gone, the
//! [`Finalizer`] yields the worst outcome of them all.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU8, Ordering},
};

use tokio::sync::oneshot;

/// How a message, or one share of it, ended. Ordered: the worst wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Outcome {
    /// Accepted by the sink, dropped by a plugin's decision, or handed to a sink that nobody waits for.
    Delivered,
    /// Stored durably as a reference; it is delivered when the sink or the bucket answers again.
    Pending,
    /// Stored durably as a reference together with the cause.
    DeadLettered,
    /// Not settled: the message has to come again.
    Failed,
}

impl Outcome {
    fn from_u8(value: u8) -> Self {
        match value {
            0 => Self::Delivered,
            1 => Self::Pending,
            2 => Self::DeadLettered,
            _ => Self::Failed,
        }
    }

    /// Whether the events are safe: delivered, or stored with a reference.
    #[must_use]
    pub fn is_settled(self) -> bool {
        self != Self::Failed
    }
}

/// A new acknowledgement and the end that waits for it.
#[must_use]
pub fn channel() -> (Ack, Finalizer) {
    let (sender, receiver) = oneshot::channel();
    let shared = Shared {
        worst: AtomicU8::new(Outcome::Delivered as u8),
        sender: Mutex::new(Some(sender)),
    };
    (
        Ack {
            shared: Arc::new(shared),
            settled: false,
        },
        Finalizer { receiver },
    )
}

struct Shared {
    worst: AtomicU8,
    sender: Mutex<Option<oneshot::Sender<Outcome>>>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        let worst = Outcome::from_u8(*self.worst.get_mut());
        let sender = self
            .sender
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = sender.take() {
            // Nobody waits any more when the pipeline itself was dropped.
            let _ = sender.send(worst);
        }
    }
}

/// One share of a message. Clone it for every further delivery; settle each clone.
pub struct Ack {
    shared: Arc<Shared>,
    settled: bool,
}

impl Ack {
    /// Says how this share ended.
    pub fn settle(mut self, outcome: Outcome) {
        self.shared.worst.fetch_max(outcome as u8, Ordering::AcqRel);
        self.settled = true;
    }
}

impl Clone for Ack {
    /// A new, unsettled share.
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            settled: false,
        }
    }
}

impl Drop for Ack {
    fn drop(&mut self) {
        if !self.settled {
            self.shared
                .worst
                .fetch_max(Outcome::Failed as u8, Ordering::AcqRel);
        }
    }
}

impl std::fmt::Debug for Ack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ack")
            .field("settled", &self.settled)
            .finish_non_exhaustive()
    }
}

/// Waits until every [`Ack`] of one channel is settled or gone.
#[derive(Debug)]
pub struct Finalizer {
    receiver: oneshot::Receiver<Outcome>,
}

impl Finalizer {
    /// The worst outcome of all shares.
    pub async fn outcome(self) -> Outcome {
        self.receiver.await.unwrap_or(Outcome::Failed)
    }

    /// The same, where there is nothing left to wait for.
    pub(crate) fn try_outcome(&mut self) -> Option<Outcome> {
        match self.receiver.try_recv() {
            Ok(outcome) => Some(outcome),
            Err(oneshot::error::TryRecvError::Empty) => None,
            Err(oneshot::error::TryRecvError::Closed) => Some(Outcome::Failed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn worst_of(outcomes: &[Option<Outcome>]) -> Outcome {
        let (ack, finalizer) = channel();
        for outcome in outcomes {
            let share = ack.clone();
            match outcome {
                Some(outcome) => share.settle(*outcome),
                None => drop(share),
            }
        }
        ack.settle(Outcome::Delivered);
        finalizer.outcome().await
    }

    #[tokio::test]
    async fn the_worst_outcome_wins() {
        use Outcome::{DeadLettered, Delivered, Failed, Pending};
        assert_eq!(worst_of(&[]).await, Delivered);
        assert_eq!(worst_of(&[Some(Pending), Some(Delivered)]).await, Pending);
        assert_eq!(
            worst_of(&[Some(DeadLettered), Some(Pending)]).await,
            DeadLettered
        );
        assert_eq!(worst_of(&[Some(Failed), Some(DeadLettered)]).await, Failed);
    }

    #[tokio::test]
    async fn a_dropped_share_fails_the_message() {
        assert_eq!(
            worst_of(&[Some(Outcome::Delivered), None]).await,
            Outcome::Failed
        );
    }

    #[tokio::test]
    async fn a_panicking_holder_fails_the_message() {
        let (ack, finalizer) = channel();
        let holder = tokio::spawn(async move {
            let _held = ack;
            panic!("the holder dies");
        });
        assert!(holder.await.is_err());
        assert_eq!(finalizer.outcome().await, Outcome::Failed);
    }

    #[tokio::test]
    async fn nothing_is_final_while_a_share_is_held() {
        let (ack, finalizer) = channel();
        let held = ack.clone();
        ack.settle(Outcome::Delivered);
        let mut waiting = Box::pin(finalizer.outcome());
        assert!(futures_util::FutureExt::now_or_never(&mut waiting).is_none());
        held.settle(Outcome::Pending);
        assert_eq!(waiting.await, Outcome::Pending);
    }
}
