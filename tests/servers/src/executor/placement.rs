//! Which workers may have an execution, as far as tests make a difference: runtimes, labels, taints, state, heartbeat
//! (CONTRACT §1.3.3, without versions and affinity).

use serde_json::{Map, Value};
use sqlx::types::Json;
use sqlx::{PgPool, Row};

/// What an execution asks for.
#[derive(Debug)]
pub(super) struct Needs {
    /// Any one of these names, in lower case; without any, every worker will do.
    runtime: Vec<String>,
    selector: Map<String, Value>,
    tolerations: Vec<Value>,
}

/// A worker.
#[derive(Debug)]
pub(super) struct Candidate {
    id: i64,
    capabilities: Value,
    is_active: bool,
    is_fresh: bool,
}

/// What comes of a request.
#[derive(Debug)]
pub(super) enum Verdict {
    /// The execution fails at once.
    Fails(&'static str),
    /// Nobody can have it now.
    Nobody,
    /// One of these.
    Workers(Vec<i64>),
}

impl Needs {
    /// Those of an execution that is `requested`; `None` for any other.
    pub(super) async fn of(execution: i64, pool: &PgPool) -> sqlx::Result<Option<Self>> {
        let row = sqlx::query(
            "SELECT r.name, r.aliases, coalesce(e.worker_selector, a.worker_selector, '{}') AS selector, \
             coalesce(e.worker_tolerations, a.worker_tolerations, '[]') AS tolerations FROM execution e \
             LEFT JOIN action a ON a.id = e.action LEFT JOIN runtime r ON r.id = a.runtime \
             WHERE e.id = $1 AND e.status = 'requested'",
        );
        let Some(row) = row.bind(execution).fetch_optional(pool).await? else { return Ok(None) };
        let mut runtime: Vec<String> = row.try_get::<Option<_>, _>("aliases")?.unwrap_or_default();
        runtime.extend(row.try_get::<Option<String>, _>("name")?.map(|name| name.to_lowercase()));
        let Json(selector) = row.try_get("selector")?;
        let Json(tolerations) = row.try_get("tolerations")?;
        Ok(Some(Self { runtime, selector, tolerations }))
    }

    pub(super) fn judge(&self, candidates: &[Candidate]) -> Verdict {
        if candidates.is_empty() {
            return Verdict::Fails("No action workers available");
        }
        let compatible: Vec<_> = candidates.iter().filter(|worker| self.are_met_by(worker)).collect();
        if compatible.is_empty() {
            return Verdict::Fails("No compatible workers available");
        }
        let active: Vec<_> = compatible.into_iter().filter(|worker| worker.is_active).collect();
        if active.is_empty() {
            return Verdict::Nobody;
        }
        let fresh: Vec<_> = active.iter().filter(|worker| worker.is_fresh).map(|worker| worker.id).collect();
        if fresh.is_empty() {
            Verdict::Fails("No workers with fresh heartbeats")
        } else {
            Verdict::Workers(fresh)
        }
    }

    fn are_met_by(&self, worker: &Candidate) -> bool {
        let list = |key: &str| worker.capabilities[key].as_array().cloned().unwrap_or_default();
        let runs = self.runtime.is_empty()
            || list("runtimes").iter().any(|name| self.runtime.iter().any(|wanted| name == wanted));
        let is_selected =
            self.selector.iter().all(|(label, value)| worker.capabilities["labels"][label] == *value);
        let is_tolerated = list("taints").iter().all(|taint| {
            taint["effect"] == "prefer_no_schedule"
                || self.tolerations.iter().any(|toleration| {
                    toleration["key"] == taint["key"]
                        && (toleration["operator"] == "exists" || toleration["value"] == taint["value"])
                })
        });
        runs && is_selected && is_tolerated
    }
}

impl Candidate {
    pub(super) async fn all(pool: &PgPool) -> sqlx::Result<Vec<Self>> {
        let rows = sqlx::query(
            "SELECT id, coalesce(capabilities, '{}') AS capabilities, status = 'active' AND NOT cordoned AS active, \
             coalesce(last_heartbeat BETWEEN now() - interval '90 seconds' AND now(), false) AS fresh FROM worker \
             WHERE worker_role = 'action' ORDER BY id",
        );
        let read = |row: &sqlx::postgres::PgRow| {
            let Json(capabilities) = row.try_get("capabilities")?;
            let (is_active, is_fresh) = (row.try_get("active")?, row.try_get("fresh")?);
            Ok(Self { id: row.try_get("id")?, capabilities, is_active, is_fresh })
        };
        rows.fetch_all(pool).await?.iter().map(read).collect()
    }
}
