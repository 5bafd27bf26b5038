//! Taking a file to the API: in order, one request at a time, and from where the API says that it has got to.
//!
//! What is sent waits in a file, not in memory: the API may be away for as long as it takes, and what was printed
//! meanwhile is within the same limit as on a volume.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::keep::blocking;
use super::{Remote, live_directory};
use crate::backoff::{Backoff, until_available};
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

/// How a file came to the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivered {
    /// It was sent.
    Sent,
    /// It was there already.
    Found,
}

/// How often a file is sent anew that arrived with another size than it has.
const ANEW: u32 = 3;

/// Sends all of a file that is complete and may be the only copy, unless it is there already, and looks how large it has
/// become there.
pub(super) async fn deliver(remote: &Remote, file: File, target: FilePath, bytes: u64) -> Result<Delivered> {
    let mut upload = Upload::of(remote, file, target);
    // Perhaps an earlier life of this worker has sent it; or the API reads this very file, and would cut it off.
    if upload.length().await? == Some(bytes) && upload.is_the_same(bytes).await? {
        return Ok(Delivered::Found);
    }
    for _ in 0..ANEW {
        upload.up_to(bytes).await?;
        let there = upload.length().await?;
        if there == Some(bytes) {
            return Ok(Delivered::Sent);
        }
        tracing::warn!(file = %upload.target, bytes, there, "a file has another size at the API and is sent anew");
        upload = Upload { arrived: Some(0), is_made: false, ..upload };
    }
    let message =
        format!("the file {} does not arrive at the API with the {bytes} bytes that it has", upload.target);
    Err(Error::new(ErrorKind::ControlPlane, message))
}

/// A file on its way.
struct Upload<'r> {
    remote: &'r Remote,
    file: Arc<File>,
    target: FilePath,
    /// How much of it has arrived; `None` where a request was not answered and that has to be asked.
    arrived: Option<u64>,
    /// Whether the API has made the file, which may stay empty.
    is_made: bool,
}

impl<'r> Upload<'r> {
    async fn open(remote: &'r Remote, path: &Path, target: FilePath) -> Result<Self> {
        let file = tokio::fs::File::open(path).await.doing(|| format!("read {}", path.display()))?;
        Ok(Self::of(remote, file.into_std().await, target))
    }

    fn of(remote: &'r Remote, file: File, target: FilePath) -> Self {
        Self { remote, file: Arc::new(file), target, arrived: Some(0), is_made: false }
    }

    /// Sends what is missing of the first `end` bytes, for as long as the API may take them.
    ///
    /// # Errors
    /// Where the API refuses the file for good.
    async fn up_to(&mut self, end: u64) -> Result<()> {
        let mut backoff = Backoff::default();
        while !self.is_made || self.arrived.is_none_or(|arrived| arrived < end) {
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
        if arrived == 0 {
            // Sent twice, it is there once: only what is appended has to be asked about.
            self.remote.api.put(&self.target, piece).await?;
            self.is_made = true;
        } else {
            self.arrived = None;
            self.remote.api.append(&self.target, piece).await?;
        }
        self.arrived = Some(arrived + sent);
        Ok(())
    }

    async fn length(&self) -> Result<Option<u64>> {
        until_available("a file could not be asked for", || self.remote.api.length(&self.target)).await
    }

    /// Whether the API has these bytes of the file, which are as many as it has.
    async fn is_the_same(&self, bytes: u64) -> Result<bool> {
        until_available("a file could not be compared", || self.compare(bytes)).await
    }

    async fn compare(&self, bytes: u64) -> Result<bool> {
        let Some(mut theirs) = self.remote.api.content(&self.target).await? else { return Ok(false) };
        let mut compared = 0;
        while let Some(piece) = theirs.next().await? {
            let end = compared + piece.len() as u64;
            if end > bytes || self.read(compared, end).await? != piece {
                return Ok(false);
            }
            compared = end;
        }
        Ok(compared == bytes)
    }

    async fn read(&self, from: u64, end: u64) -> Result<Bytes> {
        let length = usize::try_from(end - from).unwrap_or(PIECE).min(PIECE);
        let file = Arc::clone(&self.file);
        let reading = move || {
            let mut piece = vec![0; length];
            file.read_exact_at(&mut piece, from)?;
            Ok(piece.into())
        };
        blocking("read a file that is being sent to the API", reading).await
    }
}
