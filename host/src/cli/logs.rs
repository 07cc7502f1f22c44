//! Log lines on stderr.

use std::io::IsTerminal as _;

use anyhow::Context as _;
use clap::ValueEnum;
use tracing_subscriber::{EnvFilter, util::SubscriberInitExt as _};

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Sends the events of `tracing` to stderr from now on. Only the binary calls this, once.
///
/// # Errors
/// When the filter is not understood, or logs were started before.
pub fn start(format: Option<LogFormat>, filter: &str) -> anyhow::Result<()> {
    let terminal = std::io::stderr().is_terminal();
    let filter = EnvFilter::try_new(filter).context("failed to understand --log")?;
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let started = match format.unwrap_or(if terminal {
        LogFormat::Text
    } else {
        LogFormat::Json
    }) {
        LogFormat::Text => logs.with_ansi(terminal).finish().try_init(),
        LogFormat::Json => logs.json().flatten_event(true).finish().try_init(),
    };
    started.context("failed to start logs")
}
