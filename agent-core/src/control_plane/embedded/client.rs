//! What whoever submits work asks: submit, follow, cancel.

use std::collections::BTreeMap;

use serde_json::json;
use sqlx::Row;

use super::{Embedded, now, rows};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Action, Execution, ExecutionId, Outcome, Parameters, Reason};
use crate::packs::{check_parameters, unknown_action};

/// An execution to be.
#[derive(Debug, Clone, Default)]
pub struct Submission {
    /// What is to run.
    pub action_ref: String,
    /// With these parameters.
    pub parameters: Parameters,
    /// And these variables in its environment.
    pub env_vars: BTreeMap<String, String>,
}

impl Embedded {
    /// The action of this name, or an error that names what comes close.
    pub async fn action(&self, reference: &str) -> Result<Action> {
        if let Some(row) = sqlx::query(rows::ACTION).bind(reference).fetch_optional(self.pool()).await? {
            return rows::action(&row);
        }
        let rows = sqlx::query("SELECT ref FROM action ORDER BY ref").fetch_all(self.pool()).await?;
        let known = rows.iter().map(|row| row.try_get("ref")).collect::<Result<Vec<String>, _>>()?;
        Err(unknown_action(reference, &known))
    }

    /// Asks for an execution and wakes the workers.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] when there is no such action or the parameters do not fit it.
    pub async fn submit(&self, submission: &Submission) -> Result<ExecutionId> {
        let action = self.action(&submission.action_ref).await?;
        check_parameters(&action, &submission.parameters)?;
        let mut parameters = submission.parameters.clone();
        action.parameters.fill_defaults(&mut parameters);
        let row = sqlx::query(
            "INSERT INTO execution (action, action_ref, config, env_vars, status, created, updated) \
             VALUES (?1, ?2, ?3, ?4, 'requested', ?5, ?5) RETURNING id",
        )
        .bind(action.id.map(|id| id.0))
        .bind(action.reference.as_str())
        .bind(json!(parameters).to_string())
        .bind(json!(submission.env_vars).to_string())
        .bind(now())
        .fetch_one(self.pool())
        .await?;
        self.shared.work.ring()?;
        Ok(ExecutionId(row.try_get("id")?))
    }

    /// The execution as it is now.
    pub async fn execution(&self, id: ExecutionId) -> Result<Execution> {
        let row = sqlx::query(rows::EXECUTION).bind(id.0).fetch_optional(self.pool()).await?;
        row.as_ref()
            .map(rows::execution)
            .transpose()?
            .ok_or_else(|| Error::new(ErrorKind::Usage, format!("there is no execution {id}")))
    }

    /// Awaits the execution's end.
    pub async fn finished(&self, id: ExecutionId) -> Result<Execution> {
        let listener = self.shared.done.listen()?;
        loop {
            let execution = self.execution(id).await?;
            if execution.status.is_terminal() {
                return Ok(execution);
            }
            listener.rung().await?;
        }
    }

    /// Asks to cancel: what has not begun ends at once, what runs is ended by its worker.
    pub async fn cancel(&self, id: ExecutionId) -> Result<()> {
        let outcome = Outcome::without_process(Reason::CancelledBeforeStart, "cancelled before it started");
        sqlx::query(
            "UPDATE execution SET status = CASE status WHEN 'running' THEN 'canceling' ELSE 'cancelled' END, \
             result = CASE status WHEN 'running' THEN NULL ELSE ?1 END, updated = ?2 \
             WHERE id = ?3 AND status IN ('requested', 'scheduling', 'scheduled', 'running')",
        )
        .bind(outcome.to_result().to_string())
        .bind(now())
        .bind(id.0)
        .execute(self.pool())
        .await?;
        self.shared.work.ring()?;
        self.shared.done.ring()
    }

    /// Whether any worker lives that could take work.
    pub async fn has_live_worker(&self) -> Result<bool> {
        let workers = sqlx::query("SELECT name FROM worker").fetch_all(self.pool()).await?;
        for row in &workers {
            if self.is_alive(row.try_get("name")?)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
