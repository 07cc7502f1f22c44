//! The chain on one worker: what happens to a plugin that keeps failing.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;

use serde_json::{Value, json};
use sluicegate::{
    effects::Processed,
    event::EventBatch,
    mask::Masker,
    plugin::{ChainWorker, PluginChain},
};
use sluicegate_tests::{
    batches,
    host::{component, engine},
};

/// A batch of events with these names.
fn batch(names: &[&str]) -> EventBatch {
    let events = names
        .iter()
        .map(|name| format!(r#"{{"eventName":"{name}"}}"#));
    batches::events(&events.collect::<Vec<_>>())
}

fn worker(guest: &str, configuration: &Value) -> ChainWorker {
    let plugin = component(&engine(), "guests", guest, configuration);
    let chain = PluginChain::new(vec![plugin], &[&[]], Masker::default()).unwrap();
    ChainWorker::new(Arc::new(chain))
}

/// How each event of a batch failed that the plugin could not judge.
fn causes(processed: &Processed) -> Vec<&str> {
    let cause = |name: &(String, String)| name.0 == "cause";
    let blind = processed.sightings.iter();
    blind
        .map(|(_, sighting)| {
            let cause = sighting.attributes.iter().find(|name| cause(name)).unwrap();
            cause.1.as_str()
        })
        .collect()
}

const MANY: [&str; 8] = ["A", "B", "C", "D", "E", "F", "G", "H"];

#[test]
fn a_plugin_that_keeps_failing_is_left_in_peace_for_a_while() {
    let trap = json!({ "when": "A", "do": { "evil": "trap" } });
    let mut worker = worker("hostile-detect", &trap);
    let always = ["A"; 8];
    let first = worker.process(batch(&always), 0);
    assert!(
        causes(&first)
            .iter()
            .all(|cause| cause.starts_with("trapped"))
    );
    assert_eq!(causes(&first).len(), 8);

    let resting = worker.process(batch(&MANY), 999);
    assert_eq!(
        causes(&resting).len(),
        8,
        "it was not asked about healthy ones either"
    );
    assert!(causes(&resting)[7].starts_with("is not asked for a while"));

    let healthy = worker.process(batch(&MANY[1..]), 1_000);
    assert_eq!(causes(&healthy), [""; 0], "and then it is asked again");
}

#[test]
fn one_poisoned_event_is_no_reason_to_rest() {
    let trap = json!({ "when": "C", "do": { "evil": "trap" } });
    let mut worker = worker("hostile-detect", &trap);
    for _ in 0..3 {
        assert_eq!(causes(&worker.process(batch(&MANY), 0)).len(), 1);
    }
}

#[test]
fn redaction_never_rests() {
    let trap = json!({ "when": "A", "do": { "evil": "trap" } });
    let mut worker = worker("hostile-redact", &trap);
    let first = worker.process(batch(&["A"; 8]), 0);
    assert_eq!(first.withheld.len(), 8);
    assert!(first.withheld.iter().all(|withheld| withheld.pending));
    let next = worker.process(batch(&MANY[1..]), 0);
    assert_eq!(next.withheld.len(), 0, "it was asked, and judged them");
}
