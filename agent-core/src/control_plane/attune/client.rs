//! What whoever submits work asks: submit, follow, cancel; through Attune's executor, or without one.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt;
use lapin::options::{BasicConsumeOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Consumer};
use serde_json::{Value, json};
use sqlx::types::Json;

use super::broker::{closed, step};
use super::messages::{ExecutionRequest, Letter};
use super::publisher::Delivered;
use super::{Attune, rows, topology};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{
    Action, Event, Execution, ExecutionId, ExecutionStatus, Outcome, Parameters, Reason, Schema, WorkerId,
};
use crate::packs::{check_parameters, unknown_action};

/// However sure messages are, a follower looks at the row again after this long.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// An execution to be.
#[derive(Debug, Clone, Default)]
pub struct Submission {
    /// What is to run.
    pub action_ref: String,
    /// With these parameters.
    pub parameters: Parameters,
    /// And these variables in its environment.
    pub env_vars: BTreeMap<String, String>,
    /// On a worker with all of these labels; without any, the action says which.
    pub labels: BTreeMap<String, String>,
    /// Pick a worker here instead of asking the executor.
    pub direct: bool,
}

/// An execution that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Submitted {
    /// Its number.
    pub execution: ExecutionId,
    /// The worker that it was handed to; only where it was placed without an executor.
    pub worker: Option<WorkerId>,
}

const INSERT: &str = "INSERT INTO execution (action, action_ref, config, env_vars, worker_selector, status) \
    VALUES ($1, $2, $3, $4, $5, 'requested') RETURNING id";

impl Attune {
    /// The action of this name, or an error that names what comes close.
    pub async fn action(&self, reference: &str) -> Result<Action> {
        let asked = reference.to_owned();
        let statement = format!("SELECT {}, a.param_schema FROM action a WHERE a.ref = $1", rows::ACTION);
        let row = self
            .database()
            .run(move |connection| {
                Box::pin(async move {
                    sqlx::query(sqlx::AssertSqlSafe(statement)).bind(asked).fetch_optional(connection).await
                })
            })
            .await?;
        if let Some(row) = row {
            let mut action = rows::action(&row)?;
            action.parameters = schema(rows::json(&row, "param_schema")?)?;
            return Ok(action);
        }
        let known: Vec<String> = self
            .database()
            .run(|connection| {
                Box::pin(sqlx::query_scalar("SELECT ref FROM action ORDER BY ref").fetch_all(connection))
            })
            .await?;
        Err(unknown_action(reference, &known))
    }

    /// Asks for an execution: the row, then the executor by message, or a worker that is picked here.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] when there is no such action or the parameters do not fit it.
    pub async fn submit(&self, submission: &Submission) -> Result<Submitted> {
        let action = self.action(&submission.action_ref).await?;
        check_parameters(&action, &submission.parameters)?;
        let (config, env_vars) = (json!(submission.parameters), json!(submission.env_vars));
        let (id, reference) = (action.id.map(|id| id.0), action.reference.to_string());
        let selector = (!submission.labels.is_empty()).then(|| Json(json!(submission.labels)));
        let execution: i64 = self
            .database()
            .run(move |connection| {
                let insert = sqlx::query_scalar(INSERT).bind(id).bind(reference).bind(Json(config));
                Box::pin(insert.bind(Json(env_vars)).bind(selector).fetch_one(connection))
            })
            .await?;
        let request = ExecutionRequest {
            execution: ExecutionId(execution),
            action: id,
            action_ref: action.reference.to_string(),
            parent: None,
            enforcement: None,
            config: Some(submission.parameters.clone()),
        };
        let worker = if submission.direct { Some(self.place_or_fail(&request).await?) } else { None };
        if worker.is_none() {
            self.ask_executor(&request).await?;
        }
        Ok(Submitted { execution: request.execution, worker })
    }

    async fn ask_executor(&self, request: &ExecutionRequest) -> Result<()> {
        match self.shared.publisher.post(Letter::request(request, self.now())).await {
            Ok(Delivered::Queued) => Ok(()),
            Ok(Delivered::Unroutable) => {
                let message =
                    format!("execution {} is requested, and no executor listens", request.execution);
                Err(Error::new(ErrorKind::ControlPlane, message)
                    .hint("start Attune's executor, or submit with `--direct`, which picks a worker itself"))
            }
            Err(_) => Err(closed()),
        }
    }

    /// Places an execution, or fails it as an executor would: waiting for a worker that may never come helps nobody.
    async fn place_or_fail(&self, request: &ExecutionRequest) -> Result<WorkerId> {
        if let Some(worker) = self.place(request).await? {
            return Ok(worker);
        }
        let message = format!("no worker that takes work can run {}", request.action_ref);
        let outcome = Outcome::without_process(Reason::NoCompatibleWorker, message.clone());
        let (id, status, result) = (request.execution.0, outcome.status().as_str(), outcome.to_result());
        self.database()
            .run(move |connection| {
                let fail = sqlx::query(
                    "UPDATE execution SET status = $2::text::execution_status_enum, result = $3 \
                     WHERE id = $1 AND status = 'requested'",
                );
                Box::pin(fail.bind(id).bind(status).bind(Json(result)).execute(connection))
            })
            .await?;
        let error = Error::new(ErrorKind::ControlPlane, message);
        Err(match Reason::NoCompatibleWorker.hint() {
            Some(hint) => error.hint(hint),
            None => error,
        })
    }

    /// The execution as it is now.
    pub async fn execution(&self, id: ExecutionId) -> Result<Execution> {
        let row = self
            .database()
            .run(move |connection| {
                let find = "SELECT action_ref, status::text, worker, result FROM execution WHERE id = $1";
                Box::pin(sqlx::query(find).bind(id.0).fetch_optional(connection))
            })
            .await?;
        let row = row.ok_or_else(|| Error::new(ErrorKind::Usage, format!("there is no execution {id}")))?;
        Ok(Execution {
            id,
            action_ref: rows::get(&row, "action_ref")?,
            status: rows::status(&row, "status")?,
            worker: rows::get::<Option<i64>>(&row, "worker")?.map(WorkerId),
            result: rows::json(&row, "result")?,
        })
    }

    /// Awaits the execution's end: a completion message wakes, the row decides.
    pub async fn finished(&self, id: ExecutionId) -> Result<Execution> {
        loop {
            let link = self.shared.broker.link().await?;
            // Bound before the row is looked at, so that no end falls in between.
            let channel = link.channel().await?;
            let mut completions = completions(&channel).await?;
            while !link.broken.is_cancelled() {
                let execution = self.execution(id).await?;
                if execution.status.is_terminal() {
                    return Ok(execution);
                }
                tokio::select! {
                    message = completions.next() => if !matches!(message, Some(Ok(_))) { break },
                    () = link.broken.cancelled() => {}
                    () = tokio::time::sleep(LOOK_AGAIN) => {}
                }
            }
        }
    }

    /// Asks to cancel: what has not begun ends at once, what runs is ended by its worker.
    pub async fn cancel(&self, id: ExecutionId) -> Result<()> {
        let row = self
            .database()
            .run(move |connection| {
                let cancel = "WITH before AS (SELECT id, status, worker FROM execution WHERE id = $1 FOR UPDATE) \
                    UPDATE execution e SET status = CASE b.status WHEN 'running' THEN 'canceling' \
                    ELSE 'cancelled' END::execution_status_enum FROM before b WHERE e.id = b.id \
                    AND b.status IN ('requested', 'scheduling', 'scheduled', 'running') \
                    RETURNING b.status::text AS status, b.worker, e.action_ref";
                Box::pin(sqlx::query(cancel).bind(id.0).fetch_optional(connection))
            })
            .await?;
        let Some(row) = row else { return Ok(()) };
        let before = rows::status(&row, "status")?;
        let worker: Option<i64> = rows::get(&row, "worker")?;
        let (new, letter) = match (before, worker) {
            (ExecutionStatus::Running, Some(worker)) => {
                (ExecutionStatus::Canceling, Some(Letter::cancel(id, WorkerId(worker), self.now())))
            }
            (ExecutionStatus::Running, None) => (ExecutionStatus::Canceling, None),
            _ => (ExecutionStatus::Cancelled, None),
        };
        let action_ref = rows::get(&row, "action_ref")?;
        let changed = Event::StatusChanged { execution: id, action_ref, previous: before, new };
        let posted = letter.into_iter().chain([Letter::event(&changed, self.now())]);
        let delivered: Vec<_> = posted.map(|letter| self.shared.publisher.post(letter)).collect();
        for delivered in delivered {
            delivered.await.map_err(|_| closed())?;
        }
        Ok(())
    }
}

/// Every completion from now on, in a queue of our own that ends with its channel.
async fn completions(channel: &Channel) -> Result<Consumer> {
    let options = QueueDeclareOptions { exclusive: true, auto_delete: true, ..Default::default() };
    let declared = channel.queue_declare("".into(), options, FieldTable::default());
    let queue = step("declare a queue", declared).await?;
    let name = queue.name();
    for key in [topology::COMPLETED, topology::STATUS_CHANGED] {
        let (exchange, options) = (topology::EXECUTIONS.into(), QueueBindOptions::default());
        let bound = channel.queue_bind(name.clone(), exchange, key.into(), options, FieldTable::default());
        step("bind a queue", bound).await?;
    }
    let options = BasicConsumeOptions { no_ack: true, ..Default::default() };
    step(
        "follow an execution",
        channel.basic_consume(name.clone(), "".into(), options, FieldTable::default()),
    )
    .await
}

/// An action's schema in either of the forms that packs use: flat, or as a JSON schema of an object.
fn schema(value: Option<Value>) -> Result<Schema> {
    let Some(value) = value else { return Ok(Schema::default()) };
    let (properties, required) = match (value.get("type"), value.get("properties")) {
        (Some(kind), Some(properties)) if kind == "object" => {
            (properties.clone(), value.get("required").cloned())
        }
        _ => (value, None),
    };
    let mut schema: Schema =
        serde_json::from_value(properties).map_err(|error| rows::corrupt("param_schema", error))?;
    for name in required.as_ref().and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        if let Some(spec) = schema.0.get_mut(name) {
            spec.required = true;
        }
    }
    Ok(schema)
}
