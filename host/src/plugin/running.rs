//! A component in its store: the one place where guest code is entered.

use std::{sync::Arc, time::Duration};

use wasmtime::{Store, Trap};

use super::{
    abi,
    component::Prepared,
    guest::{Denied, Guest, tick},
    reach::{Misuse, Reach},
};
use crate::{ledger::windows::EventMark, text::shown};

/// Handles to resources that a component may hold. The interface has no resources, so it needs none.
const HANDLES: usize = 16;

/// What `describe` and `configure` may hand back, in bytes: a subscription can name thousands of rules.
const START_OUTPUT: usize = 32 << 20;

/// Why a plugin did not do what it was called for. The text is fit for a log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The plugin stopped itself: a panic, or an instruction that cannot be executed.
    #[error("trapped: {0}")]
    Trap(String),
    /// The plugin ran longer than it may.
    #[error("exceeded {} ms", .0.as_millis())]
    Deadline(Duration),
    /// The plugin needed more than it may have.
    #[error("wanted more than {0}")]
    OutOfMemory(Denied),
    /// The plugin said that it cannot.
    #[error("refused: {0}")]
    Refused(String),
    /// What the plugin returned is not what a plugin of its kind may return.
    #[error("returned bad output: {0}")]
    BadOutput(String),
}

/// A component in its store.
pub(super) struct Running {
    store: Store<Guest>,
    plugin: abi::Plugin,
    prepared: Arc<Prepared>,
    entered: bool,
}

impl Running {
    /// Instantiates, under limits from the first instruction on.
    pub(super) fn start(prepared: &Arc<Prepared>) -> Result<Self, CallError> {
        let (name, limits) = (&prepared.name, &prepared.limits);
        let mut guest = Guest::new(name, limits, &prepared.engine.budget);
        guest.reach = Reach::new(name, limits, &prepared.grants, &prepared.engine.services);
        let mut store = Store::new(&prepared.engine.wasm, guest);
        store.limiter(|guest| &mut guest.meter);
        store.set_max_component_handles(HANDLES);
        store.set_hostcall_fuel(START_OUTPUT);
        let ticker = prepared.engine.ticker.clone();
        store.epoch_deadline_callback(move |store| Ok(tick(store, ticker.period())));

        let allowed = prepared.limits.start();
        begin(&mut store, allowed);
        prepared.fill(&mut store);
        let plugin = prepared.pre.instantiate(&mut store);
        store.data_mut().end();
        let plugin = plugin.map_err(|error| {
            cause(&error, store.data(), allowed).unwrap_or_else(CallError::Trap)
        })?;
        let mut running = Self {
            store,
            plugin,
            prepared: Arc::clone(prepared),
            entered: false,
        };
        if let Some(script) = &prepared.script {
            running.enter_configure(script)?;
        }
        Ok(running)
    }

    /// Asks the plugin what it is.
    pub(super) fn describe(&mut self) -> Result<abi::Description, CallError> {
        self.call(self.prepared.limits.start(), |plugin, store| {
            plugin.call_describe(store)
        })
    }

    /// Hands the plugin its configuration. From here on only a batch's output is expected of it.
    pub(super) fn configure(&mut self, json: &str) -> Result<abi::Subscription, CallError> {
        let subscription = self.enter_configure(json)?;
        self.store
            .set_hostcall_fuel(self.prepared.limits.output_bytes);
        Ok(subscription)
    }

    fn enter_configure(&mut self, json: &str) -> Result<abi::Subscription, CallError> {
        let allowed = self.prepared.limits.start();
        self.call(allowed, |plugin, store| plugin.call_configure(store, json))?
            .map_err(|reason| CallError::Refused(shown(&reason)))
    }

    /// Hands the plugin a batch. `events` says who the rows are, for plugins that count.
    pub(super) fn process(
        &mut self,
        batch: &abi::Batch,
        events: Vec<EventMark>,
    ) -> Result<abi::Outcome, CallError> {
        let bytes: usize = batch.columns.iter().map(|column| column.data.len()).sum();
        let allowed = self
            .prepared
            .limits
            .allowed(batch.rows.into(), bytes as u64);
        let prepared = Arc::clone(&self.prepared);
        self.store.data_mut().reach.begin(batch.rows, events);
        let outcome = self.call(allowed, |plugin, store| {
            let started = prepared.fill(store);
            let outcome = plugin.call_process(&mut *store, batch)?;
            prepared.measured(started.as_ref(), batch.rows, store);
            Ok(outcome)
        });
        self.store.data_mut().reach.end();
        outcome?.map_err(|reason| CallError::Refused(shown(&reason)))
    }

    /// Linear memory held now, in bytes.
    pub(super) fn memory_bytes(&self) -> usize {
        self.store.data().meter.memory()
    }

    /// Whether a call did not come back, so that there can be no other.
    pub(super) fn is_dead(&self) -> bool {
        self.entered
    }

    /// Enters the guest. However this is left, by a panic of the host included, only a call that came
    /// back with a value makes another possible.
    fn call<T>(
        &mut self,
        allowed: Duration,
        enter: impl FnOnce(&abi::Plugin, &mut Store<Guest>) -> wasmtime::Result<T>,
    ) -> Result<T, CallError> {
        if self.entered {
            return Err(CallError::Trap(
                "an earlier call of this instance failed".to_owned(),
            ));
        }
        self.entered = true;
        begin(&mut self.store, allowed);
        self.prepared.fill(&mut self.store);
        let result = enter(&self.plugin, &mut self.store);
        self.store.data_mut().end();
        let value = result.map_err(|error| {
            cause(&error, self.store.data(), allowed).unwrap_or_else(CallError::BadOutput)
        })?;
        self.entered = false;
        Ok(value)
    }
}

/// Sets what the next entry may use; without this the guest would be stopped at once.
fn begin(store: &mut Store<Guest>, allowed: Duration) {
    store.data_mut().begin(allowed);
    store.set_epoch_deadline(1);
}

/// Why a call did not come back with a value, or the engine's text where it was not the guest's code that
/// ended it.
fn cause(error: &wasmtime::Error, guest: &Guest, allowed: Duration) -> Result<CallError, String> {
    if let Some(Misuse(what)) = error.downcast_ref() {
        return Ok(CallError::BadOutput(what.clone()));
    }
    match (error.downcast_ref::<Trap>(), guest.meter.denied()) {
        (Some(Trap::Interrupt), _) => Ok(CallError::Deadline(allowed)),
        (_, Some(denied)) => Ok(CallError::OutOfMemory(denied)),
        (Some(trap), None) => Ok(CallError::Trap(
            trap.to_string()
                .trim_start_matches("wasm trap: ")
                .to_owned(),
        )),
        (None, None) => Err(unreadable(error)),
    }
}

fn unreadable(error: &wasmtime::Error) -> String {
    let text = format!("{error:#}");
    if text.contains("fuel allocated for hostcalls has been exhausted") {
        // The engine has no public type for this one.
        return "more bytes than it may hand over in one call".to_owned();
    }
    shown(&text)
}
