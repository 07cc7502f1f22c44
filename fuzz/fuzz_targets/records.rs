//! Stored bytes of objects: however they are cut, the same events and the same end come of them.
//!
//! The first byte says what the rest is (see [`Form`]), the next three how long the pieces are.

#![no_main]

use std::{io::Write as _, sync::Arc};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use libfuzzer_sys::fuzz_target;
use serde::Deserialize;
use serde_json::value::RawValue;
use sluicegate::{
    deadletter::Cause,
    digest::sha256,
    event::{Object, ObjectKind, ObjectRef},
    source::records::{BadEvent, Decoder, Limits, ObjectFault, Step, Summary},
};

/// What the bits of the first byte say.
struct Form(u8);

impl Form {
    /// The input is what lies in the bucket, else the document to be compressed.
    fn is_stored(&self) -> bool {
        self.0 & 1 != 0
    }

    /// Without compression the pieces cut the document itself.
    fn compression(&self) -> Compression {
        if self.0 & 2 != 0 {
            Compression::none()
        } else {
            Compression::fast()
        }
    }

    /// Limits that short input can reach.
    fn limits(&self) -> Limits {
        if self.0 & 4 != 0 {
            Limits {
                max_event_bytes: 96,
                max_object_bytes: 1 << 20,
                max_depth: 8,
                // Told by the bytes read so far, and so by the pieces: left to the unit tests.
                max_ratio: 1100,
            }
        } else {
            Limits {
                max_ratio: 1100,
                ..Limits::default()
            }
        }
    }
}

/// All that came of an object.
struct Outcome {
    events: Vec<(u32, Vec<u8>)>,
    bad: Vec<BadEvent>,
    end: Result<Summary, ObjectFault>,
}

fn read(stored: &[u8], limits: Limits, mut sizes: impl Iterator<Item = usize>) -> Outcome {
    let object = Object::new(
        ObjectRef {
            bucket: "leanda-ng-cloudtrail-test-123456789012".into(),
            key: "key".into(),
            version: None,
        },
        "1".into(),
        ObjectKind::Log,
    );
    let mut decoder = Decoder::new(Arc::new(object), limits);
    let mut rest = Bytes::copy_from_slice(stored);
    let (mut events, mut bad, mut finished) = (Vec::new(), Vec::new(), false);
    let end = loop {
        match decoder.step() {
            Step::Batch(batch) => {
                assert!(!batch.events.is_empty(), "an empty batch");
                for (row, span) in batch.events.iter().enumerate() {
                    events.push((span.index, batch.event(row).to_vec()));
                }
            }
            Step::Bad(event) => bad.push(event),
            Step::Hungry if rest.is_empty() => {
                assert!(!finished, "hungry after the end");
                finished = true;
                decoder.finish();
            }
            Step::Hungry => {
                let size = sizes.next().unwrap_or(usize::MAX).min(rest.len());
                decoder.feed(rest.split_to(size));
            }
            Step::End(summary) => break Ok(summary),
            Step::Fault(fault) => break Err(fault),
        }
    };
    Outcome { events, bad, end }
}

/// What holds whatever was read.
fn is_sound(outcome: &Outcome, limits: Limits) {
    for (_, event) in &outcome.events {
        assert!(event.starts_with(b"{") && event.len() <= limits.max_event_bytes);
        serde_json::from_slice::<&RawValue>(event).expect("an event is JSON");
    }
    let mut indexes: Vec<u32> = outcome.events.iter().map(|(index, _)| *index).collect();
    indexes.extend(outcome.bad.iter().map(|bad| bad.index));
    indexes.sort_unstable();
    let count = match &outcome.end {
        Ok(summary) => summary.events,
        Err(fault) => fault.from_index,
    };
    assert!(
        indexes.into_iter().eq(0..count),
        "each element has one fate"
    );
}

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(rename = "Records", borrow)]
    records: Vec<&'a RawValue>,
}

/// Where another parser understands the document, the events are its slices.
fn agrees_with_serde(outcome: &Outcome, document: &[u8]) {
    let Ok(parsed) = serde_json::from_slice::<Document<'_>>(document) else {
        return;
    };
    for (index, event) in &outcome.events {
        assert_eq!(parsed.records[*index as usize].get().as_bytes(), event);
    }
    for bad in &outcome.bad {
        assert_ne!(bad.cause, Cause::EventInvalid, "{bad:?}");
    }
    match &outcome.end {
        Ok(summary) => {
            assert_eq!(summary.events as usize, parsed.records.len());
            assert_eq!(summary.bytes, document.len() as u64);
            assert_eq!(summary.sha256, sha256(&[document]));
        }
        Err(fault) => {
            let long_name = format!(
                "not JSON: a member's name that is too long at byte {}",
                fault.offset
            );
            assert_eq!(fault.error, long_name);
        }
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((&[form, sizes @ ..], rest)) = input.split_first_chunk::<4>() else {
        return;
    };
    let form = Form(form);
    let limits = form.limits();
    let stored = if form.is_stored() {
        rest.to_vec()
    } else {
        let mut encoder = GzEncoder::new(Vec::new(), form.compression());
        encoder.write_all(rest).expect("a Vec takes every write");
        encoder.finish().expect("a Vec takes every write")
    };

    let whole = read(&stored, limits, std::iter::empty());
    let pieces = read(
        &stored,
        limits,
        sizes.into_iter().cycle().map(|size| 1 + usize::from(size)),
    );
    is_sound(&whole, limits);
    is_sound(&pieces, limits);
    if form.is_stored() {
        // Of damaged bytes, how far inflating gets before it tells depends on the pieces.
        let shared = whole.events.len().min(pieces.events.len());
        assert_eq!(whole.events[..shared], pieces.events[..shared]);
        assert_eq!(whole.end.as_ref().ok(), pieces.end.as_ref().ok());
    } else {
        assert_eq!(whole.events, pieces.events);
        assert_eq!(whole.bad, pieces.bad);
        assert_eq!(whole.end, pieces.end);
        agrees_with_serde(&whole, rest);
    }
});
