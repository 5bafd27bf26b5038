//! Who needs an environment, and until when.
//!
//! Each process that uses a build keeps one file in it, whose time lies in the future: until then at least it is needed.
//! That works on every file system and for every number of machines, and what a dead process leaves behind passes. A
//! process writes it only when it would run out, so an execution that finds its environment ready costs no file.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;

use super::place::Build;

/// What is added to what is asked for, so that the next executions need not ask; and more than clocks differ.
const MARGIN: Duration = Duration::from_mins(15);

/// What this process uses.
#[derive(Debug)]
pub(super) struct Uses {
    /// This process's name among others.
    id: String,
    held: Mutex<HashMap<PathBuf, Held>>,
    /// Told whenever something is not used any more.
    pub(super) ended: Notify,
}

#[derive(Debug, Clone, Copy)]
struct Held {
    count: usize,
    until: SystemTime,
}

/// Keeps a build from being removed until it is dropped.
#[derive(Debug)]
pub(super) struct Use {
    uses: Arc<Uses>,
    directory: PathBuf,
}

impl Uses {
    pub(super) fn new() -> Self {
        let id = format!("{}-{}", crate::config::hostname(), uuid::Uuid::new_v4().simple());
        Self { id, held: Mutex::default(), ended: Notify::new() }
    }

    /// Says that `build` is needed for so long.
    pub(super) fn begin(self: &Arc<Self>, build: &Build, time: Duration) -> Use {
        let now = SystemTime::now();
        let needed = now + time;
        let mut held = self.lock();
        let entry =
            held.entry(build.directory.clone()).or_insert(Held { count: 0, until: SystemTime::UNIX_EPOCH });
        entry.count += 1;
        if entry.until < needed {
            let until = needed + MARGIN;
            match reserve(&build.users_dir().join(&self.id), until) {
                Ok(()) => entry.until = until,
                Err(error) => {
                    tracing::warn!(environment = %build.directory.display(), %error,
                        "other workers cannot be told that an environment is used; they may remove it once it is old");
                }
            }
        }
        Use { uses: Arc::clone(self), directory: build.directory.clone() }
    }

    /// Whether this process uses `build` now.
    pub(super) fn is_used(&self, build: &Build) -> bool {
        self.lock().get(&build.directory).is_some_and(|held| held.count > 0)
    }

    /// Takes back what this process said of builds below `pack_root` that it does not use now.
    pub(super) fn release_idle(&self, pack_root: &Path) {
        self.lock().retain(|directory, held| {
            let idle = held.count == 0 && directory.starts_with(pack_root);
            if idle && let Some(build) = build_of(pack_root, directory) {
                // What cannot be taken back passes.
                std::fs::remove_file(build.users_dir().join(&self.id)).ok();
            }
            !idle
        });
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PathBuf, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        if let Some(held) = self.uses.lock().get_mut(&self.directory) {
            held.count -= 1;
        }
        self.uses.ended.notify_waiters();
    }
}

/// Until when anybody needs `build`, or needed it last.
pub(super) fn needed_until(build: &Build) -> io::Result<SystemTime> {
    let mut until = build.completed_at()?;
    let users = match std::fs::read_dir(build.users_dir()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(until),
        users => users?,
    };
    for user in users {
        until = until.max(user?.metadata()?.modified()?);
    }
    Ok(until)
}

fn build_of(pack_root: &Path, directory: &Path) -> Option<Build> {
    Build::parse(pack_root, directory.file_name()?.to_str()?)
}

fn reserve(path: &Path, until: SystemTime) -> io::Result<()> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
    file.set_modified(until)
}

#[cfg(test)]
mod tests {
    use super::super::place::Place;
    use super::super::spec::tests::spec;
    use super::*;

    #[test]
    fn a_build_is_needed_for_as_long_as_was_said_and_no_longer() {
        let envs = tempfile::tempdir().unwrap();
        let pack = tempfile::tempdir().unwrap();
        let place = Place::new(envs.path(), "mine", "python-3", "0123456789abcdef");
        let build = place.new_build();
        std::fs::create_dir_all(&build.directory).unwrap();
        build.complete(&spec(pack.path()), "0123456789abcdef").unwrap();
        let uses = Arc::new(Uses::new());
        let hour = Duration::from_hours(1);
        let first = uses.begin(&build, hour);
        let second = uses.begin(&build, hour);
        assert!(needed_until(&build).unwrap() > SystemTime::now() + hour);
        drop(first);
        uses.release_idle(&place.pack_root);
        assert!(uses.is_used(&build) && needed_until(&build).unwrap() > SystemTime::now() + hour);
        drop(second);
        assert!(!uses.is_used(&build));
        assert!(needed_until(&build).unwrap() > SystemTime::now() + hour, "others have not been told yet");
        uses.release_idle(&place.pack_root);
        assert!(needed_until(&build).unwrap() <= SystemTime::now());
    }
}
