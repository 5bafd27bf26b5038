//! What a worker looks after beside its work: that the executions which it runs are still its own, and that no execution
//! which it could run is left to nobody.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::heartbeat::Alarm;
use super::held::Held;
use crate::backoff::pause_until;
use crate::control_plane::{Look, Queue, Registry};
use crate::model::WorkerId;

/// After a worker has started it looks again for what was too young the first time: a row that was touched less long ago
/// than ten seconds may be in somebody's hands.
const SECOND_LOOK: Duration = Duration::from_secs(11);

/// Between later looks, on average.
const LOOK_AGAIN: Duration = Duration::from_mins(1);

/// Compares the rows of what runs with what this worker knows: a second after each claim, and with every heartbeat. What is
/// not this worker's any more raises an alarm. Until aborted.
pub(super) async fn watch_claims<R: Registry>(
    worker: WorkerId,
    registry: Arc<R>,
    held: Held,
    period: Duration,
    alarms: mpsc::Sender<Alarm>,
) {
    loop {
        let claims = held.due(worker).await;
        match registry.superseded(&claims).await {
            Ok(superseded) if superseded.is_empty() => {}
            // Nobody to tell means that the worker is gone already.
            Ok(superseded) => alarms.send(Alarm::Superseded(superseded)).await.unwrap_or_default(),
            // That the database is away is told by the heartbeat.
            Err(error) => {
                tracing::debug!(worker = worker.0, %error, "running executions could not be looked at");
            }
        }
        held.looked(period);
    }
}

/// Looks for executions that nobody has: at once, a moment later, and then now and then, until the worker drains.
pub(super) async fn rescue<Q: Queue>(
    worker: WorkerId,
    queue: Arc<Q>,
    held: Held,
    room: usize,
    draining: CancellationToken,
) {
    let begun = Instant::now();
    let looking = async {
        for number in 0_u32.. {
            let look = Look { has_just_started: number < 2, has_room: held.len() < room };
            if let Err(error) = queue.rescue(worker, look).await {
                tracing::warn!(worker = worker.0, %error, "could not look for executions that no worker has");
            }
            let next = if number == 0 { begun + SECOND_LOOK } else { Instant::now() + scattered(LOOK_AGAIN) };
            pause_until(next).await;
        }
    };
    draining.run_until_cancelled(looking).await;
}

/// Between half of it and one and a half, so that a fleet does not look all at the same moment.
fn scattered(pause: Duration) -> Duration {
    // A hasher's random keys are randomness enough, and need no generator of their own.
    let random = RandomState::new().hash_one(0) % 1024;
    pause.mul_f64(0.5 + f64::from(u16::try_from(random).unwrap_or(0)) / 1024.0)
}
