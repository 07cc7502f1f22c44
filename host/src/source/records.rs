//! From an object's stored bytes to batches of checked events, in constant memory.
//!
//! A [`Decoder`] is fed the stored bytes piece by piece. It inflates them into one buffer, finds the
//! elements of `Records` in it, checks each one, and hands the buffer over as an [`EventBatch`] when it
//! is full: events are never copied. What is wrong with a single event sets that event aside; what is
//! wrong with the object ends it, after the events before the fault were handed over.

use std::sync::Arc;

use bytes::{Buf as _, Bytes};
use flate2::{Decompress, FlushDecompress, Status};
use serde::{Deserialize, Serialize};

use crate::{
    config::Problems,
    deadletter::Cause,
    digest::{Sha256, sha256},
    event::{EventBatch, Object, ObjectKind, Span},
    json::{self, Check, Outline, Skipper},
    spare::{self, Buffers},
};

/// What an object and an event may be at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Bytes of one event; a larger one is dead-lettered. Default 2 MiB, 64 KiB to 16 MiB.
    pub max_event_bytes: usize,
    /// Inflated bytes of one object. Default 2 GiB, 1 MiB to 1 TiB.
    pub max_object_bytes: u64,
    /// Inflated bytes for each stored byte, counted after the first inflated MiB. Default 200, 10 to
    /// 1,100 (no gzip reaches more).
    pub max_ratio: u64,
    /// Nesting of one event. Default and at most 128, at least 8.
    pub max_depth: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_event_bytes: 2 << 20,
            max_object_bytes: 2 << 30,
            max_ratio: 200,
            max_depth: json::MAX_DEPTH,
        }
    }
}

impl Limits {
    /// Reports every value out of its range.
    pub fn validate(&self, at: &str, problems: &mut Problems) {
        problems.range(
            &format!("{at}.max_event_bytes"),
            self.max_event_bytes,
            64 << 10..=16 << 20,
        );
        problems.range(
            &format!("{at}.max_object_bytes"),
            self.max_object_bytes,
            1 << 20..=1 << 40,
        );
        problems.range(&format!("{at}.max_ratio"), self.max_ratio, 10..=1100);
        problems.range(
            &format!("{at}.max_depth"),
            self.max_depth,
            8..=json::MAX_DEPTH,
        );
    }
}

/// Bytes of a batch after which it is handed over.
pub const BATCH_BYTES: usize = 1 << 20;
/// Events of a batch after which it is handed over.
pub const BATCH_EVENTS: usize = 1000;
/// Inflated bytes that are written at a time.
const STEP: usize = 64 << 10;
/// A member's name at the top of an object may have this many bytes, quotes and escapes included.
const MAX_NAME: usize = 1024;
/// Inflated bytes before the ratio counts.
const RATIO_GRACE: u64 = 1 << 20;

/// What a [`Decoder`] has for its caller.
#[derive(Debug)]
pub enum Step {
    /// Some events. Ask again before feeding more.
    Batch(EventBatch),
    /// One event that is set aside. Ask again.
    Bad(BadEvent),
    /// All that was fed is used up: feed more, or say that there is no more.
    Hungry,
    /// The object was read to its end.
    End(Summary),
    /// The object is at fault; nothing more comes of it.
    Fault(ObjectFault),
}

/// An element of `Records` that cannot be forwarded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadEvent {
    /// Position in the object.
    pub index: u32,
    /// What kind of fault.
    pub cause: Cause,
    /// What is wrong and at which byte of the event; no values.
    pub error: String,
    /// SHA-256 of the element's bytes, where they were held as a whole.
    pub sha256: Option<[u8; 32]>,
}

/// What a whole object amounted to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Elements of `Records`, bad ones included.
    pub events: u32,
    /// Inflated bytes.
    pub bytes: u64,
    /// SHA-256 of the inflated bytes.
    pub sha256: [u8; 32],
}

/// Why an object ended early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectFault {
    /// What kind of fault.
    pub cause: Cause,
    /// What is wrong; no values.
    pub error: String,
    /// Inflated bytes before the fault.
    pub offset: u64,
    /// Elements of `Records` before the fault; those were handed over.
    pub from_index: u32,
}

/// Turns one object's stored bytes into batches.
#[derive(Debug)]
pub struct Decoder {
    object: Arc<Object>,
    inflater: Inflater,
    splitter: Splitter,
    fault: Option<ObjectFault>,
    ended: bool,
}

impl Decoder {
    /// A decoder for one object.
    #[must_use]
    pub fn new(object: Arc<Object>, limits: Limits) -> Self {
        Self {
            inflater: Inflater::new(limits),
            splitter: Splitter::new(limits, object.kind),
            object,
            fault: None,
            ended: false,
        }
    }

    /// Gives the next piece of stored bytes. Only after [`Step::Hungry`].
    pub fn feed(&mut self, piece: Bytes) {
        self.inflater.input = piece;
    }

    /// Says that all stored bytes were given. Only after [`Step::Hungry`].
    pub fn finish(&mut self) {
        self.inflater.last = true;
    }

    /// Works until there is something to say.
    pub fn step(&mut self) -> Step {
        loop {
            match self.splitter.split() {
                Split::Full => return Step::Batch(self.splitter.cut(&self.object)),
                Split::Bad(bad) => return Step::Bad(bad),
                // A fault is told once; the splitter stays at its own.
                Split::Fault(cause, error) if self.fault.is_none() => {
                    let offset = self.splitter.offset();
                    self.fault = Some(self.fault(cause, error, offset));
                }
                Split::Fault(..) | Split::More => {}
            }
            // What was split off before a fault goes out before the fault is told.
            if self.fault.is_some() && !self.splitter.spans.is_empty() {
                return Step::Batch(self.splitter.cut(&self.object));
            }
            if let Some(fault) = self.fault.take() {
                return Step::Fault(ObjectFault {
                    from_index: self.splitter.index,
                    ..fault
                });
            }
            if self.ended {
                return self.end();
            }
            if self.splitter.data.capacity() == 0 {
                self.splitter.swap(spare::take());
            }
            let inflated = self.inflater.inflate(&mut self.splitter.data);
            self.splitter.outline.extend(&self.splitter.data);
            match inflated {
                Ok(Inflated::Some) => {}
                Ok(Inflated::Hungry) => return Step::Hungry,
                Ok(Inflated::End) => {
                    self.ended = true;
                    self.splitter.last = true;
                }
                Err((cause, error)) => {
                    self.splitter.last = true;
                    self.fault = Some(self.fault(cause, error, self.inflater.written));
                }
            }
        }
    }

    fn end(&mut self) -> Step {
        if !self.splitter.spans.is_empty() {
            return Step::Batch(self.splitter.cut(&self.object));
        }
        let ended = self.splitter.finish();
        spare::give(self.splitter.swap(Buffers::default()));
        match ended {
            Ok(()) => Step::End(Summary {
                events: self.splitter.index,
                bytes: self.inflater.written,
                sha256: self.inflater.hash.clone().finish(),
            }),
            Err((cause, error)) => Step::Fault(self.fault(cause, error, self.inflater.written)),
        }
    }

    fn fault(&self, cause: Cause, error: String, offset: u64) -> ObjectFault {
        ObjectFault {
            cause,
            error,
            offset,
            from_index: self.splitter.index,
        }
    }
}

type Fault = (Cause, String);

enum Inflated {
    Some,
    Hungry,
    End,
}

/// One gzip member, bounded in size and ratio. CloudTrail writes exactly one; bytes after it are what a
/// digest would not cover, so they are a fault.
#[derive(Debug)]
struct Inflater {
    limits: Limits,
    inflate: Decompress,
    input: Bytes,
    last: bool,
    ended: bool,
    read: u64,
    written: u64,
    hash: Sha256,
}

impl Inflater {
    fn new(limits: Limits) -> Self {
        Self {
            limits,
            inflate: Decompress::new_gzip(15),
            input: Bytes::new(),
            last: false,
            ended: false,
            read: 0,
            written: 0,
            hash: Sha256::new(),
        }
    }

    /// Appends the next inflated bytes, as many as there is room for, which is [`STEP`] at the least.
    fn inflate(&mut self, out: &mut Vec<u8>) -> Result<Inflated, Fault> {
        if self.ended {
            return self.after_member();
        }
        if self.input.is_empty() && !self.last {
            return Ok(Inflated::Hungry);
        }
        let start = out.len();
        if out.capacity() - start < STEP {
            out.reserve(STEP);
        }
        let read_before = self.inflate.total_in();
        let status = self
            .inflate
            .decompress_vec(&self.input, out, FlushDecompress::None);
        let read = self.inflate.total_in() - read_before;
        let written = (out.len() - start) as u64;
        self.input.advance(
            usize::try_from(read)
                .unwrap_or(self.input.len())
                .min(self.input.len()),
        );
        self.read += read;
        self.written += written;
        self.hash.update(&out[start..]);
        self.bounds()?;
        match status {
            Ok(Status::StreamEnd) => {
                self.ended = true;
                Ok(Inflated::Some)
            }
            Ok(_) if read > 0 || written > 0 => Ok(Inflated::Some),
            Ok(_) if self.read == 0 => Err((Cause::CorruptGzip, "the object is empty".into())),
            Ok(_) => Err((
                Cause::CorruptGzip,
                format!(
                    "the gzip data is cut short after {} stored bytes",
                    self.read
                ),
            )),
            Err(_) => Err((
                Cause::CorruptGzip,
                format!("not gzip, or damaged, at stored byte {}", self.read),
            )),
        }
    }

    fn after_member(&self) -> Result<Inflated, Fault> {
        if !self.input.is_empty() {
            let error = format!(
                "bytes after the gzip member, from stored byte {}",
                self.read
            );
            return Err((Cause::TrailingBytes, error));
        }
        Ok(if self.last {
            Inflated::End
        } else {
            Inflated::Hungry
        })
    }

    fn bounds(&self) -> Result<(), Fault> {
        let Limits {
            max_object_bytes,
            max_ratio,
            ..
        } = self.limits;
        if self.written > max_object_bytes {
            let error = format!(
                "inflates to more than the {max_object_bytes} bytes allowed (limits.max_object_bytes)"
            );
            return Err((Cause::InflatesTooLarge, error));
        }
        if self.written > RATIO_GRACE && self.written / self.read.max(1) > max_ratio {
            let error = format!(
                "inflates to more than the {max_ratio} times its size allowed (limits.max_ratio)"
            );
            return Err((Cause::InflatesTooLarge, error));
        }
        Ok(())
    }
}

/// Where the splitter stands in the document.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    /// Before the document's `{`.
    Start,
    /// Before a member's name, or `}` where `first`.
    Name { first: bool },
    /// Before the `:` and value of a member; `true` for `Records`.
    Value(bool),
    /// Inside a member's value that is of no interest.
    Skipped,
    /// After a member: `,` or `}`.
    AfterMember,
    /// Before an element of `Records`, or `]` where `first`.
    Element { first: bool },
    /// Inside an element that was set aside, for this reason unless it ends up larger than allowed.
    BadElement(Cause),
    /// After an element: `,` or `]`.
    AfterElement,
    /// After the document's `}`.
    End,
}

enum Split {
    /// Enough for a batch.
    Full,
    Bad(BadEvent),
    /// More inflated bytes are needed.
    More,
    Fault(Cause, String),
}

/// Finds and checks the elements of `Records` in a buffer that grows at its end.
#[derive(Debug)]
struct Splitter {
    limits: Limits,
    data: Vec<u8>,
    outline: Outline,
    spans: Vec<Span>,
    /// First byte not dealt with yet.
    at: usize,
    /// Inflated bytes that have left the buffer.
    passed: u64,
    place: Place,
    skipper: Skipper,
    /// Where in the document the element that is being skipped began, and what is wrong with it.
    bad: Option<(u64, String)>,
    /// An incomplete element is looked at again only when this many bytes of it are there, or no more
    /// come.
    retry_at: usize,
    last: bool,
    /// The document is itself the one event, as a digest is.
    is_event: bool,
    records_seen: bool,
    index: u32,
}

impl Splitter {
    fn new(limits: Limits, kind: ObjectKind) -> Self {
        let is_event = !kind.has_events();
        let start = if is_event {
            Place::Element { first: false }
        } else {
            Place::Start
        };
        Self {
            limits,
            data: Vec::new(),
            outline: Outline::default(),
            spans: Vec::new(),
            at: 0,
            passed: 0,
            place: start,
            skipper: Skipper::default(),
            bad: None,
            retry_at: 0,
            last: false,
            is_event,
            records_seen: is_event,
            index: 0,
        }
    }

    /// Inflated bytes before the place reached.
    fn offset(&self) -> u64 {
        self.passed + self.at as u64
    }

    /// Goes on with these buffers; those until now.
    fn swap(&mut self, next: Buffers) -> Buffers {
        Buffers {
            data: std::mem::replace(&mut self.data, next.data),
            outline: std::mem::replace(&mut self.outline, next.outline),
            events: std::mem::replace(&mut self.spans, next.events),
        }
    }

    /// Hands over the events found, and keeps what follows them.
    fn cut(&mut self, object: &Arc<Object>) -> EventBatch {
        let used = self.spans.last().map_or(0, |span| span.end as usize);
        let Buffers {
            mut data,
            outline,
            events,
        } = self.swap(spare::take());
        // A large object fills the next buffer too; a small one has nothing left.
        let room = if used >= BATCH_BYTES / 2 {
            BATCH_BYTES + 4 * STEP
        } else {
            data.len() - used
        };
        self.data.reserve(room);
        self.data.extend_from_slice(&data[used..]);
        data.truncate(used);
        self.moved(used);
        EventBatch::outlined(Arc::clone(object), data, events, outline)
    }

    /// The first `used` bytes have left the buffer.
    fn moved(&mut self, used: usize) {
        self.at -= used;
        self.passed += used as u64;
        self.outline.clear();
        self.outline.extend(&self.data);
    }

    /// Where in the buffer the element that is being skipped begins, if it is held as a whole.
    fn bad_start(&self) -> Option<usize> {
        let (start, _) = self.bad.as_ref()?;
        usize::try_from(start.checked_sub(self.passed)?).ok()
    }

    /// Drops what was dealt with, where no event needs it.
    fn forget(&mut self) {
        let keep = match self.bad_start() {
            Some(start) if self.at - start <= self.limits.max_event_bytes => start,
            _ => self.at,
        };
        if self.spans.is_empty() && keep >= STEP {
            self.data.drain(..keep);
            self.moved(keep);
        }
    }

    fn next_byte(&mut self) -> Option<u8> {
        self.at = json::skip_space(&self.data, self.at);
        self.data.get(self.at).copied()
    }

    fn split(&mut self) -> Split {
        loop {
            let step = match self.place {
                Place::Start => self.expect(b'{', Place::Name { first: true }),
                Place::Name { first } => self.name(first),
                Place::Value(records) => self.value(records),
                Place::Skipped => self.skipped(),
                Place::AfterMember => {
                    self.separator(b'}', Place::Name { first: false }, Place::End)
                }
                Place::Element { first } => self.element(first),
                Place::BadElement(cause) => self.bad_element(cause),
                Place::AfterElement if self.is_event => {
                    self.place = Place::End;
                    Ok(())
                }
                Place::AfterElement => {
                    self.separator(b']', Place::Element { first: false }, Place::AfterMember)
                }
                Place::End => match self.next_byte() {
                    Some(_) => Err(self.not_json("text after the document")),
                    None => Err(Split::More),
                },
            };
            match step {
                Ok(()) if self.spans.len() == BATCH_EVENTS => return Split::Full,
                Ok(()) => {}
                Err(Split::More) => {
                    self.forget();
                    let held = self.spans.last().map_or(0, |span| span.end as usize);
                    return if held >= BATCH_BYTES
                        || (held > 0 && self.data.len() >= 2 * BATCH_BYTES)
                    {
                        Split::Full
                    } else {
                        Split::More
                    };
                }
                Err(other) => return other,
            }
        }
    }

    fn not_json(&self, what: &str) -> Split {
        Split::Fault(
            Cause::NotJson,
            format!("not JSON: {what} at byte {}", self.offset()),
        )
    }

    fn expect(&mut self, byte: u8, next: Place) -> Result<(), Split> {
        match self.next_byte() {
            Some(found) if found == byte => {
                self.at += 1;
                self.place = next;
                Ok(())
            }
            Some(_) => Err(self.not_json(&format!("expected `{}`", char::from(byte)))),
            None => Err(Split::More),
        }
    }

    fn separator(&mut self, close: u8, next: Place, closed: Place) -> Result<(), Split> {
        match self.next_byte() {
            Some(byte) if byte == b',' || byte == close => {
                self.at += 1;
                self.place = if byte == b',' { next } else { closed };
                Ok(())
            }
            Some(_) => Err(self.not_json(&format!("expected `,` or `{}`", char::from(close)))),
            None => Err(Split::More),
        }
    }

    fn name(&mut self, first: bool) -> Result<(), Split> {
        match self.next_byte() {
            Some(b'"') => {}
            Some(b'}') if first => {
                self.at += 1;
                self.place = Place::End;
                return Ok(());
            }
            Some(_) => return Err(self.not_json("expected a member's name")),
            None => return Err(Split::More),
        }
        let end = Skipper::default().skip(&self.data[self.at..]);
        if end.unwrap_or(self.data.len() - self.at) > MAX_NAME {
            return Err(self.not_json("a member's name that is too long"));
        }
        let Some(end) = end else {
            return Err(Split::More);
        };
        let inside = &self.data[self.at + 1..self.at + end - 1];
        let records = json::unescape(inside).as_ref() == b"Records";
        self.at += end;
        self.place = Place::Value(records);
        Ok(())
    }

    fn value(&mut self, records: bool) -> Result<(), Split> {
        match self.next_byte() {
            Some(b':') => {}
            Some(_) => return Err(self.not_json("expected `:`")),
            None => return Err(Split::More),
        }
        let after = json::skip_space(&self.data, self.at + 1);
        let Some(&byte) = self.data.get(after) else {
            return Err(Split::More);
        };
        self.at = after;
        if records && byte != b'[' {
            return Err(Split::Fault(
                Cause::NoRecords,
                format!("`Records` is not an array at byte {}", self.offset()),
            ));
        }
        if records {
            self.at += 1;
            self.records_seen = true;
            self.place = Place::Element { first: true };
        } else {
            self.skipper = Skipper::default();
            self.place = Place::Skipped;
        }
        Ok(())
    }

    fn skipped(&mut self) -> Result<(), Split> {
        if let Some(end) = self.skipper.skip(&self.data[self.at..]) {
            self.at += end;
            self.place = Place::AfterMember;
            Ok(())
        } else {
            self.at = self.data.len();
            Err(Split::More)
        }
    }

    fn element(&mut self, first: bool) -> Result<(), Split> {
        match self.next_byte() {
            Some(b'{') => {}
            Some(b']') if first => {
                self.at += 1;
                self.place = Place::AfterMember;
                return Ok(());
            }
            Some(b']' | b',' | b'}') => {
                return Err(self.not_json("expected an element of `Records`"));
            }
            Some(_) => {
                self.set_aside(
                    Cause::EventNotObject,
                    "an element of `Records` that is not an object".into(),
                );
                return Ok(());
            }
            None => return Err(Split::More),
        }
        let held = self.data.len() - self.at;
        if held < self.retry_at && !self.last {
            return Err(Split::More);
        }
        let depth = self.limits.max_depth;
        match self.outline.check(&self.data, self.at, depth) {
            Check::Valid(size) if size <= self.limits.max_event_bytes => self.take(size),
            Check::Valid(_) => self.set_aside(Cause::EventTooLarge, self.too_large()),
            Check::Incomplete if held > self.limits.max_event_bytes => {
                self.set_aside(Cause::EventTooLarge, self.too_large());
            }
            Check::Incomplete => {
                self.retry_at = 2 * held;
                return Err(Split::More);
            }
            Check::Invalid(at) => {
                self.set_aside(
                    Cause::EventInvalid,
                    format!("not valid JSON in UTF-8, at byte {at} of the event"),
                );
            }
            Check::TooDeep => {
                let error = format!(
                    "nested deeper than the {} levels allowed (limits.max_depth)",
                    self.limits.max_depth
                );
                self.set_aside(Cause::EventTooDeep, error);
            }
        }
        Ok(())
    }

    fn too_large(&self) -> String {
        format!(
            "larger than the {} bytes allowed (limits.max_event_bytes)",
            self.limits.max_event_bytes
        )
    }

    fn take(&mut self, size: usize) {
        let offset = |at: usize| u32::try_from(at).expect("a batch is far smaller than 4 GiB");
        self.spans.push(Span {
            start: offset(self.at),
            end: offset(self.at + size),
            index: self.index,
        });
        self.at += size;
        self.index += 1;
        self.retry_at = 0;
        self.place = Place::AfterElement;
    }

    /// Begins to step over an element whose fault is known; where it ends is told by its brackets.
    fn set_aside(&mut self, cause: Cause, error: String) {
        self.bad = Some((self.offset(), error));
        self.skipper = Skipper::default();
        self.retry_at = 0;
        self.place = Place::BadElement(cause);
    }

    fn bad_element(&mut self, cause: Cause) -> Result<(), Split> {
        let Some(end) = self.skipper.skip(&self.data[self.at..]) else {
            self.at = self.data.len();
            return Err(Split::More);
        };
        self.at += end;
        self.place = Place::AfterElement;
        let sha256 = self
            .bad_start()
            .map(|start| sha256(&[&self.data[start..self.at]]));
        let (began, error) = self.bad.take().expect("set when an element is set aside");
        // How much of an element was there when its fault was seen must not tell what it is.
        let (cause, error) = if self.offset() - began > self.limits.max_event_bytes as u64 {
            (Cause::EventTooLarge, self.too_large())
        } else {
            (cause, error)
        };
        let index = self.index;
        self.index += 1;
        Err(Split::Bad(BadEvent {
            index,
            cause,
            error,
            sha256,
        }))
    }

    /// The document is over: was it whole?
    fn finish(&mut self) -> Result<(), Fault> {
        match self.place {
            Place::End if self.records_seen => Ok(()),
            Place::End => Err((Cause::NoRecords, "no member `Records`".into())),
            _ => Err((
                Cause::NotJson,
                format!(
                    "not JSON: the text ends too early, at byte {}",
                    self.passed + self.data.len() as u64
                ),
            )),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::io::Write as _;

    use proptest::prelude::*;

    use super::*;
    use crate::event::ObjectRef;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    /// Not compressed, so that pieces cut the text itself.
    fn stored(text: &str) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    /// Everything a decoder says about some stored bytes that come in pieces.
    #[derive(Debug, Default, PartialEq, Eq)]
    struct Seen {
        events: Vec<(u32, String)>,
        bad: Vec<(u32, Cause)>,
        end: Option<Summary>,
        fault: Option<(Cause, u32)>,
        batches: usize,
    }

    fn decode_with(stored: &[u8], piece: usize, limits: Limits) -> Seen {
        let reference = ObjectRef {
            bucket: "b".into(),
            key: "k".into(),
            version: None,
        };
        let object = Arc::new(Object::new(reference, "r".into(), ObjectKind::Log));
        let mut decoder = Decoder::new(object, limits);
        let mut pieces = stored.chunks(piece.max(1));
        let mut seen = Seen::default();
        loop {
            match decoder.step() {
                Step::Hungry => match pieces.next() {
                    Some(piece) => decoder.feed(Bytes::copy_from_slice(piece)),
                    None => decoder.finish(),
                },
                Step::Batch(batch) => {
                    assert!(!batch.events.is_empty() && batch.events.len() <= BATCH_EVENTS);
                    assert!(batch.data.len() <= limits.max_event_bytes + 2 * BATCH_BYTES);
                    seen.batches += 1;
                    for (row, span) in batch.events.iter().enumerate() {
                        let text = std::str::from_utf8(batch.event(row)).unwrap();
                        seen.events.push((span.index, text.to_owned()));
                    }
                }
                Step::Bad(bad) => seen.bad.push((bad.index, bad.cause)),
                Step::End(summary) => {
                    seen.end = Some(summary);
                    return seen;
                }
                Step::Fault(fault) => {
                    seen.fault = Some((fault.cause, fault.from_index));
                    return seen;
                }
            }
        }
    }

    fn decode(text: &str) -> Seen {
        decode_with(&gzip(text.as_bytes()), 7, Limits::default())
    }

    fn event(n: usize) -> String {
        format!("{{\"eventID\":\"{n}\",\"x\":[{{\"y\":\"}}]\\\"\"}}]}}")
    }

    fn events(texts: &[String]) -> Vec<(u32, String)> {
        (0..).zip(texts.iter().cloned()).collect()
    }

    #[test]
    fn events_come_byte_for_byte_with_the_hash_of_all() {
        let texts: Vec<_> = (0..3).map(event).collect();
        let document = format!(" {{ \"Records\" : [ {} ] }}\n", texts.join(" ,\n"));
        let seen = decode(&document);
        assert_eq!(seen.events, events(&texts));
        assert_eq!(
            seen.end,
            Some(Summary {
                events: 3,
                bytes: document.len() as u64,
                sha256: sha256(&[document.as_bytes()])
            }),
        );
    }

    #[test]
    fn other_members_are_stepped_over() {
        let document = format!(
            "{{\"a\":[{{\"Records\":1}}],\"b\":\"]}}\",\"Recor\\u0064s\":[{}],\"c\":-1.5}}",
            event(0)
        );
        assert_eq!(decode(&document).events, events(&[event(0)]));
        let empty = decode("{\"Records\":[]}");
        assert_eq!(
            (empty.events.len(), empty.end.map(|end| end.events)),
            (0, Some(0))
        );
    }

    #[test]
    fn one_bad_element_is_set_aside_and_the_rest_goes_on() {
        let deep = format!("{{\"a\":{}1{}}}", "{\"a\":".repeat(5000), "}".repeat(5000));
        for (bad, cause) in [
            ("42", Cause::EventNotObject),
            ("null", Cause::EventNotObject),
            ("\"x,]\"", Cause::EventNotObject),
            ("[1,[2]]", Cause::EventNotObject),
            ("{\"a\":}", Cause::EventInvalid),
            ("{\"a\":\"\u{1}\"}", Cause::EventInvalid),
            ("{a:{}}", Cause::EventInvalid),
            (deep.as_str(), Cause::EventTooDeep),
        ] {
            let seen = decode(&format!(
                "{{\"Records\":[{},{bad},{}]}}",
                event(0),
                event(2)
            ));
            assert_eq!(seen.events, vec![(0, event(0)), (2, event(2))], "{bad:.40}");
            assert_eq!(seen.bad, vec![(1, cause)], "{bad:.40}");
            assert_eq!(seen.end.map(|end| end.events), Some(3));
        }
    }

    #[test]
    fn invalid_utf8_concerns_that_event_alone() {
        let mut document = format!(
            "{{\"Records\":[{},{{\"a\":\"?\"}},{}]}}",
            event(0),
            event(2)
        )
        .into_bytes();
        let at = document.iter().position(|&byte| byte == b'?').unwrap();
        document[at] = 0xff;
        let seen = decode_with(&gzip(&document), 5, Limits::default());
        assert_eq!(seen.bad, vec![(1, Cause::EventInvalid)]);
        assert_eq!(seen.events.len(), 2);
    }

    #[test]
    fn an_event_of_a_megabyte_passes_and_a_larger_than_allowed_does_not() {
        let large = |bytes: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(bytes - 8));
        let limit = Limits::default().max_event_bytes;
        let texts = [
            event(0),
            large(1 << 20),
            large(limit),
            large(limit + 1),
            large(9 << 20),
            event(5),
        ];
        let seen = decode_with(
            &gzip(format!("{{\"Records\":[{}]}}", texts.join(",")).as_bytes()),
            1000,
            Limits {
                max_ratio: 1100,
                ..Limits::default()
            },
        );
        assert_eq!(
            seen.events.iter().map(|event| event.0).collect::<Vec<_>>(),
            [0, 1, 2, 5]
        );
        assert_eq!(
            seen.bad,
            vec![(3, Cause::EventTooLarge), (4, Cause::EventTooLarge)]
        );
        assert!(seen.end.is_some());
    }

    #[test]
    fn what_is_too_large_does_not_depend_on_the_pieces() {
        let limits = Limits {
            max_event_bytes: 64,
            ..Limits::default()
        };
        let long = "x".repeat(60);
        let late =
            format!("{{\"Records\":[{{\"a\":\"{long}\",b}},[0,\"{long}\"],{{b,\"{long}\"}}]}}");
        for piece in [1, 10, usize::MAX] {
            let seen = decode_with(&stored(&late), piece, limits);
            let bad: Vec<_> = (0..3).map(|index| (index, Cause::EventTooLarge)).collect();
            assert_eq!(seen.bad, bad, "{piece}");
        }
    }

    #[test]
    fn a_long_name_is_a_fault_whatever_the_pieces() {
        for (bytes, fault) in [(MAX_NAME, None), (MAX_NAME + 1, Some((Cause::NotJson, 0)))] {
            let document = format!("{{\"{}\":1,\"Records\":[]}}", "n".repeat(bytes - 2));
            for piece in [1, 100, usize::MAX] {
                let seen = decode_with(&stored(&document), piece, Limits::default());
                assert_eq!(seen.fault, fault, "{bytes} {piece}");
            }
        }
    }

    #[test]
    fn a_fault_of_the_object_comes_after_the_events_before_it() {
        let one = event(0);
        for (document, cause, events) in [
            (format!("{{\"Records\":[{one},]}}"), Cause::NotJson, 1),
            (format!("{{\"Records\":[{one} {one}]}}"), Cause::NotJson, 1),
            (format!("{{\"Records\":[{one}"), Cause::NotJson, 1),
            (
                format!("{{\"Records\":[{one},{}", &one[..9]),
                Cause::NotJson,
                1,
            ),
            (format!("{{\"Records\":[{one}]}}x"), Cause::NotJson, 1),
            (
                format!("{{\"Records\":{{\"0\":{one}}}}}"),
                Cause::NoRecords,
                0,
            ),
            ("{\"foo\":1}".into(), Cause::NoRecords, 0),
            ("{}".into(), Cause::NoRecords, 0),
            ("[]".into(), Cause::NotJson, 0),
            (String::new(), Cause::NotJson, 0),
            ("\u{feff}{}".into(), Cause::NotJson, 0),
        ] {
            let seen = decode(&document);
            assert_eq!(seen.fault, Some((cause, events)), "{document}");
            assert_eq!(seen.events.len(), events as usize, "{document}");
        }
    }

    #[test]
    fn gzip_faults_are_told_apart() {
        let good = gzip(format!("{{\"Records\":[{}]}}", event(0)).as_bytes());
        let fault = |stored: &[u8]| {
            decode_with(stored, 11, Limits::default())
                .fault
                .map(|fault| fault.0)
        };
        assert_eq!(fault(&good), None);
        assert_eq!(fault(&[]), Some(Cause::CorruptGzip));
        assert_eq!(fault(b"{\"Records\":[]}"), Some(Cause::CorruptGzip));
        assert_eq!(
            fault(&[good.as_slice(), b"\0garbage"].concat()),
            Some(Cause::TrailingBytes)
        );
        assert_eq!(
            fault(&[good.as_slice(), &good].concat()),
            Some(Cause::TrailingBytes)
        );
        for cut in 1..good.len() {
            assert_eq!(
                fault(&good[..cut]),
                Some(Cause::CorruptGzip),
                "cut to {cut} bytes"
            );
        }
        let mut damaged = good.clone();
        let crc = damaged.len() - 6;
        damaged[crc] ^= 1;
        assert_eq!(fault(&damaged), Some(Cause::CorruptGzip));
    }

    #[test]
    fn a_bomb_is_stopped_by_its_ratio_and_by_its_size() {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder
            .write_all(format!("{{\"Records\":[{}]}}", " ".repeat(20 << 20)).as_bytes())
            .unwrap();
        let bomb = encoder.finish().unwrap();
        let seen = decode_with(&bomb, 4096, Limits::default());
        assert_eq!(seen.fault, Some((Cause::InflatesTooLarge, 0)));
        let limits = Limits {
            max_object_bytes: 1 << 20,
            max_ratio: 1100,
            ..Limits::default()
        };
        assert_eq!(
            decode_with(&bomb, 4096, limits).fault,
            Some((Cause::InflatesTooLarge, 0))
        );
    }

    #[test]
    fn a_large_object_comes_in_bounded_batches() {
        let texts: Vec<_> = (0..30_000).map(event).collect();
        let seen = decode_with(
            &gzip(format!("{{\"Records\":[{}]}}", texts.join(",")).as_bytes()),
            1 << 16,
            Limits::default(),
        );
        assert_eq!(seen.events, events(&texts));
        assert_eq!(seen.batches, 30);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn pieces_make_no_difference(
            sizes in proptest::collection::vec(0usize..3000, 0..40),
            piece in 1usize..400,
            cut in 0usize..100,
        ) {
            let texts: Vec<_> = sizes
                .iter()
                .map(|size| if size % 7 == 0 { "7".to_owned() } else { format!("{{\"a\":\"{}\"}}", "y".repeat(*size)) })
                .collect();
            let mut stored = gzip(format!("{{\"Records\":[{}]}}", texts.join(",")).as_bytes());
            if cut < 20 {
                stored.truncate(stored.len().saturating_sub(cut));
            }
            let whole = decode_with(&stored, usize::MAX, Limits::default());
            let parts = decode_with(&stored, piece, Limits::default());
            prop_assert_eq!(&whole.bad, &parts.bad);
            prop_assert_eq!(&whole.end, &parts.end);
            prop_assert_eq!(&whole.events, &parts.events);
            prop_assert_eq!(&whole.fault, &parts.fault);
        }

        #[test]
        fn any_bytes_come_to_an_end(text in proptest::collection::vec(any::<u8>(), 0..300), piece in 1usize..50) {
            decode_with(&gzip(&text), piece, Limits::default());
            decode_with(&text, piece, Limits::default());
        }
    }
}
