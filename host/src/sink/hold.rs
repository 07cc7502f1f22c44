//! The hold of one sink: whether it takes nothing at present, and why.

use std::time::Duration;

use tokio::{sync::watch, time::Instant};

use super::best_effort::Guarantee;
use crate::deadletter::Cause;

/// Shared by everybody who sends to one sink.
#[derive(Debug)]
pub(super) struct Hold {
    sink: String,
    after: Duration,
    guarantee: Guarantee,
    state: watch::Sender<State>,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// First failure since the sink answered last.
    failing_since: Option<Instant>,
    held: Option<(Cause, Instant)>,
    /// When the hold was tried last.
    probed: Option<Instant>,
}

impl Hold {
    pub(super) fn new(sink: &str, after: Duration, guarantee: Guarantee) -> Self {
        Self {
            sink: sink.to_owned(),
            after,
            guarantee,
            state: watch::Sender::new(State::default()),
        }
    }

    /// Why the sink is held, if it is.
    pub(super) fn cause(&self) -> Option<Cause> {
        self.state.borrow().held.map(|(cause, _)| cause)
    }

    /// Waits until the sink is held.
    pub(super) async fn begins(&self) {
        // The sender is ours, so that waiting ends with success only.
        let _ = self
            .state
            .subscribe()
            .wait_for(|state| state.held.is_some())
            .await;
    }

    /// Whether what comes may be sent to the held sink as a trial; so is one load each interval.
    pub(super) fn probe(&self, interval: Duration) -> bool {
        let now = Instant::now();
        self.state.send_if_modified(|state| {
            let Some((_, since)) = state.held else {
                return false;
            };
            let due = now - state.probed.unwrap_or(since).max(since) >= interval;
            if due {
                state.probed = Some(now);
            }
            due
        })
    }

    /// Holds the sink at once. Returns whether it was not held before.
    pub(super) fn begin(&self, cause: Cause, error: &anyhow::Error) -> bool {
        let begun = self.state.send_if_modified(|state| {
            let begins = state.held.is_none();
            state.held.get_or_insert((cause, Instant::now()));
            begins
        });
        // What a best-effort sink does not get has its own line.
        if begun && self.guarantee == Guarantee::Required {
            let error = crate::text::shown(&format!("{error:#}"));
            tracing::error!(sink = self.sink, %cause, error, "sink is held; what it does not get is kept as pending");
        }
        begun
    }

    /// The sink did not take a request. Once it has answered nothing for too long it is held. Returns
    /// whether the hold begins here.
    pub(super) fn failed(&self, error: &anyhow::Error) -> bool {
        let now = Instant::now();
        let mut since = None;
        self.state.send_if_modified(|state| {
            since = state
                .failing_since
                .replace(state.failing_since.unwrap_or(now));
            false
        });
        let Some(since) = since else {
            let error = crate::text::shown(&format!("{error:#}"));
            tracing::warn!(sink = self.sink, error, "sink does not answer; tried again");
            return false;
        };
        now - since >= self.after && self.begin(Cause::SinkUnavailable, error)
    }

    /// The sink answered a request that was begun at this time: it is alive, and no longer held unless
    /// the hold is younger than the request.
    pub(super) fn answered(&self, begun: Instant) {
        let ended = self.state.send_if_modified(|state| {
            state.failing_since = None;
            state.held.take_if(|(_, since)| *since <= begun).is_some()
        });
        match self.guarantee {
            Guarantee::Required if ended => tracing::info!(
                sink = self.sink,
                "sink gets events again; pending work is caught up"
            ),
            Guarantee::BestEffort if ended => {
                tracing::info!(sink = self.sink, "sink gets events again");
            }
            _ => {}
        }
    }

    /// Ends a hold for this cause, which is over.
    pub(super) fn lift(&self, cause: Cause) {
        if self.cause() == Some(cause) {
            self.end();
        }
    }

    /// Ends a hold that nothing is left to probe with.
    pub(super) fn end(&self) {
        self.answered(Instant::now());
    }
}
