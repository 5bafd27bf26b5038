//! Where an environment is, and how it comes there.
//!
//! ```text
//! ENVS/PACK/NAME.BUILD          one build: made here, used here, never moved
//! ENVS/PACK/NAME.BUILD/.attune  what it was made from, and until when somebody uses it
//! ENVS/PACK/NAME                a link to the build that is used
//! ENVS/PACK/.NAME.lock          held while one is built
//! ```
//!
//! Environments cannot be moved: their scripts hold their own path. So each build has a directory of its own, which
//! nobody knows until the link is renamed into place. NAME ends with a checksum of the recipe, so that a changed
//! manifest has another one.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::spec::EnvironmentSpec;
use crate::volume::create_directories;

/// Digits of the checksum in the name.
const NAME_DIGITS: usize = 12;

/// Digits that tell builds of the same name apart.
const BUILD_DIGITS: usize = 8;

/// The agent's own files in a build.
const OWN: &str = ".attune";

/// Where the environment of one name is, or will be.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Place {
    /// All environments of the pack.
    pub(super) pack_root: PathBuf,
    /// With the checksum, without the build.
    pub(super) name: String,
}

/// What the name of a build says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Build {
    pub(super) place: Place,
    pub(super) directory: PathBuf,
}

impl Place {
    pub(super) fn new(envs_dir: &Path, pack: &str, prefix: &str, checksum: &str) -> Self {
        let digits = &checksum[..checksum.len().min(NAME_DIGITS)];
        Self { pack_root: envs_dir.join(pack), name: format!("{prefix}-{digits}") }
    }

    /// What leads to the build that is used.
    pub(super) fn link(&self) -> PathBuf {
        self.pack_root.join(&self.name)
    }

    pub(super) fn lock(&self) -> PathBuf {
        self.pack_root.join(format!(".{}.lock", self.name))
    }

    /// A build that does not exist yet.
    pub(super) fn new_build(&self) -> Build {
        let id = uuid::Uuid::new_v4().simple().to_string();
        let directory = self.pack_root.join(format!("{}.{}", self.name, &id[..BUILD_DIGITS]));
        Build { place: self.clone(), directory }
    }

    /// The build that is used.
    pub(super) fn published(&self) -> Option<Build> {
        let target = std::fs::read_link(self.link()).ok()?;
        let build = Build::parse(&self.pack_root, target.to_str()?)?;
        (build.place == *self).then_some(build)
    }

    /// Makes the directory of the pack's environments.
    pub(super) fn prepare(&self) -> io::Result<()> {
        create_directories(&self.pack_root)
    }
}

impl Build {
    /// The build whose directory below `pack_root` has this name; `None` for whatever else is there. Other agents'
    /// environments and people's files are never taken for one.
    pub(super) fn parse(pack_root: &Path, file_name: &str) -> Option<Self> {
        let (name, id) = file_name.rsplit_once('.')?;
        let (_, checksum) = name.rsplit_once('-')?;
        let is_hex = |text: &str, length: usize| {
            text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        let ours = is_hex(id, BUILD_DIGITS) && is_hex(checksum, NAME_DIGITS) && !name.contains('/');
        ours.then(|| Self {
            place: Place { pack_root: pack_root.to_owned(), name: name.to_owned() },
            directory: pack_root.join(file_name),
        })
    }

    fn marker(&self) -> PathBuf {
        self.directory.join(OWN).join("environment.json")
    }

    /// Where users say until when they need it.
    pub(super) fn users_dir(&self) -> PathBuf {
        self.directory.join(OWN).join("users")
    }

    /// Whether it was completed, by whomever.
    pub(super) fn is_complete(&self) -> bool {
        self.marker().is_file()
    }

    /// When it was completed.
    pub(super) fn completed_at(&self) -> io::Result<std::time::SystemTime> {
        self.marker().metadata()?.modified()
    }

    /// Says in the build itself that it is complete, and what it was made from.
    pub(super) fn complete(&self, spec: &EnvironmentSpec, checksum: &str) -> io::Result<()> {
        create_directories(&self.directory.join(OWN))?;
        create_directories(&self.users_dir())?;
        let facts = json!({
            "pack": spec.pack.as_str(),
            "runtime": spec.runtime_ref,
            "runtime_version": spec.version.as_ref().map(|(_, text)| text),
            "interpreter": spec.interpreter.path,
            "interpreter_version": spec.interpreter.version,
            "checksum": checksum,
            "built_by": crate::config::hostname(),
            "agent_version": crate::VERSION,
        });
        std::fs::write(self.marker(), format!("{facts:#}\n"))
    }

    /// Makes it the one that is used, in place of an earlier one and in one step.
    pub(super) fn publish(&self) -> io::Result<()> {
        let file_name = self.directory.file_name().unwrap_or_default();
        let staged = self.place.pack_root.join(format!(".{}.link", file_name.to_string_lossy()));
        std::os::unix::fs::symlink(file_name, &staged)?;
        std::fs::rename(&staged, self.place.link())
    }

    /// Removes it, first from sight and then from the disk, so that what is left after a crash is never used.
    pub(super) fn remove(&self) -> io::Result<()> {
        if self.place.published().as_ref() == Some(self) {
            std::fs::remove_file(self.place.link())?;
        }
        let file_name = self.directory.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let gone = self.place.pack_root.join(format!(".{file_name}.gone"));
        match std::fs::rename(&self.directory, &gone) {
            Ok(()) => remove_tree(&gone),
            // Somebody else removes it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Removes a tree of which parts may be read-only, as those of Go's module cache are.
pub(super) fn remove_tree(path: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            make_writable(path)?;
            std::fs::remove_dir_all(path)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

fn make_writable(directory: &Path) -> io::Result<()> {
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o700))?;
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            make_writable(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::spec::tests::spec;
    use super::*;

    fn place(envs: &Path) -> Place {
        Place::new(envs, "mine", "python-3.12.4-x86_64-glibc2.36", "0123456789abcdef")
    }

    #[test]
    fn only_our_own_builds_are_known_as_builds() {
        let root = Path::new("/envs/mine");
        assert!(Build::parse(root, "python-3.12.4-x86_64-glibc2.36-0123456789ab.01234567").is_some());
        for other in [
            "python",
            "python-3.12",
            "node.js",
            "node.js-20",
            "python-3.12.4-x86_64-glibc2.36-0123456789ab",
            "python-0123456789ab.0123456",
            "python-0123456789AB.01234567",
            "a/python-0123456789ab.01234567",
            ".python-3.12.4-0123456789ab.01234567.gone",
        ] {
            assert!(Build::parse(root, other).is_none(), "{other}");
        }
    }

    #[test]
    fn nothing_is_used_before_it_is_published_and_the_last_one_published_is_used() {
        let envs = tempfile::tempdir().unwrap();
        let pack = tempfile::tempdir().unwrap();
        let place = place(envs.path());
        place.prepare().unwrap();
        let (first, second) = (place.new_build(), place.new_build());
        for build in [&first, &second] {
            std::fs::create_dir(&build.directory).unwrap();
            assert!(!build.is_complete());
            build.complete(&spec(pack.path()), "0123456789abcdef").unwrap();
            assert!(build.is_complete());
        }
        assert_eq!(place.published(), None);
        first.publish().unwrap();
        assert_eq!(place.published().as_ref(), Some(&first));
        second.publish().unwrap();
        assert_eq!(place.published().as_ref(), Some(&second));
        first.remove().unwrap();
        assert_eq!(place.published().as_ref(), Some(&second), "the one in use is left alone");
        second.remove().unwrap();
        assert_eq!(place.published(), None);
        assert_eq!(std::fs::read_dir(&place.pack_root).unwrap().count(), 0);
    }

    #[test]
    fn read_only_trees_can_be_removed() {
        let envs = tempfile::tempdir().unwrap();
        let tree = envs.path().join("mod");
        std::fs::create_dir_all(tree.join("a/b")).unwrap();
        std::fs::write(tree.join("a/b/c"), "").unwrap();
        std::fs::set_permissions(tree.join("a/b"), std::fs::Permissions::from_mode(0o555)).unwrap();
        remove_tree(&tree).unwrap();
        assert!(!tree.exists());
    }
}
