//! Giving up what has not begun: others get what they can take, and the rest waits for this worker's next life.
//!
//! An executor that finds no active worker for a request rejects it for good (CONTRACT §11): the row stays `requested`, and
//! nobody looks at it again. So only what somebody else can take becomes `requested`; everything else stays
//! `scheduled`, with its dispatch in the queue. Where the name never comes back, [`super::stranded`] finds it.

use std::collections::HashSet;

use serde_json::Value;
use sqlx::postgres::PgRow;

use super::broker::closed;
use super::consumer::Receipt;
use super::messages::{ExecutionRequest, Letter};
use super::publisher::Delivered;
use super::{Attune, rows};
use crate::control_plane::{Delivery, GivenUp, Orphan, Record};
use crate::error::Result;
use crate::model::{ActionId, Attempt, ClaimKey, Dispatch, ExecutionId, ExecutionStatus, WorkerId};

const SCHEDULED: &str = "SELECT id FROM execution WHERE worker = $1 AND status = 'scheduled' ORDER BY id";

/// What is unclaimed, or was claimed by a key that nobody has, goes back to where it was before it was scheduled.
const RELEASE: &str = "UPDATE execution SET status = 'requested', worker = NULL, started_at = NULL \
    WHERE id = ANY($1) AND worker = $2 \
    AND (status = 'scheduled' OR (status = 'running' AND started_at = $3::text::timestamptz))";

/// The columns of a request, in a statement about `execution`.
pub(super) const REQUEST: &str = "id, action, action_ref, parent, enforcement, config";

/// A claim, or what was to be claimed, is scheduled for the same worker as another attempt: a claim that is still on its way
/// finds that it comes too late.
const UNCLAIM: &str = "UPDATE execution SET status = 'scheduled', started_at = NULL \
    WHERE id = $1 AND worker = $2 \
    AND (status = 'scheduled' OR (status = 'running' AND started_at = $3::text::timestamptz))";

/// A claim that somebody has asked to cancel cannot go back, and is its worker's to end.
const CANCELING: &str = "SELECT action, action_ref FROM execution \
    WHERE id = $1 AND worker = $2 AND status = 'canceling' AND started_at = $3::text::timestamptz";

impl Attune {
    /// Hands over what waits in the worker's queue, as far as others can take it.
    pub(super) async fn give_up_queue(&self, worker: WorkerId) -> Result<()> {
        self.shared.broker.unsubscribe_executions().await;
        let mut deliveries = Vec::new();
        let mut dispatches = self.shared.dispatches.lock().await;
        while let Ok(delivery) = dispatches.try_recv() {
            deliveries.push(delivery);
        }
        drop(dispatches);
        // Not by the messages but by the rows: one whose message was lost goes to others too.
        let scheduled: Vec<i64> = self
            .database()
            .run(move |connection| {
                Box::pin(sqlx::query_scalar(SCHEDULED).bind(worker.0).fetch_all(connection))
            })
            .await?;
        let (others, kept) = self.divide(worker, scheduled).await?;
        let mut channel = None;
        if !others.is_empty()
            && let Some(link) = self.shared.broker.link_now()
        {
            let fetching = link.channel().await?;
            deliveries.append(&mut self.shared.broker.fetch_all(worker, &fetching).await?);
            // Receipts are good for as long as their channel.
            channel = Some(fetching);
        }
        if !others.is_empty() {
            tracing::info!(
                worker = worker.0,
                executions = others.len(),
                "unclaimed executions are handed back"
            );
            self.journalled_offer(worker, others, None).await?;
        }
        if !kept.is_empty() {
            tracing::info!(
                worker = worker.0,
                executions = kept.len(),
                "no other worker can take these unclaimed executions now: they wait for this worker's next life, or for \
                 the next worker that can"
            );
        }
        for Delivery { dispatch, receipt } in deliveries {
            if kept.contains(&dispatch.execution_id) {
                receipt.requeue().await?;
            } else {
                receipt.ack().await?;
            }
        }
        drop(channel);
        Ok(())
    }

    /// Gives up one execution whose claim may have been granted.
    pub(super) async fn give_back(&self, given_up: &mut GivenUp<Receipt>) -> Result<Option<Orphan>> {
        let GivenUp { dispatch, receipt, key } = given_up;
        let (others, _) = self.divide(key.worker, vec![key.execution.0]).await?;
        if others.is_empty() {
            let executions = vec![key.execution];
            let entry = self.shared.journal.write(&Record::HandBack(executions.clone()));
            if !self.dispatch_again(dispatch, key).await? {
                // An earlier try, whose answer was lost, may have released it when there was somebody to take it.
                self.offer(key.worker, &executions, None).await?;
            }
            entry.forget();
        } else {
            self.journalled_offer(key.worker, others, Some(key)).await?;
        }
        let canceling = self.canceling(key).await?;
        if let Some(receipt) = receipt.take() {
            receipt.ack().await?;
        }
        Ok(canceling)
    }

    /// The execution of this claim, where somebody has asked to cancel it.
    async fn canceling(&self, key: &ClaimKey) -> Result<Option<Orphan>> {
        let (execution, worker, moment) = (key.execution.0, key.worker.0, key.started_at.to_string());
        let row = self
            .database()
            .run(move |connection| {
                let find = sqlx::query(CANCELING).bind(execution).bind(worker).bind(moment);
                Box::pin(find.fetch_optional(connection))
            })
            .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(Orphan {
            key: key.clone(),
            action: rows::get::<Option<i64>>(&row, "action")?.map(ActionId),
            action_ref: rows::get(&row, "action_ref")?,
            status: ExecutionStatus::Canceling,
        }))
    }

    /// Of these executions, those that some other worker can take now, and those that none can.
    async fn divide(
        &self,
        worker: WorkerId,
        executions: Vec<i64>,
    ) -> Result<(Vec<ExecutionId>, HashSet<ExecutionId>)> {
        if executions.is_empty() {
            return Ok((Vec::new(), HashSet::new()));
        }
        let others = self.taking(Some(worker)).await?;
        if others.is_empty() {
            return Ok((Vec::new(), executions.into_iter().map(ExecutionId).collect()));
        }
        let (mut taken, mut kept) = (Vec::new(), HashSet::new());
        for needs in self.needs(executions).await? {
            if others.iter().any(|offer| needs.are_met_by(offer)) {
                taken.push(needs.execution);
            } else {
                kept.insert(needs.execution);
            }
        }
        Ok((taken, kept))
    }

    /// Undoes a claim, and sends the dispatch that it was made for to this worker's own queue once more. False where the row is
    /// not this worker's any more.
    async fn dispatch_again(&self, dispatch: &Dispatch, key: &ClaimKey) -> Result<bool> {
        let (execution, worker, moment) = (key.execution.0, key.worker.0, key.started_at.to_string());
        let statement = format!("{UNCLAIM} RETURNING {}", rows::moment_text("updated"));
        let attempt: Option<String> = self
            .database()
            .run(move |connection| {
                Box::pin(async move {
                    let unclaim = sqlx::query_scalar(sqlx::AssertSqlSafe(statement));
                    unclaim.bind(execution).bind(worker).bind(moment).fetch_optional(connection).await
                })
            })
            .await?;
        let Some(attempt) = attempt else { return Ok(false) };
        let again = Dispatch { scheduled_attempt_updated_at: Some(Attempt(attempt)), ..dispatch.clone() };
        match self.shared.publisher.post(Letter::dispatch(&again, self.now())).await {
            Ok(Delivered::Queued) => Ok(true),
            // The row says that it is ours, and the next look at the rows finds it without a dispatch.
            Ok(Delivered::Unroutable) => {
                tracing::warn!(execution, "the worker's own queue is gone: the execution stays scheduled");
                Ok(true)
            }
            Err(_) => Err(closed()),
        }
    }

    /// Hands executions back so that a death in the middle of it is made up for by the next life.
    async fn journalled_offer(
        &self,
        worker: WorkerId,
        executions: Vec<ExecutionId>,
        key: Option<&ClaimKey>,
    ) -> Result<()> {
        let entry = self.shared.journal.write(&Record::HandBack(executions.clone()));
        self.offer(worker, &executions, key).await?;
        entry.forget();
        Ok(())
    }

    /// Gives up these executions, as far as this worker holds them unclaimed, and asks for each that nobody holds: by the
    /// message that tells an executor of it.
    pub(super) async fn offer(
        &self,
        worker: WorkerId,
        executions: &[ExecutionId],
        key: Option<&ClaimKey>,
    ) -> Result<()> {
        let (ids, moment) = (numbers(executions), key.map(|key| key.started_at.to_string()));
        self.database()
            .run(move |connection| {
                let release = sqlx::query(RELEASE).bind(ids).bind(worker.0).bind(moment);
                Box::pin(release.execute(connection))
            })
            .await?;
        let ids = numbers(executions);
        let statement = format!(
            "SELECT {REQUEST} FROM execution WHERE id = ANY($1) AND status = 'requested' ORDER BY id"
        );
        let rows = self
            .database()
            .run(move |connection| {
                Box::pin(async move {
                    sqlx::query(sqlx::AssertSqlSafe(statement)).bind(ids).fetch_all(connection).await
                })
            })
            .await?;
        self.publish_requests(&rows.iter().map(request).collect::<Result<Vec<_>>>()?).await
    }

    /// Asks an executor for these, and where there is none, does its part.
    pub(super) async fn publish_requests(&self, requests: &[ExecutionRequest]) -> Result<()> {
        let now = self.now();
        let posted: Vec<_> = requests
            .iter()
            .map(|request| self.shared.publisher.post(Letter::request(request, now)))
            .collect();
        for (request, delivered) in requests.iter().zip(posted) {
            match delivered.await {
                Ok(Delivered::Queued) => {}
                Ok(Delivered::Unroutable) => self.hand_over(request).await?,
                Err(_) => return Err(closed()),
            }
        }
        Ok(())
    }

    async fn hand_over(&self, request: &ExecutionRequest) -> Result<()> {
        let execution = request.execution.0;
        if let Some(worker) = self.place(request).await? {
            tracing::info!(execution, worker = worker.0, "an execution was handed over without an executor");
        } else {
            tracing::warn!(
                execution,
                "there is no executor, and no worker for an execution: it stays requested until one starts"
            );
        }
        Ok(())
    }
}

fn numbers(executions: &[ExecutionId]) -> Vec<i64> {
    executions.iter().map(|execution| execution.0).collect()
}

/// The columns of [`REQUEST`].
pub(super) fn request(row: &PgRow) -> Result<ExecutionRequest> {
    Ok(ExecutionRequest {
        execution: ExecutionId(rows::get(row, "id")?),
        action: rows::get(row, "action")?,
        action_ref: rows::get(row, "action_ref")?,
        parent: rows::get(row, "parent")?,
        enforcement: rows::get(row, "enforcement")?,
        config: match rows::json(row, "config")? {
            Some(Value::Object(config)) => Some(config),
            _ => None,
        },
    })
}
