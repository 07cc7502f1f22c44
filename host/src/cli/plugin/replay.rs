//! `sluicegate plugin replay`: what the configured plugins say of a dead letter's events.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::Args;
use futures_util::StreamExt as _;

use crate::{
    assemble,
    cli::{Configured, Failure, output::Output},
    config::Config,
    deadletter::{DeadLetter, Subject},
    effects::{Fate, Processed},
    event::ObjectRef,
    plugin::{ChainWorker, PluginChain},
    source::{
        OpenObject,
        records::{Decoder, Step},
    },
    text::shown,
};

/// Arguments of `replay`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The dead letter, by the name that `dead-letters list` prints
    name: String,
    #[command(flatten)]
    configured: Configured,
}

pub(super) async fn run(arguments: &Arguments) -> Result<(), Failure> {
    let config = arguments.configured.load()?;
    Ok(replay(&config, &arguments.name).await?)
}

async fn replay(config: &Config, name: &str) -> anyhow::Result<()> {
    let store = assemble::store(&config.store).await?;
    let letter = store.get(name).await?;
    let letter = letter.with_context(|| format!("there is no dead letter {}", shown(name)))?;
    let (object, ranges) = events(&letter.subject)?;
    let mut worker = worker(config)?;
    let mut output = Output::default();
    output.line(&then(&letter))?;
    for plugin in worker.plugins() {
        output.line(&format!("now   {plugin}"))?;
    }
    let open = open(config, object).await?;
    let wants = |index: u32| {
        ranges
            .iter()
            .any(|(first, end)| (*first..*end).contains(&index))
    };
    let lines = judge(config, open, wants, &mut worker).await?;
    if lines.is_empty() {
        bail!("{} has no such event any more", shown(&object.url()));
    }
    lines.iter().try_for_each(|line| output.line(line))
}

/// The object and the positions that a dead letter is about.
fn events(subject: &Subject) -> anyhow::Result<(&ObjectRef, &[(u32, u32)])> {
    match subject {
        Subject::Events { object, ranges, .. } => Ok((object, ranges)),
        Subject::Message { .. } => bail!("it is about a message, and has no event to be judged"),
        Subject::Object { .. } => bail!("it is about a whole object: try `backtest` on it"),
        Subject::Finding { .. } => bail!("it is about a finding: its events were delivered"),
    }
}

/// How it was when the letter was written.
fn then(letter: &DeadLetter) -> String {
    let plugin = letter.plugin.as_deref().unwrap_or("no plugin");
    format!(
        "then  {} by {}: {}",
        letter.cause,
        shown(plugin),
        shown(&letter.error)
    )
}

fn worker(config: &Config) -> anyhow::Result<ChainWorker> {
    let loader = assemble::trial_loader(config)?;
    let live = config
        .plugins
        .iter()
        .filter(|(_, settings)| !settings.shadow);
    let plugins = live.map(|(name, settings)| loader.load(name, settings));
    let masker = config.redaction.masker()?;
    let chain = PluginChain::new(plugins.collect::<anyhow::Result<_>>()?, &[], masker)?;
    Ok(ChainWorker::new(Arc::new(chain)))
}

/// Opens the object under the rights of whoever calls, without asking the queue.
async fn open(config: &Config, object: &ObjectRef) -> anyhow::Result<OpenObject> {
    match &config.source {
        #[cfg(feature = "sqs")]
        crate::config::Source::Sqs(settings) => {
            let objects = crate::source::object::Objects::connect(settings).await;
            Ok(objects.open(object).await?)
        }
        #[cfg(feature = "directory")]
        crate::config::Source::Directory(_) => {
            let (source, _) = assemble::source(config).await?;
            Ok(source.open(object).await?)
        }
    }
}

async fn judge(
    config: &Config,
    mut open: OpenObject,
    wants: impl Fn(u32) -> bool,
    worker: &mut ChainWorker,
) -> anyhow::Result<Vec<String>> {
    let mut decoder = Decoder::new(Arc::new(open.object), config.limits.objects);
    let mut lines = Vec::new();
    loop {
        match decoder.step() {
            Step::Batch(mut batch) => {
                batch.events.retain(|span| wants(span.index));
                if !batch.events.is_empty() {
                    let now_ms = crate::backtest::newest_ms(&batch);
                    lines.extend(told(&worker.process(batch, now_ms)));
                }
            }
            Step::Bad(bad) if wants(bad.index) => {
                lines.push(format!("event {}: {}: {}", bad.index, bad.cause, bad.error));
            }
            Step::Bad(_) => {}
            Step::Hungry => match open.body.next().await {
                Some(piece) => decoder.feed(piece?),
                None => decoder.finish(),
            },
            Step::End(_) => return Ok(lines),
            Step::Fault(fault) => bail!("{}: {}", fault.cause, fault.error),
        }
    }
}

/// What became of each event; rules and paths, no values.
fn told(processed: &Processed) -> Vec<String> {
    let mut lines = Vec::new();
    for row in 0..processed.rows() {
        let index = processed.batch.events[row].index;
        let mut say = |what: String| lines.push(format!("event {index}: {what}"));
        for failure in processed
            .failures
            .iter()
            .filter(|failure| failure.row == row)
        {
            say(format!(
                "{} failed: {}",
                failure.plugin,
                shown(&failure.error)
            ));
        }
        for (_, sighting) in processed.sightings.iter().filter(|(at, _)| *at == row) {
            say(format!(
                "{} finds {}",
                sighting.plugin,
                shown(&sighting.rule)
            ));
        }
        let masks = processed.masks.iter().filter(|(at, _)| *at == row).count();
        if masks > 0 {
            say(format!("{masks} values are masked"));
        }
        say(match processed.fate(row) {
            Fate::Forward => "would be forwarded".to_owned(),
            Fate::Drop => "would be dropped by a filter".to_owned(),
            Fate::Withhold => "would be withheld".to_owned(),
        });
    }
    lines
}
