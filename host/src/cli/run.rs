//! `sluicegate run`: forward until told to stop.

use super::{Configured, Failure, Signals, watch::Watch};
use crate::{assemble, pipeline::Pipeline};

pub(super) async fn run(configured: &Configured, signals: Signals) -> Result<(), Failure> {
    let config = configured.load()?;
    let loader = assemble::loader(&config)?;
    let plan = assemble::plan(&config, &loader).await?;
    for plugin in plan.plugins.iter().chain(&plan.shadows) {
        tracing::info!(
            plugin = plugin.name(),
            version = plugin.version(),
            digest = plugin.digest(),
            "plugin loaded"
        );
    }
    let pipeline = Pipeline::new(plan)?;
    tracing::info!(sinks = config.sinks.len(), "forwarding");
    let watch = Watch::new(configured, config, loader, &pipeline);
    let result = tokio::select! {
        result = pipeline.run(signals.drain) => result,
        never = watch.run(signals.reload) => match never {},
    };
    let counted = pipeline.snapshot();
    for (sink, counted) in &counted.sinks {
        tracing::info!(
            sink,
            received = counted.received,
            delivered = counted.delivered,
            dropped = counted.dropped,
            dead_lettered = counted.dead_lettered.values().sum::<u64>(),
            pending = counted.pending,
            failed = counted.failed,
            given_up = counted.given_up.values().sum::<u64>(),
            "sink drained",
        );
    }
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
