//! A plugin that leaks is replaced in time, again and again, and no event is lost over it.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;

use serde_json::json;
use sluicegate::{
    effects::Fate,
    event::{EventBatch, Object, ObjectKind, ObjectRef, Span},
    mask::Masker,
    plugin::{ChainWorker, PluginChain},
};
use sluicegate_tests::{
    host::{component, engine},
    shelf::BUCKET,
};

const EVENTS: usize = 1_000_000;
const BATCH: usize = 1_000;
const LIMIT: usize = 64 << 20;

fn batch(object: &Arc<Object>, number: usize) -> EventBatch {
    let (mut data, mut events) = (Vec::new(), Vec::new());
    for row in 0..BATCH {
        let start = u32::try_from(data.len()).unwrap();
        let index = u32::try_from(number * BATCH + row).unwrap();
        data.extend_from_slice(
            format!(r#"{{"eventName":"GetObject","eventID":"{index}"}}"#).as_bytes(),
        );
        let end = u32::try_from(data.len()).unwrap();
        events.push(Span { start, end, index });
    }
    EventBatch::new(Arc::clone(object), data, events)
}

#[test]
fn a_million_events_pass_a_plugin_that_leaks_a_kilobyte_of_each() {
    let engine = engine();
    let act = json!({ "do": { "evil": { "leak_and_find": { "bytes": 1024 } } } });
    let plugin = component(&engine, "guests", "hostile-detect", &act);
    assert_eq!(plugin.limits().memory_bytes, LIMIT);
    let masker = Masker::with_key("k1", &[7; 32]).unwrap();
    let chain = PluginChain::new(vec![plugin], &[&[]], masker).unwrap();
    let mut worker = ChainWorker::new(Arc::new(chain));
    let reference = ObjectRef {
        bucket: BUCKET.into(),
        key: "key".into(),
        version: None,
    };
    let object = Arc::new(Object::new(reference, "1".into(), ObjectKind::Log));
    let (mut peak, mut replaced, mut before) = (0, 0, 0);
    for number in 0..EVENTS / BATCH {
        let processed = worker.process(batch(&object, number), 1_700_000_000_000);
        assert!((0..BATCH).all(|row| processed.fate(row) == Fate::Forward));
        let found = processed.sightings.iter();
        assert!(
            found
                .map(|(row, found)| (*row, found.rule.as_str()))
                .eq((0..BATCH).map(|row| (row, "r"))),
            "batch {number}: each event is found once, and the plugin is never blind"
        );
        let memory = engine.memory_bytes();
        replaced += usize::from(memory < before);
        (peak, before) = (peak.max(memory), memory);
    }
    assert!(peak <= LIMIT, "{peak} bytes");
    // A gibibyte is leaked, and an instance goes at three quarters of its limit.
    assert!((16..=30).contains(&replaced), "replaced {replaced} times");
}
