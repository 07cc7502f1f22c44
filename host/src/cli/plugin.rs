//! `sluicegate plugin …`: the tools of those who write plugins.

mod bench;
mod build;
mod inspect;
mod new;
mod replay;
mod sign;
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
    /// Judge the events of a dead letter again, read anew, with the configured plugins
    Replay(replay::Arguments),
    /// Make a pair of keys to sign components with: NAME.key and NAME.pub
    Keygen(sign::Keygen),
    /// Sign a component: writes COMPONENT.sig beside it
    Sign(sign::Sign),
    /// Say whether a component is signed by a key
    Verify(sign::Verify),
}

pub(super) async fn run(command: Command) -> Result<(), Failure> {
    if let Command::Replay(arguments) = command {
        return replay::run(&arguments).await;
    }
    // All of them compute or wait for a compiler; none has other work beside it.
    let work = tokio::task::spawn_blocking(move || match command {
        Command::New(arguments) => new::run(&arguments),
        Command::Build(arguments) => build::run(&arguments),
        Command::Test(arguments) => test::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Inspect(arguments) => inspect::run(&arguments),
        Command::Keygen(arguments) => sign::keygen(&arguments),
        Command::Sign(arguments) => sign::sign(&arguments),
        Command::Verify(arguments) => sign::verify(&arguments),
        Command::Replay(_) => unreachable!("it waits for more than a compiler"),
    });
    work.await.map_err(|error| Failure::Other(error.into()))?
}

/// What was asked for cannot be: exit code 64.
fn wrong(error: &anyhow::Error) -> Failure {
    let mut problems = Problems::default();
    problems.push(format!("{error:#}"));
    Failure::Configuration(problems)
}
