//! Where an entry was found: what the search saw there need not be asked again.

use std::ffi::{CStr, OsStr};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use rustix::fs::Stat;

use crate::program::Identity;
use crate::search::{Entry, Found, Place};
use crate::tree::Tree;

/// One entry among everything that was found.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spot<'f> {
    pub(super) found: &'f Found,
    pub(super) entry: &'f Entry,
}

impl<'f> Spot<'f> {
    pub(super) fn place(self) -> &'f Place {
        &self.found.places[self.entry.place]
    }

    /// The entry as the kernel finds it fastest: one step from an open directory.
    pub(super) fn handle(self) -> (BorrowedFd<'f>, &'f CStr) {
        (self.place().fd.as_fd(), &self.entry.name)
    }

    /// What the entry is, if it is a file itself and that was looked up.
    pub(super) fn stat(self) -> Option<Stat> {
        self.entry.stat.filter(|_| self.entry.is_file)
    }

    /// Who the entry is, given that it is a file itself.
    pub(super) fn identity(self, tree: &Tree) -> Option<Identity> {
        let (directory, name) = self.handle();
        let stat = self.entry.stat.or_else(|| tree.stat_in(directory, name))?;
        Some(Identity::in_directory(&stat, || self.place().real(tree)))
    }

    /// The real path of what was opened here, as far as the search saw it.
    ///
    /// Most links lead to a file that was found as well, `python3` to `python3.11`. A file with a single hard link
    /// has no other path, so the one that was found is the real one, and the system need not be asked for it.
    pub(super) fn real(self, tree: &Tree, stat: &Stat) -> Option<PathBuf> {
        let spot = if self.entry.is_file {
            self
        } else {
            let Some(identity) = Identity::of_only_link(stat) else {
                return self.neighbour(tree, stat);
            };
            let found = self.found;
            let may_be = |entry: &&Entry| entry.is_file && entry.inode == stat.st_ino;
            let files = found.entries.iter().filter(may_be).map(|entry| Spot { found, entry });
            files.into_iter().find(|file| file.identity(tree).as_ref() == Some(&identity))?
        };
        let name = OsStr::from_bytes(spot.entry.name.to_bytes());
        Some(spot.place().real(tree).join(name))
    }

    /// The real path of a file with several hard links, where the entry points to one of them beside it.
    fn neighbour(self, tree: &Tree, stat: &Stat) -> Option<PathBuf> {
        let (directory, name) = self.handle();
        let target = tree.link_in(directory, name)?;
        let is_it = |seen: Stat| (seen.st_dev, seen.st_ino) == (stat.st_dev, stat.st_ino);
        let is_name = !target.to_bytes().contains(&b'/');
        (is_name && tree.stat_in(directory, &target).is_some_and(is_it))
            .then(|| self.place().real(tree).join(OsStr::from_bytes(target.to_bytes())))
    }
}
