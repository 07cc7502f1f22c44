//! What may go to one sink in a day, as a licence has it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// Bytes of one calendar day in UTC, of which each request takes its part and a failed one gives it back.
#[derive(Debug)]
pub(super) struct DayBytes {
    most: u64,
    /// Milliseconds since 1970 when it was made, and when that was on the runtime's clock: a paused clock
    /// pauses the day too.
    made: (u64, Instant),
    today: Mutex<Today>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Today {
    /// Days since 1970.
    day: u64,
    bytes: u64,
    /// Whether a request was turned away.
    spent: bool,
}

/// What a request has taken of a day.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    day: u64,
    bytes: u64,
}

impl DayBytes {
    pub(super) fn new(most: u64, now_ms: i64) -> Self {
        Self {
            most,
            made: (u64::try_from(now_ms).unwrap_or(0), Instant::now()),
            today: Mutex::default(),
        }
    }

    pub(super) fn most(&self) -> u64 {
        self.most
    }

    /// Takes what a request needs. None is left for the rest of the day once one was turned away. A request
    /// larger than a whole day has one for itself.
    pub(super) fn take(&self, bytes: usize) -> Option<Taken> {
        let mut today = self.today();
        let bytes = bytes as u64;
        if today.spent || today.bytes > 0 && today.bytes.saturating_add(bytes) > self.most {
            today.spent = true;
            return None;
        }
        today.bytes = today.bytes.saturating_add(bytes);
        Some(Taken {
            day: today.day,
            bytes,
        })
    }

    /// Gives back what a request took that was not accepted.
    pub(super) fn give_back(&self, taken: Taken) {
        let mut today = self.today();
        if today.day == taken.day {
            today.bytes -= taken.bytes;
        }
    }

    /// Whether nothing more goes today.
    pub(super) fn is_spent(&self) -> bool {
        self.today().spent
    }

    fn today(&self) -> MutexGuard<'_, Today> {
        let (at, made) = self.made;
        let since = u64::try_from(made.elapsed().as_millis()).unwrap_or(u64::MAX);
        let day = at.saturating_add(since) / DAY_MS;
        let mut today = self.today.lock().unwrap_or_else(PoisonError::into_inner);
        if today.day != day {
            *today = Today {
                day,
                ..Today::default()
            };
        }
        today
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::time::Duration;

    use super::*;

    /// 2023-07-10, an hour before midnight.
    const LATE_MS: i64 = 1_689_030_000_000;

    async fn pass(minutes: u64) {
        tokio::time::sleep(Duration::from_mins(minutes)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_day_is_spent_once_a_request_was_turned_away_until_midnight() {
        let day = DayBytes::new(1_000, LATE_MS);
        assert!(day.take(600).is_some() && !day.is_spent());
        assert!(day.take(600).is_none() && day.is_spent());
        assert!(day.take(1).is_none(), "smaller ones wait with it");
        pass(59).await;
        assert!(day.is_spent());
        pass(2).await;
        assert!(!day.is_spent());
        assert!(day.take(1_000).is_some());
        assert!(day.take(1).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_not_accepted_is_given_back_on_the_same_day() {
        let day = DayBytes::new(1_000, LATE_MS);
        let taken = day.take(900).unwrap();
        day.give_back(taken);
        let taken = day.take(900).unwrap();
        pass(61).await;
        day.take(400).unwrap();
        day.give_back(taken);
        assert!(day.take(601).is_none(), "yesterday's is not today's");
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_larger_than_a_day_has_one_for_itself() {
        let day = DayBytes::new(1_000, LATE_MS);
        assert!(day.take(5_000).is_some());
        assert!(day.take(1).is_none());
    }
}
