//! `sluicegate run`: forward until told to stop.

use tokio_util::sync::CancellationToken;

use super::{Configured, Failure};
use crate::{assemble, pipeline::Pipeline};

pub(super) async fn run(configured: &Configured, drain: CancellationToken) -> Result<(), Failure> {
    let config = configured.load()?;
    let plan = assemble::plan(&config).await?;
    for plugin in &plan.plugins {
        tracing::info!(
            plugin = plugin.name(),
            version = plugin.version(),
            digest = plugin.digest(),
            "plugin loaded"
        );
    }
    let pipeline = Pipeline::new(plan)?;
    tracing::info!(sinks = config.sinks.len(), "forwarding");
    let result = pipeline.run(drain).await;
    let counted = pipeline.counters().snapshot();
    tracing::info!(
        messages = counted.messages,
        deleted = counted.messages_deleted,
        released = counted.messages_released,
        objects = counted.objects,
        events = counted.events,
        "drained",
    );
    Ok(result?)
}
