//! A pipeline with a sink of one's own, built by code: a folder of generated objects, counted.
//!
//! Run it with `cargo run --example embed_pipeline`.

use std::{
    io::Write as _,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use sluicegate::{
    clock,
    effects::EventView,
    finding::Finding,
    findings, generate, guard,
    ledger::Sqlite,
    mask::Masker,
    pipeline::{Pipeline, Plan, Settings, SinkPlan},
    plugin::ReloadSettings,
    sink::{Accept, Batch, Limits, Refused, SendError, Sink, Unencodable, delivery},
    source::{directory, notification::Trust},
    store::{Folder, Store},
};
use tokio_util::sync::CancellationToken;

/// A sink that counts what it is sent. Batching, retries and acknowledgement are not its business.
#[derive(Debug, Default)]
struct Counter {
    events: AtomicU64,
    bytes: AtomicU64,
}

#[async_trait]
impl Sink for Counter {
    fn limits(&self) -> Limits {
        Limits {
            max_entries: 500,
            max_bytes: 1 << 20,
            max_entry_bytes: 1 << 20,
            frame_bytes: 0,
            separator_bytes: 0,
        }
    }

    fn encode_event(&self, event: &EventView<'_>, out: &mut Vec<u8>) -> Result<(), Unencodable> {
        event.write(b"", out);
        Ok(())
    }

    fn encode_finding(&self, _: &Finding, _: &mut Vec<u8>) -> Result<(), Unencodable> {
        Err(Unencodable("this sink counts events only".into()))
    }

    async fn send(&self, batch: &Batch) -> Result<Vec<Refused>, SendError> {
        let bytes: usize = batch.entries().map(<[u8]>::len).sum();
        self.events.fetch_add(batch.len() as u64, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        Ok(Vec::new())
    }

    async fn check(&self) -> anyhow::Result<String> {
        Ok("nothing to ask".into())
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = std::env::temp_dir().join(format!("sluicegate-embed-{}", std::process::id()));
    let (counter, made) = forward(&folder).await?;
    std::fs::remove_dir_all(&folder)?;
    let (events, bytes) = (
        counter.events.load(Ordering::Relaxed),
        counter.bytes.load(Ordering::Relaxed),
    );
    writeln!(
        std::io::stdout(),
        "{events} of {made} events, {bytes} bytes"
    )?;
    Ok(())
}

/// Generates objects, forwards them all, and says what was counted and how many events there are.
async fn forward(folder: &Path) -> anyhow::Result<(Arc<Counter>, u64)> {
    let plan = generate::Plan {
        objects: 5,
        companions: false,
        ..generate::Plan::default()
    };
    let truth = generate::write_tree(&folder.join("bucket"), &plan)?;
    let counter = Arc::new(Counter::default());
    let source = directory::Directory::open_folder(&directory::Settings {
        path: folder.join("bucket"),
        bucket: "embedded".into(),
        poll_interval_ms: 20,
        once: true,
    })?;
    let pipeline = Pipeline::new(Plan {
        source: Arc::new(source),
        trust: Trust::new(["embedded"]),
        plugins: Vec::new(),
        shadows: Vec::new(),
        reload: ReloadSettings::default(),
        masker: Masker::default(),
        sinks: vec![SinkPlan {
            name: "counter".into(),
            sink: Arc::clone(&counter) as Arc<dyn Sink>,
            accept: vec![Accept::Events],
            clauses: Vec::new(),
            delivery: delivery::Settings {
                requests_per_second: 1_000,
                ..delivery::Settings::default()
            },
            egress_guard: guard::Mode::Mask,
        }],
        ledger: Arc::new(Sqlite::in_memory()?),
        store: Arc::new(Store::new(Arc::new(Folder::open(&folder.join("store"))?))),
        settings: Settings::default(),
        findings: findings::Settings::default(),
        clock: clock::system(),
    })?;
    pipeline.run(CancellationToken::new()).await?;
    Ok((counter, truth.events()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_event_reaches_the_own_sink_once() {
        let folder = tempfile::tempdir().unwrap();
        let (counter, made) = forward(folder.path()).await.unwrap();
        assert_eq!(counter.events.load(Ordering::Relaxed), made);
    }
}
