//! Reporting: the journal first, then the row, then the messages. Nothing is announced that is not written, and nothing
//! is forgotten that is not announced.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::backoff::Backoff;
use crate::control_plane::{Announcements, Entry, Executions, Finish, Journal, Record};
use crate::error::ErrorKind;
use crate::model::{Ending, ExecutionStatus, ResultField};

/// Ends on their way to their followers, from which on an execution waits for its own before it makes room for
/// another: a broker that takes nothing must not fill the memory.
const BACKLOG: usize = 1000;

/// How long an end waits for earlier ones to be told before it is told itself. After an outage, all are written within
/// a few seconds of each other.
const OVERTAKING: Duration = Duration::from_secs(5);

/// Between two tries to write a row, whatever else makes progress.
const SHORTEST: Duration = Duration::from_millis(50);

/// Reports the end of an execution, for as long as that takes; returns once its row is written. Dropping the future
/// gives up, and the next life of this worker delivers what the journal holds.
pub async fn report<R: Executions, Q: Announcements>(
    ending: Ending,
    journal: &Arc<Journal>,
    registry: &R,
    queue: &Q,
) {
    let record = Record::Ending(ending);
    let entry = journal.write(&record);
    let Record::Ending(ending) = record else { unreachable!("it was made above") };
    deliver(ending, entry, journal, registry, queue).await;
}

/// Delivers an end that is in the journal already.
pub async fn deliver<R: Executions, Q: Announcements>(
    ending: Ending,
    entry: Entry,
    journal: &Journal,
    registry: &R,
    queue: &Q,
) {
    let execution = ending.key.execution;
    let previous = match write(&ending, journal, registry).await {
        Some(Finish::Written(previous)) => previous,
        Some(Finish::Superseded(Some(ExecutionStatus::Cancelled))) => {
            // Whoever cancels a row outright tells only that: what waits for the end would wait for ever.
            tracing::warn!(execution = execution.0, outcome = %ending.status,
                "an execution was cancelled over its own end; that is announced instead");
            let cancelled = Ending { status: ExecutionStatus::Cancelled, result: Value::Null, ..ending };
            announce(&cancelled, ExecutionStatus::Running, entry, journal, queue).await;
            return;
        }
        Some(Finish::Superseded(status)) => {
            tracing::warn!(execution = execution.0, outcome = %ending.status, found = status.map(ExecutionStatus::as_str),
                "an execution was ended by somebody else; its late outcome is dropped");
            entry.forget();
            return;
        }
        None => return,
    };
    let said = |field: ResultField| field.text_of(&ending.result);
    tracing::info!(execution = execution.0, action = ending.action_ref, status = %ending.status,
        reason = said(ResultField::Reason), error = said(ResultField::Error), "an execution has ended");
    announce(&ending, previous, entry, journal, queue).await;
}

async fn announce<Q: Announcements>(
    ending: &Ending,
    previous: ExecutionStatus,
    entry: Entry,
    journal: &Journal,
    queue: &Q,
) {
    entry.turn(OVERTAKING).await;
    let announced = queue.announce(ending.events(previous).into());
    entry.told();
    let announcing = async move {
        if announced.safe_at_last().await {
            entry.forget();
        }
    };
    if journal.len() > BACKLOG {
        announcing.await;
    } else {
        tokio::spawn(announcing);
    }
}

/// Writes the row until the control plane has answered; `None` where it refuses for good.
async fn write<R: Executions>(ending: &Ending, journal: &Journal, registry: &R) -> Option<Finish> {
    let mut backoff = Backoff::default();
    loop {
        match registry.finish(ending).await {
            Ok(finish) => return Some(finish),
            Err(error) if error.kind() == ErrorKind::Unavailable => {
                let pause = backoff.next();
                tracing::warn!(execution = ending.key.execution.0, %error, retry_ms = pause.as_millis(),
                    "the outcome of an execution could not be written and is kept until it can be");
                // Once the database takes one, it may take all; but not at the same moment.
                tokio::time::sleep(pause.min(SHORTEST)).await;
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = journal.progress() => {}
                }
            }
            Err(error) => {
                // It stays in the journal: the next life tries again, and an operator has a sentence to go by.
                tracing::error!(execution = ending.key.execution.0, %error, hint = error.hint_text(),
                    "the control plane refuses the outcome of an execution");
                return None;
            }
        }
    }
}
