//! One instance of a plugin: takes batches until it is spent.

use super::{
    abi,
    component::Component,
    output,
    running::{CallError, Running},
};
use crate::ledger::windows::EventMark;

/// A running plugin, for one thread at a time.
///
/// It is kept from batch to batch, because a fresh instance for each would cost more than most plugins
/// do. A failed call ends it: what is left in its memory cannot be relied on, and after a trap a
/// component can never be entered again.
pub struct Instance {
    component: Component,
    running: Running,
    /// Linear memory when it was ready for batches, in bytes.
    memory_at_start: usize,
    batches_left: u64,
    bad_output: bool,
}

impl Instance {
    pub(super) fn new(component: Component, running: Running) -> Self {
        Self {
            memory_at_start: running.memory_bytes(),
            batches_left: component.limits().recycle_after(),
            bad_output: false,
            component,
            running,
        }
    }

    /// Hands the plugin a batch, whose columns stand in the order of the subscription's fields.
    ///
    /// In the outcome every row lies in the batch, every column is sound, every path is a JSON Pointer
    /// and the lists are those of the plugin's kind; texts of findings that were too long have been cut.
    ///
    /// # Errors
    /// See [`CallError`]; the instance is then spent, unless the plugin merely refused. The words in which
    /// a redaction plugin refuses are not passed on.
    pub fn process(&mut self, batch: &abi::Batch) -> Result<abi::Outcome, CallError> {
        self.process_events(batch, Vec::new())
    }

    /// The same for a plugin that counts: `events` says of each row who it is and when it happened.
    /// Without that such a plugin is told that its windows are unavailable.
    ///
    /// # Errors
    /// See [`process`](Self::process).
    pub fn process_events(
        &mut self,
        batch: &abi::Batch,
        events: Vec<EventMark>,
    ) -> Result<abi::Outcome, CallError> {
        self.batches_left = self.batches_left.saturating_sub(1);
        let mut outcome = self
            .running
            .process(batch, events)
            .map_err(|error| match error {
                // An honest plugin may well say which text it stumbled over, and these texts are secret.
                CallError::Refused(_) if self.component.kind() == abi::Kind::Redact => {
                    CallError::Refused(
                        "for a reason that is not shown, it may hold secrets".to_owned(),
                    )
                }
                error => error,
            })?;
        let promise = output::Promise {
            kind: self.component.kind(),
            plugin: self.component.name(),
            rows: batch.rows,
            findings: self.component.limits().findings,
            grants: self.component.grants(),
        };
        match output::check(&promise, &mut outcome) {
            Ok(()) => Ok(outcome),
            Err(what) => {
                self.bad_output = true;
                Err(CallError::BadOutput(what))
            }
        }
    }

    /// Whether the instance must be replaced: after a failed call, after as many batches as it drew at
    /// its start, or when it has grown to three quarters of its memory.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        let memory = self.memory_bytes();
        let grown =
            memory > self.memory_at_start && memory >= self.component.limits().memory_bytes / 4 * 3;
        self.running.is_dead() || self.bad_output || self.batches_left == 0 || grown
    }

    /// Linear memory that the instance holds, in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.running.memory_bytes()
    }

    /// The plugin that this is an instance of.
    #[must_use]
    pub fn component(&self) -> &Component {
        &self.component
    }
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Instance")
            .field("plugin", &self.component.name())
            .field("memory_bytes", &self.memory_bytes())
            .field("batches_left", &self.batches_left)
            .finish_non_exhaustive()
    }
}
