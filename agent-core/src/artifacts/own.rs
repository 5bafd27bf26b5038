//! Files that actions make themselves: versions that they have asked the API for, and written to the directory that they
//! were given. Where the API shares that directory, they are measured. Where it does not, they are sent first, for as
//! long as that takes, by the next life of the worker if need be; and no row is removed, because what is not here may be
//! anywhere.

use std::path::PathBuf;
use std::sync::Arc;

use super::below::{Found, find};
use super::keep::{Keeping, blocking};
use super::transport::Reach;
use super::{Artifacts, Remote, upload};
use crate::backoff::until_available;
use crate::control_plane::{Entry, Journal, Record};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{ArtifactVersionId, FilePath, FileVersion, OwnFiles};

/// How many executions' files are sent at once: more would not be faster, and each holds a piece of a file in memory.
pub(super) const SENDERS: usize = 4;

/// What is still to be done for the files of one execution.
#[derive(Debug)]
pub(crate) struct Owed {
    own: OwnFiles,
    /// Where they may have to be sent: written down until that is done.
    entry: Option<Entry>,
    /// Whether versions that turn out to hold nothing are removed: not where it is uncertain how the execution ended.
    prune: bool,
}

impl Owed {
    /// The action did not start.
    pub(crate) fn nothing(self) {
        if let Some(entry) = self.entry {
            entry.forget();
        }
    }
}

impl Artifacts {
    /// The directory that an action is given: that which the API shares, else one that can be written.
    pub(crate) async fn directory_for_action(&self) -> PathBuf {
        let shared = Arc::clone(&self.shared);
        if shared.directory == shared.unshared {
            return shared.directory.clone();
        }
        let look = move || match shared.transport.reach(&shared.directory) {
            Reach::Shared => Ok(shared.directory.clone()),
            Reach::Unknown | Reach::Remote(_) => Ok(shared.unshared.clone()),
        };
        blocking("look at the directory of artifacts", look).await.unwrap_or_else(|error| {
            tracing::error!(%error, "the agent failed while it chose a directory for an action");
            self.shared.unshared.clone()
        })
    }

    /// Writes down that the files of an execution that is about to start may have to be sent: whatever becomes of it and of
    /// this worker, and whoever writes its end, somebody will look for them.
    pub(crate) fn owe(&self, own: OwnFiles, journal: &Arc<Journal>) -> Owed {
        let entry = self.shared.transport.sends().then(|| journal.write(&Record::OwnFiles(own.clone())));
        Owed { own, entry, prune: true }
    }

    /// Goes on with what an earlier life has written down.
    pub(crate) fn resume(&self, own: OwnFiles, entry: Entry) {
        let Some(keeping) = self.keeping(own.execution) else { return };
        let owed = Owed { own, entry: Some(entry), prune: false };
        self.shared.tasks.spawn(async move { keeping.own(owed).await });
    }
}

impl Keeping {
    /// Does for the files of one execution what there is to do. It goes on until the servers have answered; what cannot
    /// be done is told, with the file that it is about.
    pub(super) async fn own(&self, owed: Owed) {
        let Owed { own, entry, prune } = owed;
        let all = self.all_own(&own, prune);
        let done = if entry.is_some() {
            all.await
        } else {
            // Nothing is written down, and so not for ever.
            let late = || Error::new(ErrorKind::Unavailable, "the database was away for too long");
            tokio::time::timeout(super::keep::TENACITY, all).await.unwrap_or_else(|_| Err(late()))
        };
        self.failed("the files that an action made could not be measured", done);
        if let Some(entry) = entry {
            entry.forget();
        }
    }

    async fn all_own(&self, own: &OwnFiles, prune: bool) -> Result<()> {
        let versions = until_available("versions could not be read", || self.own_versions()).await?;
        if versions.is_empty() {
            return Ok(());
        }
        let (shared, directory) = (Arc::clone(&self.shared), own.directory.clone());
        let look = move || {
            Ok(match shared.transport.reach(&directory) {
                Reach::Shared => Where::Shared,
                Reach::Unknown => Where::Unknown,
                Reach::Remote(remote) => Where::Remote(Arc::clone(remote)),
            })
        };
        let place = blocking("look at the directory of artifacts", look).await?;
        match place {
            Where::Shared => self.measure(own, versions, prune).await,
            Where::Unknown => {
                tracing::warn!(execution = own.execution.0, directory = %own.directory.display(),
                    hint = "set `api.url`, or `artifacts.transport: volume` where the API does share the directory",
                    "an action made files, and nothing shows that the API sees the files in this directory");
                self.measure(own, versions, false).await
            }
            Where::Remote(remote) => {
                // It is never closed.
                let _turn = self.shared.senders.acquire().await;
                for version in versions {
                    let sent = self.send(&remote, own, &version).await;
                    if let Err(error) = sent {
                        tracing::warn!(execution = own.execution.0, file = %version.path, directory = %own.directory.display(),
                            %error, hint = error.hint_text(), "a file that an action made could not be sent to the API and stays here");
                    }
                }
                Ok(())
            }
        }
    }

    async fn own_versions(&self) -> Result<Vec<FileVersion>> {
        let versions = self.registry.own_versions(self.execution).await;
        self.note(&versions);
        versions
    }

    /// Sends the file of one version, says how large it is, and removes it here: the directory is this machine's alone,
    /// and would fill up.
    async fn send(&self, remote: &Remote, own: &OwnFiles, version: &FileVersion) -> Result<()> {
        let (directory, path) = (own.directory.clone(), version.path.clone());
        let found = blocking("open a file of an action", move || find(&directory, &path)).await?;
        let Some(Found { file, bytes, place }) = found else {
            // The action has sent it itself, or an earlier life of this worker has.
            let length = || remote.api.length(&version.path);
            if let Some(bytes) = until_available("a file could not be asked for", length).await? {
                self.set_sizes(vec![(version.id, bytes)]).await?;
            }
            return Ok(());
        };
        let delivered = upload::deliver(remote, file, version.path.clone(), bytes).await?;
        self.set_sizes(vec![(version.id, bytes)]).await?;
        match delivered {
            upload::Delivered::Sent => blocking("remove a file that was sent", move || place.remove()).await,
            // Whoever put it there may have done so in this very directory.
            upload::Delivered::Found => Ok(()),
        }
    }

    /// How large the files are by now; those that hold nothing are removed, if that is certain.
    async fn measure(&self, own: &OwnFiles, versions: Vec<FileVersion>, prune: bool) -> Result<()> {
        let mut sizes = Vec::with_capacity(versions.len());
        let mut empty = Vec::new();
        for FileVersion { id, path } in versions {
            match self.size(own, &path).await? {
                Some(size) if size > 0 || !prune => sizes.push((id, size)),
                Some(_) | None => empty.push(id),
            }
        }
        if !sizes.is_empty() {
            self.set_sizes(sizes).await?;
        }
        if prune && !empty.is_empty() {
            until_available("versions could not be removed", || self.registry.remove_versions(empty.clone()))
                .await?;
        }
        Ok(())
    }

    async fn size(&self, own: &OwnFiles, path: &FilePath) -> Result<Option<u64>> {
        let file = own.directory.join(path.as_str());
        blocking("look at a file of an action", move || match std::fs::metadata(&file) {
            Ok(there) => Ok(Some(there.len())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        })
        .await
    }

    async fn set_sizes(&self, sizes: Vec<(ArtifactVersionId, u64)>) -> Result<()> {
        until_available("sizes could not be written", || self.registry.set_sizes(sizes.clone())).await
    }
}

enum Where {
    Shared,
    Unknown,
    Remote(Arc<Remote>),
}
