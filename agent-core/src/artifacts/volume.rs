//! Files on a volume that other services share: their modes, and putting one in its place.

use std::fs::{DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

/// Files are for the group too: the API may run as another user (CONTRACT §3.5).
const FILE_MODE: u32 = 0o664;

/// Directories too, and what is made in them belongs to the same group.
const DIRECTORY_MODE: u32 = 0o2775;

/// Makes a file readable for those who share the volume, whatever the umask.
pub(super) fn share(file: &File) -> io::Result<()> {
    file.set_permissions(Permissions::from_mode(FILE_MODE))
}

/// Creates a directory, and those that it is in, for everybody who shares the volume.
pub(super) fn create_directories(directory: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(DIRECTORY_MODE).create(directory) {
        Ok(()) => std::fs::set_permissions(directory, Permissions::from_mode(DIRECTORY_MODE)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && directory.is_dir() => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let Some(parent) = directory.parent() else { return Err(error) };
            create_directories(parent)?;
            create_directories(directory)
        }
        Err(error) => Err(error),
    }
}

/// Puts the content of `source`, which is complete, to `target`: as a link, or else as a copy. Whoever looks there sees
/// all of it or none. What was there before belonged to a version that is gone, and is replaced.
pub(super) fn place(source: &Path, target: &Path) -> io::Result<()> {
    match std::fs::hard_link(source, target) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            create_directories(target.parent().unwrap_or(target))?;
            std::fs::hard_link(source, target).or_else(|_| replace(source, target))
        }
        Err(_) => replace(source, target),
        linked => linked,
    }
}

/// The same beside `target` first, which is then renamed over it.
fn replace(source: &Path, target: &Path) -> io::Result<()> {
    let directory = target.parent().unwrap_or(target);
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let beside = directory.join(format!(".{name}.{}", uuid::Uuid::new_v4()));
    let made = std::fs::hard_link(source, &beside).or_else(|_| copy(source, &beside));
    let renamed = made.and_then(|()| std::fs::rename(&beside, target));
    // Renaming leaves it where both are the same file already; otherwise it is not there any more.
    std::fs::remove_file(&beside).ok();
    renamed
}

/// For volumes without links.
fn copy(source: &Path, target: &Path) -> io::Result<()> {
    let mut copy = File::create_new(target)?;
    io::copy(&mut File::open(source)?, &mut copy)?;
    share(&copy)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn a_file_is_placed_whole_in_directories_that_are_shared() {
        let root = tempfile::tempdir().unwrap();
        let source = root.path().join("live.log");
        std::fs::write(&source, "all of it").unwrap();
        let target = root.path().join("core/echo/stdout/log/v1.txt");
        place(&source, &target).unwrap();
        assert_eq!(std::fs::read_to_string(&target).unwrap(), "all of it");
        assert_eq!(std::fs::metadata(&source).unwrap().nlink(), 2, "a link costs no space");
        for directory in ["core", "core/echo", "core/echo/stdout/log"] {
            let mode = std::fs::metadata(root.path().join(directory)).unwrap().mode() & 0o7777;
            assert_eq!(mode, DIRECTORY_MODE, "{directory}");
        }
        // Once more, and over what another version has left.
        place(&source, &target).unwrap();
        std::fs::remove_file(&target).unwrap();
        std::fs::write(&target, "old").unwrap();
        place(&source, &target).unwrap();
        assert_eq!(std::fs::read_to_string(&target).unwrap(), "all of it");
        let left = std::fs::read_dir(target.parent().unwrap()).unwrap().count();
        assert_eq!(left, 1, "nothing is left beside it");
    }

    #[test]
    fn a_copy_is_for_everybody_who_shares_the_volume() {
        let root = tempfile::tempdir().unwrap();
        let (source, target) = (root.path().join("a"), root.path().join("b"));
        std::fs::write(&source, "text").unwrap();
        std::fs::set_permissions(&source, Permissions::from_mode(0o600)).unwrap();
        copy(&source, &target).unwrap();
        assert_eq!(std::fs::metadata(&target).unwrap().mode() & 0o777, FILE_MODE);
        assert_eq!(std::fs::read_to_string(&target).unwrap(), "text");
    }
}
