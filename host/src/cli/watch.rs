//! Looks after the plugins while the host runs: a changed file (the component, or one that its
//! configuration names), or a changed section after SIGHUP, is loaded, tried in shadow, and goes live or is
//! refused.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::sync::Notify;

use super::Configured;
use crate::{
    config::Config,
    pipeline::Pipeline,
    plugin::{self, Candidate, Component, Loader, inline, trust},
    text::shown,
};

/// What is looked after, and what was last seen of it.
pub(super) struct Watch {
    configured: Configured,
    config: Config,
    loader: Loader,
    pipeline: Arc<Pipeline>,
    seen: BTreeMap<String, Seen>,
}

/// What a plugin was last loaded from, whether that went well or not.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    settings: plugin::Settings,
    component: Option<Stamp>,
    signature: Option<Stamp>,
    /// What the configuration takes files from.
    files: Vec<inline::Stamp>,
}

/// Tells a file from what it was before; none where there is no file.
type Stamp = (SystemTime, u64);

impl Seen {
    fn now(settings: &plugin::Settings) -> Self {
        Self {
            settings: settings.clone(),
            component: stamp(&settings.path),
            signature: stamp(&trust::beside(&settings.path)),
            files: inline::stamps(&settings.configuration, Path::new("")),
        }
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let about = std::fs::metadata(path).ok()?;
    Some((about.modified().ok()?, about.len()))
}

impl Watch {
    /// Begins with the plugins as they were just loaded.
    pub(super) fn new(
        configured: &Configured,
        config: Config,
        loader: Loader,
        pipeline: &Arc<Pipeline>,
    ) -> Self {
        let seen = config.plugins.iter();
        Self {
            seen: seen
                .map(|(name, settings)| (name.clone(), Seen::now(settings)))
                .collect(),
            configured: configured.clone(),
            config,
            loader,
            pipeline: Arc::clone(pipeline),
        }
    }

    /// Looks now and then, and whenever `reload` says so. Never ends.
    pub(super) async fn run(mut self, reload: Arc<Notify>) -> Infallible {
        loop {
            let every = Duration::from_secs(self.config.reload.check_s);
            tokio::select! {
                () = tokio::time::sleep(every), if !every.is_zero() => {}
                () = reload.notified() => self.read_configuration(),
            }
            self.look().await;
        }
    }

    /// Takes over the sections of plugins from the configuration as it is now.
    fn read_configuration(&mut self) {
        let config = match self.configured.read() {
            Ok(config) => config,
            Err(problems) => {
                for problem in problems.lines() {
                    tracing::error!(
                        problem = shown(problem),
                        "configuration is wrong; the one before it stays"
                    );
                }
                return;
            }
        };
        let rest = |config: &Config| {
            let mut rest = config.clone();
            rest.plugins.clear();
            format!("{rest:?}")
        };
        if rest(&config) != rest(&self.config) {
            tracing::warn!("only plugins are read anew; what else has changed waits for a restart");
        }
        let gone = self.config.plugins.keys();
        for name in gone.filter(|name| !config.plugins.contains_key(*name)) {
            self.seen.remove(name);
            match self.pipeline.plugins().remove(name) {
                Ok(()) => tracing::info!(plugin = name, "plugin is no longer configured"),
                Err(error) => tracing::error!(plugin = name, %error, "plugin stays"),
            }
        }
        self.config.plugins = config.plugins;
    }

    /// Loads what has changed.
    async fn look(&mut self) {
        for (name, settings) in self.config.plugins.clone() {
            let now = Seen::now(&settings);
            if self.seen.get(&name) == Some(&now) {
                continue;
            }
            self.seen.insert(name.clone(), now);
            let loader = self.loader.clone();
            let (of, terms) = (name.clone(), settings.clone());
            // Compiling takes as long as it takes, and nobody waits for it.
            let load = move || loader.load_candidate(&of, &terms);
            match tokio::task::spawn_blocking(load).await {
                Ok(Ok((component, shadow))) => self.offer(&name, &settings, component, shadow),
                Ok(Err(error)) => {
                    let error = shown(&format!("{error:#}"));
                    tracing::error!(
                        plugin = name,
                        error,
                        "changed plugin is refused; the one before it goes on"
                    );
                }
                Err(error) => tracing::error!(plugin = name, %error, "loading a plugin panicked"),
            }
        }
    }

    fn offer(
        &self,
        name: &str,
        settings: &plugin::Settings,
        component: Component,
        shadow: Component,
    ) {
        let (version, digest) = (
            component.version().to_owned(),
            component.digest().to_owned(),
        );
        let plugins = self.pipeline.plugins();
        let offered = if settings.shadow {
            plugins.shadow(shadow)
        } else {
            plugins.offer(
                Candidate {
                    accept_fewer_masks: settings.accept_fewer_masks.as_deref() == Some(&digest),
                    component,
                    shadow,
                },
                self.pipeline.now_ms(),
            )
        };
        match offered {
            Ok(()) => tracing::info!(
                plugin = name,
                version,
                digest,
                "changed plugin is in shadow"
            ),
            Err(error) => {
                tracing::error!(plugin = name, version, digest, %error, "changed plugin is refused");
            }
        }
    }
}
