//! How many instructions an event costs, against a baseline that is kept beside: clocks are noise on a
//! shared machine, and these numbers repeat.
//!
//! Of plugins the engine counts WebAssembly instructions. Of the host's own parts `callgrind` counts the
//! machine's, of the development build; `make instructions` runs that. What costs more than 3 % over the
//! baseline fails. `UPDATE_BASELINE=1` writes the baseline anew, for a change that is worth it or cheaper.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod baseline;
mod parts;
mod plugins;

use std::{path::Path, process::Command, sync::Arc};

use baseline::Baseline;
use bytes::Bytes;
use parts::Part;
use sluicegate::{
    event::{Object, ObjectKind, ObjectRef},
    generate::{Plan, write_tree},
};

/// Where the process that is counted finds its object, and which part it is to run.
const OBJECT: &str = "SLUICEGATE_COUNTED_OBJECT";
const PART: &str = "SLUICEGATE_COUNTED_PART";

/// One object with attacks and secrets in it, as it lies in a bucket, and how many events it has.
fn made(folder: &Path) -> (Bytes, u64) {
    let plan = Plan {
        objects: 1,
        events_per_object: 400,
        companions: false,
        secrets: 8,
        ..Plan::default()
    };
    let truth = write_tree(folder, &plan).unwrap();
    let object = &truth.objects[0];
    let bytes = std::fs::read(folder.join(&object.key)).unwrap();
    (bytes.into(), object.events)
}

fn object() -> Arc<Object> {
    let reference = ObjectRef {
        bucket: "leanda-ng-cloudtrail-test-123456789012".into(),
        key: "AWSLogs/123456789012/CloudTrail/eu-west-1/2026/11/22/a.json.gz".into(),
        version: None,
    };
    Arc::new(Object::new(reference, "1".into(), ObjectKind::Log))
}

#[test]
fn no_plugin_takes_more_instructions_than_before() {
    let folder = tempfile::tempdir().unwrap();
    let (bytes, _) = made(folder.path());
    let mut baseline = Baseline::of("plugins");
    for (name, fuel) in plugins::fuel_per_event(&bytes) {
        baseline.hold(name, fuel);
    }
    baseline.verdict();
}

#[test]
#[ignore = "runs under callgrind, and counts what CARGO_INCREMENTAL=0 has built; `make instructions`"]
fn no_part_of_the_host_takes_more_instructions_than_before() {
    let folder = tempfile::tempdir().unwrap();
    let (bytes, events) = made(folder.path());
    let object = folder.path().join("object.json.gz");
    std::fs::write(&object, &bytes).unwrap();
    let mut baseline = Baseline::of("host");
    for part in Part::ALL {
        let output = Command::new("valgrind")
            .args([
                "--tool=callgrind",
                "--collect-atstart=no",
                "--toggle-collect=*counted*",
            ])
            .arg("--callgrind-out-file=/dev/null")
            .arg(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "counted_by_callgrind",
                "--ignored",
                "--test-threads=1",
            ])
            .env(OBJECT, &object)
            .env(PART, part.name())
            .output()
            .expect("valgrind is installed");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {said}", part.name());
        let collected = said
            .lines()
            .find_map(|line| line.split_once("Collected : "));
        let collected = collected.and_then(|(_, number)| number.trim().parse::<u64>().ok());
        let collected = collected.unwrap_or_else(|| panic!("callgrind counted nothing: {said}"));
        assert!(collected > events, "{} was not counted", part.name());
        baseline.hold(part.name(), collected / events);
    }
    baseline.verdict();
}

#[test]
#[ignore = "the process that callgrind counts"]
fn counted_by_callgrind() {
    let (Ok(object), Ok(part)) = (std::env::var(OBJECT), std::env::var(PART)) else {
        eprintln!("SKIPPED: only a test that counts runs this");
        return;
    };
    let part = Part::ALL
        .into_iter()
        .find(|known| known.name() == part)
        .unwrap();
    part.run(&std::fs::read(object).unwrap().into());
}
