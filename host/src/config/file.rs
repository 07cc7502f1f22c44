//! A configuration file: read strictly, section by section, into checked types.

mod load;
mod nearest;
mod sections;
mod strict;

use super::Problems;

pub use sections::{Config, Ledger, LedgerKind, PluginCache, Sink, SinkKind, Source, Store};
