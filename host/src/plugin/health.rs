//! Rest for a plugin that keeps failing.

use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

/// First and longest rest, in milliseconds.
const FIRST_MS: i64 = 1_000;
const LONGEST_MS: i64 = 60_000;

/// How a plugin fares, on all workers together. One that fails on everything is not asked for a while, and
/// for longer each time: it would cost a fresh instance for every event.
///
/// Redaction never rests: an event that it has not judged does not leave, and is tried again from its
/// reference.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// Rests in a row.
    rests: AtomicU32,
    /// Until when it rests, milliseconds since 1970.
    until_ms: AtomicI64,
}

impl Health {
    /// Whether the plugin is resting at this time.
    pub(super) fn is_resting(&self, now_ms: i64) -> bool {
        now_ms < self.until_ms.load(Ordering::Relaxed)
    }

    /// Notes that the plugin failed on everything; returns for how many milliseconds it rests.
    pub(super) fn fails(&self, now_ms: i64) -> i64 {
        let rests = self.rests.fetch_add(1, Ordering::Relaxed);
        let rest = FIRST_MS.saturating_mul(1 << rests.min(20)).min(LONGEST_MS);
        self.until_ms
            .store(now_ms.saturating_add(rest), Ordering::Relaxed);
        rest
    }

    /// Notes that the plugin judged events again.
    pub(super) fn recovers(&self) {
        self.rests.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rests_grow_up_to_a_minute_and_begin_anew_after_a_recovery() {
        let health = Health::default();
        assert!(!health.is_resting(0));
        let rests: Vec<_> = (0..8).map(|_| health.fails(0)).collect();
        assert_eq!(rests, [1, 2, 4, 8, 16, 32, 60, 60].map(|s| s * 1_000));
        assert!(health.is_resting(59_999));
        assert!(!health.is_resting(60_000));
        health.recovers();
        assert_eq!(health.fails(100_000), 1_000);
    }
}
