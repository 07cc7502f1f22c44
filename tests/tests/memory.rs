//! Memory is bounded by the configuration, whatever the size of an object.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    fmt::Write as _,
    fs::File,
    io::{BufRead as _, BufReader, BufWriter},
    path::Path,
    time::Duration,
};

use sluicegate::generate::write_object;
use sluicegate_tests::{
    host::{PLUGINS, root},
    process::Program,
};

const KEY: &str = "AWSLogs/123456789012/CloudTrail/eu-west-1/2026/11/22/123456789012_CloudTrail_eu-west-1_20261122T1000Z_0000000000000000.json.gz";
const GIBIBYTE: u64 = 1 << 30;
const ALLOWED_KIB: u64 = 256 << 10;

fn configuration(folder: &Path) -> String {
    let mut text = format!(
        r#"
[source]
type = "directory"
path = "{folder}/in"
once = true

[sinks.archive]
type = "file"
directory = "{folder}/out"
gzip = false
max_file_bytes = 100000000000
"#,
        folder = folder.display(),
    );
    for plugin in PLUGINS {
        let path = root()
            .join("dist/plugins")
            .join(plugin)
            .with_extension("wasm");
        writeln!(text, "[plugins.{plugin}]\npath = \"{}\"", path.display()).unwrap();
    }
    text
}

/// The most memory that a process has held so far, in KiB; none once it has ended.
fn peak_kib(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[test]
#[ignore = "takes minutes and two gigabytes of disk; part of `make nightly`"]
fn an_object_of_a_gibibyte_passes_in_bounded_memory() {
    let program = Program::new(configuration);
    let object = program.folder().join("in").join(KEY);
    std::fs::create_dir_all(object.parent().unwrap()).unwrap();
    let written = write_object(
        1,
        GIBIBYTE,
        1,
        BufWriter::new(File::create(&object).unwrap()),
    )
    .unwrap();
    assert!(written.inflated_bytes >= GIBIBYTE);

    let mut child = program.command(&["run"]).spawn().unwrap();
    let mut peak = 0;
    let status = loop {
        peak = peak_kib(child.id()).unwrap_or(0).max(peak);
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None => wait(),
        }
    };
    assert!(status.success(), "{status}");
    let lines = BufReader::new(File::open(program.folder().join("out/events.ndjson")).unwrap())
        .split(b'\n');
    assert_eq!(lines.count() as u64, written.events);
    eprintln!(
        "peak memory {peak} KiB for {} events, {} bytes",
        written.events, written.inflated_bytes
    );
    assert!(peak > 0 && peak < ALLOWED_KIB, "peak memory was {peak} KiB");
}

/// The process under test is real, and so is its time.
#[allow(
    clippy::disallowed_methods,
    reason = "nothing here runs on a paused clock"
)]
fn wait() {
    std::thread::sleep(Duration::from_millis(50));
}
