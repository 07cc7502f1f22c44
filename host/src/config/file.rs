//! A configuration file: read strictly, section by section, into checked types.

mod ledger;
mod load;
mod nearest;
mod sections;
mod strict;

use super::Problems;

pub use ledger::{Ledger, LedgerKind};
pub use sections::{Config, PluginCache, Sink, SinkKind, Source, Store};
