//! What an answer depended on.

use std::path::{Path, PathBuf};

use rustix::fs::Stat;

/// One look at the file system, and what was there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Watch {
    path: PathBuf,
    seen: Option<u64>,
}

impl Watch {
    pub(crate) fn new(path: &Path, stat: Option<&Stat>) -> Self {
        Self {
            path: path.to_owned(),
            seen: stat.map(|stat| stat.st_ino),
        }
    }
}
