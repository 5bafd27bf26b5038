//! Packs in the embedded control plane: their rows, and their files below `packs/`.

use serde_json::json;
use sqlx::{Row, Sqlite, Transaction};

use super::{Embedded, now};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{PackId, Runtime, RuntimeId};
use crate::packs::{ActionManifest, Pack, RuntimeManifest, install_builtin};

impl Embedded {
    /// Brings the built-in packs into a new control plane.
    pub(super) async fn install_builtin_packs(&self) -> Result<()> {
        let packs_dir = self.packs_dir();
        std::fs::create_dir_all(&packs_dir)
            .map_err(|error| Error::new(ErrorKind::System, "cannot create the packs directory").because(error))?;
        for directory in install_builtin(&packs_dir)? {
            self.record(&Pack::read(&directory)?).await?;
        }
        Ok(())
    }

    /// Reads every pack below `packs/` again. A pack that cannot be read keeps the rows it has; its error is returned
    /// beside the others' success.
    pub async fn refresh_packs(&self) -> Result<Vec<Error>> {
        let packs_dir = self.packs_dir();
        let listed = std::fs::read_dir(&packs_dir).and_then(Iterator::collect::<std::io::Result<Vec<_>>>);
        let mut entries = listed
            .map_err(|error| {
                Error::new(ErrorKind::System, format!("cannot list {}", packs_dir.display())).because(error)
            })?
            .into_iter()
            .map(|entry| entry.path())
            // A hidden directory is somebody's unfinished copy.
            .filter(|path| path.is_dir() && !path.file_name().is_some_and(|name| name.as_encoded_bytes()[0] == b'.'))
            .collect::<Vec<_>>();
        entries.sort();
        // The core pack's runtimes come first: other packs' actions refer to them.
        entries.sort_by_key(|path| !path.ends_with("core"));
        let mut errors = Vec::new();
        for directory in entries {
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
            let runtime = action_runtime(action, &runtimes)?;
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

fn action_runtime(action: &ActionManifest, runtimes: &[Runtime]) -> Result<Option<RuntimeId>> {
    let Some(asked) = &action.runtime else { return Ok(None) };
    // An exact reference goes before an alias, which several runtimes may share.
    let exact = runtimes.iter().find(|runtime| runtime.reference == *asked);
    let found = exact.or_else(|| runtimes.iter().find(|runtime| runtime.answers_to(asked)));
    found.map(|runtime| Some(runtime.id)).ok_or_else(|| {
        let known: Vec<_> = runtimes.iter().map(|runtime| runtime.reference.as_str()).collect();
        Error::new(ErrorKind::Invalid, format!("{} asks for an unknown runtime `{asked}`", action.reference))
            .hint(format!("there are: {}", known.join(", ")))
    })
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
