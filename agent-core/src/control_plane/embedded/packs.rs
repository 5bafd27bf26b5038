//! Packs in the embedded control plane: their rows, and their files below `packs/`.

use std::path::Path;

use serde_json::json;
use sqlx::{Row, Sqlite, Transaction};

use super::{Embedded, now};
use crate::error::{Doing, Error, Result};
use crate::model::{PackId, RuntimeId};
use crate::packs::{
    ActionManifest, Pack, RuntimeManifest, install_builtin, install_pack, pack_directories, resolve_runtime,
};

impl Embedded {
    /// Whether the control plane is new, or whoever made it died before the packs were in.
    pub(super) async fn has_no_packs(&self) -> Result<bool> {
        let row = sqlx::query("SELECT NOT EXISTS (SELECT 1 FROM pack)").fetch_one(self.pool()).await?;
        Ok(row.try_get(0)?)
    }

    /// Brings the built-in packs into a new control plane.
    pub(super) async fn install_builtin_packs(&self) -> Result<()> {
        let packs_dir = self.packs_dir();
        std::fs::create_dir_all(&packs_dir).doing(|| format!("create {}", packs_dir.display()))?;
        for directory in install_builtin(&packs_dir)? {
            self.record(&Pack::read(&directory)?).await?;
        }
        Ok(())
    }

    /// Reads every pack below `packs/` again. A pack that cannot be read keeps the rows it has; its error is returned
    /// beside the others' success.
    pub async fn refresh_packs(&self) -> Result<Vec<Error>> {
        let mut errors = Vec::new();
        for directory in pack_directories(&self.packs_dir())? {
            match Pack::read(&directory) {
                Ok(pack) => {
                    if let Err(error) = self.record(&pack).await {
                        errors.push(error);
                    }
                }
                Err(error) => errors.push(error),
            }
        }
        Ok(errors)
    }

    /// Copies the pack in `source` below `packs/`, in place of an earlier one, and writes its rows.
    pub async fn register_pack(&self, source: &Path) -> Result<Pack> {
        // Read where it is: a pack that cannot be used must not replace one that can.
        let pack = Pack::read(source)?;
        install_pack(source, &self.packs_dir(), &pack)?;
        self.record(&pack).await?;
        self.shared.work.ring()?;
        Ok(pack)
    }

    /// Writes a pack's rows: all of them, or none.
    pub async fn record(&self, pack: &Pack) -> Result<()> {
        let mut transaction = self.pool().begin_with("BEGIN IMMEDIATE").await?;
        let id = record_pack(&mut transaction, pack).await?;
        for runtime in &pack.runtimes {
            record_runtime(&mut transaction, id, pack, runtime).await?;
        }
        let rows = sqlx::query(super::rows::RUNTIMES).fetch_all(&mut *transaction).await?;
        let runtimes = rows.iter().map(super::rows::runtime).collect::<Result<Vec<_>>>()?;
        for action in &pack.actions {
            let runtime = resolve_runtime(action, &runtimes)?;
            record_action(&mut transaction, id, pack, action, runtime).await?;
        }
        let kept: Vec<&str> = pack.actions.iter().map(|action| action.reference.as_str()).collect();
        sqlx::query("DELETE FROM action WHERE pack = ? AND ref NOT IN (SELECT value FROM json_each(?))")
            .bind(id.0)
            .bind(json!(kept).to_string())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(())
    }
}

async fn record_pack(transaction: &mut Transaction<'_, Sqlite>, pack: &Pack) -> Result<PackId> {
    let manifest = &pack.manifest;
    let row = sqlx::query(
        "INSERT INTO pack (ref, label, description, version, created, updated) VALUES (?1, ?2, ?3, ?4, ?5, ?5) \
         ON CONFLICT (ref) DO UPDATE SET label = ?2, description = ?3, version = ?4, updated = ?5 RETURNING id",
    )
    .bind(manifest.reference.as_str())
    .bind(&manifest.label)
    .bind(&manifest.description)
    .bind(&manifest.version)
    .bind(now())
    .fetch_one(&mut **transaction)
    .await?;
    Ok(PackId(row.try_get("id")?))
}

async fn record_runtime(
    transaction: &mut Transaction<'_, Sqlite>,
    id: PackId,
    pack: &Pack,
    runtime: &RuntimeManifest,
) -> Result<()> {
    let row = sqlx::query(
        "INSERT INTO runtime (ref, pack, pack_ref, description, name, aliases, distributions, execution_config, \
         created, updated) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9) ON CONFLICT (ref) DO UPDATE SET \
         pack = ?2, pack_ref = ?3, description = ?4, name = ?5, aliases = ?6, distributions = ?7, \
         execution_config = ?8, updated = ?9 RETURNING id",
    )
    .bind(runtime.reference.as_str())
    .bind(id.0)
    .bind(pack.manifest.reference.as_str())
    .bind(&runtime.description)
    .bind(&runtime.name)
    .bind(json!(runtime.aliases).to_string())
    .bind(runtime.distributions.to_string())
    .bind(json!(runtime.execution_config).to_string())
    .bind(now())
    .fetch_one(&mut **transaction)
    .await?;
    let runtime_id: i64 = row.try_get("id")?;
    for version in &runtime.versions {
        sqlx::query(
            "INSERT INTO runtime_version (runtime, runtime_ref, version, execution_config, distributions, is_default, \
             created, updated) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7) ON CONFLICT (runtime, version) DO UPDATE SET \
             execution_config = ?4, distributions = ?5, is_default = ?6, updated = ?7",
        )
        .bind(runtime_id)
        .bind(runtime.reference.as_str())
        .bind(&version.version)
        .bind(json!(version.execution_config).to_string())
        .bind(version.distributions.to_string())
        .bind(version.is_default)
        .bind(now())
        .execute(&mut **transaction)
        .await?;
    }
    Ok(())
}

async fn record_action(
    transaction: &mut Transaction<'_, Sqlite>,
    id: PackId,
    pack: &Pack,
    action: &ActionManifest,
    runtime: Option<RuntimeId>,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO action (ref, pack, pack_ref, label, description, entrypoint, runtime, param_schema, out_schema, \
         parameter_delivery, parameter_format, output_format, timeout_seconds, runtime_version_constraint, \
         required_worker_runtimes, created, updated) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?16) \
         ON CONFLICT (ref) DO UPDATE SET pack = ?2, pack_ref = ?3, label = ?4, description = ?5, entrypoint = ?6, \
         runtime = ?7, param_schema = ?8, out_schema = ?9, parameter_delivery = ?10, parameter_format = ?11, \
         output_format = ?12, timeout_seconds = ?13, runtime_version_constraint = ?14, \
         required_worker_runtimes = ?15, updated = ?16",
    )
    .bind(action.reference.as_str())
    .bind(id.0)
    .bind(pack.manifest.reference.as_str())
    .bind(&action.label)
    .bind(&action.description)
    .bind(&action.entrypoint)
    .bind(runtime.map(|id| id.0))
    .bind(json!(action.parameters).to_string())
    .bind(json!(action.output).to_string())
    .bind(action.parameter_delivery.as_str())
    .bind(action.parameter_format.as_str())
    .bind(action.output_format.as_str())
    .bind(action.timeout_seconds)
    .bind(&action.runtime_version_constraint)
    .bind(json!(action.required_worker_runtimes).to_string())
    .bind(now())
    .execute(&mut **transaction)
    .await?;
    Ok(())
}
