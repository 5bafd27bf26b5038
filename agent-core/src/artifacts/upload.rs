//! Taking a file to the API: in order, one request at a time, and from where the API says that it has got to.
//!
//! What is sent waits in a file, not in memory: the API may be away for as long as it takes, and what was printed
//! meanwhile is within the same limit as on a volume.

use std::io::SeekFrom;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::{Remote, live_directory};
use crate::backoff::Backoff;
use crate::error::{Doing, Error, ErrorKind, Result};
use crate::model::{ExecutionId, FilePath, Stream};

/// How much one request carries at most.
const PIECE: usize = 1 << 20;

/// Sends a live log while it grows. Dropping it gives up.
#[derive(Debug)]
pub(super) struct Follower {
    pub(super) remote: Arc<Remote>,
    written: watch::Sender<u64>,
    task: AbortOnDropHandle<Result<()>>,
}

impl Follower {
    /// Follows the file at `path`.
    pub(super) fn start(remote: Arc<Remote>, path: PathBuf, execution: ExecutionId, stream: Stream) -> Self {
        let (written, told) = watch::channel(0);
        let following = follow(Arc::clone(&remote), path, execution, stream, told);
        Self { remote, written, task: AbortOnDropHandle::new(tokio::spawn(following)) }
    }

    /// The file has grown to so many bytes.
    pub(super) fn tell(&self, bytes: u64) {
        self.written.send_replace(bytes);
    }

    /// The file is complete: awaits that all of it has arrived.
    pub(super) async fn finish(self) -> Result<()> {
        drop(self.written);
        self.task.await.unwrap_or_else(|error| {
            Err(Error::new(ErrorKind::System, "the upload of a live log failed").because(error))
        })
    }
}

async fn follow(
    remote: Arc<Remote>,
    path: PathBuf,
    execution: ExecutionId,
    stream: Stream,
    mut told: watch::Receiver<u64>,
) -> Result<()> {
    let target = format!("{}/{stream}.log", live_directory(execution));
    let target = target.parse().map_err(|error| Error::new(ErrorKind::System, "no path").because(error))?;
    let mut upload = Upload::open(&remote, &path, target).await?;
    loop {
        let more = told.changed().await.is_ok();
        let bytes = *told.borrow_and_update();
        upload.up_to(bytes).await?;
        if !more {
            return Ok(());
        }
    }
}

/// Sends all of a file that is complete.
pub(super) async fn send(remote: &Remote, path: &Path, target: FilePath, bytes: u64) -> Result<()> {
    Upload::open(remote, path, target).await?.up_to(bytes).await
}

/// A file on its way.
struct Upload<'r> {
    remote: &'r Remote,
    file: File,
    target: FilePath,
    /// How much of it has arrived; `None` where a request was not answered and that has to be asked.
    arrived: Option<u64>,
}

impl<'r> Upload<'r> {
    async fn open(remote: &'r Remote, path: &Path, target: FilePath) -> Result<Self> {
        let file = File::open(path).await.doing(|| format!("read {}", path.display()))?;
        Ok(Self { remote, file, target, arrived: Some(0) })
    }

    /// Sends what is missing of the first `end` bytes, for as long as the API may take them.
    ///
    /// # Errors
    /// Where the API refuses the file for good.
    async fn up_to(&mut self, end: u64) -> Result<()> {
        let mut backoff = Backoff::default();
        while self.arrived.is_none_or(|arrived| arrived < end) {
            match self.step(end).await {
                Ok(()) => backoff.reset(),
                Err(error) if error.kind() == ErrorKind::Unavailable => {
                    let pause = backoff.next();
                    tracing::warn!(file = %self.target, %error, retry_ms = pause.as_millis(),
                        "a file could not be sent to the API and is sent again");
                    tokio::time::sleep(pause).await;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn step(&mut self, end: u64) -> Result<()> {
        let Some(arrived) = self.arrived else {
            let there = self.remote.api.length(&self.target).await?;
            // More than there is to send is somebody else's: it begins anew.
            self.arrived = Some(there.filter(|there| *there <= end).unwrap_or(0));
            return Ok(());
        };
        let piece = self.read(arrived, end).await?;
        let sent = piece.len() as u64;
        self.arrived = None;
        if arrived == 0 {
            self.remote.api.put(&self.target, piece).await?;
        } else {
            self.remote.api.append(&self.target, piece).await?;
        }
        self.arrived = Some(arrived + sent);
        Ok(())
    }

    async fn read(&mut self, from: u64, end: u64) -> Result<Bytes> {
        let length = usize::try_from(end - from).unwrap_or(PIECE).min(PIECE);
        let mut piece = vec![0; length];
        let describe = || "read a log that is being sent to the API".to_owned();
        self.file.seek(SeekFrom::Start(from)).await.doing(describe)?;
        self.file.read_exact(&mut piece).await.doing(describe)?;
        Ok(piece.into())
    }
}
