//! The parts of the host, each with a clock that runs only while the part itself works.

use std::{hint::black_box, sync::Arc, time::Duration};

use cpu_time::ThreadTime;
use flate2::{Decompress, FlushDecompress, Status};
use libdeflater::{CompressionLvl, Compressor, Decompressor};
use serde_json::{Value, json};
use sluicegate::{
    columns::Projection,
    digest::sha256,
    event::{EventBatch, Span},
    guard::{Guard, Mode},
    json::value_end,
    plugin::{ChainWorker, Component, Engine, Grants, Terms},
    sink::splunk_hec::SplunkHec,
    source::records::{self, Decoder, Step},
};
use sluicegate_tests::{
    host::load,
    parts::{FIELDS, NOW_MS, chain, collector, encoded, masker, projection},
};

use crate::{
    corpus::{Corpus, Stored},
    rules,
};

/// Stored bytes that a decoder is given at a time.
const PIECE: usize = 64 << 10;
/// Bytes that are inflated at a time, as the host does.
const STEP: usize = 64 << 10;
/// Level of gzip that HTTP sinks send with.
const SENT_LEVEL: i32 = 1;

/// What is measured by itself. What is reported follows from these by sums and differences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    InflateWhole,
    Boundaries,
    InflateSteps,
    Hash,
    Decode,
    Columns,
    Bare,
    Enrich,
    Detect,
    Redact,
    SigmaPublished,
    SigmaThousand,
    Three,
    EmptyAll,
    EmptyTwelve,
    EmptyNone,
    EncodeBare,
    EncodeThree,
    EncodeOcsf,
    Guard,
    Compress,
    WholeBare,
    WholeThree,
}

/// All of them, each at the position of its number.
pub(crate) const PARTS: [Part; 23] = [
    Part::InflateWhole,
    Part::Boundaries,
    Part::InflateSteps,
    Part::Hash,
    Part::Decode,
    Part::Columns,
    Part::Bare,
    Part::Enrich,
    Part::Detect,
    Part::Redact,
    Part::SigmaPublished,
    Part::SigmaThousand,
    Part::Three,
    Part::EmptyAll,
    Part::EmptyTwelve,
    Part::EmptyNone,
    Part::EncodeBare,
    Part::EncodeThree,
    Part::EncodeOcsf,
    Part::Guard,
    Part::Compress,
    Part::WholeBare,
    Part::WholeThree,
];

/// Counts the time that this thread had a processor, while something is timed: on a busy machine the
/// time on the wall says more about the neighbours.
#[derive(Default)]
struct Watch(Duration);

impl Watch {
    fn time<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let start = ThreadTime::now();
        let result = black_box(work());
        self.0 += start.elapsed();
        result
    }
}

/// What the parts work with; made once.
pub(crate) struct Parts {
    inflated: Vec<u8>,
    projection: Projection,
    bare: ChainWorker,
    enrich: ChainWorker,
    detect: ChainWorker,
    redact: ChainWorker,
    /// Where there are published rules.
    sigma_published: Option<ChainWorker>,
    sigma_thousand: ChainWorker,
    three: ChainWorker,
    empty_all: ChainWorker,
    empty_twelve: ChainWorker,
    empty_none: ChainWorker,
    sink: SplunkHec,
    ocsf: SplunkHec,
    guard: Guard,
}

impl Parts {
    /// Compiles the plugins; rules are made for the calls of these corpora.
    pub(crate) fn new(corpora: &[&Corpus]) -> Self {
        let engine = Engine::new(None).unwrap();
        let shipped = |name| component(&engine, "plugins", name, &json!({}));
        let [enrich, detect, redact] =
            ["enrich-context", "detect-cloudtrail", "redaction-check"].map(shipped);
        let empty = |fields: &[&str], events: &[&str]| {
            let does = json!({ "fields": fields, "events": events, "do": { "good": "nothing" } });
            chain(vec![component(&engine, "guests", "hostile-filter", &does)])
        };
        let events: Vec<Value> = corpora.iter().flat_map(|corpus| events(corpus)).collect();
        let sigma =
            |rules: &Value| chain(vec![component(&engine, "plugins", "detect-sigma", rules)]);
        Self {
            inflated: Vec::new(),
            projection: projection(),
            bare: chain(Vec::new()),
            enrich: chain(vec![enrich.clone()]),
            detect: chain(vec![detect.clone()]),
            redact: chain(vec![redact.clone()]),
            sigma_published: rules::published().as_ref().map(sigma),
            sigma_thousand: sigma(&rules::thousand(events.iter())),
            three: chain(vec![enrich, detect, redact]),
            empty_all: empty(&["/eventName"], &[]),
            empty_twelve: empty(&FIELDS, &[]),
            empty_none: empty(&["/eventName"], &["NobodyCallsThis"]),
            sink: collector("original"),
            ocsf: collector("ocsf-1.8.0"),
            guard: Guard::new(Mode::Mask, Arc::new(masker())),
        }
    }

    /// Whether there is what a part needs.
    pub(crate) fn has(&self, part: Part) -> bool {
        part != Part::SigmaPublished || self.sigma_published.is_some()
    }

    /// Takes one object through a part.
    pub(crate) fn run(&mut self, part: Part, stored: &Stored) -> Duration {
        let mut watch = Watch::default();
        match part {
            Part::InflateWhole => watch.time(|| inflate_whole(stored, &mut self.inflated)),
            Part::Boundaries => {
                inflate_whole(stored, &mut self.inflated);
                watch.time(|| boundaries(&self.inflated));
            }
            Part::InflateSteps => watch.time(|| inflate_steps(stored)),
            Part::Hash => {
                inflate_whole(stored, &mut self.inflated);
                watch.time(|| sha256(&[&self.inflated]));
            }
            Part::Decode => watch.time(|| decode(stored, drop)),
            Part::Columns => decode(stored, |batch| {
                watch.time(|| drop(black_box(self.projection.project(&batch))));
            }),
            Part::Bare => process(stored, &mut self.bare, &mut watch),
            Part::Enrich => process(stored, &mut self.enrich, &mut watch),
            Part::Detect => process(stored, &mut self.detect, &mut watch),
            Part::Redact => process(stored, &mut self.redact, &mut watch),
            Part::SigmaPublished => {
                if let Some(chain) = &mut self.sigma_published {
                    process(stored, chain, &mut watch);
                }
            }
            Part::SigmaThousand => process(stored, &mut self.sigma_thousand, &mut watch),
            Part::Three => process(stored, &mut self.three, &mut watch),
            Part::EmptyAll => process(stored, &mut self.empty_all, &mut watch),
            Part::EmptyTwelve => process(stored, &mut self.empty_twelve, &mut watch),
            Part::EmptyNone => process(stored, &mut self.empty_none, &mut watch),
            Part::EncodeBare => decode(stored, |batch| {
                let processed = self.bare.process(batch, NOW_MS);
                watch.time(|| drop(black_box(encoded(&self.sink, &processed))));
            }),
            Part::EncodeThree => decode(stored, |batch| {
                let processed = self.three.process(batch, NOW_MS);
                watch.time(|| drop(black_box(encoded(&self.sink, &processed))));
            }),
            Part::EncodeOcsf => decode(stored, |batch| {
                let processed = self.bare.process(batch, NOW_MS);
                watch.time(|| drop(black_box(encoded(&self.ocsf, &processed))));
            }),
            Part::Guard => decode(stored, |batch| {
                let (mut data, mut entries) =
                    encoded(&self.sink, &self.three.process(batch, NOW_MS));
                watch.time(|| drop(self.guard.inspect(&mut data, &mut entries)));
            }),
            Part::Compress => decode(stored, |batch| {
                let (body, _) = encoded(&self.sink, &self.three.process(batch, NOW_MS));
                watch.time(|| drop(compress(&body)));
            }),
            Part::WholeBare => watch.time(|| whole(stored, &mut self.bare, &self.sink, None)),
            Part::WholeThree => {
                watch.time(|| whole(stored, &mut self.three, &self.sink, Some(&self.guard)));
            }
        }
        watch.0
    }
}

/// With the fastest library, which wants the whole object and room for all of it.
fn inflate_whole(stored: &Stored, out: &mut Vec<u8>) {
    out.resize(stored.inflated, 0);
    let inflated = Decompressor::new().gzip_decompress(&stored.bytes, out);
    assert_eq!(inflated.unwrap(), stored.inflated);
}

/// Where the events end, by brackets and strings alone (`memchr` for the ends of strings).
fn boundaries(json: &[u8]) -> usize {
    let name = b"\"Records\":[";
    let start = json.windows(name.len()).position(|at| at == name);
    let mut at = start.unwrap() + name.len();
    let mut events = 0;
    while json[at] == b'{' {
        at = value_end(json, at);
        events += 1;
        at += usize::from(json[at] == b',');
    }
    black_box(events)
}

/// With the library that the host uses because it needs room for a piece alone.
fn inflate_steps(stored: &Stored) {
    let mut out = vec![0; STEP];
    let mut inflate = Decompress::new_gzip(15);
    let mut read = 0;
    loop {
        let status = inflate.decompress(&stored.bytes[read..], &mut out, FlushDecompress::None);
        read = inflate.total_in().try_into().unwrap();
        black_box(&out);
        if status.unwrap() == Status::StreamEnd {
            return;
        }
    }
}

/// From stored bytes to batches of checked events, hashed on the way.
fn decode(stored: &Stored, mut each: impl FnMut(EventBatch)) {
    let mut decoder = Decoder::new(Arc::clone(&stored.object), records::Limits::default());
    let mut left = stored.bytes.clone();
    loop {
        match decoder.step() {
            Step::Batch(batch) => each(batch),
            Step::Hungry if left.is_empty() => decoder.finish(),
            Step::Hungry => decoder.feed(left.split_to(left.len().min(PIECE))),
            Step::End(_) => return,
            step @ (Step::Bad(_) | Step::Fault(_)) => panic!("{step:?}"),
        }
    }
}

/// The events of a corpus as trees.
fn events(corpus: &Corpus) -> Vec<Value> {
    let mut events = Vec::new();
    for stored in &corpus.objects {
        decode(stored, |batch| {
            let event = |span: &Span| serde_json::from_slice(&batch.data[span.range()]).unwrap();
            events.extend(batch.events.iter().map(event));
        });
    }
    events
}

fn process(stored: &Stored, chain: &mut ChainWorker, watch: &mut Watch) {
    decode(stored, |batch| {
        watch.time(|| drop(black_box(chain.process(batch, NOW_MS))));
    });
}

fn compress(body: &[u8]) -> Vec<u8> {
    let mut compressor = Compressor::new(CompressionLvl::new(SENT_LEVEL).unwrap());
    let mut out = vec![0; compressor.gzip_compress_bound(body.len())];
    let size = compressor.gzip_compress(body, &mut out).unwrap();
    out.truncate(size);
    black_box(out)
}

fn whole(stored: &Stored, chain: &mut ChainWorker, sink: &SplunkHec, guard: Option<&Guard>) {
    decode(stored, |batch| {
        let (mut data, mut entries) = encoded(sink, &chain.process(batch, NOW_MS));
        if let Some(guard) = guard {
            guard.inspect(&mut data, &mut entries);
        }
        drop(black_box((data, entries)));
    });
}

fn component(engine: &Engine, folder: &str, name: &str, configuration: &Value) -> Component {
    let terms = Terms {
        configuration: configuration.as_object().unwrap().clone(),
        grants: Grants {
            state: true,
            ..Grants::default()
        },
        ..Terms::default()
    };
    load(engine, folder, name, &terms).unwrap()
}
