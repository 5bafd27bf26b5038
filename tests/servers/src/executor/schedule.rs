//! The answer to one request: a worker and a dispatch, an end, or a rejection.

use std::sync::PoisonError;

use serde_json::{Value, json};
use sqlx::Row;
use sqlx::types::Json;

use super::placement::{Candidate, Needs, Verdict};
use super::{PAUSE, Shared, say};

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// It is dealt with: dispatched, failed, or for an execution that is not `requested`.
    Done,
    /// No active, uncordoned worker: the message is rejected, and the row stays `requested`.
    Rejected,
}

impl Shared {
    /// Answers one request. While the database is away it is tried again; a broken connection to the broker ends the
    /// session, and the request is delivered again on the next.
    pub(super) async fn answer(&self, execution: i64) -> Result<Answer, lapin::Error> {
        loop {
            match self.try_answer(execution).await {
                Ok(answer) => return Ok(answer),
                Err(Failure::Broker(error)) => return Err(error),
                Err(Failure::Database(error)) => {
                    say(&error);
                    self.take_back_unconfirmed().await;
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    async fn try_answer(&self, execution: i64) -> Result<Answer, Failure> {
        let Some(needs) = Needs::of(execution, &self.pool).await? else { return Ok(Answer::Done) };
        let candidates = Candidate::all(&self.pool).await?;
        match needs.judge(&candidates) {
            Verdict::Fails(why) => {
                self.fail(execution, why).await?;
                Ok(Answer::Done)
            }
            Verdict::Nobody => Ok(Answer::Rejected),
            Verdict::Workers(workers) => {
                let turn = *self.dispatched.lock().unwrap_or_else(PoisonError::into_inner);
                self.schedule(execution, workers[turn as usize % workers.len()]).await?;
                Ok(Answer::Done)
            }
        }
    }

    /// Compares and sets `requested → scheduled`, and dispatches where nobody was faster.
    async fn schedule(&self, execution: i64, worker: i64) -> Result<(), Failure> {
        // Before the statement: its answer may be lost.
        *self.in_flight.lock().unwrap_or_else(PoisonError::into_inner) = Some(execution);
        let row = sqlx::query(
            "UPDATE execution SET status = 'scheduled', worker = $2 WHERE id = $1 AND status = 'requested' \
             RETURNING action_ref, config, to_char(updated AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') \
             AS attempt",
        )
        .bind(execution)
        .bind(worker)
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = row else { return Ok(()) };
        let config: Option<Json<Value>> = row.try_get("config")?;
        let payload = json!({
            "execution_id": execution,
            "worker_id": worker,
            "action_ref": row.try_get::<String, _>("action_ref")?,
            "config": config.map(|Json(config)| config),
            "scheduled_attempt_updated_at": row.try_get::<String, _>("attempt")?,
        });
        let key = format!("execution.dispatch.worker.{worker}");
        let number = {
            let mut dispatched = self.dispatched.lock().unwrap_or_else(PoisonError::into_inner);
            *dispatched += 1;
            *dispatched
        };
        let twice = self.options.duplicate_every.is_some_and(|every| number.is_multiple_of(every));
        for _ in 0..=u8::from(twice) {
            self.publish_now(&key, "ExecutionRequested", &payload).await.map_err(Failure::Broker)?;
        }
        *self.in_flight.lock().unwrap_or_else(PoisonError::into_inner) = None;
        Ok(())
    }

    async fn fail(&self, execution: i64, why: &str) -> Result<(), Failure> {
        let failed = sqlx::query(
            "UPDATE execution SET status = 'failed', result = $2 WHERE id = $1 AND status = 'requested' \
             RETURNING action, action_ref",
        );
        let result = json!({"succeeded": false, "error": why});
        let row = failed.bind(execution).bind(Json(&result)).fetch_optional(&self.pool).await?;
        let Some(row) = row else { return Ok(()) };
        let payload = json!({
            "execution_id": execution, "action_id": row.try_get::<Option<i64>, _>("action")?.unwrap_or(0),
            "action_ref": row.try_get::<String, _>("action_ref")?, "status": "Failed", "result": result,
            "completed_at": "2026-01-02T03:04:05Z",
        });
        self.publish_at_last("execution.completed", "ExecutionCompleted", &payload).await;
        Ok(())
    }

    /// As the executor does: what could not be dispatched is requested again. It may have arrived all the same.
    pub(super) async fn take_back_unconfirmed(&self) {
        let unconfirmed = *self.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(execution) = unconfirmed else { return };
        let back =
            "UPDATE execution SET status = 'requested', worker = NULL WHERE id = $1 AND status = 'scheduled'";
        while sqlx::query(back).bind(execution).execute(&self.pool).await.is_err() {
            tokio::time::sleep(PAUSE).await;
        }
        *self.in_flight.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// What may go wrong while scheduling.
pub(super) enum Failure {
    Database(sqlx::Error),
    Broker(lapin::Error),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}
