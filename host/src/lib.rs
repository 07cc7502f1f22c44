//! Sluicegate.

pub mod ack;
pub mod assemble;
#[cfg(feature = "cli")]
pub mod cli;
pub mod clock;
pub mod columns;
pub mod config;
pub mod deadletter;
pub mod digest;
pub mod effects;
pub mod event;
pub mod finding;
pub mod findings;
mod forward;
pub mod generate;
pub mod json;
pub mod ledger;
pub mod mask;
pub mod normalize;
pub mod pipeline;
pub mod plugin;
pub mod sink;
pub mod source;
pub mod store;
pub mod telemetry;
pub mod text;
pub mod timestamp;
pub mod workers;
