//! The file system that is probed: this machine's own, or an unpacked one under some directory.
//!
//! Every file this crate opens, it opens here. Paths are those of the probed tree; where the tree lies
//! under a root, symbolic links are followed inside it by hand, so that an absolute link in an image
//! never leads into the machine that looks at it. Every look can be remembered: that is what a cached
//! answer depends on.

use std::cell::RefCell;
use std::ffi::{CStr, CString, OsStr, OsString};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, Stat};
use rustix::io::Errno;

use crate::cache::Watch;
use crate::pages::Pages;

/// A regular file is opened without waiting for a FIFO's other end and without getting a terminal.
const FILE: OFlags = OFlags::CLOEXEC.union(OFlags::NONBLOCK).union(OFlags::NOCTTY);
const DIRECTORY: OFlags = OFlags::CLOEXEC.union(OFlags::DIRECTORY);
/// As many links as Linux itself follows.
const LINKS: usize = 40;

/// The file system that is probed.
#[derive(Debug)]
pub(crate) struct Tree {
    root: Option<PathBuf>,
    watches: Option<RefCell<Vec<Watch>>>,
    /// Loaders and script interpreters: few files that many programs need.
    needed: RefCell<Vec<(PathBuf, bool)>>,
    /// What was read of the files opened last.
    pub(crate) pages: Pages,
}

impl Tree {
    /// The tree under `root`; `None` is this machine's own. With `remember`, every look is noted.
    pub(crate) fn new(root: Option<&Path>, remember: bool) -> std::io::Result<Self> {
        let root = match root {
            Some(root) if root != Path::new("/") => {
                let root = root.canonicalize()?;
                rustix::fs::open(&root, DIRECTORY, Mode::empty())?;
                Some(root)
            }
            _ => None,
        };
        Ok(Self {
            root,
            watches: remember.then(RefCell::default),
            needed: RefCell::default(),
            pages: Pages::default(),
        })
    }

    /// Whether this is another root than the one we run in.
    pub(crate) const fn is_foreign(&self) -> bool {
        self.root.is_some()
    }

    /// Everything that was looked at so far.
    pub(crate) fn watches(&self) -> Vec<Watch> {
        self.watches.as_ref().map(RefCell::take).unwrap_or_default()
    }

    fn note(&self, path: &Path, stat: Option<&Stat>) {
        if let Some(watches) = &self.watches {
            watches.borrow_mut().push(Watch::new(path, stat));
        }
    }

    /// Opens what `path` leads to.
    pub(crate) fn open(&self, path: &Path) -> Result<OwnedFd, Errno> {
        let opened = self.on_host(path).and_then(|host| rustix::fs::open(host.as_ref(), FILE, Mode::empty()));
        if self.watches.is_some() {
            let stat = opened.as_ref().ok().and_then(|fd| rustix::fs::fstat(fd).ok());
            self.note(path, stat.as_ref());
        }
        opened
    }

    /// Opens the directory that `path` leads to.
    pub(crate) fn open_directory(&self, path: &Path) -> Result<OwnedFd, Errno> {
        let opened =
            self.on_host(path).and_then(|host| rustix::fs::open(host.as_ref(), DIRECTORY, Mode::empty()));
        if self.watches.is_some() {
            let stat = opened.as_ref().ok().and_then(|fd| rustix::fs::fstat(fd).ok());
            self.note(path, stat.as_ref());
        }
        opened
    }

    /// Opens `name` in an open directory; `path` is the two together.
    pub(crate) fn open_in(
        &self,
        directory: BorrowedFd<'_>,
        name: &CStr,
        path: &Path,
    ) -> Result<OwnedFd, Errno> {
        if self.needs_paths() {
            return self.open(path);
        }
        rustix::fs::openat(directory, name, FILE, Mode::empty())
    }

    /// What is at `path`, behind all links.
    pub(crate) fn stat(&self, path: &Path) -> Option<Stat> {
        self.on_host(path).and_then(|host| rustix::fs::stat(host.as_ref())).ok()
    }

    /// Whether there is something at `path`, behind all links.
    pub(crate) fn exists(&self, path: &Path) -> bool {
        if self.watches.is_some() {
            let stat = self.on_host(path).and_then(|host| rustix::fs::stat(host.as_ref())).ok();
            self.note(path, stat.as_ref());
            return stat.is_some();
        }
        self.on_host(path)
            .and_then(|host| rustix::fs::access(host.as_ref(), rustix::fs::Access::EXISTS))
            .is_ok()
    }

    /// [`Tree::exists`] for a file that many programs need: looked for once.
    pub(crate) fn provides(&self, path: &Path) -> bool {
        let mut needed = self.needed.borrow_mut();
        // By bytes: two paths are compared part by part.
        if let Some((_, exists)) = needed.iter().find(|(known, _)| known.as_os_str() == path.as_os_str()) {
            return *exists;
        }
        let exists = self.exists(path);
        needed.push((path.to_owned(), exists));
        exists
    }

    /// What `name` in an open directory is, if it is there, and all about it where that is known; `path` is the
    /// two together.
    pub(crate) fn kind_in(
        &self,
        directory: BorrowedFd<'_>,
        name: &CStr,
        path: impl Fn() -> PathBuf,
    ) -> Option<(FileType, Option<Stat>)> {
        if self.needs_paths() {
            let path = path();
            if self.read_link(&path).is_some() {
                return Some((FileType::Symlink, None));
            }
            return self.exists(&path).then_some((FileType::Unknown, None));
        }
        let stat = self.stat_in(directory, name)?;
        Some((FileType::from_raw_mode(stat.st_mode), Some(stat)))
    }

    /// What `name` in an open directory is, links not followed: only for this machine's own tree, and only if
    /// looks need not be noted.
    pub(crate) fn stat_in(&self, directory: BorrowedFd<'_>, name: &CStr) -> Option<Stat> {
        if self.needs_paths() {
            return None;
        }
        rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).ok()
    }

    /// Where the link `name` in an open directory points, as it is written, where [`Tree::stat_in`] answers.
    pub(crate) fn link_in(&self, directory: BorrowedFd<'_>, name: &CStr) -> Option<CString> {
        if self.needs_paths() {
            return None;
        }
        rustix::fs::readlinkat(directory, name, Vec::new()).ok()
    }

    /// Whether an open directory is not enough: links are followed by hand, or every look is noted.
    pub(crate) const fn needs_paths(&self) -> bool {
        self.root.is_some() || self.watches.is_some()
    }

    /// The start of a text file, at most `limit` bytes of it.
    pub(crate) fn read(&self, path: &Path, limit: usize) -> Option<Vec<u8>> {
        let file = self.open(path).ok()?;
        let size = rustix::fs::fstat(&file).ok().and_then(|stat| usize::try_from(stat.st_size).ok())?;
        // The files of /proc and /sys have no size, but are small.
        let mut text = vec![0; if size == 0 { limit.min(4096) } else { size.min(limit) }];
        let mut filled = 0;
        while filled < text.len() {
            match rustix::io::read(&file, &mut text[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(Errno::INTR) => {}
                Err(_) => return None,
            }
        }
        text.truncate(filled);
        Some(text)
    }

    /// The names in a directory, in no order; none when it cannot be read.
    pub(crate) fn names(&self, path: &Path) -> Vec<OsString> {
        let Ok(directory) = self.open_directory(path) else {
            return Vec::new();
        };
        let mut buffer = [MaybeUninit::uninit(); 8192];
        let mut entries = RawDir::new(&directory, &mut buffer);
        let mut names = Vec::new();
        while let Some(Ok(entry)) = entries.next() {
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(OsStr::from_bytes(name).to_owned());
            }
        }
        names
    }

    /// Where a link points, as it is written.
    pub(crate) fn read_link(&self, path: &Path) -> Option<PathBuf> {
        let host = match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) if self.root.is_some() => self.on_host(parent).ok()?.join(name),
            _ => path.to_owned(),
        };
        let target = rustix::fs::readlink(host, Vec::new()).ok()?;
        Some(PathBuf::from(OsString::from_vec(target.into_bytes())))
    }

    /// The path behind all links of what was opened as `path`.
    pub(crate) fn real(&self, file: BorrowedFd<'_>, path: &Path) -> PathBuf {
        if self.root.is_none() {
            let mut name = [0_u8; 32];
            if let Some(real) = own_descriptor(file, &mut name)
                .and_then(|link| rustix::fs::readlink(link, Vec::with_capacity(128)).ok())
                .filter(|real| real.to_bytes().first() == Some(&b'/'))
            {
                return PathBuf::from(OsString::from_vec(real.into_bytes()));
            }
        }
        // Another root, or `/proc` is not mounted.
        self.resolve(path).unwrap_or_else(|_| path.to_owned())
    }

    /// The path on this machine, without links where the tree has a root.
    fn on_host<'p>(&self, path: &'p Path) -> Result<std::borrow::Cow<'p, Path>, Errno> {
        match &self.root {
            None => Ok(path.into()),
            Some(root) => {
                let inside = self.resolve(path)?;
                Ok(root.join(inside.strip_prefix("/").unwrap_or(&inside)).into())
            }
        }
    }

    /// Follows every link of `path` inside the tree.
    pub(crate) fn resolve(&self, path: &Path) -> Result<PathBuf, Errno> {
        let root = self.root.as_deref().unwrap_or(Path::new("/"));
        let mut done = PathBuf::from("/");
        let mut pending: Vec<OsString> = components(path);
        let mut links = 0;
        while let Some(component) = pending.pop() {
            if component == ".." {
                done.pop();
                continue;
            }
            done.push(&component);
            let host = root.join(done.strip_prefix("/").unwrap_or(&done));
            match rustix::fs::readlink(&host, Vec::new()) {
                Ok(target) => {
                    links += 1;
                    if links > LINKS {
                        return Err(Errno::LOOP);
                    }
                    let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
                    done.pop();
                    if target.is_absolute() {
                        done = PathBuf::from("/");
                    }
                    pending.extend(components(&target));
                }
                Err(Errno::INVAL) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }
}

/// The components of a path in the order in which a stack gives them back.
fn components(path: &Path) -> Vec<OsString> {
    path.components()
        .rev()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some("..".into()),
            _ => None,
        })
        .collect()
}

/// `/proc/self/fd/N`, without an allocation: it is wanted for every candidate.
fn own_descriptor<'b>(file: BorrowedFd<'_>, buffer: &'b mut [u8; 32]) -> Option<&'b CStr> {
    use std::io::Write as _;
    use std::os::fd::AsRawFd as _;
    let number = file.as_fd().as_raw_fd();
    write!(&mut buffer[..], "/proc/self/fd/{number}\0").ok()?;
    CStr::from_bytes_until_nul(buffer).ok()
}
