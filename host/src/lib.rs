//! Sluicegate.

pub mod ack;
pub mod columns;
pub mod config;
pub mod deadletter;
pub mod digest;
pub mod effects;
pub mod event;
pub mod finding;
pub mod json;
pub mod generate;
pub mod ledger;
pub mod mask;
pub mod plugin;
pub mod sink;
pub mod source;
pub mod text;
pub mod timestamp;
