//! The queue over RabbitMQ: what is delivered is a hint, the row decides.

use serde_json::Value;
use sqlx::postgres::PgRow;

use super::broker::closed;
use super::consumer::Receipt;
use super::messages::{ExecutionRequest, Letter};
use super::publisher::Delivered;
use super::{Attune, rows};
use crate::control_plane::{Announced, Announcements, Delivery, Notice, Queue, Record};
use crate::error::Result;
use crate::model::{ClaimKey, Event, ExecutionId, WorkerId};

const SCHEDULED: &str = "SELECT id FROM execution WHERE worker = $1 AND status = 'scheduled' ORDER BY id";

/// What is unclaimed, or was claimed by a key that nobody has, goes back to where it was before it was scheduled.
const RELEASE: &str = "UPDATE execution SET status = 'requested', worker = NULL, started_at = NULL \
    WHERE id = ANY($1) AND worker = $2 \
    AND (status = 'scheduled' OR (status = 'running' AND started_at = $3::text::timestamptz))";

const REQUESTS: &str = "SELECT id, action, action_ref, parent, enforcement, config FROM execution \
    WHERE id = ANY($1) AND status = 'requested' ORDER BY id";

impl Queue for Attune {
    type Receipt = Receipt;

    async fn declare(&self, worker: WorkerId) -> Result<()> {
        // What an earlier life had begun to hand back comes first: it is not to be claimed now.
        for (entry, record) in self.shared.journal.left() {
            if let Record::HandBack(executions) = record {
                self.offer(worker, &executions, None).await?;
                entry.forget();
            }
        }
        self.shared.broker.subscribe(worker, self.shared.prefetch).await
    }

    async fn next_dispatch(&self, _worker: WorkerId) -> Result<Delivery<Receipt>> {
        let mut dispatches = self.shared.dispatches.lock().await;
        dispatches.recv().await.ok_or_else(closed)
    }

    async fn next_notice(&self, _worker: WorkerId) -> Result<Notice> {
        let mut notices = self.shared.notices.lock().await;
        notices.recv().await.ok_or_else(closed)
    }

    async fn ack(&self, receipt: Receipt) -> Result<()> {
        receipt.ack().await
    }

    async fn reject(&self, receipt: Receipt) -> Result<()> {
        receipt.reject().await
    }

    async fn hand_back(&self, delivery: Delivery<Receipt>, key: Option<&ClaimKey>) -> Result<()> {
        let Delivery { dispatch, receipt } = delivery;
        self.journalled_offer(dispatch.worker_id, vec![dispatch.execution_id], key).await?;
        receipt.ack().await
    }

    async fn retire(&self, worker: WorkerId) -> Result<()> {
        self.shared.broker.unsubscribe_executions().await;
        let mut receipts = Vec::new();
        let mut dispatches = self.shared.dispatches.lock().await;
        while let Ok(Delivery { receipt, .. }) = dispatches.try_recv() {
            receipts.push(receipt);
        }
        let mut channel = None;
        if let Some(link) = self.shared.broker.link_now() {
            let fetched = link.channel().await?;
            receipts.append(&mut self.shared.broker.fetch_all(worker, &fetched).await?);
            // Receipts are good for as long as their channel.
            channel = Some(fetched);
        }
        // Not by the messages but by the rows: one whose message was lost goes back too.
        let ids: Vec<i64> = self
            .database()
            .run(move |connection| {
                Box::pin(sqlx::query_scalar(SCHEDULED).bind(worker.0).fetch_all(connection))
            })
            .await?;
        if !ids.is_empty() {
            tracing::info!(worker = worker.0, executions = ids.len(), "unclaimed executions are handed back");
            self.journalled_offer(worker, ids.into_iter().map(ExecutionId).collect(), None).await?;
        }
        for receipt in receipts {
            receipt.ack().await?;
        }
        drop(channel);
        Ok(())
    }

    async fn leave(&self, worker: WorkerId) -> Result<()> {
        self.shared.broker.remove_queues(worker).await
    }
}

impl Announcements for Attune {
    fn announce(&self, events: Vec<Event>) -> Announced {
        let now = self.now();
        let mut last = None;
        for event in events {
            last = Some(self.shared.publisher.post(Letter::event(&event, now)));
        }
        match last {
            // Letters are confirmed in their order: with the last, all are.
            Some(last) => Announced::when(async move { last.await.is_ok() }),
            None => Announced::safe(),
        }
    }
}

impl Attune {
    /// Hands executions back so that a death in the middle of it is made up for by the next life.
    async fn journalled_offer(
        &self,
        worker: WorkerId,
        executions: Vec<ExecutionId>,
        key: Option<&ClaimKey>,
    ) -> Result<()> {
        let record = Record::HandBack(executions);
        let entry = self.shared.journal.write(&record);
        let Record::HandBack(executions) = &record else { unreachable!("it was made above") };
        self.offer(worker, executions, key).await?;
        entry.forget();
        Ok(())
    }

    /// Gives up these executions, as far as this worker holds them unclaimed, and asks for each that nobody holds.
    async fn offer(
        &self,
        worker: WorkerId,
        executions: &[ExecutionId],
        key: Option<&ClaimKey>,
    ) -> Result<()> {
        let ids: Vec<i64> = executions.iter().map(|execution| execution.0).collect();
        let (released, moment) = (ids.clone(), key.map(|key| key.started_at.to_string()));
        self.database()
            .run(move |connection| {
                let release = sqlx::query(RELEASE).bind(released).bind(worker.0).bind(moment);
                Box::pin(release.execute(connection))
            })
            .await?;
        let rows = self
            .database()
            .run(move |connection| Box::pin(sqlx::query(REQUESTS).bind(ids).fetch_all(connection)))
            .await?;
        let requests = rows.iter().map(request).collect::<Result<Vec<_>>>()?;
        let now = self.now();
        let posted: Vec<_> = requests
            .iter()
            .map(|request| self.shared.publisher.post(Letter::request(request, now)))
            .collect();
        for (request, delivered) in requests.iter().zip(posted) {
            match delivered.await {
                Ok(Delivered::Queued) => {}
                // Without an executor, this worker does its part for the last time.
                Ok(Delivered::Unroutable) => self.hand_over(request).await?,
                Err(_) => return Err(closed()),
            }
        }
        Ok(())
    }

    async fn hand_over(&self, request: &ExecutionRequest) -> Result<()> {
        let execution = request.execution.0;
        if let Some(worker) = self.place(request).await? {
            tracing::info!(execution, worker = worker.0, "an execution was handed over to another worker");
        } else {
            tracing::warn!(
                execution,
                "there is no executor and no other worker for an execution: it stays requested"
            );
        }
        Ok(())
    }
}

/// The columns of [`REQUESTS`].
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
