//! `sluicegate plugin bench`: what a plugin costs.

use std::{path::PathBuf, time::Duration};

use anyhow::Context as _;
use clap::Args;
use serde_json::{Map, Value};

use super::wrong;
use crate::{
    authoring::{
        bench::{Measured, STARTS, measure},
        events, read_component,
    },
    cli::{
        Failure,
        output::{Output, thousands},
    },
};

/// Arguments of `plugin bench`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The component to measure
    #[arg(long, value_name = "FILE")]
    component: PathBuf,
    /// Events to measure it on, a file or a folder: .json, .json.gz, .ndjson, .jsonl [default:
    /// generated ones]
    #[arg(long, value_name = "PATH")]
    events: Option<PathBuf>,
    /// The plugin's configuration, as a JSON object
    #[arg(long, value_name = "JSON", default_value = "{}")]
    configuration: String,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let configuration: Map<String, Value> = serde_json::from_str(&arguments.configuration)
        .context("failed to read --configuration as a JSON object")
        .map_err(|error| wrong(&error))?;
    let wasm = read_component(&arguments.component).map_err(|error| wrong(&error))?;
    let batches = match &arguments.events {
        Some(path) => events::from_path(path).map_err(|error| wrong(&error))?,
        None => events::generated()?,
    };
    let measured = measure(&wasm, &configuration, &batches)
        .with_context(|| format!("failed to measure {}", arguments.component.display()))?;
    let mut output = Output::default();
    lines(&measured, wasm.len() as u64)
        .iter()
        .try_for_each(|line| output.line(line))?;
    Ok(())
}

fn lines(measured: &Measured, size: u64) -> Vec<String> {
    let plugin = &measured.component;
    let (events, matched) = (measured.events, measured.round.rows);
    let mut lines = vec![
        format!(
            "plugin  {} {} ({}), {} bytes",
            plugin.name(),
            plugin.version(),
            plugin.kind().as_str(),
            thousands(size)
        ),
        format!(
            "events  {}, of which {} reach it",
            thousands(events),
            thousands(matched)
        ),
        format!(
            "memory  {} bytes an instance",
            thousands(measured.memory_bytes as u64)
        ),
        format!("load    {} ms to compile and start", millis(measured.load)),
        format!(
            "start   {} ms for another instance, median of {STARTS}",
            millis(measured.start)
        ),
    ];
    lines.extend(cost(measured));
    lines
}

/// What events cost, if any reached the plugin.
fn cost(measured: &Measured) -> Vec<String> {
    let (events, matched) = (measured.events, measured.round.rows);
    let Some(fuel) = measured.fuel_per_event else {
        return vec![
            "time    not measured: name events that reach the plugin with --events".into(),
        ];
    };
    vec![
        format!(
            "time    {} ns an event, {} ns one that reaches it; median of {} rounds",
            each(measured.round.time, events),
            each(measured.round.time, matched),
            measured.rounds
        ),
        format!("fuel    {} an event that reaches it", thousands(fuel)),
    ]
}

/// Nanoseconds for each of so many.
fn each(time: Duration, count: u64) -> String {
    let nanos = time.as_nanos() / u128::from(count.max(1));
    thousands(nanos.try_into().unwrap_or(u64::MAX))
}

fn millis(time: Duration) -> String {
    format!("{:.2}", time.as_secs_f64() * 1e3)
}
