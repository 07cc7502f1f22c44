//! Whose turn it is among several collectors. One that fails rests, each time for longer, and what would
//! have been its share goes to the others.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::{sink::SendError, text::shown};

/// Bounds of a rest, unless the collector itself says how long it wants to be left alone.
const FIRST_REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_mins(1);

/// The collectors of one sink, by their number.
#[derive(Debug)]
pub(super) struct Rotation(Mutex<State>);

#[derive(Debug)]
struct State {
    /// What each has to rest for, if it has failed since it last answered.
    rests: Vec<Option<Rest>>,
    next: usize,
}

#[derive(Clone, Copy, Debug)]
struct Rest {
    until: Instant,
    failures: u32,
    /// Whether it was a fault of the configuration.
    refuses: bool,
}

/// One collector, chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) number: usize,
    /// Whether it has failed since it last answered, and others are there: ask for its health before it
    /// gets events.
    pub(super) doubtful: bool,
}

impl Rotation {
    pub(super) fn of(count: usize) -> Self {
        Self(Mutex::new(State {
            rests: vec![None; count],
            next: 0,
        }))
    }

    /// The next one that does not rest; where all do, the one whose rest ends first.
    pub(super) fn turn(&self) -> Turn {
        let mut state = self.state();
        let (count, now) = (state.rests.len(), Instant::now());
        let until = |number: usize| state.rests[number].map(|rest| rest.until);
        let order = (0..count).map(|step| (state.next + step) % count);
        // Of equals the first, so that those that do not rest take turns.
        let number = order
            .min_by_key(|number| until(*number).filter(|until| *until > now))
            .unwrap_or(0);
        state.next = (number + 1) % count;
        Turn {
            number,
            doubtful: count > 1 && state.rests[number].is_some(),
        }
    }

    /// Takes note of how a request to this collector ended. Where others are left, a failure is theirs to
    /// mend: it is `Unavailable`, and the sink is held only when none takes anything.
    pub(super) fn ended<T>(
        &self,
        number: usize,
        name: &str,
        result: Result<T, SendError>,
    ) -> Result<T, SendError> {
        let error = match result {
            Ok(_)
            | Err(
                SendError::TooLarge | SendError::RefusedEntry { .. } | SendError::Refused { .. },
            ) => {
                self.answered(number, name);
                return result;
            }
            Err(error) => error,
        };
        if self.state().rests.len() == 1 {
            return Err(error);
        }
        let asked = match &error {
            SendError::Throttled { retry_after } => *retry_after,
            _ => None,
        };
        let refuses = matches!(error, SendError::Misconfigured(_));
        let first = self.rest(number, asked, refuses);
        let (awake, all_refuse) = self.others();
        let cause = match error {
            SendError::Throttled { .. } if !awake => return Err(error),
            SendError::Misconfigured(_) if all_refuse => return Err(error),
            SendError::Misconfigured(cause) | SendError::Unavailable(cause) => cause,
            _ => anyhow::anyhow!("the collector is throttling"),
        };
        if first {
            let error = shown(&format!("{cause:#}"));
            if refuses {
                tracing::error!(
                    collector = name,
                    error,
                    "collector is misconfigured; the others get its share"
                );
            } else {
                tracing::warn!(
                    collector = name,
                    error,
                    "collector fails; the others get its share"
                );
            }
        }
        Err(SendError::Unavailable(cause))
    }

    fn answered(&self, number: usize, name: &str) {
        let rested = self.state().rests[number].take();
        if rested.is_some() {
            tracing::info!(collector = name, "collector takes events again");
        }
    }

    /// Sends it to rest. Returns whether it is its first failure of this kind since it answered.
    fn rest(&self, number: usize, asked: Option<Duration>, refuses: bool) -> bool {
        let mut state = self.state();
        let before = state.rests[number];
        let failures = before.map_or(0, |rest| rest.failures);
        let grown = FIRST_REST.saturating_mul(1 << failures.min(6));
        state.rests[number] = Some(Rest {
            until: Instant::now() + asked.unwrap_or(grown.min(LONGEST_REST)),
            failures: failures.saturating_add(1),
            refuses,
        });
        before.is_none_or(|rest| refuses && !rest.refuses)
    }

    /// Whether any does not rest, and whether all refuse.
    fn others(&self) -> (bool, bool) {
        let (state, now) = (self.state(), Instant::now());
        let awake = |rest: &Option<Rest>| rest.is_none_or(|rest| rest.until <= now);
        let refuses = |rest: &Option<Rest>| rest.is_some_and(|rest| rest.refuses);
        (
            state.rests.iter().any(awake),
            state.rests.iter().all(refuses),
        )
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn unavailable() -> Result<(), SendError> {
        Err(SendError::Unavailable(anyhow::anyhow!("503")))
    }

    fn misconfigured() -> Result<(), SendError> {
        Err(SendError::Misconfigured(anyhow::anyhow!("401")))
    }

    fn throttled(seconds: u64) -> Result<(), SendError> {
        Err(SendError::Throttled {
            retry_after: Some(Duration::from_secs(seconds)),
        })
    }

    fn turns(rotation: &Rotation, count: usize) -> Vec<usize> {
        (0..count).map(|_| rotation.turn().number).collect()
    }

    async fn pass(ms: u64) {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn all_take_turns() {
        assert_eq!(turns(&Rotation::of(3), 7), [0, 1, 2, 0, 1, 2, 0]);
        assert_eq!(turns(&Rotation::of(1), 3), [0, 0, 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_fails_rests_for_longer_each_time_until_it_answers() {
        let rotation = Rotation::of(2);
        for rest_s in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert!(matches!(
                rotation.ended(0, "a", unavailable()),
                Err(SendError::Unavailable(_))
            ));
            pass(rest_s * 1_000 - 1).await;
            assert_eq!(turns(&rotation, 3), [1, 1, 1], "{rest_s}");
            pass(2).await;
            let turn = [rotation.turn(), rotation.turn()];
            let doubtful = turn.into_iter().find(|turn| turn.number == 0).unwrap();
            assert!(doubtful.doubtful);
        }
        rotation.ended(0, "a", Ok(())).unwrap();
        let number = rotation.turn().number;
        assert_ne!(number, rotation.turn().number);
        let turn = [rotation.turn(), rotation.turn()];
        assert!(turn.iter().all(|turn| !turn.doubtful));
    }

    #[tokio::test(start_paused = true)]
    async fn the_sink_is_misconfigured_only_when_all_collectors_are() {
        let rotation = Rotation::of(2);
        assert!(matches!(
            rotation.ended(0, "a", misconfigured()),
            Err(SendError::Unavailable(_))
        ));
        assert!(matches!(
            rotation.ended(1, "b", misconfigured()),
            Err(SendError::Misconfigured(_))
        ));
        // While one is merely down, nothing is wrong with all of them.
        rotation.ended(1, "b", Ok(())).unwrap();
        rotation.ended(1, "b", unavailable()).unwrap_err();
        assert!(matches!(
            rotation.ended(0, "a", misconfigured()),
            Err(SendError::Unavailable(_))
        ));
    }

    #[tokio::test(start_paused = true)]
    async fn the_sink_is_throttled_only_when_no_collector_is_left() {
        let rotation = Rotation::of(2);
        assert!(matches!(
            rotation.ended(0, "a", throttled(30)),
            Err(SendError::Unavailable(_))
        ));
        assert_eq!(turns(&rotation, 2), [1, 1]);
        assert!(matches!(
            rotation.ended(1, "b", throttled(20)),
            Err(SendError::Throttled { .. })
        ));
        assert_eq!(rotation.turn().number, 1, "its rest ends first");
        pass(20_500).await;
        assert_eq!(turns(&rotation, 2), [1, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lone_collector_is_told_as_it_is() {
        let rotation = Rotation::of(1);
        assert!(matches!(
            rotation.ended(0, "a", misconfigured()),
            Err(SendError::Misconfigured(_))
        ));
        assert!(matches!(
            rotation.ended(0, "a", throttled(9)),
            Err(SendError::Throttled { retry_after: Some(wait) }) if wait.as_secs() == 9
        ));
        assert_eq!(
            rotation.turn(),
            Turn {
                number: 0,
                doubtful: false
            }
        );
    }

    #[tokio::test(start_paused = true)]
    async fn events_that_are_refused_are_no_fault_of_the_collector() {
        let rotation = Rotation::of(2);
        for fault in [
            SendError::TooLarge,
            SendError::Refused {
                status: 400,
                reason: "r".into(),
            },
            SendError::RefusedEntry {
                position: 0,
                reason: "r".into(),
            },
        ] {
            rotation.ended::<()>(0, "a", Err(fault)).unwrap_err();
        }
        assert_eq!(turns(&rotation, 4), [0, 1, 0, 1]);
    }
}
