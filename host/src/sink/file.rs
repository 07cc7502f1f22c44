//! Files of JSON lines: `events.ndjson` and `findings.ndjson` in one folder, set aside at a size. A
//! batch is accepted when its lines are on disk.

use std::{
    fs::File,
    io::{self, ErrorKind, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context as _;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{
    clock::now_ms,
    config::Problems,
    effects::EventView,
    finding::Finding,
    normalize::{Format, document::Document, ocsf},
    sink::{Accept, Batch, Limits, Origin, Refused, SendError, Sink, Unencodable, delivery},
    timestamp::format_ms,
};

/// Where lines are written, and when a file is set aside.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Folder; made where it is missing, readable by its owner only. One process at a time writes to
    /// it. Required.
    pub directory: PathBuf,
    /// What the sink takes. Default: events and findings.
    #[serde(default = "Accept::events_and_findings")]
    pub accept: Vec<Accept>,
    /// Shape of events and findings: `original`, `ocsf-1.8.0` or `ocsf-1.1.0`. Default: `original`.
    #[serde(default)]
    pub format: Format,
    /// Whether each event of OCSF carries the original event as `raw_data`; masks stay masks. Default
    /// `false`.
    #[serde(default)]
    pub raw_data: bool,
    /// Batching, rate, retries and holds.
    #[serde(default)]
    pub delivery: delivery::Settings,
    /// Bytes after which a file is set aside under a name with the time. Nothing is ever deleted.
    /// Default 100,000,000; range 10,000 to 100,000,000,000.
    #[serde(default = "default_max_file_bytes")]
    pub max_file_bytes: u64,
    /// Whether files set aside are compressed by gzip. Default: true.
    #[serde(default = "default_gzip")]
    pub gzip: bool,
}

fn default_max_file_bytes() -> u64 {
    100_000_000
}

fn default_gzip() -> bool {
    true
}

impl Settings {
    /// Reports every value that cannot work.
    pub fn validate(&self, at: &str, problems: &mut Problems) {
        if self.directory.as_os_str().is_empty() {
            problems.push(format!("{at}.directory must not be empty"));
        }
        Accept::validate(&self.accept, at, problems);
        self.format
            .validate(self.raw_data, &self.accept, at, problems);
        self.delivery.validate(&format!("{at}.delivery"), problems);
        problems.range(
            &format!("{at}.max_file_bytes"),
            self.max_file_bytes,
            10_000..=100_000_000_000,
        );
    }
}

/// A folder of JSON lines.
#[derive(Debug)]
pub struct FileSink {
    directory: PathBuf,
    gzip: bool,
    ocsf: Option<ocsf::Encoder>,
    folder: Arc<Mutex<Folder>>,
}

impl FileSink {
    /// Opens nothing yet.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        let lines = |stem| Lines::new(&settings.directory, stem, settings.max_file_bytes);
        let folder = Folder {
            directory: settings.directory.clone(),
            lock: None,
            events: lines("events"),
            findings: lines("findings"),
        };
        Self {
            directory: settings.directory.clone(),
            gzip: settings.gzip,
            ocsf: settings.format.ocsf(settings.raw_data),
            folder: Arc::new(Mutex::new(folder)),
        }
    }
}

#[async_trait]
impl Sink for FileSink {
    fn limits(&self) -> Limits {
        Limits {
            max_entries: 10_000,
            max_bytes: 8 * 1024 * 1024,
            max_entry_bytes: 8 * 1024 * 1024,
            frame_bytes: 0,
            separator_bytes: 0,
        }
    }

    fn encode_event(&self, event: &EventView<'_>, out: &mut Vec<u8>) -> Result<(), Unencodable> {
        let start = out.len();
        match &self.ocsf {
            Some(ocsf) => ocsf.event(event, out)?,
            None => event.write(b"", out),
        }
        one_line(&mut out[start..]);
        out.push(b'\n');
        Ok(())
    }

    fn encode_finding(&self, finding: &Finding, out: &mut Vec<u8>) -> Result<(), Unencodable> {
        match &self.ocsf {
            Some(ocsf) => ocsf.finding(finding, out),
            None => serde_json::to_writer(&mut *out, &Document::from(finding))
                .map_err(|_| Unencodable("the finding cannot be written as JSON".to_owned()))?,
        }
        out.push(b'\n');
        Ok(())
    }

    async fn send(&self, batch: &Batch) -> Result<Vec<Refused>, SendError> {
        let (mut events, mut findings) = (Vec::new(), Vec::new());
        for part in &batch.parts {
            let lines = match part.parcel.origin {
                Origin::Object(_) => &mut events,
                Origin::Finding(_) => &mut findings,
            };
            part.entries
                .clone()
                .for_each(|position| lines.extend_from_slice(part.parcel.entry(position)));
        }
        let (folder, gzip) = (Arc::clone(&self.folder), self.gzip);
        let written = tokio::task::spawn_blocking(move || {
            let aside = folder
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .append(&events, &findings)?;
            if gzip {
                for path in &aside {
                    compress_or_warn(path);
                }
            }
            Ok(())
        });
        match written.await {
            Ok(Ok(())) => Ok(Vec::new()),
            Ok(Err(error)) => Err(decision(error, &self.directory)),
            Err(gone) => Err(SendError::Unavailable(gone.into())),
        }
    }

    async fn check(&self) -> anyhow::Result<String> {
        let directory = self.directory.clone();
        tokio::task::spawn_blocking(move || {
            make_folder(&directory)?;
            let probe = directory.join(".check");
            open(&probe)?.sync_all()?;
            std::fs::remove_file(&probe)?;
            io::Result::Ok(())
        })
        .await?
        .with_context(|| format!("failed to write to {}", self.directory.display()))?;
        Ok(format!("{} can be written", self.directory.display()))
    }
}

/// A line feed between the tokens of a JSON text is white space, and one inside of a string cannot be:
/// a space in its place changes no value.
pub(crate) fn one_line(json: &mut [u8]) {
    let mut rest = json;
    while let Some(found) = memchr::memchr2(b'\n', b'\r', rest) {
        rest[found] = b' ';
        rest = &mut rest[found + 1..];
    }
}

/// A full disk is emptied by somebody; a folder that is not ours stays so until the configuration or
/// the folder is changed.
fn decision(error: io::Error, directory: &Path) -> SendError {
    let misconfigured = matches!(
        error.kind(),
        ErrorKind::PermissionDenied
            | ErrorKind::NotFound
            | ErrorKind::NotADirectory
            | ErrorKind::ReadOnlyFilesystem
            | ErrorKind::ResourceBusy
    );
    let error =
        anyhow::Error::new(error).context(format!("failed to write to {}", directory.display()));
    if misconfigured {
        SendError::Misconfigured(error)
    } else {
        SendError::Unavailable(error)
    }
}

/// The two files, and the lock that keeps another process from them.
#[derive(Debug)]
struct Folder {
    directory: PathBuf,
    lock: Option<File>,
    events: Lines,
    findings: Lines,
}

impl Folder {
    /// Writes both, durably. Returns the files that are now complete and may be compressed.
    fn append(&mut self, events: &[u8], findings: &[u8]) -> io::Result<Vec<PathBuf>> {
        let mut aside = Vec::new();
        if self.lock.is_none() {
            make_folder(&self.directory)?;
            self.lock = Some(lock(&self.directory)?);
            aside = left_behind(&self.directory)?;
        }
        aside.extend(self.events.append(events)?);
        aside.extend(self.findings.append(findings)?);
        Ok(aside)
    }
}

fn make_folder(directory: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.create(true).read(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn lock(directory: &Path) -> io::Result<File> {
    let file = open(&directory.join(".lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(io::Error::new(
            ErrorKind::ResourceBusy,
            "another process writes to this folder",
        )),
        Err(std::fs::TryLockError::Error(error)) => Err(error),
    }
}

/// Files that were set aside, but not compressed before the process ended.
fn left_behind(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        let ours = name.starts_with("events-") || name.starts_with("findings-");
        if ours && name.ends_with(".ndjson") {
            found.push(path);
        }
    }
    Ok(found)
}

/// One file that grows by whole lines.
#[derive(Debug)]
struct Lines {
    directory: PathBuf,
    stem: &'static str,
    max_bytes: u64,
    current: Option<Current>,
}

#[derive(Debug)]
struct Current {
    file: File,
    /// Bytes that are known to be on disk.
    length: u64,
}

impl Lines {
    fn new(directory: &Path, stem: &'static str, max_bytes: u64) -> Self {
        Self {
            directory: directory.to_owned(),
            stem,
            max_bytes,
            current: None,
        }
    }

    /// Writes lines and waits for the disk. Returns the file that was set aside for them, if one was.
    fn append(&mut self, lines: &[u8]) -> io::Result<Option<PathBuf>> {
        if lines.is_empty() {
            return Ok(None);
        }
        let mut current = self.take()?;
        let mut aside = None;
        if current.length > 0 && current.length + lines.len() as u64 > self.max_bytes {
            drop(current);
            aside = Some(self.set_aside()?);
            current = self.take()?;
        }
        let written = current
            .file
            .write_all(lines)
            .and_then(|()| current.file.sync_data());
        match written {
            Ok(()) => {
                current.length += lines.len() as u64;
                self.current = Some(current);
                Ok(aside)
            }
            Err(error) => {
                // What was written of the batch goes, for all of it comes again. Where even that fails,
                // the file is opened anew next time, and cut at its last whole line.
                if current.file.set_len(current.length).is_ok() {
                    self.current = Some(current);
                }
                Err(error)
            }
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.join(format!("{}.ndjson", self.stem))
    }

    fn take(&mut self) -> io::Result<Current> {
        if let Some(current) = self.current.take() {
            return Ok(current);
        }
        let mut file = open(&self.path())?;
        let length = cut_torn_line(&mut file)?;
        sync_folder(&self.directory)?;
        Ok(Current { file, length })
    }

    /// Renames the file to one with the time in its name.
    fn set_aside(&self) -> io::Result<PathBuf> {
        let time: String = format_ms(now_ms())
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .collect();
        let name = |number: u32| {
            self.directory
                .join(format!("{}-{time}-{number:04}.ndjson", self.stem))
        };
        let free = |path: &PathBuf| !path.exists() && !gz(path).exists();
        let path = (0..10_000)
            .map(name)
            .find(free)
            .ok_or_else(|| io::Error::other("no name is left for the file to be set aside"))?;
        std::fs::rename(self.path(), &path)?;
        sync_folder(&self.directory)?;
        Ok(path)
    }
}

/// Cuts off what follows the last line feed: a line that a crash left unfinished, and whose batch was
/// never accepted. Returns the length that is left.
fn cut_torn_line(file: &mut File) -> io::Result<u64> {
    const STEP: u64 = 64 * 1024;
    let length = file.metadata()?.len();
    let mut end = length;
    let mut whole = 0;
    while end > 0 {
        let start = end.saturating_sub(STEP);
        file.seek(SeekFrom::Start(start))?;
        let mut tail = Vec::new();
        file.take(end - start).read_to_end(&mut tail)?;
        if let Some(found) = memchr::memrchr(b'\n', &tail) {
            whole = start + found as u64 + 1;
            break;
        }
        end = start;
    }
    if whole < length {
        file.set_len(whole)?;
        file.sync_data()?;
    }
    Ok(whole)
}

/// A new name is on disk only when its folder is.
fn sync_folder(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

fn gz(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".gz");
    PathBuf::from(name)
}

/// The lines are on disk either way, so a failure here is nothing to stop for.
fn compress_or_warn(path: &Path) {
    if let Err(error) = compress(path) {
        tracing::warn!(path = %path.display(), %error, "failed to compress a file that was set aside");
    }
}

/// The compressed file takes the place of the plain one only when it is whole and on disk.
fn compress(path: &Path) -> io::Result<()> {
    let (done, part) = (gz(path), path.with_extension("part"));
    let mut from = File::open(path)?;
    if part.exists() {
        std::fs::remove_file(&part)?;
    }
    let mut to = flate2::write::GzEncoder::new(open(&part)?, flate2::Compression::default());
    io::copy(&mut from, &mut to)?;
    to.finish()?.sync_all()?;
    std::fs::rename(&part, &done)?;
    std::fs::remove_file(path)?;
    sync_folder(path.parent().unwrap_or(Path::new(".")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::{
        ack,
        event::{Object, ObjectKind, ObjectRef},
        sink::{Entry, Parcel, Part},
    };

    fn sink(directory: &Path, max_file_bytes: u64, gzip: bool) -> FileSink {
        FileSink::new(&Settings {
            directory: directory.to_owned(),
            accept: Accept::events_and_findings(),
            delivery: delivery::Settings::default(),
            format: Format::Original,
            raw_data: false,
            max_file_bytes,
            gzip,
        })
    }

    fn part(origin: Origin, lines: &[&str]) -> Part {
        let (mut data, mut entries) = (String::new(), Vec::new());
        for (index, line) in lines.iter().enumerate() {
            let start = u32::try_from(data.len()).unwrap();
            data.push_str(line);
            data.push('\n');
            entries.push(Entry {
                start,
                end: u32::try_from(data.len()).unwrap(),
                index: u32::try_from(index).unwrap(),
            });
        }
        let count = entries.len();
        let parcel = Parcel {
            origin,
            data: data.into(),
            entries,
            budget: None,
        };
        Part {
            parcel: Arc::new(parcel),
            entries: 0..count,
            ack: ack::channel().0,
        }
    }

    fn events(lines: &[&str]) -> Batch {
        let reference = ObjectRef {
            bucket: "b".into(),
            key: "k".into(),
            version: None,
        };
        let object = Object::new(reference, "e".into(), ObjectKind::Log);
        Batch {
            parts: vec![part(Origin::Object(Arc::new(object)), lines)],
        }
    }

    fn text(directory: &Path, name: &str) -> String {
        std::fs::read_to_string(directory.join(name)).unwrap()
    }

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| !name.starts_with('.'))
            .collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn events_and_findings_go_to_files_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("deep/er");
        let sink = sink(&directory, 10_000, true);
        let mut batch = events(&["{\"a\":1}", "{\"a\":2}"]);
        batch
            .parts
            .push(part(Origin::Finding("f".into()), &["{\"id\":\"f\"}"]));
        assert!(sink.send(&batch).await.unwrap().is_empty());
        assert!(sink.send(&events(&["{\"a\":3}"])).await.unwrap().is_empty());
        assert_eq!(
            text(&directory, "events.ndjson"),
            "{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n"
        );
        assert_eq!(text(&directory, "findings.ndjson"), "{\"id\":\"f\"}\n");
    }

    #[tokio::test]
    async fn a_full_file_is_set_aside_and_compressed() {
        let folder = tempfile::tempdir().unwrap();
        let sink = sink(folder.path(), 20, true);
        for line in ["{\"a\":1111111}", "{\"a\":2222222}", "{\"a\":3333333}"] {
            sink.send(&events(&[line])).await.unwrap();
        }
        assert_eq!(text(folder.path(), "events.ndjson"), "{\"a\":3333333}\n");
        let aside: Vec<String> = names(folder.path())
            .into_iter()
            .filter(|name| name.ends_with(".ndjson.gz"))
            .collect();
        assert_eq!(aside.len(), 2, "{:?}", names(folder.path()));
        let mut all = String::new();
        for name in &aside {
            let file = File::open(folder.path().join(name)).unwrap();
            flate2::read::GzDecoder::new(file)
                .read_to_string(&mut all)
                .unwrap();
        }
        assert_eq!(all, "{\"a\":1111111}\n{\"a\":2222222}\n");
    }

    #[tokio::test]
    async fn a_torn_line_is_cut_off_at_the_start() {
        for (before, after) in [
            ("{\"a\":1}\n{\"a\":", "{\"a\":1}\n"),
            ("{\"torn", ""),
            ("{\"a\":1}\n", "{\"a\":1}\n"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("events.ndjson"), before).unwrap();
            sink(folder.path(), 10_000, false)
                .send(&events(&["{}"]))
                .await
                .unwrap();
            assert_eq!(
                text(folder.path(), "events.ndjson"),
                format!("{after}{{}}\n")
            );
        }
    }

    #[tokio::test]
    async fn a_torn_line_longer_than_one_step_is_cut_off_whole() {
        let folder = tempfile::tempdir().unwrap();
        let torn = format!("{{}}\n{}", "x".repeat(200_000));
        std::fs::write(folder.path().join("events.ndjson"), torn).unwrap();
        sink(folder.path(), 1_000_000, false)
            .send(&events(&["{}"]))
            .await
            .unwrap();
        assert_eq!(text(folder.path(), "events.ndjson"), "{}\n{}\n");
    }

    #[tokio::test]
    async fn what_was_left_uncompressed_is_compressed_at_the_start() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(
            folder.path().join("events-20260101T000000000Z-0000.ndjson"),
            "{}\n",
        )
        .unwrap();
        std::fs::write(
            folder.path().join("events-20260101T000000000Z-0000.part"),
            "half",
        )
        .unwrap();
        sink(folder.path(), 10_000, true)
            .send(&events(&["{}"]))
            .await
            .unwrap();
        assert_eq!(
            names(folder.path()),
            ["events-20260101T000000000Z-0000.ndjson.gz", "events.ndjson"]
        );
    }

    #[tokio::test]
    async fn a_second_process_is_kept_out() {
        let folder = tempfile::tempdir().unwrap();
        let first = sink(folder.path(), 10_000, false);
        first.send(&events(&["{}"])).await.unwrap();
        let second = sink(folder.path(), 10_000, false)
            .send(&events(&["{}"]))
            .await;
        assert!(
            matches!(second, Err(SendError::Misconfigured(_))),
            "{second:?}"
        );
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_is_a_fault_of_the_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let sent = sink(&file.join("below"), 10_000, false)
            .send(&events(&["{}"]))
            .await;
        assert!(matches!(sent, Err(SendError::Misconfigured(_))), "{sent:?}");
        assert!(
            sink(&file.join("below"), 10_000, false)
                .check()
                .await
                .is_err()
        );
        assert!(sink(folder.path(), 10_000, false).check().await.is_ok());
    }

    #[test]
    fn a_full_disk_is_waited_for() {
        let full = decision(io::Error::from(ErrorKind::StorageFull), Path::new("/d"));
        assert!(matches!(full, SendError::Unavailable(_)));
    }

    #[test]
    fn line_feeds_between_tokens_become_spaces() {
        let mut json = b"{\r\n\"a\": \"\\n\"\n}".to_vec();
        one_line(&mut json);
        assert_eq!(json, b"{  \"a\": \"\\n\" }");
    }
}
