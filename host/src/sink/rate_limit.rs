//! Rate limits of one sink: requests, events and bytes a second. They make senders wait and never drop
//! anything. A sink that throttles gets a smaller share of its requests a second for a while.

use std::{
    num::NonZeroU32,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use governor::{
    Quota, RateLimiter,
    clock::Clock,
    middleware::NoOpMiddleware,
    state::{InMemoryState, NotKeyed},
};
use tokio::time::Instant;

/// Time since the limiter was made, on the runtime's clock, so that a paused clock pauses it too.
#[derive(Clone, Copy, Debug)]
struct RuntimeClock(Instant);

impl Clock for RuntimeClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

type Cells = RateLimiter<NotKeyed, InMemoryState, RuntimeClock, NoOpMiddleware<Duration>>;

/// The part of the requests a second that is used: halved when the sink throttles, never below
/// [`Share::LEAST`], and back at the whole after [`Share::RECOVERY`] at the latest.
#[derive(Debug)]
struct Share(Mutex<(f64, Instant)>);

impl Share {
    const LEAST: f64 = 1.0 / 16.0;
    /// From nothing to the whole.
    const RECOVERY: Duration = Duration::from_mins(2);
    /// Requests that were in flight together are throttled together, which is one reason and not many.
    const APART: Duration = Duration::from_secs(1);

    fn whole() -> Self {
        Self(Mutex::new((1.0, Instant::now())))
    }

    fn now(&self) -> f64 {
        let (share, since) = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (share + since.elapsed().as_secs_f64() / Self::RECOVERY.as_secs_f64()).min(1.0)
    }

    fn halve(&self) {
        let share = self.now();
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.0 >= 1.0 || state.1.elapsed() >= Self::APART {
            *state = ((share / 2.0).max(Self::LEAST), Instant::now());
        }
    }

    /// What one request costs, in requests at the whole share.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 1 and 16"
    )]
    fn cost(&self) -> u32 {
        (1.0 / self.now()).ceil() as u32
    }
}

/// All limits of one sink.
#[derive(Debug)]
pub struct RateLimit {
    share: Share,
    clock: RuntimeClock,
    requests: Cells,
    events: Option<(Cells, NonZeroU32)>,
    bytes: Option<(Cells, NonZeroU32)>,
}

impl RateLimit {
    /// `requests` a second with `burst` at once; `events` and `bytes` a second, as many of them at once.
    #[must_use]
    pub fn new(
        requests: NonZeroU32,
        burst: NonZeroU32,
        events: Option<NonZeroU32>,
        bytes: Option<NonZeroU32>,
    ) -> Self {
        let clock = RuntimeClock(Instant::now());
        let cells = |a_second, burst| {
            RateLimiter::direct_with_clock(Quota::per_second(a_second).allow_burst(burst), clock)
        };
        Self {
            clock,
            share: Share::whole(),
            requests: cells(requests, burst),
            events: events.map(|events| (cells(events, events), events)),
            bytes: bytes.map(|bytes| (cells(bytes, bytes), bytes)),
        }
    }

    /// Waits until one request with this many events, which are this many bytes, may go.
    pub async fn wait(&self, events: usize, bytes: usize) {
        for (limit, count) in [(&self.events, events), (&self.bytes, bytes)] {
            let Some((cells, most)) = limit else { continue };
            let mut left = u32::try_from(count).unwrap_or(u32::MAX);
            // More than one second's worth is taken second by second.
            while let Some(some) = NonZeroU32::new(left.min(most.get())) {
                self.take(cells, some).await;
                left -= some.get();
            }
        }
        for _ in 0..self.share.cost() {
            self.take(&self.requests, NonZeroU32::MIN).await;
        }
    }

    /// The sink throttles, or asks for less: half as many requests a second, which grow back by and by.
    pub fn slow_down(&self) {
        self.share.halve();
    }

    async fn take(&self, cells: &Cells, count: NonZeroU32) {
        while let Ok(Err(early)) = cells.check_n(count) {
            tokio::time::sleep(early.wait_time_from(self.clock.now())).await;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    async fn seconds_for(limit: &RateLimit, requests: usize, events: usize) -> f64 {
        let start = Instant::now();
        for _ in 0..requests {
            limit.wait(events, 2 * events).await;
        }
        start.elapsed().as_secs_f64()
    }

    fn limit(requests: u32, burst: u32, events: Option<u32>) -> RateLimit {
        let number = |number| NonZeroU32::new(number).unwrap();
        RateLimit::new(number(requests), number(burst), events.map(number), None)
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_goes_at_once_and_the_rest_at_the_rate() {
        let limit = limit(10, 30, None);
        assert!(seconds_for(&limit, 30, 1).await < 0.01);
        let seconds = seconds_for(&limit, 50, 1).await;
        assert!((4.9..5.2).contains(&seconds), "{seconds}");
    }

    #[tokio::test(start_paused = true)]
    async fn events_are_limited_by_their_number() {
        let limit = limit(1_000, 1_000, Some(100));
        let seconds = seconds_for(&limit, 11, 50).await;
        assert!((4.4..4.7).contains(&seconds), "{seconds}");
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_are_limited_apart_from_events() {
        let number = |number| NonZeroU32::new(number).unwrap();
        let (many, bytes) = (number(1_000), Some(number(1_000)));
        let slow = RateLimit::new(many, many, None, bytes);
        // Twice as many bytes as events: 1,000 at once, then 10,000 in ten seconds.
        let seconds = seconds_for(&slow, 11, 500).await;
        assert!((9.9..10.2).contains(&seconds), "{seconds}");
        let both = RateLimit::new(many, many, Some(number(100)), bytes);
        let seconds = seconds_for(&both, 11, 50).await;
        assert!(
            (4.4..4.7).contains(&seconds),
            "the slower one counts: {seconds}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_throttled_sink_gets_half_as_many_requests_and_more_by_and_by() {
        let limit = limit(100, 1, None);
        seconds_for(&limit, 1, 1).await;
        limit.slow_down();
        // Throttled together, so still one reason.
        limit.slow_down();
        let seconds = seconds_for(&limit, 100, 1).await;
        assert!((1.9..2.1).contains(&seconds), "{seconds}");
        for _ in 0..20 {
            tokio::time::sleep(Duration::from_secs(2)).await;
            limit.slow_down();
        }
        let seconds = seconds_for(&limit, 10, 1).await;
        assert!((1.3..1.7).contains(&seconds), "{seconds}");
        tokio::time::sleep(Duration::from_mins(1)).await;
        let seconds = seconds_for(&limit, 100, 1).await;
        assert!((1.8..2.1).contains(&seconds), "{seconds}");
        tokio::time::sleep(Duration::from_mins(1)).await;
        let seconds = seconds_for(&limit, 100, 1).await;
        assert!((0.9..1.1).contains(&seconds), "{seconds}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_larger_than_one_second_still_goes() {
        let limit = limit(1_000, 1_000, Some(100));
        let seconds = seconds_for(&limit, 1, 450).await;
        assert!((3.4..3.7).contains(&seconds), "{seconds}");
    }
}
