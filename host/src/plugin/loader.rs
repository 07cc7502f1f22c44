//! From a plugin's section of the configuration to a component that may run.

use std::path::Path;

use anyhow::{Context as _, ensure};

use super::{
    Component, Engine, MAX_COMPONENT_BYTES, Settings, Signers, Terms, abi::Kind, inline_files,
};
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
        self.trusted(settings)
            .and_then(|wasm| component(&self.engine, name, settings, &terms(settings)?, &wasm))
            .with_context(|| format!("failed to load plugins.{name}"))
    }

    /// Loads one plugin for a place in shadow: what it counts, it counts for itself.
    ///
    /// # Errors
    /// Names the plugin and says why it is refused.
    pub fn load_shadow(&self, name: &str, settings: &Settings) -> anyhow::Result<Component> {
        self.trusted(settings)
            .and_then(|wasm| component(&self.apart()?, name, settings, &terms(settings)?, &wasm))
            .with_context(|| format!("failed to load plugins.{name}"))
    }

    /// Loads one plugin twice, as it would be live and as it is tried: from the same bytes, whatever
    /// becomes of the files meanwhile.
    ///
    /// # Errors
    /// Names the plugin and says why it is refused.
    pub fn load_candidate(
        &self,
        name: &str,
        settings: &Settings,
    ) -> anyhow::Result<(Component, Component)> {
        self.trusted(settings)
            .and_then(|wasm| {
                let terms = terms(settings)?;
                let live = component(&self.engine, name, settings, &terms, &wasm)?;
                let shadow = component(&self.apart()?, name, settings, &terms, &wasm)?;
                Ok((live, shadow))
            })
            .with_context(|| format!("failed to load plugins.{name}"))
    }

    /// The same engine, with windows of its own.
    fn apart(&self) -> anyhow::Result<Engine> {
        let services = self.engine.services.in_scratch()?;
        Ok(self.engine.clone().with_services(services))
    }

    /// The component's bytes, if they are those that were pinned and signed.
    fn trusted(&self, settings: &Settings) -> anyhow::Result<Vec<u8>> {
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
        tracing::debug!(digest = hex(&digest), signer, "component may be loaded");
        Ok(wasm)
    }
}

/// The terms, with files where the configuration names them.
fn terms(settings: &Settings) -> anyhow::Result<Terms> {
    let terms = settings.terms();
    let configuration = inline_files(&terms.configuration, Path::new(""))?;
    Ok(Terms {
        configuration,
        ..terms
    })
}

fn component(
    engine: &Engine,
    name: &str,
    settings: &Settings,
    terms: &Terms,
    wasm: &[u8],
) -> anyhow::Result<Component> {
    let component = Component::load(engine, name, wasm, terms)?;
    if let Some(kind) = settings.kind {
        ensure!(
            Kind::from(kind) == component.kind(),
            "is of kind {}, the configuration says {}",
            component.kind().as_str(),
            Kind::from(kind).as_str()
        );
    }
    Ok(component)
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
