//! The types of the plugin interface, as `wit/plugin.wit` has them.

pub use bindings::sluicegate::plugin::{
    manifest::{Condition, Description, Kind, Subscription, Test},
    types::{Addition, Batch, Column, Finding, Mask, Outcome, Severity},
};
pub(super) use bindings::{
    StatefulPlugin as Plugin, StatefulPluginPre as PluginPre, sluicegate::plugin as host,
};

/// The package that a plugin's imports name.
pub const PACKAGE: &str = "sluicegate:plugin";

/// The version of that package which this host speaks.
pub const VERSION: &str = "0.1.0";

/// The interfaces of the package that hold only types; a component imports them to name its types.
pub(super) const TYPES: [&str; 2] = ["types", "manifest"];

/// The interfaces of the package that a plugin may call.
pub(super) const OFFERED: [&str; 3] = ["log", "state", "lookup"];

#[allow(
    missing_docs,
    unreachable_pub,
    clippy::pedantic,
    reason = "generated; wit/plugin.wit carries the documentation"
)]
mod bindings {
    wasmtime::component::bindgen!({
        path: "../wit",
        // All that a plugin may import; what one does import is held against its grants.
        world: "stateful-plugin",
        imports: { "sluicegate:plugin/state.observe": trappable, "sluicegate:plugin/state.recent": trappable },
        additional_derives: [PartialEq],
    });
}

impl Kind {
    /// The word that the interface uses.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enrich => "enrich",
            Self::Detect => "detect",
            Self::Redact => "redact",
            Self::Filter => "filter",
        }
    }
}

impl From<Severity> for crate::finding::Severity {
    fn from(severity: Severity) -> Self {
        match severity {
            Severity::Informational => Self::Informational,
            Severity::Low => Self::Low,
            Severity::Medium => Self::Medium,
            Severity::High => Self::High,
            Severity::Critical => Self::Critical,
        }
    }
}
