//! Sources: where messages come from and where the objects they announce are read.

#[cfg(feature = "sqs")]
mod credentials;
#[cfg(feature = "directory")]
pub mod directory;
pub mod layout;
pub mod notification;
#[cfg(feature = "sqs")]
pub mod object;
pub mod records;
#[cfg(feature = "sqs")]
pub mod sqs;

use std::pin::Pin;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::Stream;

use crate::{
    deadletter::Cause,
    event::{Object, ObjectRef},
};

/// A queue of messages, and the store that holds the objects they announce. Three verbs for a message:
/// receive it, then delete or release it.
#[async_trait]
pub trait Source: Send + Sync + 'static {
    /// Waits for messages; never more than `max`, and maybe none. `None` means that no more will come.
    ///
    /// # Errors
    /// When the queue cannot be asked. The pipeline waits a little longer each time and asks again.
    async fn receive(&self, max: usize) -> anyhow::Result<Option<Vec<Message>>>;

    /// Whether there is a second queue, of a backfill, that is received from with what live messages leave.
    fn has_backfill(&self) -> bool {
        false
    }

    /// As [`receive`](Self::receive), from the queue of the backfill.
    ///
    /// # Errors
    /// When that queue cannot be asked.
    async fn receive_backfill(&self, _max: usize) -> anyhow::Result<Option<Vec<Message>>> {
        Ok(None)
    }

    /// Keeps a message ours while it is worked on, until the lease is dropped.
    fn lease(&self, message: &Message) -> Lease;

    /// The message is done: nobody needs to see it again. Called by the pipeline only.
    async fn delete(&self, message: Message);

    /// The message is not done. `started` false hands it back at once for another host; true makes it
    /// visible again after a delay that grows with every receipt.
    async fn release(&self, message: Message, started: bool);

    /// Opens an object for reading.
    ///
    /// # Errors
    /// The variant says what is to be done.
    async fn open(&self, reference: &ObjectRef) -> Result<OpenObject, OpenError>;

    /// How often a message is tried before its objects become dead letters; without a number it always comes
    /// again.
    fn poison_after(&self) -> Option<u32> {
        None
    }

    /// Tries queue and bucket, for `check --online`.
    ///
    /// # Errors
    /// Says what is wrong and what to do.
    async fn check(&self) -> anyhow::Result<String>;
}

/// A receive that fails until somebody mends it; the text says what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NeedsMending(pub &'static str);

/// One message of a source.
#[derive(Debug)]
pub struct Message {
    /// For logs: the queue's identifier of the message.
    pub id: String,
    /// What the source needs to delete or release it.
    pub receipt: String,
    /// Which queue it came from.
    pub priority: Priority,
    /// What it announces.
    pub announcement: Announcement,
    /// How often it has been received, this time included.
    pub receives: u32,
    /// When this host received it, for the ceiling of its lease.
    pub received: std::time::Instant,
}

/// How urgent a message is, by the queue it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// New: it goes first.
    Live,
    /// Historical, or set free again: it takes what live messages leave.
    Backfill,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Announcement {
    /// The body of a notification, in any of the known envelopes.
    Notification(String),
    /// Objects named by a source that needs no notification.
    Objects(Vec<ObjectRef>),
}

/// Keeps a message invisible to others until dropped.
#[derive(Debug, Default)]
pub struct Lease {
    heartbeat: Option<tokio::task::JoinHandle<()>>,
}

impl Lease {
    /// A lease that needs no care.
    #[must_use]
    pub fn unlimited() -> Self {
        Self::default()
    }

    /// A lease kept by this task, which is aborted when the lease is dropped.
    #[must_use]
    pub fn kept_by(heartbeat: tokio::task::JoinHandle<()>) -> Self {
        Self {
            heartbeat: Some(heartbeat),
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(heartbeat) = &self.heartbeat {
            heartbeat.abort();
        }
    }
}

/// An object that is open: its identity, and its stored (still compressed) bytes.
pub struct OpenObject {
    /// What was opened, with the revision that the store answered with.
    pub object: Object,
    /// Stored size in bytes, where the store says.
    pub size: Option<u64>,
    /// The stored bytes, in pieces.
    pub body: Body,
}

impl std::fmt::Debug for OpenObject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenObject")
            .field("object", &self.object)
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

/// Pieces of an object's stored bytes. An error ends it.
pub type Body = Pin<Box<dyn Stream<Item = anyhow::Result<Bytes>> + Send>>;

/// Why an object cannot be read. The variant is the decision.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Passing: throttled, 5xx, reset, timeout. Tried again, then the message is released.
    #[error("unavailable")]
    Unavailable(#[source] anyhow::Error),
    /// The bucket or the key refuses us (S3 or KMS): a fault of the configuration. The bucket is held.
    #[error("access denied")]
    Denied(#[source] anyhow::Error),
    /// Nothing to be had from this object, now or later: dead-lettered with the cause.
    #[error("{cause}")]
    Lost {
        /// What kind of fault it is.
        cause: Cause,
        /// What the store said.
        #[source]
        error: anyhow::Error,
    },
}
