//! From a plugin's section of the configuration to a component that may run.

use std::path::Path;

use anyhow::{Context as _, ensure};

use super::{
    Component, Engine, MAX_COMPONENT_BYTES, Settings, Signers, Terms,
    abi::Kind,
    inline_files,
    script::{self, MAX_SCRIPT_BYTES, Runner, Script},
};
use crate::digest::{hex, sha256};

/// Loads plugins, at the start and whenever one has changed: pinned, signed and granted as the
/// configuration says.
#[derive(Clone, Debug)]
pub struct Loader {
    engine: Engine,
    signers: Signers,
    python: script::Settings,
    runner: Runner,
}

/// What a plugin is made from.
struct Code {
    /// The component's bytes, or those of the runner.
    wasm: Vec<u8>,
    /// The terms, with files where the configuration names them, and with what a runner is given.
    terms: Terms,
}

impl Loader {
    /// A loader for plugins that run on this engine.
    #[must_use]
    pub fn new(engine: Engine, signers: Signers) -> Self {
        Self {
            engine,
            signers,
            python: script::Settings::default(),
            runner: Runner::default(),
        }
    }

    /// The same with a runner for plugins that come as source.
    #[must_use]
    pub fn with_python(self, python: script::Settings) -> Self {
        Self { python, ..self }
    }

    /// Loads one plugin.
    ///
    /// # Errors
    /// Names the plugin and says why it is refused.
    pub fn load(&self, name: &str, settings: &Settings) -> anyhow::Result<Component> {
        self.code(settings)
            .and_then(|code| self.component(&self.engine, name, settings, &code))
            .with_context(|| format!("failed to load plugins.{name}"))
    }

    /// Loads one plugin for a place in shadow: what it counts, it counts for itself.
    ///
    /// # Errors
    /// Names the plugin and says why it is refused.
    pub fn load_shadow(&self, name: &str, settings: &Settings) -> anyhow::Result<Component> {
        self.code(settings)
            .and_then(|code| self.component(&self.apart()?, name, settings, &code))
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
        self.code(settings)
            .and_then(|code| {
                let live = self.component(&self.engine, name, settings, &code)?;
                Ok((live, self.component(&self.apart()?, name, settings, &code)?))
            })
            .with_context(|| format!("failed to load plugins.{name}"))
    }

    /// The same engine, with windows of its own.
    fn apart(&self) -> anyhow::Result<Engine> {
        let services = self.engine.services.in_scratch()?;
        Ok(self.engine.clone().with_services(services))
    }

    /// What the plugin is made from, if it is what was pinned and signed.
    fn code(&self, settings: &Settings) -> anyhow::Result<Code> {
        let path = &settings.path;
        let terms = settings.terms();
        let terms = Terms {
            configuration: inline_files(&terms.configuration, Path::new(""))?,
            ..terms
        };
        let pin = settings.sha256.as_deref();
        if !Script::is_one(path) {
            let wasm = self.trusted(path, pin, MAX_COMPONENT_BYTES)?;
            return Ok(Code { wasm, terms });
        }
        let source = self.trusted(path, pin, MAX_SCRIPT_BYTES)?;
        let script = Some(Script::new(path, source)?);
        let runner = self.python.runner.as_ref().with_context(|| {
            format!(
                "{} is source: name what runs it as `runner` in the section [python]",
                path.display()
            )
        })?;
        let wasm = self
            .trusted(runner, self.python.sha256.as_deref(), MAX_COMPONENT_BYTES)
            .context("failed to load python.runner")?;
        let terms = Terms { script, ..terms };
        Ok(Code { wasm, terms })
    }

    /// The bytes of a file, if they are those that were pinned and signed.
    fn trusted(&self, path: &Path, pin: Option<&str>, max: usize) -> anyhow::Result<Vec<u8>> {
        let bytes = read(path, max)?;
        let digest = sha256(&[&bytes]);
        if let Some(pin) = pin {
            ensure!(
                pin == hex(&digest),
                "{} is not the pinned one: its sha256 is {}",
                path.display(),
                hex(&digest)
            );
        }
        let signer = self
            .signers
            .check(path, &digest)
            .with_context(|| path.display().to_string())?;
        tracing::debug!(digest = hex(&digest), signer, "plugin may be loaded");
        Ok(bytes)
    }

    fn component(
        &self,
        engine: &Engine,
        name: &str,
        settings: &Settings,
        code: &Code,
    ) -> anyhow::Result<Component> {
        let component = if code.terms.script.is_some() {
            let runner = self.runner.compiled(engine, &code.wasm)?;
            runner
                .reaching(engine.services.clone())
                .load(name, &code.terms)?
        } else {
            Component::load(engine, name, &code.wasm, &code.terms)?
        };
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
}

/// Reads a component or source, but not one that would be refused for its size anyway.
fn read(path: &Path, max: usize) -> anyhow::Result<Vec<u8>> {
    let failed = || format!("failed to read {}", path.display());
    let size = std::fs::metadata(path).with_context(failed)?.len();
    ensure!(
        size <= max as u64,
        "{} has {size} bytes, at most {max} are loaded",
        path.display()
    );
    std::fs::read(path).with_context(failed)
}
