//! Batches for one sink, as the pipeline would hand them over.

use std::sync::Arc;

use sluicegate::{
    ack,
    effects::Processed,
    event::{EventBatch, Object, ObjectKind, ObjectRef, Span},
    sink::{Batch, Entry, Origin, Parcel, Part, Sink},
};

/// Where the events of a batch come from.
#[must_use]
pub fn object(kind: ObjectKind) -> Object {
    let reference = ObjectRef {
        bucket: "leanda-ng-cloudtrail-test-123456789012".into(),
        key: "AWSLogs/123456789012/CloudTrail/eu-central-1/2022/10/19/a b.json.gz".into(),
        version: None,
    };
    Object::new(reference, "etag".into(), kind)
}

/// These events, of one log file.
///
/// # Panics
/// When they are more than 4 GiB.
#[must_use]
pub fn events(events: &[impl AsRef<[u8]>]) -> EventBatch {
    events_of(&Arc::new(object(ObjectKind::Log)), events)
}

/// These events, of this file.
///
/// # Panics
/// When they are more than 4 GiB.
#[must_use]
pub fn events_of(object: &Arc<Object>, events: &[impl AsRef<[u8]>]) -> EventBatch {
    let (mut data, mut spans) = (Vec::new(), Vec::new());
    for (index, event) in (0..).zip(events) {
        let start = u32::try_from(data.len()).expect("fits");
        data.extend_from_slice(event.as_ref());
        let end = u32::try_from(data.len()).expect("fits");
        spans.push(Span { start, end, index });
    }
    EventBatch::new(Arc::clone(object), data, spans)
}

/// These events as one batch for this sink.
///
/// # Panics
/// When one has no place in this sink.
#[must_use]
pub fn batch(sink: &dyn Sink, events: &[&str]) -> Batch {
    let object = Arc::new(object(ObjectKind::Log));
    let events = events_of(&object, events);
    let rows = events.events.len();
    let processed = Processed::untouched(events, sink.fields());
    let encoded = (0..rows).map(|row| {
        let mut out = Vec::new();
        sink.encode_event(&processed.view(row, 0), &mut out)
            .expect("fits");
        out
    });
    parcel(Origin::Object(object), &encoded.collect::<Vec<_>>())
}

/// These encoded entries as one batch.
///
/// # Panics
/// When they are more than 4 GiB.
#[must_use]
pub fn parcel(origin: Origin, encoded: &[Vec<u8>]) -> Batch {
    let (mut data, mut entries) = (Vec::new(), Vec::new());
    for (index, entry) in encoded.iter().enumerate() {
        let start = u32::try_from(data.len()).expect("fits");
        data.extend_from_slice(entry);
        entries.push(Entry {
            start,
            end: u32::try_from(data.len()).expect("fits"),
            index: u32::try_from(index).expect("fits"),
        });
    }
    let count = entries.len();
    let parcel = Arc::new(Parcel {
        origin,
        data: data.into(),
        entries,
        budget: None,
    });
    Batch {
        parts: vec![Part {
            parcel,
            entries: 0..count,
            ack: ack::channel().0,
        }],
    }
}
