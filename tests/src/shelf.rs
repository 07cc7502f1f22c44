//! A source in memory: objects on a shelf, each announced by a message of its own, with faults to order. An
//! object below `CloudTrail-Insight` has Insight events, one below `CloudTrail-Digest` is a digest, any other is a log.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream;
use sluicegate::{
    deadletter::Cause,
    event::{Object, ObjectKind, ObjectRef},
    source::{Announcement, Lease, Message, OpenError, OpenObject, Priority, Source},
};
use tokio::sync::Notify;

/// The bucket that the objects say they lie in.
pub const BUCKET: &str = "shelf";

/// What goes wrong when an object is opened.
#[derive(Clone, Copy, Debug)]
pub enum OpenFault {
    /// Access is denied.
    Denied,
    /// A passing fault.
    Unavailable,
    /// The object is gone for good.
    Missing,
    /// S3 does not answer.
    Stuck,
    /// The body ends with an error after this many bytes.
    Interrupted(usize),
}

/// A shelf of objects. It ends when everything was deleted.
#[derive(Debug, Default)]
pub struct Shelf {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    bodies: HashMap<String, Bytes>,
    faults: HashMap<String, VecDeque<OpenFault>>,
    messages: VecDeque<Message>,
    in_flight: usize,
    deleted: usize,
    released: usize,
    open: bool,
}

impl Shelf {
    /// Puts an object on the shelf and announces it.
    pub fn put(&self, key: &str, body: impl Into<Bytes>) {
        let mut state = self.state();
        state.bodies.insert(key.to_owned(), body.into());
        let object = ObjectRef {
            bucket: BUCKET.into(),
            key: key.into(),
            version: None,
        };
        state.messages.push_back(Message {
            id: key.to_owned(),
            receipt: key.to_owned(),
            priority: Priority::Live,
            announcement: Announcement::Objects(vec![object]),
            receives: 1,
            received: Instant::now(),
        });
        drop(state);
        self.changed.notify_waiters();
    }

    /// What goes wrong the next times this object is opened, in turn.
    pub fn fail(&self, key: &str, faults: impl IntoIterator<Item = OpenFault>) {
        self.state()
            .faults
            .entry(key.to_owned())
            .or_default()
            .extend(faults);
    }

    /// Keeps the shelf open although nothing is on it, until [`close`](Self::close).
    pub fn keep_open(&self) {
        self.state().open = true;
    }

    /// Lets the shelf end when it is empty.
    pub fn close(&self) {
        self.state().open = false;
        self.changed.notify_waiters();
    }

    /// Messages deleted and messages released so far.
    #[must_use]
    pub fn settled(&self) -> (usize, usize) {
        let state = self.state();
        (state.deleted, state.released)
    }

    /// The next fault of an object, if one was ordered, and its bytes.
    fn take(&self, key: &str) -> (Option<OpenFault>, Bytes) {
        let mut state = self.state();
        let fault = state.faults.get_mut(key).and_then(VecDeque::pop_front);
        (fault, state.bodies.get(key).cloned().unwrap_or_default())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Source for Shelf {
    async fn receive(&self, max: usize) -> anyhow::Result<Option<Vec<Message>>> {
        loop {
            let changed = self.changed.notified();
            {
                let mut state = self.state();
                let count = max.min(state.messages.len());
                if count > 0 {
                    state.in_flight += count;
                    return Ok(Some(state.messages.drain(..count).collect()));
                }
                if state.in_flight == 0 && !state.open {
                    return Ok(None);
                }
            }
            changed.await;
        }
    }

    fn lease(&self, _message: &Message) -> Lease {
        Lease::unlimited()
    }

    async fn delete(&self, _message: Message) {
        let mut state = self.state();
        state.in_flight -= 1;
        state.deleted += 1;
        drop(state);
        self.changed.notify_waiters();
    }

    async fn release(&self, mut message: Message, _started: bool) {
        message.receives += 1;
        let mut state = self.state();
        state.in_flight -= 1;
        state.released += 1;
        state.messages.push_back(message);
        drop(state);
        self.changed.notify_waiters();
    }

    async fn open(&self, reference: &ObjectRef) -> Result<OpenObject, OpenError> {
        let (fault, body) = self.take(&reference.key);
        let fault_is = |what: &str| anyhow::anyhow!("{what}, as ordered");
        let mut pieces: Vec<anyhow::Result<Bytes>> = Vec::new();
        match fault {
            Some(OpenFault::Denied) => return Err(OpenError::Denied(fault_is("access denied"))),
            Some(OpenFault::Unavailable) => {
                return Err(OpenError::Unavailable(fault_is("unavailable")));
            }
            Some(OpenFault::Missing) => {
                return Err(OpenError::Lost {
                    cause: Cause::ObjectMissing,
                    error: fault_is("missing"),
                });
            }
            Some(OpenFault::Stuck) => std::future::pending().await,
            Some(OpenFault::Interrupted(bytes)) => {
                pieces.push(Ok(body.slice(..bytes.min(body.len()))));
                pieces.push(Err(fault_is("interrupted")));
            }
            None => pieces.push(Ok(body.clone())),
        }
        Ok(OpenObject {
            object: Object::new(reference.clone(), "1".into(), kind(&reference.key)),
            size: Some(body.len() as u64),
            body: Box::pin(stream::iter(pieces)),
        })
    }

    async fn check(&self) -> anyhow::Result<String> {
        Ok("a shelf in memory".into())
    }
}

fn kind(key: &str) -> ObjectKind {
    if key.contains("/CloudTrail-Insight/") {
        ObjectKind::Insight
    } else if key.contains("/CloudTrail-Digest/") {
        ObjectKind::Digest
    } else {
        ObjectKind::Log
    }
}

/// A gzip member of this text.
///
/// # Panics
/// Never: memory takes every write.
#[must_use]
pub fn gzip(text: impl AsRef<[u8]>) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder
        .write_all(text.as_ref())
        .expect("memory takes every write");
    encoder.finish().expect("memory takes every write")
}
