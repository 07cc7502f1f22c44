//! How long ten plugins take to be ready when their compiled components are kept, and how much memory one
//! more instance of each takes: `cargo bench --bench ready`. It reports and asserts nothing.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark may panic, and prints"
)]

use std::time::Instant;

use serde_json::{Value, json};
use sluicegate::plugin::{Component, Engine, Grants, Services, Terms};
use sluicegate_tests::host::root;

/// Loads that count; one before them fills the folder.
const ROUNDS: usize = 9;
/// Instances that memory is divided by.
const INSTANCES: usize = 50;

/// Ten components of ours, with a configuration that each takes.
fn plugins() -> Vec<(&'static str, &'static str, Value)> {
    let nothing = || json!({ "do": { "good": "nothing" } });
    vec![
        ("plugins", "enrich-context", json!({})),
        ("plugins", "detect-cloudtrail", json!({})),
        ("plugins", "redaction-check", json!({})),
        ("guests", "attack-tools", json!({})),
        ("guests", "stateful-probe", json!({ "table": "networks" })),
        ("guests", "hostile-enrich", nothing()),
        ("guests", "hostile-detect", nothing()),
        ("guests", "hostile-redact", nothing()),
        ("guests", "hostile-filter", nothing()),
        ("plugins", "enrich-context", json!({})),
    ]
}

fn terms(configuration: &Value) -> Terms {
    Terms {
        configuration: configuration.as_object().unwrap().clone(),
        grants: Grants {
            state: true,
            lookup: vec!["networks".to_owned()],
            ..Grants::default()
        },
        ..Terms::default()
    }
}

/// Bytes of real memory that this process holds.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = text.split_whitespace().nth(1).unwrap().parse().unwrap();
    pages * 4096
}

fn main() {
    let cache = tempfile::tempdir().unwrap();
    let files: Vec<_> = plugins()
        .into_iter()
        .map(|(folder, name, configuration)| {
            let path = root().join("dist").join(folder).join(name);
            let wasm = std::fs::read(path.with_extension("wasm")).unwrap();
            (name, wasm, terms(&configuration))
        })
        .collect();
    let mut times = Vec::new();
    let mut loaded: Vec<Component> = Vec::new();
    for round in 0..=ROUNDS {
        let began = Instant::now();
        let engine = Engine::new(Some(cache.path().join("compiled"))).unwrap();
        let engine = engine.with_services(Services::default());
        loaded = files
            .iter()
            .map(|(name, wasm, terms)| Component::load(&engine, name, wasm, terms).unwrap())
            .collect();
        // Ready means: an instance of each is there.
        let instances: Vec<_> = loaded
            .iter()
            .map(|plugin| plugin.instantiate().unwrap())
            .collect();
        let took = began.elapsed();
        drop(instances);
        if round == 0 {
            println!(
                "cold: {} plugins ready in {} ms",
                files.len(),
                took.as_millis()
            );
        } else {
            times.push(took);
        }
    }
    times.sort();
    println!(
        "warm: {} plugins ready in {:.1} ms (median of {ROUNDS})",
        files.len(),
        times[ROUNDS / 2].as_secs_f64() * 1e3
    );
    for plugin in &loaded {
        let before = resident();
        let instances: Vec<_> = (0..INSTANCES)
            .map(|_| plugin.instantiate().unwrap())
            .collect();
        let each = resident().saturating_sub(before) / INSTANCES;
        println!(
            "{:20} {:>9} bytes of linear memory, {each:>9} bytes of real memory a further instance",
            plugin.name(),
            instances[0].memory_bytes()
        );
    }
}
