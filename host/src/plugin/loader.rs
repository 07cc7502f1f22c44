//! From a plugin's section of the configuration to a component that may run.

use std::path::Path;

use anyhow::{Context as _, ensure};

use super::{Component, Engine, MAX_COMPONENT_BYTES, Settings, Signers, abi::Kind};
use crate::digest::{hex, sha256};

/// Loads plugins, at the start and whenever one has changed: pinned, signed and granted as the
/// configuration says.
#[derive(Clone, Debug)]
pub struct Loader {
    engine: Engine,
    signers: Signers,
}

impl Loader {
    /// A loader for plugins that run on this engine.
    #[must_use]
    pub fn new(engine: Engine, signers: Signers) -> Self {
        Self { engine, signers }
    }

    /// Loads one plugin.
    ///
    /// # Errors
    /// Names the plugin and says why it is refused.
    pub fn load(&self, name: &str, settings: &Settings) -> anyhow::Result<Component> {
        self.checked(&self.engine, name, settings)
            .with_context(|| format!("failed to load plugins.{name}"))
    }

    /// Loads one plugin for a place in shadow: what it counts, it counts for itself.
    ///
    /// # Errors
    /// Names the plugin and says why it is refused.
    pub fn load_shadow(&self, name: &str, settings: &Settings) -> anyhow::Result<Component> {
        let services = self.engine.services.in_scratch()?;
        let engine = self.engine.clone().with_services(services);
        self.checked(&engine, name, settings)
            .with_context(|| format!("failed to load plugins.{name}"))
    }

    fn checked(
        &self,
        engine: &Engine,
        name: &str,
        settings: &Settings,
    ) -> anyhow::Result<Component> {
        let path = &settings.path;
        let wasm = read(path)?;
        let digest = sha256(&[&wasm]);
        if let Some(pin) = &settings.sha256 {
            ensure!(
                *pin == hex(&digest),
                "{} is not the pinned component: its sha256 is {}",
                path.display(),
                hex(&digest)
            );
        }
        let signer = self
            .signers
            .check(path, &digest)
            .with_context(|| path.display().to_string())?;
        let component = Component::load(engine, name, &wasm, &settings.terms())?;
        if let Some(kind) = settings.kind {
            ensure!(
                Kind::from(kind) == component.kind(),
                "is of kind {}, the configuration says {}",
                component.kind().as_str(),
                Kind::from(kind).as_str()
            );
        }
        tracing::debug!(
            plugin = name,
            version = component.version(),
            digest = component.digest(),
            signer,
            "plugin loaded"
        );
        Ok(component)
    }
}

/// Reads a component, but not one that would be refused for its size anyway.
fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let failed = || format!("failed to read {}", path.display());
    let size = std::fs::metadata(path).with_context(failed)?.len();
    ensure!(
        size <= MAX_COMPONENT_BYTES as u64,
        "{} has {size} bytes, at most {MAX_COMPONENT_BYTES} are loaded",
        path.display()
    );
    std::fs::read(path).with_context(failed)
}
