//! One plugin: compiled, described, configured, and ready to be instantiated.

use std::sync::Arc;

use wasmtime::{
    Store,
    component::{HasSelf, Linker},
};

use super::{
    abi,
    compiled::Compiled,
    engine::Engine,
    grants::Grants,
    guest::Guest,
    health::Health,
    image,
    instance::Instance,
    limits::Limits,
    manifest,
    running::{CallError, Running},
    script::Script,
    usage::Started,
};
use crate::text::shown;

/// Largest component that is loaded, in bytes.
pub const MAX_COMPONENT_BYTES: usize = 64 << 20;

/// Why a component was not loaded. The text is fit for a log and says what to do where that is known.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// More bytes than [`MAX_COMPONENT_BYTES`].
    #[error("component has {0} bytes, at most {MAX_COMPONENT_BYTES} are loaded")]
    TooLarge(usize),
    /// Not a component at all.
    #[error("{0}")]
    NotAComponent(&'static str),
    /// Not a component that this engine runs.
    #[error("failed to compile component: {0}")]
    Invalid(String),
    /// Made for another version of the interface.
    #[error("made for {package}@{wants}, this host offers {offers}: {advice}", package = abi::PACKAGE, offers = abi::VERSION)]
    Version {
        /// The version it was made for.
        wants: String,
        /// What to upgrade.
        advice: &'static str,
    },
    /// Wants something that no plugin is given.
    #[error("imports `{0}`: not offered; a plugin may import only {offered} of {package}@{offers}", offered = abi::OFFERED.join(", "), package = abi::PACKAGE, offers = abi::VERSION)]
    Import(String),
    /// Lacks a function, or has one of another shape.
    #[error("does not fit the interface {package}@{offers}: {0}", package = abi::PACKAGE, offers = abi::VERSION)]
    Interface(String),
    /// The image of its memory could not be made.
    #[error("failed to lay out its memory: {0}")]
    Memory(String),
    /// Did not get through its start.
    #[error("failed to {step}: {error}")]
    Start {
        /// Which function was called.
        step: &'static str,
        /// How that ended.
        error: CallError,
    },
    /// Asks for more than the operator grants; what is missing, as it would stand in the configuration.
    #[error("asks for more than `grants` allows: {}", .0.join(", "))]
    NotGranted(Vec<String>),
    /// Does not take its configuration; the plugin's own words.
    #[error("refused its configuration: {0}")]
    Configuration(String),
    /// Says something of itself that cannot be.
    #[error("describes itself wrongly: {0}")]
    Manifest(String),
}

/// On what terms a plugin is loaded: what the operator says of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Terms {
    /// What the plugin's `configure` takes.
    pub configuration: serde_json::Map<String, serde_json::Value>,
    /// What each instance may use up.
    pub limits: Limits,
    /// What it may reach.
    pub grants: Grants,
    /// Where the component is a runner: the source that it is given before anything else.
    pub script: Option<Script>,
}

/// What an instance needs, before the plugin has said anything.
pub(super) struct Prepared {
    pub(super) engine: Engine,
    pub(super) name: Arc<str>,
    pub(super) limits: Limits,
    pub(super) grants: Grants,
    pub(super) pre: abi::PluginPre<Guest>,
    /// What a runner is given first.
    pub(super) script: Option<String>,
}

impl Prepared {
    /// Before the guest is entered.
    pub(super) fn fill(&self, store: &mut Store<Guest>) -> Option<Started> {
        let meters = self.engine.meters.as_ref()?;
        Some(meters.fill(store))
    }

    /// After a batch.
    pub(super) fn measured(&self, started: Option<&Started>, rows: u32, store: &Store<Guest>) {
        if let (Some(meters), Some(started)) = (&self.engine.meters, started) {
            meters.add(started, rows, store);
        }
    }
}

/// One plugin of a chain. Clones share everything.
#[derive(Clone)]
pub struct Component(Arc<Loaded>);

struct Loaded {
    prepared: Arc<Prepared>,
    digest: String,
    imports: Vec<String>,
    description: abi::Description,
    configuration: String,
    subscription: abi::Subscription,
    health: Health,
}

impl Component {
    /// Compiles a component (or takes it from the engine's cache), checks what it imports, and asks a
    /// first instance what it is and what it wants to see.
    ///
    /// `name` is the name it has in the configuration, `wasm` the component's bytes, and `terms` what the
    /// operator says of it.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn load(
        engine: &Engine,
        name: &str,
        wasm: &[u8],
        terms: &Terms,
    ) -> Result<Self, LoadError> {
        Compiled::new(engine, wasm)?.load(name, terms)
    }

    /// What follows once it is compiled.
    pub(super) fn load_compiled(
        engine: &Engine,
        name: &str,
        digest: &str,
        component: &wasmtime::component::Component,
        terms: &Terms,
    ) -> Result<Self, LoadError> {
        manifest::name(name).map_err(LoadError::Manifest)?;
        let imports = imports(engine, component)?;
        let pre = link(engine, component)?;

        engine.ticker.measure(terms.limits.deadline());
        engine.ticker.measure(terms.limits.start());
        let prepared = Arc::new(Prepared {
            engine: engine.clone(),
            name: name.into(),
            limits: terms.limits.clone(),
            grants: terms.grants.clone(),
            pre,
            script: terms.script.as_ref().map(Script::to_json),
        });
        let mut first = Running::start(&prepared).map_err(step("instantiate"))?;
        let description = first.describe().map_err(step("describe"))?;
        manifest::description(&description, name).map_err(LoadError::Manifest)?;
        let configuration = serde_json::Value::Object(terms.configuration.clone()).to_string();
        let subscription = first
            .configure(&configuration)
            .map_err(|error| match error {
                CallError::Refused(reason) => LoadError::Configuration(reason),
                error => LoadError::Start {
                    step: "configure",
                    error,
                },
            })?;
        manifest::subscription(&subscription).map_err(LoadError::Manifest)?;
        let named: Vec<&str> = imports.iter().map(String::as_str).collect();
        let missing = terms.grants.missing(&named, &subscription);
        if !missing.is_empty() {
            return Err(LoadError::NotGranted(missing));
        }
        Ok(Self(Arc::new(Loaded {
            prepared,
            digest: match &terms.script {
                Some(script) => script.digest(),
                None => digest.to_owned(),
            },
            imports,
            description,
            configuration,
            subscription,
            health: Health::default(),
        })))
    }

    /// A fresh instance, configured and ready for batches.
    ///
    /// # Errors
    /// When it does not get through its start, or wants to see something else than at load.
    pub fn instantiate(&self) -> Result<Instance, CallError> {
        let mut running = Running::start(&self.0.prepared)?;
        if running.configure(&self.0.configuration)? != self.0.subscription {
            let changed = "the same configuration led to another subscription";
            return Err(CallError::BadOutput(changed.to_owned()));
        }
        Ok(Instance::new(self.clone(), running))
    }

    /// The name, as configuration and component have it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.prepared.name
    }

    /// The version that the plugin gives itself.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.0.description.version
    }

    /// The kind: its stage, and what its failure means.
    #[must_use]
    pub fn kind(&self) -> abi::Kind {
        self.0.description.kind
    }

    /// SHA-256 of the component's bytes, or of its source where it came as source; in lower-case
    /// hexadecimal.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.0.digest
    }

    /// JSON Schema of the configuration; empty where the plugin gives none.
    #[must_use]
    pub fn schema(&self) -> &str {
        &self.0.description.configuration
    }

    /// What the plugin wants to see under its configuration.
    #[must_use]
    pub fn subscription(&self) -> &abi::Subscription {
        &self.0.subscription
    }

    /// Whether this is the same plugin, loaded once, and not merely one of the same name.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    pub(super) fn health(&self) -> &Health {
        &self.0.health
    }

    /// The interfaces that the plugin calls, by their names in the package: `log`, `state`, `lookup`.
    pub fn calls(&self) -> impl Iterator<Item = &str> {
        let imports = self.0.imports.iter().map(String::as_str);
        imports.filter(|import| abi::OFFERED.contains(import))
    }

    /// Whether the plugin counts over windows.
    pub(super) fn counts(&self) -> bool {
        self.calls().any(|interface| interface == "state")
    }

    /// What the plugin may reach.
    #[must_use]
    pub fn grants(&self) -> &Grants {
        &self.0.prepared.grants
    }

    /// What each instance may use up.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.0.prepared.limits
    }
}

impl std::fmt::Debug for Component {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Component")
            .field("name", &self.name())
            .field("version", &self.version())
            .field("kind", &self.kind())
            .field("digest", &self.digest())
            .finish_non_exhaustive()
    }
}

pub(super) fn step(step: &'static str) -> impl FnOnce(CallError) -> LoadError {
    move |error| LoadError::Start { step, error }
}

/// Tells a component from what is often taken for one, by its first eight bytes.
pub(super) fn is_component(wasm: &[u8]) -> Result<(), LoadError> {
    if wasm.len() > MAX_COMPONENT_BYTES {
        return Err(LoadError::TooLarge(wasm.len()));
    }
    match wasm.get(..8) {
        Some([0, b'a', b's', b'm', 13, 0, 1, 0]) => Ok(()),
        Some([0, b'a', b's', b'm', 1, 0, 0, 0]) => Err(LoadError::NotAComponent(
            "is a core WebAssembly module, not a component: turn it into one with `componentize`",
        )),
        Some([0, b'a', b's', b'm', ..]) => Err(LoadError::NotAComponent(
            "is WebAssembly of an unknown version, not a component: rebuild it with current tools",
        )),
        _ => Err(LoadError::NotAComponent("is not WebAssembly")),
    }
}

pub(super) fn compile(
    engine: &Engine,
    digest: &str,
    wasm: &[u8],
) -> Result<wasmtime::component::Component, LoadError> {
    if let Some(component) = engine
        .cache
        .as_ref()
        .and_then(|cache| cache.load(&engine.wasm, digest))
    {
        return Ok(component);
    }
    let component = wasmtime::component::Component::from_binary(&engine.wasm, wasm)
        .map_err(|error| LoadError::Invalid(shown(&format!("{error:#}"))))?;
    if let Some(cache) = &engine.cache
        && let Err(error) = cache.store(&engine.wasm, digest, &component)
    {
        // The plugin runs all the same; only the next start is slower.
        tracing::warn!(error = %format_args!("{error:#}"), "compiled plugin is not kept");
    }
    Ok(component)
}

/// The interfaces that a component imports. That list is the list of what it can do, so it is checked by
/// name before any linking.
pub(super) fn imports(
    engine: &Engine,
    component: &wasmtime::component::Component,
) -> Result<Vec<String>, LoadError> {
    let component = component.component_type();
    component
        .imports(&engine.wasm)
        .map(|(name, _)| check_import(name).map(ToOwned::to_owned))
        .collect()
}

/// The interface's name within the package.
fn check_import(import: &str) -> Result<&str, LoadError> {
    let refused = || LoadError::Import(shown(import));
    let rest = import
        .strip_prefix(abi::PACKAGE)
        .and_then(|rest| rest.strip_prefix('/'));
    let (interface, version) = rest
        .and_then(|rest| rest.split_once('@'))
        .ok_or_else(refused)?;
    if version != abi::VERSION {
        let advice = if newer(version) {
            "upgrade the host"
        } else {
            "rebuild the plugin"
        };
        return Err(LoadError::Version {
            wants: shown(version),
            advice,
        });
    }
    let offered = abi::OFFERED.contains(&interface) || abi::TYPES.contains(&interface);
    if offered {
        Ok(interface)
    } else {
        Err(refused())
    }
}

/// Whether a version is later than the host's; what cannot be read is taken for it.
fn newer(version: &str) -> bool {
    let numbers = |version: &str| -> Vec<u64> {
        version
            .split('.')
            .map(|part| part.parse().unwrap_or(u64::MAX))
            .collect()
    };
    numbers(version) > numbers(abi::VERSION)
}

/// What is instantiated later, with the image of its memory made.
pub(super) fn link(
    engine: &Engine,
    component: &wasmtime::component::Component,
) -> Result<abi::PluginPre<Guest>, LoadError> {
    let misfit = |error: wasmtime::Error| LoadError::Interface(shown(&format!("{error:#}")));
    let mut linker = Linker::new(&engine.wasm);
    abi::Plugin::add_to_linker::<_, HasSelf<_>>(&mut linker, |guest: &mut Guest| guest)
        .map_err(misfit)?;
    let pre = linker.instantiate_pre(component).map_err(misfit)?;
    let pre = abi::PluginPre::new(pre).map_err(misfit)?;
    image::make(component).map_err(|error| LoadError::Memory(shown(&format!("{error:#}"))))?;
    Ok(pre)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn refused(wasm: &[u8]) -> String {
        let engine = Engine::new(None).unwrap();
        Component::load(&engine, "mine", wasm, &Terms::default())
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn what_is_no_component_is_named_for_what_it_is() {
        assert!(refused(b"\0asm\x01\0\0\0").starts_with("is a core WebAssembly module"));
        assert!(refused(b"\0asm\x0a\0\x01\0").starts_with("is WebAssembly of an unknown version"));
        assert_eq!(refused(b"\x7fELF, or so"), "is not WebAssembly");
        assert_eq!(refused(b""), "is not WebAssembly");
    }

    #[test]
    fn garbage_behind_the_right_first_bytes_is_refused() {
        assert!(refused(b"\0asm\x0d\0\x01\0garbage").starts_with("failed to compile component: "));
    }

    #[test]
    fn a_component_that_exports_nothing_is_told_what_it_lacks() {
        let text = refused(b"\0asm\x0d\0\x01\0");
        assert!(
            text.starts_with("does not fit the interface sluicegate:plugin@0.1.0: "),
            "{text}"
        );
    }

    #[test]
    fn a_huge_file_is_refused_before_it_is_compiled() {
        let text = refused(&vec![0; MAX_COMPONENT_BYTES + 1]);
        assert_eq!(
            text,
            "component has 67108865 bytes, at most 67108864 are loaded"
        );
    }

    #[test]
    fn only_our_own_interfaces_may_be_imported() {
        for import in ["log", "state", "lookup", "types", "manifest"] {
            check_import(&format!("sluicegate:plugin/{import}@0.1.0")).unwrap();
        }
        let text = |import: &str| check_import(import).unwrap_err().to_string();
        assert_eq!(
            text("wasi:filesystem/types@0.2.0"),
            "imports `wasi:filesystem/types@0.2.0`: not offered; a plugin may import only log, state, lookup of sluicegate:plugin@0.1.0"
        );
        assert!(text("sluicegate:plugin/network@0.1.0").contains("not offered"));
        assert!(text("sluicegate:plugins/log@0.1.0").contains("not offered"));
        assert!(text("env").contains("not offered"));
    }

    #[test]
    fn another_version_says_which_side_to_upgrade() {
        let text = |import: &str| check_import(import).unwrap_err().to_string();
        assert_eq!(
            text("sluicegate:plugin/log@0.2.0"),
            "made for sluicegate:plugin@0.2.0, this host offers 0.1.0: upgrade the host"
        );
        assert!(text("sluicegate:plugin/types@0.0.9").ends_with("rebuild the plugin"));
        assert!(text("sluicegate:plugin/types@1.0.0-rc.1").ends_with("upgrade the host"));
    }
}
