//! The host's own parts, each at the work that is counted.

use std::{hint::black_box, sync::Arc};

use bytes::Bytes;
use sluicegate::{
    effects::Processed,
    event::EventBatch,
    guard::{Guard, Mode},
    source::records::{Decoder, Limits, Step},
};
use sluicegate_tests::parts::{NOW_MS, chain, collector, encoded, masker, projection};

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
                let (projection, batches) = (projection(), decode(object));
                counted(|| {
                    for batch in &batches {
                        drop(black_box(projection.project(batch)));
                    }
                });
            }
            Self::Chain => {
                let (mut chain, batches) = (chain(Vec::new()), decode(object));
                counted(|| {
                    for batch in batches {
                        drop(black_box(chain.process(batch, NOW_MS)));
                    }
                });
            }
            Self::Encode => encode(object, "original"),
            Self::EncodeOcsf => encode(object, "ocsf-1.8.0"),
            Self::Guard => {
                let guard = Guard::new(Mode::Mask, Arc::new(masker()));
                let sink = collector("original");
                let batches = processed(object).into_iter();
                let mut batches: Vec<_> = batches.map(|batch| encoded(&sink, &batch)).collect();
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

fn processed(object: &Bytes) -> Vec<Processed> {
    let mut chain = chain(Vec::new());
    let batches = decode(object).into_iter();
    batches.map(|batch| chain.process(batch, NOW_MS)).collect()
}

fn encode(object: &Bytes, format: &str) {
    let (sink, batches) = (collector(format), processed(object));
    counted(|| {
        for batch in &batches {
            drop(black_box(encoded(&sink, batch)));
        }
    });
}
