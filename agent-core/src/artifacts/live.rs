//! A live log: made with the first byte, so that silence costs nothing, and complete when its stream ends.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::OFlags;
use tokio::fs::File;
use tokio::io::AsyncWriteExt;

use super::upload::Follower;
use super::{Shared, live_directory};
use crate::model::{ExecutionId, Stream};
use crate::volume::{create_directories, share};

/// The log of one stream while it is written.
#[derive(Debug)]
pub(crate) struct LiveLog {
    shared: Arc<Shared>,
    execution: ExecutionId,
    stream: Stream,
    bytes: u64,
    state: State,
}

#[derive(Debug)]
enum State {
    Unopened,
    Open(OpenLog),
    /// There is to be none, or it could not be written; the execution goes on, and what memory holds has to do.
    Unavailable,
}

#[derive(Debug)]
struct OpenLog {
    file: File,
    path: PathBuf,
    /// What takes it to the API, where the API does not see the file itself.
    follower: Option<Follower>,
    spooled: Option<Spooled>,
}

/// A log that waits for the API and is nobody's else. It goes with this, whatever has become of it.
#[derive(Debug)]
pub(super) struct Spooled(PathBuf);

/// A log that is complete.
#[derive(Debug)]
pub(crate) struct WrittenLog {
    pub(crate) stream: Stream,
    pub(crate) bytes: u64,
    pub(crate) path: PathBuf,
    pub(super) follower: Option<Follower>,
    pub(super) _spooled: Option<Spooled>,
}

impl LiveLog {
    pub(super) fn new(shared: Arc<Shared>, execution: ExecutionId, stream: Stream) -> Self {
        Self { shared, execution, stream, bytes: 0, state: State::Unopened }
    }

    /// One that is never written.
    #[must_use]
    pub(crate) fn withheld(self) -> Self {
        Self { state: State::Unavailable, ..self }
    }

    /// Which stream's it is.
    pub(crate) const fn stream(&self) -> Stream {
        self.stream
    }

    /// Appends bytes.
    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if matches!(self.state, State::Unopened) {
            self.state = self.open().await;
        }
        if let State::Open(open) = &mut self.state {
            let written = match (open.file.write_all(bytes).await, &open.follower) {
                // What follows reads the file: it must be there before it is told.
                (Ok(()), Some(_)) => open.file.flush().await,
                (written, _) => written,
            };
            match written {
                Ok(()) => self.bytes += bytes.len() as u64,
                Err(error) => {
                    self.state = unavailable(&open.path, &error);
                    return;
                }
            }
            if let Some(follower) = &open.follower {
                follower.tell(self.bytes);
            }
        }
    }

    /// Completes the file; `None` where there is none.
    pub(crate) async fn finish(self) -> Option<WrittenLog> {
        let State::Open(OpenLog { mut file, path, follower, spooled }) = self.state else { return None };
        if let Err(error) = file.flush().await {
            unavailable(&path, &error);
            return None;
        }
        Some(WrittenLog { stream: self.stream, bytes: self.bytes, path, follower, _spooled: spooled })
    }

    async fn open(&self) -> State {
        let (shared, execution, stream) = (Arc::clone(&self.shared), self.execution, self.stream);
        let opening = tokio::task::spawn_blocking(move || {
            let remote = shared.transport.remote(&shared.directory);
            let root = remote.map_or(shared.directory.as_path(), |remote| remote.spool.as_path());
            let path = root.join(live_directory(execution)).join(format!("{stream}.log"));
            let opened = open(&path);
            (opened, path, remote.cloned())
        });
        let (opened, path, remote) = match opening.await {
            Ok(opened) => opened,
            Err(error) => {
                tracing::error!(%error, "a live log could not be opened");
                return State::Unavailable;
            }
        };
        match opened {
            Ok(file) => {
                let spooled = remote.as_ref().map(|_| Spooled(path.clone()));
                let follower = remote.map(|remote| Follower::start(remote, path.clone(), execution, stream));
                State::Open(OpenLog { file: File::from_std(file), path, follower, spooled })
            }
            Err(error) => unavailable(&path, &error),
        }
    }
}

impl Drop for Spooled {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "a log that was sent could not be removed");
        }
        if let Some(directory) = self.0.parent() {
            // It goes with its last log, and stays for the other one until then.
            std::fs::remove_dir(directory).ok();
        }
    }
}

/// Creates the file and its directory. An action can write where its logs go: a link that it has put there is not
/// followed.
fn open(path: &Path) -> io::Result<std::fs::File> {
    let nofollow = OFlags::NOFOLLOW.bits().cast_signed();
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).custom_flags(nofollow);
    let file = match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            create_directories(path.parent().unwrap_or(path))?;
            options.open(path)?
        }
        opened => opened?,
    };
    share(&file)?;
    Ok(file)
}

fn unavailable(path: &Path, error: &io::Error) -> State {
    tracing::warn!(path = %path.display(), %error, "a live log cannot be written; the result keeps head and tail");
    State::Unavailable
}
