//! What a worker hears beside its work: cancellations, and news of packs.

use std::sync::Arc;

use super::Worker;
use super::running::Running;
use crate::backoff::until_available;
use crate::control_plane::{Notice, Queue, Registry};
use crate::execution::{self, Stop};
use crate::model::PackRef;

impl<R: Registry, Q: Queue> Worker<R, Q> {
    /// Does what a notice asks for. What takes time is done meanwhile: the next notice may be a cancellation.
    pub(super) fn heed(&self, notice: &Notice, running: &Running) {
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
            Notice::PackRegistered { pack, runtimes } => {
                tracing::info!(pack, ?runtimes, "a pack was registered");
                if let Some(pack) = readable(pack) {
                    self.pack_registered(pack);
                }
            }
            Notice::PackDeleted { pack } => {
                tracing::info!(pack, "a pack was deleted");
                if let Some(pack) = readable(pack) {
                    self.pack_deleted(pack);
                }
            }
        }
    }

    /// Actions and runtimes are read anew with every claim. What takes longer is done ahead: the pack's files where they
    /// come from the API, and what they depend on; and the scheduler is shown what may have changed.
    fn pack_registered(&self, pack: PackRef) {
        let (registry, id, workshop) = (Arc::clone(&self.registry), self.id, Arc::clone(&self.workshop));
        let offered = self.registration.capabilities.clone();
        self.meanwhile(async move {
            workshop.environments.pack_registered(&pack);
            if let Some(packs) = &workshop.remote_packs {
                packs.refresh(&pack).await;
            }
            let refreshing = || registry.refresh(id, &offered);
            if let Err(error) = until_available("what the worker offers could not be shown", refreshing).await
            {
                tracing::warn!(%error, "what the worker offers could not be shown anew");
            }
            execution::build_ahead(&workshop, &pack, &offered.runtimes).await;
        });
    }

    fn pack_deleted(&self, pack: PackRef) {
        let workshop = Arc::clone(&self.workshop);
        self.meanwhile(async move {
            workshop.environments.pack_deleted(&pack);
            if let Some(packs) = &workshop.remote_packs {
                packs.remove(&pack).await;
            }
        });
    }

    /// For as long as this worker takes work.
    fn meanwhile(&self, work: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(self.draining.clone().run_until_cancelled_owned(work));
    }
}

fn readable(pack: &str) -> Option<PackRef> {
    pack.parse().inspect_err(|error| tracing::warn!(%error, "news of a pack that there cannot be")).ok()
}
