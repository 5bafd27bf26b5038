//! Executions that nobody has, found by their rows and asked for again.
//!
//! Two kinds strand. A request that no worker could take was rejected by the executor, which forgets it (CONTRACT §11):
//! `requested`. And what was scheduled for a worker that is gone: `scheduled`, with a dispatch that nobody will take
//! or with none. Every worker that takes work looks for both: at once when it starts, a moment later for what was too
//! young by then, and now and then for as long as it lives.
//!
//! A row counts as in nobody's hands when nothing has touched it for a moment and its executor has answered every
//! request that it was sent. Asking touches the row, in the same statement that looks at its age: of two workers that look
//! at the same time one asks.

use std::sync::LazyLock;

use sqlx::postgres::PgRow;

use super::hand_back::{REQUEST, request};
use super::placement::{NEEDS, NEEDS_FROM, Needs, Offer};
use super::{Attune, rows};
use crate::control_plane::{Look, Record};
use crate::error::Result;
use crate::model::{ExecutionId, ExecutionStatus, WorkerId};

/// A row that was touched less long ago than this many seconds is in somebody's hands.
pub(super) const MOMENT_S: f64 = 10.0;

/// How many rows are looked at together, and how often in one look.
const PAGE: i64 = 200;
const PAGES: usize = 25;

/// The worker that looks, if the scheduler would give it anything.
const OWN_OFFER: &str =
    "SELECT capabilities FROM worker WHERE id = $1 AND status = 'active' AND NOT cordoned";

/// That a worker `w` is gone for the scheduler, or that there is none.
const IS_GONE: &str = "(w.id IS NULL OR w.status <> 'active' \
    OR coalesce(w.last_heartbeat < now() - interval '90 seconds', true))";

/// That a row is old enough: untouched for a moment, and but for a worker that has just started, for as long as it had lived
/// by then, up to five minutes. So one that an executor has good reason to leave alone is not asked for all the time.
const IS_OLD: &str = "e.updated < now() - make_interval(secs => $2) \
    AND ($3 OR e.updated < now() - least(e.updated - e.created, interval '5 minutes'))";

/// What may be stranded, as [`NEEDS`]: not what a workflow is made of, nor what waits for the time of its next try. What is
/// open is found first, by its state: in the order of numbers, a server might read all that ever ran.
static CANDIDATES: LazyLock<String> = LazyLock::new(|| {
    format!(
        "WITH open AS MATERIALIZED (SELECT e.id FROM execution e WHERE e.status IN ('requested', 'scheduled') \
           AND e.id > $4 AND {IS_OLD}) \
         SELECT {NEEDS}, e.status::text AS status, e.worker FROM {NEEDS_FROM} \
         JOIN open ON open.id = e.id \
         LEFT JOIN worker w ON w.id = e.worker \
         WHERE e.workflow_def IS NULL AND a.workflow_def IS NULL \
         AND coalesce((e.workflow_task ->> 'next_retry_at')::timestamptz <= now(), true) \
         AND (e.status = 'requested' OR (e.status = 'scheduled' AND ({IS_GONE} OR e.worker = $1))) \
         ORDER BY e.id LIMIT {PAGE}"
    )
});

/// Takes what is still as it was found out of whoever's hands it was in, and touches it.
static TAKE_UP: LazyLock<String> = LazyLock::new(|| {
    format!(
        "UPDATE execution e SET status = 'requested', worker = NULL, started_at = NULL \
         WHERE e.id = ANY($4) AND {IS_OLD} AND (e.status = 'requested' OR (e.status = 'scheduled' \
           AND (e.worker = $1 OR NOT EXISTS (SELECT FROM worker w WHERE w.id = e.worker AND NOT {IS_GONE})))) \
         RETURNING {REQUEST}"
    )
});

/// A row that may be stranded.
struct Candidate {
    needs: Needs,
    status: ExecutionStatus,
    worker: Option<WorkerId>,
}

impl Attune {
    /// Asks again for what nobody has and `worker` could run.
    pub(super) async fn ask_again(&self, worker: WorkerId, look: Look) -> Result<()> {
        if look.has_just_started {
            self.finish_handing_back(worker).await?;
        }
        let row = self
            .database()
            .run(move |connection| Box::pin(sqlx::query(OWN_OFFER).bind(worker.0).fetch_optional(connection)))
            .await?;
        let Some(row) = row else { return Ok(()) };
        let offer = Offer::new(worker, rows::json(&row, "capabilities")?);
        let mut after = 0;
        for _ in 0..PAGES {
            let page = self.candidates(worker, look, after).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.needs.execution.0;
            let is_last = i64::try_from(page.len()).is_ok_and(|found| found < PAGE);
            let stranded = self.only_stranded(worker, look, &offer, page).await?;
            self.take_up(worker, look, stranded).await?;
            if is_last {
                return Ok(());
            }
        }
        Ok(())
    }

    /// What an earlier life of this worker was handing back. It has waited until there is a worker that can have it: this one.
    async fn finish_handing_back(&self, worker: WorkerId) -> Result<()> {
        for (entry, executions) in self.shared.journal.hand_backs() {
            self.offer(worker, &executions, None).await?;
            entry.forget();
        }
        Ok(())
    }

    async fn candidates(&self, worker: WorkerId, look: Look, after: i64) -> Result<Vec<Candidate>> {
        let rows = self
            .database()
            .run(move |connection| {
                let find = sqlx::query(CANDIDATES.as_str()).bind(worker.0).bind(MOMENT_S);
                Box::pin(find.bind(look.has_just_started).bind(after).fetch_all(connection))
            })
            .await?;
        let candidate = |row: &PgRow| {
            Ok(Candidate {
                needs: Needs::read(row)?,
                status: rows::status(row, "status")?,
                worker: rows::get::<Option<i64>>(row, "worker")?.map(WorkerId),
            })
        };
        rows.iter().map(candidate).collect()
    }

    /// Those that this worker could run and that are in nobody's hands.
    async fn only_stranded(
        &self,
        worker: WorkerId,
        look: Look,
        offer: &Offer,
        mut page: Vec<Candidate>,
    ) -> Result<Vec<Candidate>> {
        page.retain(|candidate| candidate.needs.are_met_by(offer));
        let is_own = |candidate: &Candidate| candidate.worker == Some(worker);
        // A dispatch of this worker's own is under way as long as one waits in its queue, or waits for room.
        if page.iter().any(is_own) && !(look.has_room && self.shared.broker.has_no_dispatch(worker).await?) {
            page.retain(|candidate| !is_own(candidate));
        }
        let is_requested = |candidate: &Candidate| candidate.status == ExecutionStatus::Requested;
        if page.iter().any(is_requested) && !self.shared.broker.has_no_request().await? {
            page.retain(|candidate| !is_requested(candidate));
        }
        Ok(page)
    }

    async fn take_up(&self, worker: WorkerId, look: Look, stranded: Vec<Candidate>) -> Result<()> {
        if stranded.is_empty() {
            return Ok(());
        }
        let executions: Vec<_> = stranded.iter().map(|candidate| candidate.needs.execution).collect();
        let entry = self.shared.journal.write(&Record::HandBack(executions.clone()));
        let ids: Vec<i64> = executions.iter().map(|ExecutionId(id)| *id).collect();
        let rows = self
            .database()
            .run(move |connection| {
                let take_up = sqlx::query(TAKE_UP.as_str()).bind(worker.0).bind(MOMENT_S);
                Box::pin(take_up.bind(look.has_just_started).bind(ids).fetch_all(connection))
            })
            .await?;
        let mut requests = rows.iter().map(request).collect::<Result<Vec<_>>>()?;
        requests.sort_by_key(|request| request.execution);
        if !requests.is_empty() {
            tracing::warn!(
                worker = worker.0,
                executions = requests.len(),
                first = requests[0].execution.0,
                "executions that no worker had are asked for again"
            );
        }
        self.publish_requests(&requests).await?;
        entry.forget();
        self.remove_queues_of_the_gone(worker, &stranded).await;
        Ok(())
    }

    /// Whoever is gone may never come back, and its queues would stay for ever.
    async fn remove_queues_of_the_gone(&self, worker: WorkerId, stranded: &[Candidate]) {
        let mut gone: Vec<_> = stranded.iter().filter_map(|candidate| candidate.worker).collect();
        gone.sort_unstable();
        gone.dedup();
        for gone in gone.into_iter().filter(|gone| *gone != worker) {
            let still_scheduled = self
                .database()
                .run(move |connection| {
                    let any =
                        "SELECT EXISTS (SELECT FROM execution WHERE worker = $1 AND status = 'scheduled')";
                    Box::pin(sqlx::query_scalar::<_, bool>(any).bind(gone.0).fetch_one(connection))
                })
                .await;
            let removed = match still_scheduled {
                Ok(true) => continue,
                Ok(false) => self.shared.broker.remove_unused(gone).await,
                Err(error) => Err(error),
            };
            if let Err(error) = removed {
                tracing::debug!(worker = gone.0, %error, "the queues of a worker that is gone are left");
            }
        }
    }
}
