//! Rows of `pack_environment`: who builds an environment, and what came of it (CONTRACT §1.12).
//!
//! There is one row for a pack, a runtime and a declared version, but each kind of image, and each volume, has an
//! environment of its own. So a row's lease is worth something only for one environment at a time: whoever wants another
//! one builds without, and writes into `metadata.environments` what came of it.

use std::sync::LazyLock;

use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use sqlx::types::Json;

use super::{Attune, rows};
use crate::control_plane::{Built, EnvironmentLeases, Lease, LeaseReply, LeaseRequest};
use crate::error::Result;
use crate::model::{PackRef, Runtime};

/// How long a lease lasts without being renewed.
const LEASE: &str = "interval '300 seconds'";

const INSERT: &str = "INSERT INTO pack_environment \
    (pack, pack_ref, runtime, runtime_ref, runtime_version, runtime_version_text, env_path) \
    SELECT p.id, p.ref, r.id, r.ref, $3, $4, $5 FROM pack p, runtime r WHERE p.ref = $1 AND r.id = $2 \
    ON CONFLICT (env_key) DO NOTHING";

/// The row that a request is about, by its three parameters.
const ROW: &str = "pack_ref = $1 AND runtime = $2 AND runtime_version IS NOT DISTINCT FROM $3";

/// A row's metadata, whatever somebody wrote there.
const METADATA: &str = "CASE jsonb_typeof(metadata) WHEN 'object' THEN metadata ELSE '{}' END";

/// What another agent has built is its own, and stays as it is.
static ACQUIRE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "UPDATE pack_environment SET status = 'installing', claimed_by_worker = $4, \
         claim_expires_at = now() + {LEASE}, env_path = $5, manifest_checksum = $6, install_error = NULL, \
         metadata = {METADATA} || jsonb_build_object('agent', $7::jsonb), updated = now() \
         WHERE {ROW} AND (status <> 'ready' OR {METADATA} ? 'agent') \
           AND (status <> 'installing' OR claim_expires_at IS NULL OR claim_expires_at < now() \
             OR metadata -> 'agent' ->> 'holder' = $8) \
         RETURNING id"
    )
});

static HELD: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT status = 'installing' AND metadata -> 'agent' ->> 'path' = $4 \
           AND metadata -> 'agent' ->> 'volume' = $5 AS held FROM pack_environment WHERE {ROW}"
    )
});

static RENEW: LazyLock<String> = LazyLock::new(|| {
    format!(
        "UPDATE pack_environment SET claim_expires_at = now() + {LEASE}, updated = now() \
         WHERE id = $1 AND status = 'installing' AND metadata -> 'agent' ->> 'holder' = $2"
    )
});

const SETTLE: &str = "UPDATE pack_environment SET status = $3::text::pack_environment_status_enum, \
    claimed_by_worker = NULL, claim_expires_at = NULL, install_log = $4, install_error = $5, \
    installed_at = CASE $3::text WHEN 'ready' THEN now() ELSE installed_at END, \
    last_verified = CASE $3::text WHEN 'ready' THEN now() ELSE last_verified END, updated = now() \
    WHERE id = $1 AND status = 'installing' AND metadata -> 'agent' ->> 'holder' = $2";

static NOTE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "UPDATE pack_environment SET metadata = jsonb_set({METADATA}, '{{environments}}', \
         coalesce({METADATA} -> 'environments', '{{}}') || jsonb_build_object($4::text, $5::jsonb)), \
         updated = now() WHERE {ROW}"
    )
});

/// By name, or by the extension of the entry point where an action names none.
static RUNTIMES: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {} AS runtime FROM runtime r WHERE EXISTS (SELECT FROM action a WHERE a.pack_ref = $1 \
         AND (a.runtime = r.id OR (a.runtime IS NULL AND lower(a.entrypoint) LIKE \
           '%' || lower(nullif(r.execution_config #>> '{{interpreter,file_extension}}', ''))))) ORDER BY r.ref",
        rows::RUNTIME
    )
});

impl EnvironmentLeases for Attune {
    fn acquire<'a>(&'a self, request: &'a LeaseRequest) -> BoxFuture<'a, Result<LeaseReply>> {
        Box::pin(self.acquire_lease(request))
    }

    fn renew<'a>(&'a self, lease: &'a Lease) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async move {
            let Lease { row, holder } = lease.clone();
            let renewed = self
                .database()
                .run(move |connection| {
                    Box::pin(sqlx::query(RENEW.as_str()).bind(row).bind(holder).execute(connection))
                })
                .await?;
            Ok(renewed.rows_affected() == 1)
        })
    }

    fn settle<'a>(
        &'a self,
        lease: Option<&'a Lease>,
        request: &'a LeaseRequest,
        built: &'a Built,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            if let Some(lease) = lease {
                self.settle_lease(lease.clone(), built).await?;
            }
            match &built.result {
                Some(result) => self.note(request, result.as_ref().err()).await,
                None => Ok(()),
            }
        })
    }

    fn runtimes_of<'a>(&'a self, pack: &'a PackRef) -> BoxFuture<'a, Result<Vec<Runtime>>> {
        Box::pin(async move {
            let pack = pack.as_str().to_owned();
            let found = self
                .database()
                .run(move |connection| {
                    Box::pin(sqlx::query(RUNTIMES.as_str()).bind(pack).fetch_all(connection))
                })
                .await?;
            let runtimes = found.iter().map(|row| rows::json(row, "runtime")).collect::<Result<Vec<_>>>()?;
            Ok(runtimes.iter().flatten().filter_map(rows::runtime).collect())
        })
    }
}

impl Attune {
    async fn acquire_lease(&self, request: &LeaseRequest) -> Result<LeaseReply> {
        let Some(worker) = self.database().identity().await else { return Ok(LeaseReply::Unleased) };
        let (pack, runtime, version, version_text) = key(request);
        let path = request.path.display().to_string();
        let agent = json!({"holder": request.holder, "path": path, "volume": request.volume,
            "host": crate::config::hostname(), "agent_version": crate::VERSION});
        let (checksum, predecessor) = (request.checksum.clone(), request.predecessor.clone());
        let volume = request.volume.clone();
        self.database()
            .run(move |connection| {
                Box::pin(async move {
                    sqlx::query(INSERT)
                        .bind(&pack)
                        .bind(runtime)
                        .bind(version)
                        .bind(version_text)
                        .bind(&path)
                        .execute(&mut *connection)
                        .await?;
                    let acquired: Option<i64> = sqlx::query_scalar(ACQUIRE.as_str())
                        .bind(&pack)
                        .bind(runtime)
                        .bind(version)
                        .bind(worker.0)
                        .bind(&path)
                        .bind(checksum)
                        .bind(Json(&agent))
                        .bind(predecessor)
                        .fetch_optional(&mut *connection)
                        .await?;
                    if let Some(row) = acquired {
                        let holder = agent["holder"].as_str().unwrap_or_default().to_owned();
                        return Ok(LeaseReply::Granted(Lease { row, holder }));
                    }
                    let held: Option<Option<bool>> = sqlx::query_scalar(HELD.as_str())
                        .bind(pack)
                        .bind(runtime)
                        .bind(version)
                        .bind(path)
                        .bind(volume)
                        .fetch_optional(connection)
                        .await?;
                    let held = held.flatten().unwrap_or(false);
                    Ok(if held { LeaseReply::Held } else { LeaseReply::Unleased })
                })
            })
            .await
    }

    async fn settle_lease(&self, lease: Lease, built: &Built) -> Result<()> {
        let (status, error) = match &built.result {
            Some(Ok(())) => ("ready", None),
            Some(Err(error)) => ("failed", Some(without_nul(error))),
            None => ("pending", None),
        };
        let log = without_nul(&built.log);
        self.database()
            .run(move |connection| {
                let settle = sqlx::query(SETTLE).bind(lease.row).bind(lease.holder).bind(status);
                Box::pin(settle.bind(log).bind(error).execute(connection))
            })
            .await?;
        Ok(())
    }

    /// Writes what became of one kind of environment beside the others.
    async fn note(&self, request: &LeaseRequest, error: Option<&String>) -> Result<()> {
        let (pack, runtime, version, _) = key(request);
        let facts = json!({
            "path": request.path,
            "volume": request.volume,
            "checksum": request.checksum,
            "status": if error.is_some() { "failed" } else { "ready" },
            "error": error.map(|error| without_nul(error)),
            "at": self.now().to_string(),
        });
        let kind = format!("{} on {}", request.kind, request.volume);
        self.database()
            .run(move |connection| {
                let note = sqlx::query(NOTE.as_str()).bind(pack).bind(runtime).bind(version).bind(kind);
                Box::pin(note.bind(Json::<Value>(facts)).execute(connection))
            })
            .await?;
        Ok(())
    }
}

fn key(request: &LeaseRequest) -> (String, i64, Option<i64>, Option<String>) {
    let version = request.version.as_ref();
    (
        request.pack.as_str().to_owned(),
        request.runtime.0,
        version.map(|(id, _)| id.0),
        version.map(|(_, text)| text.clone()),
    )
}

/// Text columns cannot hold NUL.
fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}
