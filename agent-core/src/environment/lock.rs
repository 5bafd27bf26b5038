//! The lock on a volume: one process builds an environment, everybody else waits for it.
//!
//! The kernel's lock ends with its holder, however that dies. It reaches as far as one kernel, and on many shared file
//! systems no further; so the holder writes down who it is, and touches the file while it lives. Where this cannot
//! keep two builders apart after all, each builds in a directory of its own, and no harm is done but the work.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use tokio::task::AbortHandle;

use crate::volume::share;

/// How often a holder shows that it lives.
const BEAT: Duration = Duration::from_secs(5);

/// A holder on another machine that has not shown itself for so long is dead. File systems may show a file's time up to
/// a minute late.
const PATIENCE: Duration = Duration::from_secs(90);

/// Held by whoever builds; nothing else may start the tools of a build. Dropping it, or dying, lets go.
#[derive(Debug)]
pub(super) struct BuildLock {
    file: Arc<File>,
    holder: Holder,
    /// Who held it last and did not let go.
    pub(super) predecessor: Option<Holder>,
    beat: AbortHandle,
}

/// Who holds a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Holder {
    /// Unique for each time that a lock is taken.
    pub(super) id: String,
    /// The machine's name, for people.
    pub(super) host: String,
    pub(super) pid: u32,
    /// Which kernel, and since which start of it.
    boot: String,
}

/// What came of trying.
#[derive(Debug)]
pub(super) enum Tried {
    Ours(BuildLock),
    /// Somebody who lives has it; who, where that is known.
    Theirs(Option<Holder>),
}

impl BuildLock {
    /// Tries to take the lock at `path`. Inside the async runtime, on a thread that may wait for a file system.
    pub(super) fn try_take(path: &Path, runtime: &tokio::runtime::Handle) -> io::Result<Tried> {
        let mut file = open_shared(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Ok(Tried::Theirs(read_holder(&mut file))),
            // A file system that has no locks: the holder's own words have to do.
            Err(std::fs::TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
            Err(std::fs::TryLockError::Error(error)) => return Err(error),
        }
        if !is_still_at(&file, path) {
            // It was removed meanwhile; whoever comes now makes another.
            return Ok(Tried::Theirs(None));
        }
        let boot = boot_id();
        let predecessor = read_holder(&mut file);
        if let Some(other) = predecessor.as_ref().filter(|other| other.boot != boot)
            && file.metadata()?.modified()?.elapsed().is_ok_and(|silence| silence < PATIENCE)
        {
            return Ok(Tried::Theirs(Some(other.clone())));
        }
        let holder = Holder {
            id: uuid::Uuid::new_v4().to_string(),
            host: crate::config::hostname(),
            pid: std::process::id(),
            boot,
        };
        file.set_len(0)?;
        file.rewind()?;
        file.write_all(serde_json::to_string(&holder)?.as_bytes())?;
        let file = Arc::new(file);
        let beat = runtime.spawn(beat(Arc::clone(&file), path.to_owned())).abort_handle();
        Ok(Tried::Ours(Self { file, holder, predecessor, beat }))
    }

    /// Unique for this time of holding it.
    pub(super) fn id(&self) -> &str {
        &self.holder.id
    }
}

impl Drop for BuildLock {
    fn drop(&mut self) {
        self.beat.abort();
        // An empty file has no holder. Should this fail, the file grows old and says the same.
        if let Err(error) = self.file.set_len(0) {
            tracing::debug!(%error, "a lock could not be emptied");
        }
        if let Err(error) = self.file.unlock() {
            tracing::debug!(%error, "a lock could not be released");
        }
    }
}

/// Opens a file that workers of other users of the group may hold next.
fn open_shared(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    match options.clone().create_new(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => options.open(path),
        created => {
            let file = created?;
            share(&file)?;
            Ok(file)
        }
    }
}

async fn beat(file: Arc<File>, path: PathBuf) {
    let mut period = tokio::time::interval(BEAT);
    loop {
        period.tick().await;
        let file = Arc::clone(&file);
        let touched = tokio::task::spawn_blocking(move || file.set_modified(SystemTime::now())).await;
        if let Ok(Err(error)) = touched {
            tracing::debug!(%error, lock = %path.display(), "a lock could not be touched");
        }
    }
}

fn read_holder(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(4096).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

/// Whether `path` still leads to this very file.
fn is_still_at(file: &File, path: &Path) -> bool {
    let identity = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(ours), Ok(there)) => identity(ours) == identity(there),
        _ => false,
    }
}

/// Identifies a running kernel, for all containers on it. Empty where it cannot be read, which is then nobody's.
fn boot_id() -> String {
    let read = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    read.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(path: &Path) -> Tried {
        BuildLock::try_take(path, &tokio::runtime::Handle::current()).unwrap()
    }

    #[tokio::test]
    async fn one_holds_it_and_lets_go() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let Tried::Ours(lock) = take(&path) else { panic!("nobody else has it") };
        assert_eq!(lock.predecessor, None);
        let Tried::Theirs(Some(holder)) = take(&path) else { panic!("it is taken") };
        assert_eq!((holder.id.as_str(), holder.pid), (lock.id(), std::process::id()));
        drop(lock);
        assert!(matches!(take(&path), Tried::Ours(BuildLock { predecessor: None, .. })));
    }

    /// A file that a holder on another machine left, or holds, so long ago.
    fn held_elsewhere(path: &Path, ago: Duration) -> Holder {
        let holder = Holder { id: "x".into(), host: "far".into(), pid: 1, boot: "another".into() };
        std::fs::write(path, serde_json::to_string(&holder).unwrap()).unwrap();
        let file = OpenOptions::new().write(true).open(path).unwrap();
        file.set_modified(SystemTime::now() - ago).unwrap();
        holder
    }

    #[tokio::test]
    async fn a_holder_on_another_machine_is_believed_while_it_shows_itself() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let holder = held_elsewhere(&path, Duration::from_secs(20));
        assert!(matches!(take(&path), Tried::Theirs(Some(theirs)) if theirs == holder));
        held_elsewhere(&path, PATIENCE + Duration::from_secs(1));
        assert!(
            matches!(take(&path), Tried::Ours(BuildLock { predecessor: Some(ref dead), .. }) if *dead == holder)
        );
    }

    #[tokio::test]
    async fn who_died_on_this_machine_is_succeeded_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let dead = Holder { id: "x".into(), host: "near".into(), pid: 1, boot: boot_id() };
        std::fs::write(&path, serde_json::to_string(&dead).unwrap()).unwrap();
        assert!(
            matches!(take(&path), Tried::Ours(BuildLock { predecessor: Some(ref found), .. }) if *found == dead)
        );
    }
}
