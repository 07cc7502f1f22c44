//! `sluicegate backtest`: what plugins would have found in old logs.

use std::{
    fs::File,
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use clap::Args;
use serde::Serialize;

use super::{
    Failure,
    output::{Output, thousands},
};
use crate::{
    assemble,
    backtest::{Backtest, Place, Progress, Report},
    config::{Config, Problems},
    mask::Masker,
    plugin::{Component, Engine, Loader, PluginChain, Services, Settings, Signers},
    source::records,
};

/// Arguments of `backtest`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Components to try, with their defaults; without any, the plugins of --config are tried
    #[arg(value_name = "COMPONENT")]
    components: Vec<PathBuf>,
    /// The configuration file whose plugins, buckets and limits are used
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A folder: every file below it that ends in .json.gz
    #[arg(long, value_name = "FOLDER", conflicts_with = "bucket")]
    folder: Option<PathBuf>,
    /// A bucket of the configuration's source
    #[arg(long, requires = "config", requires = "prefix")]
    bucket: Option<String>,
    /// What the keys in the bucket begin with, such as AWSLogs/123456789012/CloudTrail/eu-west-1/2026/11/
    #[arg(long, requires = "bucket")]
    prefix: Option<String>,
    /// Where hits.ndjson (a line a hit) and hours.ndjson (hits by rule and hour) are written
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

pub(super) async fn run(arguments: &Arguments) -> Result<(), Failure> {
    let config = match &arguments.config {
        Some(path) => Some(Config::load(path).map_err(Failure::Configuration)?),
        None => None,
    };
    let plugins = plugins(arguments, config.as_ref())?;
    let counts = plugins
        .iter()
        .flat_map(Component::calls)
        .any(|interface| interface == "state");
    let place = Arc::new(place(arguments, config.as_ref()).await?);
    let (masker, limits) = match &config {
        Some(config) => (config.redaction.masker()?, config.limits.objects),
        None => (Masker::default(), records::Limits::default()),
    };
    let chain = PluginChain::new(plugins, &[], masker).map_err(anyhow::Error::from)?;
    // What is counted hangs on the order of events.
    let parallel = if counts {
        1
    } else {
        std::thread::available_parallelism().map_or(1, usize::from)
    };
    let backtest = Arc::new(Backtest::new(chain, limits, parallel));

    let mut output = Output::default();
    let mut files = Files::create(arguments.out.as_deref())?;
    let began = Instant::now();
    let report = backtest
        .run(
            &place,
            |hit| write(&mut files.hits, hit),
            |progress| output.progress(&progress_line(progress, began.elapsed())),
        )
        .await?;
    for hour in report.hours() {
        write(&mut files.hours, &hour)?;
    }
    files.finish()?;
    table(&report)
        .iter()
        .try_for_each(|line| output.line(line))?;
    Ok(())
}

fn usage(problem: &str) -> Failure {
    let mut problems = Problems::default();
    problems.push(problem);
    Failure::Configuration(problems)
}

fn plugins(arguments: &Arguments, config: Option<&Config>) -> Result<Vec<Component>, Failure> {
    if arguments.components.is_empty() {
        let config =
            config.ok_or_else(|| usage("name components, or a configuration with --config"))?;
        let loader = assemble::trial_loader(config)?;
        let plugins: Vec<Component> = config
            .plugins
            .iter()
            .map(|(name, settings)| loader.load(name, settings))
            .collect::<anyhow::Result<_>>()?;
        if plugins.is_empty() {
            return Err(usage("the configuration has no plugins"));
        }
        return Ok(plugins);
    }
    let engine = Engine::new(None)?.with_services(Services::default().in_scratch()?);
    let loader = Loader::new(engine, Signers::default());
    let load = |path: &PathBuf| {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        loader.load(&name, &Settings::of(path))
    };
    Ok(arguments
        .components
        .iter()
        .map(load)
        .collect::<anyhow::Result<_>>()?)
}

#[cfg_attr(
    not(feature = "sqs"),
    allow(clippy::unused_async, reason = "only a bucket is waited for")
)]
async fn place(arguments: &Arguments, config: Option<&Config>) -> Result<Place, Failure> {
    if let Some(folder) = &arguments.folder {
        return Ok(Place::Folder(folder.clone()));
    }
    #[cfg(feature = "sqs")]
    if let (Some(bucket), Some(prefix), Some(config)) =
        (&arguments.bucket, &arguments.prefix, config)
    {
        let crate::config::Source::Sqs(settings) = &config.source else {
            return Err(usage("--bucket needs a configuration whose source is sqs"));
        };
        if !settings.buckets.iter().any(|known| known.name == *bucket) {
            return Err(usage("--bucket must be one of source.buckets"));
        }
        return Ok(Place::Bucket {
            objects: Box::new(crate::source::object::Objects::connect(settings).await),
            bucket: bucket.clone(),
            prefix: prefix.clone(),
        });
    }
    let _ = config;
    Err(usage(
        "say where the logs are: --folder FOLDER, or --bucket NAME --prefix PREFIX",
    ))
}

/// Where lines go; nowhere without a folder.
struct Files {
    hits: Option<BufWriter<File>>,
    hours: Option<BufWriter<File>>,
}

impl Files {
    fn create(folder: Option<&Path>) -> anyhow::Result<Self> {
        let Some(folder) = folder else {
            return Ok(Self {
                hits: None,
                hours: None,
            });
        };
        std::fs::create_dir_all(folder)
            .with_context(|| format!("failed to make {}", folder.display()))?;
        let create = |name: &str| {
            let path = folder.join(name);
            ensure!(
                !path.exists(),
                "{} is there already: name another folder",
                path.display()
            );
            let file = File::create(&path);
            let file = file.with_context(|| format!("failed to write {}", path.display()))?;
            Ok(Some(BufWriter::new(file)))
        };
        Ok(Self {
            hits: create("hits.ndjson")?,
            hours: create("hours.ndjson")?,
        })
    }

    fn finish(self) -> anyhow::Result<()> {
        for mut file in [self.hits, self.hours].into_iter().flatten() {
            file.flush().context("failed to write the results")?;
        }
        Ok(())
    }
}

fn write(file: &mut Option<BufWriter<File>>, line: &impl Serialize) -> anyhow::Result<()> {
    let Some(file) = file else { return Ok(()) };
    serde_json::to_writer(&mut *file, line)
        .map_err(std::io::Error::from)
        .and_then(|()| file.write_all(b"\n"))
        .context("failed to write the results")
}

fn progress_line(progress: Progress, elapsed: Duration) -> String {
    let Progress {
        objects,
        of_objects,
        bytes,
        of_bytes,
        events,
    } = progress;
    let left = if bytes == 0 {
        String::new()
    } else {
        let left = u128::from(of_bytes - bytes) * elapsed.as_millis() / u128::from(bytes);
        format!(", about {} s left", left / 1_000)
    };
    format!(
        "{} of {} objects, {} events{left}",
        thousands(objects),
        thousands(of_objects),
        thousands(events)
    )
}

/// The summary: one line a rule, the most frequent first, and what else is worth knowing.
fn table(report: &Report) -> Vec<String> {
    let mut lines = vec![format!(
        "{} events in {} objects",
        thousands(report.events),
        thousands(report.objects)
    )];
    let mut rules: Vec<_> = report.rules.iter().collect();
    rules.sort_by_key(|(_, rule)| std::cmp::Reverse(rule.hits));
    let name = |(plugin, rule): &(String, String)| format!("{plugin}/{rule}");
    let width = rules.iter().map(|(key, _)| name(key).len()).max();
    let width = width.unwrap_or_default().max(4);
    if !rules.is_empty() {
        lines.push(format!(
            "{:width$}  {:13}  {:>9}  {:>9}  first and last hour",
            "rule", "severity", "hits", "findings"
        ));
    }
    for (key, rule) in rules {
        let severity = rule.severity.map_or("", crate::finding::Severity::as_str);
        let (first, last) = rule.span().unwrap_or_default();
        lines.push(format!(
            "{:width$}  {severity:13}  {:>9}  {:>9}  {first} {last}",
            name(key),
            thousands(rule.hits),
            thousands(rule.findings())
        ));
        lines.extend(rule.samples.iter().map(|sample| format!("    {sample}")));
    }
    for (what, count) in [
        ("values would be masked", report.masks),
        ("events would be dropped by filters", report.dropped),
        (
            "events would not leave, because redaction failed on them",
            report.withheld,
        ),
        ("events are at fault", report.bad_events),
        ("objects are at fault", report.faults),
    ] {
        if count > 0 {
            lines.push(format!("{} {what}", thousands(count)));
        }
    }
    lines.extend(
        report
            .fault_samples
            .iter()
            .map(|fault| format!("    {fault}")),
    );
    lines
}
