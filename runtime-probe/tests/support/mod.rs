//! Fixtures that tests make themselves: root file systems, and ELF files built by hand.
//!
//! No binary is committed, and no interpreter must be installed.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::allow_attributes,
    reason = "each test binary uses its own part of the fixtures, and `expect` would have to know which"
)]

pub mod elf;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

pub use elf::Elf;
use runtime_probe::{Ask, Interpreter, Options, Rejected, Report, probe};

/// A root file system in a temporary directory.
pub struct Root {
    directory: tempfile::TempDir,
}

/// The loader that a glibc program on x86-64 asks for.
pub const GLIBC: &str = "/lib64/ld-linux-x86-64.so.2";
/// The loader that a musl program on x86-64 asks for.
pub const MUSL: &str = "/lib/ld-musl-x86_64.so.1";

impl Root {
    /// An empty root.
    pub fn new() -> Self {
        Self { directory: tempfile::tempdir().expect("a temporary directory") }
    }

    /// A root with both C libraries' loaders, so that no fixture fails for want of one.
    pub fn with_loaders() -> Self {
        let root = Self::new();
        root.file(GLIBC, b"").file(MUSL, b"");
        root
    }

    /// Where a path of this root is on this machine.
    pub fn host(&self, path: &str) -> PathBuf {
        self.directory.path().join(path.trim_start_matches('/'))
    }

    fn write(&self, path: &str, bytes: &[u8], mode: u32) -> &Self {
        let host = self.host(path);
        fs::create_dir_all(host.parent().expect("a parent")).expect("directories");
        fs::write(&host, bytes).expect("a file");
        fs::set_permissions(&host, fs::Permissions::from_mode(mode)).expect("permissions");
        self
    }

    /// A file that is not executable.
    pub fn file(&self, path: &str, bytes: &[u8]) -> &Self {
        self.write(path, bytes, 0o644)
    }

    /// An executable file.
    pub fn program(&self, path: &str, bytes: &[u8]) -> &Self {
        self.write(path, bytes, 0o755)
    }

    /// An executable ELF file.
    pub fn elf(&self, path: &str, elf: &Elf) -> &Self {
        self.program(path, &elf.build())
    }

    /// A symbolic link.
    pub fn link(&self, path: &str, target: &str) -> &Self {
        let host = self.host(path);
        fs::create_dir_all(host.parent().expect("a parent")).expect("directories");
        symlink(target, &host).expect("a link");
        self
    }

    /// A directory.
    pub fn directory(&self, path: &str) -> &Self {
        fs::create_dir_all(self.host(path)).expect("a directory");
        self
    }

    /// Options that read this root and ask nobody.
    pub fn options(&self) -> Options {
        Options::fast().root(self.directory.path()).path("/usr/local/bin:/usr/bin:/bin").ask(Ask::Never)
    }

    /// What fast mode finds in this root.
    pub fn probe(&self) -> Report {
        probe(&self.options()).expect("a report")
    }

    /// Options that look at one directory of this root as a part of this very machine.
    pub fn here(&self, path: &str) -> Options {
        Options::fast()
            .path(self.host(path))
            .off_path(false)
            .ask(Ask::Never)
            .variables([] as [(&str, &str); 0])
    }
}

/// The interpreter that a report has at a path.
pub fn at<'r>(report: &'r Report, path: &str) -> &'r Interpreter {
    let found = report.runtimes.iter().find(|interpreter| interpreter.path == Path::new(path));
    found.unwrap_or_else(|| panic!("no interpreter at {path} in\n{}", report.table()))
}

/// The version that a report has at a path.
pub fn version<'r>(report: &'r Report, path: &str) -> Option<&'r str> {
    at(report, path).version.as_deref()
}

/// What a report rejected at a path.
pub fn rejected<'r>(report: &'r Report, path: &str) -> &'r Rejected {
    let found = report.rejected.iter().find(|rejected| rejected.path == Path::new(path));
    found.unwrap_or_else(|| panic!("nothing rejected at {path} in\n{}", report.table()))
}
