//! Configuration: one strict TOML file, layered with environment variables, checked as a whole.

// A configuration names a source and a sink, so there is none in a build without either.
#[cfg(all(
    any(feature = "sqs", feature = "directory"),
    any(
        feature = "splunk-hec",
        feature = "datadog-logs",
        feature = "security-hub",
        feature = "file"
    )
))]
mod file;

#[cfg(all(
    any(feature = "sqs", feature = "directory"),
    any(
        feature = "splunk-hec",
        feature = "datadog-logs",
        feature = "security-hub",
        feature = "file"
    )
))]
pub use file::{Config, Ledger, LedgerKind, PluginCache, Sink, SinkKind, Source, Store};

use std::{fmt, path::PathBuf};

use serde::{Deserialize, Serialize};

/// Everything that is wrong with a configuration, collected so that it is reported together.
#[derive(Debug, Default)]
pub struct Problems(Vec<String>);

impl Problems {
    /// Adds one problem: ``sinks.splunk.delivery.max_events must be between 1 and 1000, got 0``.
    pub fn push(&mut self, problem: impl Into<String>) {
        self.0.push(problem.into());
    }

    /// Adds a problem unless `value` lies in `range`.
    pub fn range<T: PartialOrd + fmt::Display + Copy>(
        &mut self,
        key: &str,
        value: T,
        range: std::ops::RangeInclusive<T>,
    ) {
        if !range.contains(&value) {
            self.push(format!(
                "{key} must be between {} and {}, got {value}",
                range.start(),
                range.end()
            ));
        }
    }

    /// Adds a problem where a digest is given that is none.
    pub fn sha256(&mut self, key: &str, digest: Option<&str>) {
        let hexadecimal = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let sound = |digest: &str| digest.len() == 64 && digest.bytes().all(hexadecimal);
        if digest.is_some_and(|digest| !sound(digest)) {
            self.push(format!(
                "{key} must be a SHA-256 of 64 lower-case hexadecimal digits"
            ));
        }
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One line a problem.
    #[must_use]
    pub fn lines(&self) -> &[String] {
        &self.0
    }
}

/// A secret in memory. It has no `Display`, and its `Debug` is `***`.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value; whoever has it must not keep it elsewhere.
    #[must_use]
    pub fn new(value: String) -> Self {
        Self(value)
    }

    /// The value, for the one place that sends it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Where a secret is read from: a file, or an environment variable. Never the configuration itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretSource {
    /// Path of a file; its text without the line feed at the end is the secret.
    File(PathBuf),
    /// Name of an environment variable.
    Env(String),
}

impl SecretSource {
    /// Reads the secret.
    ///
    /// # Errors
    /// When the file or variable cannot be read or is empty; names it, never its content.
    pub fn read(&self) -> anyhow::Result<Secret> {
        let value = match self {
            Self::File(path) => std::fs::read_to_string(path).map_err(|error| {
                anyhow::anyhow!("failed to read secret file {}: {error}", path.display())
            })?,
            Self::Env(name) => std::env::var(name).map_err(|_| {
                anyhow::anyhow!("environment variable {name} is not set or not UTF-8")
            })?,
        };
        let value = value.trim_end_matches(['\r', '\n']);
        anyhow::ensure!(!value.is_empty(), "the secret from {self} is empty");
        Ok(Secret(value.to_owned()))
    }
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Env(name) => write!(f, "environment variable {name}"),
        }
    }
}
