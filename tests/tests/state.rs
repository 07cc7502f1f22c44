//! What plugins count and look up, through the real chain: a guest counts failed logins of each principal
//! and looks up the networks they come from (`tests/guests/stateful-probe`).
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use sluicegate::{
    assemble,
    config::Config,
    effects::Processed,
    finding::Sighting,
    ledger::windows::{
        self, EventMark, Namespace, Observation, SqliteWindows, Windows, WindowsError,
    },
    lookup::Tables,
    mask::Masker,
    plugin::{
        CallError, ChainWorker, Component, Engine, Grants, Limits, LoadError, PluginChain,
        Services, Terms,
        abi::{Batch, Column},
    },
};
use sluicegate_tests::{
    batches,
    host::{PLUGINS, engine, load, patient, root},
    process::Program,
};

const PROBE: &str = "stateful-probe";

/// A failed login: number, seconds after ten o'clock, principal, address.
#[derive(Clone, Copy)]
struct Login(u32, u32, &'static str, &'static str);

impl Login {
    fn json(self) -> String {
        let Self(number, second, who, from) = self;
        let (minute, second) = (second / 60, second % 60);
        json!({
            "eventID": format!("login-{number}"),
            "eventTime": format!("2026-03-01T10:{minute:02}:{second:02}Z"),
            "eventName": "ConsoleLogin",
            "userIdentity": { "arn": who },
            "sourceIPAddress": from,
            "responseElements": { "ConsoleLogin": "Failure" },
        })
        .to_string()
    }
}

/// What the probe is told, may use and may reach.
struct Probe {
    engine: Engine,
    configuration: Value,
    limits: Limits,
    grants: Grants,
}

impl Probe {
    fn new(services: Services) -> Self {
        Self {
            engine: engine().with_services(services),
            configuration: json!({ "table": "networks" }),
            limits: patient(),
            grants: Grants {
                state: true,
                lookup: vec!["networks".into()],
                ..Grants::default()
            },
        }
    }

    fn told(mut self, configuration: Value) -> Self {
        self.configuration = configuration;
        self
    }

    fn limited(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        change(&mut self.limits);
        self
    }

    fn load(&self) -> Result<Component, LoadError> {
        load(
            &self.engine,
            "guests",
            PROBE,
            &Terms {
                configuration: self.configuration.as_object().unwrap().clone(),
                limits: self.limits.clone(),
                grants: self.grants.clone(),
                ..Terms::default()
            },
        )
    }

    fn chain(&self) -> Arc<PluginChain> {
        let plugins = vec![self.load().unwrap()];
        Arc::new(PluginChain::new(plugins, &[&[]], Masker::default()).unwrap())
    }

    fn worker(&self) -> ChainWorker {
        ChainWorker::new(self.chain())
    }
}

fn in_memory() -> Services {
    Services {
        windows: Some(Arc::new(SqliteWindows::in_memory().unwrap())),
        tables: None,
    }
}

fn process(worker: &mut ChainWorker, logins: &[Login]) -> Processed {
    let events: Vec<String> = logins.iter().map(|login| login.json()).collect();
    worker.process(batches::events(&events), 1_772_366_400_000)
}

fn attribute(sighting: &Sighting, name: &str) -> String {
    let found = sighting.attributes.iter().find(|(key, _)| key == name);
    found.map(|(_, value)| value.clone()).unwrap_or_default()
}

/// What the probe said of each event.
fn said(worker: &mut ChainWorker, logins: &[Login], name: &str) -> Vec<String> {
    let processed = process(worker, logins);
    let sightings = processed.sightings.iter();
    sightings
        .map(|(_, sighting)| attribute(sighting, name))
        .collect()
}

const ADA: [Login; 4] = [
    Login(1, 0, "ada", "192.0.2.1"),
    Login(2, 60, "ada", "192.0.2.2"),
    Login(3, 30, "bob", "192.0.2.1"),
    Login(4, 600, "ada", "192.0.2.2"),
];

const COUNTED: [&str; 4] = [
    "1 events, 1 members, sum 1, new",
    "2 events, 2 members, sum 2, new",
    "1 events, 1 members, sum 1, new",
    "2 events, 1 members, sum 2, known",
];

#[test]
fn windows_are_right_and_redelivery_changes_nothing() {
    let mut worker = Probe::new(in_memory()).worker();
    assert_eq!(said(&mut worker, &ADA, "window"), COUNTED);
    assert_eq!(said(&mut worker, &ADA, "window"), COUNTED);
    for login in ADA.iter().rev() {
        said(&mut worker, &[*login], "window");
    }
    assert_eq!(said(&mut worker, &ADA, "window"), COUNTED);
    let remembered = said(&mut worker, &ADA, "recent");
    assert_eq!(
        remembered[0], "192.0.2.2 192.0.2.2",
        "ten minutes up to the newest event"
    );
    assert_eq!(remembered[2], "192.0.2.1");
}

#[test]
fn the_order_of_delivery_does_not_matter() {
    let mut worker = Probe::new(in_memory()).worker();
    for login in [ADA[3], ADA[1], ADA[2], ADA[0], ADA[1]] {
        said(&mut worker, &[login], "window");
    }
    let counted = said(&mut worker, &ADA, "window");
    let counts = |text: &str| text.rsplit_once(", ").unwrap().0.to_owned();
    let expected = COUNTED.map(counts);
    assert_eq!(
        counted.iter().map(|text| counts(text)).collect::<Vec<_>>(),
        expected
    );
}

#[test]
fn an_event_without_an_identifier_is_known_by_its_bytes() {
    let mut worker = Probe::new(in_memory()).worker();
    let plain = |second| {
        let mut event: Value = serde_json::from_str(&Login(0, second, "ada", "a").json()).unwrap();
        event.as_object_mut().unwrap().remove("eventID");
        event.to_string()
    };
    let events = [plain(1), plain(2), plain(1)];
    let processed = worker.process(batches::events(&events), 0);
    let last = attribute(&processed.sightings[1].1, "window");
    assert_eq!(last, "2 events, 1 members, sum 2, known");
}

#[test]
fn workers_count_together() {
    let services = in_memory();
    let chain = Probe::new(services).chain();
    let logins = |from: u32| -> Vec<Login> {
        (from..from + 100)
            .map(|number| Login(number, 10, "ada", "192.0.2.1"))
            .collect()
    };
    std::thread::scope(|scope| {
        for from in [0, 50] {
            let mut worker = ChainWorker::new(Arc::clone(&chain));
            scope.spawn(move || {
                for part in logins(from).chunks(10) {
                    process(&mut worker, part);
                }
            });
        }
    });
    let counted = said(
        &mut ChainWorker::new(chain),
        &[Login(0, 10, "ada", "192.0.2.1")],
        "window",
    );
    assert!(
        counted[0].starts_with("150 events, 1 members"),
        "{counted:?}"
    );
}

#[test]
fn what_was_counted_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("windows.sqlite");
    for expected in ["1 events, 1 members", "2 events, 2 members"] {
        let services = Services {
            windows: Some(Arc::new(SqliteWindows::open(&path).unwrap())),
            tables: None,
        };
        let number = usize::from(expected.starts_with('2'));
        let counted = said(
            &mut Probe::new(services).worker(),
            &ADA[number..=number],
            "window",
        );
        assert!(counted[0].starts_with(expected), "{counted:?}");
    }
}

#[test]
fn a_trial_run_leaves_the_real_windows_alone() {
    let real = Probe::new(in_memory());
    let mut trial = Probe::new(in_memory());
    trial.engine = real.engine.clone().with_services(in_memory());
    said(&mut trial.worker(), &ADA, "window");
    assert_eq!(said(&mut real.worker(), &ADA, "window"), COUNTED);
}

#[test]
fn a_full_quota_is_an_answer_and_the_plugin_goes_on() {
    let probe = Probe::new(in_memory()).limited(|limits| limits.state_keys = 1);
    let mut worker = probe.worker();
    let refused = r#"Error::Quota("all 1 keys are taken until some expire")"#;
    assert_eq!(said(&mut worker, &ADA, "window"), [refused; 4]);
    assert!(said(&mut worker, &ADA[..2], "window")[1].starts_with("2 events"));
    assert_eq!(said(&mut worker, &ADA[2..3], "window"), [refused]);
}

#[test]
fn a_plugin_that_is_not_granted_what_it_imports_is_not_loaded_and_told_what_is_missing() {
    let mut probe = Probe::new(in_memory());
    probe.grants = Grants::default();
    assert_eq!(
        probe.load().unwrap_err().to_string(),
        "asks for more than `grants` allows: state = true"
    );
}

#[test]
fn without_windows_or_where_they_fail_the_answer_is_unavailable() {
    struct Broken;

    impl Windows for Broken {
        fn observe(
            &self,
            _: &Namespace<'_>,
            _: &[Observation],
            _: Instant,
        ) -> Result<Vec<windows::Window>, WindowsError> {
            Err(WindowsError::Unavailable(anyhow::anyhow!("disk is gone")))
        }

        fn recent(
            &self,
            _: &str,
            _: &[String],
            _: windows::Span,
            _: u32,
            _: Instant,
        ) -> Result<Vec<Vec<windows::Entry>>, WindowsError> {
            Err(WindowsError::Unavailable(anyhow::anyhow!("disk is gone")))
        }
    }

    let broken = Services {
        windows: Some(Arc::new(Broken)),
        tables: None,
    };
    for services in [Services::default(), broken] {
        let mut worker = Probe::new(services).worker();
        for name in ["window", "recent", "zone"] {
            assert_eq!(
                said(&mut worker, &ADA, name),
                ["Error::Unavailable"; 4],
                "{name}"
            );
        }
    }
}

#[test]
fn a_store_that_takes_too_long_is_unavailable() {
    /// Waits until the plugin's time is over.
    struct Slow;

    impl Windows for Slow {
        fn observe(
            &self,
            _: &Namespace<'_>,
            _: &[Observation],
            deadline: Instant,
        ) -> Result<Vec<windows::Window>, WindowsError> {
            while Instant::now() < deadline {
                std::thread::park_timeout(deadline.saturating_duration_since(Instant::now()));
            }
            Err(WindowsError::Unavailable(anyhow::anyhow!(
                "not done in time"
            )))
        }

        fn recent(
            &self,
            _: &str,
            keys: &[String],
            _: windows::Span,
            _: u32,
            _: Instant,
        ) -> Result<Vec<Vec<windows::Entry>>, WindowsError> {
            Ok(vec![Vec::new(); keys.len()])
        }
    }

    let services = Services {
        windows: Some(Arc::new(Slow)),
        tables: None,
    };
    let flood = json!({ "do": { "flood": { "calls": 100, "in_one_call": 1 } } });
    let probe = Probe::new(services)
        .told(flood)
        .limited(|limits| limits.state_ms = 50);
    let mut worker = probe.worker();
    worker.process(batches::events(&[""; 0]), 0);
    let start = Instant::now();
    assert_eq!(
        said(&mut worker, &ADA[..1], "refused"),
        ["Error::Unavailable"]
    );
    let spent = start.elapsed();
    assert!(
        spent >= Duration::from_millis(200),
        "four times 50 ms: {spent:?}"
    );
    assert!(
        spent < Duration::from_secs(4),
        "and not a hundred times: {spent:?}"
    );
}

#[test]
fn a_flood_ends_at_its_limits() {
    let flood = |calls: u32, in_one_call: u32| {
        let told = json!({ "do": { "flood": { "calls": calls, "in_one_call": in_one_call } } });
        Probe::new(in_memory()).told(told)
    };
    let refused = r#"Error::Quota("more than 1000 operations in one batch")"#;
    let few = |limits: &mut Limits| limits.state_operations = 1_000;
    let mut worker = flood(1_000_000, 1)
        .limited(few)
        .limited(|limits| limits.deadline_ms = 60_000)
        .worker();
    let processed = process(&mut worker, &ADA[..1]);
    let sighting = &processed.sightings[0].1;
    assert_eq!(attribute(sighting, "answered"), "1000");
    assert_eq!(attribute(sighting, "refused"), refused);
    assert_eq!(
        said(&mut worker, &ADA[..1], "answered"),
        ["1000"],
        "the next batch has its own"
    );

    let mut worker = flood(1, 1_001).limited(few).worker();
    assert_eq!(said(&mut worker, &ADA[..1], "refused"), [refused]);

    let start = Instant::now();
    let usual = flood(1_000_000, 1).limited(|limits| limits.deadline_ms = 50);
    let blind = process(&mut usual.worker(), &ADA[..1]);
    assert_eq!(blind.sightings[0].1.rule, "plugin-blind");
    assert_eq!(attribute(&blind.sightings[0].1, "cause"), "exceeded 10 ms");
    assert!(
        start.elapsed() < Duration::from_secs(20),
        "{:?}",
        start.elapsed()
    );

    let blind = process(&mut flood(1, 100_000).worker(), &ADA[..1]);
    assert_eq!(
        attribute(&blind.sightings[0].1, "cause"),
        "returned bad output: more bytes than it may hand over in one call"
    );
}

/// One row, handed to an instance without a chain.
fn alone(probe: &Probe) -> CallError {
    let column = |text: &str| Column {
        kinds: vec![2],
        offsets: vec![0, u32::try_from(text.len()).unwrap()],
        data: text.as_bytes().to_vec(),
    };
    let batch = Batch {
        rows: 1,
        now_ms: 0,
        columns: vec![column("ada"), column("192.0.2.1")],
    };
    let mark = EventMark {
        identity: [1; 16],
        time_ms: 0,
    };
    let mut instance = probe.load().unwrap().instantiate().unwrap();
    let error = instance.process_events(&batch, vec![mark]).unwrap_err();
    assert!(instance.is_spent());
    error
}

#[test]
fn what_no_plugin_does_by_mistake_ends_its_instance() {
    let misuse = |act: &str| alone(&Probe::new(in_memory()).told(json!({ "do": act })));
    assert_eq!(
        misuse("row_out_of_range"),
        CallError::BadOutput("observed row 1 of a batch of 1".into())
    );
    assert_eq!(
        misuse("not_finite"),
        CallError::BadOutput("observed a value that is no finite number".into())
    );
}

#[test]
fn nothing_is_counted_while_a_plugin_is_configured() {
    let probe = Probe::new(in_memory()).told(json!({ "do": "count_in_configure" }));
    assert_eq!(
        probe.load().unwrap_err().to_string(),
        "refused its configuration: Error::Unavailable"
    );
}

#[test]
fn an_embedder_that_does_not_say_who_the_events_are_gets_no_windows() {
    let mut instance = Probe::new(in_memory())
        .load()
        .unwrap()
        .instantiate()
        .unwrap();
    let column = || Column {
        kinds: vec![2],
        offsets: vec![0, 1],
        data: b"a".to_vec(),
    };
    let batch = Batch {
        rows: 1,
        now_ms: 0,
        columns: vec![column(), column()],
    };
    let outcome = instance.process(&batch).unwrap();
    let said: BTreeMap<String, String> = outcome.findings[0].attributes.iter().cloned().collect();
    assert_eq!(said["window"], "Error::Unavailable");
}

#[test]
fn remembering_is_bounded_too() {
    let remember = |keys: usize, limit: u32| {
        let told = json!({ "do": { "remember": { "keys": keys, "limit": limit } } });
        let few = |limits: &mut Limits| limits.state_operations = 1_000;
        said(
            &mut Probe::new(in_memory()).told(told).limited(few).worker(),
            &ADA[..1],
            "refused",
        )
    };
    assert_eq!(remember(16, u32::MAX), [""], "1,024 of each at the most");
    assert_eq!(
        remember(17, 1_024),
        [r#"Error::Quota("more than 16384 entries in one call, ask for fewer keys")"#]
    );
    assert_eq!(
        remember(1_001, 1),
        [r#"Error::Quota("more than 1000 operations in one batch")"#]
    );
}

/// A table of networks in a folder.
fn tables(folder: &Path) -> Arc<Tables> {
    let settings = json!({
        "path": folder.join("networks.csv"), "format": "csv", "key": "network", "match": "network",
    });
    let settings = [(
        "networks".to_owned(),
        serde_json::from_value(settings).unwrap(),
    )]
    .into();
    Arc::new(Tables::load(&settings).unwrap())
}

fn write_networks(folder: &Path, rows: &[(&str, &str)]) {
    let mut csv = "network,zone\n".to_owned();
    for (network, zone) in rows {
        writeln!(csv, "{network},{zone}").unwrap();
    }
    std::fs::write(folder.join("new"), csv).unwrap();
    std::fs::rename(folder.join("new"), folder.join("networks.csv")).unwrap();
}

#[test]
fn a_changed_table_is_seen_without_loading_the_plugin_again() {
    let folder = tempfile::tempdir().unwrap();
    write_networks(
        folder.path(),
        &[("192.0.2.0/24", "office"), ("192.0.2.2", "printer")],
    );
    let tables = tables(folder.path());
    let services = Services {
        tables: Some(Arc::clone(&tables)),
        ..in_memory()
    };
    let mut worker = Probe::new(services).worker();
    let zones = said(&mut worker, &ADA, "zone");
    assert_eq!(zones, ["office", "printer", "office", "printer"]);
    write_networks(folder.path(), &[("192.0.2.2/32", "lab")]);
    assert_eq!(tables.refresh(), 1);
    assert_eq!(said(&mut worker, &ADA, "zone"), ["-", "lab", "-", "lab"]);
    std::fs::write(folder.path().join("networks.csv"), "network,zone\nx,y\n").unwrap();
    assert_eq!(tables.refresh(), 1);
    assert_eq!(
        said(&mut worker, &ADA, "zone"),
        ["-", "lab", "-", "lab"],
        "a broken file changes nothing"
    );
}

#[test]
fn a_query_that_cannot_be_answered_says_why() {
    let folder = tempfile::tempdir().unwrap();
    write_networks(folder.path(), &[("192.0.2.0/24", "office")]);
    let ask = |granted: &str, asked: &str, field: &str, keys: u32| {
        let services = Services {
            tables: Some(tables(folder.path())),
            ..in_memory()
        };
        let told = json!({
            "table": asked, "field": field, "do": { "look_up": { "calls": 1, "in_one_call": keys } },
        });
        let mut probe = Probe::new(services)
            .told(told)
            .limited(|limits| limits.lookup_keys = 10);
        probe.grants.lookup = vec![granted.into()];
        said(&mut probe.worker(), &ADA[..1], "refused").remove(0)
    };
    assert_eq!(ask("networks", "networks", "zone", 10), "");
    assert_eq!(ask("other", "networks", "zone", 1), "Error::NotGranted");
    assert_eq!(ask("networks", "other", "zone", 1), "Error::NotGranted");
    assert_eq!(ask("other", "other", "zone", 1), "Error::NoSuchTable");
    assert_eq!(
        ask("networks", "networks", "owner", 1),
        "Error::NoSuchField"
    );
    assert_eq!(
        ask("networks", "networks", "zone", 11),
        "Error::Unavailable"
    );
}

#[test]
fn an_answer_larger_than_a_plugin_may_hand_over_is_not_given() {
    let folder = tempfile::tempdir().unwrap();
    let long = "x".repeat(10_000);
    write_networks(folder.path(), &[("192.0.2.0/24", &long)]);
    let services = Services {
        tables: Some(tables(folder.path())),
        ..in_memory()
    };
    let told = json!({
        "table": "networks", "do": { "look_up": { "calls": 1, "in_one_call": 10 } },
    });
    let little = |limits: &mut Limits| limits.output_bytes = 64 << 10;
    let mut worker = Probe::new(services).told(told).limited(little).worker();
    assert_eq!(
        said(&mut worker, &ADA[..1], "refused"),
        ["Error::Unavailable"]
    );
}

#[test]
fn a_component_imports_only_what_its_plugin_calls() {
    let engine = engine();
    for name in PLUGINS {
        let plugin = load(&engine, "plugins", name, &Terms::default()).unwrap();
        let calls: Vec<&str> = plugin.calls().filter(|call| *call != "log").collect();
        let tables: &[&str] = match name {
            "enrich-context" => &["lookup"],
            _ => &[],
        };
        assert_eq!(calls, tables, "{name}");
    }
    let probe = Probe::new(Services::default()).load().unwrap();
    let mut calls: Vec<&str> = probe.calls().collect();
    calls.sort_unstable();
    assert_eq!(calls, ["lookup", "state"]);
}

/// A configuration with the probe, its grants, and a table; all but the ledger.
fn configured(folder: &Path) -> String {
    let probe = root()
        .join("dist/guests")
        .join(PROBE)
        .with_extension("wasm");
    format!(
        r#"
[source]
type = "directory"
path = "{folder}/in"
[sinks.archive]
type = "file"
directory = "{folder}/out"
[plugins.{PROBE}]
path = "{probe}"
configuration = {{ table = "networks" }}
grants = {{ state = true, lookup = ["networks"] }}
limits = {{ deadline_ms = 5000, start_ms = 5000, state_ms = 5000 }}
[tables.networks]
path = "{folder}/networks.csv"
format = "csv"
key = "network"
match = "network"
refresh_s = 1
"#,
        folder = folder.display(),
        probe = probe.display(),
    )
}

#[test]
fn the_configuration_is_all_that_is_needed() {
    let folder = tempfile::tempdir().unwrap();
    write_networks(folder.path(), &[("192.0.2.0/24", "office")]);
    let ledger = folder.path().join("state/ledger.sqlite");
    let ledger = format!(
        "[ledger]\npath = \"{}\"\n[plugin_cache]\npath = \"{}/cache\"\n",
        ledger.display(),
        folder.path().display()
    );
    let config = Config::parse(&(configured(folder.path()) + &ledger), BTreeMap::new());
    let config = config.unwrap_or_else(|problems| panic!("{:#?}", problems.lines()));
    for expected in [
        "1 events, 1 members, sum 1, new",
        "2 events, 1 members, sum 2, known",
    ] {
        let loader = assemble::loader(&config).unwrap();
        let plugin = loader.load(PROBE, &config.plugins[PROBE]).unwrap();
        let chain = PluginChain::new(vec![plugin], &[&[]], Masker::default()).unwrap();
        let mut worker = ChainWorker::new(Arc::new(chain));
        let number = u32::from(expected.starts_with('2'));
        let login = [Login(number, number, "ada", "192.0.2.1")];
        assert_eq!(said(&mut worker, &login, "window"), [expected]);
        assert_eq!(said(&mut worker, &login, "zone"), ["office"]);
    }
    assert!(folder.path().join("state/ledger-windows.sqlite").exists());

    std::fs::write(folder.path().join("networks.csv"), "network,zone\nx,y\n").unwrap();
    let error = format!("{:#}", assemble::services(&config).unwrap_err());
    assert!(
        error.starts_with("failed to load tables.networks: failed to read table "),
        "{error}"
    );
    assert!(
        error.ends_with("line 2: the key \"network\" is no address or network"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_reads_the_tables_and_touches_no_windows() {
    let program = Program::new(configured);
    write_networks(program.folder(), &[("192.0.2.0/24", "office")]);
    let (code, said, errors) = program.run(&["check"]).await;
    assert_eq!((code, errors.as_str()), (0, ""), "{said}");
    assert!(said.contains("ok      tables.networks: 1 rows\n"), "{said}");
    assert!(said.contains("ok      plugins.stateful-probe: "), "{said}");
    assert!(!program.folder().join("ledger-windows.sqlite").exists());

    std::fs::write(
        program.folder().join("networks.csv"),
        "network,zone\n1.2.3.4\n",
    )
    .unwrap();
    let (code, _, errors) = program.run(&["check"]).await;
    assert_eq!(code, 64);
    assert!(
        errors.contains("tables.networks: failed to read table "),
        "{errors}"
    );
    assert!(
        errors.contains("line 2: 1 cells, the first line has 2"),
        "{errors}"
    );
}
