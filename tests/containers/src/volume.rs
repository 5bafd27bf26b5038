//! A volume, as a kubelet makes an `emptyDir`.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::Engine;

/// A directory that every user may write to.
#[derive(Clone, Debug)]
pub struct Volume {
    directory: PathBuf,
}

impl Volume {
    /// An empty one.
    ///
    /// # Panics
    /// Where the machine's disk is full.
    pub fn new(engine: &Engine, name: &str) -> Self {
        let directory = engine.path(name);
        std::fs::create_dir(&directory).expect("a writable directory");
        std::fs::set_permissions(&directory, PermissionsExt::from_mode(0o777)).expect("an own directory");
        Self { directory }
    }

    /// What is there already, as a volume.
    pub fn at(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    /// Where it is, seen from outside of containers.
    pub fn path(&self) -> &Path {
        &self.directory
    }
}
