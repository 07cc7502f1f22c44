//! A folder in the layout of CloudTrail's bucket, watched by polling: the embedded default, and the way
//! in for back-tests and machines without a network.
//!
//! Each file is announced once a revision (size and time of change); what was done before a restart is
//! known to the ledger alone. Symbolic links are not followed: a link could lead out of the folder.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    fs::Metadata,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, anyhow};
use async_trait::async_trait;
use bytes::BytesMut;
use futures_util::stream;
use serde::{Deserialize, Serialize};
use tokio::{fs::File, io::AsyncReadExt, sync::Notify, time::Instant};

use super::{
    Announcement, Body, Lease, Message, OpenError, OpenObject, Priority, Source,
    layout::{self, Layout},
    notification::MAX_KEY,
};
use crate::{
    config::Problems,
    deadletter::Cause,
    event::{Object, ObjectId, ObjectRef},
    text::shown,
};

/// A file unchanged for this long is complete without a second look.
const SETTLED: Duration = Duration::from_secs(2);
/// Files taken up by one look at the folder; the next look finds more.
const MAX_READY: usize = 10_000;
const PIECE: usize = 256 * 1024;
const FIRST_DELAY: Duration = Duration::from_secs(10);
const LONGEST_DELAY: Duration = Duration::from_mins(15);

/// Configuration of the watched folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The folder. Required.
    pub path: PathBuf,
    /// The bucket's name, as it stands in references, events and dead letters. Default `local`.
    #[serde(default = "default_bucket")]
    pub bucket: String,
    /// Time between two looks at the folder, in milliseconds. Default 1000, range 10 to 3600000.
    #[serde(default = "default_poll_interval_ms")]
    pub poll_interval_ms: u64,
    /// Whether to end when everything was read. Default false.
    #[serde(default)]
    pub once: bool,
}

fn default_bucket() -> String {
    "local".to_owned()
}

fn default_poll_interval_ms() -> u64 {
    1_000
}

impl Settings {
    /// Reports every value that cannot be right.
    pub fn validate(&self, at: &str, problems: &mut Problems) {
        if self.path.as_os_str().is_empty() {
            problems.push(format!("{at}.path must be a folder, got nothing"));
        }
        if self.bucket.is_empty() || self.bucket.len() > 63 || self.bucket.contains('/') {
            let got = shown(&self.bucket);
            problems.push(format!(
                "{at}.bucket must be a name of 1 to 63 characters without `/`, got {got}"
            ));
        }
        problems.range(
            &format!("{at}.poll_interval_ms"),
            self.poll_interval_ms,
            10..=3_600_000,
        );
    }
}

/// The directory source.
#[derive(Debug)]
pub struct Directory {
    root: PathBuf,
    bucket: String,
    poll_interval: Duration,
    once: bool,
    state: Mutex<State>,
    settled: Notify,
}

/// What is known of the folder. A file is in one of the lists, or new.
#[derive(Debug, Default)]
struct State {
    /// To be handed out, by key.
    ready: VecDeque<Waiting>,
    /// Handed out, neither deleted nor released.
    in_flight: HashMap<String, Waiting>,
    /// Released; to be handed out again at that time.
    later: BTreeMap<String, (Instant, Waiting)>,
    /// Perhaps still being written: what it looked like.
    growing: HashMap<String, String>,
    /// Revisions that need no more work: deleted, or nothing of ours.
    done: HashSet<ObjectId>,
}

#[derive(Clone, Debug)]
struct Waiting {
    key: String,
    revision: String,
    receives: u32,
}

/// A file as one look at the folder found it.
#[derive(Debug)]
struct Seen {
    key: String,
    revision: String,
    old: bool,
}

impl Directory {
    /// Watches the folder.
    ///
    /// # Errors
    /// When it is no folder, or cannot be entered.
    pub fn open_folder(settings: &Settings) -> anyhow::Result<Self> {
        let root = settings
            .path
            .canonicalize()
            .with_context(|| format!("failed to open folder {}", settings.path.display()))?;
        anyhow::ensure!(root.is_dir(), "{} is not a folder", settings.path.display());
        Ok(Self {
            root,
            bucket: settings.bucket.clone(),
            poll_interval: Duration::from_millis(settings.poll_interval_ms),
            once: settings.once,
            state: Mutex::default(),
            settled: Notify::new(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn id(&self, key: &str, revision: &str) -> ObjectId {
        ObjectId::of(&self.bucket, key, revision)
    }

    async fn look(&self) -> anyhow::Result<()> {
        let root = self.root.clone();
        let seen = tokio::task::spawn_blocking(move || {
            let mut seen = Vec::new();
            walk(&root, "", &mut seen).map(|()| seen)
        })
        .await
        .context("failed to look at the folder")?
        .with_context(|| format!("failed to look at folder {}", self.root.display()))?;
        self.take_up(seen);
        Ok(())
    }

    fn take_up(&self, seen: Vec<Seen>) {
        let state = &mut *self.state();
        if !state.ready.is_empty() {
            return;
        }
        let mut growing = HashMap::new();
        for Seen { key, revision, old } in seen {
            let id = self.id(&key, &revision);
            if state.done.contains(&id)
                || state.in_flight.contains_key(&key)
                || state.later.contains_key(&key)
            {
                continue;
            }
            match layout::of(&key) {
                Layout::CloudTrail(_) if key.len() <= MAX_KEY => {}
                _ => {
                    tracing::info!(file = %shown(&key), "a file that fits no layout of CloudTrail is ignored");
                    state.done.insert(id);
                    continue;
                }
            }
            if !old && state.growing.get(&key) != Some(&revision) {
                growing.insert(key, revision);
            } else if state.ready.len() < MAX_READY {
                state.ready.push_back(Waiting {
                    key,
                    revision,
                    receives: 0,
                });
            } else {
                break;
            }
        }
        state.growing = growing;
    }

    /// Hands out what is ready, released files whose time has come first.
    fn hand_out(&self, max: usize) -> Vec<Message> {
        let state = &mut *self.state();
        let now = Instant::now();
        let due: Vec<_> = state
            .later
            .iter()
            .filter(|(_, (at, _))| *at <= now)
            .map(|(key, _)| key.clone())
            .collect();
        for key in due {
            if let Some((_, waiting)) = state.later.remove(&key) {
                state.ready.push_front(waiting);
            }
        }
        let count = max.max(1).min(state.ready.len());
        let taken: Vec<_> = state.ready.drain(..count).collect();
        taken
            .into_iter()
            .map(|waiting| {
                let receives = waiting.receives + 1;
                let reference = ObjectRef {
                    bucket: self.bucket.clone(),
                    key: waiting.key.clone(),
                    version: None,
                };
                let message = Message {
                    id: waiting.key.clone(),
                    receipt: waiting.key.clone(),
                    priority: Priority::Live,
                    announcement: Announcement::Objects(vec![reference]),
                    receives,
                    received: now.into_std(),
                };
                state.in_flight.insert(
                    waiting.key.clone(),
                    Waiting {
                        receives,
                        ..waiting
                    },
                );
                message
            })
            .collect()
    }

    fn all_was_read(&self) -> bool {
        let state = self.state();
        state.ready.is_empty()
            && state.in_flight.is_empty()
            && state.later.is_empty()
            && state.growing.is_empty()
    }

    /// The path of a key. `None` when the key could lead anywhere else than below the folder.
    fn path(&self, key: &str) -> Option<PathBuf> {
        let plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(['\\', '\0']);
        key.split('/').all(plain).then(|| self.root.join(key))
    }

    async fn open_file(&self, key: &str) -> io::Result<(File, Metadata)> {
        let path = self.path(key).ok_or(ErrorKind::NotFound)?;
        let real = tokio::fs::canonicalize(&path).await?;
        if real != path {
            return Err(io::Error::new(
                ErrorKind::PermissionDenied,
                "symbolic links are not followed",
            ));
        }
        let file = File::open(real).await?;
        let metadata = file.metadata().await?;
        if metadata.is_file() {
            Ok((file, metadata))
        } else {
            Err(ErrorKind::NotFound.into())
        }
    }
}

#[async_trait]
impl Source for Directory {
    async fn receive(&self, max: usize) -> anyhow::Result<Option<Vec<Message>>> {
        let ready = self.hand_out(max);
        if !ready.is_empty() {
            return Ok(Some(ready));
        }
        self.look().await?;
        let ready = self.hand_out(max);
        if !ready.is_empty() {
            return Ok(Some(ready));
        }
        if self.once && self.all_was_read() {
            return Ok(None);
        }
        // Woken early where that may be the end.
        let _ = tokio::time::timeout(self.poll_interval, self.settled.notified()).await;
        Ok(Some(Vec::new()))
    }

    fn lease(&self, _message: &Message) -> Lease {
        Lease::unlimited()
    }

    async fn delete(&self, message: Message) {
        {
            let state = &mut *self.state();
            if let Some(waiting) = state.in_flight.remove(&message.receipt) {
                let id = self.id(&waiting.key, &waiting.revision);
                state.done.insert(id);
            }
        }
        self.settled.notify_one();
    }

    async fn release(&self, message: Message, started: bool) {
        {
            let state = &mut *self.state();
            if let Some(waiting) = state.in_flight.remove(&message.receipt) {
                let delay = if started {
                    delay(waiting.receives)
                } else {
                    Duration::ZERO
                };
                state
                    .later
                    .insert(waiting.key.clone(), (Instant::now() + delay, waiting));
            }
        }
        self.settled.notify_one();
    }

    async fn open(&self, reference: &ObjectRef) -> Result<OpenObject, OpenError> {
        let url = shown(&reference.url());
        if reference.bucket != self.bucket {
            return Err(OpenError::Denied(anyhow!(
                "failed to read {url}: the folder stands for another bucket"
            )));
        }
        let Layout::CloudTrail(kind) = layout::of(&reference.key) else {
            let error = anyhow!("the key of {url} fits no layout of CloudTrail");
            return Err(OpenError::Lost {
                cause: Cause::UnknownKey,
                error,
            });
        };
        let (file, metadata) = self
            .open_file(&reference.key)
            .await
            .map_err(|error| open_error(&url, error))?;
        let reference = ObjectRef {
            version: None,
            ..reference.clone()
        };
        Ok(OpenObject {
            object: Object::new(reference, revision(&metadata), kind),
            size: Some(metadata.len()),
            body: pieces(file, url),
        })
    }

    async fn check(&self) -> anyhow::Result<String> {
        let mut entries = tokio::fs::read_dir(&self.root)
            .await
            .with_context(|| format!("failed to read folder {}", self.root.display()))?;
        entries
            .next_entry()
            .await
            .with_context(|| format!("failed to read folder {}", self.root.display()))?;
        Ok(format!("folder {} can be read", self.root.display()))
    }
}

fn open_error(url: &str, error: io::Error) -> OpenError {
    let kind = error.kind();
    let error = anyhow::Error::new(error).context(format!("failed to read {url}"));
    match kind {
        ErrorKind::NotFound | ErrorKind::NotADirectory => OpenError::Lost {
            cause: Cause::ObjectMissing,
            error,
        },
        ErrorKind::PermissionDenied => OpenError::Denied(error),
        _ => OpenError::Unavailable(error),
    }
}

fn pieces(file: File, url: String) -> Body {
    Box::pin(stream::try_unfold(
        (file, url),
        |(mut file, url)| async move {
            let mut piece = BytesMut::with_capacity(PIECE);
            let read = file
                .read_buf(&mut piece)
                .await
                .with_context(|| format!("failed to read {url} to its end"))?;
            Ok((read > 0).then(|| (piece.freeze(), (file, url))))
        },
    ))
}

/// Collects regular files below `folder`, in the order of their names. Hidden and temporary files wait
/// for their final name.
fn walk(root: &Path, folder: &str, seen: &mut Vec<Seen>) -> io::Result<()> {
    let mut entries = std::fs::read_dir(root.join(folder))?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name();
        let Some(name) = name
            .to_str()
            .filter(|name| !name.starts_with('.') && name.strip_suffix(".tmp").is_none())
        else {
            continue;
        };
        let key = if folder.is_empty() {
            name.to_owned()
        } else {
            format!("{folder}/{name}")
        };
        match look_at(root, &key, &entry, seen) {
            // Gone again, or not ours to read: the rest of the folder is.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::NotFound | ErrorKind::PermissionDenied
                ) =>
            {
                tracing::debug!(file = %shown(&key), error = %error, "a file cannot be looked at");
            }
            other => other?,
        }
    }
    Ok(())
}

fn look_at(
    root: &Path,
    key: &str,
    entry: &std::fs::DirEntry,
    seen: &mut Vec<Seen>,
) -> io::Result<()> {
    let kind = entry.file_type()?;
    if kind.is_dir() {
        return walk(root, key, seen);
    }
    if kind.is_file() {
        let metadata = entry.metadata()?;
        let age = SystemTime::now()
            .duration_since(metadata.modified()?)
            .unwrap_or_default();
        seen.push(Seen {
            key: key.to_owned(),
            revision: revision(&metadata),
            old: age >= SETTLED,
        });
    }
    Ok(())
}

/// Size and time of the last change, in hexadecimal: `{bytes}-{nanoseconds since 1970}`.
fn revision(metadata: &Metadata) -> String {
    let changed = metadata
        .modified()
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
        .unwrap_or_default();
    format!("{:x}-{:x}", metadata.len(), changed.as_nanos())
}

fn delay(receives: u32) -> Duration {
    (FIRST_DELAY * (1 << receives.saturating_sub(1).min(16))).min(LONGEST_DELAY)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::fs;

    use futures_util::TryStreamExt;

    use super::*;

    const FOLDER: &str = "AWSLogs/123456789012/CloudTrail/eu-west-1/2026/11/22";

    struct Fixture {
        folder: tempfile::TempDir,
        source: Directory,
    }

    impl Fixture {
        fn new(once: bool) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let settings = Settings {
                path: folder.path().to_owned(),
                bucket: "local".to_owned(),
                poll_interval_ms: 100,
                once,
            };
            let source = Directory::open_folder(&settings).unwrap();
            Self { folder, source }
        }

        fn write(&self, key: &str, content: &str, age: Duration) {
            let path = self.folder.path().join(key);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, content).unwrap();
            fs::File::options()
                .write(true)
                .open(path)
                .unwrap()
                .set_modified(SystemTime::now() - age)
                .unwrap();
        }

        fn log(&self, name: &str) -> String {
            let key = format!("{FOLDER}/{name}.json.gz");
            self.write(&key, name, Duration::from_hours(1));
            key
        }

        async fn receive(&self) -> Vec<Message> {
            self.source.receive(10).await.unwrap().unwrap()
        }

        async fn keys(&self) -> Vec<String> {
            self.receive()
                .await
                .into_iter()
                .map(|message| message.id)
                .collect()
        }
    }

    fn reference(key: &str) -> ObjectRef {
        ObjectRef {
            bucket: "local".to_owned(),
            key: key.to_owned(),
            version: None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn log_files_are_announced_once_in_order_and_others_are_not() {
        let fixture = Fixture::new(false);
        let (b, a) = (fixture.log("b"), fixture.log("a"));
        for key in [
            "readme.txt",
            "x.json.gz",
            &format!("{FOLDER}/c.json.gz.tmp"),
            &format!("{FOLDER}/.d.json.gz"),
        ] {
            fixture.write(key, "x", Duration::from_hours(1));
        }
        let messages = fixture.receive().await;
        assert_eq!(
            messages[0].announcement,
            Announcement::Objects(vec![reference(&a)])
        );
        assert_eq!(messages.iter().map(|m| &m.id).collect::<Vec<_>>(), [&a, &b]);
        for message in messages {
            fixture.source.delete(message).await;
        }
        assert!(fixture.keys().await.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_that_changed_comes_again() {
        let fixture = Fixture::new(false);
        let key = fixture.log("a");
        let message = fixture.receive().await.remove(0);
        fixture.source.delete(message).await;
        fixture.write(&key, "longer than before", Duration::from_mins(5));
        assert_eq!(fixture.keys().await, [key]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_that_is_being_written_waits() {
        let fixture = Fixture::new(false);
        let key = format!("{FOLDER}/a.json.gz");
        let future = SystemTime::now() + Duration::from_hours(1);
        for content in ["1", "12"] {
            fixture.write(&key, content, Duration::ZERO);
            fs::File::options()
                .write(true)
                .open(fixture.folder.path().join(&key))
                .unwrap()
                .set_modified(future)
                .unwrap();
            assert!(fixture.keys().await.is_empty(), "{content}");
        }
        assert_eq!(fixture.keys().await, [key], "unchanged between two looks");
    }

    #[tokio::test(start_paused = true)]
    async fn a_released_file_comes_again_at_once_or_later() {
        let fixture = Fixture::new(false);
        fixture.log("a");
        let message = fixture.receive().await.remove(0);
        fixture.source.release(message, false).await;
        let message = fixture.receive().await.remove(0);
        assert_eq!(message.receives, 2);
        fixture.source.release(message, true).await;
        assert!(fixture.keys().await.is_empty());
        tokio::time::advance(Duration::from_secs(21)).await;
        assert_eq!(fixture.receive().await[0].receives, 3);
    }

    #[tokio::test(start_paused = true)]
    async fn once_ends_when_all_is_done_and_not_before() {
        let fixture = Fixture::new(true);
        fixture.log("a");
        let message = fixture.receive().await.remove(0);
        assert!(fixture.keys().await.is_empty(), "it is still in flight");
        fixture.source.delete(message).await;
        assert!(fixture.source.receive(10).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn an_object_is_opened_with_its_revision_and_bytes() {
        let fixture = Fixture::new(false);
        let key = fixture.log("a");
        let opened = fixture.source.open(&reference(&key)).await.unwrap();
        assert_eq!(opened.size, Some(1));
        assert!(opened.object.revision.starts_with("1-"));
        let bytes: Vec<_> = opened.body.try_collect::<Vec<_>>().await.unwrap().concat();
        assert_eq!(bytes, b"a");
    }

    #[tokio::test]
    async fn nothing_outside_the_folder_is_read() {
        let fixture = Fixture::new(false);
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("secret.json.gz"), "secret").unwrap();
        let key = format!("{FOLDER}/link.json.gz");
        fixture.log("a");
        std::os::unix::fs::symlink(
            outside.path().join("secret.json.gz"),
            fixture.folder.path().join(&key),
        )
        .unwrap();
        std::os::unix::fs::symlink(outside.path(), fixture.folder.path().join("AWSLogs/link"))
            .unwrap();
        assert_eq!(fixture.keys().await, [format!("{FOLDER}/a.json.gz")]);
        assert!(matches!(
            fixture.source.open(&reference(&key)).await,
            Err(OpenError::Denied(_))
        ));
        for key in [
            format!("../{FOLDER}/a.json.gz"),
            format!("/{FOLDER}/a.json.gz"),
            format!("x//{FOLDER}/a.json.gz"),
        ] {
            assert!(
                matches!(
                    fixture.source.open(&reference(&key)).await,
                    Err(OpenError::Lost { .. })
                ),
                "{key}"
            );
        }
    }

    #[tokio::test]
    async fn a_missing_file_and_another_bucket_are_told_apart() {
        let fixture = Fixture::new(false);
        let missing = fixture
            .source
            .open(&reference(&format!("{FOLDER}/a.json.gz")))
            .await;
        assert!(matches!(
            missing,
            Err(OpenError::Lost {
                cause: Cause::ObjectMissing,
                ..
            })
        ));
        let other = ObjectRef {
            bucket: "other".to_owned(),
            ..reference(&fixture.log("a"))
        };
        assert!(matches!(
            fixture.source.open(&other).await,
            Err(OpenError::Denied(_))
        ));
    }

    #[test]
    fn bad_settings_are_reported_together() {
        let settings = Settings {
            path: PathBuf::new(),
            bucket: String::new(),
            poll_interval_ms: 1,
            once: false,
        };
        let mut problems = Problems::default();
        settings.validate("source", &mut problems);
        assert_eq!(problems.lines().len(), 3, "{problems:?}");
    }
}
