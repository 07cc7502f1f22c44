//! Sinks: a [`Sink`] encodes and sends one batch, and nothing else. Batching, rate limits, retries,
//! holds and acknowledgement belong to [`delivery`].

#[cfg(all(
    any(test, fuzzing),
    feature = "splunk-hec",
    feature = "datadog-logs",
    feature = "security-hub"
))]
pub mod answers;
pub mod batch;
mod best_effort;
pub mod catch_up;
#[cfg(feature = "datadog-logs")]
pub mod datadog_logs;
mod day;
pub mod delivery;
#[cfg(feature = "file")]
pub mod file;
mod hold;
#[cfg(any(
    feature = "splunk-hec",
    feature = "datadog-logs",
    feature = "security-hub"
))]
pub mod http;
mod keeper;
pub mod rate_limit;
pub mod retry;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
pub(crate) mod scripted;
#[cfg(feature = "security-hub")]
pub mod security_hub;
mod shipment;
#[cfg(feature = "security-hub")]
mod sigv4;
#[cfg(feature = "splunk-hec")]
pub mod splunk_hec;

use std::{ops::Range, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

pub use best_effort::{GivenUp, Guarantee};

use crate::{ack::Ack, effects::EventView, event::Object, finding::Finding};

/// One kind of thing that a sink takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Accept {
    /// Every event.
    Events,
    /// Findings.
    Findings,
    /// Only the events in which a plugin found something.
    EventsWithFindings,
    /// Insight events, which are among `Events` too: for a sink that does not take those.
    Insights,
    /// Digests: the signed lists of log files, each as one event. Never among `Events`.
    Digests,
}

impl Accept {
    /// What a sink takes when nothing else is said.
    #[must_use]
    pub fn events_and_findings() -> Vec<Self> {
        vec![Self::Events, Self::Findings]
    }

    /// Reports a list that is empty or says two things at once.
    pub fn validate(list: &[Self], at: &str, problems: &mut crate::config::Problems) {
        if list.is_empty() {
            problems.push(format!(
                "{at}.accept must name at least one of events, findings, events_with_findings, insights, digests"
            ));
        }
        if list.contains(&Self::Events) && list.contains(&Self::EventsWithFindings) {
            problems.push(format!(
                "{at}.accept must not name both events and events_with_findings"
            ));
        }
        if list.contains(&Self::Events) && list.contains(&Self::Insights) {
            problems.push(format!(
                "{at}.accept must not name both events and insights: Insight events are among the events"
            ));
        }
    }
}

/// One destination.
#[async_trait]
pub trait Sink: Send + Sync + 'static {
    /// JSON Pointers of the original event that [`encode_event`](Self::encode_event) reads through
    /// [`EventView::field`], in that order. The host extracts them in the one pass that serves the
    /// plugins too.
    fn fields(&self) -> &[&'static str] {
        &[]
    }

    /// What one request may hold.
    fn limits(&self) -> Limits;

    /// Batches that may be in hand at once, where `concurrency` requests may be in flight. A sink that
    /// answers only long after its request was taken allows more, and keeps to `concurrency` itself.
    fn most_in_hand(&self, concurrency: usize) -> usize {
        concurrency
    }

    /// Whether the sink has said, since this was last asked, that it should be sent less, although it
    /// accepted what it was sent.
    fn wants_less(&self) -> bool {
        false
    }

    /// Appends one event as this sink wants it. Runs on a CPU worker. On an error nothing of what was
    /// appended is used.
    ///
    /// # Errors
    /// When the event cannot be put into this sink's shape; it is dead-lettered with the reason.
    fn encode_event(&self, event: &EventView<'_>, out: &mut Vec<u8>) -> Result<(), Unencodable>;

    /// Appends one finding as this sink wants it.
    ///
    /// # Errors
    /// When the finding cannot be put into this sink's shape; it is dead-lettered with the reason.
    fn encode_finding(&self, finding: &Finding, out: &mut Vec<u8>) -> Result<(), Unencodable>;

    /// Sends one batch, once. Returns the entries that the sink refused while it accepted the rest.
    ///
    /// # Errors
    /// When the batch was not accepted; the variant is the retry decision.
    async fn send(&self, batch: &Batch) -> Result<Vec<Refused>, SendError>;

    /// Tries the connection and the credentials without leaving data behind, for `check --online`.
    ///
    /// # Errors
    /// Says what is wrong and what to do.
    async fn check(&self) -> anyhow::Result<String>;
}

/// What one request of a sink may hold, and how [`delivery`] counts its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Entries in one request, at least 1.
    pub max_entries: usize,
    /// Uncompressed bytes of one request's body, framing included.
    pub max_bytes: usize,
    /// Uncompressed bytes of one entry; a larger one is dead-lettered.
    pub max_entry_bytes: usize,
    /// Bytes that frame a request, whatever is in it (`[` and `]`).
    pub frame_bytes: usize,
    /// Bytes between two entries (`,` or a line feed).
    pub separator_bytes: usize,
}

/// Why an event has no place in a sink. Never contains values of the event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unencodable(pub String);

/// Some entries of one origin, encoded for one sink: what travels through that sink's queue.
#[derive(Debug)]
pub struct Parcel {
    /// Where the entries come from.
    pub origin: Origin,
    /// The encoded entries, one after the other.
    pub data: Bytes,
    /// One an entry.
    pub entries: Vec<Entry>,
    /// Keeps the share of the memory budget until the parcel is gone.
    pub budget: Option<Arc<tokio::sync::OwnedSemaphorePermit>>,
}

/// Where a parcel's entries come from; what a reference to one of them says.
#[derive(Clone, Debug)]
pub enum Origin {
    /// Events of this object; [`Entry::index`] is the position in it.
    Object(Arc<Object>),
    /// A finding, by its identifier; [`Entry::index`] is 0.
    Finding(Arc<str>),
}

/// One encoded event or finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// First byte in [`Parcel::data`].
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
    /// Position of the event in its object.
    pub index: u32,
}

impl Entry {
    /// Its bytes in [`Parcel::data`].
    #[must_use]
    pub fn range(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

impl Parcel {
    /// The bytes of one entry.
    #[must_use]
    pub fn entry(&self, position: usize) -> &[u8] {
        &self.data[self.entries[position].range()]
    }
}

/// Consecutive entries of one parcel, with the share of the acknowledgement that stands for them.
#[derive(Debug)]
pub struct Part {
    /// What the entries belong to.
    pub parcel: Arc<Parcel>,
    /// Which of the parcel's entries.
    pub entries: Range<usize>,
    /// To be settled by [`delivery`] alone.
    pub ack: Ack,
}

/// What goes out in one request: entries of one or more parcels, in order.
#[derive(Debug, Default)]
pub struct Batch {
    /// In the order of sending.
    pub parts: Vec<Part>,
}

impl Batch {
    /// How many entries it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.parts.iter().map(|part| part.entries.len()).sum()
    }

    /// Whether it holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parts.iter().all(|part| part.entries.is_empty())
    }

    /// The encoded entries, in order.
    pub fn entries(&self) -> impl Iterator<Item = &[u8]> {
        self.parts.iter().flat_map(|part| {
            part.entries
                .clone()
                .map(|position| part.parcel.entry(position))
        })
    }

    /// Bytes of the encoded entries, without what frames and separates them.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.entries().map(<[u8]>::len).sum()
    }

    /// The entries in one buffer, framed by `open`, `separator` and `close`.
    #[must_use]
    pub fn body(&self, open: &[u8], separator: &[u8], close: &[u8]) -> Vec<u8> {
        let bytes: usize = self
            .entries()
            .map(|entry| entry.len() + separator.len())
            .sum();
        let mut body = Vec::with_capacity(open.len() + bytes + close.len());
        body.extend_from_slice(open);
        for (position, entry) in self.entries().enumerate() {
            if position > 0 {
                body.extend_from_slice(separator);
            }
            body.extend_from_slice(entry);
        }
        body.extend_from_slice(close);
        body
    }
}

/// An entry that a sink refused while it accepted others of the same request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Position in the batch, from 0.
    pub position: usize,
    /// What the sink said, without values of the event.
    pub reason: String,
    /// Whether the same entry may be accepted later.
    pub retry: bool,
}

/// Why a batch was not accepted. The variant is the retry decision.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// Too fast: wait, then send the same again.
    #[error("throttled")]
    Throttled {
        /// How long the sink asks to wait.
        retry_after: Option<Duration>,
    },
    /// The sink or the way to it is down: back off, then send the same again.
    #[error("unavailable")]
    Unavailable(#[source] anyhow::Error),
    /// More bytes than the sink takes: halve, then send both.
    #[error("too large")]
    TooLarge,
    /// A fault of the configuration (token, index, permission, address): hold this sink, alarm, keep
    /// everything.
    #[error("misconfigured")]
    Misconfigured(#[source] anyhow::Error),
    /// One entry is at fault, and whether any other was accepted is not known: dead-letter it, send all
    /// others again.
    #[error("entry {position} refused: {reason}")]
    RefusedEntry {
        /// Position in the batch, from 0.
        position: usize,
        /// What the sink said, without values of the event.
        reason: String,
    },
    /// The data is at fault and the sink does not say which: halve down to the one entry, which is
    /// dead-lettered.
    #[error("refused with status {status}: {reason}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// What the sink said, without values of the event.
        reason: String,
    },
}

/// Settings as the configuration file would give them.
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
pub(crate) fn from_toml<T: serde::de::DeserializeOwned>(text: &str) -> T {
    let file = ::config::File::from_str(text, ::config::FileFormat::Toml);
    ::config::Config::builder()
        .add_source(file)
        .build()
        .unwrap()
        .try_deserialize()
        .unwrap()
}
