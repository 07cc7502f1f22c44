//! The plugin host: components in a sandbox that is bounded in time, memory, output and log lines.
//!
//! [`Engine`] narrows wasmtime to what plugins need, [`Component`] is one plugin compiled, described and
//! configured, and an [`Instance`] of it takes batches, one after the other, on one thread. A plugin can
//! import the log and, where it is granted them, windows and tables of the host ([`Services`]); there is no
//! network, no file, no environment and no clock to reach.
//! What a plugin returns is checked here as far as that needs no event; after [`Instance::process`] its
//! rows, offsets, texts, kinds and sizes can be relied on.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::config::Problems;

pub mod abi;
mod added;
mod cache;
mod chain;
mod component;
mod engine;
mod grants;
mod guest;
mod identity;
mod instance;
mod limits;
mod lookup;
mod manifest;
mod matcher;
mod output;
mod pointer;
mod reach;
mod report;
mod running;
mod state;

pub use chain::{ChainWorker, PluginChain};

pub use component::{Component, LoadError, MAX_COMPONENT_BYTES, Terms};
pub use engine::Engine;
pub use grants::Grants;
pub use guest::Denied;
pub use instance::Instance;
pub use limits::Limits;
pub use reach::Services;
pub use running::CallError;

/// One plugin of the chain: the section `[plugins.<name>]`. The name must be the one that the plugin
/// gives itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The component (`.wasm`). Required.
    pub path: PathBuf,
    /// What the plugin's `configure` takes; the plugin's own schema says what may stand here. Default:
    /// empty.
    #[serde(default)]
    pub configuration: serde_json::Map<String, serde_json::Value>,
    /// What the plugin may use up.
    #[serde(default)]
    pub limits: Limits,
    /// What the plugin may reach.
    #[serde(default)]
    pub grants: Grants,
}

impl Settings {
    /// Reports every value that is out of range. `at` is the section, `plugins.<name>`.
    pub fn validate(&self, at: &str, problems: &mut Problems) {
        if self.path.as_os_str().is_empty() {
            problems.push(format!("{at}.path must name a component, got nothing"));
        }
        self.limits.validate(&format!("{at}.limits"), problems);
        self.grants.validate(&format!("{at}.grants"), problems);
    }

    /// On what terms the plugin is loaded.
    #[must_use]
    pub fn terms(&self) -> Terms {
        Terms {
            configuration: self.configuration.clone(),
            limits: self.limits.clone(),
            grants: self.grants.clone(),
        }
    }
}
