//! Taking work: from a dispatch to a running execution, or to a reason why not.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Worker;
use super::held::Held;
use super::running::Running;
use crate::backoff::Backoff;
use crate::control_plane::{Delivery, Denied, GivenUp, Notice, Queue, Registry};
use crate::error::{Error, ErrorKind, Result};
use crate::execution::{self, Attempted, Claimed, NotBegun, StopSignal, Streams, Workshop, stop_channel};
use crate::model::{Dispatch, WorkerId};

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
    /// Starts a task that claims what was delivered, runs it and reports it. Claims do not wait for each other.
    pub(super) fn take(&self, delivery: Delivery<Q::Receipt>, running: &mut Running) {
        let (handle, stop) = stop_channel();
        let errand = Errand {
            workshop: Arc::clone(&self.workshop),
            registry: Arc::clone(&self.registry),
            queue: Arc::clone(&self.queue),
            draining: self.draining.clone(),
            held: self.held.clone(),
        };
        running.start(delivery.dispatch.execution_id, handle, errand.carry_out(delivery, stop));
    }
}

/// One dispatch, from its delivery to the row that says how it ended.
struct Errand<R, Q> {
    workshop: Arc<Workshop>,
    registry: Arc<R>,
    queue: Arc<Q>,
    draining: CancellationToken,
    held: Held,
}

/// What to do about a claim.
enum Answer {
    Claimed(Claimed),
    /// The control plane will never grant or deny it.
    Refused(Error),
    /// The worker drains and has no answer.
    LetGo,
}

impl<R: Registry, Q: Queue> Errand<R, Q> {
    async fn carry_out(self, delivery: Delivery<Q::Receipt>, stop: StopSignal) {
        let Delivery { dispatch, receipt } = delivery;
        let attempt = Attempted::new(&*self.registry, &dispatch);
        let hold = self.held.hold(attempt.key());
        let claim = match self.insist(&attempt).await {
            Answer::Claimed(Claimed::Ours(claim)) => claim,
            Answer::Claimed(Claimed::NotOurs(why)) => {
                log_denied(&dispatch, why);
                return self.acknowledge(receipt).await;
            }
            Answer::Claimed(Claimed::Before(orphan)) => {
                if !self.held.holds(&orphan.key) {
                    tracing::warn!(
                        execution = dispatch.execution_id.0,
                        "a claim of an earlier life came into force after that life was settled"
                    );
                    let (journal, registry, queue) = (&self.workshop.journal, &*self.registry, &*self.queue);
                    execution::report(orphan.ending(), journal, registry, queue).await;
                }
                return self.acknowledge(receipt).await;
            }
            Answer::Claimed(Claimed::CancelledBefore(ending)) => {
                let [changed, completed] = ending.events(crate::model::ExecutionStatus::Scheduled);
                // Until it is safe, the delivery is what remembers it.
                if self.queue.announce(vec![changed, completed]).safe_at_last().await {
                    self.acknowledge(receipt).await;
                }
                return;
            }
            Answer::Refused(error) => {
                tracing::error!(execution = dispatch.execution_id.0, %error, hint = error.hint_text(),
                    "a dispatch can never be claimed and is put aside");
                return log_failure("a dispatch could not be put aside", self.queue.reject(receipt).await);
            }
            Answer::LetGo => {
                let key = attempt.key().clone();
                return self.hand_back(GivenUp { dispatch, receipt: Some(receipt), key }).await;
            }
        };
        hold.granted();
        self.acknowledge(receipt).await;
        let (workshop, registry, queue) = (&*self.workshop, &*self.registry, &*self.queue);
        let ran = execution::run(claim, workshop, registry, queue, stop, Streams::Captured).await;
        if let Err(NotBegun) = ran {
            tracing::info!(
                execution = dispatch.execution_id.0,
                action = dispatch.action_ref,
                "the worker stops before this execution has begun: it is handed back"
            );
            let key = attempt.key().clone();
            self.hand_back(GivenUp { dispatch, receipt: None, key }).await;
        }
    }

    /// For as long as the drain lasts; after that, the next life finds the row.
    async fn hand_back(&self, mut given_up: GivenUp<Q::Receipt>) {
        let mut backoff = Backoff::default();
        loop {
            match self.queue.hand_back(&mut given_up).await {
                Err(error) if error.kind() == ErrorKind::Unavailable => {
                    let pause = backoff.next();
                    tracing::warn!(execution = given_up.key.execution.0, %error, retry_ms = pause.as_millis(),
                        "an execution could not be handed back and is tried again");
                    tokio::time::sleep(pause).await;
                }
                Ok(None) => return,
                Ok(Some(canceling)) => {
                    let (journal, registry, queue) = (&self.workshop.journal, &*self.registry, &*self.queue);
                    let ending = canceling.cancelled_before_start();
                    return execution::report(ending, journal, registry, queue).await;
                }
                Err(error) => {
                    return tracing::warn!(execution = given_up.key.execution.0, %error,
                        "an execution could not be handed back");
                }
            }
        }
    }

    /// Tries to claim until there is an answer, or until the worker drains.
    async fn insist(&self, attempt: &Attempted<'_>) -> Answer {
        let mut backoff = Backoff::default();
        loop {
            match attempt.again(&*self.registry).await {
                Ok(claimed) => return Answer::Claimed(claimed),
                Err(error) if error.kind() == ErrorKind::Unavailable => {
                    let pause = backoff.next();
                    tracing::warn!(execution = attempt.key().execution.0, %error, retry_ms = pause.as_millis(),
                        "a claim was not answered and is tried again");
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        () = self.draining.cancelled() => return Answer::LetGo,
                    }
                }
                Err(error) => return Answer::Refused(error),
            }
        }
    }

    async fn acknowledge(&self, receipt: Q::Receipt) {
        // It will be delivered again, and the claim will deny it then.
        log_failure("a dispatch could not be acknowledged", self.queue.ack(receipt).await);
    }
}

fn log_failure(what: &str, done: Result<()>) {
    if let Err(error) = done {
        tracing::warn!(%error, "{what}");
    }
}

fn log_denied(dispatch: &Dispatch, why: Denied) {
    match why {
        Denied::Unknown => tracing::warn!("{dispatch} does not exist (any more); nothing was run"),
        Denied::Status(status) => {
            tracing::info!(%status, "{dispatch} is not waiting to be run; nothing was run");
        }
        Denied::Stale => tracing::info!("{dispatch} belongs to another worker or attempt; nothing was run"),
    }
}
