//! Plugins over old logs: what would have been found, the same each time, from a folder and from S3.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use serde_json::Value;
use sluicegate::generate::{self, Attack, Plan, Truth};
use sluicegate_tests::{
    aws::Aws,
    host::{PLUGINS, root},
    process::{Program, binary, source},
};

/// A folder of generated objects, in the bucket's own layout.
fn logs(folder: &Path) -> Truth {
    let plan = Plan {
        objects: 12,
        ..Plan::default()
    };
    generate::write_tree(folder, &plan).unwrap()
}

/// Runs a back-test to its end: exit code, output, errors.
fn backtest(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(binary())
        .arg("backtest")
        .args(arguments)
        .current_dir(root())
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn two_runs_over_a_folder_find_every_attack_and_are_equal_to_the_byte() {
    let folder = tempfile::tempdir().unwrap();
    let truth = logs(&folder.path().join("logs"));
    fs::write(folder.path().join("logs/broken.json.gz"), "not gzip").unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let plugin = "dist/plugins/detect-cloudtrail.wasm";
    let run = |out: &str| backtest(&["--folder", &at("logs"), "--out", &at(out), plugin]);
    let (first, second) = (run("first"), run("second"));
    assert_eq!(first.0, 0, "{}", first.2);
    assert_eq!(first.1, second.1);
    for name in ["hits.ndjson", "hours.ndjson"] {
        let read = |out: &str| fs::read(folder.path().join(out).join(name)).unwrap();
        assert_eq!(read("first"), read("second"), "{name}");
    }

    let hits = lines(&folder.path().join("first/hits.ndjson"));
    let mut by_rule: BTreeMap<&str, u64> = BTreeMap::new();
    for hit in &hits {
        *by_rule.entry(hit["rule"].as_str().unwrap()).or_default() += 1;
    }
    for (attack, rule) in [
        (Attack::BucketDeletion, "s3-bucket-deleted"),
        (Attack::TrailStopped, "cloudtrail-tampered"),
        (Attack::RootLogin, "root-used"),
    ] {
        assert!(truth.attacks.iter().any(|made| made.attack == attack));
        assert!(by_rule.contains_key(rule), "{rule} in {by_rule:?}");
    }
    for (rule, count) in &by_rule {
        let line = first
            .1
            .lines()
            .find(|line| line.contains(&format!("/{rule} ")));
        let cells: Vec<_> = line.unwrap().split_whitespace().collect();
        assert_eq!(
            cells[2].replace(',', "").parse::<u64>().unwrap(),
            *count,
            "{line:?}"
        );
    }
    let hours = lines(&folder.path().join("first/hours.ndjson"));
    let sum: u64 = hours
        .iter()
        .map(|hour| hour["hits"].as_u64().unwrap())
        .sum();
    assert_eq!(sum, hits.len() as u64);
    let events = format!("{} events in ", truth.events());
    assert!(first.1.replace(',', "").starts_with(&events), "{}", first.1);
    assert!(first.1.contains("1 objects are at fault"), "{}", first.1);
    assert!(
        first.1.contains("broken.json.gz: corrupt-gzip"),
        "{}",
        first.1
    );

    let again = run("first");
    assert_eq!(again.0, 1);
    assert!(again.2.contains("is there already"), "{}", again.2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prefix_of_a_bucket_gives_what_the_folder_gives() {
    let folder = tempfile::tempdir().unwrap();
    logs(folder.path());
    let aws = Aws::start().await;
    let wired = aws.wire("none", "backtest").await;
    let mut pending = vec![folder.path().to_owned()];
    while let Some(at) = pending.pop() {
        for entry in fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else if path.to_string_lossy().ends_with(".json.gz") {
                let key = path.strip_prefix(folder.path()).unwrap().to_str().unwrap();
                aws.put_object(&wired.bucket, key, fs::read(&path).unwrap())
                    .await;
            }
        }
    }
    let program = Program::new(|at| {
        let plugins = PLUGINS.map(|name| {
            let path = root().join("dist/plugins").join(name);
            format!("[plugins.{name}]\npath = \"{}.wasm\"\n", path.display())
        });
        format!(
            "{}[sinks.none]\ntype = \"file\"\ndirectory = \"{at}/out\"\n{}",
            source(&aws, &wired),
            plugins.concat(),
            at = at.display(),
        )
    });
    let logs = folder.path().display().to_string();
    let out = |name: &str| program.folder().join(name).display().to_string();
    let (code, from_folder, errors) = program
        .run(&["backtest", "--folder", &logs, "--out", &out("a")])
        .await;
    assert_eq!(code, 0, "{errors}");
    let (code, from_bucket, errors) = program
        .run(&[
            "backtest",
            "--bucket",
            &wired.bucket,
            "--prefix",
            "AWSLogs/",
            "--out",
            &out("b"),
        ])
        .await;
    assert_eq!(code, 0, "{errors}");
    let rules = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| !line.starts_with("    "));
        lines.map(ToOwned::to_owned).collect()
    };
    assert_eq!(rules(&from_folder), rules(&from_bucket));
    assert!(
        from_bucket.contains("values would be masked"),
        "{from_bucket}"
    );

    let (code, _, errors) = program
        .run(&["backtest", "--bucket", "other", "--prefix", "x"])
        .await;
    assert_eq!(code, 64);
    assert!(errors.contains("must be one of source.buckets"), "{errors}");
    let (code, _, errors) = program
        .run(&[
            "backtest",
            "--bucket",
            &wired.bucket,
            "--prefix",
            "nothing/",
        ])
        .await;
    assert_eq!(code, 1);
    assert!(
        errors.contains("no object with events is there"),
        "{errors}"
    );
}

#[test]
fn what_is_missing_is_said() {
    for (arguments, part) in [
        (
            &["--folder", "/tmp"][..],
            "name components, or a configuration",
        ),
        (
            &["dist/plugins/detect-cloudtrail.wasm"][..],
            "say where the logs are",
        ),
        (
            &[
                "--folder",
                "/no/such",
                "dist/plugins/detect-cloudtrail.wasm",
            ][..],
            "failed to read /no/such",
        ),
        (
            &["--folder", "wit", "no.wasm"][..],
            "failed to read no.wasm",
        ),
    ] {
        let (code, _, errors) = backtest(arguments);
        assert!(code == 64 || code == 1, "{code}");
        assert!(errors.contains(part), "{part:?} in {errors}");
    }
}
