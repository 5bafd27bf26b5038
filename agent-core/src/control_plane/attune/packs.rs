//! Packs in PostgreSQL: their rows, their files below the packs directory, and runtimes that only a worker knows of.

use std::path::Path;

use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use sqlx::types::Json;
use sqlx::{Acquire, PgConnection, Row};

use super::Attune;
use super::database::{Access, Database, bounded, refused};
use super::rows;
use crate::config::ServersConfig;
use crate::control_plane::PackRegistry;
use crate::error::Result;
use crate::model::{Capabilities, PackRef, Runtime, canonical_name};
use crate::packs::{
    ActionManifest, Pack, RuntimeManifest, RuntimeVersionManifest, builtin_runtimes, install_pack,
    resolve_runtime,
};

/// Copies the pack in `source` below `packs_dir`, in place of an earlier one, and writes its rows: all of them, or none.
pub async fn register_pack(servers: &ServersConfig, source: &Path, packs_dir: &Path) -> Result<Pack> {
    // Read where it is: a pack that cannot be used must not replace one that can.
    let pack = Pack::read(source)?;
    let database = Database::new(&Access::of(servers)?)?;
    database.wait().await;
    install_pack(source, packs_dir, &pack)?;
    let mut session = database.session().await?;
    record(&mut session, &pack).await?;
    database.close().await;
    Ok(pack)
}

async fn record(session: &mut PgConnection, pack: &Pack) -> Result<()> {
    let mut transaction = bounded(session.begin()).await?;
    let id = record_pack(&mut transaction, pack).await?;
    for runtime in &pack.runtimes {
        record_runtime(&mut transaction, id, pack, runtime).await?;
    }
    let statement = format!("SELECT {} AS runtime FROM runtime r ORDER BY r.ref", rows::RUNTIME);
    let found = bounded(sqlx::query(sqlx::AssertSqlSafe(statement)).fetch_all(&mut *transaction)).await?;
    let mut runtimes: Vec<Runtime> = Vec::with_capacity(found.len());
    for row in &found {
        let Json(value): Json<Value> = row.try_get("runtime").map_err(|error| refused(&error))?;
        runtimes.extend(rows::runtime(&value));
    }
    for action in &pack.actions {
        record_action(&mut transaction, id, pack, action, &runtimes).await?;
    }
    let kept: Vec<String> = pack.actions.iter().map(|action| action.reference.to_string()).collect();
    let gone = sqlx::query("DELETE FROM action WHERE pack = $1 AND NOT ref = ANY($2)").bind(id).bind(kept);
    bounded(gone.execute(&mut *transaction)).await?;
    bounded(transaction.commit()).await
}

async fn record_pack(session: &mut PgConnection, pack: &Pack) -> Result<i64> {
    let manifest = &pack.manifest;
    let insert = sqlx::query_scalar(
        "INSERT INTO pack (ref, label, description, version) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (ref) DO UPDATE SET label = $2, description = $3, version = $4 RETURNING id",
    );
    let insert = insert
        .bind(manifest.reference.as_str())
        .bind(&manifest.label)
        .bind(&manifest.description)
        .bind(&manifest.version);
    bounded(insert.fetch_one(session)).await
}

async fn record_runtime(
    session: &mut PgConnection,
    pack_id: i64,
    pack: &Pack,
    runtime: &RuntimeManifest,
) -> Result<()> {
    let insert = sqlx::query_scalar(
        "INSERT INTO runtime (ref, pack, pack_ref, description, name, aliases, distributions, execution_config) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (ref) DO UPDATE SET pack = $2, pack_ref = $3, \
         description = $4, name = $5, aliases = $6, distributions = $7, execution_config = $8 RETURNING id",
    );
    let insert = insert
        .bind(runtime.reference.as_str())
        .bind(pack_id)
        .bind(pack.manifest.reference.as_str())
        .bind(&runtime.description)
        .bind(&runtime.name)
        .bind(runtime.aliases.iter().map(|alias| alias.to_lowercase()).collect::<Vec<_>>())
        .bind(Json(object(&runtime.distributions)))
        .bind(Json(json!(runtime.execution_config)));
    let id: i64 = bounded(insert.fetch_one(&mut *session)).await?;
    for version in &runtime.versions {
        record_version(session, id, runtime, version).await?;
    }
    Ok(())
}

async fn record_version(
    session: &mut PgConnection,
    runtime_id: i64,
    runtime: &RuntimeManifest,
    version: &RuntimeVersionManifest,
) -> Result<()> {
    let mut numbers = version.version.split('.').map(|part| part.parse::<i32>().ok());
    let mut number = || numbers.next().flatten();
    let insert = sqlx::query(
        "INSERT INTO runtime_version (runtime, runtime_ref, version, version_major, version_minor, version_patch, \
         execution_config, distributions, is_default) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
         ON CONFLICT (runtime, version) DO UPDATE SET version_major = $4, version_minor = $5, version_patch = $6, \
         execution_config = $7, distributions = $8, is_default = $9",
    );
    let insert = insert
        .bind(runtime_id)
        .bind(runtime.reference.as_str())
        .bind(&version.version)
        .bind(number())
        .bind(number())
        .bind(number())
        .bind(Json(json!(version.execution_config)))
        .bind(Json(object(&version.distributions)))
        .bind(version.is_default);
    bounded(insert.execute(session)).await?;
    Ok(())
}

async fn record_action(
    session: &mut PgConnection,
    pack_id: i64,
    pack: &Pack,
    action: &ActionManifest,
    runtimes: &[Runtime],
) -> Result<()> {
    let runtime = resolve_runtime(action, runtimes)?;
    let insert = sqlx::query(
        "INSERT INTO action (ref, pack, pack_ref, label, description, entrypoint, runtime, param_schema, out_schema, \
         parameter_delivery, parameter_format, output_format, timeout_seconds, runtime_version_constraint, \
         required_worker_runtimes) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) \
         ON CONFLICT (ref) DO UPDATE SET pack = $2, pack_ref = $3, label = $4, description = $5, entrypoint = $6, \
         runtime = $7, param_schema = $8, out_schema = $9, parameter_delivery = $10, parameter_format = $11, \
         output_format = $12, timeout_seconds = $13, runtime_version_constraint = $14, \
         required_worker_runtimes = $15",
    );
    let insert = insert
        .bind(action.reference.as_str())
        .bind(pack_id)
        .bind(pack.manifest.reference.as_str())
        .bind(&action.label)
        .bind(&action.description)
        .bind(&action.entrypoint)
        .bind(runtime.map(|id| id.0))
        .bind(Json(json!(action.parameters)))
        .bind(Json(json!(action.output)))
        .bind(action.parameter_delivery.as_str())
        .bind(action.parameter_format.as_str())
        .bind(action.output_format.as_str())
        .bind(action.timeout_seconds.and_then(|seconds| i32::try_from(seconds).ok()))
        .bind(&action.runtime_version_constraint)
        .bind(Json(json!(action.required_worker_runtimes)));
    bounded(insert.execute(session)).await?;
    Ok(())
}

/// A column that must hold an object, of what a manifest may have left out.
fn object(value: &Value) -> Value {
    if value.is_object() { value.clone() } else { json!({}) }
}

impl PackRegistry for Attune {
    fn packs(&self) -> BoxFuture<'_, Result<Vec<PackRef>>> {
        Box::pin(async move {
            let database = self.database();
            let packs: Vec<String> = database
                .run(|connection| {
                    Box::pin(sqlx::query_scalar("SELECT ref FROM pack ORDER BY id").fetch_all(connection))
                })
                .await?;
            packs
                .into_iter()
                .map(|name| name.parse().map_err(|error| rows::corrupt("pack.ref", error)))
                .collect()
        })
    }
}

/// A row of `runtime` for an interpreter that the control plane does not know (CONTRACT §4.3).
#[derive(Debug)]
pub(super) struct DetectedRuntime {
    pub(super) reference: String,
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) aliases: Vec<String>,
    pub(super) distributions: Value,
    pub(super) execution_config: Value,
    pub(super) detection: Value,
}

/// The row for the runtime of this canonical name; `None` where nothing is known of how to run its files.
///
/// It is taken from the definition that comes with the agent, whose program is a bare name: a path would be this
/// image's alone, and the row serves every worker.
pub(super) fn detected_runtime(canonical: &str, offered: &Capabilities) -> Option<DetectedRuntime> {
    let definition = builtin_runtimes()
        .into_iter()
        .find(|runtime| runtime.aliases.iter().any(|alias| canonical_name(alias) == canonical))?;
    let detected = offered.detected_interpreters.iter().find(|interpreter| interpreter.name == canonical);
    let mut detection = json!({"detected_name": canonical});
    if let Some(version) = detected.and_then(|detected| detected.version.as_ref()) {
        detection["detected_version"] = json!(version);
    }
    let mut aliases: Vec<String> = definition.aliases.iter().map(|alias| alias.to_lowercase()).collect();
    if !aliases.iter().any(|alias| alias == canonical) {
        aliases.insert(0, canonical.to_owned());
    }
    Some(DetectedRuntime {
        reference: format!("auto.{canonical}"),
        name: definition.name,
        description: definition.description,
        aliases,
        distributions: object(&definition.distributions),
        execution_config: json!(definition.execution_config),
        detection,
    })
}
