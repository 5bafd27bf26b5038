//! The heartbeat: as long as the worker lives, and through its drain, the control plane sees it. Where the control plane
//! cannot have seen it for so long that it gives the worker up, the worker is told.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use crate::backoff::{Backoff, pause_until};
use crate::control_plane::Registry;
use crate::error::{Error, ErrorKind};
use crate::model::{ExecutionId, ExecutionStatus, WorkerId};
use crate::telemetry::health::{Health, Server};

/// An answer that takes longer than this will not come.
const ANSWER_PATIENCE: Duration = Duration::from_secs(10);

/// Whoever asks how the worker is wants to know how it is now: for them, the next beat comes this long after the last one.
const BEAT_FOR_ASKERS: Duration = Duration::from_secs(5);

/// Why a worker has to stop what it runs.
#[derive(Debug)]
pub(super) enum Alarm {
    /// The control plane has not seen the worker for this long, and gives it up.
    CutOff(Duration),
    /// Somebody else has become this worker.
    Replaced(Error),
    /// These executions are not this worker's any more; what their rows say, where there still are any.
    Superseded(Vec<(ExecutionId, Option<ExecutionStatus>)>),
}

/// How often, and how long without is too long.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rhythm {
    pub(super) period: Duration,
    pub(super) patience: Duration,
}

/// Beats at once and then every period, until aborted. A beat that failed is tried again sooner.
pub(super) fn start<R: Registry>(
    worker: WorkerId,
    registry: Arc<R>,
    rhythm: Rhythm,
    health: Health,
    alarms: mpsc::Sender<Alarm>,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut backoff = Backoff::default();
        let mut seen = Instant::now();
        let mut alarmed = false;
        let mut away = None;
        loop {
            let begun = Instant::now();
            let give_up = pause_until(if alarmed { begun + ANSWER_PATIENCE } else { seen + rhythm.patience });
            let beat = tokio::select! {
                beat = timeout(ANSWER_PATIENCE, registry.heartbeat(worker)) => Some(beat),
                () = give_up => None,
            };
            let pause = match beat {
                Some(Ok(Ok(()))) => {
                    if alarmed {
                        tracing::info!(worker = worker.0, "the database is there again");
                    }
                    (seen, alarmed, away) = (begun, false, None);
                    backoff.reset();
                    rhythm.period
                }
                Some(Ok(Err(error))) if error.kind() == ErrorKind::Conflict => {
                    // Nobody to tell means that the worker is gone already.
                    alarms.send(Alarm::Replaced(error)).await.ok();
                    return;
                }
                Some(Ok(Err(error))) => {
                    tracing::warn!(worker = worker.0, %error, "a heartbeat failed");
                    backoff.next()
                }
                Some(Err(_)) => {
                    tracing::warn!(worker = worker.0, "a heartbeat was not answered");
                    backoff.next()
                }
                None => Duration::ZERO,
            };
            let failed = seen != begun;
            if failed {
                away.get_or_insert_with(|| health.away(Server::Database));
            }
            let next = begun + pause;
            let deadline = seen + rhythm.patience;
            if !alarmed && next.max(Instant::now()) >= deadline {
                pause_until(deadline).await;
                alarmed = true;
                alarms.send(Alarm::CutOff(rhythm.patience)).await.ok();
            }
            tokio::select! {
                () = pause_until(next) => {}
                () = asked(&health, begun) => {}
            }
        }
    })
}

/// Awaits that somebody asks how the worker is, a while after the beat of `begun`.
async fn asked(health: &Health, begun: Instant) {
    pause_until(begun + BEAT_FOR_ASKERS).await;
    health.asked().await;
}
