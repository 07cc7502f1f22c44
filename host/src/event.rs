//! Objects, events and batches: what travels from the source to the sinks.

use std::{ops::Range, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{
    digest::sha256,
    json::{self, Outline},
    spare::{self, Buffers},
};

/// An object as a notification names it. Nothing here has been checked against the bucket yet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectRef {
    /// Bucket name; for a directory source, the name that its configuration gives the folder.
    pub bucket: String,
    /// Key, fully decoded, at most 1,024 bytes of UTF-8.
    pub key: String,
    /// The version the notification names, where the bucket has versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

impl ObjectRef {
    /// `s3://bucket/key`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.key)
    }
}

/// An object that was really opened: its name and the revision that the bucket answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Where it lies; `version` is the one that was read.
    pub reference: ObjectRef,
    /// The version, else the `ETag`: what makes these bytes different from others under the key.
    pub revision: String,
    /// What the key says the object holds.
    pub kind: ObjectKind,
    /// `s3://bucket/key`, made once because every event needs it.
    pub url: String,
    /// First 16 bytes of SHA-256 over bucket, key and revision, each ended by a zero byte.
    pub id: ObjectId,
}

impl Object {
    /// Names an opened object.
    #[must_use]
    pub fn new(reference: ObjectRef, revision: String, kind: ObjectKind) -> Self {
        let url = reference.url();
        let id = ObjectId::of(&reference.bucket, &reference.key, &revision);
        Self {
            reference,
            revision,
            kind,
            url,
            id,
        }
    }
}

/// Identity of one revision of one object, the same on every host.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectId(pub [u8; 16]);

impl ObjectId {
    /// The identity of these bytes under this key.
    #[must_use]
    pub fn of(bucket: &str, key: &str, revision: &str) -> Self {
        let hash = sha256(&[
            bucket.as_bytes(),
            b"\0",
            key.as_bytes(),
            b"\0",
            revision.as_bytes(),
            b"\0",
        ]);
        let mut id = [0; 16];
        id.copy_from_slice(&hash[..16]);
        Self(id)
    }
}

impl std::fmt::Display for ObjectId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        // Every event that leaves names its object: one write, not one a byte.
        let mut text = [0; 32];
        for (pair, byte) in text.as_chunks_mut::<2>().0.iter_mut().zip(self.0) {
            *pair = [
                DIGITS[usize::from(byte >> 4)],
                DIGITS[usize::from(byte & 15)],
            ];
        }
        f.write_str(std::str::from_utf8(&text).expect("digits are ASCII"))
    }
}

impl std::fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

/// What CloudTrail, or another service that shares the bucket, wrote under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectKind {
    /// `…/CloudTrail/…`: management and data events.
    Log,
    /// `…/CloudTrail-Insight/…`.
    Insight,
    /// `…/CloudTrail-NetworkActivity/…`: calls through VPC endpoints.
    NetworkActivity,
    /// `…/CloudTrail-Aggregated/…`: five-minute summaries of data events.
    Aggregated,
    /// `…/CloudTrail-Digest/…`: signed lists of log files. For a sink that takes them the list is the event.
    Digest,
}

impl ObjectKind {
    /// Whether the object holds `Records`.
    #[must_use]
    pub fn has_events(self) -> bool {
        self != Self::Digest
    }
}

/// Some events of one object in one buffer. Each event is a checked JSON object in valid UTF-8.
#[derive(Debug)]
pub struct EventBatch {
    /// Where the events come from.
    pub object: Arc<Object>,
    /// The bytes; what lies between the events is of no meaning.
    pub data: Vec<u8>,
    /// One span an event, in the object's order.
    pub events: Vec<Span>,
    outline: Outline,
}

/// Where an event lies in its batch and where it stood in its object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First byte in [`EventBatch::data`].
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
    /// Position in the object's `Records`, from 0.
    pub index: u32,
}

impl EventBatch {
    /// A batch of these events, each a JSON object that was checked.
    #[must_use]
    pub fn new(object: Arc<Object>, data: Vec<u8>, events: Vec<Span>) -> Self {
        let mut outline = Outline::default();
        outline.extend(&data);
        for span in &events {
            outline.check(&data, span.start as usize, json::MAX_DEPTH);
        }
        Self::outlined(object, data, events, outline)
    }

    /// A batch whose events were checked with this outline.
    pub(crate) fn outlined(
        object: Arc<Object>,
        data: Vec<u8>,
        events: Vec<Span>,
        outline: Outline,
    ) -> Self {
        Self {
            object,
            data,
            events,
            outline,
        }
    }

    /// What is known of the bytes since they were checked.
    pub(crate) fn outline(&self) -> &Outline {
        &self.outline
    }

    /// The bytes of one event, exactly as the object holds them.
    #[must_use]
    pub fn event(&self, row: usize) -> &[u8] {
        &self.data[self.events[row].range()]
    }
}

impl Drop for EventBatch {
    fn drop(&mut self) {
        spare::give(Buffers {
            data: std::mem::take(&mut self.data),
            outline: std::mem::take(&mut self.outline),
            events: std::mem::take(&mut self.events),
        });
    }
}

impl Span {
    /// The span as a range of bytes.
    #[must_use]
    pub fn range(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}
