//! A directory of the worker's own: what it could not deliver yet, and files that only it may read.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::control_plane::Journal;
use crate::error::{Doing, Error, ErrorKind, Result};
use crate::telemetry::health::Address;

/// The working directory of one worker. As long as it lives, no other process is the same worker.
///
/// ```text
/// DIR/<name>.lock       held while the worker lives
/// DIR/<name>.journal    what could not be delivered yet
/// DIR/<name>.private/   parameters and code in files; emptied when the worker starts
/// DIR/<name>.artifacts/ what actions leave for the API, where they have no other directory for that
/// DIR/<name>.health     a socket that says how the worker is
/// ```
#[derive(Debug)]
pub struct WorkDir {
    /// The worker's name as one path component.
    name: String,
    /// `None` where there is no directory.
    place: Option<Place>,
}

#[derive(Debug)]
struct Place {
    directory: PathBuf,
    private: PathBuf,
    _lock: File,
}

impl WorkDir {
    /// Takes the place of the worker `name` in the first of these directories that can be used. Where none can, there is
    /// no journal beyond this process's life, and a warning says so.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] where a worker of this name runs here.
    pub fn of_worker(name: &str, directories: &[PathBuf]) -> Result<Self> {
        let mut reasons = Vec::new();
        for directory in directories {
            match private_directory(directory).and_then(|()| try_to_write(directory)) {
                Ok(()) => return Self::take(name, directory),
                Err(error) => reasons.push(format!("{}: {error}", directory.display())),
            }
        }
        tracing::warn!(
            reasons = reasons.join("; "),
            "there is no directory for the journal: what is not delivered \
            before this worker is killed will be settled as lost; `worker.work_dir` names a directory"
        );
        Ok(Self { name: component(name), place: None })
    }

    fn take(name: &str, directory: &Path) -> Result<Self> {
        let file = component(name);
        let lock = lock(&directory.join(format!("{file}.lock")), name)?;
        let private = directory.join(format!("{file}.private"));
        let describe = || format!("empty {}", private.display());
        // What is there was left by a life that was killed.
        match std::fs::remove_dir_all(&private) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error).doing(describe),
            _ => {}
        }
        private_directory(&private).doing(describe)?;
        let place = Place { directory: directory.to_owned(), private, _lock: lock };
        Ok(Self { name: file, place: Some(place) })
    }

    /// What earlier lives could not deliver, and this one cannot yet.
    pub fn journal(&self) -> Result<Arc<Journal>> {
        match &self.place {
            Some(place) => Journal::open(&place.directory.join(format!("{}.journal", self.name))),
            None => Ok(Journal::in_memory()),
        }
    }

    /// Where files go that nobody else may read: emptied when the worker starts, so that nothing outlives a life that was
    /// killed. `None` where there is no directory.
    pub fn private_dir(&self) -> Option<PathBuf> {
        self.place.as_ref().map(|place| place.private.clone())
    }

    /// Where actions may put files that go to the API. They stay when the worker starts: what has not been sent is still
    /// to be. `None` where there is no directory.
    pub fn artifacts_dir(&self) -> Option<PathBuf> {
        self.place.as_ref().map(|place| place.directory.join(format!("{}.artifacts", self.name)))
    }

    /// Where the worker says how it is.
    pub fn health_address(&self) -> Address {
        match &self.place {
            Some(place) => Address::in_directory(&place.directory, &self.name),
            None => Address::without_directory(&self.name),
        }
    }

    /// Where the worker `name` says how it is, had it chosen among these directories: one of these addresses.
    pub fn health_addresses(name: &str, directories: &[PathBuf]) -> Vec<Address> {
        let name = component(name);
        let somewhere = directories.iter().map(|directory| Address::in_directory(directory, &name));
        somewhere.chain([Address::without_directory(&name)]).collect()
    }
}

/// Where the worker's own directory may be: as configured; below that, where everybody may write there, as in a volume that
/// Kubernetes makes; else below the temporary directory. The latter two apart from other users'.
pub fn work_directories(configured: &Path) -> [PathBuf; 3] {
    let own = format!("attune-agent-{}", rustix::process::geteuid().as_raw());
    [configured.to_owned(), configured.join(&own), std::env::temp_dir().join(own)]
}

/// A name as one path component, and a different one for each name.
fn component(name: &str) -> String {
    name.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => char::from(byte).to_string(),
            other => format!("%{other:02x}"),
        })
        .collect()
}

/// Makes a directory that is ours alone, or makes sure that it is.
fn private_directory(directory: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let found = std::fs::symlink_metadata(directory)?;
    if !found.is_dir() || found.uid() != rustix::process::geteuid().as_raw() || found.mode() & 0o022 != 0 {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "others can write there"));
    }
    Ok(())
}

/// That one may write is known only once something is written.
fn try_to_write(directory: &Path) -> io::Result<()> {
    let probe = directory.join(format!(".probe.{}", std::process::id()));
    OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&probe)?;
    std::fs::remove_file(probe)
}

fn lock(path: &Path, name: &str) -> Result<File> {
    let describe = || format!("use {}", path.display());
    let file =
        OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path).doing(describe)?;
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => {
            Err(Error::new(ErrorKind::Conflict, format!("a worker named `{name}` is running here already"))
                .hint("give each worker a name of its own: `--name` or ATTUNE_WORKER_NAME"))
        }
        Err(error) => Err(error).doing(describe),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control_plane::Record;
    use crate::model::ExecutionId;

    #[test]
    fn a_worker_keeps_its_place_from_a_twin_and_not_from_others() {
        let directory = tempfile::tempdir().unwrap();
        let below = |name: &str| WorkDir::of_worker(name, &[directory.path().join("work")]);
        let first = below("a/b").unwrap();
        assert_eq!(below("a/b").unwrap_err().kind(), ErrorKind::Conflict);
        let _entry = first.journal().unwrap().write(&Record::HandBack(vec![ExecutionId(1)]));
        let left = first.private_dir().unwrap().join("left");
        std::fs::write(&left, "secret").unwrap();
        assert!(below("a%2fb").unwrap().journal().unwrap().is_empty());
        assert!(left.exists());
        drop(first);
        let second = below("a/b").unwrap();
        assert_eq!(second.journal().unwrap().len(), 1);
        assert!(!left.exists());
    }

    #[test]
    fn where_everybody_may_write_the_worker_has_a_directory_of_its_own() {
        use std::os::unix::fs::PermissionsExt;
        let volume = tempfile::tempdir().unwrap();
        std::fs::set_permissions(volume.path(), PermissionsExt::from_mode(0o777)).unwrap();
        let work_dir = WorkDir::of_worker("a", &work_directories(volume.path())).unwrap();
        let private = work_dir.private_dir().unwrap();
        assert!(private.starts_with(volume.path()), "{}", private.display());
        let above = std::fs::metadata(private.parent().unwrap()).unwrap();
        assert_eq!(above.mode() & 0o777, 0o700);
    }

    #[test]
    fn without_a_directory_there_is_a_journal_in_memory() {
        let work_dir = WorkDir::of_worker("a", &[PathBuf::from("/proc/none")]).unwrap();
        assert_eq!(work_dir.private_dir(), None);
        let journal = work_dir.journal().unwrap();
        let entry = journal.write(&Record::HandBack(vec![ExecutionId(1)]));
        assert_eq!(journal.len(), 1);
        entry.forget();
        assert!(journal.is_empty());
    }
}
