//! Which names of the catalogue are in which directory.
//!
//! Each directory is visited once, however often and by whichever link `PATH` names it. Small
//! directories, and all of them when the whole catalogue is wanted, are read in one pass: that finds
//! `python3.99` without knowing of it. In a huge directory a few names are cheaper looked up.

mod names;
mod places;

use std::cell::OnceCell;
use std::ffi::{CString, OsStr};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, RawDir, Stat};

use crate::catalogue::{self, Program, Runtime};
use crate::options::Options;
use crate::tree::Tree;

/// A directory that may hold interpreters.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) path: PathBuf,
    pub(crate) fd: OwnedFd,
    pub(crate) on_path: bool,
    identity: (u64, u64),
    size: u64,
    real: OnceCell<PathBuf>,
}

impl Place {
    /// The directory behind all links.
    pub(crate) fn real(&self, tree: &Tree) -> &Path {
        self.real.get_or_init(|| tree.real(self.fd.as_fd(), &self.path))
    }
}

/// A name in a place.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) place: usize,
    pub(crate) name: CString,
    pub(crate) slot: Slot,
    /// Whether it is known not to be a link: then its real path needs no looking up.
    pub(crate) is_file: bool,
    /// The inode that the directory names, or 0. A hint only: something may be mounted over it.
    pub(crate) inode: u64,
    /// What was seen of it, links not followed, where it was looked up.
    pub(crate) stat: Option<Stat>,
}

/// What a name means: whose it is, and how good a name it is (0 is best).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) runtime: usize,
    pub(crate) program: usize,
    pub(crate) rank: usize,
}

impl Slot {
    pub(crate) fn runtime(self) -> &'static Runtime {
        &catalogue::all()[self.runtime]
    }

    pub(crate) fn program(self) -> &'static Program {
        &self.runtime().programs[self.program]
    }
}

/// Which runtimes are wanted, by their place in the catalogue; `None` is all.
pub(crate) type Wanted = Option<Vec<usize>>;

/// What was found where.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) places: Vec<Place>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) warnings: Vec<String>,
    /// Other paths of the same places.
    aliases: Vec<PathBuf>,
    /// Devices that are known to be near.
    near: Vec<u64>,
}

/// Searches `PATH` and, unless told otherwise, the places beside it.
pub(crate) fn search(tree: &Tree, options: &Options, wanted: &Wanted, extra: &[PathBuf]) -> Found {
    // Room for what a full image has: growing costs more than the search in a small allocator.
    let mut found = Found {
        places: Vec::with_capacity(32),
        entries: Vec::with_capacity(96),
        warnings: Vec::new(),
        aliases: Vec::new(),
        near: Vec::new(),
    };
    let path = options.search_path();
    for directory in path.as_bytes().split(|&byte| byte == b':') {
        let directory = Path::new(OsStr::from_bytes(directory));
        if directory.is_absolute() {
            found.visit(tree, wanted, directory, true);
        } else {
            // An injected agent must neither run nor trust `./python3`.
            found.warnings.push(format!(
                "PATH entry \"{}\" is relative to the current directory and was skipped",
                directory.display()
            ));
        }
    }
    for directory in extra {
        found.visit(tree, wanted, directory, false);
    }
    if options.off_path {
        for beside in places::beside_path(tree, options, wanted) {
            let first = found.entries.len();
            found.visit(tree, wanted, &beside.path, false);
            if beside.is_version {
                found.keep_best_names(first);
            }
        }
    }
    found
}

impl Found {
    /// Where an entry is.
    pub(crate) fn path_of(&self, entry: &Entry) -> PathBuf {
        self.places[entry.place].path.join(OsStr::from_bytes(entry.name.to_bytes()))
    }

    fn visit(&mut self, tree: &Tree, wanted: &Wanted, path: &Path, on_path: bool) {
        let known = self.places.iter().map(|place| &place.path).chain(&self.aliases);
        if known.into_iter().any(|known| known.as_os_str() == path.as_os_str()) {
            return;
        }
        let is_known = |found: &Self, stat: &Stat| {
            found.places.iter().any(|place| place.identity == (stat.st_dev, stat.st_ino))
        };
        // `PATH` names directories twice, and a second name need not even be opened where nothing is noted.
        // Beside `PATH` that is rare, and looking first would cost each directory a system call.
        let seen = if on_path && !tree.needs_paths() {
            let Some(stat) = tree.stat(path) else { return };
            Some(stat)
        } else {
            None
        };
        if seen.as_ref().is_some_and(|stat| is_known(self, stat)) {
            self.aliases.push(path.to_owned());
            return;
        }
        let Ok(fd) = tree.open_directory(path) else { return };
        let Some(stat) = seen.or_else(|| rustix::fs::fstat(&fd).ok()) else { return };
        if is_known(self, &stat) {
            self.aliases.push(path.to_owned());
            return;
        }
        let identity = (stat.st_dev, stat.st_ino);
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        let place = self.places.len();
        let real = OnceCell::new();
        self.places.push(Place { path: path.to_owned(), fd, on_path, identity, size, real });
        let is_partial = wanted.is_some();
        if self.is_remote(place)
            || is_partial && looking_up_is_cheaper(&self.places[place], names::known(wanted).count())
        {
            self.look_up(tree, wanted, place);
        } else {
            self.read(wanted, place);
        }
    }

    /// Whether a place is far away: it may have thousands of entries, each of them a message, and is not read.
    fn is_remote(&mut self, place: usize) -> bool {
        let Place { fd, identity: (device, _), .. } = &self.places[place];
        if self.near.contains(device) {
            return false;
        }
        // One that does not say what it is is no disk here.
        let is_remote = rustix::fs::fstatfs(fd).map_or(true, |file_system| {
            u64::try_from(file_system.f_type).is_ok_and(|kind| REMOTE.contains(&(kind & 0xffff_ffff)))
        });
        if !is_remote {
            self.near.push(*device);
        }
        is_remote
    }

    fn read(&mut self, wanted: &Wanted, place: usize) {
        let mut buffer = [MaybeUninit::uninit(); 16 * 1024];
        let fd = self.places[place].fd.as_fd();
        let mut directory = RawDir::new(fd, &mut buffer);
        while let Some(Ok(entry)) = directory.next() {
            let name = entry.file_name();
            if !names::may_be(name.to_bytes()) {
                continue;
            }
            let kind = entry.file_type();
            if !matches!(kind, FileType::RegularFile | FileType::Symlink | FileType::Unknown) {
                continue;
            }
            let slot = names::slot(name.to_bytes()).filter(|slot| is_wanted(wanted, *slot));
            if let Some(slot) = slot {
                let is_file = kind == FileType::RegularFile;
                let inode = entry.ino();
                self.entries.push(Entry { place, name: name.to_owned(), slot, is_file, inode, stat: None });
            }
        }
    }

    /// Of the entries from `first` on, keeps the best name of each program.
    fn keep_best_names(&mut self, first: usize) {
        let mut new = self.entries.split_off(first);
        new.sort_by_key(|entry| (entry.slot.runtime, entry.slot.rank));
        new.dedup_by_key(|entry| (entry.slot.runtime, entry.slot.program));
        self.entries.append(&mut new);
    }

    fn look_up(&mut self, tree: &Tree, wanted: &Wanted, place: usize) {
        let Place { path, fd, .. } = &self.places[place];
        let mut buffer = [0; names::LONGEST];
        for (known, slot) in names::known(wanted) {
            let Some(name) = known.write(&mut buffer) else { continue };
            let full = || path.join(OsStr::from_bytes(name.to_bytes()));
            let Some((kind, stat)) = tree.kind_in(fd.as_fd(), name, full) else { continue };
            if matches!(kind, FileType::RegularFile | FileType::Symlink | FileType::Unknown) {
                let is_file = kind == FileType::RegularFile;
                let inode = stat.map_or(0, |stat| stat.st_ino);
                self.entries.push(Entry { place, name: name.to_owned(), slot, is_file, inode, stat });
            }
        }
    }
}

/// Reading costs about a third of a look-up for each entry, and an entry takes 24 bytes or more of the
/// directory's size on the file systems images are on.
fn looking_up_is_cheaper(place: &Place, names: usize) -> bool {
    let entries = usize::try_from(place.size / 32).unwrap_or(usize::MAX);
    entries > 3 * names
}

/// File systems behind which another machine or program answers, slowly: 9p, NFS, SMB, FUSE.
const REMOTE: &[u64] = &[0x0102_1997, 0x6969, 0xff53_4d42, 0xfe53_4d42, 0x517b, 0x6573_5546];

fn is_wanted(wanted: &Wanted, slot: Slot) -> bool {
    wanted.as_ref().is_none_or(|wanted| wanted.contains(&slot.runtime))
}

/// What a program of this name would be: for hints that give only a path.
pub(crate) fn slot_of(name: &OsStr) -> Option<Slot> {
    names::slot(name.as_bytes())
}

/// The implementation of `runtime` that a file of this name is, if the name tells.
pub(crate) fn program_named(runtime: usize, name: &OsStr) -> Option<usize> {
    let named = names::slot(name.as_bytes()).filter(|slot| slot.runtime == runtime).map(|slot| slot.program);
    named.or_else(|| {
        let programs = catalogue::all()[runtime].programs;
        programs.iter().position(|program| name.as_bytes().starts_with(program.implementation.as_bytes()))
    })
}
