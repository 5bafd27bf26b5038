//! Artifacts in PostgreSQL (CONTRACT §1.11). `artifact.ref` is not unique and version numbers are counted, so everybody
//! who makes either takes turns by advisory locks: for a version those of Attune itself, on the artifact's number.

use std::sync::{LazyLock, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use serde_json::json;
use sqlx::postgres::PgRow;
use tokio::sync::oneshot::error::TryRecvError;
use tokio::sync::{Mutex as AsyncMutex, oneshot};

use super::{Attune, rows};
use crate::control_plane::{ArtifactRegistry, LogVersion};
use crate::error::{Error, Result};
use crate::model::{ArtifactVersionId, ExecutionId, FileVersion, NewLog, Retention, Stream};

/// How many executions' logs one statement enters at most.
const BATCH: usize = 64;

/// The statement's own view of what it is given. Text that comes from rows is not quoted but encoded: nothing in it can
/// be mistaken for SQL.
const LOGS: &str = "jsonb_to_recordset(current_setting('attune.logs')::jsonb) \
    AS l(execution bigint, action_ref text, stream text, bytes bigint, policy text, retained int)";

/// One message of several statements, which are one transaction. Each sees what was committed before it began, so that
/// what follows a lock knows what its last holder did: within a single statement it would not.
static ENTER: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT pg_advisory_xact_lock(turn) FROM (
          SELECT DISTINCT hashtextextended(l.action_ref || '.' || l.stream || '.log', 0) AS turn
          FROM {LOGS} ORDER BY turn) turns;
        WITH wanted AS (
          SELECT DISTINCT l.action_ref, l.stream, l.action_ref || '.' || l.stream || '.log' AS ref,
            coalesce(a.log_retention_policy, l.policy::artifact_retention_enum) AS policy,
            coalesce(a.log_retention_limit, l.retained) AS retained
          FROM {LOGS} LEFT JOIN action a ON a.ref = l.action_ref),
        found AS (
          UPDATE artifact SET retention_policy = w.policy, retention_limit = w.retained FROM wanted w
          WHERE artifact.ref = w.ref AND artifact.scope = 'action'
            AND (artifact.retention_policy, artifact.retention_limit) IS DISTINCT FROM (w.policy, w.retained))
        INSERT INTO artifact (ref, scope, owner, type, visibility, name, content_type,
          retention_policy, retention_limit)
        SELECT ref, 'action', action_ref, 'file_text', 'private', action_ref || ' ' || stream, 'text/plain',
          policy, retained
        FROM wanted w WHERE NOT EXISTS (SELECT FROM artifact a WHERE a.ref = w.ref) ORDER BY ref;
        SELECT pg_advisory_xact_lock(artifact) FROM (
          SELECT DISTINCT (SELECT min(id) FROM artifact WHERE ref = l.action_ref || '.' || l.stream || '.log')
            AS artifact FROM {LOGS} ORDER BY artifact) artifacts;
        WITH asked AS (
          SELECT l.*, ref, (SELECT min(id) FROM artifact a WHERE a.ref = named.ref) AS artifact
          FROM {LOGS}, LATERAL (SELECT l.action_ref || '.' || l.stream || '.log' AS ref) named),
        there AS (
          SELECT v.id, v.artifact, v.execution, v.file_path FROM artifact_version v
          JOIN asked USING (artifact, execution) WHERE v.created_by = 'worker'),
        numbered AS (
          SELECT asked.*, row_number() OVER (PARTITION BY artifact ORDER BY execution)
            + coalesce((SELECT max(version) FROM artifact_version v WHERE v.artifact = asked.artifact), 0)
            AS version
          FROM asked WHERE NOT EXISTS (
            SELECT FROM there WHERE there.artifact = asked.artifact AND there.execution = asked.execution)),
        made AS (
          INSERT INTO artifact_version (artifact, version, execution, content_type, size_bytes, file_path,
            meta, created_by)
          SELECT artifact, version, execution, 'text/plain', bytes,
            replace(ref, '.', '/') || '/v' || version || '.txt',
            jsonb_build_object('stream', stream, 'execution_id', execution), 'worker'
          FROM numbered ORDER BY artifact, version
          RETURNING id, artifact, execution, file_path)
        SELECT entered.id, entered.execution, asked.stream AS log_stream, entered.file_path
        FROM (SELECT * FROM made UNION ALL SELECT * FROM there) entered
        JOIN asked USING (artifact, execution)"
    )
});

/// Artifacts of one control plane.
#[derive(Debug)]
pub struct Artifacts {
    attune: Attune,
    retention: Retention,
    /// What the next statement enters.
    waiting: Mutex<Vec<Waiting>>,
    /// Held by whoever sends a statement. Meanwhile, others gather for the next one.
    turn: AsyncMutex<()>,
}

#[derive(Debug)]
struct Waiting {
    logs: Vec<NewLog>,
    answer: oneshot::Sender<Result<Vec<LogVersion>>>,
}

impl Attune {
    /// The artifacts of this control plane. Logs of actions that do not say otherwise are kept by `retention`.
    pub fn artifacts(&self, retention: Retention) -> Artifacts {
        Artifacts { attune: self.clone(), retention, waiting: Mutex::default(), turn: AsyncMutex::default() }
    }
}

impl ArtifactRegistry for Artifacts {
    fn enter_logs(&self, logs: Vec<NewLog>) -> BoxFuture<'_, Result<Vec<LogVersion>>> {
        Box::pin(self.enter_together(logs))
    }

    fn own_versions(&self, execution: ExecutionId) -> BoxFuture<'_, Result<Vec<FileVersion>>> {
        const OWN: &str = "SELECT id, file_path FROM artifact_version WHERE execution = $1 \
            AND file_path IS NOT NULL AND created_by IS DISTINCT FROM 'worker' ORDER BY id";
        Box::pin(async move {
            let database = self.attune.database();
            let rows = database
                .run(move |connection| Box::pin(sqlx::query(OWN).bind(execution.0).fetch_all(connection)))
                .await?;
            let versions = rows.iter().map(file_version);
            // One that leads out of the directory of artifacts is none of ours to look at.
            versions.filter_map(Result::transpose).collect()
        })
    }

    fn set_sizes(&self, sizes: Vec<(ArtifactVersionId, u64)>) -> BoxFuture<'_, Result<()>> {
        /// An artifact shows the size of its latest version.
        const SET: &str =
            "WITH measured AS (SELECT * FROM unnest($1::bigint[], $2::bigint[]) AS m(id, bytes)),
             changed AS (
               UPDATE artifact_version v SET size_bytes = m.bytes FROM measured m
               WHERE v.id = m.id AND v.size_bytes IS DISTINCT FROM m.bytes
               RETURNING v.artifact, v.version, v.size_bytes)
             UPDATE artifact a SET size_bytes = c.size_bytes FROM changed c WHERE a.id = c.artifact
               AND c.version = (SELECT max(version) FROM artifact_version WHERE artifact = a.id)";
        let (ids, bytes): (Vec<i64>, Vec<i64>) =
            sizes.into_iter().map(|(id, bytes)| (id.0, i64::try_from(bytes).unwrap_or(i64::MAX))).unzip();
        Box::pin(async move {
            let database = self.attune.database();
            database
                .run(move |connection| Box::pin(sqlx::query(SET).bind(ids).bind(bytes).execute(connection)))
                .await?;
            Ok(())
        })
    }

    fn remove_versions(&self, versions: Vec<ArtifactVersionId>) -> BoxFuture<'_, Result<()>> {
        const REMOVE: &str = "DELETE FROM artifact_version WHERE id = ANY($1)";
        let ids: Vec<i64> = versions.into_iter().map(|id| id.0).collect();
        Box::pin(async move {
            let database = self.attune.database();
            database
                .run(move |connection| Box::pin(sqlx::query(REMOVE).bind(ids).execute(connection)))
                .await?;
            Ok(())
        })
    }
}

impl Artifacts {
    /// Enters logs together with those of other executions that end at the same time: the locks are taken once, and a
    /// worker that ends hundreds of executions a second sends only as many statements as are answered.
    async fn enter_together(&self, logs: Vec<NewLog>) -> Result<Vec<LogVersion>> {
        let mut answer = self.queue(logs.clone());
        let _turn = self.turn.lock().await;
        match answer.try_recv() {
            // Whoever had the turn before has entered them.
            Ok(answered) => return answered,
            Err(TryRecvError::Empty) => {}
            // Or has given up in between.
            Err(TryRecvError::Closed) => answer = self.queue(logs),
        }
        loop {
            let batch = self.next_batch();
            let all: Vec<NewLog> = batch.iter().flat_map(|waiting| waiting.logs.iter().cloned()).collect();
            let entered = self.enter(&all).await;
            for Waiting { logs, answer } in batch {
                let own = match &entered {
                    Ok(entered) => Ok(entered
                        .iter()
                        .filter(|entered| logs.iter().any(|log| log.execution == entered.execution))
                        .cloned()
                        .collect()),
                    Err(error) => Err(shared(error)),
                };
                // Nobody may wait any more: then the rows are there all the same.
                answer.send(own).ok();
            }
            if let Ok(answered) = answer.try_recv() {
                return answered;
            }
        }
    }

    fn queue(&self, logs: Vec<NewLog>) -> oneshot::Receiver<Result<Vec<LogVersion>>> {
        let (answer, receiver) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(Waiting { logs, answer });
        receiver
    }

    /// The oldest of those that still wait.
    fn next_batch(&self) -> Vec<Waiting> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        // Who has given up would put no file to a version.
        waiting.retain(|waiting| !waiting.answer.is_closed());
        let size = waiting.len().min(BATCH);
        waiting.drain(..size).collect()
    }

    async fn enter(&self, logs: &[NewLog]) -> Result<Vec<LogVersion>> {
        let script = self.script(logs);
        let database = self.attune.database();
        let rows = database
            .run(move |connection| Box::pin(sqlx::raw_sql(sqlx::AssertSqlSafe(script)).fetch_all(connection)))
            .await?;
        // Only the last statement answers with these columns.
        rows.iter().filter(|row| row_is_log(row)).map(log_version).collect()
    }

    fn script(&self, logs: &[NewLog]) -> String {
        let Retention { policy, limit } = self.retention;
        let logs: Vec<_> = logs
            .iter()
            .map(|log| {
                json!({"execution": log.execution, "action_ref": log.action_ref, "stream": log.stream,
                    "bytes": log.bytes, "policy": policy.as_str(), "retained": limit})
            })
            .collect();
        let encoded: String = json!(logs).to_string().bytes().map(|byte| format!("{byte:02x}")).collect();
        // It is on the medium once the execution's own end is, which is written after it and waits for that.
        format!(
            "SELECT set_config('attune.logs', convert_from(decode('{encoded}', 'hex'), 'UTF8'), true), \
             set_config('synchronous_commit', 'off', true), set_config('lock_timeout', '5000', true); {}",
            *ENTER
        )
    }
}

fn row_is_log(row: &PgRow) -> bool {
    use sqlx::Row;
    row.try_get_raw("log_stream").is_ok()
}

fn log_version(row: &PgRow) -> Result<LogVersion> {
    let stream: &str = rows::get(row, "log_stream")?;
    Ok(LogVersion {
        execution: ExecutionId(rows::get(row, "execution")?),
        stream: if stream == Stream::Stdout.as_str() { Stream::Stdout } else { Stream::Stderr },
        version: FileVersion {
            id: ArtifactVersionId(rows::get(row, "id")?),
            path: rows::get::<&str>(row, "file_path")?
                .parse()
                .map_err(|error| rows::corrupt("file_path", error))?,
        },
    })
}

/// `None` where the row's path is not below the directory of artifacts.
fn file_version(row: &PgRow) -> Result<Option<FileVersion>> {
    let path: &str = rows::get(row, "file_path")?;
    let id = ArtifactVersionId(rows::get(row, "id")?);
    Ok(path.parse().ok().map(|path| FileVersion { id, path }))
}

/// The same error once more: everybody whose logs were in a statement hears of it.
fn shared(error: &Error) -> Error {
    let again = Error::new(error.kind(), error.to_string());
    match error.hint_text() {
        Some(hint) => again.hint(hint),
        None => again,
    }
}
