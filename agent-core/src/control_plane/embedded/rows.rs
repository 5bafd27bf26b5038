//! Rows as values.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::control_plane::Orphan;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{
    Action, ActionId, ClaimKey, Execution, ExecutionConfig, ExecutionId, ExecutionStatus, Runtime, RuntimeId,
    RuntimeVersion, RuntimeVersionId, WorkerId,
};

pub(super) const EXECUTION: &str =
    "SELECT id, action_ref, status, worker, result FROM execution WHERE id = ?";

pub(super) const RUNTIMES: &str = "SELECT id, ref, name, aliases, execution_config, (SELECT json_group_array(\
    json_object('id', v.id, 'version', v.version, 'execution_config', json(v.execution_config), 'is_default', \
    v.is_default) ORDER BY v.id) FROM runtime_version v WHERE v.runtime = runtime.id) AS versions FROM runtime \
    ORDER BY ref";

pub(super) const ACTION: &str = "SELECT id, ref, pack_ref, entrypoint, runtime, param_schema, parameter_delivery, \
    parameter_format, output_format, timeout_seconds, runtime_version_constraint, required_worker_runtimes \
    FROM action WHERE ref = ?";

pub(super) fn execution(row: &SqliteRow) -> Result<Execution> {
    Ok(Execution {
        id: ExecutionId(row.try_get("id")?),
        action_ref: row.try_get("action_ref")?,
        status: status(row, "status")?,
        worker: row.try_get::<Option<i64>, _>("worker")?.map(WorkerId),
        result: json(row, "result")?,
    })
}

/// A claim that its worker did not end.
pub(super) fn orphan(row: &SqliteRow, worker: WorkerId) -> Result<Orphan> {
    let started_at: Option<&str> = row.try_get("started_at")?;
    let started_at = started_at.unwrap_or_default().parse().map_err(|error| corrupt("started_at", error))?;
    Ok(Orphan {
        key: ClaimKey { execution: ExecutionId(row.try_get("id")?), worker, started_at },
        action: row.try_get::<Option<i64>, _>("action")?.map(ActionId),
        action_ref: row.try_get("action_ref")?,
        status: status(row, "status")?,
    })
}

/// A moment as the tables write it.
pub(super) fn moment(at: jiff::Timestamp) -> String {
    format!("{at:.6}")
}

pub(super) fn runtime(row: &SqliteRow) -> Result<Runtime> {
    Ok(Runtime {
        id: RuntimeId(row.try_get("id")?),
        reference: row.try_get("ref")?,
        name: row.try_get("name")?,
        aliases: json(row, "aliases")?.unwrap_or_default(),
        config: json(row, "execution_config")?.unwrap_or_default(),
        versions: json::<Vec<VersionRow>>(row, "versions")?
            .unwrap_or_default()
            .into_iter()
            .map(|version| RuntimeVersion {
                id: Some(version.id),
                version: version.version,
                config: version.execution_config,
                is_default: version.is_default != 0,
            })
            .collect(),
    })
}

/// One element of `versions` in [`RUNTIMES`].
#[derive(Deserialize)]
struct VersionRow {
    id: RuntimeVersionId,
    version: String,
    #[serde(default)]
    execution_config: ExecutionConfig,
    is_default: i64,
}

pub(super) fn action(row: &SqliteRow) -> Result<Action> {
    Ok(Action {
        id: Some(ActionId(row.try_get("id")?)),
        reference: label(row, "ref")?,
        pack: label(row, "pack_ref")?,
        entrypoint: row.try_get("entrypoint")?,
        runtime: row.try_get::<Option<i64>, _>("runtime")?.map(RuntimeId),
        parameters: json(row, "param_schema")?.unwrap_or_default(),
        delivery: label(row, "parameter_delivery")?,
        format: label(row, "parameter_format")?,
        output: label(row, "output_format")?,
        timeout_seconds: row.try_get("timeout_seconds")?,
        is_adhoc: false,
        version_constraint: row.try_get("runtime_version_constraint")?,
        required_runtimes: json(row, "required_worker_runtimes")?.unwrap_or_default(),
    })
}

pub(super) fn env_vars(row: &SqliteRow) -> Result<Vec<(String, String)>> {
    Ok(json::<BTreeMap<String, String>>(row, "env_vars")?.unwrap_or_default().into_iter().collect())
}

pub(super) fn status(row: &SqliteRow, column: &str) -> Result<ExecutionStatus> {
    row.try_get::<&str, _>(column)?.parse().map_err(|error| corrupt(column, error))
}

/// A JSON column; SQL null is `None`.
pub(super) fn json<T: DeserializeOwned>(row: &SqliteRow, column: &str) -> Result<Option<T>> {
    let Some(text) = row.try_get::<Option<&str>, _>(column)? else {
        return Ok(None);
    };
    serde_json::from_str(text).map(Some).map_err(|error| corrupt(column, error))
}

/// A text column whose values are those of a type with a text form.
fn label<T: DeserializeOwned>(row: &SqliteRow, column: &str) -> Result<T> {
    let text: String = row.try_get(column)?;
    serde_json::from_value(serde_json::Value::String(text)).map_err(|error| corrupt(column, error))
}

fn corrupt(column: &str, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::ControlPlane, format!("the column `{column}` holds something unexpected"))
        .because(error)
}
