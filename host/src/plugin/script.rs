//! Plugins that come as source: a runner, one component for all of them, is given the source before
//! anything else.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::{Compiled, Engine};
use crate::{
    config::Problems,
    digest::{hex, sha256},
};

/// Largest source that is run, in bytes.
pub(super) const MAX_SCRIPT_BYTES: usize = 1 << 20;

/// What runs plugins in Python that come as source: the section `[python]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The runner (`python-runner.wasm`). Default none: a plugin's path must name a component.
    pub runner: Option<PathBuf>,
    /// SHA-256 of the runner, 64 lower-case hexadecimal digits: no other is loaded. Default: any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

impl Settings {
    /// Reports what cannot be; `at` is the section's path.
    pub fn validate(&self, at: &str, problems: &mut Problems) {
        problems.sha256(&format!("{at}.sha256"), self.sha256.as_deref());
        if self.sha256.is_some() && self.runner.is_none() {
            problems.push(format!(
                "{at}.sha256 pins a runner, and {at}.runner names none"
            ));
        }
    }
}

/// The source of a plugin, as its runner is given it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Script {
    /// Name of the file, for messages.
    pub file: String,
    /// The text.
    pub source: String,
}

impl Script {
    /// Whether a path names source rather than a component.
    pub(super) fn is_one(path: &Path) -> bool {
        path.extension().is_some_and(|extension| extension == "py")
    }

    pub(super) fn new(path: &Path, bytes: Vec<u8>) -> anyhow::Result<Self> {
        let source =
            String::from_utf8(bytes).with_context(|| format!("{} is not UTF-8", path.display()))?;
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        Ok(Self {
            file: file.into_owned(),
            source,
        })
    }

    /// SHA-256 of the source, in lower-case hexadecimal: what the plugin is known by.
    pub(super) fn digest(&self) -> String {
        hex(&sha256(&[self.source.as_bytes()]))
    }

    pub(super) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("two texts are JSON")
    }
}

/// The runner as it was last compiled, shared by all plugins that come as source.
#[derive(Clone, Debug, Default)]
pub(super) struct Runner(Arc<Mutex<Option<Arc<Compiled>>>>);

impl Runner {
    /// Compiles the runner, or takes it as it was compiled before.
    pub(super) fn compiled(&self, engine: &Engine, wasm: &[u8]) -> anyhow::Result<Arc<Compiled>> {
        let digest = hex(&sha256(&[wasm]));
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(compiled) = held.as_ref().filter(|held| held.digest() == digest) {
            return Ok(Arc::clone(compiled));
        }
        let compiled = Arc::new(Compiled::new(engine, wasm)?);
        *held = Some(Arc::clone(&compiled));
        Ok(compiled)
    }
}
