//! WebAssembly instructions of the plugins that come with the host.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use sluicegate::{
    mask::Masker,
    plugin::{ChainWorker, Component, Engine, Grants, Limits, PluginChain, Terms},
    source::records::{self, Decoder, Step},
};
use sluicegate_tests::host::root;

/// Every plugin with what it takes for each event that reaches it.
pub(crate) fn fuel_per_event(object: &Bytes) -> Vec<(&'static str, u64)> {
    let nothing = json!({});
    let sigma = json!({ "rules": rules() });
    let plugins = [
        ("enrich-context", &nothing),
        ("detect-cloudtrail", &nothing),
        ("detect-behaviour", &nothing),
        ("redaction-check", &nothing),
        ("sample-data-events", &nothing),
        ("detect-sigma", &sigma),
    ];
    plugins
        .map(|(name, configuration)| (name, fuel(name, configuration, object)))
        .into()
}

fn fuel(name: &str, configuration: &Value, object: &Bytes) -> u64 {
    let engine = Engine::measuring(true).unwrap();
    let path = root()
        .join("dist/plugins")
        .join(name)
        .with_extension("wasm");
    let wasm = std::fs::read(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; run `make plugins`", path.display()));
    let terms = Terms {
        configuration: configuration.as_object().unwrap().clone(),
        // A development build that counts is slow, and the machine may be loaded.
        limits: Limits {
            deadline_ms: 60_000,
            start_ms: 60_000,
            ..Limits::default()
        },
        grants: Grants {
            state: true,
            ..Grants::default()
        },
        ..Terms::default()
    };
    let component = Component::load(&engine, name, &wasm, &terms).unwrap();
    let masker = Masker::with_key("count", &[7; 32]).unwrap();
    let chain = PluginChain::new(vec![component], &[&[]], masker).unwrap();
    let mut chain = ChainWorker::new(Arc::new(chain));
    let mut decoder = Decoder::new(crate::object(), records::Limits::default());
    let mut left = object.clone();
    loop {
        match decoder.step() {
            Step::Batch(batch) => drop(chain.process(batch, 1_772_400_000_000)),
            Step::Hungry if left.is_empty() => decoder.finish(),
            Step::Hungry => decoder.feed(std::mem::take(&mut left)),
            Step::End(_) => break,
            step @ (Step::Bad(_) | Step::Fault(_)) => panic!("{step:?}"),
        }
    }
    engine
        .usage()
        .fuel_per_event()
        .unwrap_or_else(|| panic!("no event reached {name}"))
}

/// A hundred rules, each about a call of its own, the first of which are often made.
fn rules() -> Value {
    const OFTEN: [&str; 4] = ["GetObject", "AssumeRole", "DescribeInstances", "Decrypt"];
    let rule = |number: usize| {
        let made = format!("DoThing{number}");
        let name = OFTEN.get(number).copied().unwrap_or(&made);
        json!({
            "path": format!("{number}.yml"),
            "text": format!(
                "title: {name}\nid: {number:08x}-0000-4000-8000-000000000000\nlevel: low\nlogsource:\n    \
                 product: aws\n    service: cloudtrail\ndetection:\n    call:\n        eventName: {name}\n    \
                 failed:\n        errorCode|exists: true\n    condition: call and failed\n"
            ),
        })
    };
    (0..100).map(rule).collect()
}
