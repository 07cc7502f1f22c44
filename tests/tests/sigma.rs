//! Sigma rules under the real program: a folder of rules beside the configuration, one of them broken, one
//! changed while events flow.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{fs, time::Duration};

use serde_json::{Value, json};
use sluicegate_tests::{host::root, process::Program, shelf::gzip};

/// A rule that finds one call.
fn rule(id: &str, call: &str) -> String {
    format!(
        "title: {call} was called\nid: {id}\nlevel: high\nlogsource: {{product: aws, service: cloudtrail}}\n\
         detection:\n  call: {{eventSource: s3.amazonaws.com, eventName: {call}}}\n  condition: call\n"
    )
}

const MANY: &str = "
title: Many denied calls
id: many-denied
level: medium
correlation:
  type: event_count
  rules: [denied]
  group-by: [userIdentity.arn]
  timespan: 10m
  condition: {gte: 3}
---
title: A call was denied
name: denied
detection:
  failed: {errorCode|contains: denied}
  condition: failed
";

/// The program with a folder as source and the rules of another folder.
fn program() -> Program {
    Program::new(|folder| {
        for inside in ["in", "rules/deeper"] {
            fs::create_dir_all(folder.join(inside)).unwrap();
        }
        fs::write(
            folder.join("rules/deleted.yml"),
            rule("deleted", "DeleteBucket"),
        )
        .unwrap();
        fs::write(folder.join("rules/deeper/many.yml"), MANY).unwrap();
        let broken = "title: broken\ndetection:\n  a: {f|wrong: x}\n  condition: a\n";
        fs::write(folder.join("rules/broken.yml"), broken).unwrap();
        format!(
            r#"
[source]
type = "directory"
path = "{folder}/in"
poll_interval_ms = 50

[sinks.archive]
type = "file"
directory = "{folder}/out"
accept = ["events", "findings"]
[sinks.archive.delivery]
linger_ms = 10

[reload]
check_s = 1
shadow_events = 1
shadow_s = 0

[findings]
update_interval_s = 1

[plugins.detect-sigma]
path = "{plugin}"
kind = "detect"
configuration = {{ rules = {{ inline_files = "{folder}/rules" }} }}
grants = {{ state = true }}
limits = {{ deadline_ms = 5000, start_ms = 20000 }}
"#,
            folder = folder.display(),
            plugin = root().join("dist/plugins/detect-sigma.wasm").display(),
        )
    })
}

/// Puts an object with one event into the source's folder.
fn put(program: &Program, number: u32, name: &str, more: &Value) {
    let mut event = json!({
        "eventID": number.to_string(), "eventTime": "2026-11-22T10:00:00Z", "eventName": name,
        "eventSource": "s3.amazonaws.com", "userIdentity": { "arn": "arn:aws:iam::123456789012:user/ada" },
    });
    event
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let folder = program
        .folder()
        .join("in/AWSLogs/123456789012/CloudTrail/eu-west-1/2026/11/22");
    fs::create_dir_all(&folder).unwrap();
    let part = program.folder().join("part");
    fs::write(&part, gzip(json!({ "Records": [event] }).to_string())).unwrap();
    let name = format!("123456789012_CloudTrail_eu-west-1_20261122T1000Z_{number:016}.json.gz");
    fs::rename(part, folder.join(name)).unwrap();
}

/// Everything that was written out, events and findings.
fn written(program: &Program) -> String {
    let files = fs::read_dir(program.folder().join("out"))
        .into_iter()
        .flatten()
        .flatten();
    files
        .filter_map(|file| fs::read_to_string(file.path()).ok())
        .collect()
}

/// Puts one event after the other until a rule has found something.
async fn until(program: &Program, next: &mut u32, name: &str, more: Value, rule: &str) {
    for _ in 0..200 {
        put(program, *next, name, &more);
        *next += 1;
        tokio::time::sleep(Duration::from_millis(200)).await;
        if written(program).contains(rule) {
            return;
        }
    }
    panic!("rule {rule} never found anything: {}", written(program));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_find_broken_ones_are_named_and_changed_ones_go_live() {
    let program = program();
    let running = program.start();
    let mut next = 0;
    until(
        &program,
        &mut next,
        "DeleteBucket",
        json!({}),
        "detect-sigma/deleted",
    )
    .await;
    let denied = json!({ "errorCode": "AccessDenied" });
    until(
        &program,
        &mut next,
        "GetObject",
        denied,
        "detect-sigma/many-denied",
    )
    .await;
    assert!(
        next >= 4,
        "one match of the correlation's rule is none of its own"
    );
    assert!(!written(&program).contains("made-later"));

    let part = program.folder().join("rules/part");
    fs::write(&part, rule("made-later", "CreateBucket")).unwrap();
    fs::rename(part, program.folder().join("rules/deleted.yml")).unwrap();
    until(
        &program,
        &mut next,
        "CreateBucket",
        json!({}),
        "detect-sigma/made-later",
    )
    .await;

    let output = running.terminate().await;
    let log = String::from_utf8_lossy(&output.stderr);
    let broken = "broken.yml:3: `f|wrong`: modifier `wrong` is not one of Sigma 2";
    assert!(log.contains(broken), "{log}");
    assert!(log.contains("changed plugin is in shadow"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_says_which_files_are_missing_or_hold_no_rule() {
    let program = program();
    let (code, out, errors) = program.run(&["check"]).await;
    assert_eq!(code, 0, "{out}{errors}");
    let rules = program.folder().join("rules");
    fs::remove_file(rules.join("deleted.yml")).unwrap();
    fs::remove_dir_all(rules.join("deeper")).unwrap();
    let (code, out, errors) = program.run(&["check"]).await;
    assert_ne!(code, 0);
    assert!(
        format!("{out}{errors}").contains("0 rules compiled, 1 refused"),
        "{out}{errors}"
    );
    fs::remove_dir_all(&rules).unwrap();
    let (code, out, errors) = program.run(&["check"]).await;
    assert_ne!(code, 0);
    assert!(
        format!("{out}{errors}").contains("configuration.rules: failed to read"),
        "{out}{errors}"
    );
}
