//! In which shape events should reach a plugin: the same rule on the same events, through every shape
//! that others use. The interface in `wit/plugin.wit` rests on this: `cargo bench --bench abi`.
//!
//! For each shape it prints what the crossing costs an event, the rule included, and what the host spends
//! on getting the arguments ready. It asserts only that all shapes find the same.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark may panic, and prints"
)]

#[allow(dead_code, reason = "the other benchmark reports more of a corpus")]
#[path = "../cost/corpus.rs"]
mod corpus;

use std::{hint::black_box, sync::Arc, time::Duration};

use cpu_time::ThreadTime;
use sluicegate::{
    columns::{Columns, Path, Projection},
    event::EventBatch,
    source::records::{Decoder, Limits, Step},
};
use wasmtime::{
    Config, Engine, Store, StoreContextMut,
    component::{Component, HasSelf, Linker},
};

#[allow(missing_docs, unreachable_pub, clippy::pedantic, reason = "generated")]
mod bindings {
    wasmtime::component::bindgen!({ path: "guests/abi-shapes/wit", world: "shapes" });
}

use bindings::{Column, Shapes, sluicegate::shapes::events};

/// Rounds that count; one before them warms up.
const ROUNDS: usize = 9;
/// What the rule looks at.
const PATHS: [&str; 6] = [
    "/eventSource",
    "/eventName",
    "/errorCode",
    "/userIdentity/type",
    "/userIdentity/arn",
    "/sourceIPAddress",
];

/// What the guest can ask for, field by field.
#[derive(Default)]
struct Host {
    fields: Vec<Vec<Option<String>>>,
}

impl events::Host for Host {
    fn field(&mut self, row: u32, path: String) -> Option<String> {
        let at = PATHS.iter().position(|known| *known == path)?;
        self.fields[row as usize][at].clone()
    }
}

struct Bench {
    store: Store<Host>,
    guest: Shapes,
    projection: Projection,
}

/// Time that the arguments and the calls took for one batch, and what was found.
type Measured = (Duration, Duration, u32);

impl Bench {
    fn new() -> Self {
        let mut config = Config::new();
        config.epoch_interruption(true);
        let engine = Engine::new(&config).unwrap();
        let path = corpus::workspace().join("dist/guests/abi-shapes.wasm");
        let component = Component::from_file(&engine, path).unwrap();
        let mut linker = Linker::new(&engine);
        events::add_to_linker::<_, HasSelf<_>>(&mut linker, |host: &mut Host| host).unwrap();
        let mut store = Store::new(&engine, Host::default());
        store.set_epoch_deadline(u64::MAX / 2);
        store.epoch_deadline_callback(|_: StoreContextMut<'_, Host>| {
            Ok(wasmtime::UpdateDeadline::Continue(u64::MAX / 2))
        });
        let guest = Shapes::instantiate(&mut store, &component, &linker).unwrap();
        let mut projection = Projection::new();
        for path in PATHS {
            projection.column(&Path::parse(path).unwrap());
        }
        Self {
            store,
            guest,
            projection,
        }
    }

    /// Prepares arguments, then calls with them.
    fn time<A>(
        &mut self,
        prepare: impl FnOnce(&Projection) -> A,
        call: impl FnOnce(&Shapes, &mut Store<Host>, A) -> u32,
    ) -> Measured {
        let begun = ThreadTime::now();
        let arguments = black_box(prepare(&self.projection));
        let prepared = begun.elapsed();
        let begun = ThreadTime::now();
        let found = black_box(call(&self.guest, &mut self.store, arguments));
        (prepared, begun.elapsed(), found)
    }

    fn run(&mut self, shape: &str, batch: &EventBatch) -> Measured {
        let rows = batch.events.len();
        let count = u32::try_from(rows).unwrap();
        let each = || (0..rows).map(|row| batch.event(row));
        match shape {
            "an empty call" => self.time(
                |_| (),
                |guest, store, ()| {
                    (0..rows)
                        .map(|_| guest.call_empty(&mut *store).unwrap())
                        .sum()
                },
            ),
            "JSON per event, a tree" => self.time(
                |_| each().collect::<Vec<_>>(),
                |guest, store, events| {
                    let one = |event| guest.call_tree(&mut *store, event).unwrap();
                    events.into_iter().map(one).sum()
                },
            ),
            "JSON per event, six fields" => self.time(
                |_| each().collect::<Vec<_>>(),
                |guest, store, events| {
                    let one = |event| guest.call_typed(&mut *store, event).unwrap();
                    events.into_iter().map(one).sum()
                },
            ),
            "JSON per batch, six fields" => self.time(
                |_| {
                    [
                        b"[".as_slice(),
                        &each().collect::<Vec<_>>().join(&b','),
                        b"]",
                    ]
                    .concat()
                },
                |guest, store, events| guest.call_typed_batch(store, &events).unwrap(),
            ),
            "a host call per field" => self.time(
                |projection| texts(&projection.project(batch), batch),
                |guest, store, fields| {
                    store.data_mut().fields = fields;
                    guest.call_getters(store, count).unwrap()
                },
            ),
            "rows of optional strings" => self.time(
                |projection| texts(&projection.project(batch), batch),
                |guest, store, rows| guest.call_rows(store, &rows).unwrap(),
            ),
            "columns of strings" => self.time(
                |projection| {
                    let rows = texts(&projection.project(batch), batch);
                    let column = |at: usize| {
                        let of = |row: &Vec<Option<String>>| row[at].clone().unwrap_or_default();
                        rows.iter().map(of).collect()
                    };
                    (0..PATHS.len()).map(column).collect::<Vec<Vec<_>>>()
                },
                |guest, store, columns| guest.call_lists(store, count, &columns).unwrap(),
            ),
            "packed columns" => self.time(
                |projection| packed(&projection.project(batch), batch),
                |guest, store, columns| guest.call_columns(store, count, &columns).unwrap(),
            ),
            "the bytes, untouched" => self.time(
                |_| &batch.data,
                |guest, store, bytes| guest.call_raw(store, bytes).unwrap(),
            ),
            other => panic!("no shape {other}"),
        }
    }
}

fn texts(columns: &Columns, batch: &EventBatch) -> Vec<Vec<Option<String>>> {
    let text = |row: usize, at: usize| {
        let text = columns.text(batch, row, at);
        (!text.is_empty()).then(|| String::from_utf8_lossy(&text).into_owned())
    };
    (0..batch.events.len())
        .map(|row| (0..PATHS.len()).map(|at| text(row, at)).collect())
        .collect()
}

fn packed(columns: &Columns, batch: &EventBatch) -> Vec<Column> {
    let column = |at: usize| {
        let mut out = Column {
            kinds: Vec::new(),
            offsets: vec![0],
            data: Vec::new(),
        };
        for row in 0..batch.events.len() {
            out.kinds.push(columns.kind(row, at) as u8);
            out.data.extend_from_slice(&columns.text(batch, row, at));
            out.offsets.push(u32::try_from(out.data.len()).unwrap());
        }
        out
    };
    (0..PATHS.len()).map(column).collect()
}

/// All batches of a corpus.
fn batches(corpus: &corpus::Corpus) -> Vec<EventBatch> {
    let mut batches = Vec::new();
    for stored in &corpus.objects {
        let mut decoder = Decoder::new(Arc::clone(&stored.object), Limits::default());
        decoder.feed(stored.bytes.clone());
        loop {
            match decoder.step() {
                Step::Batch(batch) => batches.push(batch),
                Step::Hungry => decoder.finish(),
                Step::End(_) => break,
                step @ (Step::Bad(_) | Step::Fault(_)) => panic!("{step:?}"),
            }
        }
    }
    batches
}

const SHAPES: [&str; 9] = [
    "an empty call",
    "JSON per event, a tree",
    "JSON per event, six fields",
    "JSON per batch, six fields",
    "a host call per field",
    "rows of optional strings",
    "columns of strings",
    "packed columns",
    "the bytes, untouched",
];
/// Shapes behind which no rule is.
const WITHOUT_RULE: [&str; 2] = ["an empty call", "the bytes, untouched"];

fn main() {
    let corpus = corpus::generated();
    let batches = batches(&corpus);
    let events: usize = batches.iter().map(|batch| batch.events.len()).sum();
    let mut bench = Bench::new();
    println!("{events} events in {} batches", batches.len());
    println!(
        "{:28} {:>12} {:>14} {:>8}",
        "shape", "crossing, ns", "preparing, ns", "found"
    );
    let mut all_found = Vec::new();
    for shape in SHAPES {
        let mut rounds = Vec::new();
        for round in 0..=ROUNDS {
            let (mut preparing, mut crossing, mut found) = (0.0, 0.0, 0);
            for batch in &batches {
                let (prepared, crossed, count) = bench.run(shape, batch);
                preparing += prepared.as_secs_f64();
                crossing += crossed.as_secs_f64();
                found += count;
            }
            if round > 0 {
                rounds.push((crossing, preparing, found));
            }
        }
        rounds.sort_by(|one, other| one.0.total_cmp(&other.0));
        let (crossing, preparing, found) = rounds[ROUNDS / 2];
        #[allow(
            clippy::cast_precision_loss,
            reason = "far fewer events than a float counts"
        )]
        let per_event = |seconds: f64| seconds * 1e9 / events as f64;
        println!(
            "{shape:28} {:>12.0} {:>14.0} {found:>8}",
            per_event(crossing),
            per_event(preparing)
        );
        if !WITHOUT_RULE.contains(&shape) {
            all_found.push(found);
        }
    }
    assert!(
        all_found
            .iter()
            .all(|found| *found == all_found[0] && *found > 0)
    );
}
