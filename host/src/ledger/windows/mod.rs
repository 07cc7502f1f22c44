//! Windows over event time: what plugins count, and what they remember.
//!
//! Every plugin has a namespace of its own, named by the plugin, so that an upgrade goes on where the old
//! version stopped. Under a key stand entries: one for each event and member, with the event's time and a
//! value. A window is what lies in the seconds up to an event, that event included, so that it is the same
//! in whatever order events arrive; an event counts once, however often it is delivered.
//!
//! An entry is kept for as long as the longest window used for its key, and
//! [`KEPT_FOR_REDELIVERY_MS`] more, from when it was first seen.

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
pub(crate) mod contract;
mod desk;
mod hot;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod model;
mod series;
mod sqlite;
mod store;

use std::time::Instant;

pub use self::sqlite::SqliteWindows;

/// The longest window, in seconds: 30 days.
pub const MAX_WINDOW_S: u32 = 30 * 86_400;

/// The longest key and the longest member, in bytes.
pub const MAX_TEXT_BYTES: usize = 1_024;

/// Entries of one key that are kept, the newest of them: what bounds the work of one observation, so that
/// nobody can stop a plugin from counting by filling one key.
pub const MAX_ENTRIES_OF_KEY: u32 = 5_000;

/// Entries that [`Windows::recent`] hands out for each key, at the most.
pub const MAX_RECENT: u32 = 1_024;

/// How much longer than a window an entry is kept, in milliseconds: a message that is delivered again
/// within that time finds what it found before. Six hours; a message that failed rests a quarter of an
/// hour at the most.
pub const KEPT_FOR_REDELIVERY_MS: i64 = 6 * 3_600_000;

/// Who an event is and when it happened. The host says so, never a plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EventMark {
    /// The same for every delivery of the event, and different for every other event.
    pub identity: [u8; 16],
    /// Milliseconds since 1970.
    pub time_ms: i64,
}

/// One thing to count.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// The event.
    pub event: EventMark,
    /// Under what it counts, at most [`MAX_TEXT_BYTES`].
    pub key: String,
    /// What is counted as distinct, at most [`MAX_TEXT_BYTES`]; "" where only events are counted.
    pub member: String,
    /// What is summed. Of one event and member the first value stays.
    pub value: f64,
    /// Length of the window, 1 to [`MAX_WINDOW_S`] seconds.
    pub window_s: u32,
}

/// A window as of an event: what lies after `time - window` and not after `time`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Window {
    /// Events.
    pub events: u64,
    /// Distinct members; "" is none.
    pub members: u64,
    /// Sum of the values.
    pub sum: f64,
    /// Whether no event of the window that was observed before shows the same member.
    pub first: bool,
}

/// One entry of a key.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// When the event happened, milliseconds since 1970.
    pub time_ms: i64,
    /// The member.
    pub member: String,
    /// The value.
    pub value: f64,
}

/// Which entries are asked for: those after `after_ms` and not after `until_ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Milliseconds since 1970, itself excluded.
    pub after_ms: i64,
    /// Milliseconds since 1970, itself included.
    pub until_ms: i64,
}

/// The namespace of a plugin and how much may lie in it.
#[derive(Clone, Copy, Debug)]
pub struct Namespace<'a> {
    /// The plugin's name.
    pub plugin: &'a str,
    /// Keys at the most.
    pub keys: u64,
    /// Entries of all keys together, at the most.
    pub entries: u64,
}

/// Why there is no answer. Nothing was counted then.
#[derive(Debug, thiserror::Error)]
pub enum WindowsError {
    /// The store does not answer, or not in time.
    #[error("{0:#}")]
    Unavailable(anyhow::Error),
    /// More than the plugin may have; the text is for the plugin and its operator.
    #[error("{0}")]
    Quota(String),
}

/// Where windows are kept. Called on worker threads, which may be blocked until the deadline.
pub trait Windows: Send + Sync + 'static {
    /// Counts observations, all or none of them, and answers for each in the same order with its window
    /// as it is after all of them were counted. An event that was counted before, under the same key and
    /// with the same member, counts no second time.
    ///
    /// # Errors
    /// See [`WindowsError`].
    fn observe(
        &self,
        namespace: &Namespace<'_>,
        observations: &[Observation],
        deadline: Instant,
    ) -> Result<Vec<Window>, WindowsError>;

    /// The newest entries of each key within a span, oldest first, at most `limit` and [`MAX_RECENT`] of
    /// each. Events at the same time come in an order that is always the same.
    ///
    /// # Errors
    /// See [`WindowsError`].
    fn recent(
        &self,
        plugin: &str,
        keys: &[String],
        span: Span,
        limit: u32,
        deadline: Instant,
    ) -> Result<Vec<Vec<Entry>>, WindowsError>;
}

/// Checks what every store has to refuse.
fn check(observations: &[Observation]) -> Result<(), WindowsError> {
    let quota = |what: String| Err(WindowsError::Quota(what));
    for observation in observations {
        for (what, text) in [("key", &observation.key), ("member", &observation.member)] {
            if text.len() > MAX_TEXT_BYTES {
                let bytes = text.len();
                return quota(format!(
                    "a {what} has {bytes} bytes, at most {MAX_TEXT_BYTES} are kept"
                ));
            }
        }
        let window_s = observation.window_s;
        if !(1..=MAX_WINDOW_S).contains(&window_s) {
            return quota(format!(
                "a window must have 1 to {MAX_WINDOW_S} seconds, got {window_s}"
            ));
        }
    }
    Ok(())
}
