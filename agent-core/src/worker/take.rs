//! Taking work: from a dispatch to a running task, or to a reason why not.

use std::sync::Arc;
use std::time::Duration;

use super::Worker;
use super::running::{EndedTask, Running};
use crate::control_plane::{Delivery, Denied, Notice, Queue, Registry};
use crate::error::Result;
use crate::execution::{self, Claim, Claimed, Streams, stop_channel};
use crate::model::WorkerId;

/// After a failed call to the queue, before the next.
const PAUSE: Duration = Duration::from_secs(1);

/// The next dispatch; failures are logged and tried again, for the worker has nothing else to do.
pub(super) async fn next_dispatch<Q: Queue>(queue: &Q, worker: WorkerId) -> Delivery<Q::Receipt> {
    persist("work could not be taken from the queue", || queue.next_dispatch(worker)).await
}

/// The next notice.
pub(super) async fn next_notice<Q: Queue>(queue: &Q, worker: WorkerId) -> Notice {
    persist("notices could not be read", || queue.next_notice(worker)).await
}

async fn persist<T, F: Future<Output = Result<T>>>(what: &str, mut attempt: impl FnMut() -> F) -> T {
    loop {
        match attempt().await {
            Ok(value) => return value,
            Err(error) => tracing::warn!(%error, "{what}; it is tried again"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

impl<R: Registry, Q: Queue> Worker<R, Q> {
    /// Claims what was delivered and starts it.
    pub(super) async fn take(&self, delivery: Delivery<Q::Receipt>, running: &mut Running) {
        let Delivery { dispatch, receipt } = delivery;
        let claim = match Claim::take(&*self.registry, dispatch.clone()).await {
            Ok(Claimed::Ours(claim)) => claim,
            Ok(Claimed::NotOurs(why)) => {
                log_denied(&dispatch.to_string(), why);
                self.acknowledge(receipt).await;
                return;
            }
            Err(error) => {
                tracing::warn!(execution = dispatch.execution_id.0, %error, "a claim failed; the dispatch is handed back");
                if let Err(error) = self.queue.hand_back(Delivery { dispatch, receipt }).await {
                    tracing::warn!(%error, "a dispatch could not be handed back");
                }
                return;
            }
        };
        self.acknowledge(receipt).await;
        let (handle, stop) = stop_channel();
        let (workshop, registry, queue) =
            (Arc::clone(&self.workshop), Arc::clone(&self.registry), Arc::clone(&self.queue));
        running.start(claim.execution(), handle, async move {
            execution::run(claim, &workshop, &*registry, &*queue, stop, Streams::Captured).await;
        });
    }

    async fn acknowledge(&self, receipt: Q::Receipt) {
        if let Err(error) = self.queue.ack(receipt).await {
            // It will be delivered again, and the claim will deny it then.
            tracing::warn!(%error, "a dispatch could not be acknowledged");
        }
    }
}

/// An execution's own panics are outcomes; one that ends its task is the reporting's, and the next life settles it.
pub(super) fn log_end(ended: &EndedTask) {
    if let Some(panic) = &ended.panic {
        tracing::error!(execution = ended.execution.0, panic, "an execution could not be reported");
    }
}

fn log_denied(dispatch: &str, why: Denied) {
    match why {
        Denied::Unknown => tracing::warn!("{dispatch} does not exist (any more); nothing was run"),
        Denied::Status(status) => {
            tracing::info!(%status, "{dispatch} is not waiting to be run; nothing was run");
        }
        Denied::Stale => tracing::info!("{dispatch} belongs to another worker or attempt; nothing was run"),
    }
}
