//! Bells: how one process tells others on the same machine that there is something to look at.
//!
//! A bell is a small file. Ringing it, after the transaction that others should see has been committed, writes one
//! byte; whoever listens is woken by inotify. Nothing polls, and nobody has to know who listens.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::inotify;
use tokio::io::unix::AsyncFd;

use crate::error::{Doing, Error, ErrorKind, Result};

/// One file that can be rung.
#[derive(Debug, Clone)]
pub(super) struct Bell {
    path: PathBuf,
}

/// Hears every ring since it was made.
#[derive(Debug)]
pub(super) struct Listener {
    events: AsyncFd<OwnedFd>,
}

impl Bell {
    /// The bell of this name below `directory`, which is created where it is missing.
    pub(super) fn open(directory: &Path, name: &str) -> Result<Self> {
        let path = directory.join(name);
        let describe = || format!("create {}", path.display());
        std::fs::create_dir_all(directory).doing(describe)?;
        OpenOptions::new().create(true).append(true).open(&path).doing(describe)?;
        Ok(Self { path })
    }

    /// Wakes every listener.
    pub(super) fn ring(&self) -> Result<()> {
        OpenOptions::new()
            .write(true)
            .open(&self.path)
            .and_then(|file| file.write_all_at(&[0], 0))
            .doing(|| format!("write {}", self.path.display()))
    }

    /// Listens from now on. To be called before looking at the state that a ring announces a change of.
    pub(super) fn listen(&self) -> Result<Listener> {
        let listen = || -> io::Result<Listener> {
            let flags = inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK;
            let events = inotify::init(flags)?;
            inotify::add_watch(&events, &self.path, inotify::WatchFlags::MODIFY)?;
            #[expect(
                deprecated,
                reason = "an OwnedFd stays open for as long as it is registered, which is all that \
                the unsafe replacement asks for"
            )]
            let events = AsyncFd::new(events)?;
            Ok(Listener { events })
        };
        listen().map_err(|error| {
            let message = format!("cannot watch {}", self.path.display());
            let at_limit = matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENOSPC));
            let error = Error::new(ErrorKind::System, message).because(error);
            if at_limit {
                error.hint("raise fs.inotify.max_user_instances or fs.inotify.max_user_watches")
            } else {
                error
            }
        })
    }
}

impl Listener {
    /// Awaits a ring; several rings since the last call are one. Dropping the future loses nothing.
    pub(super) async fn rung(&self) -> Result<()> {
        let read = self.events.async_io(tokio::io::Interest::READABLE, |fd| {
            let mut buffer = [0; 4096];
            Ok(rustix::io::read(fd, &mut buffer)?)
        });
        read.await.map(|_| ()).doing(|| "hear the control plane's bell".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_ring_is_heard_even_before_anyone_waits() {
        let directory = tempfile::tempdir().unwrap();
        let bell = Bell::open(directory.path(), "work").unwrap();
        let listener = bell.listen().unwrap();
        bell.ring().unwrap();
        bell.ring().unwrap();
        listener.rung().await.unwrap();
    }
}
