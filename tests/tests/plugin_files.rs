//! Plugins as files, under the real program: missing, unsigned, altered, changed while it runs.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::Value;
use sluicegate::plugin::trust::PrivateKey;
use sluicegate_tests::{
    host::root,
    process::{Program, binary},
    shelf::gzip,
};

/// A folder as source, a file as sink, one plugin that writes `version` into every event.
fn configuration(folder: &Path, plugin: &str) -> String {
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

{plugin}
"#,
        folder = folder.display(),
    )
}

fn stamp(folder: &Path, version: u32) -> String {
    format!(
        "[reload]\ncheck_s = 1\nshadow_events = 1\nshadow_s = 0\n[plugins.hostile-enrich]\npath = \"{}/plugin.wasm\"\n\
         configuration = {{ do = {{ good = {{ set = {{ member = \"version\", value = \"{version}\" }} }} }} }}\n",
        folder.display(),
    )
}

fn guest(name: &str) -> PathBuf {
    root().join("dist/guests").join(name).with_extension("wasm")
}

/// A program with this plugin section, which is told the folder, and the component beside it.
fn program(plugin: impl FnOnce(&Path) -> String) -> Program {
    Program::new(|folder| {
        fs::create_dir_all(folder.join("in")).unwrap();
        fs::copy(guest("hostile-enrich"), folder.join("plugin.wasm")).unwrap();
        configuration(folder, &plugin(folder))
    })
}

/// Puts an object with one event into the source's folder.
fn put(program: &Program, number: u32) {
    let name = format!("123456789012_CloudTrail_eu-west-1_20261122T1000Z_{number:016}.json.gz");
    let folder = program
        .folder()
        .join("in/AWSLogs/123456789012/CloudTrail/eu-west-1/2026/11/22");
    fs::create_dir_all(&folder).unwrap();
    let part = program.folder().join("part");
    fs::write(
        &part,
        gzip(format!(r#"{{"Records":[{{"eventName":"E{number}"}}]}}"#)),
    )
    .unwrap();
    fs::rename(part, folder.join(name)).unwrap();
}

/// The version that each event carries, in the order of their arrival.
fn versions(program: &Program) -> Vec<Option<u64>> {
    let text = fs::read_to_string(program.folder().join("out/events.ndjson")).unwrap_or_default();
    let version = |line: &str| {
        let event: Value = serde_json::from_str(line).unwrap();
        let version = &event["sluicegate"]["hostile-enrich"]["version"];
        version.as_str().map(|text| text.parse().unwrap())
    };
    text.lines().map(version).collect()
}

/// Puts events until one arrives with this version, and nothing else can follow.
async fn until_version(program: &Program, next: &mut u32, version: Option<u64>) {
    for _ in 0..200 {
        put(program, *next);
        *next += 1;
        tokio::time::sleep(Duration::from_millis(100)).await;
        if versions(program).last() == Some(&version) {
            return;
        }
    }
    panic!("version {version:?} never came: {:?}", versions(program));
}

fn hang_up(process: u32) {
    let status = Command::new("kill")
        .args(["-HUP", &process.to_string()])
        .status();
    assert!(status.unwrap().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changed_plugins_go_live_and_broken_ones_are_refused_while_events_flow() {
    let program = program(|folder| stamp(folder, 1));
    let running = program.start();
    let mut next = 0;
    until_version(&program, &mut next, Some(1)).await;

    let rewrite = |plugin: String| {
        let text = configuration(program.folder(), &plugin);
        program.write_configuration(&text);
        hang_up(running.id());
    };
    rewrite(stamp(program.folder(), 2));
    until_version(&program, &mut next, Some(2)).await;

    fs::write(program.folder().join("plugin.wasm"), "garbage").unwrap();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    until_version(&program, &mut next, Some(2)).await;

    rewrite("[reload]\ncheck_s = 0\n".to_owned());
    until_version(&program, &mut next, None).await;

    program.write_configuration("this is no TOML");
    hang_up(running.id());
    until_version(&program, &mut next, None).await;

    // All that was put arrives, once.
    for _ in 0..100 {
        if versions(&program).len() == next as usize {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let output = running.terminate().await;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{errors}");
    assert_eq!(versions(&program).len(), next as usize);
    for part in [
        "plugin is live",
        "is not WebAssembly",
        "the one before it goes on",
        "only plugins are read anew",
        "plugin is no longer configured",
        "configuration is wrong; the one before it stays",
    ] {
        assert!(errors.contains(part), "{part:?} in {errors}");
    }
}

#[tokio::test]
async fn only_what_a_trusted_key_has_signed_is_loaded() {
    let program = program(|folder| {
        for name in ["ours", "theirs"] {
            PrivateKey::generate(&folder.join(name)).unwrap();
        }
        let trust = format!(
            "[trust]\nrequire_signed_by = [\"{}/ours.pub\"]\n",
            folder.display()
        );
        trust + &stamp(folder, 1)
    });
    let component = program.folder().join("plugin.wasm");
    let sign = |key: &str| {
        let key = PrivateKey::read(&program.folder().join(key)).unwrap();
        key.sign(&component).unwrap();
    };
    let refused = async |part: &str| {
        for (command, code) in [("check", 64), ("run", 1)] {
            let (ended, _, errors) = program.run(&[command]).await;
            assert_eq!(ended, code, "{errors}");
            let at_plugin = errors.contains("plugins.hostile-enrich") && errors.contains(part);
            assert!(at_plugin, "{part:?} in {errors}");
        }
    };
    refused("is not signed").await;
    sign("theirs.key");
    refused("by none of the keys").await;
    sign("ours.key");
    let (code, said, errors) = program.run(&["check"]).await;
    assert_eq!(code, 0, "{said}{errors}");
    fs::copy(guest("hostile-detect"), &component).unwrap();
    refused("was altered after it was signed").await;
}

#[tokio::test]
async fn a_pinned_component_is_loaded_and_no_other() {
    let digest = "0".repeat(64);
    let program = program(|folder| stamp(folder, 1) + &format!("sha256 = \"{digest}\"\n"));
    let (code, _, errors) = program.run(&["check"]).await;
    assert_eq!(code, 64);
    let (_, found) = errors.split_once("its sha256 is ").unwrap();
    let text = fs::read_to_string(program.configuration()).unwrap();
    fs::write(program.configuration(), text.replace(&digest, found.trim())).unwrap();
    let (code, said, errors) = program.run(&["check"]).await;
    assert_eq!(code, 0, "{said}{errors}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_plugin_stops_the_start_only_where_it_may_be_a_redaction() {
    for kind in ["", "kind = \"redact\"\n"] {
        let program = program(|folder| stamp(folder, 1) + kind);
        fs::remove_file(program.folder().join("plugin.wasm")).unwrap();
        let (code, _, errors) = program.run(&["run"]).await;
        assert_eq!(code, 1, "{errors}");
        assert!(
            errors.contains("failed to load plugins.hostile-enrich"),
            "{errors}"
        );
    }
    let program = program(|folder| stamp(folder, 1) + "kind = \"enrich\"\n");
    let component = program.folder().join("plugin.wasm");
    fs::write(&component, "garbage").unwrap();
    let running = program.start();
    let mut next = 0;
    until_version(&program, &mut next, None).await;
    // As soon as it is mended, it joins.
    fs::copy(guest("hostile-enrich"), &component).unwrap();
    until_version(&program, &mut next, Some(1)).await;
    let output = running.terminate().await;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{errors}");
    assert!(
        errors.contains("the host starts without a plugin"),
        "{errors}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_letters_event_is_judged_again_until_the_plugin_is_mended() {
    let redact = |act: &str| {
        let path = guest("hostile-redact");
        format!(
            "[plugins.hostile-redact]\npath = \"{}\"\nconfiguration = {{ when = \"E7\", do = {{ {act} }} }}\n",
            path.display()
        )
    };
    let program = program(|_| redact("evil = \"trap\""));
    let running = program.start();
    put(&program, 6);
    put(&program, 7);
    let mut name = String::new();
    for _ in 0..200 {
        let (_, list, _) = program.run(&["dead-letters", "list"]).await;
        if let Some(line) = list.lines().next() {
            line.split("  ").nth(1).unwrap().clone_into(&mut name);
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    running.terminate().await;

    let (code, said, errors) = program.run(&["plugin", "replay", &name]).await;
    assert_eq!(code, 0, "{errors}");
    for part in [
        "then  redaction-failed by hostile-redact@sha256:",
        "now   hostile-redact 1.0.0 sha256:",
        "event 0: hostile-redact failed: trapped",
        "event 0: would be withheld",
    ] {
        assert!(said.contains(part), "{part:?} in {said}");
    }

    let mended = configuration(program.folder(), &redact("good = \"nothing\""));
    program.write_configuration(&mended);
    let (code, said, errors) = program.run(&["plugin", "replay", &name]).await;
    assert_eq!(code, 0, "{errors}");
    assert!(said.contains("event 0: would be forwarded"), "{said}");
    assert!(!said.contains("failed:"), "{said}");

    let (code, _, errors) = program.run(&["plugin", "replay", "dead-letters/no"]).await;
    assert_eq!(code, 1);
    assert!(errors.contains("there is no dead letter"), "{errors}");
}

#[tokio::test]
async fn keys_are_made_and_used_on_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let component = folder.path().join("plugin.wasm");
    fs::copy(guest("hostile-enrich"), &component).unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let plugin = |arguments: &[&str]| {
        let output = Command::new(binary())
            .arg("plugin")
            .args(arguments)
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    };
    let component = component.display().to_string();
    assert_eq!(plugin(&["keygen", &at("team")]).0, Some(0));
    let verify = ["verify", &component, "--key", &at("team.pub")];
    assert!(plugin(&verify).1.contains("is not signed"));
    let sign = plugin(&["sign", &component, "--key", &at("team.key")]);
    assert_eq!(sign.0, Some(0), "{}", sign.1);
    assert_eq!(plugin(&verify).0, Some(0));
    fs::write(&component, "altered").unwrap();
    let (code, said) = plugin(&verify);
    assert_eq!(code, Some(1));
    assert!(said.contains("was altered after it was signed"), "{said}");
}
