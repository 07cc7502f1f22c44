//! The host's own parts, each at the work that is counted.

use std::{hint::black_box, io::Write as _, sync::Arc};

use bytes::Bytes;
use serde_json::json;
use sluicegate::{
    columns::{Path, Projection},
    event::EventBatch,
    guard::{Guard, Mode},
    mask::Masker,
    plugin::{ChainWorker, PluginChain},
    sink::{
        Entry, Sink as _,
        splunk_hec::{Settings, SplunkHec},
    },
    source::records::{Decoder, Limits, Step},
};

/// The time of receipt.
const NOW_MS: i64 = 1_772_400_000_000;
const FIELDS: [&str; 12] = [
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

#[derive(Clone, Copy)]
pub(crate) enum Part {
    /// Inflating, hashing, splitting and checking.
    Decode,
    /// Twelve columns.
    Columns,
    /// What is left of a chain without plugins.
    Chain,
    Encode,
    EncodeOcsf,
    Guard,
}

impl Part {
    pub(crate) const ALL: [Self; 6] = [
        Self::Decode,
        Self::Columns,
        Self::Chain,
        Self::Encode,
        Self::EncodeOcsf,
        Self::Guard,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Decode => "decode",
            Self::Columns => "columns",
            Self::Chain => "chain",
            Self::Encode => "encode",
            Self::EncodeOcsf => "encode-ocsf",
            Self::Guard => "guard",
        }
    }

    pub(crate) fn run(self, object: &Bytes) {
        match self {
            Self::Decode => drop(counted(|| decode(object))),
            Self::Columns => {
                let mut projection = Projection::new();
                for field in FIELDS {
                    projection.column(&Path::parse(field).unwrap());
                }
                let batches = decode(object);
                counted(|| {
                    for batch in &batches {
                        drop(black_box(projection.project(batch)));
                    }
                });
            }
            Self::Chain => {
                let (mut chain, batches) = (chain(), decode(object));
                counted(|| {
                    for batch in batches {
                        drop(black_box(chain.process(batch, NOW_MS)));
                    }
                });
            }
            Self::Encode => drop(encoded(object, &sink("original"), true)),
            Self::EncodeOcsf => drop(encoded(object, &sink("ocsf-1.8.0"), true)),
            Self::Guard => {
                let guard = Guard::new(Mode::Mask, Arc::new(masker()));
                let mut batches = encoded(object, &sink("original"), false);
                counted(|| {
                    for (data, entries) in &mut batches {
                        drop(black_box(guard.inspect(data, entries)));
                    }
                });
            }
        }
    }
}

/// What callgrind counts is what happens between here and the return.
#[inline(never)]
fn counted<T>(work: impl FnOnce() -> T) -> T {
    black_box(work())
}

fn decode(object: &Bytes) -> Vec<EventBatch> {
    let mut decoder = Decoder::new(crate::object(), Limits::default());
    let (mut left, mut batches) = (object.clone(), Vec::new());
    loop {
        match decoder.step() {
            Step::Batch(batch) => batches.push(batch),
            Step::Hungry if left.is_empty() => decoder.finish(),
            Step::Hungry => decoder.feed(std::mem::take(&mut left)),
            Step::End(_) => return batches,
            step @ (Step::Bad(_) | Step::Fault(_)) => panic!("{step:?}"),
        }
    }
}

/// The bytes for a sink and where the entries lie in them; counted or not.
fn encoded(object: &Bytes, sink: &SplunkHec, is_counted: bool) -> Vec<(Vec<u8>, Vec<Entry>)> {
    let mut chain = chain();
    let offset = |at: usize| u32::try_from(at).unwrap();
    let batches = decode(object).into_iter();
    let processed: Vec<_> = batches.map(|batch| chain.process(batch, NOW_MS)).collect();
    let work = || {
        let one = |processed: &sluicegate::effects::Processed| {
            let (mut out, mut entries) = (Vec::new(), Vec::new());
            for row in 0..processed.rows() {
                let (view, start) = (processed.view(row, 0), offset(out.len()));
                sink.encode_event(&view, &mut out).unwrap();
                entries.push(Entry {
                    start,
                    end: offset(out.len()),
                    index: view.index(),
                });
            }
            (out, entries)
        };
        processed.iter().map(one).collect()
    };
    if is_counted { counted(work) } else { work() }
}

fn chain() -> ChainWorker {
    let chain = PluginChain::new(Vec::new(), &[&[]], masker()).unwrap();
    ChainWorker::new(Arc::new(chain))
}

fn masker() -> Masker {
    Masker::with_key("count", &[7; 32]).unwrap()
}

/// A collector that is never spoken to.
fn sink(format: &str) -> SplunkHec {
    let mut token = tempfile::NamedTempFile::new().unwrap();
    token
        .write_all(b"00000000-0000-0000-0000-000000000000")
        .unwrap();
    let settings: Settings = serde_json::from_value(json!({
        "endpoint": "http://127.0.0.1:8088",
        "token_file": token.path(),
        "format": format,
    }))
    .unwrap();
    SplunkHec::new(&settings).unwrap()
}
