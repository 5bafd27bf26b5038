//! Root file systems: put together from packages and single files, and instances of them that containers run in.

use std::io::ErrorKind;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::packages::{self, Installed};
use crate::{Engine, Ran};

/// A root file system, as an image holds one. Its files may be those of this machine by another name, so nothing may ever
/// write to them: containers run in an [`Instance`].
#[derive(Debug)]
#[must_use]
pub struct Root {
    directory: PathBuf,
}

impl Root {
    /// An empty one: `FROM scratch`.
    ///
    /// # Panics
    /// Where the machine's disk is full.
    pub fn scratch(engine: &Engine, name: &str) -> Self {
        let directory = engine.path(name);
        std::fs::create_dir(&directory).expect("a writable directory");
        std::fs::set_permissions(&directory, PermissionsExt::from_mode(0o755)).expect("an own directory");
        Self { directory }
    }

    /// Where it is, seen from outside of containers.
    pub fn path(&self) -> &Path {
        &self.directory
    }

    /// Adds the files of these packages, and of nothing that they depend on.
    ///
    /// # Panics
    /// Where a package is not installed.
    pub fn packages(self, packages: &[&str]) -> Self {
        // The directories that are links today, before anything goes there.
        for link in ["bin", "sbin", "lib", "lib64"] {
            let at = self.directory.join(link);
            if Path::new("/").join(link).is_symlink() && !at.is_symlink() {
                symlink(format!("usr/{link}"), at).expect("a new name");
            }
        }
        for path in packages::files(packages) {
            self.add(&path, &path);
        }
        for (name, chosen) in packages::alternatives() {
            let is_here = std::fs::read_link(&chosen).is_ok_and(|file| self.below(&file).is_file());
            if is_here {
                self.add(&chosen, &chosen);
                self.add(&name, &name);
            }
        }
        self
    }

    /// Adds what every Debian system has, and of these packages those that are installed, with all that they depend on.
    ///
    /// # Panics
    /// Where what Debian needs is not there.
    pub fn debian(self, packages: &[&str]) -> Self {
        let installed = Installed::read();
        let essential = installed.essential().iter().map(String::as_str);
        let wanted = packages.iter().copied().filter(|package| installed.has(package));
        let closure = installed.closure(&essential.chain(wanted).collect::<Vec<_>>());
        self.packages(&closure.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Adds a file, a directory with all that is in it, or a link, of this machine under the name `to`.
    ///
    /// # Panics
    /// Where it cannot be read.
    pub fn copy(self, from: &str, to: &str) -> Self {
        self.add_all(Path::new(from), Path::new(to));
        self
    }

    /// Adds the libraries that these programs of this machine are linked with, and the loader, where they are.
    ///
    /// # Panics
    /// Where a program is not there.
    pub fn libraries_of<'p>(self, programs: impl IntoIterator<Item = &'p Path>) -> Self {
        for program in programs {
            let listed = Ran::of(std::process::Command::new("ldd").arg(program)).expect_success();
            let words = listed.stdout.split_whitespace().filter(|word| word.starts_with('/'));
            for library in words {
                let real = std::fs::canonicalize(library).expect("a library that is there");
                self.add(&real, Path::new(library));
            }
        }
        self
    }

    /// Adds a link.
    ///
    /// # Panics
    /// Where something of this name is there.
    pub fn link(self, to: &str, at: &str) -> Self {
        let place = self.place(Path::new(at));
        symlink(to, place).expect("a new name");
        self
    }

    /// Writes a file.
    ///
    /// # Panics
    /// Where the machine's disk is full.
    pub fn write(self, at: &str, text: &str, mode: u32) -> Self {
        let place = self.place(Path::new(at));
        // What is there may be a file of this machine.
        std::fs::remove_file(&place).ok();
        std::fs::write(&place, text).expect("a writable directory");
        std::fs::set_permissions(&place, PermissionsExt::from_mode(mode)).expect("an own file");
        self
    }

    /// Makes a directory.
    ///
    /// # Panics
    /// Where the machine's disk is full.
    pub fn directory(self, at: &str, mode: u32) -> Self {
        let place = self.place(Path::new(at));
        std::fs::create_dir_all(&place).expect("a writable directory");
        std::fs::set_permissions(&place, PermissionsExt::from_mode(mode)).expect("an own directory");
        self
    }

    /// Takes a directory away.
    ///
    /// # Panics
    /// Where it cannot be removed.
    pub fn without(self, at: &str) -> Self {
        match std::fs::remove_dir_all(self.below(Path::new(at))) {
            Err(error) if error.kind() != ErrorKind::NotFound => panic!("cannot remove {at}: {error}"),
            _ => self,
        }
    }

    /// A writable file system that starts as this root, and leaves it as it is.
    ///
    /// # Panics
    /// Where overlays cannot be mounted.
    pub fn instance(&self, engine: &Engine) -> Instance {
        let directory = engine.path("instance");
        let [upper, work, merged] = ["upper", "work", "merged"].map(|name| directory.join(name));
        for made in [&upper, &work, &merged] {
            std::fs::create_dir_all(made).expect("a writable directory");
        }
        let layers = format!(
            "lowerdir={},upperdir={},workdir={}",
            self.directory.display(),
            upper.display(),
            work.display()
        );
        let layers = std::ffi::CString::new(layers).expect("paths without a zero");
        mount("overlay", &merged, "overlay", MountFlags::empty(), Some(layers.as_c_str()))
            .unwrap_or_else(|error| panic!("cannot mount an overlay in {}: {error}", directory.display()));
        Instance { directory, merged }
    }

    fn below(&self, path: &Path) -> PathBuf {
        self.directory.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Where `path` is in this root; the directories above it are there then, as open as this machine's.
    fn place(&self, path: &Path) -> PathBuf {
        let place = self.below(path);
        let above = place.parent().expect("a path below the root");
        if !above.is_dir() {
            self.place(path.parent().expect("a path below the root"));
            std::fs::create_dir(above).expect("a writable directory");
            let real = std::fs::metadata(path.parent().unwrap_or(path));
            let mode = real.map_or(0o755, |found| found.permissions().mode());
            std::fs::set_permissions(above, PermissionsExt::from_mode(mode)).expect("an own directory");
        }
        place
    }

    fn add_all(&self, from: &Path, to: &Path) {
        self.add(from, to);
        if from.is_dir() && !from.is_symlink() {
            for entry in std::fs::read_dir(from).expect("a directory").flatten() {
                self.add_all(&entry.path(), &to.join(entry.file_name()));
            }
        }
    }

    /// Adds one file, directory or link. What a package lists and somebody has removed is left out.
    fn add(&self, from: &Path, to: &Path) {
        let Ok(found) = std::fs::symlink_metadata(from) else { return };
        let place = self.place(to);
        let added = if found.is_dir() {
            std::fs::create_dir(&place).and_then(|()| std::fs::set_permissions(&place, found.permissions()))
        } else if found.is_symlink() {
            std::fs::read_link(from).and_then(|target| symlink(target, &place))
        } else {
            std::fs::hard_link(from, &place).or_else(|error| match error.kind() {
                ErrorKind::CrossesDevices => std::fs::copy(from, &place).map(drop),
                _ => Err(error),
            })
        };
        match added {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                panic!("cannot add {}: {error}", from.display())
            }
            _ => {}
        }
    }
}

/// A root file system that one container runs in. Dropping it removes what was written there.
#[derive(Debug)]
pub struct Instance {
    directory: PathBuf,
    merged: PathBuf,
}

impl Instance {
    /// Where it is, seen from outside of containers.
    pub fn path(&self) -> &Path {
        &self.merged
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // What cannot be removed now is removed with everything else.
        if unmount(&self.merged, UnmountFlags::DETACH).is_ok() {
            std::fs::remove_dir_all(&self.directory).ok();
        }
    }
}
