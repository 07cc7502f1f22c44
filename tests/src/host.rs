//! The host under test: the real pipeline with real plugins, in this process.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::config::{Credentials, SharedCredentialsProvider};
use serde_json::json;
use sluicegate::{
    clock,
    deadletter::DeadLetter,
    findings, guard,
    ledger::{Ledger, Sqlite},
    mask::Masker,
    pipeline::{self, Pipeline, Plan, SinkPlan},
    plugin::{Component, Engine, Limits, LoadError, ReloadSettings, Rollout, Terms},
    sink::{
        Accept, Sink,
        datadog_logs::{self, DatadogLogs},
        delivery,
        file::{self, FileSink},
        security_hub,
        splunk_hec::{self, SplunkHec},
    },
    source::{Source, notification::Trust},
    store::{Folder, Store},
    telemetry::Snapshot,
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::servers::{Datadog, SecurityHub, Splunk};

/// The plugins that come with the host.
pub const PLUGINS: [&str; 3] = ["enrich-context", "detect-cloudtrail", "redaction-check"];

/// The folder of real events and published rules: `SLUICEGATE_CORPUS`, by default `../shared/data` beside
/// the repository. Nothing, and a line that says so, where it is not there.
#[must_use]
pub fn corpus() -> Option<PathBuf> {
    let folder = std::env::var_os("SLUICEGATE_CORPUS")
        .map_or_else(|| root().join("../shared/data"), PathBuf::from);
    if !folder.is_dir() {
        eprintln!(
            "SKIPPED: no corpus at {}; SLUICEGATE_CORPUS names another folder",
            folder.display()
        );
        return None;
    }
    Some(folder)
}

/// The workspace's root.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A plugin with this configuration, from `dist/<folder>`.
///
/// # Panics
/// When it was not built, or does not start.
#[must_use]
pub fn component(
    engine: &Engine,
    folder: &str,
    name: &str,
    configuration: &serde_json::Value,
) -> Component {
    let terms = Terms {
        configuration: configuration.as_object().expect("an object").clone(),
        limits: patient(),
        ..Terms::default()
    };
    load(engine, folder, name, &terms).unwrap_or_else(|error| panic!("{name}: {error:?}"))
}

/// A plugin from `dist/<folder>`, on these terms.
///
/// # Errors
/// When it does not start.
///
/// # Panics
/// When it was not built.
pub fn load(
    engine: &Engine,
    folder: &str,
    name: &str,
    terms: &Terms,
) -> Result<Component, LoadError> {
    let path = root()
        .join("dist")
        .join(folder)
        .join(name)
        .with_extension("wasm");
    let wasm = std::fs::read(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; run `make plugins guests`", path.display()));
    Component::load(engine, name, &wasm, terms)
}

/// The limits of a plugin in a test: the machine is loaded, and several tests run at a time.
#[must_use]
pub fn patient() -> Limits {
    Limits {
        deadline_ms: 5_000,
        start_ms: 5_000,
        state_ms: 5_000,
        ..Limits::default()
    }
}

/// An engine that keeps what it compiled for the tests after.
///
/// # Panics
/// When wasmtime gives none.
#[must_use]
pub fn engine() -> Engine {
    Engine::new(Some(root().join("target/tmp/plugin-cache"))).expect("wasmtime has an engine")
}

/// The plugins that come with the host, with their defaults.
#[must_use]
pub fn plugins(engine: &Engine) -> Vec<Component> {
    PLUGINS
        .iter()
        .map(|name| component(engine, "plugins", name, &json!({})))
        .collect()
}

/// What a host is made of; sinks are added one by one.
pub struct Setup {
    source: Arc<dyn Source>,
    trust: Trust,
    plugins: Vec<Component>,
    shadows: Vec<Component>,
    reload: ReloadSettings,
    sinks: Vec<SinkPlan>,
    settings: pipeline::Settings,
    findings: findings::Settings,
    ledger: Option<Arc<dyn Ledger>>,
    folder: tempfile::TempDir,
}

impl Setup {
    /// A host that reads from `source`, trusts `bucket`, and has no plugin and no sink.
    ///
    /// # Panics
    /// When there is no folder for temporary files.
    #[must_use]
    pub fn new(source: Arc<dyn Source>, bucket: &str) -> Self {
        Self {
            source,
            trust: Trust::new([bucket]),
            plugins: Vec::new(),
            shadows: Vec::new(),
            reload: ReloadSettings::default(),
            sinks: Vec::new(),
            settings: pipeline::Settings {
                retry_pending_s: 1,
                ..pipeline::Settings::default()
            },
            findings: findings::Settings {
                update_interval_s: 1,
            },
            ledger: None,
            folder: tempfile::tempdir().expect("a folder for temporary files"),
        }
    }

    /// Adds plugins.
    #[must_use]
    pub fn plugins(mut self, plugins: Vec<Component>) -> Self {
        self.plugins.extend(plugins);
        self
    }

    /// Adds plugins whose say is counted and not applied.
    #[must_use]
    pub fn shadows(mut self, shadows: Vec<Component>) -> Self {
        self.shadows.extend(shadows);
        self
    }

    /// Sets how plugins that change are tried.
    #[must_use]
    pub fn reload(mut self, reload: ReloadSettings) -> Self {
        self.reload = reload;
        self
    }

    /// Takes this ledger instead of a file of its own.
    #[must_use]
    pub fn ledger(mut self, ledger: Arc<dyn Ledger>) -> Self {
        self.ledger = Some(ledger);
        self
    }

    /// Goes on with the ledger and the store that another host has left behind. For a setup without secrets:
    /// the folder is that host's.
    #[must_use]
    pub fn left_by(mut self, before: Drained) -> Self {
        self.folder = before.folder;
        self
    }

    /// Changes limits.
    #[must_use]
    pub fn settings(mut self, change: impl FnOnce(&mut pipeline::Settings)) -> Self {
        change(&mut self.settings);
        self
    }

    /// Adds a sink under a name.
    #[must_use]
    pub fn sink(mut self, name: &str, sink: Arc<dyn Sink>, accept: &[Accept]) -> Self {
        let delivery = delivery::Settings {
            linger_ms: 50,
            requests_per_second: if name == "security_hub" { 10 } else { 1000 },
            burst: if name == "security_hub" { 30 } else { 1000 },
            retry_initial_ms: 20,
            retry_max_ms: 300,
            hold_after_s: 20,
            probe_interval_s: 1,
            ..delivery::Settings::default()
        };
        self.sinks.push(SinkPlan {
            name: name.into(),
            sink,
            accept: accept.to_vec(),
            clauses: Vec::new(),
            delivery,
            egress_guard: guard::Mode::default(),
        });
        self
    }

    /// Lets only events that match these clauses pass to the sink that was added last.
    ///
    /// # Panics
    /// When there is none, or when these are no clauses.
    #[must_use]
    pub fn matching(mut self, clauses: serde_json::Value) -> Self {
        let last = self.sinks.last_mut().expect("a sink");
        last.clauses = serde_json::from_value(clauses).expect("clauses");
        self
    }

    /// Has the sinks that were added so far do this with secrets that are found at the last look.
    #[must_use]
    pub fn egress_guard(mut self, mode: guard::Mode) -> Self {
        for sink in &mut self.sinks {
            sink.egress_guard = mode;
        }
        self
    }

    /// Adds the collector as `splunk`.
    ///
    /// # Panics
    /// When the sink refuses its settings.
    #[must_use]
    pub fn splunk(self, splunk: &Splunk) -> Self {
        let token = self.secret("splunk-token", splunk.token());
        let settings: splunk_hec::Settings = settings(&json!({
            "endpoint": splunk.url(), "token_file": token, "request_timeout_ms": 2000,
        }));
        self.sink(
            "splunk",
            Arc::new(SplunkHec::new(&settings).expect("a sink")),
            &Accept::events_and_findings(),
        )
    }

    /// Adds the intake as `datadog`.
    ///
    /// # Panics
    /// When the sink refuses its settings.
    #[must_use]
    pub fn datadog(self, datadog: &Datadog) -> Self {
        let key = self.secret("datadog-key", datadog.token());
        let settings: datadog_logs::Settings = settings(&json!({
            "endpoint": datadog.url(), "api_key_file": key, "request_timeout_ms": 2000,
        }));
        self.sink(
            "datadog",
            Arc::new(DatadogLogs::new(&settings).expect("a sink")),
            &Accept::events_and_findings(),
        )
    }

    /// Adds the hub as `security_hub`.
    ///
    /// # Panics
    /// When the sink refuses its settings.
    #[must_use]
    pub fn security_hub(self, hub: &SecurityHub) -> Self {
        let settings: security_hub::Settings = settings(&json!({
            "region": hub.region(), "account_id": hub.account(), "endpoint_url": hub.url(), "request_timeout_ms": 2000,
        }));
        let (key, secret) = hub.token();
        let aws = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(hub.region()))
            .endpoint_url(hub.url())
            .credentials_provider(SharedCredentialsProvider::new(Credentials::new(
                key, secret, None, None, "tests",
            )))
            .build();
        let sink = security_hub::SecurityHub::new(&settings, &aws).expect("a sink");
        self.sink("security_hub", Arc::new(sink), &[Accept::Findings])
    }

    /// Adds a folder of JSON lines as `file`; see [`Drained::lines`].
    #[must_use]
    pub fn file(self) -> Self {
        let settings: file::Settings =
            settings(&json!({ "directory": self.folder.path().join("out") }));
        self.sink(
            "file",
            Arc::new(FileSink::new(&settings)),
            &Accept::events_and_findings(),
        )
    }

    fn secret(&self, name: &str, value: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, value).expect("a file can be written");
        path
    }

    /// Starts the host.
    ///
    /// # Panics
    /// When the pipeline cannot be built.
    #[must_use]
    pub fn start(self) -> Host {
        let store = Folder::open(&self.folder.path().join("store")).expect("a store");
        let store = Arc::new(Store::new(Arc::new(store)));
        let ledger = self.ledger.unwrap_or_else(|| {
            let path = self.folder.path().join("ledger.sqlite");
            Arc::new(Sqlite::open(&path).expect("a ledger"))
        });
        let pipeline = Pipeline::new(Plan {
            source: self.source,
            trust: self.trust,
            plugins: self.plugins,
            shadows: self.shadows,
            reload: self.reload,
            masker: Masker::with_key("k1", &[7; 32]).expect("a key of 32 bytes"),
            sinks: self.sinks,
            ledger,
            store: Arc::clone(&store),
            settings: self.settings,
            findings: self.findings,
            clock: clock::system(),
        })
        .expect("a pipeline");
        let drain = CancellationToken::new();
        let running = Arc::clone(&pipeline);
        let token = drain.clone();
        let task = tokio::spawn(async move { running.run(token).await });
        Host {
            pipeline,
            store,
            drain,
            task,
            folder: self.folder,
        }
    }
}

fn settings<T: serde::de::DeserializeOwned>(json: &serde_json::Value) -> T {
    T::deserialize(json).expect("settings are complete")
}

/// A running host.
pub struct Host {
    pipeline: Arc<Pipeline>,
    store: Arc<Store>,
    drain: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
    folder: tempfile::TempDir,
}

impl Host {
    /// The host's plugins.
    #[must_use]
    pub fn plugins(&self) -> &Rollout {
        self.pipeline.plugins()
    }

    /// What the host has counted so far.
    #[must_use]
    pub fn counted(&self) -> Snapshot {
        self.pipeline.snapshot()
    }

    /// Waits until `done` says so of what the host has counted.
    ///
    /// # Panics
    /// After two minutes.
    pub async fn until(&self, what: &str, done: impl Fn(&Snapshot) -> bool) {
        for _ in 0..2400 {
            if done(&self.counted()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("waited in vain until {what}: {:#?}", self.counted());
    }

    /// Waits until no pending reference of this sink (or of the `pipeline`) is left.
    ///
    /// # Panics
    /// After a minute, or when the store cannot be read.
    pub async fn owes_nothing(&self, sink: &str) {
        for _ in 0..1200 {
            let pending = self.store.pending(sink, None, 1).await;
            if pending.expect("the store can be read").is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{sink} is still owed something");
    }

    /// Drains the host and returns what it counted.
    ///
    /// # Panics
    /// When the drain fails.
    pub async fn drain(self) -> Drained {
        self.drain.cancel();
        self.task
            .await
            .expect("the host does not panic")
            .expect("everything started was finished");
        Drained {
            counted: self.pipeline.snapshot(),
            store: self.store,
            folder: self.folder,
        }
    }

    /// Waits until the source has no more, and everything is settled.
    ///
    /// # Panics
    /// When the host fails.
    pub async fn finish(self) -> Drained {
        self.task
            .await
            .expect("the host does not panic")
            .expect("everything started was finished");
        Drained {
            counted: self.pipeline.snapshot(),
            store: self.store,
            folder: self.folder,
        }
    }
}

/// What a host has left behind.
pub struct Drained {
    /// What it counted.
    pub counted: Snapshot,
    store: Arc<Store>,
    folder: tempfile::TempDir,
}

impl Drained {
    /// Lines that the `file` sink has written: `events` or `findings`.
    ///
    /// # Panics
    /// When they cannot be read.
    #[must_use]
    pub fn lines(&self, stem: &str) -> Vec<String> {
        let path = self
            .folder
            .path()
            .join("out")
            .join(stem)
            .with_extension("ndjson");
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.lines().map(ToOwned::to_owned).collect()
    }

    /// Dead letters, without order.
    ///
    /// # Panics
    /// When they cannot be read.
    pub async fn dead_letters(&self) -> Vec<DeadLetter> {
        let stored = self
            .store
            .dead_letters(None, 1000)
            .await
            .expect("the store can be read");
        stored
            .into_iter()
            .map(|stored| stored.letter.expect("a sound entry"))
            .collect()
    }

    /// Pending references of one sink (or of the `pipeline`).
    ///
    /// # Panics
    /// When they cannot be read.
    pub async fn pending(&self, sink: &str) -> Vec<DeadLetter> {
        let stored = self
            .store
            .pending(sink, None, 1000)
            .await
            .expect("the store can be read");
        stored
            .into_iter()
            .map(|stored| stored.letter.expect("a sound entry"))
            .collect()
    }

    /// Everything that the host has written to disk but the ledger: to look for what must not be there.
    ///
    /// # Panics
    /// When it cannot be read.
    #[must_use]
    pub fn everything_written(&self) -> Vec<u8> {
        fn gather(folder: &Path, all: &mut Vec<u8>) {
            for entry in std::fs::read_dir(folder).expect("a folder can be read") {
                let path = entry.expect("an entry can be read").path();
                if path.is_dir() {
                    gather(&path, all);
                } else {
                    all.extend(std::fs::read(path).expect("a file can be read"));
                }
            }
        }
        let mut all = Vec::new();
        gather(self.folder.path(), &mut all);
        all
    }

    /// Asserts that for every sink what it received is what ended, and that nothing failed.
    ///
    /// # Panics
    /// When it is not so.
    pub fn sums_agree(&self) {
        for (name, sink) in &self.counted.sinks {
            assert_eq!(sink.in_hand(), 0, "{name}: {sink:?}");
        }
    }
}
