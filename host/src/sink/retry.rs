//! How long to wait before a batch is sent again.

use std::time::Duration;

/// No sink may make us wait longer than this with one answer.
const LONGEST_RETRY_AFTER: Duration = Duration::from_mins(5);

/// Exponential back-off with full jitter: any time between nothing and `initial × 2^attempt`, which
/// never grows past `max`. Many senders that failed together do not come back together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Upper bound of the first wait.
    pub initial: Duration,
    /// Upper bound of every wait.
    pub max: Duration,
}

impl Backoff {
    /// The wait after `attempt` failures before this one. `random` lies in `0.0..1.0`. What the sink
    /// itself asked for wins, up to five minutes.
    #[must_use]
    pub fn delay(&self, attempt: u32, retry_after: Option<Duration>, random: f64) -> Duration {
        if let Some(asked) = retry_after {
            return asked.min(LONGEST_RETRY_AFTER);
        }
        let factor = 1_u32.checked_shl(attempt).unwrap_or(u32::MAX);
        self.initial
            .saturating_mul(factor)
            .min(self.max)
            .mul_f64(random.clamp(0.0, 1.0))
    }

    /// [`delay`](Self::delay) with a random number of this thread.
    #[must_use]
    pub fn jittered(&self, attempt: u32, retry_after: Option<Duration>) -> Duration {
        self.delay(attempt, retry_after, fastrand::f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff {
        initial: Duration::from_millis(100),
        max: Duration::from_secs(10),
    };

    #[test]
    fn the_bound_doubles_up_to_the_cap() {
        let cases = [
            (0, 100),
            (1, 200),
            (3, 800),
            (6, 6_400),
            (7, 10_000),
            (31, 10_000),
            (u32::MAX, 10_000),
        ];
        for (attempt, ms) in cases {
            assert_eq!(
                BACKOFF.delay(attempt, None, 1.0),
                Duration::from_millis(ms),
                "{attempt}"
            );
        }
    }

    #[test]
    fn jitter_reaches_down_to_nothing() {
        assert_eq!(BACKOFF.delay(4, None, 0.0), Duration::ZERO);
        assert_eq!(BACKOFF.delay(1, None, 0.5), Duration::from_millis(100));
    }

    #[test]
    fn what_the_sink_asks_for_wins_within_reason() {
        let asked = |seconds| BACKOFF.delay(0, Some(Duration::from_secs(seconds)), 0.0);
        assert_eq!(asked(0), Duration::ZERO);
        assert_eq!(asked(60), Duration::from_mins(1));
        assert_eq!(asked(86_400), Duration::from_mins(5));
    }
}
