//! Files that only the worker's user can read: parameters for actions that want them in a file, and code that has none.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::model::{ExecutionId, Outcome, Reason};

/// A file of mode 0400, removed when it is dropped.
#[derive(Debug)]
pub(super) struct PrivateFile(PathBuf);

impl PrivateFile {
    /// Writes a new file whose name ends with `extension`; a name that is taken, even by a link, is never followed.
    pub(super) fn write(
        directory: &Path,
        execution: ExecutionId,
        extension: &str,
        text: &[u8],
    ) -> Result<Self, Box<Outcome>> {
        let path = directory.join(format!("execution-{execution}-{}{extension}", unique()));
        std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o400)
            .open(&path)
            // Whatever was written goes again, should the rest not fit.
            .and_then(|mut file| Ok((Self(path.clone()), file.write_all(text)?)))
            .map(|(held, ())| held)
            .map_err(|error| {
                let message = format!("cannot write the private file {}: {error}", path.display());
                Box::new(Outcome::without_process(Reason::AgentError, message))
            })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for PrivateFile {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(path = %self.0.display(), %error, "a private file could not be removed");
        }
    }
}

/// Different for each call in this process, and between processes that live at the same time.
fn unique() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn it_is_private_and_goes_with_its_owner() {
        let directory = tempfile::tempdir().unwrap();
        let file = PrivateFile::write(directory.path(), ExecutionId(7), ".sh", b"echo\n").unwrap();
        let path = file.path().to_owned();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o400);
        assert_eq!(path.extension().unwrap(), "sh");
        drop(file);
        assert!(!path.exists());
    }
}
