//! Draining: nothing new, what is unclaimed goes to others, what runs ends or is ended, and all of it is said, within the
//! grace period.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::heartbeat::Alarm;
use super::running::Running;
use super::{Shutdown, Worker, take};
use crate::backoff::pause_until;
use crate::control_plane::{Queue, Registry};
use crate::execution::Stop;
use crate::model::WorkerStatus;
use crate::telemetry::health::Phase;

/// The grace period in parts, so that all of a drain fits into it.
#[derive(Debug, Clone, Copy)]
struct Schedule {
    /// What still runs is asked to end.
    stop: Instant,
    /// What still runs is ended.
    kill: Instant,
    /// Nothing is waited for any more.
    end: Instant,
}

impl Schedule {
    fn new(grace: Duration, kill_grace: Duration) -> Self {
        let now = Instant::now();
        let end = now + grace;
        // Kept for writing rows and telling followers.
        let kill = end.checked_sub((grace / 10).min(Duration::from_secs(2))).unwrap_or(now);
        Self { stop: kill.checked_sub(kill_grace.min(grace / 2)).unwrap_or(now), kill, end }
    }
}

impl<R: Registry, Q: Queue> Worker<R, Q> {
    /// Lets executions end within the grace period, then ends them; takes nothing new.
    pub(super) async fn drain(
        &self,
        running: &mut Running,
        order: Shutdown,
        orders: &mut mpsc::Receiver<Shutdown>,
        alarms: &mut mpsc::Receiver<Alarm>,
    ) {
        let grace = self.config.shutdown_timeout;
        let schedule = Schedule::new(grace, self.config.limits.kill_grace);
        self.draining.cancel();
        self.health.enter(Phase::Draining);
        tracing::info!(
            worker = self.id.0,
            running = running.len(),
            grace_s = grace.as_secs_f64(),
            "the worker stops: it takes nothing new and lets running executions end"
        );
        self.step_aside(running, schedule.stop).await;
        self.end_running(running, order, orders, alarms, schedule).await;
        // What was on its way to this worker when it became `busy` has arrived by now.
        within(schedule.end, "unclaimed work could not be handed back", self.queue.retire(self.id)).await;
        let built = async {
            self.workshop.environments.settled().await;
            Ok(())
        };
        within(schedule.end, "a build did not end; others wait until its lease expires", built).await;
        if timeout_at(schedule.end, self.workshop.journal.delivered()).await.is_err() {
            tracing::warn!(
                undelivered = self.workshop.journal.len(),
                "not everything could be delivered within the grace period; the journal keeps it for the next start"
            );
            return;
        }
        // A claim of an earlier life may have come into force after that life was settled. All that this life knows of is
        // delivered by now, so what is still there is such a claim.
        let settle = async {
            self.end_orphans(self.registry.settle(self.id).await?).await;
            Ok(())
        };
        within(schedule.end, "what earlier lives left could not be settled; the next start does it", settle)
            .await;
    }

    async fn step_aside(&self, running: &Running, until: Instant) {
        let busy = self.registry.set_status(self.id, WorkerStatus::Busy);
        within(until, "the worker could not be shown as busy", busy).await;
        // What is not more than prepared can begin elsewhere.
        running.stop_all(Stop::HandBack);
        let retired = self.queue.retire(self.id);
        within(until, "unclaimed work could not be handed back; the next start does it", retired).await;
    }

    async fn end_running(
        &self,
        running: &mut Running,
        order: Shutdown,
        orders: &mut mpsc::Receiver<Shutdown>,
        alarms: &mut mpsc::Receiver<Alarm>,
        schedule: Schedule,
    ) {
        if order == Shutdown::Graceful {
            tokio::select! {
                () = self.until_empty(running, alarms) => return,
                () = pause_until(schedule.stop) => {}
                () = another(orders) => tracing::warn!("told to stop again: running executions are ended now"),
            }
        }
        running.stop_all(Stop::Drain);
        if order == Shutdown::Graceful {
            tokio::select! {
                () = self.until_empty(running, alarms) => return,
                () = pause_until(schedule.kill) => {}
                () = another(orders) => tracing::warn!("told to stop once more: nothing is waited for"),
            }
        }
        running.stop_all(Stop::Kill);
        if timeout_at(schedule.end.max(Instant::now() + LAST), self.until_empty(running, alarms))
            .await
            .is_err()
        {
            tracing::warn!(
                undelivered = running.len(),
                "executions have ended whose outcome could not be written; the journal keeps it for the next start"
            );
            running.abandon();
        }
    }

    async fn until_empty(&self, running: &mut Running, alarms: &mut mpsc::Receiver<Alarm>) {
        loop {
            tokio::select! {
                biased;
                any = running.next_end() => if !any { return },
                Some(alarm) = alarms.recv() => self.heed_alarm(&alarm, running),
                // Somebody may still ask to cancel what is being waited for.
                notice = take::next_notice(&*self.queue, self.id) => self.heed(&notice, running),
            }
        }
    }
}

/// However short the grace period, a process that was killed gets this long to be reaped and reported.
const LAST: Duration = Duration::from_millis(500);

/// Awaits `done` until then; a failure is worth a warning, for the drain goes on.
async fn within(until: Instant, what: &str, done: impl Future<Output = crate::Result<()>>) {
    match timeout_at(until, done).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "{what}"),
        Err(_) => tracing::warn!("{what}: no answer within the grace period"),
    }
}

/// Awaits one more order; for ever, when nobody can give one.
async fn another(orders: &mut mpsc::Receiver<Shutdown>) {
    if orders.recv().await.is_none() {
        std::future::pending::<()>().await;
    }
}
