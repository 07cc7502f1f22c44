//! Sluicegate forwards AWS CloudTrail to a SIEM, through sandboxed WebAssembly plugins.
//!
//! # A guided tour
//!
//! An event's way, in the order in which the modules are best read:
//!
//! 1. [`source`]: a [`Source`](source::Source) yields messages. [`source::sqs`] is the queue and the
//!    buckets, [`source::directory`] a watched folder. [`source::notification`] says which objects a
//!    message announces, [`source::layout`] what a key holds.
//! 2. [`source::records`]: an object's stored bytes become [`EventBatch`](event::EventBatch)es, in
//!    constant memory. Events are ranges of a buffer and stay that; [`json`] checks them in place.
//! 3. [`plugin`]: a [`PluginChain`](plugin::PluginChain) puts a batch through all plugins. [`columns`]
//!    extracts the fields that somebody declared. What the plugins say becomes [`effects`] beside the
//!    bytes: additions, findings, drops, and the masks of [`mask`].
//! 4. [`sink`]: a [`Sink`](sink::Sink) encodes events and sends one batch. [`sink::delivery`] does the
//!    rest: batches, rate limits, retries, holds, acknowledgement. [`findings`] counts matches into
//!    findings and announces them.
//! 5. [`ack`]: the one idea all of them share. A message is deleted when every share of it is settled,
//!    and [`pipeline`] is the only place that does so.
//!
//! Beside the way: [`ledger`] remembers who has which object, [`store`] keeps references to what was
//! not delivered ([`deadletter`]), [`lookup`] keeps the operator's tables, [`telemetry`] counts, [`config`] reads settings and [`assemble`]
//! makes the parts of them. [`backtest`] tries plugins on old objects, without any sink.
//!
//! # Embedding
//!
//! A program that wants only the plugins loads [`Component`](plugin::Component)s, joins them into a
//! chain and runs [`ChainWorker`](plugin::ChainWorker)s on threads of its own: see
//! `examples/embed_chain.rs`. One that wants the whole way builds a [`Plan`](pipeline::Plan) with its own
//! source or sinks and runs a [`Pipeline`](pipeline::Pipeline): see `examples/embed_pipeline.rs`. The
//! library installs no logger and no signal handler of its own and has no global state; wasmtime, below
//! it, handles the traps of guests by signals, and passes on all others.
//!
//! # Features
//!
//! Each source (`sqs`, `directory`), each sink (`splunk-hec`, `datadog-logs`, `security-hub`, `file`)
//! and the command line (`cli`) is a Cargo feature; all are on by default.

pub mod pipeline;

pub mod source;
mod spare;

pub mod event;
pub mod json;

pub mod columns;
pub mod effects;
pub mod lookup;
pub mod mask;
pub mod plugin;
mod work;
pub mod workers;

pub mod backtest;

mod claims;
mod forward;
mod intake;
mod progress;
pub mod selection;

pub mod guard;

pub mod finding;
pub mod findings;
pub mod normalize;
pub mod sink;

pub mod ack;
pub mod deadletter;
pub mod ledger;
pub mod store;

pub mod clock;
pub mod digest;
pub mod telemetry;
pub mod text;
pub mod timestamp;

#[cfg(all(
    any(feature = "sqs", feature = "directory"),
    any(
        feature = "splunk-hec",
        feature = "datadog-logs",
        feature = "security-hub",
        feature = "file"
    )
))]
pub mod assemble;
pub mod config;

#[cfg(feature = "cli")]
mod authoring;
#[cfg(feature = "cli")]
pub mod cli;
pub mod generate;
