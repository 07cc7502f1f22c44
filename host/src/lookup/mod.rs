//! Tables that plugins look up in: read once, kept in memory, and read again when their file changes.
//!
//! A table belongs to the operator: which file, which column is the key, how keys match. Plugins name the
//! table and a field, and are granted each table by name. A new file takes the old one's place between
//! two queries, without anything else being loaded anew; one that is broken changes nothing and is told
//! of once.

mod csv;
mod json;
mod mmdb;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod mmdb_writer;
mod networks;
mod settings;
mod table;
mod watch;

pub use self::{
    settings::{Format, MatchKind, Settings},
    table::{Table, Value},
    watch::Tables,
};
