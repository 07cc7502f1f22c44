//! Events to try a plugin on: from memory, from files, or generated.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, anyhow, bail, ensure};
use serde_json::value::RawValue;

use super::read;
use crate::{
    event::{EventBatch, Object, ObjectKind, ObjectRef, Span},
    generate,
    json::{self, Check},
    source::records::{BATCH_BYTES, BATCH_EVENTS, Decoder, Limits, Step},
};

/// Bytes of one file, and of all events together.
pub(crate) const MAX_BYTES: usize = 256 << 20;

/// Files below one folder.
const MAX_FILES: usize = 10_000;

/// Folders in folders.
const MAX_FOLDERS: usize = 16;

/// What is generated where no events are named, in bytes: some 3,000 events.
const GENERATED_BYTES: u64 = 4 << 20;

/// Names of files that hold events.
const ENDINGS: [&str; 4] = [".json", ".json.gz", ".ndjson", ".jsonl"];

/// Events collected into batches as the host would make them.
pub(crate) struct Batches {
    object: Arc<Object>,
    whole: Vec<EventBatch>,
    data: Vec<u8>,
    spans: Vec<Span>,
    bytes: usize,
    count: usize,
}

impl Batches {
    /// None yet. `name` stands in references to the events.
    pub(crate) fn new(name: &str) -> Self {
        Self {
            object: object(name),
            whole: Vec::new(),
            data: Vec::new(),
            spans: Vec::new(),
            bytes: 0,
            count: 0,
        }
    }

    /// Adds one event: the text of a JSON object.
    ///
    /// # Errors
    /// When the host would set it aside; the text says why, not what it holds.
    pub(crate) fn add(&mut self, event: &str) -> anyhow::Result<()> {
        let limits = Limits::default();
        ensure!(event.starts_with('{'), "is not a JSON object");
        ensure!(
            event.len() <= limits.max_event_bytes,
            "has {} bytes, at most {} are taken",
            event.len(),
            limits.max_event_bytes
        );
        match json::check(event.as_bytes(), limits.max_depth) {
            Check::Valid(end) if end == event.len() => {}
            Check::TooDeep => bail!("is nested deeper than {}", limits.max_depth),
            Check::Valid(at) | Check::Invalid(at) => bail!("is not JSON at byte {at}"),
            Check::Incomplete => bail!("ends in the middle"),
        }
        self.bytes += event.len();
        ensure!(
            self.bytes <= MAX_BYTES,
            "is one too many: more than {MAX_BYTES} bytes of events"
        );
        if self.spans.len() == BATCH_EVENTS || self.data.len() + event.len() > BATCH_BYTES {
            self.cut();
        }
        let position =
            |at: usize| u32::try_from(at).expect("all events are far smaller than 4 GiB");
        let start = position(self.data.len());
        self.data.extend_from_slice(event.as_bytes());
        self.spans.push(Span {
            start,
            end: position(self.data.len()),
            index: position(self.count),
        });
        self.count += 1;
        Ok(())
    }

    fn cut(&mut self) {
        if !self.spans.is_empty() {
            self.whole.push(EventBatch::new(
                Arc::clone(&self.object),
                std::mem::take(&mut self.data),
                std::mem::take(&mut self.spans),
            ));
        }
    }

    /// All batches, in the order of their events.
    pub(crate) fn finish(mut self) -> Vec<EventBatch> {
        self.cut();
        self.whole
    }
}

/// A batch with the same events.
pub(crate) fn copy(batch: &EventBatch) -> EventBatch {
    EventBatch::outlined(
        Arc::clone(&batch.object),
        batch.data.clone(),
        batch.events.clone(),
        batch.outline().clone(),
    )
}

/// Events as CloudTrail writes them, the same every time.
///
/// # Errors
/// When they cannot be generated.
pub(crate) fn generated() -> anyhow::Result<Vec<EventBatch>> {
    let mut stored = Vec::new();
    generate::write_object(1, GENERATED_BYTES, 1, &mut stored)
        .context("failed to generate events")?;
    let mut batches = Batches::new("generated.json.gz");
    inflate(stored, &mut batches, &mut Err).context("failed to read generated events")?;
    Ok(batches.finish())
}

/// Reads the events of a file, or of all files of a folder and the folders in it: objects of CloudTrail
/// (`.json.gz`), the same inflated, one event, or one event a line.
///
/// # Errors
/// Which file, which event, and what is wrong with it; also when there are none, or too many.
pub(crate) fn from_path(path: &Path) -> anyhow::Result<Vec<EventBatch>> {
    let mut batches = Batches::new(&path.display().to_string());
    let files = if path.is_dir() {
        let mut files = Vec::new();
        list(path, 0, &mut files)?;
        files.sort();
        files
    } else {
        vec![path.to_owned()]
    };
    for file in &files {
        let bytes = read(file, MAX_BYTES)?;
        let added = add_all(bytes, &mut batches, &mut Err);
        added.with_context(|| format!("failed to read events from {}", file.display()))?;
    }
    let batches = batches.finish();
    ensure!(
        !batches.is_empty(),
        "found no events in {}: name a file, or a folder with files that end in {}",
        path.display(),
        ENDINGS.join(", ")
    );
    Ok(batches)
}

/// Reads the events of a file's bytes, in any of the forms of [`from_path`]. `bad` is told what cannot be an
/// event, and where it stood.
///
/// # Errors
/// When the bytes as a whole cannot be read.
pub(crate) fn from_bytes(
    name: &str,
    bytes: Vec<u8>,
    bad: &mut dyn FnMut(anyhow::Error),
) -> anyhow::Result<Vec<EventBatch>> {
    let mut batches = Batches::new(name);
    let mut bad = |error| {
        bad(error);
        Ok(())
    };
    add_all(bytes, &mut batches, &mut bad)?;
    Ok(batches.finish())
}

/// Is told of an event at fault; its error ends the reading.
type Bad<'b> = &'b mut dyn FnMut(anyhow::Error) -> anyhow::Result<()>;

fn add_all(bytes: Vec<u8>, batches: &mut Batches, bad: Bad<'_>) -> anyhow::Result<()> {
    if bytes.starts_with(&[0x1f, 0x8b]) {
        inflate(bytes, batches, bad)
    } else {
        parse(&bytes, batches, bad)
    }
}

fn list(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let context = || format!("failed to list {}", folder.display());
    ensure!(
        depth < MAX_FOLDERS,
        "failed to list {}: more than {MAX_FOLDERS} folders in each other",
        folder.display()
    );
    for entry in folder.read_dir().with_context(context)? {
        let entry = entry.with_context(context)?;
        let kind = entry.file_type().with_context(context)?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if kind.is_dir() {
            list(&entry.path(), depth + 1, files)?;
        } else if kind.is_file() && ENDINGS.iter().any(|ending| name.ends_with(ending)) {
            ensure!(
                files.len() < MAX_FILES,
                "found more than {MAX_FILES} files in {}",
                folder.display()
            );
            files.push(entry.path());
        }
    }
    Ok(())
}

/// Takes an object apart as the host does.
fn inflate(stored: Vec<u8>, batches: &mut Batches, bad: Bad<'_>) -> anyhow::Result<()> {
    let limits = Limits {
        max_object_bytes: MAX_BYTES as u64,
        ..Limits::default()
    };
    let mut decoder = Decoder::new(Arc::clone(&batches.object), limits);
    let mut stored = Some(stored);
    loop {
        match decoder.step() {
            Step::Batch(batch) => {
                for span in &batch.events {
                    let event = std::str::from_utf8(&batch.data[span.range()])
                        .expect("the decoder checked it");
                    numbered(span.index as usize, batches.add(event), bad)?;
                }
            }
            Step::Bad(found) => bad(anyhow!("event {}: {}", found.index, found.error))?,
            Step::Hungry => match stored.take() {
                Some(bytes) => decoder.feed(bytes.into()),
                None => decoder.finish(),
            },
            Step::End(_) => return Ok(()),
            Step::Fault(fault) => bail!("{}", fault.error),
        }
    }
}

/// `{"Records": […]}`, one event that may have many lines, or one event a line.
fn parse(bytes: &[u8], batches: &mut Batches, bad: Bad<'_>) -> anyhow::Result<()> {
    #[derive(serde::Deserialize)]
    struct File<'a> {
        #[serde(borrow, rename = "Records")]
        records: Vec<&'a RawValue>,
    }
    let text = std::str::from_utf8(bytes).context("the text is not UTF-8")?;
    if let Ok(file) = serde_json::from_str::<File<'_>>(text) {
        for (index, event) in file.records.iter().enumerate() {
            numbered(index, batches.add(event.get()), bad)?;
        }
        return Ok(());
    }
    if let Ok(event) = serde_json::from_str::<&RawValue>(text) {
        let added = batches.add(event.get());
        return added.or_else(|error| bad(anyhow!("the event {error:#}")));
    }
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if !line.is_empty() {
            let added = batches.add(line);
            added.or_else(|error| bad(anyhow!("line {}: {error:#}", index + 1)))?;
        }
    }
    Ok(())
}

fn numbered(index: usize, added: anyhow::Result<()>, bad: Bad<'_>) -> anyhow::Result<()> {
    added.or_else(|error| bad(anyhow!("event {index}: {error:#}")))
}

fn object(name: &str) -> Arc<Object> {
    let reference = ObjectRef {
        bucket: "local".to_owned(),
        key: name.to_owned(),
        version: None,
    };
    Arc::new(Object::new(reference, "1".to_owned(), ObjectKind::Log))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::fs;

    use super::*;

    fn read_as(name: &str, content: &[u8]) -> Result<Vec<String>, String> {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("2026");
        fs::create_dir(&inner).unwrap();
        fs::write(inner.join(name), content).unwrap();
        let shown = |batch: &EventBatch| -> Vec<String> {
            let text = |span: &Span| String::from_utf8(batch.data[span.range()].to_vec()).unwrap();
            batch.events.iter().map(text).collect()
        };
        match from_path(folder.path()) {
            Ok(batches) => Ok(batches.iter().flat_map(shown).collect()),
            Err(error) => Err(format!("{error:#}")),
        }
    }

    #[test]
    fn every_form_of_a_file_is_read() {
        let wanted = [r#"{"a":1}"#, r#"{"a":2,"a":3}"#].map(str::to_owned);
        let records = br#"{"Records":[{"a":1}, {"a":2,"a":3}]}"#;
        assert_eq!(read_as("x.json", records).unwrap(), wanted);
        assert_eq!(
            read_as("x.ndjson", b"{\"a\":1}\n\n  {\"a\":2,\"a\":3}\r\n").unwrap(),
            wanted
        );
        assert_eq!(
            read_as("x.json", b" {\n\"a\":1}\n").unwrap(),
            ["{\n\"a\":1}"]
        );
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut gzip, records).unwrap();
        assert_eq!(
            read_as("x.json.gz", &gzip.finish().unwrap()).unwrap(),
            wanted
        );
    }

    #[test]
    fn what_is_wrong_is_named_with_its_file_and_its_place() {
        let wrong = |name: &str, content: &[u8]| read_as(name, content).unwrap_err();
        assert!(
            wrong("x.jsonl", b"{}\n{\"secret\":}")
                .ends_with("x.jsonl: line 2: is not JSON at byte 10")
        );
        assert!(
            wrong("x.json", br#"{"Records":[{}, 5]}"#).ends_with("event 1: is not a JSON object")
        );
        assert!(wrong("x.json", b"{\"a\":1").ends_with("line 1: ends in the middle"));
        assert!(wrong("x.json", b"[{}]").ends_with("the event is not a JSON object"));
        assert!(wrong("x.json", b"\xff").contains("is not UTF-8"));
        assert!(wrong("x.json.gz", b"\x1f\x8bgarbage").contains("x.json.gz: "));
        assert!(wrong("x.txt", b"{}").starts_with("found no events in "));
    }

    #[test]
    fn batches_are_cut_as_the_host_cuts_them() {
        let mut batches = Batches::new("x");
        (0..=BATCH_EVENTS * 2).for_each(|_| batches.add("{}").unwrap());
        let sizes: Vec<usize> = batches
            .finish()
            .iter()
            .map(|batch| batch.events.len())
            .collect();
        assert_eq!(sizes, [BATCH_EVENTS, BATCH_EVENTS, 1]);
        assert!(
            generated()
                .unwrap()
                .iter()
                .map(|batch| batch.events.len())
                .sum::<usize>()
                > 1_000
        );
    }
}
