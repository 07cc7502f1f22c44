//! The ledger: which sinks have all of which object, and the state of every finding.
//!
//! It saves work and keeps counts right. Its loss costs duplicates, never events. What plugins count
//! over time lies beside it: [`windows`].

mod claims;
mod count;
mod database;
#[cfg(feature = "dynamodb")]
pub mod dynamodb;
mod group;
mod sqlite;
pub mod windows;

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;

pub use self::{claims::Claim, sqlite::Sqlite, windows::Windows};

use crate::{
    event::ObjectId,
    finding::{Finding, Sighting},
};

/// How long a ledger keeps what it knows, where nobody says otherwise.
pub const KEEP: Duration = Duration::from_hours(30 * 24);

/// What the host remembers between messages and across restarts.
#[async_trait]
pub trait Ledger: Send + Sync + 'static {
    /// Claims a place until `until_ms`, or goes on claiming it. False while another owner's claim runs.
    /// Claims save work and nothing else: one that is lost, or given twice, costs duplicates.
    ///
    /// # Errors
    /// When the ledger cannot be asked.
    async fn claim(&self, claim: &Claim, now_ms: i64, until_ms: i64) -> anyhow::Result<bool>;

    /// Gives a claim back; nothing happens where it is not this owner's.
    ///
    /// # Errors
    /// When the ledger cannot be written; the claim then ends with its time.
    async fn release(&self, claim: &Claim) -> anyhow::Result<()>;

    /// What the deliveries (sinks, and `findings`) have of this object.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    async fn known(&self, object: ObjectId) -> anyhow::Result<Known>;

    /// Names of the deliveries that have all of this object.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    async fn completed(&self, object: ObjectId) -> anyhow::Result<Vec<String>> {
        Ok(self.known(object).await?.complete)
    }

    /// Says that this delivery has settled every event of the object before position `upto`. A smaller
    /// position than one that is known changes nothing.
    ///
    /// # Errors
    /// When the ledger cannot be written; more is then sent twice should the object come again.
    async fn reached(
        &self,
        object: ObjectId,
        url: &str,
        delivery: &str,
        upto: u32,
    ) -> anyhow::Result<()>;

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

    /// Counts sightings into their findings. The same event (by [`Sighting::identity`]) counts once in a
    /// finding, however often and at whatever host it comes. Returns each finding concerned once, in the
    /// order of the sightings, as it is afterwards, and whether a sink has ever been told of it.
    ///
    /// # Errors
    /// When the ledger cannot be written. Some may have been counted then; the next try counts the rest.
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
    /// `limit` at the most. A ledger of many hosts leaves out those that were taken since `before_ms`.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    async fn outdated(&self, before_ms: i64, limit: usize) -> anyhow::Result<Vec<String>>;

    /// Forgets what is older than the ledger keeps it: objects by their last completion, findings by
    /// their last sighting, but never a finding whose last state was not announced.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    async fn prune(&self) -> anyhow::Result<()>;
}

/// Who has what of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Deliveries that have all of it.
    pub complete: Vec<String>,
    /// Of others, the position before which each has settled every event.
    pub upto: BTreeMap<String, u32>,
}

/// A finding after new sightings were counted.
#[derive(Clone, Debug, PartialEq)]
pub struct Observed {
    /// As it is now.
    pub finding: Finding,
    /// Whether an announcement of it was ever accepted.
    pub announced: bool,
}
