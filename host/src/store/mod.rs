//! The store: dead letters and pending references, as small named blobs in a folder or under an S3
//! prefix.
//!
//! A name is `dead-letters/<time>-<hash>.json` or `pending/<sink>/<time>-<hash>.json`. The time is the
//! one that CloudTrail wrote into the object's key (zeroes where there is none), the hash covers the
//! subject and the sink, but neither the cause nor the moment. So names ascend with the age of the
//! events; the same reference stored twice is one entry; and no entry is ever changed after it was
//! written, so that two hosts cannot overwrite each other's ranges.

mod folder;
#[cfg(feature = "sqs")]
mod s3;

use std::sync::Arc;

use anyhow::Context as _;
use async_trait::async_trait;
use bytes::Bytes;

pub use self::folder::Folder;
#[cfg(feature = "sqs")]
pub use self::s3::S3;
use crate::{
    deadletter::{DeadLetter, Subject},
    digest::{hex, sha256},
};

const DEAD: &str = "dead-letters/";
const PENDING: &str = "pending/";
const PAGE: usize = 100;

/// Small named blobs. Names are segments of `[A-Za-z0-9._!-]` that begin with none of `.`, joined by
/// `/`, 512 bytes at the most.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// Writes a blob, atomically and durably, in place of one that may have the name.
    ///
    /// # Errors
    /// When it is not certain that the blob is stored.
    async fn put(&self, name: &str, body: Bytes) -> anyhow::Result<()>;

    /// Reads a blob; nothing where there is none.
    ///
    /// # Errors
    /// When the blob cannot be read.
    async fn get(&self, name: &str) -> anyhow::Result<Option<Bytes>>;

    /// Names of the blobs right under `prefix` (which ends in `/`), ascending by byte, those greater
    /// than `after`, `limit` at the most. Fewer than `limit` means that there are no more.
    ///
    /// # Errors
    /// When the names cannot be read.
    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> anyhow::Result<Vec<String>>;

    /// Removes a blob; nothing happens where there is none.
    ///
    /// # Errors
    /// When the blob may still be there.
    async fn delete(&self, name: &str) -> anyhow::Result<()>;
}

/// Dead letters and pending references on top of a [`Backend`].
#[derive(Clone)]
pub struct Store {
    backend: Arc<dyn Backend>,
}

/// One entry of the store.
#[derive(Debug)]
pub struct Stored {
    /// What [`Store::get`] and [`Store::resolve`] take.
    pub name: String,
    /// What it says; an error where the entry is damaged.
    pub letter: anyhow::Result<DeadLetter>,
}

impl Store {
    /// A store that keeps its entries in this backend.
    #[must_use]
    pub fn new(backend: Arc<dyn Backend>) -> Self {
        Self { backend }
    }

    /// Keeps a dead letter; returns its name.
    ///
    /// # Errors
    /// When it is not certain that the letter is stored.
    pub async fn bury(&self, letter: &DeadLetter) -> anyhow::Result<String> {
        let sink = letter.sink.as_deref().unwrap_or_default();
        self.put(entry_name(DEAD, sink, &letter.subject), letter)
            .await
    }

    /// Keeps a reference to what `sink` still has to get; returns its name. Work that waits for
    /// something else, such as a bucket, goes under a name of its own that no sink has.
    ///
    /// # Errors
    /// When it is not certain that the reference is stored.
    pub async fn pend(&self, sink: &str, letter: &DeadLetter) -> anyhow::Result<String> {
        self.put(
            entry_name(&pending_prefix(sink), sink, &letter.subject),
            letter,
        )
        .await
    }

    async fn put(&self, name: String, letter: &DeadLetter) -> anyhow::Result<String> {
        let body = serde_json::to_vec_pretty(letter).context("failed to encode a reference")?;
        self.backend
            .put(&name, body.into())
            .await
            .with_context(|| format!("failed to store {name}"))?;
        Ok(name)
    }

    /// Dead letters with names greater than `after`, ascending. Fewer than `limit`: there are no more.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn dead_letters(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> anyhow::Result<Vec<Stored>> {
        self.entries(DEAD, after, limit).await
    }

    /// References to what `sink` still has to get, oldest events first, with names greater than
    /// `after`. Fewer than `limit`: there are no more.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn pending(
        &self,
        sink: &str,
        after: Option<&str>,
        limit: usize,
    ) -> anyhow::Result<Vec<Stored>> {
        self.entries(&pending_prefix(sink), after, limit).await
    }

    async fn entries(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> anyhow::Result<Vec<Stored>> {
        let mut found = Vec::new();
        let mut after = after.map(str::to_owned);
        while found.len() < limit {
            let wanted = (limit - found.len()).min(PAGE);
            let names = self
                .backend
                .list(prefix, after.as_deref(), wanted)
                .await
                .with_context(|| format!("failed to list {prefix}"))?;
            let last = names.len() < wanted;
            after = names.last().cloned().or(after);
            for name in names {
                // One that was resolved since it was listed is no entry any more.
                if let Some(letter) = self.read(&name).await? {
                    found.push(Stored { name, letter });
                }
            }
            if last {
                break;
            }
        }
        Ok(found)
    }

    /// Reads one entry; nothing where there is none.
    ///
    /// # Errors
    /// When the store cannot be read or the entry is damaged.
    pub async fn get(&self, name: &str) -> anyhow::Result<Option<DeadLetter>> {
        self.read(name).await?.transpose()
    }

    async fn read(&self, name: &str) -> anyhow::Result<Option<anyhow::Result<DeadLetter>>> {
        let body = self
            .backend
            .get(name)
            .await
            .with_context(|| format!("failed to read {name}"))?;
        Ok(body.map(|body| {
            serde_json::from_slice(&body).with_context(|| format!("failed to understand {name}"))
        }))
    }

    /// Removes an entry: what it refers to has been delivered, or is kept elsewhere.
    ///
    /// # Errors
    /// When the entry may still be there.
    pub async fn resolve(&self, name: &str) -> anyhow::Result<()> {
        self.backend
            .delete(name)
            .await
            .with_context(|| format!("failed to remove {name}"))
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

fn pending_prefix(sink: &str) -> String {
    format!("{PENDING}{}/", segment(sink))
}

/// Letters, digits, `_` and `-` stay; every other byte becomes `!` and two hex digits.
fn segment(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"_-".contains(&byte) {
            out.push(char::from(byte));
        } else {
            write!(out, "!{byte:02x}").expect("a String takes every write");
        }
    }
    if out.is_empty() { "!".to_owned() } else { out }
}

fn entry_name(prefix: &str, sink: &str, subject: &Subject) -> String {
    let (time, identity) = match subject {
        Subject::Message { id, body } => (None, vec!["message", id, body]),
        Subject::Object { object, .. } | Subject::Events { object, .. } => {
            let version = object.version.as_deref().unwrap_or_default();
            (
                key_time(&object.key),
                vec!["object", &object.bucket, &object.key, version],
            )
        }
        Subject::Finding { id } => (None, vec!["finding", id]),
    };
    let place = match subject {
        Subject::Object {
            offset, from_index, ..
        } => format!("{offset:?} {from_index:?}"),
        Subject::Events { ranges, .. } => format!("{ranges:?}"),
        Subject::Message { .. } | Subject::Finding { .. } => String::new(),
    };
    let parts: Vec<&[u8]> = [sink]
        .into_iter()
        .chain(identity)
        .chain([place.as_str()])
        .flat_map(|part| [part.as_bytes(), b"\0"])
        .collect();
    format!(
        "{prefix}{}-{}.json",
        time.unwrap_or("00000000T0000Z"),
        hex(&sha256(&parts)[..16])
    )
}

/// The `YYYYMMDDTHHMMZ` that CloudTrail writes into the names of its objects.
fn key_time(key: &str) -> Option<&str> {
    let file = &key[key.rfind('/').map_or(0, |slash| slash + 1)..];
    file.split('_').find(|part| {
        let shape = part
            .bytes()
            .enumerate()
            .all(|(position, byte)| match position {
                8 => byte == b'T',
                13 => byte == b'Z',
                _ => byte.is_ascii_digit(),
            });
        part.len() == 14 && shape
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::{deadletter::Cause, event::ObjectRef};

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(Arc::new(Folder::open(folder.path()).unwrap()));
        (folder, store)
    }

    fn letter(time: &str, ranges: &[(u32, u32)]) -> DeadLetter {
        let object = ObjectRef {
            bucket: "leanda-ng-cloudtrail-test-123456789012".into(),
            key: format!(
                "AWSLogs/123456789012/CloudTrail/eu-west-1/123456789012_CloudTrail_eu-west-1_{time}_abc.json.gz"
            ),
            version: None,
        };
        DeadLetter {
            time_ms: 1,
            cause: Cause::SinkUnavailable,
            subject: Subject::Events {
                object,
                ranges: ranges.to_vec(),
                sha256: None,
            },
            sink: Some("splunk".into()),
            plugin: None,
            error: "down".into(),
        }
    }

    #[tokio::test]
    async fn the_same_reference_stored_twice_is_one_entry() {
        let (_folder, store) = store();
        let mut again = letter("20230710T1225Z", &[(0, 5)]);
        let first = store.bury(&again).await.unwrap();
        again.cause = Cause::SinkRefused;
        again.time_ms = 99;
        assert_eq!(store.bury(&again).await.unwrap(), first);
        assert_eq!(store.dead_letters(None, 10).await.unwrap().len(), 1);
        assert_eq!(store.get(&first).await.unwrap().unwrap(), again);
    }

    #[tokio::test]
    async fn other_ranges_and_other_sinks_are_other_entries() {
        let (_folder, store) = store();
        store
            .bury(&letter("20230710T1225Z", &[(0, 5)]))
            .await
            .unwrap();
        store
            .bury(&letter("20230710T1225Z", &[(0, 6)]))
            .await
            .unwrap();
        let mut other = letter("20230710T1225Z", &[(0, 5)]);
        other.sink = Some("datadog".into());
        store.bury(&other).await.unwrap();
        assert_eq!(store.dead_letters(None, 10).await.unwrap().len(), 3);
    }

    #[tokio::test]
    async fn pending_work_is_listed_oldest_events_first_and_page_by_page() {
        let (_folder, store) = store();
        for time in ["20230711T0000Z", "20230709T2355Z", "20230710T1225Z"] {
            store
                .pend("splunk", &letter(time, &[(0, 1)]))
                .await
                .unwrap();
        }
        let page = store.pending("splunk", None, 2).await.unwrap();
        assert!(page[0].name.contains("20230709T2355Z") && page[1].name.contains("20230710T1225Z"));
        let rest = store
            .pending("splunk", Some(&page[1].name), 2)
            .await
            .unwrap();
        assert_eq!(rest.len(), 1);
        assert!(store.pending("datadog", None, 2).await.unwrap().is_empty());
        assert!(store.dead_letters(None, 2).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_resolved_entry_is_gone_and_may_be_resolved_again() {
        let (_folder, store) = store();
        let name = store
            .pend("splunk", &letter("20230710T1225Z", &[(0, 1)]))
            .await
            .unwrap();
        store.resolve(&name).await.unwrap();
        store.resolve(&name).await.unwrap();
        assert!(store.get(&name).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_damaged_entry_is_shown_and_hides_no_other() {
        let (folder, store) = store();
        let name = store
            .bury(&letter("20230710T1225Z", &[(0, 1)]))
            .await
            .unwrap();
        store
            .bury(&letter("20230711T1225Z", &[(0, 1)]))
            .await
            .unwrap();
        std::fs::write(folder.path().join(&name), "{").unwrap();
        let all = store.dead_letters(None, 10).await.unwrap();
        assert!(all[0].letter.is_err() && all[1].letter.is_ok());
        assert!(store.get(&name).await.is_err());
    }

    #[test]
    fn names_from_outside_cannot_leave_the_folder() {
        assert_eq!(pending_prefix("../a b"), "pending/!2e!2e!2fa!20b/");
        assert_ne!(segment(""), segment("-"));
    }

    #[test]
    fn the_time_is_taken_from_the_file_name_alone() {
        assert_eq!(
            key_time("x/20200101T0000Z/a_20230710T1225Z_b.json.gz"),
            Some("20230710T1225Z")
        );
        assert_eq!(key_time("x/é_2023071éT1225Z_b"), None);
        assert_eq!(key_time("plain"), None);
    }
}
