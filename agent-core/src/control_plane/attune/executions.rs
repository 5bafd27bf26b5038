//! The claim and the finish: one round trip each, both compare-and-set, both safe to be sent again.

use std::sync::LazyLock;

use serde_json::{Map, Value};
use sqlx::postgres::PgRow;
use sqlx::types::Json;

use super::{Attune, rows, sealed};
use crate::control_plane::{ClaimReply, Denied, Executions, Finish, Orphan};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{
    ActionId, ClaimKey, Dispatch, Ending, ExecutionStatus, Outcome, Parameters, Reason, ResultField,
    SealedOutput, WorkOrder,
};

/// Makes the execution ours and returns all that is needed to run it, or what it was found as.
///
/// The second alternative of the condition is the claim itself, found again by its key after an answer that was lost;
/// somebody may have asked to cancel it meanwhile, which stands.
/// An action's declared runtime comes with it; for one that declares none, every runtime that may claim its file.
static CLAIM: LazyLock<String> = LazyLock::new(|| {
    format!(
        "WITH claimed AS (
           UPDATE execution SET started_at = $4::text::timestamptz,
             status = CASE status WHEN 'scheduled' THEN 'running'::execution_status_enum ELSE status END
           WHERE id = $1 AND worker = $2
             AND ((status = 'scheduled' AND ($3::text IS NULL OR updated = $3::text::timestamptz))
               OR (status IN ('running', 'canceling') AND started_at = $4::text::timestamptz))
           RETURNING id, action, action_ref, config, env_vars, workflow_task, parent, enforcement, executor,
             permission_set_refs)
         SELECT e.status::text AS found, e.worker = $2 AND e.started_at IS NULL AS unannounced,
           e.worker = $2 AS found_ours, {found_started_at} AS found_started_at,
           e.action AS found_action, e.result AS found_result, c.id IS NOT NULL AS granted,
           c.config, c.env_vars, c.workflow_task -> 'timeout_seconds' AS task_timeout, {action}, {sealed},
           CASE WHEN a.id IS NULL THEN NULL
                WHEN a.runtime IS NULL THEN (SELECT jsonb_agg({runtime} ORDER BY r.ref) FROM runtime r)
                ELSE (SELECT jsonb_agg({runtime}) FROM runtime r WHERE r.id = a.runtime) END AS runtimes
         FROM (SELECT $1::bigint AS id) asked
         LEFT JOIN execution e ON e.id = asked.id
         LEFT JOIN claimed c ON c.id = asked.id
         LEFT JOIN action a ON a.id = coalesce(c.action, (SELECT id FROM action WHERE ref = c.action_ref))",
        action = rows::ACTION,
        sealed = sealed::SEALED,
        runtime = rows::RUNTIME,
        found_started_at = rows::moment_text("e.started_at"),
    )
});

/// Writes a terminal state over `running` or `canceling` of this very claim. The same state and result, of the same claim,
/// that are there already were written by an earlier try whose answer was lost.
static FINISH: LazyLock<String> = LazyLock::new(|| finish(""));

/// The same, and in the same moment the secrets of the result.
static FINISH_WITH_SECRETS: LazyLock<String> =
    LazyLock::new(|| finish(&format!(", {}", sealed::KEEP_OUTPUTS)));

fn finish(further: &str) -> String {
    format!(
        "WITH before AS (
           SELECT id, status, worker, started_at, result FROM execution WHERE id = $1 FOR UPDATE),
         written AS (
           UPDATE execution e SET status = $4::text::execution_status_enum, result = $5 FROM before b
           WHERE e.id = b.id AND b.status IN ('running', 'canceling')
             AND coalesce(b.worker, $2) = $2 AND b.started_at = $3::text::timestamptz
           RETURNING e.id){further}
         SELECT b.status::text AS found, w.id IS NOT NULL AS written,
           coalesce(b.worker = $2 AND b.started_at = $3::text::timestamptz
             AND b.status = $4::text::execution_status_enum AND b.result IS NOT DISTINCT FROM $5, false) AS ours
         FROM before b LEFT JOIN written w ON w.id = b.id"
    )
}

impl Executions for Attune {
    fn key(&self, dispatch: &Dispatch) -> ClaimKey {
        ClaimKey {
            execution: dispatch.execution_id,
            worker: dispatch.worker_id,
            started_at: self.database().clock().moment(),
        }
    }

    async fn claim(&self, dispatch: &Dispatch, key: &ClaimKey) -> Result<ClaimReply> {
        match self.try_claim(dispatch, key).await? {
            // Where the claim had to wait for somebody else's change of the row, the rest of the statement still sees
            // the row as it was before: an earlier life's claim, or a cancellation, shows only when it looks again.
            ClaimReply::Denied(Denied::Stale) => self.try_claim(dispatch, key).await,
            reply => Ok(reply),
        }
    }

    async fn finish(&self, ending: &Ending) -> Result<Finish> {
        match self.write_end(ending, storable(&ending.result), &ending.sealed).await {
            Err(error) if error.kind() == ErrorKind::ControlPlane => {
                // A state matters more than the result that the database will not take.
                tracing::error!(execution = ending.key.execution.0, %error,
                    "the database refuses a result; the execution ends without it");
                self.write_end(ending, without_result(ending, &error), &[]).await
            }
            written => written,
        }
    }
}

impl Attune {
    async fn try_claim(&self, dispatch: &Dispatch, key: &ClaimKey) -> Result<ClaimReply> {
        let attempt =
            dispatch.scheduled_attempt_updated_at.as_ref().map(|attempt| attempt.as_str().to_owned());
        let (execution, worker, moment) = (key.execution.0, key.worker.0, key.started_at.to_string());
        let row = self
            .database()
            .run(move |connection| {
                let claim =
                    sqlx::query(CLAIM.as_str()).bind(execution).bind(worker).bind(attempt).bind(moment);
                Box::pin(claim.fetch_one(connection))
            })
            .await?;
        if rows::get(&row, "granted")? {
            return Ok(ClaimReply::Granted(work_order(&row, dispatch)));
        }
        let Some(found) = rows::get::<Option<&str>>(&row, "found")? else {
            return Ok(ClaimReply::Denied(Denied::Unknown));
        };
        let found = found.parse().map_err(|error| rows::corrupt("status", error))?;
        Ok(match found {
            // Whoever cancels what is not claimed yet tells nobody else, and its followers would wait for ever.
            ExecutionStatus::Cancelled if rows::get::<Option<bool>>(&row, "unannounced")? == Some(true) => {
                ClaimReply::CancelledBefore(Box::new(Ending {
                    key: key.clone(),
                    action: rows::get::<Option<i64>>(&row, "found_action")?.map(ActionId),
                    action_ref: dispatch.action_ref.clone(),
                    status: found,
                    result: rows::json(&row, "found_result")?.unwrap_or_default(),
                    sealed: Vec::new(),
                }))
            }
            ExecutionStatus::Scheduled => ClaimReply::Denied(Denied::Stale),
            ExecutionStatus::Running | ExecutionStatus::Canceling
                if rows::get::<Option<bool>>(&row, "found_ours")? == Some(true)
                    && rows::get::<Option<&str>>(&row, "found_started_at")?.is_some() =>
            {
                ClaimReply::Claimed(Box::new(Orphan {
                    key: ClaimKey { started_at: rows::moment(&row, "found_started_at")?, ..key.clone() },
                    action: rows::get::<Option<i64>>(&row, "found_action")?.map(ActionId),
                    action_ref: dispatch.action_ref.clone(),
                    status: found,
                }))
            }
            other => ClaimReply::Denied(Denied::Status(other)),
        })
    }

    async fn write_end(&self, ending: &Ending, result: Value, sealed: &[SealedOutput]) -> Result<Finish> {
        let ClaimKey { execution, worker, started_at } = &ending.key;
        let (execution, worker, moment) = (execution.0, worker.0, started_at.to_string());
        let status = ending.status.as_str();
        let outputs = outputs(sealed);
        let row = self
            .database()
            .run(move |connection| {
                let statement = if outputs.is_some() { &FINISH_WITH_SECRETS } else { &FINISH };
                let mut finish = sqlx::query(statement.as_str()).bind(execution).bind(worker).bind(moment);
                finish = finish.bind(status).bind(Json(result));
                if let Some([places, sources, ciphertexts]) = outputs {
                    finish = finish.bind(places).bind(sources).bind(ciphertexts);
                }
                Box::pin(finish.fetch_optional(connection))
            })
            .await?;
        let Some(row) = row else { return Ok(Finish::Superseded(None)) };
        let found = rows::status(&row, "found")?;
        Ok(if rows::get(&row, "written")? {
            Finish::Written(found)
        } else if rows::get(&row, "ours")? {
            // What it was before is not known any more, but for what can be.
            Finish::Written(ExecutionStatus::Running)
        } else {
            Finish::Superseded(Some(found))
        })
    }
}

/// What a claim that was granted says is to be done, or how an execution ends that cannot be done.
fn work_order(row: &PgRow, dispatch: &Dispatch) -> std::result::Result<Box<WorkOrder>, Box<Outcome>> {
    let unusable = |error: Error| Box::new(Outcome::without_process(Reason::AgentError, error.to_string()));
    let action_id: Option<i64> = rows::get(row, "action_id").map_err(unusable)?;
    if action_id.is_none() {
        let error = format!("the action {} is not there any more", dispatch.action_ref);
        return Err(Box::new(Outcome::without_process(Reason::ActionMissing, error)));
    }
    let runtimes = rows::json(row, "runtimes").map_err(unusable)?;
    let runtimes = runtimes.as_ref().and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    // The row goes over the dispatch, key by key, where it says anything (CONTRACT §2.7).
    let mut parameters = dispatch.config.clone().unwrap_or_default();
    let own = match rows::json(row, "config").map_err(unusable)? {
        Some(Value::Object(own)) => own,
        _ => Parameters::new(),
    };
    let sealed = sealed::sealed(row, &own).map_err(unusable)?;
    parameters.extend(own.into_iter().filter(|(_, value)| !value.is_null()));
    Ok(Box::new(WorkOrder {
        execution: dispatch.execution_id,
        action: rows::action(row).map_err(unusable)?,
        file: None,
        runtimes: runtimes.iter().filter_map(rows::runtime).collect(),
        parameters,
        env_vars: variables(rows::json(row, "env_vars").map_err(unusable)?),
        task_timeout_seconds: rows::json(row, "task_timeout")
            .map_err(unusable)?
            .and_then(|seconds| seconds.as_u64())
            .and_then(|seconds| u32::try_from(seconds).ok()),
        origin: sealed::origin(row).map_err(unusable)?,
        sealed,
    }))
}

/// The places, the sources and the ciphertexts of secret outputs, each as a list; `None` where there are none.
fn outputs(sealed: &[SealedOutput]) -> Option<[Vec<String>; 3]> {
    let all = |part: fn(&SealedOutput) -> String| sealed.iter().map(part).collect();
    (!sealed.is_empty()).then(|| {
        [
            all(|output| format!("/data{}", output.path)),
            all(|output| output.path.clone()),
            all(|output| output.ciphertext.clone()),
        ]
    })
}

/// `execution.env_vars`: text is itself, anything else its JSON.
fn variables(value: Option<Value>) -> Vec<(String, String)> {
    let Some(Value::Object(variables)) = value else { return Vec::new() };
    let text = |value: Value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    variables.into_iter().map(|(name, value)| (name, text(value))).collect()
}

/// The result as `jsonb` takes it: without NUL, which it cannot hold.
pub(super) fn storable(result: &Value) -> Value {
    let without_nul = |text: &str| text.replace('\0', "\u{fffd}");
    match result {
        Value::String(text) => Value::String(without_nul(text)),
        Value::Array(values) => values.iter().map(storable).collect(),
        Value::Object(values) => values
            .iter()
            .map(|(name, value)| (without_nul(name), storable(value)))
            .collect::<Parameters>()
            .into(),
        other => other.clone(),
    }
}

/// What is left of a result that the database will not take: nothing of what the action has said itself.
fn without_result(ending: &Ending, error: &Error) -> Value {
    use ResultField as Field;

    let mut left = Map::new();
    for field in [
        Field::Succeeded,
        Field::Cancelled,
        Field::Reason,
        Field::ExitCode,
        Field::Signal,
        Field::MemoryLimit,
        Field::MemoryPeak,
        Field::Duration,
    ] {
        if let Some(value) = field.of(&ending.result) {
            field.put(&mut left, value.clone());
        }
    }
    Field::OutputError.put(&mut left, format!("the result could not be stored: {error}"));
    left.into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nul_is_replaced_wherever_it_is() {
        let result = json!({"a\0b": ["c\0", {"d": "\0"}], "n": 1});
        assert_eq!(storable(&result), json!({"a\u{fffd}b": ["c\u{fffd}", {"d": "\u{fffd}"}], "n": 1}));
    }
}
