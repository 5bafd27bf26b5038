//! What becomes of an execution's files once it has ended: logs are entered and put in their places, and the files that
//! the action made itself are sent where they have to be, and measured.
//!
//! All of it happens before the end of the execution is written, so that whoever learns of the end finds the logs. But
//! the end matters more: it goes ahead after a moment, or at once where the database cannot be reached, and the files
//! follow.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{Artifacts, Owed, Remote, Shared, WrittenLog, upload, volume};
use crate::backoff::until_available;
use crate::control_plane::{ArtifactRegistry, LogVersion};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{ExecutionId, FileVersion, LogPlace, NewLog, Stream};

/// How long the end of an execution waits for its files.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long files are tried to be kept of which nothing is written down.
pub(super) const TENACITY: Duration = Duration::from_mins(5);

/// Where an execution's logs can be read by others than this worker, as far as that is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    /// Its standard output.
    pub stdout: Option<LogPlace>,
    /// Its standard error.
    pub stderr: Option<LogPlace>,
}

impl Kept {
    fn set(&mut self, stream: Stream, place: LogPlace) {
        match stream {
            Stream::Stdout => self.stdout = Some(place),
            Stream::Stderr => self.stderr = Some(place),
        }
    }
}

/// What an execution leaves behind.
#[derive(Debug)]
pub(crate) struct Leavings {
    pub(crate) execution: ExecutionId,
    pub(crate) action_ref: String,
    pub(crate) logs: Vec<WrittenLog>,
    /// Where the action could make artifacts itself, because it had a token for the API.
    pub(crate) own: Option<Owed>,
}

impl Leavings {
    /// Where the logs are before they are kept, as far as that is on a volume that others share.
    pub(crate) fn live(&self) -> Kept {
        let mut live = Kept::default();
        for log in self.logs.iter().filter(|log| log.follower.is_none()) {
            live.set(log.stream, LogPlace::File(log.path.clone()));
        }
        live
    }
}

impl Artifacts {
    /// Keeps what an execution leaves behind, and says where its logs are.
    pub(crate) async fn keep(&self, leavings: Leavings) -> Kept {
        let live = leavings.live();
        let Leavings { execution, action_ref, logs, own } = leavings;
        if logs.is_empty() && own.is_none() {
            return live;
        }
        let Some(keeping) = self.keeping(execution) else { return live };
        // Who is away already is not waited for with every execution again.
        let is_away = |log: &WrittenLog| log.follower.as_ref().is_some_and(|it| it.remote.api.is_away());
        let is_away = logs.iter().any(is_away) || (own.is_some() && self.shared.transport.is_away());
        let patience = if is_away { Duration::ZERO } else { PATIENCE };
        let unavailable = keeping.unavailable.clone();
        // They go on when nobody waits for them any more.
        let sending = {
            let keeping = Arc::clone(&keeping);
            own.map(|owed| self.shared.tasks.spawn(async move { keeping.own(owed).await }))
        };
        let storing = self.shared.tasks.spawn(async move { keeping.logs_in_time(action_ref, logs).await });
        // Logs that are stored can be told of, though other files take longer.
        let mut kept = Kept::default();
        let waiting = async {
            kept = storing.await?;
            match sending {
                Some(sending) => sending.await,
                None => Ok(()),
            }
        };
        let waiting = tokio::time::timeout(patience, unavailable.run_until_cancelled(waiting));
        match waiting.await {
            Ok(Some(Ok(()))) => {}
            Ok(Some(Err(error))) => {
                tracing::error!(execution = execution.0, %error, "the agent failed while it kept files");
            }
            Ok(None) | Err(_) => {
                tracing::warn!(
                    execution = execution.0,
                    "the files of an execution are not kept yet; its end goes ahead"
                );
            }
        }
        Kept { stdout: kept.stdout.or(live.stdout), stderr: kept.stderr.or(live.stderr) }
    }

    /// `None` where nobody keeps artifacts.
    pub(super) fn keeping(&self, execution: ExecutionId) -> Option<Arc<Keeping>> {
        let registry = self.shared.registry.clone()?;
        let (shared, unavailable) = (Arc::clone(&self.shared), CancellationToken::new());
        Some(Arc::new(Keeping { shared, registry, execution, unavailable }))
    }
}

/// What keeps the files of one execution.
pub(super) struct Keeping {
    pub(super) shared: Arc<Shared>,
    pub(super) registry: Arc<dyn ArtifactRegistry>,
    pub(super) execution: ExecutionId,
    /// Cancelled once the database turns out to be away: nobody need wait then.
    unavailable: CancellationToken,
}

impl Keeping {
    async fn logs_in_time(&self, action_ref: String, logs: Vec<WrittenLog>) -> Kept {
        tokio::time::timeout(TENACITY, self.logs(action_ref, logs)).await.unwrap_or_else(|_| {
            tracing::warn!(
                execution = self.execution.0,
                "the logs of an execution could not be kept in time"
            );
            Kept::default()
        })
    }

    /// Where the database was asked and is away, nobody waits any more.
    pub(super) fn note<T>(&self, answer: &Result<T>) {
        if answer.as_ref().is_err_and(|error| error.kind() == ErrorKind::Unavailable) {
            self.unavailable.cancel();
        }
    }

    async fn logs(&self, action_ref: String, mut logs: Vec<WrittenLog>) -> Kept {
        let mut kept = Kept::default();
        if logs.is_empty() {
            return kept;
        }
        let new: Vec<NewLog> = logs
            .iter()
            .map(|log| NewLog {
                execution: self.execution,
                action_ref: action_ref.clone(),
                stream: log.stream,
                bytes: log.bytes,
            })
            .collect();
        let followers: Vec<_> = logs.iter_mut().map(|log| log.follower.take()).collect();
        let remotes: Vec<_> =
            followers.iter().map(|follower| follower.as_ref().map(|it| Arc::clone(&it.remote))).collect();
        let following = async {
            for follower in followers.into_iter().flatten() {
                self.failed("a live log could not be sent to the API", follower.finish().await);
            }
        };
        let entering = until_available("logs could not be entered", || async {
            let entered = self.registry.enter_logs(new.clone()).await;
            self.note(&entered);
            entered
        });
        let ((), entered) = tokio::join!(following, entering);
        for LogVersion { stream, version, .. } in
            self.failed("logs could not be entered", entered).unwrap_or_default()
        {
            let Some(at) = logs.iter().position(|log| log.stream == stream) else { continue };
            let placed = self.place(&logs[at], remotes[at].as_deref(), &version).await;
            if self.failed("a log could not be stored", placed).is_some() {
                let place = match remotes[at] {
                    // The path means something to the API, and leads nowhere here.
                    Some(_) => LogPlace::Artifact(new[at].artifact_ref()),
                    None => LogPlace::File(self.shared.directory.join(version.path.as_str())),
                };
                kept.set(stream, place);
                continue;
            }
            // A version that nobody can read is none.
            let removed = until_available("a version could not be removed", || {
                self.registry.remove_versions(vec![version.id])
            });
            self.failed("a version without a file could not be removed", removed.await);
        }
        kept
    }

    async fn place(&self, log: &WrittenLog, remote: Option<&Remote>, version: &FileVersion) -> Result<()> {
        if let Some(remote) = remote {
            return upload::send(remote, &log.path, version.path.clone(), log.bytes).await;
        }
        let (source, target) = (log.path.clone(), self.shared.directory.join(version.path.as_str()));
        blocking("put a log in its place", move || volume::place(&source, &target)).await
    }

    /// Logs a failure; what it was about goes on without.
    pub(super) fn failed<T>(&self, what: &str, done: Result<T>) -> Option<T> {
        done.map_err(|error| {
            tracing::warn!(execution = self.execution.0, %error, hint = error.hint_text(), "{what}");
        })
        .ok()
    }
}

/// Runs what waits for a file system on a thread of its own.
pub(super) async fn blocking<T: Send + 'static>(
    what: &'static str,
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T> {
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
        Error::new(ErrorKind::System, format!("cannot {what}")).because(error)
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|error| failed(error.into())),
        Err(error) => Err(failed(error.into())),
    }
}
