//! One file that may be an interpreter: what it is, and whether it could run here.

use std::ffi::{CStr, OsStr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, FileType, Stat, StatVfsMountFlags};
use rustix::io::Errno;

use crate::elf::{Elf, Source};
use crate::pages::{File, PAGE};
use crate::reason::Reason;
use crate::report::{Libc, Runnable};
use crate::tree::Tree;

/// Where nearly every program has all its headers.
const HEAD: usize = 1024;

/// An open file that may be an interpreter.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) file: File,
    pub(crate) identity: Identity,
    pub(crate) real: PathBuf,
    pub(crate) kind: Kind,
    mode: u32,
    size: usize,
}

/// An open file of which only the inode is known.
#[derive(Debug)]
pub(crate) struct Opened {
    fd: OwnedFd,
    stat: Stat,
}

impl Opened {
    /// Looks at what was opened as `path`: only a regular file will do.
    pub(crate) fn new(tree: &Tree, fd: OwnedFd, path: &Path) -> Result<Self, Reason> {
        let stat = rustix::fs::fstat(&fd).map_err(|error| failure(tree, path, error))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(Reason::NotAFile);
        }
        Ok(Self { fd, stat })
    }

    /// What was opened, where it was looked at just before.
    pub(crate) const fn seen(fd: OwnedFd, stat: Stat) -> Self {
        Self { fd, stat }
    }

    pub(crate) const fn stat(&self) -> &Stat {
        &self.stat
    }

    /// Who it is, where that can be told without its real path: unless it has several hard links.
    pub(crate) fn identity(&self) -> Option<Identity> {
        Identity::of_only_link(&self.stat)
    }
}

/// What makes a file itself, by whatever name. A hard link in another place is another program: what lies
/// beside it may differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    device: u64,
    inode: u64,
    place: Option<PathBuf>,
}

/// What kind of file it is.
#[derive(Debug)]
pub(crate) enum Kind {
    /// A program for some processor.
    Elf(Box<Elf>),
    /// A text file with a first line that names its interpreter.
    Script {
        /// The interpreter.
        interpreter: PathBuf,
        /// The start of the text.
        text: Vec<u8>,
    },
    /// Neither.
    Other,
}

/// Opens what `path` leads to and says what is wrong where that is impossible.
pub(crate) fn failure(tree: &Tree, path: &Path, error: Errno) -> Reason {
    match error {
        Errno::NOENT | Errno::NOTDIR => match tree.read_link(path) {
            Some(target) => Reason::Dangling { target },
            None => Reason::Unreadable { error: describe(error) },
        },
        Errno::LOOP => Reason::Loop,
        Errno::NXIO | Errno::ISDIR => Reason::NotAFile,
        _ => Reason::Unreadable { error: describe(error) },
    }
}

/// What the system calls an error, without Rust's "(os error N)".
pub(crate) fn describe(error: Errno) -> String {
    let text = std::io::Error::from(error).to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}

impl Program {
    /// Finds out what a file is really called, unless that is known.
    pub(crate) fn new(tree: &Tree, opened: Opened, path: &Path, real: Option<PathBuf>) -> Self {
        let Opened { fd, stat } = opened;
        let real = real.unwrap_or_else(|| tree.real(fd.as_fd(), path));
        let identity = Identity::new(&stat, &real);
        let file = tree.pages.file(fd);
        let size = usize::try_from(stat.st_size).unwrap_or(usize::MAX);
        Self { file, identity, real, kind: Kind::Other, mode: stat.st_mode, size }
    }

    /// Reads the start, which tells what it is.
    pub(crate) fn look(&mut self, tree: &Tree) {
        let source = tree.pages.source(&self.file);
        let mut head = [0; HEAD];
        let filled = source.read_at(&mut head, 0);
        let head = &head[..filled];
        self.kind = if let Some(elf) = Elf::parse(head, &source) {
            Kind::Elf(Box::new(elf))
        } else if head.starts_with(b"#!") {
            let mut text = vec![0; self.size.min(PAGE)];
            let filled = source.read_at(&mut text, 0);
            text.truncate(filled);
            match shebang(&text) {
                Some(interpreter) => Kind::Script { interpreter, text },
                None => Kind::Other,
            }
        } else {
            Kind::Other
        };
    }

    /// Judges what was looked at. `Ok` is how likely it is to run.
    /// `handle` is the program in an open directory, where it was found in one.
    pub(crate) fn judge(
        &self,
        tree: &Tree,
        handle: Option<(BorrowedFd<'_>, &CStr)>,
    ) -> Result<Runnable, Reason> {
        self.may_execute(tree, handle)?;
        match &self.kind {
            Kind::Elf(elf) => runnable(tree, elf),
            Kind::Script { interpreter, .. } if !tree.provides(interpreter) => {
                Err(Reason::MissingInterpreter { interpreter: interpreter.clone() })
            }
            Kind::Script { .. } => Ok(Runnable::Likely),
            Kind::Other => Err(Reason::Malformed),
        }
    }

    fn may_execute(&self, tree: &Tree, handle: Option<(BorrowedFd<'_>, &CStr)>) -> Result<(), Reason> {
        if self.mode & 0o111 == 0 {
            return Err(Reason::NotExecutable);
        }
        if tree.is_foreign() {
            return Ok(());
        }
        // The kernel's word on it: mode bits, access lists and mount options, for who we are.
        let word = if let Some((directory, name)) = handle {
            rustix::fs::accessat(directory, name, Access::EXEC_OK, AtFlags::EACCESS)
        } else {
            let real: &Path = &self.real;
            rustix::fs::accessat(rustix::fs::CWD, real, Access::EXEC_OK, AtFlags::EACCESS)
        };
        if word != Err(Errno::ACCESS) {
            return Ok(());
        }
        let noexec = rustix::fs::fstatvfs(&self.file)
            .is_ok_and(|mount| mount.f_flag.contains(StatVfsMountFlags::NOEXEC));
        Err(if noexec { Reason::NoExecMount } else { Reason::NotExecutable })
    }

    /// Whether it is a text that another program interprets.
    pub(crate) const fn is_script(&self) -> bool {
        matches!(self.kind, Kind::Script { .. })
    }

    /// The processor architecture, unless it is a script.
    pub(crate) fn arch(&self) -> Option<&'static str> {
        match &self.kind {
            Kind::Elf(elf) => Some(elf.arch()),
            _ => None,
        }
    }

    /// The C library, unless it is a script.
    pub(crate) fn libc(&self) -> Option<Libc> {
        let Kind::Elf(elf) = &self.kind else { return None };
        let Some(loader) = &elf.interpreter else {
            return Some(Libc::Static);
        };
        let name = loader.file_name().map(OsStr::as_bytes).unwrap_or_default();
        Some(if name.starts_with(b"ld-musl") {
            Libc::Musl
        } else if name.starts_with(b"ld-linux") || name.starts_with(b"ld64") || name == b"ld.so.1" {
            Libc::Glibc
        } else {
            Libc::Other
        })
    }
}

impl Identity {
    /// Who a file is that has no other hard link.
    pub(crate) fn of_only_link(stat: &Stat) -> Option<Self> {
        let Stat { st_dev, st_ino, st_nlink, .. } = *stat;
        (st_nlink == 1).then_some(Self { device: st_dev, inode: st_ino, place: None })
    }

    /// The inode, which alone tells nothing apart for sure.
    pub(crate) const fn inode(&self) -> u64 {
        self.inode
    }

    fn new(stat: &Stat, real: &Path) -> Self {
        let place = if stat.st_nlink > 1 { real.parent().map(Path::to_owned) } else { None };
        Self { device: stat.st_dev, inode: stat.st_ino, place }
    }

    /// Who a file is, by the real directory that it is in.
    pub(crate) fn in_directory<'p>(stat: &Stat, directory: impl FnOnce() -> &'p Path) -> Self {
        let place = (stat.st_nlink > 1).then(|| directory().to_owned());
        Self { device: stat.st_dev, inode: stat.st_ino, place }
    }
}

/// The interpreter that a script's first line names.
fn shebang(head: &[u8]) -> Option<PathBuf> {
    let line = head.strip_prefix(b"#!")?.split(|&byte| byte == b'\n').next()?;
    let line = line.trim_ascii_start();
    let end = line.iter().position(u8::is_ascii_whitespace).unwrap_or(line.len());
    (end > 0).then(|| PathBuf::from(OsStr::from_bytes(&line[..end])))
}

/// Whether a program would start: its processor, its loader.
fn runnable(tree: &Tree, elf: &Elf) -> Result<Runnable, Reason> {
    if let Some(loader) = &elf.interpreter
        && !tree.provides(loader)
    {
        return Err(Reason::MissingLoader { loader: loader.clone() });
    }
    let machine = std::env::consts::ARCH;
    let same = match (elf.arch(), machine) {
        ("i686" | "x32", "x86_64")
        | ("armv7l", "aarch64" | "arm")
        | ("i686", "x86")
        | ("ppc64le" | "ppc64", "powerpc64") => true,
        (program, machine) => program == machine,
    };
    if same {
        return Ok(Runnable::Likely);
    }
    let emulator = Path::new("/proc/sys/fs/binfmt_misc").join(format!("qemu-{}", elf.arch()));
    if tree.is_foreign() || emulator.exists() {
        return Ok(Runnable::Unknown);
    }
    Err(Reason::WrongArchitecture { program: elf.arch().to_owned(), machine: machine.to_owned() })
}
