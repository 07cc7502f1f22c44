//! The plugin chain alone: events in memory, no source, no sink, no AWS.
//!
//! Run it with `make plugins && cargo run --example embed_chain`.

use std::{io::Write as _, path::Path, sync::Arc};

use sluicegate::{
    effects::Processed,
    event::{EventBatch, Object, ObjectKind, ObjectRef, Span},
    mask::Masker,
    plugin::{ChainWorker, Component, Engine, PluginChain, Terms},
};

/// A user stops a trail.
const EVENT: &str = r#"{"eventVersion":"1.11","userIdentity":{"type":"IAMUser","principalId":"AIDAEXAMPLE","arn":"arn:aws:iam::123456789012:user/alice","accountId":"123456789012","userName":"alice"},"eventTime":"2026-03-01T12:00:00Z","eventSource":"cloudtrail.amazonaws.com","eventName":"StopLogging","awsRegion":"us-east-1","sourceIPAddress":"192.0.2.7","requestParameters":{"name":"organization"},"responseElements":null,"eventID":"0b0f7f2e-5c3d-4a57-9d4e-6a3f0f1c2d3e","readOnly":false,"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"123456789012","eventCategory":"Management"}"#;

fn main() -> anyhow::Result<()> {
    let processed = process(&[EVENT])?;
    let mut out = std::io::stdout().lock();
    for row in 0..processed.rows() {
        writeln!(out, "{}", written(&processed, row))?;
    }
    for (row, sighting) in &processed.sightings {
        writeln!(out, "event {row}: {} ({})", sighting.title, sighting.rule)?;
    }
    Ok(())
}

/// Takes events through two plugins, as a worker of the host does.
fn process(events: &[&str]) -> anyhow::Result<Processed> {
    let engine = Engine::new(None)?;
    let plugins = [
        load(&engine, "enrich-context")?,
        load(&engine, "detect-cloudtrail")?,
    ];
    // One sink, which reads no field of its own.
    let chain = PluginChain::new(plugins.into(), &[&[]], Masker::default())?;
    let mut worker = ChainWorker::new(Arc::new(chain));
    Ok(worker.process(batch(events)?, 1_772_366_400_000))
}

fn load(engine: &Engine, name: &str) -> anyhow::Result<Component> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dist/plugins");
    let wasm = std::fs::read(folder.join(name).with_extension("wasm"))?;
    Ok(Component::load(engine, name, &wasm, &Terms::default())?)
}

/// Events as they travel: one buffer, and where each event lies in it.
fn batch(events: &[&str]) -> anyhow::Result<EventBatch> {
    let reference = ObjectRef {
        bucket: "memory".into(),
        key: "events.json.gz".into(),
        version: None,
    };
    let object = Object::new(reference, "1".into(), ObjectKind::Log);
    let (mut data, mut spans) = (Vec::new(), Vec::new());
    for (index, event) in events.iter().enumerate() {
        let start = u32::try_from(data.len())?;
        data.extend_from_slice(event.as_bytes());
        spans.push(Span {
            start,
            end: u32::try_from(data.len())?,
            index: u32::try_from(index)?,
        });
    }
    Ok(EventBatch::new(Arc::new(object), data, spans))
}

/// An event as it would leave: its own bytes with what the plugins added.
fn written(processed: &Processed, row: usize) -> String {
    let mut out = Vec::new();
    processed.view(row, 0).write(b"", &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn the_stopped_trail_is_found_and_its_user_is_named() {
        let processed = process(&[EVENT]).unwrap();
        let event: serde_json::Value = serde_json::from_str(&written(&processed, 0)).unwrap();
        assert_eq!(
            event["sluicegate"]["enrich-context"]["actor"]["name"],
            "alice"
        );
        assert!(!processed.sightings.is_empty());
    }
}
