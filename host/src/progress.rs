//! How far the deliveries have got with an object, batch by batch, and the marks of it in the ledger.
//!
//! A mark says that a delivery has settled every event before a position. It is written after that is so, for
//! objects that take their time and every few seconds, and so lies behind the truth: an object that is
//! read again goes on from its marks, and what was settled since the last one is sent twice.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use crate::{
    ack::{self, Ack, Finalizer, Outcome},
    event::Object,
    ledger::Ledger,
};

/// Between two marks of one delivery, and before the first.
pub(crate) const EVERY: Duration = Duration::from_secs(2);

/// What one delivery gets of an object.
pub(crate) struct Track {
    /// The delivery's name in the ledger.
    pub(crate) name: String,
    /// Events before this position were settled when the object was read before.
    pub(crate) from: u32,
    /// Whether marks are made: not where only some of the events are read.
    marks: bool,
    /// Batches in hand, in order, each with the position that follows it.
    batches: VecDeque<(u32, Finalizer)>,
    /// Everything before this position is settled.
    settled: u32,
    marked: u32,
    at: Instant,
    worst: Outcome,
}

impl Track {
    pub(crate) fn new(name: &str, from: u32, marks: bool) -> Self {
        Self {
            name: name.to_owned(),
            from,
            marks,
            batches: VecDeque::new(),
            settled: from,
            marked: from,
            at: Instant::now(),
            worst: Outcome::Delivered,
        }
    }

    /// The acknowledgement of the next batch; `end` is the position that follows it.
    pub(crate) fn share(&mut self, end: u32) -> Ack {
        let (ack, finalizer) = ack::channel();
        self.batches.push_back((end, finalizer));
        ack
    }

    fn ended(&mut self, end: u32, outcome: Outcome) {
        self.worst = self.worst.max(outcome);
        // Behind a batch that failed nothing counts: a mark has no holes.
        if self.worst.is_settled() {
            self.settled = self.settled.max(end);
        }
    }

    /// Notes what has ended so far.
    pub(crate) async fn advance(&mut self, object: &Object, ledger: &dyn Ledger) {
        while let Some((end, finalizer)) = self.batches.front_mut() {
            let Some(outcome) = finalizer.try_outcome() else {
                break;
            };
            let end = *end;
            self.batches.pop_front();
            self.ended(end, outcome);
        }
        self.mark(object, ledger).await;
    }

    /// Waits for everything, and says how it ended; `read` is how reading did.
    pub(crate) async fn outcome(
        mut self,
        read: Outcome,
        object: &Object,
        ledger: &dyn Ledger,
    ) -> (String, Outcome) {
        while let Some((end, finalizer)) = self.batches.pop_front() {
            let outcome = finalizer.outcome().await;
            self.ended(end, outcome);
            self.mark(object, ledger).await;
        }
        (self.name, self.worst.max(read))
    }

    async fn mark(&mut self, object: &Object, ledger: &dyn Ledger) {
        if !self.marks || self.settled == self.marked || self.at.elapsed() < EVERY {
            return;
        }
        self.at = Instant::now();
        match ledger
            .reached(object.id, &object.url, &self.name, self.settled)
            .await
        {
            Ok(()) => self.marked = self.settled,
            Err(error) => {
                let error = crate::text::shown(&format!("{error:#}"));
                tracing::debug!(object = object.url, error, "a mark could not be written");
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::{
        event::{ObjectKind, ObjectRef},
        ledger::Sqlite,
    };

    fn object() -> Object {
        let reference = ObjectRef {
            bucket: "b".into(),
            key: "k".into(),
            version: None,
        };
        Object::new(reference, "v".into(), ObjectKind::Log)
    }

    async fn marked(ledger: &Sqlite) -> Option<u32> {
        let known = ledger.known(object().id).await.unwrap();
        known.upto.get("splunk").copied()
    }

    #[tokio::test(start_paused = true)]
    async fn a_mark_is_made_in_order_and_not_too_often() {
        let ledger = Sqlite::in_memory().unwrap();
        let mut track = Track::new("splunk", 0, true);
        let (first, second, third) = (track.share(10), track.share(20), track.share(30));
        second.settle(Outcome::Delivered);
        tokio::time::sleep(EVERY).await;
        track.advance(&object(), &ledger).await;
        assert_eq!(marked(&ledger).await, None, "the first is in hand");
        first.settle(Outcome::Pending);
        track.advance(&object(), &ledger).await;
        assert_eq!(marked(&ledger).await, Some(20));
        third.settle(Outcome::Delivered);
        track.advance(&object(), &ledger).await;
        assert_eq!(marked(&ledger).await, Some(20), "it was marked just now");
        tokio::time::sleep(EVERY).await;
        track.advance(&object(), &ledger).await;
        assert_eq!(marked(&ledger).await, Some(30));
        let end = track.outcome(Outcome::Delivered, &object(), &ledger).await;
        assert_eq!(end, ("splunk".to_owned(), Outcome::Pending));
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_marked_behind_a_batch_that_failed() {
        let ledger = Sqlite::in_memory().unwrap();
        let mut track = Track::new("splunk", 0, true);
        let (first, second, third) = (track.share(10), track.share(20), track.share(30));
        first.settle(Outcome::Delivered);
        drop(second);
        third.settle(Outcome::Delivered);
        tokio::time::sleep(EVERY).await;
        let (_, outcome) = track.outcome(Outcome::Delivered, &object(), &ledger).await;
        assert_eq!(outcome, Outcome::Failed);
        assert_eq!(marked(&ledger).await, Some(10));
    }

    #[tokio::test(start_paused = true)]
    async fn what_reads_only_some_events_marks_nothing() {
        let ledger = Sqlite::in_memory().unwrap();
        let mut track = Track::new("splunk", 0, false);
        track.share(10).settle(Outcome::Delivered);
        tokio::time::sleep(EVERY).await;
        track.advance(&object(), &ledger).await;
        assert_eq!(marked(&ledger).await, None);
    }
}
