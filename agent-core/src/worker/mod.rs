//! How a worker lives and dies: start, register, heartbeat, take, drain, stop.
//!
//! ```text
//! register (not active) → replay → settle → declare queues → active → take and run … → told to stop →
//! busy, nothing new, unclaimed work handed back → executions end, or are ended → inactive
//! ```

mod capabilities;
mod drain;
mod heartbeat;
mod held;
mod notices;
mod oversight;
mod running;
mod take;
mod work_dir;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub use capabilities::{Offer, available, capabilities};
pub use work_dir::{WorkDir, work_directories};

use self::heartbeat::{Alarm, Rhythm};
use self::held::Held;
use self::running::Running;
use crate::backoff::until_available;
use crate::config::WorkerConfig;
use crate::control_plane::{Orphan, Queue, Record, Registry};
use crate::error::{Error, Result};
use crate::execution::{self, Stop, Workshop};
use crate::model::{ExecutionStatus, Registration, WorkerId, WorkerStatus};
use crate::telemetry::health::{Health, Phase};

/// How long the last files of executions that have ended may take to arrive.
const LAST_FILES: Duration = Duration::from_secs(2);

/// A worker that is registered and has not begun to take work.
#[derive(Debug)]
pub struct Worker<R, Q> {
    id: WorkerId,
    config: WorkerConfig,
    registry: Arc<R>,
    queue: Arc<Q>,
    workshop: Arc<Workshop>,
    registration: Registration,
    /// Cancelled once nothing new is to be claimed.
    draining: CancellationToken,
    /// The claims of this life.
    held: Held,
    health: Health,
}

/// How somebody outside tells a worker to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shutdown {
    /// Let running executions end within the grace period.
    Graceful,
    /// End them now.
    Now,
}

/// Why a worker stops taking work.
enum End {
    Told(Shutdown),
    /// Somebody else has become this worker.
    Replaced(Error),
}

impl<R: Registry, Q: Queue> Worker<R, Q> {
    /// Registers the worker, delivers what an earlier life could not, and settles what it left behind. It is not active
    /// yet.
    pub async fn start(
        config: WorkerConfig,
        registry: Arc<R>,
        queue: Arc<Q>,
        workshop: Arc<Workshop>,
        health: Health,
    ) -> Result<Self> {
        let offer = capabilities(&workshop.interpreters, &config);
        for missing in &offer.missing {
            tracing::warn!(
                runtime = missing,
                "a runtime that this worker was told to offer is not in this container and is not offered"
            );
        }
        if workshop.interpreters.runtimes.is_empty() {
            tracing::warn!(
                hint = "`attune-agent probe` tells where it looked; native actions need no interpreter",
                "there is no interpreter in this container: the worker offers native actions only"
            );
        }
        let registration = Registration {
            name: config.name.clone(),
            worker_type: config.worker_type,
            runtime: config.runtime,
            host: config.host.clone(),
            port: config.port,
            capabilities: offer.capabilities,
            missing_runtimes: offer.missing,
        };
        let id = until_available("the worker could not be registered", || registry.register(&registration))
            .await?;
        workshop.artifacts.identify(id);
        if let Some(packs) = &workshop.remote_packs {
            packs.complete(id).await;
        }
        let draining = CancellationToken::new();
        let held = Held::default();
        let worker = Self { id, config, registry, queue, workshop, registration, draining, held, health };
        worker.take_over().await?;
        Ok(worker)
    }

    /// The worker's row.
    pub const fn id(&self) -> WorkerId {
        self.id
    }

    /// Delivers what the journal holds, then reports what was claimed and never ended.
    async fn take_over(&self) -> Result<()> {
        let (registry, queue, journal) = (&*self.registry, &*self.queue, &self.workshop.journal);
        for (entry, record) in journal.left() {
            match record {
                Record::Ending(ending) => {
                    tracing::info!(
                        execution = ending.key.execution.0,
                        "an earlier life could not deliver an outcome"
                    );
                    execution::deliver(ending, entry, journal, registry, queue).await;
                }
                Record::OwnFiles(own) => self.workshop.artifacts.resume(own, entry),
                // What was to be handed back is the queue's to finish, when it is declared.
                Record::HandBack(_) => {}
            }
        }
        let orphans =
            until_available("earlier lives could not be settled", || registry.settle(self.id)).await?;
        self.end_orphans(orphans).await;
        Ok(())
    }

    /// Ends what earlier lives of this worker had claimed.
    async fn end_orphans(&self, orphans: Vec<Orphan>) {
        let (registry, queue, journal) = (&*self.registry, &*self.queue, &self.workshop.journal);
        for orphan in orphans.into_iter().filter(|orphan| !self.held.holds(&orphan.key)) {
            tracing::warn!(execution = orphan.key.execution.0, was = %orphan.status,
                "an earlier life of this worker left this execution behind");
            execution::report(orphan.ending(), journal, registry, queue).await;
        }
    }

    /// Takes and runs work until the first order to stop, or until nobody can give one any more, then drains. A second
    /// order hurries the drain, a third ends what is left at once.
    ///
    /// # Errors
    /// Where the control plane refuses the worker, or somebody else has become it.
    pub async fn run(self, mut orders: mpsc::Receiver<Shutdown>) -> Result<()> {
        until_available("the worker's queues could not be declared", || self.queue.declare(self.id)).await?;
        let active = || self.registry.set_status(self.id, WorkerStatus::Active);
        until_available("the worker could not be shown as active", active).await?;
        self.health.enter(Phase::Working);
        tracing::info!(worker = self.id.0, name = %self.config.name,
            runtimes = ?self.registration.capabilities.runtimes, "the worker takes work");
        self.workshop.environments.tidy();
        let rhythm = Rhythm { period: self.config.heartbeat, patience: self.config.fencing_timeout };
        let (alarm, mut alarms) = mpsc::channel(4);
        let heartbeat =
            heartbeat::start(self.id, Arc::clone(&self.registry), rhythm, self.health.clone(), alarm.clone());
        let (held, registry, room) =
            (self.held.clone(), Arc::clone(&self.registry), self.config.max_concurrent);
        let watching = tokio::spawn(oversight::watch_claims(self.id, registry, held, rhythm.period, alarm));
        let (held, queue) = (self.held.clone(), Arc::clone(&self.queue));
        tokio::spawn(oversight::rescue(self.id, queue, held, room, self.draining.clone()));
        let mut running = Running::new(self.config.max_concurrent);
        let end = self.work(&mut running, &mut orders, &mut alarms).await;
        let order = match &end {
            End::Told(order) => *order,
            End::Replaced(_) => Shutdown::Now,
        };
        self.drain(&mut running, order, &mut orders, &mut alarms).await;
        self.workshop.artifacts.settled(LAST_FILES).await;
        heartbeat.abort();
        watching.abort();
        if let End::Replaced(error) = end {
            return Err(error);
        }
        self.registry.set_status(self.id, WorkerStatus::Inactive).await?;
        if let Err(error) = self.queue.leave(self.id).await {
            tracing::warn!(%error, "the worker's queues could not be removed");
        }
        tracing::info!(worker = self.id.0, "the worker has stopped");
        Ok(())
    }

    /// Until told to stop.
    async fn work(
        &self,
        running: &mut Running,
        orders: &mut mpsc::Receiver<Shutdown>,
        alarms: &mut mpsc::Receiver<Alarm>,
    ) -> End {
        loop {
            // A full worker takes nothing: what it does not hold, another can have.
            let room = running.has_room();
            tokio::select! {
                biased;
                order = orders.recv() => return End::Told(order.unwrap_or(Shutdown::Graceful)),
                Some(alarm) = alarms.recv() => match alarm {
                    Alarm::Replaced(error) => {
                        tracing::error!(%error, "somebody else has become this worker: it stops what it runs");
                        running.stop_all(Stop::Fence);
                        return End::Replaced(error);
                    }
                    alarm => self.heed_alarm(&alarm, running),
                },
                true = running.next_end() => {}
                notice = take::next_notice(&*self.queue, self.id) => self.heed(&notice, running),
                delivery = take::next_dispatch(&*self.queue, self.id), if room => self.take(delivery, running),
            }
        }
    }

    /// Stops what the control plane has given up, or ended itself, so that it cannot run beside another attempt.
    fn heed_alarm(&self, alarm: &Alarm, running: &Running) {
        let patience = match alarm {
            Alarm::CutOff(patience) => *patience,
            Alarm::Replaced(_) => self.config.fencing_timeout,
            Alarm::Superseded(executions) => {
                for (execution, status) in executions {
                    tracing::debug!(
                        execution = execution.0,
                        status = status.map(ExecutionStatus::as_str),
                        "the row of an execution is not this worker's any more"
                    );
                    // One that has just ended by itself is not stopped by this.
                    let cancelled = *status == Some(ExecutionStatus::Cancelled);
                    running.stop(*execution, if cancelled { Stop::Cancel } else { Stop::Fence });
                }
                return;
            }
        };
        tracing::error!(
            worker = self.id.0,
            running = running.len(),
            patience_s = patience.as_secs_f64(),
            "the worker is cut off from its database for too long: it stops what it runs"
        );
        running.stop_all(Stop::Fence);
    }
}
