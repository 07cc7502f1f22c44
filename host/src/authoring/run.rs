//! Runs cases on a plugin, in the host's own chain.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use anyhow::{Context as _, anyhow, ensure};
use serde_json::{Map, Value};

use super::{
    cases::{Case, Expect},
    compare::{Said, differences},
    events::{self, Batches},
};
use crate::{
    effects::{Fate, Processed},
    event::EventBatch,
    finding::HOST,
    lookup::Tables,
    mask::Masker,
    plugin::{
        ChainWorker, Compiled, Component, Engine, Grants, Limits, LoadError, PluginChain, Services,
        Terms, inline_files,
    },
    text::shown,
};

/// The clock of every case: 2024-01-01T00:00:00Z in milliseconds, as in the SDK's test kit.
const NOW_MS: i64 = 1_704_067_200_000;

/// Time is not judged here, for it is another on every machine; it only ends what would never end.
pub(super) fn limits() -> Limits {
    Limits {
        deadline_ms: 5_000,
        start_ms: 10_000,
        ..Limits::default()
    }
}

/// A plugin that cases are run on.
pub(crate) struct Runner {
    engine: Engine,
    compiled: Compiled,
    name: String,
}

/// How a case ended.
#[derive(Debug)]
pub(crate) struct Verdict {
    /// What is not as it was expected, a line each; empty where the case passed.
    pub(crate) differences: Vec<String>,
    /// Nothing where no event reached the plugin.
    pub(crate) fuel_per_event: Option<u64>,
}

impl Runner {
    /// Compiles a component and asks it what it is.
    ///
    /// # Errors
    /// When this host cannot run it.
    pub(crate) fn new(wasm: &[u8]) -> anyhow::Result<Self> {
        let engine = Engine::measuring(true)?;
        let compiled = Compiled::new(&engine, wasm)?;
        let name = compiled.describe()?.name;
        Ok(Self {
            engine,
            compiled,
            name,
        })
    }

    /// What is wrong with a case, apart from what the plugin makes of it.
    ///
    /// `folder` is where its file lies.
    ///
    /// # Errors
    /// When its events cannot be read, or it expects something of an event that it does not have.
    pub(crate) fn events(case: &Case, folder: &Path) -> anyhow::Result<Vec<EventBatch>> {
        let context = || format!("case `{}`", case.name.value);
        let mut batches = Batches::new("case.json");
        for (index, event) in case.events.iter().enumerate() {
            let text = Value::Object(event.clone()).to_string();
            batches
                .add(&text)
                .map_err(|error| anyhow!("event {index} {error:#}"))
                .with_context(context)?;
        }
        let mut batches = batches.finish();
        if let Some(file) = &case.events_file {
            ensure!(
                case.events.is_empty(),
                "case `{}` has both events and events_file: use one",
                case.name.value
            );
            batches = events::from_path(&folder.join(file)).with_context(context)?;
        }
        let count: usize = batches.iter().map(|batch| batch.events.len()).sum();
        if let Some(beyond) = expected(&case.expect).find(|event| *event >= count) {
            return Err(anyhow!(
                "case `{}` expects something of event {beyond}, but has {count} events, counted from 0",
                case.name.value
            ));
        }
        Ok(batches)
    }

    /// Runs a case with its events on a fresh plugin.
    ///
    /// # Errors
    /// When a table of the case, or a file of its configuration, cannot be read.
    pub(crate) fn run(
        &self,
        case: &Case,
        folder: &Path,
        batches: Vec<EventBatch>,
    ) -> anyhow::Result<Verdict> {
        let terms = Terms {
            configuration: inline_files(&case.configuration, folder)
                .with_context(|| format!("case `{}`", shown(&case.name.value)))?,
            limits: limits(),
            grants: Grants {
                state: true,
                lookup: case.tables.keys().cloned().collect(),
                ..Grants::default()
            },
            script: None,
        };
        let tables = Tables::load(&case.tables)
            .with_context(|| format!("case `{}`", shown(&case.name.value)))?;
        let services = Services {
            windows: None,
            tables: Some(Arc::new(tables)),
        };
        let compiled = self.compiled.reaching(services.in_scratch()?);
        let loaded = compiled.load(&self.name, &terms);
        let component = match (loaded, &case.expect.error) {
            (Ok(component), None) => component,
            (loaded, wanted) => return Ok(start(loaded.err().as_ref(), wanted.as_deref())),
        };
        let before = self.engine.usage();
        let said = said(component, batches);
        let fuel_per_event = self.engine.usage().since(before).fuel_per_event();
        let mut differences = differences(&case.expect, &said);
        if let (Some(used), Some(most)) = (fuel_per_event, case.max_fuel_per_event)
            && used > most
        {
            differences.push(format!(
                "used {used} fuel an event, max_fuel_per_event is {most}"
            ));
        }
        Ok(Verdict {
            differences,
            fuel_per_event,
        })
    }
}

/// Every event that something is expected of.
fn expected(expect: &Expect) -> impl Iterator<Item = usize> {
    let findings = expect.findings.iter().map(|finding| finding.event);
    let additions = expect.additions.iter().map(|addition| addition.event);
    let masks = expect.masks.iter().map(|mask| mask.event);
    let failures = expect.failures.iter().map(|failure| failure.event);
    findings
        .chain(additions)
        .chain(masks)
        .chain(failures)
        .chain(expect.drops.iter().copied())
}

/// The verdict on a plugin that did not start, or should not have.
fn start(error: Option<&LoadError>, wanted: Option<&str>) -> Verdict {
    let difference = match (error.map(ToString::to_string), wanted) {
        (Some(error), Some(wanted)) if error.contains(wanted) => None,
        (Some(error), Some(wanted)) => Some(format!(
            "expected an error with `{wanted}` in it, got: {error}"
        )),
        (Some(error), None) => Some(format!("expected the plugin to start, got: {error}")),
        (None, Some(wanted)) => Some(format!(
            "expected an error with `{wanted}` in it, but the plugin started"
        )),
        (None, None) => None,
    };
    Verdict {
        differences: difference.into_iter().collect(),
        fuel_per_event: None,
    }
}

/// A chain of this plugin alone.
pub(super) fn worker(component: Component) -> ChainWorker {
    let chain = PluginChain::new(vec![component], &[&[]], Masker::default())
        .expect("the paths of a subscription were checked when it was loaded");
    ChainWorker::new(Arc::new(chain))
}

fn said(component: Component, batches: Vec<EventBatch>) -> Said {
    let name = component.name().to_owned();
    let mut worker = worker(component);
    let mut said = Said::default();
    let mut first = 0;
    for batch in batches {
        let processed = worker.process(batch, NOW_MS);
        add(&mut said, &processed, first, &name);
        first += processed.rows();
    }
    said
}

/// Adds what was said of a batch whose first event is this one.
fn add(said: &mut Said, processed: &Processed, first: usize, name: &str) {
    for row in 0..processed.rows() {
        match processed.fate(row) {
            Fate::Drop => said.drops.push(first + row),
            Fate::Withhold => {}
            Fate::Forward => {
                let mut member = member(processed, row);
                if let Some(added) = member.remove(name) {
                    said.additions.insert(first + row, added);
                }
                let masked = member.get("masked").and_then(Value::as_array);
                for mask in masked.into_iter().flatten() {
                    let text = |key: &str| mask[key].as_str().unwrap_or_default().to_owned();
                    said.masks
                        .push((first + row, text("path"), text("detector")));
                }
            }
        }
    }
    for (row, sighting) in &processed.sightings {
        // The host's own is about a failure, which is told below.
        if sighting.plugin != HOST {
            said.findings.push((first + row, sighting.clone()));
        }
    }
    for failure in &processed.failures {
        said.failures
            .push((first + failure.row, failure.error.clone()));
    }
}

/// What the host adds to an event, as a sink gets it.
fn member(processed: &Processed, row: usize) -> Map<String, Value> {
    let mut event = Vec::new();
    processed.view(row, 0).write(b"", &mut event);
    let mut event: BTreeMap<String, Value> =
        serde_json::from_slice(&event).expect("what leaves the host is an object");
    match event.remove("sluicegate") {
        Some(Value::Object(member)) => member,
        _ => Map::new(),
    }
}
