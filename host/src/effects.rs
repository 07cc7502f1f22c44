//! What the plugins decided about a batch, kept beside its bytes and spliced in when a sink encodes.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use crate::{
    columns::{Columns, Kind, Path, Projection, text},
    deadletter::Cause,
    event::{EventBatch, Object},
    finding::Sighting,
    json,
    mask::Mask,
    text::lossy,
    timestamp,
};

/// What becomes of one event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fate {
    /// It goes to the sinks.
    #[default]
    Forward,
    /// A filter plugin dropped it.
    Drop,
    /// Nothing of it leaves; a [`Withheld`] says why.
    Withhold,
}

/// An event that a redaction plugin could not judge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Withheld {
    /// Row of the batch.
    pub row: usize,
    /// Name and digest of the plugin, `name@sha256:…`.
    pub plugin: String,
    /// Why, without values of the event.
    pub error: String,
    /// Whether the plugin fails on everything, so that the event is kept pending and tried again.
    pub pending: bool,
}

impl Withheld {
    /// The cause under which it is stored.
    pub const CAUSE: Cause = Cause::RedactionFailed;
}

/// An event that a plugin failed on, whatever that means for the event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Row of the batch.
    pub row: usize,
    /// Name of the plugin.
    pub plugin: String,
    /// Why, without values of the event.
    pub error: String,
}

/// Which columns the host and each sink read. Belongs to a plugin chain.
#[derive(Debug, Default)]
pub struct Readers {
    /// `/eventTime`, and the end of the window for summaries without one.
    time: [usize; 2],
    /// For each sink the columns of its declared fields.
    sinks: Vec<Vec<usize>>,
}

impl Readers {
    /// Declares the columns of the host and of each sink.
    ///
    /// # Panics
    /// When a sink's field is no JSON Pointer; those are constants of the sinks.
    pub fn declare(projection: &mut Projection, sinks: &[&[&str]]) -> Self {
        let mut column = |path: &str| {
            projection.column(&Path::parse(path).expect("a sink declares JSON Pointers"))
        };
        Self {
            time: [column("/eventTime"), column("/timeWindow/windowEnd")],
            sinks: sinks
                .iter()
                .map(|fields| fields.iter().map(|field| column(field)).collect())
                .collect(),
        }
    }
}

impl Readers {
    /// `eventTime` (for summaries without one, the end of their window) in milliseconds since 1970.
    pub(crate) fn time_ms(&self, batch: &EventBatch, columns: &Columns, row: usize) -> Option<i64> {
        self.time
            .iter()
            .find_map(|&column| timestamp::parse_ms(&columns.text(batch, row, column)))
    }
}

/// A batch after the plugin chain: the untouched bytes, and sparsely what to do with them.
#[derive(Debug)]
pub struct Processed {
    /// The events as they came.
    pub batch: Arc<EventBatch>,
    /// What was found, in the order of rows. Nothing of a withheld event is among it.
    pub sightings: Vec<(usize, Sighting)>,
    /// Events that must not leave.
    pub withheld: Vec<Withheld>,
    /// Events that a plugin failed on, those that are withheld for it among them.
    pub failures: Vec<Failure>,
    /// Drops by filters that were ignored because the event carries a finding.
    pub ignored_drops: usize,
    /// Events that were dropped, by the name of the filter that dropped them (of several the first).
    pub drops: BTreeMap<String, usize>,
    pub(crate) fates: Vec<Fate>,
    pub(crate) columns: Columns,
    pub(crate) readers: Arc<Readers>,
    /// In the order of their rows and places: row and mask.
    pub(crate) masks: Vec<(usize, Mask)>,
    /// How every `sluicegate` member begins.
    begins: Vec<u8>,
    /// The `sluicegate` member of each row, one after the other.
    pub(crate) members: Vec<u8>,
    /// Where each row's member ends.
    pub(crate) member_ends: Vec<usize>,
}

impl Processed {
    /// A batch that no plugin had anything to say about, as one sink with these fields sees it.
    #[must_use]
    pub fn untouched(batch: EventBatch, fields: &[&str]) -> Self {
        let mut projection = Projection::new();
        let readers = Arc::new(Readers::declare(&mut projection, &[fields]));
        let columns = projection.project(&batch);
        let mut processed = Self::new(Arc::new(batch), columns, readers);
        for row in 0..processed.rows() {
            processed.push_member(row, |_| {});
        }
        processed
    }

    pub(crate) fn new(batch: Arc<EventBatch>, columns: Columns, readers: Arc<Readers>) -> Self {
        Self {
            fates: vec![Fate::Forward; batch.events.len()],
            begins: format!("{{\"id\":\"{}.", batch.object.id).into_bytes(),
            batch,
            sightings: Vec::new(),
            withheld: Vec::new(),
            failures: Vec::new(),
            ignored_drops: 0,
            drops: BTreeMap::new(),
            columns,
            readers,
            masks: Vec::new(),
            members: Vec::new(),
            member_ends: Vec::new(),
        }
    }

    /// How many events there are, whatever becomes of them.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.batch.events.len()
    }

    /// What becomes of an event.
    #[must_use]
    pub fn fate(&self, row: usize) -> Fate {
        self.fates[row]
    }

    /// One event as the sink at this position of the chain's list of sinks sees it.
    #[must_use]
    pub fn view(&self, row: usize, sink: usize) -> EventView<'_> {
        EventView {
            processed: self,
            row,
            sink,
        }
    }

    /// Masks of one row, in the order of their places.
    pub(crate) fn masks_of(&self, row: usize) -> impl Iterator<Item = &Mask> {
        let start = self.masks.partition_point(|(of, _)| *of < row);
        self.masks[start..]
            .iter()
            .take_while(move |(of, _)| *of == row)
            .map(|(_, mask)| mask)
    }

    /// Appends the member of the next row: the event's identity, then what `fill` adds (each part with
    /// a comma before it).
    pub(crate) fn push_member(&mut self, row: usize, fill: impl FnOnce(&mut Vec<u8>)) {
        use std::io::Write as _;
        let index = self.batch.events[row].index;
        self.members.extend_from_slice(&self.begins);
        write!(self.members, "{index}\"").expect("a Vec takes every write");
        fill(&mut self.members);
        self.members.push(b'}');
        self.member_ends.push(self.members.len());
    }

    fn member(&self, row: usize) -> &[u8] {
        let start = row
            .checked_sub(1)
            .map_or(0, |before| self.member_ends[before]);
        &self.members[start..self.member_ends[row]]
    }

    /// A field of a row as it may leave: where a mask covers it, its marker.
    pub(crate) fn value(&self, row: usize, column: usize) -> Value<'_> {
        let kind = self.columns.kind(row, column);
        let json = self.columns.json(&self.batch, row, column);
        let Some(range) = self.columns.range(row, column) else {
            // What was gathered may hold masked values; nobody who declares such a path is a sink.
            return Value {
                kind,
                json: Cow::Borrowed(json),
            };
        };
        let masks: Vec<_> = self
            .masks_of(row)
            .filter(|mask| range.start <= mask.range.start && mask.range.end <= range.end)
            .collect();
        match masks.as_slice() {
            [] => Value {
                kind,
                json: Cow::Borrowed(json),
            },
            [mask] if mask.range == range => Value {
                kind: Kind::String,
                json: Cow::Owned(format!("\"{}\"", mask.marker).into_bytes()),
            },
            masks => {
                let mut out = Vec::with_capacity(json.len());
                splice(&self.batch.data, range, masks.iter().copied(), &mut out);
                Value {
                    kind,
                    json: Cow::Owned(out),
                }
            }
        }
    }
}

/// Appends the bytes of `range` with each mask's marker in place of its leaf.
fn splice<'m>(
    data: &[u8],
    range: std::ops::Range<usize>,
    masks: impl Iterator<Item = &'m Mask>,
    out: &mut Vec<u8>,
) {
    let mut at = range.start;
    for mask in masks {
        out.extend_from_slice(&data[at..mask.range.start]);
        out.push(b'"');
        out.extend_from_slice(mask.marker.as_bytes());
        out.push(b'"');
        at = mask.range.end;
    }
    out.extend_from_slice(&data[at..range.end]);
}

/// One event as a sink sees it.
#[derive(Clone, Copy, Debug)]
pub struct EventView<'a> {
    processed: &'a Processed,
    row: usize,
    sink: usize,
}

impl<'a> EventView<'a> {
    /// Where the event comes from.
    #[must_use]
    pub fn object(&self) -> &'a Object {
        &self.processed.batch.object
    }

    /// Position in the object.
    #[must_use]
    pub fn index(&self) -> u32 {
        self.processed.batch.events[self.row].index
    }

    /// `eventTime` (for summaries without one, the end of their window) in milliseconds since 1970.
    #[must_use]
    pub fn time_ms(&self) -> Option<i64> {
        let processed = self.processed;
        processed
            .readers
            .time_ms(&processed.batch, &processed.columns, self.row)
    }

    /// The value of the field at this position of [`Sink::fields`](crate::sink::Sink::fields), as it
    /// leaves: a masked value is its marker.
    #[must_use]
    pub fn field(&self, position: usize) -> Value<'a> {
        self.processed
            .value(self.row, self.processed.readers.sinks[self.sink][position])
    }

    /// The text of the same field before any mask; nothing where it is absent or null. It decides, and never
    /// leaves.
    pub(crate) fn original(&self, position: usize) -> Option<Cow<'a, [u8]>> {
        let Processed { batch, columns, .. } = self.processed;
        let column = self.processed.readers.sinks[self.sink][position];
        let kind = columns.kind(self.row, column);
        (!matches!(kind, Kind::Absent | Kind::Null)).then(|| columns.text(batch, self.row, column))
    }

    /// The event's own bytes, with the masks in them.
    #[must_use]
    pub fn bytes(&self) -> Cow<'a, [u8]> {
        let processed = self.processed;
        let range = processed.batch.events[self.row].range();
        let mut masks = processed.masks_of(self.row).peekable();
        if masks.peek().is_none() {
            return Cow::Borrowed(&processed.batch.data[range]);
        }
        let mut out = Vec::with_capacity(range.len());
        splice(&processed.batch.data, range, masks, &mut out);
        Cow::Owned(out)
    }

    /// What stands under `sluicegate` of the event: its identity, and what plugins added.
    #[must_use]
    pub fn member(&self) -> &'a [u8] {
        self.processed.member(self.row)
    }

    /// Appends the event: its own bytes with the masks in them, then the `sluicegate` member, then
    /// `extra` (members without the leading comma, such as `"a":1,"b":2`; may be empty).
    pub fn write(&self, extra: &[u8], out: &mut Vec<u8>) {
        let processed = self.processed;
        let data = &processed.batch.data;
        let range = processed.batch.events[self.row].range();
        let member = processed.member(self.row);
        out.reserve(range.len() + member.len() + extra.len() + 32);
        let empty = data[json::skip_space(data, range.start + 1)] == b'}';
        splice(
            data,
            range.start..range.end - 1,
            processed.masks_of(self.row),
            out,
        );
        out.extend_from_slice(if empty {
            b"\"sluicegate\":"
        } else {
            b",\"sluicegate\":"
        });
        out.extend_from_slice(member);
        if !extra.is_empty() {
            out.push(b',');
            out.extend_from_slice(extra);
        }
        out.push(b'}');
    }

    /// Whether a plugin found something in the event.
    #[must_use]
    pub fn has_findings(&self) -> bool {
        self.processed
            .sightings
            .binary_search_by_key(&self.row, |(row, _)| *row)
            .is_ok()
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
        if self.kind != Kind::String {
            return None;
        }
        Some(lossy(text(self.kind, &self.json)))
    }
}
