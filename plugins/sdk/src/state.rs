//! What a plugin counts over windows of event time, and what it remembers.
//!
//! A window is what lies in the seconds up to an event, that event included, under one key; the keys are
//! the plugin's own. The host says who an event is and when it happened, so that one that is delivered
//! twice counts once, and all workers count together. Windows move on while others are being counted:
//! compare with `>=`, never with `==`.
//!
//! The operator grants it with `grants.state = true`. One call a batch is the intended use:
//!
//! ```
//! use sluicegate_plugin::{Batch, Finding, Output, Severity, state::{self, Observation}};
//!
//! fn many_failures(batch: &Batch<'_>, out: &mut Output) -> Result<(), String> {
//!     let seen: Vec<_> = batch
//!         .rows()
//!         .map(|row| Observation::new(row, row.str("userIdentity.arn").unwrap_or("nobody"), 600))
//!         .collect();
//!     match state::observe(&seen) {
//!         Ok(windows) => {
//!             for (row, window) in batch.rows().zip(windows) {
//!                 if window.events >= 10 {
//!                     out.find(row, Finding::new("many-failures", "Many failures", Severity::Medium));
//!                 }
//!             }
//!             Ok(())
//!         }
//!         // Nothing was counted. An error would have the host try the batch again in halves.
//!         Err(error) => {
//!             sluicegate_plugin::log::warn(&format!("failed to count: {error:?}"));
//!             Ok(())
//!         }
//!     }
//! }
//! ```

use crate::{Row, bindings::sluicegate::plugin::state as raw};

pub use raw::{Entry, Error, Window};

/// One event to count.
#[derive(Clone, Copy, Debug)]
pub struct Observation<'a> {
    row: u32,
    key: &'a str,
    member: &'a str,
    value: f64,
    window_s: u32,
}

impl<'a> Observation<'a> {
    /// Counts the row's event under this key (at most 1,024 bytes) over so many seconds (1 to 2,592,000).
    #[must_use]
    pub fn new(row: Row<'_>, key: &'a str, window_s: u32) -> Self {
        Self {
            row: row.index(),
            key,
            member: "",
            value: 1.0,
            window_s,
        }
    }

    /// Counts this text (at most 1,024 bytes) as distinct: [`Window::members`] says how many there are,
    /// [`Window::first`] whether it is new. An event may be observed under one key with several members.
    #[must_use]
    pub fn member(mut self, member: &'a str) -> Self {
        self.member = member;
        self
    }

    /// Adds a finite number to [`Window::sum`]; without this it is one.
    #[must_use]
    pub fn value(mut self, value: f64) -> Self {
        self.value = value;
        self
    }
}

/// Counts, all or nothing, and answers for each observation in the same order with its window.
///
/// # Errors
/// When the host does not answer in time, or keeps no more for this plugin.
pub fn observe(observations: &[Observation<'_>]) -> Result<Vec<Window>, Error> {
    let observations: Vec<_> = observations
        .iter()
        .map(|observation| raw::Observation {
            row: observation.row,
            key: observation.key.to_owned(),
            member: observation.member.to_owned(),
            value: observation.value,
            window_s: observation.window_s,
        })
        .collect();
    #[cfg(target_arch = "wasm32")]
    return raw::observe(&observations);
    #[cfg(not(target_arch = "wasm32"))]
    crate::testing::world::observe(&observations)
}

/// The newest entries of each key, oldest first, `limit` (at most 1,024) of each, within so many seconds
/// up to the newest event of the batch.
///
/// # Errors
/// As [`observe`]; also when more than 16,384 entries are asked for in one call.
pub fn recent(keys: &[&str], window_s: u32, limit: u32) -> Result<Vec<Vec<Entry>>, Error> {
    let keys: Vec<String> = keys.iter().map(|&key| key.to_owned()).collect();
    #[cfg(target_arch = "wasm32")]
    return raw::recent(&keys, window_s, limit);
    #[cfg(not(target_arch = "wasm32"))]
    crate::testing::world::recent(&keys, window_s, limit)
}
