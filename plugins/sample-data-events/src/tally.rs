//! What was dropped, for the log: a line a minute.

use std::cell::{Cell, RefCell};

use crate::selector::cut;

/// Milliseconds between two lines.
const EVERY_MS: u64 = 60_000;

/// Counts since the last line of this instance. The host counts drops by plugin whatever happens here; this
/// says by which rule.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    names: Vec<String>,
    /// One a rule, and one more for the budget.
    dropped: RefCell<Vec<u64>>,
    seen: Cell<u64>,
    told_ms: Cell<u64>,
}

impl Tally {
    pub(crate) fn new<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let names: Vec<_> = names.map(cut).collect();
        Self {
            dropped: RefCell::new(vec![0; names.len() + 1]),
            names,
            ..Self::default()
        }
    }

    /// An event that a rule dropped, or else the budget.
    pub(crate) fn dropped(&self, rule: Option<usize>) {
        let mut dropped = self.dropped.borrow_mut();
        dropped[rule.unwrap_or(self.names.len())] += 1;
    }

    /// What to say after a batch, if it is time to and anything was dropped.
    pub(crate) fn line(&self, rows: u32, now_ms: u64) -> Option<String> {
        self.seen.set(self.seen.get() + u64::from(rows));
        let mut dropped = self.dropped.borrow_mut();
        let all: u64 = dropped.iter().sum();
        if all == 0 || now_ms.abs_diff(self.told_ms.get()) < EVERY_MS {
            return None;
        }
        let names = self.names.iter().map(String::as_str).chain(["the budget"]);
        let parts: Vec<_> = names
            .zip(dropped.iter())
            .filter(|(_, count)| **count > 0)
            .map(|(name, count)| format!("{count} by {name}"))
            .collect();
        let line = format!(
            "dropped {all} of {} events: {}",
            self.seen.get(),
            parts.join(", ")
        );
        dropped.fill(0);
        self.seen.set(0);
        self.told_ms.set(now_ms);
        Some(line)
    }
}
