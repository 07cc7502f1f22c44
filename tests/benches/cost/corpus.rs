//! The objects that are measured, in memory.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use sluicegate::{
    event::{Object, ObjectKind, ObjectRef},
    generate::{Plan, write_tree},
};

/// Events of an object, as far as we choose it.
const EVENTS: usize = 1600;

/// Some objects of one origin.
pub(crate) struct Corpus {
    pub(crate) name: &'static str,
    pub(crate) objects: Vec<Stored>,
    pub(crate) events: usize,
}

/// One object as it lies in a bucket.
pub(crate) struct Stored {
    pub(crate) object: Arc<Object>,
    pub(crate) bytes: Bytes,
    pub(crate) inflated: usize,
}

impl Corpus {
    /// Bytes of all objects, inflated.
    pub(crate) fn inflated(&self) -> usize {
        self.objects.iter().map(|object| object.inflated).sum()
    }

    /// Bytes of all objects, as stored.
    pub(crate) fn stored(&self) -> usize {
        self.objects.iter().map(|object| object.bytes.len()).sum()
    }
}

/// About 30,000 events with attacks and secrets among them; the same at every run.
pub(crate) fn generated() -> Corpus {
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan {
        objects: 19,
        events_per_object: EVENTS,
        companions: false,
        ..Plan::default()
    };
    let truth = write_tree(folder.path(), &plan).unwrap();
    let objects = truth.objects.iter().map(|made| {
        let bytes = fs::read(folder.path().join(&made.key)).unwrap();
        stored(&made.key, bytes, made.inflated_bytes.try_into().unwrap())
    });
    Corpus {
        name: "generated",
        objects: objects.collect(),
        events: truth.events().try_into().unwrap(),
    }
}

/// The real events of `SLUICEGATE_CORPUS` (default `../shared/data`), a folder of folders with
/// `events.ndjson`, where it is there.
pub(crate) fn real() -> Option<Corpus> {
    let root = std::env::var_os("SLUICEGATE_CORPUS")
        .map_or_else(|| workspace().join("../shared/data"), PathBuf::from);
    let mut files: Vec<_> = fs::read_dir(root)
        .ok()?
        .flatten()
        .map(|folder| folder.path().join("events.ndjson"))
        .filter(|file| file.exists())
        .collect();
    files.sort();
    let text: String = files
        .iter()
        .map(|file| fs::read_to_string(file).unwrap())
        .collect();
    let events: Vec<_> = text.lines().collect();
    let pack = |(number, events): (usize, &[&str])| {
        let text = format!("{{\"Records\":[{}]}}", events.join(","));
        let mut gzip = GzEncoder::new(Vec::new(), Compression::new(6));
        gzip.write_all(text.as_bytes()).unwrap();
        let bytes = gzip.finish().unwrap();
        stored(&format!("real/{number}.json.gz"), bytes, text.len())
    };
    let size = events
        .len()
        .div_ceil(events.len().div_ceil(EVENTS).max(1))
        .max(1);
    (!events.is_empty()).then(|| Corpus {
        name: "real",
        objects: events.chunks(size).enumerate().map(pack).collect(),
        events: events.len(),
    })
}

fn stored(key: &str, bytes: Vec<u8>, inflated: usize) -> Stored {
    let reference = ObjectRef {
        bucket: "leanda-ng-cloudtrail-test-123456789012".into(),
        key: key.to_owned(),
        version: None,
    };
    Stored {
        object: Arc::new(Object::new(reference, "1".into(), ObjectKind::Log)),
        bytes: bytes.into(),
        inflated,
    }
}

/// The root of the workspace.
pub(crate) fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}
