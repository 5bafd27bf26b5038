//! Parameters in a file, for actions that want them there.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::model::ExecutionId;

/// A file of mode 0400 that holds parameters.
#[derive(Debug)]
pub(super) struct ParameterFile(PathBuf);

impl ParameterFile {
    /// Writes a new file that nobody else can read; a name that is taken, even by a link, is never followed.
    pub(super) fn write(execution: ExecutionId, directory: &Path, text: &[u8]) -> Result<Self, String> {
        let path = directory.join(format!("attune-parameters-{execution}-{}", unique()));
        std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o400)
            .open(&path)
            .and_then(|mut file| file.write_all(text))
            .map_err(|error| format!("cannot write the parameter file {}: {error}", path.display()))?;
        Ok(Self(path))
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

/// Different for each call in this process, and between processes that live at the same time.
fn unique() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

impl Drop for ParameterFile {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(path = %self.0.display(), %error, "a parameter file could not be removed");
        }
    }
}
