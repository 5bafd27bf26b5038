//! The registry over SQLite: every change of state is one compare-and-set statement.

use serde_json::json;
use sqlx::Row;

use super::{Embedded, now, rows};
use crate::control_plane::{ClaimReply, Denied, Executions, Finish, Orphan, Registry};
use crate::error::Result;
use crate::model::{
    Attempt, Capabilities, ClaimKey, Dispatch, Ending, ExecutionId, ExecutionStatus, Origin, Outcome,
    Parameters, Reason, Registration, Sealed, WorkOrder, WorkerId, WorkerStatus,
};

impl Registry for Embedded {
    async fn register(&self, registration: &Registration) -> Result<WorkerId> {
        // The lock comes first: a live twin's row must not be touched.
        let life = self.shared.liveness.begin(&registration.name)?;
        let capabilities = json!(registration.capabilities).to_string();
        let row = sqlx::query(
            "INSERT INTO worker (name, worker_type, host, status, capabilities, last_heartbeat, created, updated) \
             VALUES (?1, ?2, ?3, 'inactive', ?4, ?5, ?5, ?5) \
             ON CONFLICT (name) DO UPDATE SET worker_type = ?2, host = ?3, status = 'inactive', capabilities = ?4, \
             last_heartbeat = ?5, updated = ?5 RETURNING id",
        )
        .bind(&registration.name)
        .bind(registration.worker_type.as_str())
        .bind(&registration.host)
        .bind(capabilities)
        .bind(now())
        .fetch_one(self.pool())
        .await?;
        let mut own = self.shared.life.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *own = Some((registration.name.clone(), life));
        Ok(WorkerId(row.try_get("id")?))
    }

    /// The scheduling here asks for runtimes alone, and those are what they were.
    async fn refresh(&self, _worker: WorkerId, _offered: &Capabilities) -> Result<()> {
        Ok(())
    }

    async fn settle(&self, worker: WorkerId) -> Result<Vec<Orphan>> {
        self.settle_the_dead().await?;
        self.release_scheduled(worker).await?;
        let rows = sqlx::query(
            "SELECT id, action, action_ref, status, started_at FROM execution \
             WHERE worker = ? AND status IN ('running', 'canceling') ORDER BY id",
        )
        .bind(worker.0)
        .fetch_all(self.pool())
        .await?;
        rows.iter().map(|row| rows::orphan(row, worker)).collect()
    }

    async fn set_status(&self, worker: WorkerId, status: WorkerStatus) -> Result<()> {
        sqlx::query("UPDATE worker SET status = ?, last_heartbeat = ?3, updated = ?3 WHERE id = ?2")
            .bind(status.as_str())
            .bind(worker.0)
            .bind(now())
            .execute(self.pool())
            .await?;
        Ok(())
    }

    async fn superseded(&self, claims: &[ClaimKey]) -> Result<Vec<(ExecutionId, Option<ExecutionStatus>)>> {
        let mut superseded = Vec::new();
        for claim in claims {
            let find = "SELECT status, worker = ?2 AND started_at = ?3 AND status IN ('running', 'canceling') AS ours \
                FROM execution WHERE id = ?1";
            let row = sqlx::query(find)
                .bind(claim.execution.0)
                .bind(claim.worker.0)
                .bind(rows::moment(claim.started_at))
                .fetch_optional(self.pool())
                .await?;
            match row {
                Some(row) if row.try_get::<Option<bool>, _>("ours")? == Some(true) => {}
                Some(row) => superseded.push((claim.execution, Some(rows::status(&row, "status")?))),
                None => superseded.push((claim.execution, None)),
            }
        }
        Ok(superseded)
    }

    async fn heartbeat(&self, worker: WorkerId) -> Result<()> {
        // The row of a worker that others have written off comes back by itself; a draining worker stays `busy`.
        sqlx::query(
            "UPDATE worker SET last_heartbeat = ?1, updated = ?1, \
             status = CASE status WHEN 'inactive' THEN 'active' ELSE status END WHERE id = ?2",
        )
        .bind(now())
        .bind(worker.0)
        .execute(self.pool())
        .await?;
        self.settle_the_dead().await
    }
}

impl Executions for Embedded {
    fn key(&self, dispatch: &Dispatch) -> ClaimKey {
        ClaimKey {
            execution: dispatch.execution_id,
            worker: dispatch.worker_id,
            started_at: self.shared.clock.moment(),
        }
    }

    async fn claim(&self, dispatch: &Dispatch, key: &ClaimKey) -> Result<ClaimReply> {
        let mut transaction = self.pool().begin_with("BEGIN IMMEDIATE").await?;
        let claimed = sqlx::query(
            "UPDATE execution SET status = iif(status = 'scheduled', 'running', status), started_at = ?4, \
             updated = ?5 WHERE id = ?1 AND worker = ?2 \
             AND ((status = 'scheduled' AND updated = coalesce(?3, updated)) \
             OR (status IN ('running', 'canceling') AND started_at = ?4)) \
             RETURNING config, env_vars, json_extract(workflow_task, '$.timeout_seconds') AS task_timeout",
        )
        .bind(dispatch.execution_id.0)
        .bind(dispatch.worker_id.0)
        .bind(dispatch.scheduled_attempt_updated_at.as_ref().map(Attempt::as_str))
        .bind(rows::moment(key.started_at))
        .bind(now())
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(claimed) = claimed else {
            let row = sqlx::query(rows::EXECUTION)
                .bind(dispatch.execution_id.0)
                .fetch_optional(&mut *transaction)
                .await?;
            return Ok(ClaimReply::Denied(
                match row.map(|row| rows::status(&row, "status")).transpose()? {
                    None => Denied::Unknown,
                    Some(ExecutionStatus::Scheduled) => Denied::Stale,
                    Some(status) => Denied::Status(status),
                },
            ));
        };
        let action =
            sqlx::query(rows::ACTION).bind(&dispatch.action_ref).fetch_optional(&mut *transaction).await?;
        let runtimes = sqlx::query(rows::RUNTIMES).fetch_all(&mut *transaction).await?;
        transaction.commit().await?;
        let Some(action) = action else {
            let error = format!("the action {} is not there any more", dispatch.action_ref);
            return Ok(ClaimReply::Granted(Err(Box::new(Outcome::without_process(
                Reason::ActionMissing,
                error,
            )))));
        };
        // The row goes over the dispatch, key by key, where it says anything (CONTRACT §2.7).
        let mut parameters = dispatch.config.clone().unwrap_or_default();
        let own: Option<Parameters> = rows::json(&claimed, "config")?;
        parameters.extend(own.unwrap_or_default().into_iter().filter(|(_, value)| !value.is_null()));
        Ok(ClaimReply::Granted(Ok(Box::new(WorkOrder {
            execution: dispatch.execution_id,
            action: rows::action(&action)?,
            file: None,
            runtimes: runtimes.iter().map(rows::runtime).collect::<Result<_>>()?,
            parameters,
            env_vars: rows::env_vars(&claimed)?,
            task_timeout_seconds: claimed.try_get("task_timeout")?,
            origin: Origin::default(),
            sealed: Sealed::default(),
        }))))
    }

    async fn finish(&self, ending: &Ending) -> Result<Finish> {
        let mut transaction = self.pool().begin_with("BEGIN IMMEDIATE").await?;
        let execution = ending.key.execution.0;
        let row = sqlx::query(rows::EXECUTION).bind(execution).fetch_optional(&mut *transaction).await?;
        let previous = row.map(|row| rows::status(&row, "status")).transpose()?;
        let Some(previous @ (ExecutionStatus::Running | ExecutionStatus::Canceling)) = previous else {
            return Ok(Finish::Superseded(previous));
        };
        let written = sqlx::query(
            "UPDATE execution SET status = ?, result = ?, updated = ? WHERE id = ? AND worker = ? AND started_at = ?",
        )
        .bind(ending.status.as_str())
        .bind(ending.result.to_string())
        .bind(now())
        .bind(execution)
        .bind(ending.key.worker.0)
        .bind(rows::moment(ending.key.started_at))
        .execute(&mut *transaction)
        .await?;
        if written.rows_affected() == 0 {
            return Ok(Finish::Superseded(Some(previous)));
        }
        transaction.commit().await?;
        Ok(Finish::Written(previous))
    }
}

impl Embedded {
    /// Settles every worker that has in-flight executions, or claims to be there, and whose process is gone.
    async fn settle_the_dead(&self) -> Result<()> {
        let suspects = sqlx::query(
            "SELECT id, name FROM worker WHERE status <> 'inactive' OR id IN \
             (SELECT worker FROM execution WHERE status IN ('scheduled', 'running', 'canceling'))",
        )
        .fetch_all(self.pool())
        .await?;
        for suspect in suspects {
            if !self.is_alive(suspect.try_get("name")?)? {
                let worker = WorkerId(suspect.try_get("id")?);
                self.settle_worker(worker).await?;
                self.set_status(worker, WorkerStatus::Inactive).await?;
            }
        }
        Ok(())
    }

    /// What this worker held when it died: unclaimed work is asked for again, claimed work ends.
    async fn settle_worker(&self, worker: WorkerId) -> Result<()> {
        let mut transaction = self.pool().begin_with("BEGIN IMMEDIATE").await?;
        let held = sqlx::query(
            "SELECT id, action, action_ref, status, started_at FROM execution \
             WHERE worker = ? AND status IN ('scheduled', 'running', 'canceling')",
        )
        .bind(worker.0)
        .fetch_all(&mut *transaction)
        .await?;
        for row in &held {
            let id: i64 = row.try_get("id")?;
            let before = rows::status(row, "status")?;
            // What never began is asked for again.
            let ending = match before {
                ExecutionStatus::Scheduled => None,
                _ => Some(rows::orphan(row, worker)?.ending()),
            };
            let after = ending.as_ref().map_or(ExecutionStatus::Requested, |ending| ending.status);
            sqlx::query("UPDATE execution SET status = ?, result = ?, worker = ?, updated = ? WHERE id = ?")
                .bind(after.as_str())
                .bind(ending.as_ref().map(|ending| ending.result.to_string()))
                .bind(ending.is_some().then_some(worker.0))
                .bind(now())
                .bind(id)
                .execute(&mut *transaction)
                .await?;
            tracing::warn!(execution = id, was = %before, now = %after,
                "another worker has died and left this execution behind");
        }
        transaction.commit().await?;
        if !held.is_empty() {
            self.shared.done.ring()?;
            self.shared.work.ring()?;
        }
        Ok(())
    }
}
