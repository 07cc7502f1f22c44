//! The interface `state`: what plugins count over windows of event time.
//!
//! A plugin names rows; who an event is and when it happened is said by the host.

use super::{
    abi::host::state,
    guest::Guest,
    reach::{Misuse, Reach},
};
use crate::ledger::windows::{
    Entry, MAX_RECENT, MAX_WINDOW_S, Namespace, Observation, Span, Window, WindowsError,
};

/// Entries that one call of `recent` may ask for, over all its keys.
const MOST_ENTRIES: u64 = 16 * MAX_RECENT as u64;

type Answer<T> = Result<Result<T, state::Error>, Misuse>;

impl state::Host for Guest {
    fn observe(
        &mut self,
        observations: Vec<state::Observation>,
    ) -> wasmtime::Result<Result<Vec<state::Window>, state::Error>> {
        Ok(self.reach.observe(observations)?)
    }

    fn recent(
        &mut self,
        keys: Vec<String>,
        window_s: u32,
        limit: u32,
    ) -> wasmtime::Result<Result<Vec<Vec<state::Entry>>, state::Error>> {
        Ok(self.reach.recent(&keys, window_s, limit))
    }
}

impl Reach {
    fn observe(&mut self, asked: Vec<state::Observation>) -> Answer<Vec<state::Window>> {
        let Some(batch) = &self.batch else {
            return Ok(Err(state::Error::Unavailable));
        };
        for observation in &asked {
            if observation.row >= batch.rows {
                let (row, rows) = (observation.row, batch.rows);
                return Err(Misuse(format!("observed row {row} of a batch of {rows}")));
            }
            if !observation.value.is_finite() {
                return Err(Misuse(
                    "observed a value that is no finite number".to_owned(),
                ));
            }
        }
        Ok(self.count(asked))
    }

    fn count(
        &mut self,
        asked: Vec<state::Observation>,
    ) -> Result<Vec<state::Window>, state::Error> {
        let store = self.store("observe")?;
        self.take_operations(asked.len())?;
        let namespace = Namespace {
            plugin: &self.plugin,
            keys: self.limits.state_keys,
            entries: self.limits.state_entries,
        };
        let batch = self.batch.as_mut().ok_or(state::Error::Unavailable)?;
        let counted = batch.timed(self.limits.state_time(), |batch, deadline| {
            let observations: Vec<Observation> = asked
                .into_iter()
                .map(|asked| Observation {
                    event: batch.events[asked.row as usize],
                    key: asked.key,
                    member: asked.member,
                    value: asked.value,
                    window_s: asked.window_s,
                })
                .collect();
            store.observe(&namespace, &observations, deadline)
        });
        let counted = self.answered("observe", counted)?;
        Ok(counted.into_iter().map(state::Window::from).collect())
    }

    fn recent(
        &mut self,
        keys: &[String],
        window_s: u32,
        limit: u32,
    ) -> Result<Vec<Vec<state::Entry>>, state::Error> {
        let store = self.store("recent")?;
        let limit = limit.min(MAX_RECENT);
        if keys.len() as u64 * u64::from(limit) > MOST_ENTRIES {
            let text = format!("more than {MOST_ENTRIES} entries in one call, ask for fewer keys");
            return Err(state::Error::Quota(text));
        }
        if !(1..=MAX_WINDOW_S).contains(&window_s) {
            let text = format!("a window must have 1 to {MAX_WINDOW_S} seconds, got {window_s}");
            return Err(state::Error::Quota(text));
        }
        self.take_operations(keys.len())?;
        let batch = self.batch.as_mut().ok_or(state::Error::Unavailable)?;
        // As of the newest event at hand: not of the newest there is, which could be one of tomorrow.
        let newest = batch.events.iter().map(|event| event.time_ms).max();
        let until_ms = newest.ok_or(state::Error::Unavailable)?;
        let span = Span {
            after_ms: until_ms.saturating_sub(i64::from(window_s) * 1_000),
            until_ms,
        };
        let plugin = &self.plugin;
        let found = batch.timed(self.limits.state_time(), |_, deadline| {
            store.recent(plugin, keys, span, limit, deadline)
        });
        let found = self.answered("recent", found)?.into_iter();
        Ok(found
            .map(|entries| entries.into_iter().map(state::Entry::from).collect())
            .collect())
    }

    /// The store, where this plugin may use it and the host has told who the events are.
    fn store(
        &mut self,
        call: &str,
    ) -> Result<std::sync::Arc<dyn crate::ledger::Windows>, state::Error> {
        let batch = self.batch.as_ref().ok_or(state::Error::Unavailable)?;
        let why = match &self.services.windows {
            None => "this host keeps no windows",
            Some(_) if !self.grants.state => "not granted",
            Some(_) if batch.events.len() != batch.rows as usize => {
                "the events of this batch have no identity"
            }
            Some(windows) => return Ok(std::sync::Arc::clone(windows)),
        };
        self.unanswered(call, &why);
        Err(state::Error::Unavailable)
    }

    fn take_operations(&mut self, count: usize) -> Result<(), state::Error> {
        let batch = self.batch.as_mut().ok_or(state::Error::Unavailable)?;
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let left = batch.state_left.checked_sub(count).ok_or_else(|| {
            let limit = self.limits.state_operations;
            state::Error::Quota(format!("more than {limit} operations in one batch"))
        })?;
        batch.state_left = left;
        Ok(())
    }

    fn answered<T>(
        &mut self,
        call: &str,
        result: Result<T, WindowsError>,
    ) -> Result<T, state::Error> {
        result.map_err(|error| match error {
            WindowsError::Quota(text) => state::Error::Quota(text),
            WindowsError::Unavailable(error) => {
                self.unanswered(call, &error);
                state::Error::Unavailable
            }
        })
    }
}

impl From<Window> for state::Window {
    fn from(window: Window) -> Self {
        Self {
            events: window.events,
            members: window.members,
            sum: window.sum,
            first: window.first,
        }
    }
}

impl From<Entry> for state::Entry {
    fn from(entry: Entry) -> Self {
        Self {
            // An event from before 1970 is of 1970.
            time_ms: u64::try_from(entry.time_ms).unwrap_or_default(),
            member: entry.member,
            value: entry.value,
        }
    }
}
