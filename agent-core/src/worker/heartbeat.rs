//! The heartbeat: as long as the worker lives, and through its drain, the control plane sees it.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::control_plane::Registry;
use crate::model::WorkerId;

/// Beats at once and then every `period`, until aborted.
pub(super) fn start<R: Registry>(worker: WorkerId, registry: Arc<R>, period: Duration) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut ticks = interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            // One that takes longer than the period is given up for the next.
            match timeout(period, registry.heartbeat(worker)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(worker = worker.0, %error, "a heartbeat failed"),
                Err(_) => tracing::warn!(worker = worker.0, "a heartbeat took longer than its period"),
            }
        }
    })
}
