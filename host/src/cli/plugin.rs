//! `sluicegate plugin …`: the tools of those who write plugins.

mod bench;
mod build;
mod inspect;
mod new;
mod test;

use clap::Subcommand;

use super::Failure;
use crate::config::Problems;

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write the project of a new plugin, with the SDK in it
    New(new::Arguments),
    /// Build a plugin's project into a component, and load it once to see that it fits
    Build(build::Arguments),
    /// Run cases on a plugin, in the host's own chain; says what differs from what they expect
    Test(test::Arguments),
    /// Measure what a plugin costs
    Bench(bench::Arguments),
    /// Say what a component is, what it can do and what it takes
    Inspect(inspect::Arguments),
}

pub(super) async fn run(command: Command) -> Result<(), Failure> {
    // All of them compute or wait for a compiler; none has other work beside it.
    let work = tokio::task::spawn_blocking(move || match command {
        Command::New(arguments) => new::run(&arguments),
        Command::Build(arguments) => build::run(&arguments),
        Command::Test(arguments) => test::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Inspect(arguments) => inspect::run(&arguments),
    });
    work.await.map_err(|error| Failure::Other(error.into()))?
}

/// What was asked for cannot be: exit code 64.
fn wrong(error: &anyhow::Error) -> Failure {
    let mut problems = Problems::default();
    problems.push(format!("{error:#}"));
    Failure::Configuration(problems)
}
