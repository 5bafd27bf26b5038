//! Reporting: the row first, then the messages. Nothing is announced that is not written.

use std::time::Duration;

use super::Claim;
use crate::control_plane::{Announcements, Executions, Finish};
use crate::model::{Event, ExecutionStatus, Outcome};

/// Between two tries to write a terminal state, at least and at most.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// Writes the outcome and announces it, for as long as that takes. Dropping the future gives up, and the next life of
/// this worker settles the execution.
pub(super) async fn report<R: Executions, Q: Announcements>(
    claim: &Claim,
    outcome: &Outcome,
    registry: &R,
    queue: &Q,
) {
    let execution = claim.execution();
    let finish = insist("the outcome of an execution", claim, || registry.finish(execution, outcome)).await;
    let previous = match finish {
        Finish::Written(previous) => previous,
        Finish::Superseded(status) => {
            tracing::warn!(execution = execution.0, outcome = %outcome.status(), found = status.map(ExecutionStatus::as_str),
                "an execution was ended by somebody else; its late outcome is dropped");
            return;
        }
    };
    tracing::info!(execution = execution.0, action = claim.action_ref(), status = %outcome.status(),
        reason = outcome.reason().code(), error = outcome.error(), "an execution has ended");
    let action_ref = claim.action_ref().to_owned();
    let changed =
        Event::StatusChanged { execution, action_ref: action_ref.clone(), previous, new: outcome.status() };
    insist("a change of status", claim, || queue.publish(&changed)).await;
    let completed = Event::Completed {
        execution,
        action: claim.action(),
        action_ref,
        status: outcome.status(),
        result: outcome.to_result(),
    };
    insist("a completion", claim, || queue.publish(&completed)).await;
}

/// Tries until it works, backing off.
async fn insist<T, F>(what: &str, claim: &Claim, mut attempt: impl FnMut() -> F) -> T
where
    F: Future<Output = crate::error::Result<T>>,
{
    let (mut pause, longest) = RETRY;
    loop {
        match attempt().await {
            Ok(value) => return value,
            Err(error) => {
                tracing::warn!(execution = claim.execution().0, %error, retry_ms = pause.as_millis(),
                    "{what} could not be delivered and is tried again");
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(longest);
    }
}
