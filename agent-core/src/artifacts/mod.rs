//! Artifacts: where logs and other files of executions go, and how the control plane comes to know of them.
//!
//! While an action runs, each of its streams grows a live log, `execution_<id>/<stream>.log`, which the API shows to
//! whoever watches. Once it has ended, each becomes a version of an artifact of the action: a row, and a file in a place
//! of its own. Files are reached over a volume that is shared with the API, or over the API itself:
//!
//! ```text
//! volume   artifacts_dir/execution_7/stdout.log ──── link ───▶ artifacts_dir/core/echo/stdout/log/v1.txt
//! api      spool/execution_7/stdout.log ── PUT, PATCH … ─────▶ execution_7/stdout.log
//!                    └──────────────────── PUT ──────────────▶ core/echo/stdout/log/v1.txt
//! ```
//!
//! A file of its own, and not a longer life for the live log, because a version is found by its path and the live log by
//! its execution. A link costs no space; where a volume knows none, it is a copy.
//!
//! What an action makes itself goes to the place that the API has named for it, in the same directory; without a shared
//! volume it is sent from there ([`own`]).

mod below;
mod keep;
mod live;
mod own;
mod transport;
mod upload;
mod volume;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

pub use keep::Kept;
pub(crate) use keep::Leavings;
pub(crate) use live::{LiveLog, WrittenLog};
pub(crate) use own::Owed;
pub use transport::{Remote, Transport, TransportChoice, UnknownTransport};

use crate::control_plane::ArtifactRegistry;
use crate::model::{ExecutionId, Stream, WorkerId};

/// Where files of executions go. All executions of a worker share it; cloning is cheap.
#[derive(Debug, Clone)]
pub struct Artifacts {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    directory: PathBuf,
    /// What actions are given while the API does not share `directory`, which may be the same one.
    unshared: PathBuf,
    transport: Transport,
    /// `None` where nobody keeps artifacts: then live logs are all there is.
    registry: Option<Arc<dyn ArtifactRegistry>>,
    /// Files that are still on their way.
    tasks: TaskTracker,
    /// Who may send files of actions.
    senders: Semaphore,
}

impl Artifacts {
    /// Live logs below `directory`, and nothing else.
    pub fn local(directory: PathBuf) -> Self {
        Self::with(directory.clone(), directory, Transport::Volume, None)
    }

    /// Files below `directory`, as the control plane's API sees it over `transport`, entered in `registry`. What actions
    /// make themselves is below `unshared` while the API does not share `directory`.
    pub fn kept(
        directory: PathBuf,
        unshared: PathBuf,
        transport: Transport,
        registry: Arc<dyn ArtifactRegistry>,
    ) -> Self {
        Self::with(directory, unshared, transport, Some(registry))
    }

    fn with(
        directory: PathBuf,
        unshared: PathBuf,
        transport: Transport,
        registry: Option<Arc<dyn ArtifactRegistry>>,
    ) -> Self {
        let (tasks, senders) = (TaskTracker::new(), Semaphore::new(own::SENDERS));
        Self { shared: Arc::new(Shared { directory, unshared, transport, registry, tasks, senders }) }
    }

    /// From now on, files are sent in the name of this worker.
    pub fn identify(&self, worker: WorkerId) {
        if let Transport::Api(remote) | Transport::Auto(remote) = &self.shared.transport {
            remote.api.identify(worker);
        }
    }

    /// Whether others see the files in `artifacts_dir`. Looks at the volume, and may block for as long as that takes.
    pub(crate) fn are_shared(&self) -> bool {
        self.shared.transport.remote(&self.shared.directory).is_none()
    }

    /// The log of one stream. No file is made before there is something in it.
    pub(crate) fn live_log(&self, execution: ExecutionId, stream: Stream) -> LiveLog {
        LiveLog::new(Arc::clone(&self.shared), execution, stream)
    }

    /// Awaits that every file has arrived, or cannot; at most for `patience`.
    pub async fn settled(&self, patience: Duration) {
        let tasks = &self.shared.tasks;
        tasks.close();
        if tokio::time::timeout(patience, tasks.wait()).await.is_err() {
            tracing::warn!(
                files = tasks.len(),
                "files of executions that have ended are not stored: logs are given up, and what actions made is sent by \
                 the worker's next life"
            );
        }
    }
}

/// The directory of an execution's live logs, below that of all artifacts.
fn live_directory(execution: ExecutionId) -> String {
    format!("execution_{execution}")
}
