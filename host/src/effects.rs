//! What the plugins decided about a batch, kept beside its bytes and spliced in when a sink encodes.

use std::{borrow::Cow, sync::Arc};

use crate::{
    columns::{Columns, Kind},
    event::{EventBatch, Object},
    finding::Sighting,
};

/// A batch after the plugin chain: the untouched bytes, and sparsely what to do with them.
#[derive(Debug)]
pub struct Processed {
    /// The events as they came.
    pub batch: Arc<EventBatch>,
}

impl Processed {
    /// A batch that no plugin had anything to say about, with the fields that one sink reads.
    #[must_use]
    pub fn untouched(_batch: EventBatch, _fields: &[&str]) -> Self {
        todo!()
    }

    /// One event as the sink at this position of the chain's list of sinks sees it.
    #[must_use]
    pub fn view(&self, _row: usize, _sink: usize) -> EventView<'_> {
        todo!()
    }
}

/// One event as a sink sees it.
#[derive(Clone, Copy, Debug)]
pub struct EventView<'a> {
    processed: &'a Processed,
    row: usize,
}

impl<'a> EventView<'a> {
    /// Where the event comes from.
    #[must_use]
    pub fn object(&self) -> &'a Object {
        todo!()
    }

    /// Position in the object.
    #[must_use]
    pub fn index(&self) -> u32 {
        todo!()
    }

    /// `eventTime` (for summaries without one, the end of their window) in milliseconds since 1970.
    #[must_use]
    pub fn time_ms(&self) -> Option<i64> {
        todo!()
    }

    /// The value of the field at this position of [`Sink::fields`](crate::sink::Sink::fields), as it
    /// leaves: a masked value is its marker.
    #[must_use]
    pub fn field(&self, _position: usize) -> Value<'a> {
        todo!()
    }

    /// Appends the event: its own bytes with the masks in them, then the `sluicegate` member, then
    /// `extra` (members without the leading comma, such as `"a":1,"b":2`; may be empty).
    pub fn write(&self, _extra: &[u8], _out: &mut Vec<u8>) {
        todo!()
    }

    /// Whether a plugin found something in the event.
    #[must_use]
    pub fn has_findings(&self) -> bool {
        todo!()
    }
}

/// A value of an event, as JSON text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value<'a> {
    /// What it is.
    pub kind: Kind,
    /// Its JSON text (a string with its quotes); empty where it is absent.
    pub json: Cow<'a, [u8]>,
}

impl Value<'_> {
    /// The unescaped text of a string; nothing for other kinds. A lone surrogate becomes U+FFFD.
    #[must_use]
    pub fn str(&self) -> Option<Cow<'_, str>> {
        todo!()
    }
}
