//! The queue over SQLite: a dispatch is a row that this worker has scheduled for itself.

use std::collections::HashMap;

use serde_json::json;
use sqlx::Row;

use super::{Embedded, now, rows};
use crate::control_plane::{Announced, Announcements, Delivery, GivenUp, Look, Notice, Orphan, Queue};
use crate::error::Result;
use crate::model::{
    Attempt, Capabilities, Dispatch, Event, ExecutionId, Outcome, Reason, RuntimeId, WorkerId, canonical_name,
};

impl Queue for Embedded {
    /// The row itself keeps the state: nothing has to be acknowledged.
    type Receipt = ();

    async fn declare(&self, _worker: WorkerId) -> Result<()> {
        // What is submitted is kept in the table whether or not anybody listens.
        Ok(())
    }

    async fn next_dispatch(&self, worker: WorkerId) -> Result<Delivery<()>> {
        let listener = self.shared.work.listen()?;
        loop {
            if let Some(dispatch) = self.schedule(worker).await? {
                return Ok(Delivery { dispatch, receipt: () });
            }
            listener.rung().await?;
        }
    }

    async fn next_notice(&self, worker: WorkerId) -> Result<Notice> {
        let listener = self.shared.work.listen()?;
        loop {
            if let Some(execution) = self.untold_cancel(worker).await? {
                return Ok(Notice::Cancel(execution));
            }
            listener.rung().await?;
        }
    }

    async fn ack(&self, (): ()) -> Result<()> {
        Ok(())
    }

    async fn retire(&self, worker: WorkerId) -> Result<()> {
        self.release_scheduled(worker).await
    }

    async fn reject(&self, (): ()) -> Result<()> {
        // Nobody looks after a laptop's queue: the row stays what it is, and whoever follows it sees that.
        Ok(())
    }

    async fn hand_back(&self, given_up: &mut GivenUp<()>) -> Result<Option<Orphan>> {
        let Dispatch { execution_id, worker_id, scheduled_attempt_updated_at, .. } = &given_up.dispatch;
        sqlx::query(
            "UPDATE execution SET status = 'requested', worker = NULL, started_at = NULL, updated = ?1 \
             WHERE id = ?2 AND worker = ?3 AND ((status = 'scheduled' AND updated = coalesce(?4, updated)) \
             OR (status = 'running' AND started_at = ?5))",
        )
        .bind(now())
        .bind(execution_id.0)
        .bind(worker_id.0)
        .bind(scheduled_attempt_updated_at.as_ref().map(Attempt::as_str))
        .bind(rows::moment(given_up.key.started_at))
        .execute(self.pool())
        .await?;
        self.shared.work.ring()?;
        // A claim that somebody has asked to cancel cannot go back, and is its worker's to end.
        let canceling = sqlx::query(
            "SELECT id, action, action_ref, status, started_at FROM execution \
             WHERE id = ? AND worker = ? AND status = 'canceling' AND started_at = ?",
        )
        .bind(execution_id.0)
        .bind(worker_id.0)
        .bind(rows::moment(given_up.key.started_at))
        .fetch_optional(self.pool())
        .await?;
        canceling.map(|row| rows::orphan(&row, *worker_id)).transpose()
    }

    async fn rescue(&self, _worker: WorkerId, _look: Look) -> Result<()> {
        // Every worker looks at the table itself: what is requested there is in nobody's hands, and in everybody's sight.
        Ok(())
    }

    async fn leave(&self, _worker: WorkerId) -> Result<()> {
        Ok(())
    }
}

impl Announcements for Embedded {
    fn announce(&self, _events: Vec<Event>) -> Announced {
        // Followers read the row, which is written before this is called; one who misses the bell hears the next.
        if let Err(error) = self.shared.done.ring() {
            tracing::warn!(%error, "followers could not be woken");
        }
        Announced::safe()
    }
}

impl Embedded {
    /// What this worker was given and has not claimed is asked for again.
    pub(super) async fn release_scheduled(&self, worker: WorkerId) -> Result<()> {
        sqlx::query(
            "UPDATE execution SET status = 'requested', worker = NULL, updated = ? \
             WHERE worker = ? AND status = 'scheduled'",
        )
        .bind(now())
        .bind(worker.0)
        .execute(self.pool())
        .await?;
        self.shared.work.ring()
    }

    /// Takes the oldest execution that this worker can serve.
    ///
    /// One that is scheduled for this worker already comes first: a worker claims what it is given before it asks
    /// again, so such a row was scheduled by a call whose future was dropped before it could answer. An execution that no live worker can serve is failed
    /// here, as a scheduler would: waiting for a worker that may never come helps nobody.
    async fn schedule(&self, worker: WorkerId) -> Result<Option<Dispatch>> {
        let served = self.served_runtimes(worker).await?;
        let row = sqlx::query(
            "UPDATE execution SET status = 'scheduled', worker = ?1, updated = ?2 WHERE id = \
             (SELECT e.id FROM execution e LEFT JOIN action a ON a.id = e.action \
              WHERE (e.status = 'scheduled' AND e.worker = ?1) OR (e.status = 'requested' \
              AND (a.runtime IS NULL OR a.runtime IN (SELECT value FROM json_each(?3)))) \
              ORDER BY e.status DESC, e.id LIMIT 1) \
             RETURNING id, action_ref, config, updated",
        )
        .bind(worker.0)
        .bind(now())
        .bind(json!(served).to_string())
        .fetch_optional(self.pool())
        .await?;
        let Some(row) = row else {
            self.fail_unservable().await?;
            return Ok(None);
        };
        let execution = ExecutionId(row.try_get("id")?);
        self.shared.done.ring()?;
        Ok(Some(Dispatch {
            execution_id: execution,
            worker_id: worker,
            action_ref: row.try_get("action_ref")?,
            config: rows::json(&row, "config")?,
            scheduled_attempt_updated_at: Some(Attempt(row.try_get("updated")?)),
        }))
    }

    /// The runtimes that this worker's capabilities cover.
    async fn served_runtimes(&self, worker: WorkerId) -> Result<Vec<RuntimeId>> {
        let row = sqlx::query("SELECT capabilities FROM worker WHERE id = ?")
            .bind(worker.0)
            .fetch_one(self.pool())
            .await?;
        let capabilities: Option<Capabilities> = rows::json(&row, "capabilities")?;
        let offered = capabilities.map(|capabilities| capabilities.runtimes).unwrap_or_default();
        let known = self.runtime_names().await?;
        Ok(known.into_iter().filter(|(_, names)| serves(&offered, names)).map(|(id, _)| id).collect())
    }

    /// Each runtime with the canonical names by which a worker may offer it.
    async fn runtime_names(&self) -> Result<HashMap<RuntimeId, Vec<String>>> {
        let rows = sqlx::query("SELECT id, name, aliases FROM runtime").fetch_all(self.pool()).await?;
        rows.iter()
            .map(|row| {
                let mut names: Vec<String> = rows::json(row, "aliases")?.unwrap_or_default();
                names.push(row.try_get("name")?);
                let names = names.iter().map(|name| canonical_name(name)).collect();
                Ok((RuntimeId(row.try_get("id")?), names))
            })
            .collect()
    }

    async fn fail_unservable(&self) -> Result<()> {
        let waiting = sqlx::query(
            "SELECT e.id, e.action_ref, a.runtime, r.ref AS runtime_ref FROM execution e \
             JOIN action a ON a.id = e.action JOIN runtime r ON r.id = a.runtime WHERE e.status = 'requested'",
        )
        .fetch_all(self.pool())
        .await?;
        if waiting.is_empty() {
            return Ok(());
        }
        let names = self.runtime_names().await?;
        let offered = self.offered_by_the_living().await?;
        for row in &waiting {
            let runtime = RuntimeId(row.try_get("runtime")?);
            if names.get(&runtime).is_some_and(|names| serves(&offered, names)) {
                continue;
            }
            let reference: &str = row.try_get("runtime_ref")?;
            let error = format!(
                "{} needs the runtime {reference}, which no running worker offers",
                row.try_get::<&str, _>("action_ref")?
            );
            let outcome = Outcome::without_process(Reason::NoCompatibleWorker, error);
            sqlx::query(
                "UPDATE execution SET status = ?, result = ?, updated = ? WHERE id = ? AND status = 'requested'",
            )
            .bind(outcome.status().as_str())
            .bind(outcome.to_result().to_string())
            .bind(now())
            .bind(row.try_get::<i64, _>("id")?)
            .execute(self.pool())
            .await?;
        }
        self.shared.done.ring()
    }

    /// Canonical names of the runtimes that some live worker offers.
    async fn offered_by_the_living(&self) -> Result<Vec<String>> {
        let workers = sqlx::query("SELECT name, capabilities FROM worker WHERE status <> 'inactive'")
            .fetch_all(self.pool())
            .await?;
        let mut offered = Vec::new();
        for row in &workers {
            if self.is_alive(row.try_get("name")?)? {
                let capabilities: Option<Capabilities> = rows::json(row, "capabilities")?;
                offered.extend(capabilities.map(|capabilities| capabilities.runtimes).unwrap_or_default());
            }
        }
        Ok(offered)
    }

    /// An execution of this worker that is to be cancelled and has not been mentioned yet.
    async fn untold_cancel(&self, worker: WorkerId) -> Result<Option<ExecutionId>> {
        let rows = sqlx::query("SELECT id FROM execution WHERE status = 'canceling' AND worker = ?")
            .bind(worker.0)
            .fetch_all(self.pool())
            .await?;
        let asked: Vec<ExecutionId> =
            rows.iter().map(|row| Ok(ExecutionId(row.try_get("id")?))).collect::<Result<_, sqlx::Error>>()?;
        let mut told = self.shared.told.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        told.retain(|execution| asked.contains(execution));
        Ok(asked.into_iter().find(|execution| told.insert(*execution)))
    }
}

fn serves(offered: &[String], names: &[String]) -> bool {
    names.iter().any(|name| offered.contains(name))
}
