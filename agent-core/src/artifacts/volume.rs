//! Putting a file in its place on a volume that other services share.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::volume::{create_directories, share};

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
    use std::fs::Permissions;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;
    use crate::volume::{DIRECTORY_MODE, FILE_MODE};

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
