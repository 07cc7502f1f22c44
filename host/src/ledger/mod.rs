//! The ledger: which sinks have all of which object, and the state of every finding.
//!
//! It saves work and keeps counts right. Its loss costs duplicates, never events. What plugins count
//! over time lies beside it: [`windows`].

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
pub(crate) mod contract;
mod database;
mod sqlite;
pub mod windows;

use async_trait::async_trait;

pub use self::{sqlite::Sqlite, windows::Windows};

use crate::{
    event::ObjectId,
    finding::{Finding, Sighting},
};

/// What the host remembers between messages and across restarts.
#[async_trait]
pub trait Ledger: Send + Sync + 'static {
    /// Names of the deliveries (sinks, and `findings`) that have all of this object.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    async fn completed(&self, object: ObjectId) -> anyhow::Result<Vec<String>>;

    /// Says that these deliveries have all of this object. `sha256` is that of the inflated bytes,
    /// where all of them were read.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    async fn complete(
        &self,
        object: ObjectId,
        url: &str,
        deliveries: &[String],
        sha256: Option<[u8; 32]>,
    ) -> anyhow::Result<()>;

    /// SHA-256 of the inflated bytes of an object, where all of them were read.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    async fn inflated_sha256(&self, object: ObjectId) -> anyhow::Result<Option<[u8; 32]>>;

    /// Counts sightings into their findings, all or none of them. The same event (by
    /// [`Sighting::identity`]) counts once in a finding, however often it comes. Returns each finding
    /// concerned once, as it is afterwards, and whether a sink has ever been told of it.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    async fn observe(&self, sightings: Vec<Sighting>, now_ms: i64)
    -> anyhow::Result<Vec<Observed>>;

    /// Takes a finding for sending: sets `updated_ms` to the larger of `now_ms` and one more than it
    /// was, stores it, and returns the finding as it is to be sent. `None` when it is not known.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    async fn take(&self, id: &str, now_ms: i64) -> anyhow::Result<Option<Finding>>;

    /// Says that every sink accepted, or durably owes, the finding as it was at `updated_ms` with
    /// `count` events.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    async fn announced(&self, id: &str, updated_ms: i64, count: u64) -> anyhow::Result<()>;

    /// Identifiers of findings that have changed since they were last announced, and whose last
    /// announcement (last sighting, where there was none) is older than `before_ms`; oldest first,
    /// `limit` at the most.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    async fn outdated(&self, before_ms: i64, limit: usize) -> anyhow::Result<Vec<String>>;

    /// Forgets objects completed before this time, and findings last seen before it whose last state
    /// was announced.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    async fn prune(&self, before_ms: i64) -> anyhow::Result<()>;
}

/// A finding after new sightings were counted.
#[derive(Clone, Debug, PartialEq)]
pub struct Observed {
    /// As it is now.
    pub finding: Finding,
    /// Whether an announcement of it was ever accepted.
    pub announced: bool,
}
