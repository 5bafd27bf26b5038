//! Rows as values. What the control plane's other services wrote is read leniently where the contract says so, and
//! otherwise named.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sqlx::Row;
use sqlx::postgres::PgRow;
use sqlx::types::Json;

use super::database::refused;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{
    Action, ActionId, ExecutionConfig, ExecutionStatus, PackRef, Ref, Runtime, RuntimeId, RuntimeVersion,
    RuntimeVersionId, Schema,
};

/// A runtime as a JSON object, in a statement that has it as `r`.
pub(super) const RUNTIME: &str = "jsonb_build_object('id', r.id, 'ref', r.ref, 'name', r.name, 'aliases', \
    r.aliases, 'execution_config', r.execution_config, 'versions', (SELECT jsonb_agg(jsonb_build_object('id', v.id, \
    'version', v.version, 'execution_config', v.execution_config, 'is_default', v.is_default) ORDER BY v.id) \
    FROM runtime_version v WHERE v.runtime = r.id))";

/// The columns of an action that [`action`] reads, in a statement that has it as `a`.
pub(super) const ACTION: &str = "a.id AS action_id, a.ref AS action_ref, a.pack_ref, a.entrypoint, a.runtime, \
    a.parameter_delivery, a.parameter_format, a.output_format, a.timeout_seconds, a.is_adhoc, \
    a.runtime_version_constraint, a.required_worker_runtimes";

/// A column of any type that sqlx reads.
pub(super) fn get<'r, T>(row: &'r PgRow, column: &str) -> Result<T>
where
    T: sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    row.try_get(column).map_err(|error| refused(&error))
}

/// A column of JSON; SQL null and JSON null are `None`.
pub(super) fn json(row: &PgRow, column: &str) -> Result<Option<Value>> {
    let value: Option<Json<Value>> = get(row, column)?;
    Ok(value.map(|Json(value)| value).filter(|value| !value.is_null()))
}

/// A column that holds a state as text.
pub(super) fn status(row: &PgRow, column: &str) -> Result<ExecutionStatus> {
    get::<&str>(row, column)?.parse().map_err(|error| corrupt(column, error))
}

/// A column that holds a moment as text.
pub(super) fn moment(row: &PgRow, column: &str) -> Result<Timestamp> {
    get::<&str>(row, column)?.parse().map_err(|error| corrupt(column, error))
}

/// How a statement writes a moment so that [`moment`] reads it.
pub(super) fn moment_text(expression: &str) -> String {
    format!("to_char({expression} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")
}

/// The columns [`ACTION`].
pub(super) fn action(row: &PgRow) -> Result<Action> {
    let reference: Ref = label(row, "action_ref")?;
    let pack: PackRef = label(row, "pack_ref")?;
    let timeout: Option<i32> = get(row, "timeout_seconds")?;
    Ok(Action {
        id: Some(ActionId(get(row, "action_id")?)),
        reference,
        pack,
        entrypoint: get(row, "entrypoint")?,
        runtime: get::<Option<i64>>(row, "runtime")?.map(RuntimeId),
        // Checked by whoever submits; a worker takes what it is given.
        parameters: Schema::default(),
        delivery: label(row, "parameter_delivery")?,
        format: label(row, "parameter_format")?,
        output: label(row, "output_format")?,
        timeout_seconds: timeout.and_then(|seconds| u32::try_from(seconds).ok()),
        is_adhoc: get(row, "is_adhoc")?,
        version_constraint: get(row, "runtime_version_constraint")?,
        required_runtimes: json(row, "required_worker_runtimes")?.map(required_runtimes).unwrap_or_default(),
    })
}

/// An object of the form [`RUNTIME`].
pub(super) fn runtime(value: &Value) -> Option<Runtime> {
    Some(Runtime {
        id: RuntimeId(value.get("id")?.as_i64()?),
        reference: value.get("ref")?.as_str()?.to_owned(),
        name: value.get("name")?.as_str()?.to_owned(),
        aliases: strings(value.get("aliases")),
        config: value.get("execution_config").map(execution_config).unwrap_or_default(),
        versions: value
            .get("versions")
            .and_then(Value::as_array)
            .map(|versions| versions.iter().filter_map(version).collect())
            .unwrap_or_default(),
    })
}

fn version(value: &Value) -> Option<RuntimeVersion> {
    Some(RuntimeVersion {
        id: value.get("id")?.as_i64().map(RuntimeVersionId),
        version: value.get("version")?.as_str()?.to_owned(),
        config: value.get("execution_config").map(execution_config).unwrap_or_default(),
        is_default: value.get("is_default")?.as_bool()?,
    })
}

/// Constraints by runtime; one that is no text allows nothing and is told when the action runs.
fn required_runtimes(value: Value) -> BTreeMap<String, String> {
    let Value::Object(required) = value else { return BTreeMap::new() };
    let text = |value: Value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    required.into_iter().map(|(name, constraint)| (name, text(constraint))).collect()
}

/// A configuration that cannot be read is the default one (CONTRACT §3.2).
fn execution_config(value: &Value) -> ExecutionConfig {
    serde_json::from_value(value.clone()).unwrap_or_default()
}

fn strings(value: Option<&Value>) -> Vec<String> {
    let list = value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(|alias| alias.as_str().map(str::to_owned)).collect()
}

/// A text column whose values are those of a type with a text form.
fn label<T: DeserializeOwned>(row: &PgRow, column: &str) -> Result<T> {
    let text: String = get(row, column)?;
    serde_json::from_value(Value::String(text)).map_err(|error| corrupt(column, error))
}

/// A column that holds what no service of the control plane would write.
pub(super) fn corrupt(column: &str, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Invalid, format!("the column `{column}` holds something unexpected")).because(error)
}
