//! A plugin's place on a worker: its instance, and what happens when it fails.
//!
//! A plugin that fails on a batch is tried again on halves of it, on fresh instances, until the event at
//! fault stands alone.

use super::{
    CallError, Instance,
    abi::{self, Kind as Stage},
    added::AddedColumns,
    chain::{Link, Run},
};
use crate::ledger::windows::EventMark;

/// Events that one plugin may fail on in one batch before the rest of the batch counts as failed too.
const MAX_POISON: usize = 4;

/// A plugin's place on a worker.
#[derive(Debug, Default)]
pub(super) struct Seat {
    instance: Option<Instance>,
    /// Events it failed on since it last judged any.
    failures: usize,
}

/// What one plugin said of a batch, in pieces where it had to be halved.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// Rows of the batch, ascending, and what was said of them.
    pub(super) parts: Vec<(Vec<u32>, abi::Outcome)>,
    /// Rows of the batch that the plugin failed on, and how.
    pub(super) failed: Vec<(u32, String)>,
    /// Whether it seems to fail on everything.
    pub(super) broken: bool,
}

impl Seat {
    /// Asks a plugin about some rows; halves them where it fails.
    pub(super) fn ask(
        &mut self,
        link: &Link,
        run: &Run<'_>,
        rows: &[u32],
        added: &AddedColumns<'_>,
    ) -> Answer {
        let mut answer = Answer::default();
        let health = link.component.health();
        let rests = link.component.kind() != Stage::Redact;
        if rests && health.is_resting(run.now_ms) {
            let error = "is not asked for a while, because it keeps failing";
            answer.failed = rows.iter().map(|row| (*row, error.to_owned())).collect();
            answer.broken = true;
            return answer;
        }
        let mut left = vec![rows];
        while let Some(rows) = left.pop() {
            if rows.is_empty() {
                continue;
            }
            match self.call(link, &run.input(link, rows, added), run.marks(link, rows)) {
                Ok(outcome) => {
                    self.failures = 0;
                    answer.parts.push((rows.to_vec(), outcome));
                }
                Err(error) if rows.len() == 1 => {
                    self.failures += 1;
                    answer.failed.push((rows[0], error.to_string()));
                }
                Err(error) if answer.failed.len() >= MAX_POISON => {
                    let error = error.to_string();
                    answer
                        .failed
                        .extend(rows.iter().map(|row| (*row, error.clone())));
                    for rows in left.drain(..) {
                        answer
                            .failed
                            .extend(rows.iter().map(|row| (*row, error.clone())));
                    }
                    answer.broken = true;
                }
                Err(_) => {
                    let (first, second) = rows.split_at(rows.len() / 2);
                    left.extend([second, first]);
                }
            }
        }
        answer.broken |= self.failures >= MAX_POISON;
        if answer.broken && rests {
            let rest_ms = health.fails(run.now_ms);
            tracing::error!(
                plugin = link.name(),
                rest_ms,
                "plugin keeps failing and is not asked for a while"
            );
        } else if !answer.parts.is_empty() {
            health.recovers();
        }
        answer.failed.sort_by_key(|(row, _)| *row);
        answer
    }

    fn call(
        &mut self,
        link: &Link,
        input: &abi::Batch,
        events: Vec<EventMark>,
    ) -> Result<abi::Outcome, CallError> {
        if self.instance.as_ref().is_some_and(Instance::is_spent) {
            self.instance = None;
        }
        if self.instance.is_none() {
            self.instance = Some(link.component.instantiate()?);
        }
        let instance = self.instance.as_mut().expect("made above");
        let outcome = instance.process_events(input, events);
        if outcome.is_err() {
            // Whatever it was, the next batch meets a healthy instance.
            self.instance = None;
        }
        outcome
    }
}
