//! `sluicegate rules`: what is detected, by the plugins that come with the host and by packs of Sigma rules.

mod attack;
mod coverage;
mod explain;
mod html;
mod inventory;

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};

use self::{
    coverage::Coverage,
    inventory::{Inventory, State},
};
use super::{Failure, output::Output};
use crate::text::shown;

/// The sub-commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// One line a rule: whether it takes part, or why not
    List(Packs),
    /// All that is known of one rule: what it finds, when, and when it is wrong
    Explain(Explain),
    /// The techniques of MITRE ATT&CK for cloud infrastructure, and the rules that find them
    Coverage(CoverageArguments),
}

/// Which rules are looked at.
#[derive(Debug, Args)]
pub struct Packs {
    /// A pack of Sigma rules: a file, a folder or a .zip archive; may be given more than once. Those of
    /// the plugins that come with the host are always there
    #[arg(long = "rules", value_name = "DIR")]
    packs: Vec<PathBuf>,
    /// Values of a placeholder, as `name=value,value`; may be given more than once
    #[arg(long = "placeholder", value_name = "NAME=VALUES", value_parser = placeholder)]
    placeholders: Vec<(String, Vec<String>)>,
}

/// Arguments of `explain`.
#[derive(Debug, Args)]
pub struct Explain {
    /// The rule's id, or the name of its file
    rule: String,
    #[command(flatten)]
    packs: Packs,
}

/// Arguments of `coverage`.
#[derive(Debug, Args)]
pub struct CoverageArguments {
    #[command(flatten)]
    packs: Packs,
    /// Also writes the matrix as a page to this file
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

fn placeholder(text: &str) -> Result<(String, Vec<String>), String> {
    let (name, values) = text
        .split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .ok_or("must look like name=value,value")?;
    let values = values.split(',').map(ToOwned::to_owned);
    Ok((name.to_owned(), values.collect()))
}

pub(super) fn execute(command: &Command) -> Result<(), Failure> {
    match command {
        Command::List(packs) => list(packs),
        Command::Explain(arguments) => explain(arguments),
        Command::Coverage(arguments) => coverage(arguments),
    }
}

impl Packs {
    fn inventory(&self) -> anyhow::Result<Inventory> {
        Inventory::new(&self.packs, self.placeholders.iter().cloned().collect())
    }
}

fn list(packs: &Packs) -> Result<(), Failure> {
    let inventory = packs.inventory()?;
    let mut output = Output::default();
    let (mut active, mut refused, mut skipped) = (0, 0, 0);
    for rule in &inventory.rules {
        let (state, why) = match &rule.state {
            State::Active => {
                active += 1;
                ("ok", String::new())
            }
            State::Refused(reason) => {
                refused += 1;
                ("REFUSED", format!(": {reason}"))
            }
            State::Skipped(reason) => {
                skipped += 1;
                ("skipped", format!(": {reason}"))
            }
        };
        output.line(&format!(
            "{state:<8} {:<14} {}  {}  ({}){}",
            rule.severity,
            shown(&rule.id),
            shown(&rule.title),
            shown(&rule.place),
            shown(&why)
        ))?;
    }
    output.line(&format!(
        "{active} rules take part, {refused} are refused, {skipped} are about something else"
    ))?;
    Ok(())
}

fn explain(arguments: &Explain) -> Result<(), Failure> {
    let inventory = arguments.packs.inventory()?;
    let mut output = Output::default();
    let found = inventory.named(&arguments.rule);
    if found.is_empty() {
        let problem = anyhow::anyhow!(
            "there is no rule `{}`; `sluicegate rules list` shows all",
            shown(&arguments.rule)
        );
        return Err(problem.into());
    }
    for rule in found {
        for line in explain::lines(rule) {
            output.line(&line)?;
        }
    }
    Ok(())
}

fn coverage(arguments: &CoverageArguments) -> Result<(), Failure> {
    let inventory = arguments.packs.inventory()?;
    let coverage = Coverage::of(&inventory);
    let mut output = Output::default();
    for line in coverage.lines() {
        output.line(&line)?;
    }
    if let Some(path) = &arguments.html {
        std::fs::write(path, html::page(&coverage))
            .with_context(|| format!("failed to write {}", path.display()))?;
    }
    Ok(())
}
