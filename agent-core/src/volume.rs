//! Directories and files on volumes that other services share with the worker, often as another user of the same group
//! (CONTRACT §3.5). The umask has its say when something is created, not here.

use std::fs::{DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

/// The group may read and write.
pub(crate) const FILE_MODE: u32 = 0o664;

/// The group may make files, which are the group's too.
pub(crate) const DIRECTORY_MODE: u32 = 0o2775;

/// Makes a file readable and writable for those who share the volume.
pub(crate) fn share(file: &File) -> io::Result<()> {
    file.set_permissions(Permissions::from_mode(FILE_MODE))
}

/// Creates a directory, and those that it is in, for everybody who shares the volume. What is there already stays as it
/// is.
pub(crate) fn create_directories(directory: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(DIRECTORY_MODE).create(directory) {
        Ok(()) => std::fs::set_permissions(directory, Permissions::from_mode(DIRECTORY_MODE)),
        // Whatever keeps one from being made that is there: that it is, or that nothing can be made in its place.
        Err(_) if directory.is_dir() => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let Some(parent) = directory.parent() else { return Err(error) };
            create_directories(parent)?;
            create_directories(directory)
        }
        Err(error) => Err(error),
    }
}
