//! Packs that come from the API, where workers share no volume of packs with it (CONTRACT §3.10).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use tokio::sync::Mutex;
use uuid::Uuid;

use super::archive::{Bounds, extract};
use super::install::put_in_place;
use crate::api::Api;
use crate::backoff::until_available;
use crate::control_plane::PackRegistry;
use crate::error::{Doing, Error, ErrorKind, Result};
use crate::model::{PackRef, WorkerId};

/// The API writes this file into its directory of packs when it starts: who sees it, shares the volume.
const SENTINEL: &str = ".attune-packs-sentinel";

/// What is on its way has a hidden directory with this in front, which [`super::pack_directories`] passes over.
const DOWNLOAD: &str = ".download-";

/// An archive is no larger than this, in bytes.
const LARGEST: u64 = 256 << 20;

/// Nor is what it holds.
const BOUNDS: Bounds = Bounds { bytes: 1 << 30, entries: 100_000 };

/// How long the start of a worker, or an execution, waits for packs.
const PATIENCE: Duration = Duration::from_secs(30);

/// A download that is older was given up by somebody who has died.
const STALE: Duration = Duration::from_hours(1);

/// A directory of packs that is filled from the API.
#[derive(Debug)]
pub struct RemotePacks {
    api: Arc<Api>,
    registry: Arc<dyn PackRegistry>,
    directory: PathBuf,
    /// One download at a time: who waits for a pack finds it.
    turn: Mutex<()>,
}

impl RemotePacks {
    /// Packs of `registry`, kept in `directory`.
    pub fn new(api: Arc<Api>, registry: Arc<dyn PackRegistry>, directory: PathBuf) -> Arc<Self> {
        Arc::new(Self { api, registry, directory, turn: Mutex::default() })
    }

    /// Whether the API shares a directory of packs: then it fills that.
    pub fn is_shared(directory: &Path) -> bool {
        directory.join(SENTINEL).exists()
    }

    /// Fetches every pack that is missing, in the name of this worker. What takes long goes on while the worker takes work.
    pub async fn complete(self: &Arc<Self>, worker: WorkerId) {
        self.api.identify(worker);
        let packs = Arc::clone(self);
        let completing = tokio::spawn(async move {
            packs.sweep();
            match until_available("the control plane's packs could not be listed", || packs.registry.packs())
                .await
            {
                Ok(known) => {
                    for pack in &known {
                        packs.fetch_missing(pack).await;
                    }
                }
                Err(error) => tracing::warn!(%error, "the control plane's packs cannot be listed"),
            }
        });
        match tokio::time::timeout(PATIENCE, completing).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the agent failed while it fetched packs"),
            Err(_) => tracing::warn!("packs are not all here yet; the worker starts without them"),
        }
    }

    /// Fetches a pack that an execution needs, where it is missing.
    pub async fn ensure(&self, pack: &PackRef) {
        if !self.has(pack) && tokio::time::timeout(PATIENCE, self.fetch_missing(pack)).await.is_err() {
            tracing::warn!(pack = pack.as_str(), "a pack could not be fetched in time");
        }
    }

    /// Fetches a pack that is new or has changed.
    pub async fn refresh(&self, pack: &PackRef) {
        let _turn = self.turn.lock().await;
        self.fetch(pack).await;
    }

    /// Removes a pack that is gone.
    pub async fn remove(&self, pack: &PackRef) {
        let _turn = self.turn.lock().await;
        if Self::is_shared(&self.directory) || !self.has(pack) {
            return;
        }
        let (from, to) = (self.directory.join(pack.as_str()), self.download());
        let removing = tokio::task::spawn_blocking(move || {
            // In one step for whoever looks, and then at leisure.
            std::fs::rename(from, &to).and_then(|()| std::fs::remove_dir_all(to))
        });
        match removing.await {
            Ok(Ok(())) => tracing::info!(pack = pack.as_str(), "a pack was removed"),
            Ok(Err(error)) => tracing::warn!(pack = pack.as_str(), %error, "a pack could not be removed"),
            Err(error) => {
                tracing::error!(pack = pack.as_str(), %error, "the agent failed while it removed a pack");
            }
        }
    }

    async fn fetch_missing(&self, pack: &PackRef) {
        let _turn = self.turn.lock().await;
        // Whoever had the turn before may have fetched it.
        if !self.has(pack) {
            self.fetch(pack).await;
        }
    }

    async fn fetch(&self, pack: &PackRef) {
        // The API may have started since, and share the volume.
        if Self::is_shared(&self.directory) {
            return;
        }
        match until_available("a pack could not be fetched", || self.download_to_place(pack)).await {
            Ok(bytes) => tracing::info!(pack = pack.as_str(), bytes, "a pack was fetched from the API"),
            Err(error) => {
                tracing::warn!(pack = pack.as_str(), %error, hint = error.hint_text(), "a pack cannot be fetched");
            }
        }
    }

    fn has(&self, pack: &PackRef) -> bool {
        self.directory.join(pack.as_str()).join("pack.yaml").is_file()
    }

    fn download(&self) -> PathBuf {
        self.directory.join(format!("{DOWNLOAD}{}", Uuid::new_v4()))
    }

    async fn download_to_place(&self, pack: &PackRef) -> Result<u64> {
        let download = Download(self.download());
        let (archive, unpacked) = (download.0.join("archive"), download.0.join("pack"));
        tokio::fs::create_dir_all(&unpacked).await.doing(|| format!("create {}", unpacked.display()))?;
        let bytes = self.save(pack, &archive).await?;
        let (pack, place) = (pack.clone(), self.directory.join(pack.as_str()));
        let unpacking = tokio::task::spawn_blocking(move || {
            let opened = std::fs::File::open(&archive).doing(|| format!("read {}", archive.display()))?;
            extract(io::BufReader::new(opened), &pack, &unpacked, BOUNDS)?;
            put_in_place(&unpacked, &place)?;
            drop(download);
            Ok(bytes)
        });
        unpacking
            .await
            .unwrap_or_else(|error| Err(Error::new(ErrorKind::System, "cannot unpack a pack").because(error)))
    }

    async fn save(&self, pack: &PackRef, archive: &Path) -> Result<u64> {
        let mut body = self.api.archive(pack).await?;
        let describe = || format!("write {}", archive.display());
        let mut file = File::create(archive).await.doing(describe)?;
        let mut bytes = 0;
        while let Some(piece) = body.next().await? {
            bytes += piece.len() as u64;
            if bytes > LARGEST {
                let message =
                    format!("the archive of the pack {} is larger than {LARGEST} bytes", pack.as_str());
                return Err(Error::new(ErrorKind::ControlPlane, message));
            }
            file.write_all(&piece).await.doing(describe)?;
        }
        file.flush().await.doing(describe)?;
        Ok(bytes)
    }

    /// Removes what others have died over.
    fn sweep(&self) {
        let Ok(entries) = std::fs::read_dir(&self.directory) else { return };
        let is_stale = |entry: &std::fs::DirEntry| {
            let modified = entry.metadata().and_then(|metadata| metadata.modified());
            let age = modified.ok().and_then(|modified| SystemTime::now().duration_since(modified).ok());
            entry.file_name().as_encoded_bytes().starts_with(DOWNLOAD.as_bytes()) && age > Some(STALE)
        };
        for entry in entries.flatten().filter(is_stale) {
            if let Err(error) = std::fs::remove_dir_all(entry.path()) {
                tracing::warn!(path = %entry.path().display(), %error, "an old download could not be removed");
            }
        }
    }
}

/// The directory of a download, which goes with it.
struct Download(PathBuf);

impl Drop for Download {
    fn drop(&mut self) {
        match std::fs::remove_dir_all(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(path = %self.0.display(), %error, "a download could not be removed");
            }
            _ => {}
        }
    }
}
