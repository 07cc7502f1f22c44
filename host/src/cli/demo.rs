//! `sluicegate demo`: the whole job on generated events, with a summary that can be checked.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use clap::Args;
use tokio_util::sync::CancellationToken;

use super::{
    Failure,
    output::{Output, thousands},
    scan::{Scan, Secrets},
};
use crate::{
    assemble,
    config::Config,
    generate::{self, Attack, Plan, Truth},
    pipeline::Pipeline,
    telemetry::Snapshot,
};

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Where everything is put; what an earlier demonstration left there is removed
    #[arg(long, value_name = "FOLDER", default_value = "sluicegate-demo")]
    out: PathBuf,
    /// Where the plugins are
    #[arg(long, value_name = "FOLDER", default_value = "dist/plugins")]
    plugins: PathBuf,
    /// How many objects to generate
    #[arg(long, default_value_t = 200)]
    objects: usize,
    /// Everything random follows from it
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Marks a folder as ours to remove.
const MARK: &str = ".sluicegate-demo";

pub(super) async fn run(arguments: &Arguments, drain: CancellationToken) -> Result<(), Failure> {
    let mut output = Output::default();
    let out = &arguments.out;
    prepare(out)?;
    let plan = Plan {
        seed: arguments.seed,
        objects: arguments.objects,
        ..Plan::default()
    };
    let truth =
        generate::write_tree(&out.join("bucket"), &plan).context("failed to generate events")?;
    output.line(&generated(&truth))?;

    let toml = configuration(out, &arguments.plugins);
    let file = out.join("sluicegate.toml");
    fs::write(&file, toml).with_context(|| format!("failed to write {}", file.display()))?;
    let config = Config::load(&file).map_err(Failure::Configuration)?;
    let began = Instant::now();
    let counted = forward(&config, &truth, &mut output, drain).await?;
    let took = began.elapsed();

    let secrets = Secrets::new(truth.secrets.iter().map(|secret| secret.value.as_str()));
    let planted = scan(out, &["bucket"], &secrets)?;
    ensure_all_found(&truth, &planted)?;
    let leaked = scan(out, &["out", "state"], &secrets)?;
    summary(out, &truth, &counted, took, &leaked)
        .lines()
        .try_for_each(|line| output.line(line))?;
    verdict(&truth, &counted, &leaked)?;
    Ok(())
}

fn prepare(out: &Path) -> anyhow::Result<()> {
    let context = || format!("failed to prepare {}", out.display());
    if out.exists() {
        let ours =
            out.join(MARK).exists() || fs::read_dir(out).with_context(context)?.next().is_none();
        ensure!(
            ours,
            "{} holds something else: name another folder with --out",
            out.display()
        );
        fs::remove_dir_all(out).with_context(context)?;
    }
    fs::create_dir_all(out.join("bucket")).with_context(context)?;
    fs::write(
        out.join(MARK),
        "made by `sluicegate demo`, which removes this folder when it runs again\n",
    )
    .with_context(context)?;
    let mut key = [0; 32];
    aws_lc_rs::rand::fill(&mut key)
        .ok()
        .context("failed to draw a key")?;
    fs::write(out.join("hmac.key"), crate::digest::hex(&key)).with_context(context)
}

/// The configuration of the demonstration; it lies beside the results and can be run again.
fn configuration(out: &Path, plugins: &Path) -> String {
    let path = |path: PathBuf| toml_text(&path.display().to_string());
    let mut toml = String::from("# Written by `sluicegate demo`.\n");
    let mut section = |name: &str, lines: &[(&str, String)]| {
        write!(toml, "\n[{name}]\n").expect("a String takes every write");
        for (key, value) in lines {
            writeln!(toml, "{key} = {value}").expect("a String takes every write");
        }
    };
    section(
        "source",
        &[
            ("type", toml_text("directory")),
            ("path", path(out.join("bucket"))),
            (
                "bucket",
                toml_text("leanda-ng-cloudtrail-demo-123456789012"),
            ),
            ("poll_interval_ms", "50".into()),
            ("once", "true".into()),
        ],
    );
    for name in ["enrich-context", "detect-cloudtrail", "redaction-check"] {
        section(
            &format!("plugins.{name}"),
            &[("path", path(plugins.join(format!("{name}.wasm"))))],
        );
    }
    // A demonstration waits for the plugins, however slow the build that runs it.
    for (name, accept) in [
        ("archive", r#"["events", "findings"]"#),
        ("alerts", r#"["events_with_findings", "findings"]"#),
    ] {
        section(
            &format!("sinks.{name}"),
            &[
                ("type", toml_text("file")),
                ("directory", path(out.join("out").join(name))),
                ("accept", accept.into()),
            ],
        );
    }
    section("ledger", &[("path", path(out.join("state/ledger.sqlite")))]);
    section("store", &[("path", path(out.join("state/store")))]);
    section("plugin_cache", &[("path", path(out.join("cache")))]);
    section(
        "redaction",
        &[("hmac_key_file", path(out.join("hmac.key")))],
    );
    toml
}

fn toml_text(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

async fn forward(
    config: &Config,
    truth: &Truth,
    output: &mut Output,
    drain: CancellationToken,
) -> anyhow::Result<Snapshot> {
    output.progress("compiling plugins …")?;
    let pipeline = Pipeline::new(assemble::plan(config, &assemble::loader(config)?).await?)?;
    let mut running = Box::pin(pipeline.run(drain));
    let began = Instant::now();
    loop {
        match tokio::time::timeout(Duration::from_millis(200), &mut running).await {
            Ok(result) => break result?,
            Err(_) => output.progress(&progress(&pipeline.snapshot(), truth, began.elapsed()))?,
        }
    }
    Ok(pipeline.snapshot())
}

fn progress(counted: &Snapshot, truth: &Truth, elapsed: Duration) -> String {
    let rate = counted.events * 1000
        / u64::try_from(elapsed.as_millis())
            .unwrap_or(u64::MAX)
            .max(1);
    format!(
        "{} of {} events, {} objects, {} sightings, {} events/s",
        thousands(counted.events),
        thousands(truth.events()),
        thousands(counted.objects),
        thousands(counted.sightings),
        thousands(rate),
    )
}

/// Reads every byte of these folders.
fn scan(out: &Path, folders: &[&str], secrets: &Secrets<'_>) -> anyhow::Result<Scan> {
    let mut scan = Scan::default();
    folders
        .iter()
        .try_for_each(|folder| scan.folder(&out.join(folder), secrets))?;
    Ok(scan)
}

/// A scan that finds nothing in the results proves something only if it finds everything in the objects.
fn ensure_all_found(truth: &Truth, planted: &Scan) -> anyhow::Result<()> {
    let (found, all) = (planted.found.len(), truth.secrets.len());
    ensure!(
        found == all,
        "the scan finds {found} of {all} secrets in the generated objects"
    );
    Ok(())
}

fn generated(truth: &Truth) -> String {
    let stored: u64 = truth.objects.iter().map(|object| object.stored_bytes).sum();
    format!(
        "generated {} objects with {} events ({} bytes stored), {} attacks and {} secrets",
        thousands(truth.objects.len() as u64),
        thousands(truth.events()),
        thousands(stored),
        truth.attacks.len(),
        thousands(truth.secrets.len() as u64),
    )
}

fn summary(out: &Path, truth: &Truth, counted: &Snapshot, took: Duration, leaked: &Scan) -> String {
    let mut rows = vec![
        (
            "events read".to_owned(),
            format!(
                "{} in {:.1} s",
                thousands(counted.events),
                took.as_secs_f64()
            ),
        ),
        ("objects read".to_owned(), thousands(counted.objects)),
    ];
    for (name, sink) in &counted.sinks {
        let dead: u64 = sink.dead_lettered.values().sum();
        let said = format!(
            "{} delivered, {} pending, {} dead-lettered, {} failed",
            thousands(sink.delivered),
            sink.pending,
            dead,
            sink.failed
        );
        rows.push((format!("sink {name}"), said));
    }
    for (rule, (findings, events)) in rules(&out.join("out/alerts/findings.ndjson")) {
        rows.push((
            format!("rule {rule}"),
            format!("{findings} findings of {} events", thousands(events)),
        ));
    }
    rows.push(("attacks played".to_owned(), attacks(truth)));
    rows.push((
        "secrets".to_owned(),
        format!(
            "planted: {}, found outside: {}",
            thousands(truth.secrets.len() as u64),
            leaked.found.len()
        ),
    ));
    rows.push((
        "scanned for them".to_owned(),
        format!("{} files, {} bytes", leaked.files, thousands(leaked.bytes)),
    ));
    for (what, path) in [
        ("results", "out"),
        ("ledger and store", "state"),
        ("configuration", "sluicegate.toml"),
    ] {
        rows.push((what.to_owned(), out.join(path).display().to_string()));
    }
    let width = rows.iter().map(|(what, _)| what.len()).max().unwrap_or(0);
    let mut table = String::new();
    for (what, said) in rows {
        writeln!(table, "  {what:width$}  {said}").expect("a String takes every write");
    }
    table
}

fn attacks(truth: &Truth) -> String {
    let mut counts: BTreeMap<Attack, usize> = BTreeMap::new();
    truth
        .attacks
        .iter()
        .for_each(|made| *counts.entry(made.attack).or_default() += 1);
    counts
        .iter()
        .map(|(attack, count)| format!("{count} {attack:?}"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// Findings and their events by rule. A finding is written again when it changes; the last line counts.
fn rules(path: &Path) -> BTreeMap<String, (u64, u64)> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let mut findings: BTreeMap<String, (String, u64)> = BTreeMap::new();
    for line in text.lines() {
        let Ok(finding) = serde_json::from_str::<serde_json::Value>(line) else {
            continue;
        };
        let member = |name: &str| finding[name].as_str().unwrap_or_default().to_owned();
        findings.insert(
            member("id"),
            (member("rule"), finding["count"].as_u64().unwrap_or(0)),
        );
    }
    let mut rules: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for (rule, count) in findings.into_values() {
        let sums = rules.entry(rule).or_default();
        sums.0 += 1;
        sums.1 += count;
    }
    rules
}

/// The demonstration fails where it does not keep what the README promises.
fn verdict(truth: &Truth, counted: &Snapshot, leaked: &Scan) -> anyhow::Result<()> {
    ensure!(
        leaked.found.is_empty(),
        "{} secrets got out",
        leaked.found.len()
    );
    ensure!(
        counted.events == truth.events(),
        "{} of {} events were read",
        counted.events,
        truth.events()
    );
    for (name, sink) in &counted.sinks {
        ensure!(
            sink.in_hand() == 0,
            "sink {name}: {} entries are unaccounted for",
            sink.in_hand()
        );
        ensure!(
            sink.pending == 0 && sink.failed == 0,
            "sink {name} did not accept everything"
        );
    }
    Ok(())
}
