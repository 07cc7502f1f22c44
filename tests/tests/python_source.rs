//! Plugins that come as Python source: one runner for all of them, and else as any other plugin.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use serde_json::{Value, json};
use sluicegate::{
    digest,
    plugin::{Component, Loader, Settings, Signers, script, trust, trust::PrivateKey},
};
use sluicegate_tests::{
    host::{engine, root},
    process::Program,
    shelf::gzip,
};

const SOURCE: &str = r#"
import json
from dataclasses import dataclass

from sluicegate_plugin import Batch, Kind, Output, Plugin, Subscription, export, setting


@dataclass
class Config:
    version: str = setting("What is written.", default="1")


class Stamp(Plugin[Config]):
    name = "stamp"
    version = "1.0.0"
    kind = Kind.ENRICH
    config = Config

    def configure(self, config: Config, wanted: Subscription) -> None:
        self.text = config.version
        wanted.field("eventName")

    def process(self, batch: Batch, out: Output) -> None:
        version = out.addition("version")
        for row in batch:
            version.set(row, self.text)


WitWorld = export(Stamp)
"#;

fn runner() -> PathBuf {
    root().join("dist/runners/python-runner.wasm")
}

fn settings(path: &Path) -> Settings {
    let mut settings = Settings::of(path);
    settings.limits.start_ms = 10_000;
    settings
}

/// Compiling takes long: the first test does it, and the others find it done.
fn load(loader: &Loader, settings: &Settings) -> Result<Component, String> {
    static LOADING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = LOADING.lock().unwrap_or_else(PoisonError::into_inner);
    loader
        .load("stamp", settings)
        .map_err(|error| format!("{error:#}"))
}

fn loader(signers: Signers, pin: Option<String>) -> Loader {
    let python = script::Settings {
        runner: Some(runner()),
        sha256: pin,
    };
    Loader::new(engine(), signers).with_python(python)
}

/// Loads a source under the usual terms.
fn loaded(source: &str) -> Result<Component, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stamp.py");
    fs::write(&path, source).unwrap();
    load(&loader(Signers::default(), None), &settings(&path))
}

#[test]
fn a_source_is_a_plugin_known_by_its_own_digest() {
    let component = loaded(SOURCE).unwrap();
    assert_eq!(component.name(), "stamp");
    assert_eq!(component.version(), "1.0.0");
    assert!(component.schema().contains("What is written."));
    assert_eq!(
        component.digest(),
        digest::hex(&digest::sha256(&[SOURCE.as_bytes()]))
    );
    assert_eq!(component.calls().collect::<Vec<_>>(), ["log"]);
    assert!(component.instantiate().unwrap().memory_bytes() < 20 << 20);
}

#[test]
fn a_source_that_cannot_run_is_refused_with_its_line_and_reason() {
    let refused = |source: &str| loaded(source).unwrap_err();
    let with = |from: &str, to: &str| refused(&SOURCE.replace(from, to));
    for (said, part) in [
        (with("class Stamp(", "class Stamp(("), "stamp.py, line "),
        (
            refused("import socket"),
            "socket is not in the component: a plugin that comes as source has only",
        ),
        (refused("x = 1"), "stamp.py has no plugin: it must end with"),
        (
            refused("1 / 0"),
            "failed to run the source: ZeroDivisionError in <module> (stamp.py, line 1)",
        ),
        (refused("while True: pass"), "exceeded 10000 ms"),
        (refused("x = [0] * (1 << 26)"), "wanted more than"),
        (refused("open('/etc/passwd')"), "trapped"),
        (with("\"stamp\"", "\"other\""), "`other`"),
    ] {
        assert!(said.contains(part), "{part:?} in {said}");
    }
}

#[test]
fn source_and_runner_must_be_those_that_were_pinned_and_signed() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("stamp.py"), SOURCE).unwrap();
    fs::copy(runner(), at("runner.wasm")).unwrap();
    PrivateKey::generate(&at("ours")).unwrap();
    let key = PrivateKey::read(&at("ours.key")).unwrap();
    let trust = trust::Settings {
        require_signed_by: vec![at("ours.pub")],
    };
    let python = script::Settings {
        runner: Some(at("runner.wasm")),
        sha256: None,
    };
    let signed = Loader::new(engine(), trust.signers().unwrap()).with_python(python);
    let refused = |loader: &Loader| load(loader, &settings(&at("stamp.py"))).unwrap_err();
    let said = refused(&signed);
    assert!(said.contains("stamp.py: is not signed"), "{said}");
    key.sign(&at("stamp.py")).unwrap();
    let said = refused(&signed);
    assert!(
        said.contains("failed to load python.runner")
            && said.contains("runner.wasm: is not signed"),
        "{said}"
    );
    key.sign(&at("runner.wasm")).unwrap();
    load(&signed, &settings(&at("stamp.py"))).unwrap();

    let said = refused(&loader(Signers::default(), Some("0".repeat(64))));
    assert!(
        said.contains("python-runner.wasm is not the pinned one"),
        "{said}"
    );
    let mut pinned = settings(&at("stamp.py"));
    pinned.sha256 = Some("0".repeat(64));
    let said = load(&loader(Signers::default(), None), &pinned).unwrap_err();
    assert!(said.contains("stamp.py is not the pinned one"), "{said}");
    let said = refused(&Loader::new(engine(), Signers::default()));
    assert!(
        said.contains("stamp.py is source: name what runs it as `runner`"),
        "{said}"
    );

    fs::write(at("stamp.py"), " ".repeat((1 << 20) + 1)).unwrap();
    let said = refused(&loader(Signers::default(), None));
    assert!(
        said.contains("has 1048577 bytes, at most 1048576 are loaded"),
        "{said}"
    );
    fs::write(at("stamp.py"), b"\xff").unwrap();
    let said = refused(&loader(Signers::default(), None));
    assert!(said.contains("stamp.py is not UTF-8"), "{said}");
}

#[test]
fn the_runner_alone_is_no_plugin() {
    let mut alone = settings(&runner());
    alone.configuration = json!({}).as_object().unwrap().clone();
    let loader = Loader::new(engine(), Signers::default());
    let said = loader.load("python-runner", &alone).unwrap_err();
    let said = format!("{said:#}");
    assert!(
        said.contains("this is no plugin but what runs plugins that come as source"),
        "{said}"
    );
}

fn configuration(folder: &Path) -> String {
    format!(
        r#"
[source]
type = "directory"
path = "{folder}/in"
poll_interval_ms = 50

[sinks.archive]
type = "file"
directory = "{folder}/out"
[sinks.archive.delivery]
linger_ms = 10

[reload]
check_s = 1
shadow_events = 1
shadow_s = 0

[python]
runner = "{runner}"

[plugins.stamp]
path = "{folder}/stamp.py"
limits = {{ start_ms = 10000 }}
"#,
        folder = folder.display(),
        runner = runner().display(),
    )
}

/// Puts objects with one event each until one arrives with this version.
async fn until_version(program: &Program, version: &str) {
    let folder = program
        .folder()
        .join("in/AWSLogs/123456789012/CloudTrail/eu-west-1/2026/11/22");
    fs::create_dir_all(&folder).unwrap();
    for number in 0..300 {
        let name = format!(
            "123456789012_CloudTrail_eu-west-1_20261122T1000Z_{version}{number:015}.json.gz"
        );
        let part = program.folder().join("part");
        fs::write(&part, gzip(br#"{"Records":[{"eventName":"E"}]}"#)).unwrap();
        fs::rename(part, folder.join(name)).unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        let out = fs::read_to_string(program.folder().join("out/events.ndjson"));
        let last: Option<Value> = out
            .unwrap_or_default()
            .lines()
            .last()
            .map(|line| serde_json::from_str(line).unwrap());
        if last.is_some_and(|event| event["sluicegate"]["stamp"]["version"] == version) {
            return;
        }
    }
    panic!("version {version} never came");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_source_goes_live_and_a_broken_one_is_refused() {
    loaded(SOURCE).unwrap();
    let program = Program::new(|folder| {
        fs::create_dir_all(folder.join("in")).unwrap();
        fs::write(folder.join("stamp.py"), SOURCE).unwrap();
        configuration(folder)
    });
    let running = program.start();
    until_version(&program, "1").await;
    let path = program.folder().join("stamp.py");
    fs::write(
        &path,
        SOURCE.replace("out: Output) -> None:", "out: Output) -> None"),
    )
    .unwrap();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    fs::write(&path, SOURCE.replace("default=\"1\"", "default=\"2\"")).unwrap();
    until_version(&program, "2").await;
    let output = running.terminate().await;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{errors}");
    for part in [
        "stamp.py, line 23: expected ':'",
        "the one before it goes on",
        "plugin is live",
    ] {
        assert!(errors.contains(part), "{part:?} in {errors}");
    }
}
