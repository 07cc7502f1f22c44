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
mod compiled;
mod component;
mod engine;
mod grants;
mod guest;
mod health;
mod identity;
mod image;
pub(crate) mod inline;
mod instance;
mod limits;
mod loader;
mod lookup;
pub(crate) mod manifest;
pub(crate) mod matcher;
mod output;
pub(crate) mod pointer;
mod reach;
mod report;
mod rollout;
mod running;
mod said;
pub mod script;
mod seat;
mod state;
mod trial;
pub mod trust;
mod usage;
mod verdicts;
mod worker;

pub use chain::PluginChain;

pub use compiled::Compiled;
pub use component::{Component, LoadError, MAX_COMPONENT_BYTES, Terms};
pub use engine::Engine;
pub use grants::Grants;
pub use guest::Denied;
pub use inline::inline_files;
pub use instance::Instance;
pub use limits::Limits;
pub use loader::Loader;
pub use reach::Services;
pub use rollout::{
    Candidate, Decided, Decision, Rollout, RolloutError, Settings as ReloadSettings, Status,
};
pub use running::CallError;
pub use trial::{Comparison, Difference, Shadow, Side, Trial};
pub use trust::Signers;
pub use usage::Usage;
pub use worker::{ChainSlot, ChainWorker};

/// One plugin of the chain: the section `[plugins.<name>]`. The name must be the one that the plugin
/// gives itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The component (`.wasm`), or source that the runner of the section `[python]` runs (`.py`). Required.
    pub path: PathBuf,
    /// What the plugin's `configure` takes; the plugin's own schema says what may stand here. An object
    /// `{ inline_files = "…" }` in it stands for the files of that file, folder or .zip archive. Default:
    /// empty.
    #[serde(default)]
    pub configuration: serde_json::Map<String, serde_json::Value>,
    /// SHA-256 of that file, 64 lower-case hexadecimal digits: no other is loaded. Default: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The kind that the component must be of. One that is not `redact` may then be missing or broken at
    /// the start: the host goes on without it. Default: any, and the host does not start without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<PluginKind>,
    /// Whether the plugin stays in shadow: it sees every event, and what it says is counted and not
    /// applied. Default false.
    #[serde(default)]
    pub shadow: bool,
    /// SHA-256 of a redaction component that may go live although it masks less than the one before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept_fewer_masks: Option<String>,
    /// What the plugin may use up.
    #[serde(default)]
    pub limits: Limits,
    /// What the plugin may reach.
    #[serde(default)]
    pub grants: Grants,
}

/// The kinds of plugins, as the configuration names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PluginKind {
    /// Adds to events.
    Enrich,
    /// Finds.
    Detect,
    /// Masks and finds.
    Redact,
    /// Drops events.
    Filter,
}

impl From<PluginKind> for abi::Kind {
    fn from(kind: PluginKind) -> Self {
        match kind {
            PluginKind::Enrich => Self::Enrich,
            PluginKind::Detect => Self::Detect,
            PluginKind::Redact => Self::Redact,
            PluginKind::Filter => Self::Filter,
        }
    }
}

impl Settings {
    /// A plugin from this file, with the defaults.
    #[must_use]
    pub fn of(path: &std::path::Path) -> Self {
        Self {
            path: path.to_owned(),
            sha256: None,
            kind: None,
            shadow: false,
            accept_fewer_masks: None,
            configuration: serde_json::Map::new(),
            limits: Limits::default(),
            grants: Grants::default(),
        }
    }

    /// Whether the host may start without this plugin: it is known not to be a redaction.
    #[must_use]
    pub fn may_be_missing(&self) -> bool {
        self.shadow || self.kind.is_some_and(|kind| kind != PluginKind::Redact)
    }

    /// Reports every value that is out of range. `at` is the section, `plugins.<name>`.
    pub fn validate(&self, at: &str, problems: &mut Problems) {
        if self.path.as_os_str().is_empty() {
            problems.push(format!("{at}.path must name a component, got nothing"));
        }
        for (key, digest) in [
            ("sha256", &self.sha256),
            ("accept_fewer_masks", &self.accept_fewer_masks),
        ] {
            problems.sha256(&format!("{at}.{key}"), digest.as_deref());
        }
        self.limits.validate(&format!("{at}.limits"), problems);
        self.grants.validate(&format!("{at}.grants"), problems);
    }

    /// On what terms the plugin is loaded; files that the configuration names are not yet in their place,
    /// see [`inline_files`].
    #[must_use]
    pub fn terms(&self) -> Terms {
        Terms {
            configuration: self.configuration.clone(),
            limits: self.limits.clone(),
            grants: self.grants.clone(),
            script: None,
        }
    }
}
