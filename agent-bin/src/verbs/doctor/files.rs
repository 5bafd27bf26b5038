//! What is in the image's file system, and what can be put there.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use runtime_probe::{Libc, Report, glibc_release};
use rustix::fs::{StatVfs, StatVfsMountFlags, statvfs};

use super::check::Check;

const CATEGORY: &str = "files";

/// Where distributions keep the certificates that they trust.
const CERTIFICATES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// What container runtimes give by default: 64 MiB, or 64 000 KiB.
const USUAL_SHM: u64 = 64_000 << 10;

pub(super) fn checks(found: &Report) -> Vec<Check> {
    let path = std::env::var_os("PATH");
    [Some(root()), Some(temporary()), shared_memory(), Some(path_check(path.as_deref())), Some(libc(found))]
        .into_iter()
        .flatten()
        .chain([certificates()])
        .collect()
}

/// A file that is made and removed at once.
pub(super) fn try_to_write(directory: &Path) -> std::io::Result<()> {
    // The library's own words name a file that nobody knows.
    tempfile::NamedTempFile::new_in(directory).map(drop).map_err(|error| error.kind().into())
}

fn root() -> Check {
    match statvfs("/") {
        Ok(root) if root.f_flag.contains(StatVfsMountFlags::RDONLY) => {
            Check::fine(CATEGORY, "the root file system is read-only")
        }
        Ok(_) => {
            Check::fine(CATEGORY, "the root file system can be written, as far as its permissions allow")
        }
        Err(error) => Check::doubtful(
            CATEGORY,
            format!("the root file system cannot be looked at: {error}"),
            "see what confines this container",
        ),
    }
}

/// Where actions and tools put what they do not keep.
fn temporary() -> Check {
    let named = std::env::var_os("TMPDIR").filter(|named| !named.is_empty()).map(PathBuf::from);
    let places: Vec<_> = named.into_iter().chain([PathBuf::from("/tmp")]).collect();
    let Some(place) = places.iter().find(|place| try_to_write(place).is_ok()) else {
        let names: Vec<_> = places.iter().map(|place| place.display().to_string()).collect();
        return Check::doubtful(
            CATEGORY,
            format!("no temporary file can be made in {}", names.join(" or ")),
            "mount an emptyDir at /tmp, or give the worker a directory of its own with ATTUNE_WORK_DIR",
        );
    };
    let detail = format!("temporary files can be made in {}", place.display());
    let is_noexec = |mount: StatVfs| mount.f_flag.contains(StatVfsMountFlags::NOEXEC);
    if statvfs(place).is_ok_and(is_noexec) {
        let detail = format!("{detail}, and nothing there can be executed");
        return Check::fine(CATEGORY, detail).hint(
            "what compiles and runs there, such as `go run` or native gems, needs a TMPDIR without noexec",
        );
    }
    Check::fine(CATEGORY, detail)
}

/// `None` where the kernel shows no size.
fn shared_memory() -> Option<Check> {
    let place = Path::new("/dev/shm");
    if !place.is_dir() {
        let detail = "there is no /dev/shm, which multiprocessing in Python and browsers use";
        return Some(Check::doubtful(CATEGORY, detail, "mount an emptyDir of medium Memory there"));
    }
    let size = statvfs(place).map(|mount| mount.f_blocks * mount.f_frsize).ok()?;
    let detail = format!("/dev/shm has {}", bytes(size));
    Some(if size < USUAL_SHM {
        let hint = "what shares memory, such as data loaders and browsers, fails or crashes with so little; \
            mount an emptyDir of medium Memory there";
        Check::doubtful(CATEGORY, detail, hint)
    } else {
        Check::fine(CATEGORY, detail)
    })
}

fn path_check(path: Option<&OsStr>) -> Check {
    let Some(path) = path.filter(|path| !path.is_empty()) else {
        return Check::fine(CATEGORY, "PATH is not set: actions are given the usual directories");
    };
    let directories: Vec<_> = std::env::split_paths(path).collect();
    if directories.iter().any(|directory| !directory.is_absolute()) {
        return Check::doubtful(
            CATEGORY,
            format!("PATH leads to wherever an action happens to be: {}", path.display()),
            "name only absolute directories in it",
        );
    }
    let there = directories.iter().filter(|directory| directory.is_dir()).count();
    if there == 0 {
        return Check::doubtful(
            CATEGORY,
            format!("none of the directories in PATH is there: {}", path.display()),
            "set PATH to where the image has its programs; interpreters in the usual places are found without it",
        );
    }
    Check::fine(CATEGORY, format!("PATH has {} directories, of which {there} are there", directories.len()))
}

/// The library that programs of this image are built for.
fn libc(found: &Report) -> Check {
    let uses = |libc: Libc| found.runtimes.iter().find(|interpreter| interpreter.libc == Some(libc));
    if let Some(interpreter) = uses(Libc::Glibc) {
        let release =
            glibc_release(&interpreter.path).map_or_else(String::new, |release| format!(" {release}"));
        return Check::fine(CATEGORY, format!("the C library is glibc{release}"));
    }
    if uses(Libc::Musl).is_some() {
        return Check::fine(CATEGORY, "the C library is musl")
            .hint("packages that bring programs built for glibc only, as many Python wheels, are compiled or fail here");
    }
    Check::fine(CATEGORY, "no interpreter here needs a C library: only static programs are sure to start")
}

/// The worker has roots of trust of its own; what actions start may want the image's.
fn certificates() -> Check {
    let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let places = named.into_iter().chain(CERTIFICATES.iter().map(PathBuf::from));
    match places.into_iter().find(|place| place.is_file()) {
        Some(place) => Check::fine(CATEGORY, format!("CA certificates are in {}", place.display())),
        None => Check::fine(CATEGORY, "there are no CA certificates; the worker has its own")
            .hint("actions that use TLS, and builds that download, may want the package ca-certificates"),
    }
}

/// A size for people.
pub(super) fn bytes(size: u64) -> String {
    match size {
        0..1_048_576 => format!("{} KiB", size >> 10),
        1_048_576..10_737_418_240 => format!("{} MiB", size >> 20),
        _ => format!("{} GiB", size >> 30),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(path: Option<&str>) -> String {
        format!("{:?}", path_check(path.map(OsStr::new)))
    }

    #[test]
    fn a_path_that_depends_on_the_directory_is_told() {
        assert!(told(Some("/bin:.")).contains("Doubtful"));
        assert!(told(Some("/bin:")).contains("Doubtful"), "an empty part is the directory one is in");
        assert!(told(Some("/nowhere")).contains("none of the directories"));
        assert!(told(Some("/proc:/nowhere")).contains("2 directories, of which 1"));
        assert!(told(Some("")).contains("not set"));
        assert!(told(None).contains("not set"));
    }

    #[test]
    fn sizes_are_for_people() {
        assert_eq!(bytes(1024), "1 KiB");
        assert_eq!(bytes(64 << 20), "64 MiB");
        assert_eq!(bytes(23 << 30), "23 GiB");
    }
}
