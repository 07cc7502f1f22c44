//! The heartbeat that keeps one message invisible while it is worked on.

use std::{future::Future, time::Duration};

use tokio::time::{Instant, sleep_until};

use super::CEILING;
use crate::text::shown;

/// Time that the queue's clock and ours may differ at the ceiling.
const MARGIN: Duration = Duration::from_mins(1);

/// What the queue said to an extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extended {
    /// Invisible for as long as was asked.
    Yes,
    /// The receipt names no message of ours any more: deleted, or received by another.
    Gone,
}

/// Extends the message at every half of `visibility` (to that many seconds from then), until the
/// message is gone, or no longer extension is possible. A failed extension is tried again at a sixth.
pub(super) async fn keep<F, R>(extend: F, visibility: Duration, received: Instant, id: String)
where
    F: Fn(u32) -> R,
    R: Future<Output = anyhow::Result<Extended>>,
{
    let end = received + CEILING.saturating_sub(MARGIN);
    let mut next = received + visibility / 2;
    loop {
        sleep_until(next).await;
        let left = end.saturating_duration_since(Instant::now());
        let last = left < visibility;
        let seconds = u32::try_from(left.min(visibility).as_secs()).unwrap_or(u32::MAX);
        if seconds == 0 {
            return;
        }
        match extend(seconds).await {
            Ok(Extended::Gone) => {
                tracing::debug!(message = %shown(&id), "the lease of a message ended: its receipt is no longer valid");
                return;
            }
            Ok(Extended::Yes) if last => {
                tracing::warn!(message = %shown(&id), seconds, "a message reaches the 12 hours after which SQS shows it again; its lease ends");
                return;
            }
            Ok(Extended::Yes) => next = Instant::now() + visibility / 2,
            Err(error) => {
                tracing::warn!(message = %shown(&id), error = %error, "failed to extend the lease of a message");
                next = Instant::now() + visibility / 6;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    };

    use super::*;

    /// Runs a heartbeat of 30 s that is answered by `answer(call)`; gives (seconds since receipt, asked).
    async fn beats(
        limit: Duration,
        answer: impl Fn(usize) -> anyhow::Result<Extended>,
    ) -> Vec<(u64, u32)> {
        let (received, calls, seen) = (Instant::now(), AtomicUsize::new(0), Mutex::new(Vec::new()));
        let extend = |seconds| {
            let call = calls.fetch_add(1, Ordering::Relaxed);
            seen.lock()
                .expect("no test thread panics here")
                .push((received.elapsed().as_secs(), seconds));
            std::future::ready(answer(call))
        };
        let kept = keep(extend, Duration::from_secs(30), received, "m".to_owned());
        let _ended = tokio::time::timeout(limit, kept).await;
        seen.into_inner().expect("no test thread panics here")
    }

    #[tokio::test(start_paused = true)]
    async fn it_beats_at_half_the_visibility() {
        let seen = beats(Duration::from_secs(50), |_| Ok(Extended::Yes)).await;
        assert_eq!(seen, [(15, 30), (30, 30), (45, 30)]);
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_when_the_receipt_is_no_longer_valid() {
        let seen = beats(CEILING, |call| {
            Ok(if call == 1 {
                Extended::Gone
            } else {
                Extended::Yes
            })
        })
        .await;
        assert_eq!(seen.len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_extension_is_tried_again_before_the_message_is_lost() {
        let seen = beats(Duration::from_secs(26), |_| {
            Err(anyhow::anyhow!("no answer"))
        })
        .await;
        assert_eq!(seen, [(15, 30), (20, 30), (25, 30)]);
    }

    #[tokio::test(start_paused = true)]
    async fn it_never_asks_for_more_than_twelve_hours() {
        let seen = beats(CEILING * 2, |_| Ok(Extended::Yes)).await;
        assert!(
            seen.iter()
                .all(|(at, asked)| at + u64::from(*asked) <= CEILING.as_secs())
        );
        let (at, asked) = seen.last().copied().unwrap_or_default();
        assert!(at + u64::from(asked) >= CEILING.as_secs() - 2 * MARGIN.as_secs());
    }
}
