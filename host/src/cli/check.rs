//! `sluicegate check`: everything that can be known before the first message.

use clap::Args;

use super::{Configured, Failure, output::Output};
#[cfg(feature = "dynamodb")]
use crate::config::LedgerKind;
use crate::{
    assemble,
    config::{Config, Problems},
    lookup::Table,
};

/// Arguments of `check`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    configured: Configured,
    /// Also ask the queue, the buckets, the ledger's table and every sink whether they would let us work
    #[arg(long)]
    online: bool,
}

pub(super) async fn run(arguments: &Arguments) -> Result<(), Failure> {
    let config = arguments.configured.load()?;
    let mut report = Report::default();
    offline(&config, &mut report).await?;
    if arguments.online {
        online(&config, &mut report).await?;
    }
    report.finish()
}

/// What was tried, one line each; problems are printed and counted.
#[derive(Default)]
struct Report {
    output: Output,
    problems: Problems,
}

impl Report {
    fn add(&mut self, what: &str, result: anyhow::Result<String>) -> anyhow::Result<()> {
        match result {
            Ok(said) => self.output.line(&format!("ok      {what}: {said}")),
            Err(error) => {
                self.problems.push(format!("{what}: {error:#}"));
                self.output.line(&format!("wrong   {what}"))
            }
        }
    }

    fn note(&mut self, what: &str) -> anyhow::Result<()> {
        self.output.line(&format!("note    {what}"))
    }

    fn finish(self) -> Result<(), Failure> {
        if self.problems.is_empty() {
            Ok(())
        } else {
            Err(Failure::Configuration(self.problems))
        }
    }
}

async fn offline(config: &Config, report: &mut Report) -> anyhow::Result<()> {
    let loader = assemble::offline_loader(config);
    for (name, settings) in &config.plugins {
        let about = |plugin: crate::plugin::Component| {
            format!("version {}, sha256 {}", plugin.version(), plugin.digest())
        };
        let result = match &loader {
            Ok(loader) => loader.load(name, settings).map(about),
            Err(error) => Err(anyhow::anyhow!("{error:#}")),
        };
        report.add(&format!("plugins.{name}"), result)?;
    }
    for name in assemble::counted_apart(config) {
        report.note(&format!(
            "plugins.{name} counts what one host sees, although hosts share the ledger"
        ))?;
    }
    for (name, settings) in &config.tables {
        let read = Table::load(settings).map(|table| format!("{} rows", table.rows()));
        report.add(&format!("tables.{name}"), read)?;
    }
    let has_key =
        config.redaction.hmac_key_file.is_some() || config.redaction.hmac_key_env.is_some();
    let key = if has_key {
        "the key is readable"
    } else {
        "no key: markers carry no HMAC"
    };
    report.add(
        "redaction",
        config.redaction.masker().map(|_| key.to_owned()),
    )?;
    for (name, section) in &config.sinks {
        let mut one = config.clone();
        one.sinks = [(name.clone(), section.clone())].into();
        let made = assemble::sinks(&one)
            .await
            .map(|_| "settings and secrets are readable".to_owned());
        report.add(&format!("sinks.{name}"), made)?;
    }
    for name in assemble::in_the_clear(config) {
        report.note(&format!(
            "sinks.{name} is reached by plain HTTP: everybody on the way can read events and credentials"
        ))?;
    }
    for name in assemble::best_effort(config) {
        report.note(&format!(
            "sinks.{name} is best-effort: what it does not take is lost"
        ))?;
    }
    Ok(())
}

async fn online(config: &Config, report: &mut Report) -> anyhow::Result<()> {
    let said = match assemble::source(config).await {
        Ok((source, _)) => source.check().await,
        Err(error) => Err(error),
    };
    report.add("source, online", said)?;
    #[cfg(feature = "dynamodb")]
    if config.ledger.kind == LedgerKind::Dynamodb {
        let said = match assemble::table(&config.ledger).await {
            Ok(table) => table.check().await,
            Err(error) => Err(error),
        };
        report.add("ledger, online", said)?;
    }
    let store = match assemble::store(&config.store).await {
        Ok(store) => store
            .dead_letters(None, 1)
            .await
            .map(|_| "can be listed".to_owned()),
        Err(error) => Err(error),
    };
    report.add("store, online", store)?;
    for (name, section) in &config.sinks {
        let mut one = config.clone();
        one.sinks = [(name.clone(), section.clone())].into();
        let said = match assemble::sinks(&one).await {
            Ok(plans) => match plans.first() {
                Some(plan) => plan.sink.check().await,
                None => Ok("nothing to ask".to_owned()),
            },
            Err(error) => Err(error),
        };
        report.add(&format!("sinks.{name}, online"), said)?;
    }
    Ok(())
}
