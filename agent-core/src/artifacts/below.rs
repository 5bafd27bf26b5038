//! Finding a file that an action has left below a directory, without being led out of it: an action can put links, pipes
//! and devices there, and the worker can read what the action cannot.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat, fstat, openat, statat, unlinkat};
use rustix::io::Errno;

use crate::model::FilePath;

/// A regular file that was opened.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) file: File,
    /// How large it is.
    pub(super) bytes: u64,
    pub(super) place: Place,
}

/// Where a file was found.
#[derive(Debug)]
pub(super) struct Place {
    directory: OwnedFd,
    name: String,
    stat: Stat,
}

/// Opens the file at `path` below `directory`; `None` where there is none.
///
/// # Errors
/// Where it, or a directory on the way to it, is a link or something else that is not what it should be.
pub(super) fn find(directory: &Path, path: &FilePath) -> io::Result<Option<Found>> {
    let on_the_way = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut segments: Vec<&str> = path.segments().collect();
    let Some(name) = segments.pop() else { return Ok(None) };
    let mut opened = openat(CWD, directory, on_the_way, Mode::empty());
    for segment in segments {
        opened =
            opened.and_then(|above| openat(&above, segment, on_the_way | OFlags::NOFOLLOW, Mode::empty()));
    }
    let directory = match opened {
        Ok(directory) => directory,
        Err(Errno::NOENT) => return Ok(None),
        Err(Errno::NOTDIR | Errno::LOOP) => return Err(strange("it is below a link, or below a file")),
        Err(error) => return Err(error.into()),
    };
    // Looked at before it is opened: opening a device does something.
    match statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) if is_regular(&stat) => {}
        Ok(_) => return Err(strange("it is a link, or no regular file")),
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = openat(&directory, name, flags, Mode::empty())?;
    let stat = fstat(&file)?;
    if !is_regular(&stat) {
        return Err(strange("it is no regular file any more"));
    }
    let bytes = u64::try_from(stat.st_size).unwrap_or(0);
    let place = Place { directory, name: name.to_owned(), stat };
    Ok(Some(Found { file: file.into(), bytes, place }))
}

impl Place {
    /// Removes the file, if it is still that one.
    pub(super) fn remove(&self) -> io::Result<()> {
        let directory = self.directory.as_fd();
        let there = statat(directory, self.name.as_str(), AtFlags::SYMLINK_NOFOLLOW)?;
        if (there.st_dev, there.st_ino) == (self.stat.st_dev, self.stat.st_ino) {
            unlinkat(directory, self.name.as_str(), AtFlags::empty())?;
        }
        Ok(())
    }
}

fn is_regular(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
}

fn strange(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_file_is_found_below_its_directory_and_nowhere_else() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("artifacts");
        std::fs::create_dir_all(directory.join("a/b")).unwrap();
        std::fs::write(root.path().join("outside"), "secret").unwrap();
        std::fs::write(directory.join("a/b/c"), "text").unwrap();
        symlink(root.path().join("outside"), directory.join("link")).unwrap();
        symlink(root.path(), directory.join("up")).unwrap();
        symlink("a", directory.join("within")).unwrap();
        let find = |path: &str| find(&directory, &path.parse().unwrap());
        let Found { mut file, bytes, place } = find("a/b/c").unwrap().unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!((text.as_str(), bytes), ("text", 4));
        for missing in ["a/b/d", "x", "x/y"] {
            assert!(find(missing).unwrap().is_none(), "{missing}");
        }
        for strange in ["link", "up/outside", "within/b/c", "a", "a/b/c/d"] {
            assert!(find(strange).is_err(), "{strange}");
        }
        place.remove().unwrap();
        assert!(find("a/b/c").unwrap().is_none());
    }

    #[test]
    fn what_took_the_place_of_a_file_is_not_removed() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("file");
        std::fs::write(&path, "old").unwrap();
        let found = find(root.path(), &"file".parse().unwrap()).unwrap().unwrap();
        std::fs::write(root.path().join("new"), "new").unwrap();
        std::fs::rename(root.path().join("new"), &path).unwrap();
        found.place.remove().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "new");
    }
}
