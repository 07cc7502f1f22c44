//! The command line: one file a sub-command, and what they share.

mod backtest;
mod check;
mod dead_letters;
mod demo;
mod logs;
mod normalize;
mod output;
mod plugin;
mod rules;
mod run;
mod scan;
mod watch;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub use logs::{LogFormat, start as start_logs};

use crate::config::{Config, Problems};

const EXAMPLES: &str = "\
Examples:
  sluicegate demo                                    the whole job on generated events, no AWS account
  sluicegate check --config sluicegate.toml          every problem of a configuration at once
  sluicegate check --config sluicegate.toml --online also tries queue, buckets, tokens and hub
  sluicegate run --config sluicegate.toml            forwards until SIGTERM or SIGINT, then drains;
                                                     SIGHUP reads the plugins anew
  sluicegate backtest --folder logs my-plugin.wasm   what a plugin would have found
  sluicegate normalize log.json.gz                   events in OCSF, or another shape, one a line
  sluicegate rules coverage --rules sigma/rules --html coverage.html
  sluicegate dead-letters list --config sluicegate.toml
  sluicegate plugin new my-rule && sluicegate plugin test my-rule

Configuration:
  One TOML file. A variable such as SLUICEGATE__SINKS__SPLUNK__ENDPOINT=https://… wins over it.
  Secrets stand in files or variables that the configuration names, never in the configuration.

Exit codes:
  0   done; for `run`: drained, nothing that was started is lost
  1   failed; the last line on stderr says why
  64  the arguments or the configuration are wrong; every problem is printed";

/// Forwards AWS CloudTrail to Splunk, Datadog, AWS Security Hub and files. Every event passes sandboxed
/// WebAssembly plugins that enrich, detect, redact and filter. Nothing is lost: a message is deleted only
/// after every event it announced was accepted, or its reference was stored together with the cause.
#[derive(Debug, Parser)]
#[command(name = "sluicegate", version, after_help = EXAMPLES, max_term_width = 100)]
pub struct Arguments {
    /// How log lines look; they go to stderr [default: text on a terminal, else json]
    #[arg(long, global = true, value_enum)]
    pub log_format: Option<LogFormat>,

    /// What is logged, such as `info` or `warn,sluicegate::sink=debug`
    #[arg(long, global = true, default_value = "info")]
    pub log: String,

    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// The sub-commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Forward events until SIGTERM or SIGINT, then drain; a second signal stops at once
    Run(Configured),
    /// Check a configuration: values, secrets and plugins; with --online also what it connects to
    Check(check::Arguments),
    /// Run the whole job on generated CloudTrail objects, and prove that no planted secret got out
    Demo(demo::Arguments),
    /// Try plugins on old logs: what they would have found, by rule and hour; nothing is sent
    Backtest(backtest::Arguments),
    /// Write the events of a file in the shape that a sink would get, one a line; nothing is sent
    Normalize(normalize::Arguments),
    /// Look at what could not be delivered
    #[command(subcommand)]
    DeadLetters(dead_letters::Command),
    /// List and explain what is detected, and hold it against MITRE ATT&CK
    #[command(subcommand)]
    Rules(rules::Command),
    /// Write, build, test, measure and inspect plugins
    #[command(subcommand)]
    Plugin(plugin::Command),
}

/// What every command with a configuration takes.
#[derive(Clone, Debug, Args)]
pub struct Configured {
    /// The configuration file
    #[arg(long, short, value_name = "FILE")]
    config: PathBuf,
}

impl Configured {
    fn load(&self) -> Result<Config, Failure> {
        self.read().map_err(Failure::Configuration)
    }

    fn read(&self) -> Result<Config, Problems> {
        Config::load(&self.config)
    }
}

/// Why a command failed; it decides the exit code.
#[derive(Debug)]
pub enum Failure {
    /// The configuration is wrong: exit code 64.
    Configuration(Problems),
    /// Anything else: exit code 1.
    Other(anyhow::Error),
}

impl Failure {
    /// 64 for a wrong configuration, else 1.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Configuration(_) => 64,
            Self::Other(_) => 1,
        }
    }

    /// One line a problem, for stderr.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        match self {
            Self::Configuration(problems) => problems.lines().to_vec(),
            Self::Other(error) => vec![format!("{error:#}")],
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Other(error)
    }
}

/// What the process is told from outside.
#[derive(Clone, Debug, Default)]
pub struct Signals {
    /// Cancelled when it was asked to finish.
    pub drain: tokio_util::sync::CancellationToken,
    /// Notified when it was asked to read its plugins anew.
    pub reload: std::sync::Arc<tokio::sync::Notify>,
}

/// Runs a command to its end.
///
/// # Errors
/// What the exit code and the last lines on stderr say.
pub async fn execute(command: Command, signals: Signals) -> Result<(), Failure> {
    match command {
        Command::Run(configured) => run::run(&configured, signals).await,
        Command::Check(arguments) => check::run(&arguments).await,
        Command::Demo(arguments) => demo::run(&arguments, signals.drain).await,
        Command::Backtest(arguments) => backtest::run(&arguments).await,
        Command::DeadLetters(command) => dead_letters::run(&command, signals).await,
        Command::Normalize(arguments) => normalize::run(&arguments),
        Command::Rules(command) => rules::execute(&command),
        Command::Plugin(command) => plugin::run(command).await,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn help_names_every_exit_code() {
        let help = Arguments::command().render_long_help().to_string();
        for part in [
            "Exit codes:",
            "\n  0 ",
            "\n  1 ",
            "\n  64 ",
            "dead-letters",
            "check",
            "demo",
        ] {
            assert!(help.contains(part), "no {part:?} in:\n{help}");
        }
    }

    #[test]
    fn a_wrong_configuration_ends_with_64() {
        assert_eq!(Failure::Configuration(Problems::default()).exit_code(), 64);
        assert_eq!(Failure::Other(anyhow::anyhow!("x")).exit_code(), 1);
    }
}
