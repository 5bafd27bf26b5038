//! Removing what nobody uses any more. Only what this agent builds is ever touched.
//!
//! A build is taken out of sight before it is looked at for the last time: whoever begins to use one says so first and
//! then looks whether it is still there, so one of the two always sees the other.

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::lock::{BuildLock, Tried};
use super::place::{Build, Place, remove_tree};
use super::uses::{Uses, needed_until};

/// What a crash may leave beside builds is as old as this before it is removed.
const LEFTOVER_AGE: Duration = Duration::from_hours(1);

/// What a look at a pack's environments came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Swept {
    pub(super) removed: usize,
    /// Still needed, or being built.
    pub(super) left: usize,
}

/// Removes the environments below `pack_root` that nobody has needed for `retention`, and what crashes left. Waits for
/// the file system: not for the async thread.
pub(super) fn sweep(
    pack_root: &Path,
    retention: Duration,
    uses: &Uses,
    runtime: &tokio::runtime::Handle,
) -> io::Result<Swept> {
    let mut swept = Swept::default();
    let entries = match std::fs::read_dir(pack_root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(swept),
        entries => entries?,
    };
    let mut names = HashSet::new();
    let mut locks = Vec::new();
    for entry in entries {
        let entry = entry?;
        let Ok(file_name) = entry.file_name().into_string() else { continue };
        if let Some(build) = Build::parse(pack_root, &file_name) {
            let removed = if build.is_complete() {
                remove_unneeded(&build, retention, uses)
            } else {
                remove_unfinished(&build, runtime)
            };
            // What belongs to another user is theirs to remove; it must not keep the rest from being looked at.
            let removed = removed.unwrap_or_else(|error| {
                tracing::debug!(environment = %build.directory.display(), %error, "an environment was not removed");
                false
            });
            swept.removed += usize::from(removed);
            swept.left += usize::from(!removed);
            if !removed {
                names.insert(build.place.name);
            }
        } else if let Some(name) = file_name.strip_prefix('.').and_then(|name| name.strip_suffix(".lock")) {
            locks.push(Place { pack_root: pack_root.to_owned(), name: name.to_owned() });
        } else if is_leftover(&file_name, pack_root)?
            && let Err(error) = remove_leftover(&entry.path())
        {
            tracing::debug!(path = %entry.path().display(), %error, "what a crash left was not removed");
        }
    }
    for place in locks.iter().filter(|place| !names.contains(&place.name)) {
        remove_lock(place, runtime)?;
    }
    // Not empty is no error: other agents' environments stay.
    std::fs::remove_dir(pack_root).ok();
    Ok(swept)
}

fn remove_unneeded(build: &Build, retention: Duration, uses: &Uses) -> io::Result<bool> {
    let published = build.place.published().as_ref() == Some(build);
    // What another build has replaced is kept for those who still run in it, and for nobody else.
    let keep = if published { retention } else { Duration::ZERO };
    let needed =
        || Ok::<_, io::Error>(uses.is_used(build) || needed_until(build)? + keep > SystemTime::now());
    if needed()? {
        return Ok(false);
    }
    if published {
        std::fs::remove_file(build.place.link())?;
        if needed()? {
            // Somebody came at the last moment, saw it, and stays.
            build.publish()?;
            return Ok(false);
        }
    }
    build.remove()?;
    Ok(true)
}

/// What has not been completed is being built by whoever holds its lock, or by nobody any more.
fn remove_unfinished(build: &Build, runtime: &tokio::runtime::Handle) -> io::Result<bool> {
    match BuildLock::try_take(&build.place.lock(), runtime)? {
        Tried::Theirs(_) => Ok(false),
        // It may have been completed while we looked elsewhere.
        Tried::Ours(_lock) if build.is_complete() => Ok(false),
        Tried::Ours(_lock) => build.remove().map(|()| true),
    }
}

fn remove_lock(place: &Place, runtime: &tokio::runtime::Handle) -> io::Result<()> {
    if let Tried::Ours(_lock) = BuildLock::try_take(&place.lock(), runtime)? {
        // While it is held: whoever opened it before finds that it is not there any more, and tries again.
        std::fs::remove_file(place.lock())?;
    }
    Ok(())
}

/// Whether `file_name` is a build on its way out, or a link on its way in, that a crash stopped.
fn is_leftover(file_name: &str, pack_root: &Path) -> io::Result<bool> {
    let Some(name) = file_name.strip_prefix('.') else { return Ok(false) };
    let gone = name.strip_suffix(".gone");
    let Some(name) = gone.or_else(|| name.strip_suffix(".link")) else { return Ok(false) };
    if Build::parse(pack_root, name).is_none() {
        return Ok(false);
    }
    let changed = std::fs::symlink_metadata(pack_root.join(file_name))?.modified()?;
    Ok(gone.is_some() || changed.elapsed().is_ok_and(|age| age > LEFTOVER_AGE))
}

fn remove_leftover(path: &Path) -> io::Result<()> {
    if path.is_symlink() { std::fs::remove_file(path) } else { remove_tree(path) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::spec::tests::spec;
    use super::*;

    struct Volume {
        envs: tempfile::TempDir,
        pack: tempfile::TempDir,
        uses: Arc<Uses>,
    }

    impl Volume {
        fn new() -> Self {
            let temporary = || tempfile::tempdir().unwrap();
            Self { envs: temporary(), pack: temporary(), uses: Arc::new(Uses::new()) }
        }

        fn build(&self, checksum: &str) -> Build {
            let place = Place::new(self.envs.path(), "mine", "python-3", checksum);
            place.prepare().unwrap();
            let build = place.new_build();
            std::fs::create_dir(&build.directory).unwrap();
            build
        }

        fn published(&self, checksum: &str) -> Build {
            let build = self.build(checksum);
            build.complete(&spec(self.pack.path()), checksum).unwrap();
            build.publish().unwrap();
            build
        }

        fn sweep(&self, retention: Duration) -> (usize, usize) {
            let root = self.envs.path().join("mine");
            let swept = sweep(&root, retention, &self.uses, &tokio::runtime::Handle::current()).unwrap();
            (swept.removed, swept.left)
        }
    }

    const HOUR: Duration = Duration::from_hours(1);

    #[tokio::test]
    async fn what_is_used_stays_and_what_is_not_goes_when_it_is_old() {
        let volume = Volume::new();
        let build = volume.published("000000000000");
        let held = volume.uses.begin(&build, HOUR);
        assert_eq!(volume.sweep(Duration::ZERO), (0, 1));
        drop(held);
        assert_eq!(volume.sweep(Duration::ZERO), (0, 1), "it was asked for until later");
        volume.uses.release_idle(&build.place.pack_root);
        assert_eq!(volume.sweep(HOUR), (0, 1), "it is not old enough");
        assert_eq!(volume.sweep(Duration::ZERO), (1, 0));
        assert!(!volume.envs.path().join("mine").exists());
    }

    #[tokio::test]
    async fn what_was_replaced_goes_before_its_time() {
        let volume = Volume::new();
        let (old, new) = (volume.published("000000000000"), volume.published("000000000000"));
        assert_eq!(volume.sweep(HOUR), (1, 1));
        assert!(!old.directory.exists() && new.directory.exists());
    }

    #[tokio::test]
    async fn what_is_being_built_stays_and_what_a_crash_left_goes() {
        let volume = Volume::new();
        let unfinished = volume.build("000000000000");
        let handle = tokio::runtime::Handle::current();
        let lock = BuildLock::try_take(&unfinished.place.lock(), &handle).unwrap();
        assert_eq!(volume.sweep(Duration::ZERO), (0, 1));
        drop(lock);
        assert_eq!(volume.sweep(Duration::ZERO), (1, 0));
    }

    #[tokio::test]
    async fn other_agents_environments_are_left_alone() {
        let volume = Volume::new();
        let root = volume.envs.path().join("mine");
        for theirs in ["python/bin", "python-3.12", "node.js/node_modules", ".cache"] {
            std::fs::create_dir_all(root.join(theirs)).unwrap();
        }
        assert_eq!(volume.sweep(Duration::ZERO), (0, 0));
        assert_eq!(std::fs::read_dir(&root).unwrap().count(), 4);
    }
}
