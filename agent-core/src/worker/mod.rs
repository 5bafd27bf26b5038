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

use std::sync::Arc;

use tokio::sync::mpsc;
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
    pub async fn start(
        config: WorkerConfig,
        registry: Arc<R>,
        queue: Arc<Q>,
        workshop: Arc<Workshop>,
    ) -> Result<Self> {
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

    /// Takes and runs work until the first order to stop, or until nobody can give one any more, then drains. A second
    /// order hurries the drain, a third ends what is left at once.
    pub async fn run(self, mut orders: mpsc::Receiver<Shutdown>) -> Result<()> {
        self.queue.declare(self.id).await?;
        self.registry.set_status(self.id, WorkerStatus::Active).await?;
        tracing::info!(worker = self.id.0, name = %self.config.name,
            runtimes = ?capabilities(&self.workshop.interpreters, 0).runtimes, "the worker takes work");
        let heartbeat = heartbeat::start(self.id, Arc::clone(&self.registry), self.config.heartbeat);
        let mut running = Running::new(self.config.max_concurrent);
        let order = self.work(&mut running, &mut orders).await;
        self.drain(&mut running, order, &mut orders).await;
        heartbeat.abort();
        self.registry.set_status(self.id, WorkerStatus::Inactive).await?;
        tracing::info!(worker = self.id.0, "the worker has stopped");
        Ok(())
    }

    /// Until told to stop.
    async fn work(&self, running: &mut Running, orders: &mut mpsc::Receiver<Shutdown>) -> Shutdown {
        loop {
            // A full worker takes nothing: what it does not hold, another can have.
            let room = running.has_room();
            tokio::select! {
                biased;
                order = orders.recv() => return order.unwrap_or(Shutdown::Graceful),
                Some(ended) = running.next_end() => take::log_end(&ended),
                notice = take::next_notice(&*self.queue, self.id) => self.heed(&notice, running),
                delivery = take::next_dispatch(&*self.queue, self.id), if room => self.take(delivery, running).await,
            }
        }
    }

    fn heed(&self, notice: &Notice, running: &Running) {
        match notice {
            Notice::Cancel(execution) => {
                if !running.stop(*execution, Stop::Cancel) {
                    tracing::debug!(
                        worker = self.id.0,
                        execution = execution.0,
                        "an execution that does not run here was to be cancelled"
                    );
                }
            }
        }
    }

    /// Lets executions end within the grace period, then ends them; takes nothing new.
    async fn drain(&self, running: &mut Running, order: Shutdown, orders: &mut mpsc::Receiver<Shutdown>) {
        if let Err(error) = self.registry.set_status(self.id, WorkerStatus::Busy).await {
            tracing::warn!(%error, "the worker could not be shown as busy");
        }
        if let Err(error) = self.queue.retire(self.id).await {
            tracing::warn!(%error, "unclaimed work could not be handed back; the next start does it");
        }
        let grace = self.config.shutdown_timeout;
        tracing::info!(
            worker = self.id.0,
            running = running.len(),
            grace_s = grace.as_secs_f64(),
            "the worker stops: it takes nothing new and lets running executions end"
        );
        if order == Shutdown::Graceful {
            tokio::select! {
                ended = timeout(grace, self.until_empty(running)) => if ended.is_ok() { return },
                () = another(orders) => tracing::warn!("told to stop again: running executions are ended now"),
            }
        }
        running.stop_all(Stop::Drain);
        if order == Shutdown::Graceful {
            tokio::select! {
                () = self.until_empty(running) => return,
                () = another(orders) => tracing::warn!("told to stop once more: nothing is waited for"),
            }
        }
        running.stop_all(Stop::Kill);
        self.until_empty(running).await;
    }

    async fn until_empty(&self, running: &mut Running) {
        loop {
            tokio::select! {
                biased;
                ended = running.next_end() => match ended {
                    Some(ended) => take::log_end(&ended),
                    None => return,
                },
                // Somebody may still ask to cancel what is being waited for.
                notice = take::next_notice(&*self.queue, self.id) => self.heed(&notice, running),
            }
        }
    }
}

/// Awaits one more order; for ever, when nobody can give one.
async fn another(orders: &mut mpsc::Receiver<Shutdown>) {
    if orders.recv().await.is_none() {
        std::future::pending::<()>().await;
    }
}
