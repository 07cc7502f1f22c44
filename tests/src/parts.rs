//! The parts of the host that benchmarks time and whose instructions are counted.

use std::sync::Arc;

use serde_json::json;
use sluicegate::{
    columns::{Path, Projection},
    effects::{Fate, Processed},
    mask::Masker,
    plugin::{ChainWorker, Component, PluginChain},
    sink::{
        Entry, Sink as _,
        splunk_hec::{Settings, SplunkHec},
    },
};

/// The time of receipt.
pub const NOW_MS: i64 = 1_772_400_000_000;

/// What a dozen of fields is.
pub const FIELDS: [&str; 12] = [
    "/eventTime",
    "/eventSource",
    "/eventName",
    "/eventID",
    "/awsRegion",
    "/sourceIPAddress",
    "/userAgent",
    "/errorCode",
    "/recipientAccountId",
    "/userIdentity/type",
    "/userIdentity/arn",
    "/userIdentity/sessionContext/sessionIssuer/arn",
];

/// Reads [`FIELDS`].
///
/// # Panics
/// Never: the paths are constants.
#[must_use]
pub fn projection() -> Projection {
    let mut projection = Projection::new();
    for field in FIELDS {
        projection.column(&Path::parse(field).expect("a pointer"));
    }
    projection
}

/// A chain of these plugins, for one sink that asks for no fields.
///
/// # Panics
/// When they do not go together.
#[must_use]
pub fn chain(plugins: Vec<Component>) -> ChainWorker {
    let chain = PluginChain::new(plugins, &[&[]], masker()).expect("a chain");
    ChainWorker::new(Arc::new(chain))
}

/// Markers under a key that is always the same.
///
/// # Panics
/// Never: the key is long enough.
#[must_use]
pub fn masker() -> Masker {
    Masker::with_key("bench", &[7; 32]).expect("a key")
}

/// The sink of a collector that is never spoken to.
///
/// # Panics
/// When there is no such format.
#[must_use]
pub fn collector(format: &str) -> SplunkHec {
    let token = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(&token, "00000000-0000-0000-0000-000000000000").expect("written");
    let settings: Settings = serde_json::from_value(json!({
        "endpoint": "http://127.0.0.1:8088",
        "token_file": token.path(),
        "format": format,
    }))
    .expect("settings");
    SplunkHec::new(&settings).expect("a sink")
}

/// The bytes for a sink, and where the events lie in them.
///
/// # Panics
/// When an event is not to be forwarded, or cannot be encoded.
#[must_use]
pub fn encoded(sink: &SplunkHec, processed: &Processed) -> (Vec<u8>, Vec<Entry>) {
    let offset = |at: usize| u32::try_from(at).expect("it fits");
    let mut out = Vec::with_capacity(processed.batch.data.len() + processed.rows() * 256);
    let mut entries = Vec::with_capacity(processed.rows());
    for row in 0..processed.rows() {
        assert_eq!(processed.fate(row), Fate::Forward);
        let (view, start) = (processed.view(row, 0), offset(out.len()));
        sink.encode_event(&view, &mut out).expect("it fits");
        entries.push(Entry {
            start,
            end: offset(out.len()),
            index: view.index(),
        });
    }
    (out, entries)
}
