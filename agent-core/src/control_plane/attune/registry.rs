//! The registry over PostgreSQL: who this worker is, that it lives, and what earlier lives of it left.

use std::sync::LazyLock;
use std::time::Duration;

use serde_json::json;
use sqlx::types::Json;
use tokio::time::{Instant, sleep};

use super::database::Identity;
use super::{Attune, rows};
use crate::backoff::Backoff;
use crate::control_plane::{Orphan, Registry};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{
    ActionId, Capabilities, ClaimKey, ExecutionId, ExecutionStatus, Registration, RuntimeId, WorkerId,
    WorkerStatus,
};

/// How long an earlier life of this worker may take to be noticed as dead by both servers. One that still shows itself
/// after this lives.
const TWIN_PATIENCE: Duration = Duration::from_secs(10);

/// A heartbeat in the future makes a worker count as stale, so it is dated back by more than clocks differ
/// (CONTRACT §1.3.3).
const SEEN: &str = "now() - interval '5 seconds'";

const FIND: &str = "SELECT id, worker_role::text, host, extract(epoch FROM now() - last_heartbeat)::bigint AS age \
    FROM worker WHERE name = $1";

/// Whoever loses the race to be first finds the other's row.
const INSERT: &str = "INSERT INTO worker (name, worker_type, worker_role, status, runtime) \
    VALUES ($1, $2::text::worker_type_enum, 'action', 'inactive', $3) ON CONFLICT (name) DO NOTHING RETURNING id";

/// A cordon, the runtime, and whatever else an operator wrote, stays; so does a port that nobody configures.
static RENEW: LazyLock<String> = LazyLock::new(|| {
    format!(
        "UPDATE worker SET worker_type = $2::text::worker_type_enum, worker_role = 'action', host = $3, \
         port = coalesce($4, port), status = 'inactive', capabilities = $5, last_heartbeat = {SEEN}, \
         meta = CASE jsonb_typeof(meta) WHEN 'object' THEN meta ELSE '{{}}' END || $6 WHERE id = $1"
    )
});

static SET_STATUS: LazyLock<String> = LazyLock::new(|| {
    format!("UPDATE worker SET status = $2::text::worker_status_enum, last_heartbeat = {SEEN} WHERE id = $1")
});

/// The row of a worker that others have written off comes back by itself; a draining worker stays `busy`.
static HEARTBEAT: LazyLock<String> = LazyLock::new(|| {
    format!(
        "UPDATE worker SET last_heartbeat = {SEEN}, \
         status = CASE status WHEN 'inactive' THEN 'active'::worker_status_enum ELSE status END WHERE id = $1 \
         RETURNING {}",
        rows::moment_text("clock_timestamp()")
    )
});

static ORPHANS: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT id, action, action_ref, status::text, {} AS started_at FROM execution \
         WHERE worker = $1 AND status IN ('running', 'canceling') ORDER BY id",
        rows::moment_text("coalesce(started_at, created)")
    )
});

/// Claims, as two lists, whose rows say something else (CONTRACT §11). A worker whose row was removed has left none in those
/// of its executions.
const SUPERSEDED: &str = "SELECT claim.id, e.status::text AS status \
    FROM unnest($1::bigint[], $2::text[]) AS claim (id, started_at) LEFT JOIN execution e ON e.id = claim.id \
    WHERE e.id IS NULL OR e.status NOT IN ('running', 'canceling') OR coalesce(e.worker, $3) <> $3 \
    OR e.started_at IS DISTINCT FROM claim.started_at::timestamptz";

impl Registry for Attune {
    async fn register(&self, registration: &Registration) -> Result<WorkerId> {
        self.wait().await?;
        let worker = self.own_row(registration).await?;
        let capabilities = json!(self.with_declared_versions(&registration.capabilities).await?);
        let meta = json!({"agent": {"missing_runtimes": registration.missing_runtimes}});
        let (worker_type, host) = (registration.worker_type.as_str(), registration.host.clone());
        let port = registration.port.map(i32::from);
        self.database()
            .run_vital(move |connection| {
                let renew = sqlx::query(RENEW.as_str()).bind(worker.0).bind(worker_type).bind(host);
                Box::pin(renew.bind(port).bind(Json(capabilities)).bind(Json(meta)).execute(connection))
            })
            .await?;
        Ok(worker)
    }

    async fn refresh(&self, worker: WorkerId, offered: &Capabilities) -> Result<()> {
        let capabilities = json!(self.with_declared_versions(offered).await?);
        self.database()
            .run_vital(move |connection| {
                let refresh = sqlx::query("UPDATE worker SET capabilities = $2 WHERE id = $1").bind(worker.0);
                Box::pin(refresh.bind(Json(capabilities)).execute(connection))
            })
            .await?;
        Ok(())
    }

    async fn settle(&self, worker: WorkerId) -> Result<Vec<Orphan>> {
        let rows = self
            .database()
            .run_vital(move |connection| {
                Box::pin(sqlx::query(ORPHANS.as_str()).bind(worker.0).fetch_all(connection))
            })
            .await?;
        rows.iter()
            .map(|row| {
                Ok(Orphan {
                    key: ClaimKey {
                        execution: ExecutionId(rows::get(row, "id")?),
                        worker,
                        started_at: rows::moment(row, "started_at")?,
                    },
                    action: rows::get::<Option<i64>>(row, "action")?.map(ActionId),
                    action_ref: rows::get(row, "action_ref")?,
                    status: rows::status(row, "status")?,
                })
            })
            .collect()
    }

    async fn set_status(&self, worker: WorkerId, status: WorkerStatus) -> Result<()> {
        self.database()
            .run_vital(move |connection| {
                let set = sqlx::query(SET_STATUS.as_str()).bind(worker.0).bind(status.as_str());
                Box::pin(set.execute(connection))
            })
            .await?;
        Ok(())
    }

    async fn superseded(&self, claims: &[ClaimKey]) -> Result<Vec<(ExecutionId, Option<ExecutionStatus>)>> {
        let Some(worker) = claims.first().map(|claim| claim.worker) else { return Ok(Vec::new()) };
        let ids: Vec<i64> = claims.iter().map(|claim| claim.execution.0).collect();
        let moments: Vec<String> = claims.iter().map(|claim| claim.started_at.to_string()).collect();
        let rows = self
            .database()
            .run(move |connection| {
                let find = sqlx::query(SUPERSEDED).bind(ids).bind(moments).bind(worker.0);
                Box::pin(find.fetch_all(connection))
            })
            .await?;
        rows.iter()
            .map(|row| {
                let status = rows::get::<Option<&str>>(row, "status")?.map(str::parse).transpose();
                let status = status.map_err(|error| rows::corrupt("status", error))?;
                Ok((ExecutionId(rows::get(row, "id")?), status))
            })
            .collect()
    }

    async fn heartbeat(&self, worker: WorkerId) -> Result<()> {
        let now: Option<String> = self
            .database()
            .run_vital(move |connection| {
                Box::pin(sqlx::query_scalar(HEARTBEAT.as_str()).bind(worker.0).fetch_optional(connection))
            })
            .await?;
        match now {
            Some(now) => {
                self.database().learn_time(&now);
                Ok(())
            }
            None => Err(Error::new(ErrorKind::Conflict, format!("the row of worker {worker} was removed"))
                .hint("start the worker again: it registers anew")),
        }
    }
}

impl Attune {
    /// The worker's row, found by its name or made, once it is certain that nobody else is this worker.
    async fn own_row(&self, registration: &Registration) -> Result<WorkerId> {
        let deadline = Instant::now() + TWIN_PATIENCE;
        let mut backoff = Backoff::default();
        loop {
            let Some(found) = self.find(registration).await? else {
                // Nobody may consume the queues of a number that was never given out.
                if let Some(worker) = self.insert(registration).await? {
                    self.database().take_identity(worker).await?;
                    return Ok(worker);
                }
                continue;
            };
            let is_free = self.database().take_identity(found.worker).await? == Identity::Ours
                && self.shared.broker.consumers(found.worker).await? == 0;
            if is_free {
                return Ok(found.worker);
            }
            if Instant::now() >= deadline {
                return Err(found.twin(&registration.name));
            }
            sleep(backoff.next()).await;
        }
    }

    async fn find(&self, registration: &Registration) -> Result<Option<Found>> {
        let name = registration.name.clone();
        let row = self
            .database()
            .run_vital(move |connection| Box::pin(sqlx::query(FIND).bind(name).fetch_optional(connection)))
            .await?;
        let Some(row) = row else { return Ok(None) };
        let role: String = rows::get(&row, "worker_role")?;
        if role != "action" {
            let message = format!("the name `{}` belongs to a {role} worker", registration.name);
            return Err(Error::new(ErrorKind::Conflict, message)
                .hint("choose another name: `--name` or ATTUNE_WORKER_NAME"));
        }
        Ok(Some(Found {
            worker: WorkerId(rows::get(&row, "id")?),
            host: rows::get(&row, "host")?,
            age: rows::get(&row, "age")?,
        }))
    }

    /// On a connection that waits for the medium: a number that is used must not be given out again.
    async fn insert(&self, registration: &Registration) -> Result<Option<WorkerId>> {
        let (name, worker_type) = (registration.name.clone(), registration.worker_type.as_str());
        if let Some(runtime) = registration.runtime {
            self.check_runtime(runtime).await?;
        }
        let runtime = registration.runtime.map(|runtime| runtime.0);
        let id: Option<i64> = self
            .database()
            .run(move |connection| {
                let insert = sqlx::query_scalar(INSERT).bind(name).bind(worker_type).bind(runtime);
                Box::pin(insert.fetch_optional(connection))
            })
            .await?;
        Ok(id.map(WorkerId))
    }

    /// The database would refuse the row, in words that nobody has to understand.
    async fn check_runtime(&self, runtime: RuntimeId) -> Result<()> {
        const KNOWN: &str = "SELECT EXISTS (SELECT FROM runtime WHERE id = $1)";
        let is_known: bool = self
            .database()
            .run(move |connection| Box::pin(sqlx::query_scalar(KNOWN).bind(runtime.0).fetch_one(connection)))
            .await?;
        if is_known {
            return Ok(());
        }
        let message = format!("`worker.runtime_id` is {runtime}, and the control plane has no such runtime");
        Err(Error::new(ErrorKind::Invalid, message)
            .hint("leave it unset, or name an `id` of the table `runtime`"))
    }
}

/// The row of a worker with our name.
struct Found {
    worker: WorkerId,
    host: Option<String>,
    age: Option<i64>,
}

impl Found {
    fn twin(&self, name: &str) -> Error {
        let mut message = format!("a worker named `{name}` is alive already (worker {}", self.worker);
        if let Some(host) = &self.host {
            message.push_str(&format!(", host {host}"));
        }
        if let Some(age) = self.age {
            message.push_str(&format!(", last heartbeat {} s ago", (age - 5).max(0)));
        }
        message.push(')');
        Error::new(ErrorKind::Conflict, message)
            .hint("give each worker a name of its own: `--name` or ATTUNE_WORKER_NAME")
    }
}
