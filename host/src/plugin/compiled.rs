//! A component that was compiled and nothing else: what can be known of a plugin without configuring it.

use std::sync::Arc;

use super::{
    abi,
    component::{
        Component, LoadError, Prepared, Terms, compile, imports, is_component, link, step,
    },
    engine::Engine,
    grants::Grants,
    limits::Limits,
    manifest,
    reach::Services,
    running::Running,
};
use crate::{
    digest::{hex, sha256},
    text::shown,
};

/// A compiled component. It can be loaded any number of times, under any configuration.
pub struct Compiled {
    engine: Engine,
    digest: String,
    component: wasmtime::component::Component,
}

impl Compiled {
    /// Compiles a component, or takes it from the engine's cache.
    ///
    /// # Errors
    /// When the bytes are no component that this engine runs. What it imports is not looked at.
    pub fn new(engine: &Engine, wasm: &[u8]) -> Result<Self, LoadError> {
        is_component(wasm)?;
        let digest = hex(&sha256(&[wasm]));
        let component = compile(engine, &digest, wasm)?;
        Ok(Self {
            engine: engine.clone(),
            digest,
            component,
        })
    }

    /// The same component, with other things in reach of what is loaded from it.
    #[must_use]
    pub fn reaching(&self, services: Services) -> Self {
        Self {
            engine: self.engine.clone().with_services(services),
            digest: self.digest.clone(),
            component: self.component.clone(),
        }
    }

    /// See [`Component::load`].
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn load(&self, name: &str, terms: &Terms) -> Result<Component, LoadError> {
        Component::load_compiled(&self.engine, name, &self.digest, &self.component, terms)
    }

    /// SHA-256 of the component's bytes, in lower-case hexadecimal.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Full names of what the component imports, in its own order, fit to be shown. That list is the list
    /// of what it can do; it may hold what this host does not offer.
    #[must_use]
    pub fn imports(&self) -> Vec<String> {
        let component = self.component.component_type();
        component
            .imports(&self.engine.wasm)
            .map(|(name, _)| shown(name))
            .collect()
    }

    /// The version of the interface that the component was made for; nothing where it names none.
    #[must_use]
    pub fn abi_version(&self) -> Option<String> {
        self.imports().iter().find_map(|import| {
            let rest = import.strip_prefix(abi::PACKAGE)?.strip_prefix('/')?;
            Some(rest.split_once('@')?.1.to_owned())
        })
    }

    /// Links the component, starts it, and asks what it is, under the limits of a plugin that nothing is
    /// said about.
    ///
    /// # Errors
    /// When this host cannot run the component, or it describes itself wrongly.
    pub fn describe(&self) -> Result<abi::Description, LoadError> {
        imports(&self.engine, &self.component)?;
        let prepared = Arc::new(Prepared {
            engine: self.engine.clone(),
            name: "unnamed".into(),
            limits: Limits::default(),
            grants: Grants::default(),
            pre: link(&self.engine, &self.component)?,
            script: None,
        });
        self.engine.ticker.measure(prepared.limits.start());
        let mut first = Running::start(&prepared).map_err(step("instantiate"))?;
        let description = first.describe().map_err(step("describe"))?;
        manifest::description(&description, &description.name).map_err(LoadError::Manifest)?;
        Ok(description)
    }
}

impl std::fmt::Debug for Compiled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compiled")
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}
