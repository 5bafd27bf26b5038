//! How a worker lives and dies: start, register, heartbeat, take, drain, stop.
//!
//! ```text
//! register (not active) → settle → declare queues → active → take and run … → told to stop →
//! busy, nothing new, unclaimed work handed back → executions end, or are ended → inactive
//! ```

mod capabilities;
mod heartbeat;
mod running;
mod take;

use std::future::Future;
use std::sync::Arc;

use tokio::time::timeout;

pub use capabilities::capabilities;

use self::running::Running;
use crate::config::{WorkerConfig, hostname};
use crate::control_plane::{Notice, Queue, Registry};
use crate::error::Result;
use crate::execution::{Stop, Workshop};
use crate::model::{Registration, WorkerId, WorkerStatus};

/// A worker that is registered and has not begun to take work.
#[derive(Debug)]
pub struct Worker<R, Q> {
    id: WorkerId,
    config: WorkerConfig,
    registry: Arc<R>,
    queue: Arc<Q>,
    workshop: Arc<Workshop>,
}

/// How somebody outside tells a worker to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shutdown {
    /// Let running executions end within the grace period.
    Graceful,
    /// End them now.
    Now,
}

impl<R: Registry, Q: Queue> Worker<R, Q> {
    /// Registers the worker and settles what an earlier life left behind. It is not active yet.
    pub async fn start(config: WorkerConfig, registry: Arc<R>, queue: Arc<Q>, workshop: Arc<Workshop>) -> Result<Self> {
        let registration = Registration {
            name: config.name.clone(),
            worker_type: config.worker_type,
            host: hostname(),
            capabilities: capabilities(&workshop.interpreters, config.max_concurrent),
        };
        let id = registry.register(&registration).await?;
        for settled in registry.settle(id).await? {
            tracing::warn!(execution = settled.execution.0, was = %settled.before, now = %settled.after,
                "an earlier life of a worker left this execution behind");
        }
        Ok(Self { id, config, registry, queue, workshop })
    }

    /// The worker's row.
    pub const fn id(&self) -> WorkerId {
        self.id
    }

    /// Takes and runs work until told to stop, then drains. `shutdown` is asked again while draining: a second
    /// order hurries.
    pub async fn run<S, F>(self, mut shutdown: S) -> Result<()>
    where
        S: FnMut() -> F,
        F: Future<Output = Shutdown>,
    {
        self.queue.declare(self.id).await?;
        self.registry.set_status(self.id, WorkerStatus::Active).await?;
        tracing::info!(worker = self.id.0, name = %self.config.name,
            runtimes = ?capabilities(&self.workshop.interpreters, 0).runtimes, "the worker takes work");
        let heartbeat = heartbeat::start(self.id, Arc::clone(&self.registry), self.config.heartbeat);
        let mut running = Running::new(self.config.max_concurrent);
        let order = self.work(&mut running, &mut shutdown).await;
        let drained = self.drain(running, order, &mut shutdown).await;
        heartbeat.abort();
        self.registry.set_status(self.id, WorkerStatus::Inactive).await?;
        tracing::info!(worker = self.id.0, "the worker has stopped");
        drained
    }

    /// Until told to stop.
    async fn work<S, F>(&self, running: &mut Running, shutdown: &mut S) -> Shutdown
    where
        S: FnMut() -> F,
        F: Future<Output = Shutdown>,
    {
        let mut told = std::pin::pin!(shutdown());
        loop {
            // A full worker takes nothing: what it does not hold, another can have.
            let room = running.has_room();
            tokio::select! {
                biased;
                order = &mut told => return order,
                Some(ended) = running.next_end() => self.after_end(ended).await,
                notice = take::next_notice(&*self.queue, self.id) => self.heed(&notice, running),
                delivery = take::next_dispatch(&*self.queue, self.id), if room => self.take(delivery, running).await,
            }
        }
    }

    fn heed(&self, notice: &Notice, running: &Running) {
        match notice {
            Notice::Cancel(execution) => {
                if !running.stop(*execution, Stop::Cancel) {
                    tracing::debug!(worker = self.id.0, execution = execution.0,
                        "an execution that does not run here was to be cancelled");
                }
            }
        }
    }

    /// Lets executions end within the grace period, then ends them; takes nothing new.
    async fn drain<S, F>(&self, mut running: Running, order: Shutdown, shutdown: &mut S) -> Result<()>
    where
        S: FnMut() -> F,
        F: Future<Output = Shutdown>,
    {
        if let Err(error) = self.registry.set_status(self.id, WorkerStatus::Busy).await {
            tracing::warn!(%error, "the worker could not be shown as busy");
        }
        if let Err(error) = self.queue.retire(self.id).await {
            tracing::warn!(%error, "unclaimed work could not be handed back; the next start does it");
        }
        tracing::info!(worker = self.id.0, running = running.len(), grace_s = self.config.shutdown_timeout.as_secs(),
            "the worker stops: it takes nothing new and lets running executions end");
        if order == Shutdown::Graceful {
            let patience = timeout(self.config.shutdown_timeout, self.until_empty(&mut running));
            tokio::select! {
                ended = patience => if ended.is_ok() { return Ok(()) },
                _ = shutdown() => tracing::warn!("told to stop again: running executions are ended now"),
            }
        }
        running.stop_all(Stop::Drain);
        if order == Shutdown::Now {
            running.stop_all(Stop::Kill);
        }
        tokio::select! {
            () = self.until_empty(&mut running) => {}
            _ = shutdown() => {
                running.stop_all(Stop::Kill);
                self.until_empty(&mut running).await;
            }
        }
        Ok(())
    }

    async fn until_empty(&self, running: &mut Running) {
        loop {
            tokio::select! {
                biased;
                ended = running.next_end() => match ended {
                    Some(ended) => self.after_end(ended).await,
                    None => return,
                },
                // Somebody may still ask to cancel what is being waited for.
                notice = take::next_notice(&*self.queue, self.id) => self.heed(&notice, running),
            }
        }
    }
}
