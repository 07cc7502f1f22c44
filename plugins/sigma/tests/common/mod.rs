//! What tests of the library share: events as columns, and the corpus.

use std::{env, fs, path::PathBuf};

use serde_json::Value;
use sigma::{Cell, Event, Options, Pack, Room, Source};

/// One event, cut into the columns of a pack as a host would.
pub(crate) struct Columns(Vec<Held>);

enum Held {
    Absent,
    Null,
    Text(String),
    Scalar(String),
    Json(String),
}

impl Columns {
    pub(crate) fn of(event: &Value, pack: &Pack) -> Self {
        let columns = pack.fields().columns().iter();
        Self(columns.map(|pointer| held(at(event, pointer))).collect())
    }
}

impl Event for Columns {
    fn cell(&self, column: usize) -> Cell<'_> {
        match &self.0[column] {
            Held::Absent => Cell::Absent,
            Held::Null => Cell::Null,
            Held::Text(text) => Cell::Text(text.as_bytes()),
            Held::Scalar(text) => Cell::Scalar(text),
            Held::Json(text) => Cell::Json(text),
        }
    }
}

fn at<'a>(event: &'a Value, pointer: &str) -> Option<&'a Value> {
    let steps = pointer.split('/').skip(1);
    steps
        .map(|step| step.replace("~1", "/").replace("~0", "~"))
        .try_fold(event, |value, step| match value {
            Value::Object(map) => map.get(&step),
            Value::Array(list) => step
                .parse::<usize>()
                .ok()
                .filter(|at| at.to_string() == step)
                .and_then(|at| list.get(at)),
            _ => None,
        })
}

fn held(value: Option<&Value>) -> Held {
    match value {
        None => Held::Absent,
        Some(Value::Null) => Held::Null,
        Some(Value::String(text)) => Held::Text(text.clone()),
        Some(other @ (Value::Object(_) | Value::Array(_))) => Held::Json(other.to_string()),
        Some(other) => Held::Scalar(other.to_string()),
    }
}

/// A pack of files, all of which are called `rule-<number>.yml`.
pub(crate) fn pack(texts: &[&str], options: &Options) -> Pack {
    let paths: Vec<String> = (0..texts.len())
        .map(|number| format!("rule-{number}.yml"))
        .collect();
    let sources = paths
        .iter()
        .zip(texts)
        .map(|(path, text)| Source { path, text });
    Pack::compile(sources, options).expect("a pack of reasonable size")
}

/// The identifiers of the rules that an event matches, by the detections alone.
pub(crate) fn matched(pack: &Pack, event: &Value) -> Vec<String> {
    let mut ids = Vec::new();
    pack.matches(&Columns::of(event, pack), &mut Room::default(), |number| {
        let rule = pack.detections()[number as usize].rule;
        ids.push(pack.rules()[rule].id.clone());
    });
    ids
}

/// The folder of `SLUICEGATE_CORPUS` (default: `../shared/data` beside the repository), if it is there.
#[allow(dead_code, reason = "not every test reads the corpus")]
pub(crate) fn corpus() -> Option<PathBuf> {
    let default = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data"));
    let root = env::var_os("SLUICEGATE_CORPUS").map_or(default, PathBuf::from);
    let there = root.join("sigma-cloudtrail/rules").is_dir();
    if !there {
        eprintln!(
            "skipped: no {}; SLUICEGATE_CORPUS names another folder",
            root.display()
        );
    }
    there.then_some(root)
}

/// Path and text of every file of some folders of rules.
#[allow(dead_code, reason = "not every test reads the corpus")]
pub(crate) fn rules(root: &std::path::Path, folders: &[&str]) -> Vec<(String, String)> {
    let mut files = Vec::new();
    for folder in folders {
        for entry in
            fs::read_dir(root.join("sigma-cloudtrail").join(folder)).expect("a folder of rules")
        {
            let path = entry.expect("an entry").path();
            let text = fs::read_to_string(&path).expect("a rule");
            files.push((
                path.file_name()
                    .expect("a name")
                    .to_string_lossy()
                    .into_owned(),
                text,
            ));
        }
    }
    files.sort();
    files
}
