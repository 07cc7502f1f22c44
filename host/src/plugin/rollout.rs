//! Which plugins are live, and how one takes another's place.
//!
//! A candidate runs in shadow beside the live plugin of its name until enough events were seen, and is
//! then swapped in between two batches, or refused. Rolling back is the same move with the earlier
//! component. Nothing here waits: whoever owns the rollout calls [`Rollout::advance`] now and then.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};

use super::{ChainSlot, Comparison, Component, PluginChain, Shadow, abi::Kind};
use crate::{columns::PathError, config::Problems, mask::Masker};

/// How a changed plugin is tried before it goes live: the section `[reload]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Seconds between two looks at the plugins' files; 0: only on SIGHUP. Default 10; 0 to 3,600.
    pub check_s: u64,
    /// Events that a changed plugin sees in shadow before it goes live. Default 1,000; 1 to 10,000,000.
    pub shadow_events: u64,
    /// Seconds after which it goes live even if it saw fewer. A redaction plugin is not: it waits for the
    /// events. Default 60; 0 to 86,400.
    pub shadow_s: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            check_s: 10,
            shadow_events: 1_000,
            shadow_s: 60,
        }
    }
}

impl Settings {
    /// Reports every value out of its range; `at` is the section's path.
    pub fn validate(&self, at: &str, problems: &mut Problems) {
        problems.range(&format!("{at}.check_s"), self.check_s, 0..=3_600);
        problems.range(
            &format!("{at}.shadow_events"),
            self.shadow_events,
            1..=10_000_000,
        );
        problems.range(&format!("{at}.shadow_s"), self.shadow_s, 0..=86_400);
    }
}

/// A plugin that is to go live.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The plugin, as it would be live.
    pub component: Component,
    /// The same plugin, as it is tried: see [`Loader::load_candidate`](super::Loader::load_candidate).
    pub shadow: Component,
    /// Of a redaction plugin: goes live even where it masks less than the one before.
    pub accept_fewer_masks: bool,
}

/// What became of a candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is live.
    Promoted,
    /// It is gone, and why; the plugin before it goes on.
    Refused(String),
}

/// How one plugin stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// SHA-256 of the live component; none where there is none.
    pub live: Option<String>,
    /// SHA-256 of the component in shadow, and how it compares.
    pub shadow: Option<(String, Comparison)>,
    /// The last decision about a candidate.
    pub decided: Option<Decided>,
}

/// A decision about a candidate, and what it rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// The plugin.
    pub plugin: String,
    /// SHA-256 of the candidate.
    pub digest: String,
    /// What became of it.
    pub decision: Decision,
    /// How it compared with the live plugin.
    pub seen: Comparison,
}

/// Which plugins are live and which in shadow.
#[derive(Debug)]
pub struct Rollout {
    slot: Arc<ChainSlot>,
    settings: Settings,
    /// The fields of each sink.
    fields: Vec<Vec<String>>,
    masker: Arc<Masker>,
    plugins: Mutex<Plugins>,
}

#[derive(Clone, Debug, Default)]
struct Plugins {
    live: Vec<Component>,
    /// Those that stay in shadow.
    shadows: Vec<Shadow>,
    trials: BTreeMap<String, Running>,
    decided: BTreeMap<String, Decided>,
}

/// A candidate in shadow.
#[derive(Clone, Debug)]
struct Running {
    candidate: Candidate,
    shadow: Shadow,
    since_ms: i64,
}

impl Rollout {
    /// Begins with these plugins live and these in shadow for good. `fields` are those of each sink, as
    /// for [`PluginChain::new`].
    ///
    /// # Errors
    /// When a plugin declares a path that is none.
    pub fn new(
        live: Vec<Component>,
        shadows: Vec<Component>,
        fields: Vec<Vec<String>>,
        masker: impl Into<Arc<Masker>>,
        settings: Settings,
    ) -> Result<Self, PathError> {
        let plugins = Plugins {
            live,
            shadows: shadows.into_iter().map(Shadow::new).collect(),
            ..Plugins::default()
        };
        let masker = masker.into();
        let chain = plugins.chain(&fields, &masker)?;
        Ok(Self {
            slot: Arc::new(ChainSlot::new(chain)),
            settings,
            fields,
            masker,
            plugins: Mutex::new(plugins),
        })
    }

    /// The chain that workers follow.
    #[must_use]
    pub fn slot(&self) -> &Arc<ChainSlot> {
        &self.slot
    }

    /// Puts a candidate into shadow; one of the same name that was there before is forgotten.
    ///
    /// # Errors
    /// When it declares a path that is none, or is of another kind than the live plugin of its name.
    pub fn offer(&self, candidate: Candidate, now_ms: i64) -> Result<(), RolloutError> {
        let mut plugins = self.plugins();
        let name = candidate.component.name().to_owned();
        let live = plugins.live.iter().find(|plugin| plugin.name() == name);
        if let Some(live) = live.filter(|live| live.kind() != candidate.component.kind()) {
            return Err(RolloutError::Kind {
                live: live.kind().as_str(),
                candidate: candidate.component.kind().as_str(),
            });
        }
        let shadow = Shadow::new(candidate.shadow.clone());
        let running = Running {
            candidate,
            shadow,
            since_ms: now_ms,
        };
        self.change(&mut plugins, |plugins| {
            plugins
                .shadows
                .retain(|shadow| shadow.component.name() != name);
            plugins.trials.insert(name, running);
        })
    }

    /// Puts a plugin into shadow for good; a live one of its name goes, and one that was in shadow too.
    ///
    /// # Errors
    /// When it declares a path that is none, or the live plugin of its name is a redaction plugin.
    pub fn shadow(&self, component: Component) -> Result<(), RolloutError> {
        let mut plugins = self.plugins();
        let name = component.name().to_owned();
        if plugins.redacts(&name) {
            return Err(RolloutError::Redaction);
        }
        self.change(&mut plugins, |plugins| {
            plugins.forget(&name);
            plugins.shadows.push(Shadow::new(component));
        })
    }

    /// Takes a plugin, and its candidate, out of the chain.
    ///
    /// # Errors
    /// When it is a redaction plugin: events would leave that nobody has judged.
    pub fn remove(&self, name: &str) -> Result<(), RolloutError> {
        let mut plugins = self.plugins();
        if plugins.redacts(name) {
            return Err(RolloutError::Redaction);
        }
        self.change(&mut plugins, |plugins| plugins.forget(name))
    }

    /// Decides on every candidate that was seen enough of. Returns what was decided.
    pub fn advance(&self, now_ms: i64) -> Vec<Decided> {
        let mut plugins = self.plugins();
        let mut ripe: Vec<Decided> = plugins
            .trials
            .iter()
            .filter_map(|(name, running)| {
                let seen = running.shadow.trial.comparison();
                let decision = self.decide(running, &seen, plugins.is_live(name), now_ms)?;
                Some(Decided {
                    plugin: name.clone(),
                    digest: running.candidate.component.digest().to_owned(),
                    decision,
                    seen,
                })
            })
            .collect();
        for decided in &mut ripe {
            let settle = |plugins: &mut Plugins| plugins.settle(decided);
            if let Err(error) = self.change(&mut plugins, settle) {
                decided.decision = Decision::Refused(error.to_string());
                plugins.trials.remove(&decided.plugin);
            }
        }
        ripe
    }

    fn decide(
        &self,
        running: &Running,
        seen: &Comparison,
        replaces: bool,
        now_ms: i64,
    ) -> Option<Decision> {
        let redacts = running.candidate.component.kind() == Kind::Redact;
        if seen.failed > 0 {
            let reason = format!("it failed on {} events in shadow", seen.failed);
            return Some(Decision::Refused(reason));
        }
        if redacts && seen.fewer_masks > 0 && !running.candidate.accept_fewer_masks {
            let reason = format!(
                "it left {} values that the live one masks; `accept_fewer_masks` lets it go live all the same",
                seen.fewer_masks
            );
            return Some(Decision::Refused(reason));
        }
        let waited = now_ms.saturating_sub(running.since_ms) / 1_000;
        let in_time = waited >= i64::try_from(self.settings.shadow_s).unwrap_or(i64::MAX);
        // A redaction plugin where there was none can only mask more.
        let enough =
            seen.events >= self.settings.shadow_events || in_time && !(redacts && replaces);
        enough.then_some(Decision::Promoted)
    }

    /// How every plugin stands, by name.
    #[must_use]
    pub fn status(&self) -> BTreeMap<String, Status> {
        let plugins = self.plugins();
        let running = plugins.trials.values().map(|running| &running.shadow);
        let shadows = plugins.shadows.iter().chain(running);
        let mut all: BTreeMap<String, Status> = BTreeMap::new();
        let empty = Status {
            live: None,
            shadow: None,
            decided: None,
        };
        for plugin in &plugins.live {
            let status = all.entry(plugin.name().to_owned()).or_insert(empty.clone());
            status.live = Some(plugin.digest().to_owned());
        }
        for Shadow { component, trial } in shadows {
            let status = all
                .entry(component.name().to_owned())
                .or_insert(empty.clone());
            status.shadow = Some((component.digest().to_owned(), trial.comparison()));
        }
        for (name, decided) in &plugins.decided {
            let status = all.entry(name.clone()).or_insert(empty.clone());
            status.decided = Some(decided.clone());
        }
        all
    }

    /// Makes the chain after a change; without one that can be made, nothing changes.
    fn change(
        &self,
        plugins: &mut Plugins,
        change: impl FnOnce(&mut Plugins),
    ) -> Result<(), RolloutError> {
        let mut changed = plugins.clone();
        change(&mut changed);
        self.slot.swap(changed.chain(&self.fields, &self.masker)?);
        *plugins = changed;
        Ok(())
    }

    fn plugins(&self) -> MutexGuard<'_, Plugins> {
        self.plugins.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Plugins {
    fn chain(
        &self,
        fields: &[Vec<String>],
        masker: &Arc<Masker>,
    ) -> Result<PluginChain, PathError> {
        let running = self.trials.values().map(|running| &running.shadow);
        let shadows = self.shadows.iter().chain(running).cloned().collect();
        let fields: Vec<Vec<&str>> = fields
            .iter()
            .map(|of_sink| of_sink.iter().map(String::as_str).collect())
            .collect();
        let fields: Vec<&[&str]> = fields.iter().map(Vec::as_slice).collect();
        PluginChain::with_shadows(self.live.clone(), shadows, &fields, Arc::clone(masker))
    }

    fn redacts(&self, name: &str) -> bool {
        let redacts = |plugin: &Component| plugin.name() == name && plugin.kind() == Kind::Redact;
        self.live.iter().any(redacts)
    }

    fn forget(&mut self, name: &str) {
        self.live.retain(|plugin| plugin.name() != name);
        self.shadows
            .retain(|shadow| shadow.component.name() != name);
        self.trials.remove(name);
    }

    fn is_live(&self, name: &str) -> bool {
        self.live.iter().any(|plugin| plugin.name() == name)
    }

    fn settle(&mut self, decided: &Decided) {
        let name = &decided.plugin;
        let Some(running) = self.trials.remove(name) else {
            return;
        };
        self.decided.insert(name.clone(), decided.clone());
        if decided.decision == Decision::Promoted {
            self.live.retain(|plugin| plugin.name() != name);
            self.live.push(running.candidate.component);
        }
    }
}

/// Why a plugin was not changed.
#[derive(Debug, thiserror::Error)]
pub enum RolloutError {
    /// A path that cannot be read.
    #[error(transparent)]
    Path(#[from] PathError),
    /// Another kind would change what its failure means.
    #[error(
        "is of kind {candidate}, the live plugin of this name is of kind {live}: give it another name"
    )]
    Kind {
        /// The live plugin's.
        live: &'static str,
        /// The candidate's.
        candidate: &'static str,
    },
    /// The chain never goes without redaction that it was started with.
    #[error("is a redaction plugin: it is taken away by a restart only")]
    Redaction,
}
