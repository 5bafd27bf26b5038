//! `attune-agent install`: copy this very program to where another container will start it.
//!
//! It is what an init container runs, in an image that holds nothing else: no shell, no `cp`, and any user.

use std::fs::{File, Metadata};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use agent_core::Error;
use rustix::fs::StatVfsMountFlags;

use crate::cli::InstallArgs;
use crate::exit::{Failure, print};

/// The name that the pod's command refers to.
const NAME: &str = "attune-agent";

/// What unfinished copies are called.
const UNFINISHED: &str = ".attune-agent.";

/// An unfinished copy older than this was left by an installation that was killed.
const LONGEST: Duration = Duration::from_mins(10);

/// Every user may execute it, nobody may change it.
const MODE: u32 = 0o555;

pub(crate) fn run(args: &InstallArgs) -> Result<ExitCode, Failure> {
    let begun = Instant::now();
    let target = args.directory.join(NAME);
    let installed = install(&args.directory, &target)?;
    let version = env!("CARGO_PKG_VERSION");
    let said = match installed {
        Installed::Before => format!("{} is attune-agent {version} already\n", target.display()),
        Installed::Now(bytes) => format!(
            "{} is attune-agent {version} now: {bytes} bytes in {} ms\n",
            target.display(),
            begun.elapsed().as_millis()
        ),
    };
    print(&said)?;
    Ok(ExitCode::SUCCESS)
}

/// What became of an installation.
enum Installed {
    /// The very same program is there already.
    Before,
    /// So many bytes were copied.
    Now(u64),
}

fn install(directory: &Path, target: &Path) -> Result<Installed, Failure> {
    let refused = |error: io::Error| refusal(directory, error);
    std::fs::create_dir_all(directory).map_err(refused)?;
    let mount = rustix::fs::statvfs(directory).map_err(|error| refused(error.into()))?;
    if mount.f_flag.contains(StatVfsMountFlags::NOEXEC) {
        let message = format!("nothing in {} can be executed: it is mounted noexec", directory.display());
        return Err(Error::new(agent_core::ErrorKind::System, message)
            .hint("use a volume that allows execution, such as an emptyDir")
            .into());
    }
    let mut own = File::open("/proc/self/exe")?;
    let bytes = own.metadata()?.len();
    if is_same(&mut own, bytes, target)? {
        return Ok(Installed::Before);
    }
    sweep(directory);
    // A new name first: whoever runs an earlier version keeps it, and nobody ever sees half of this one.
    let mut copy = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(directory).map_err(refused)?;
    io::copy(&mut File::open("/proc/self/exe")?, copy.as_file_mut()).map_err(refused)?;
    copy.as_file().set_permissions(PermissionsExt::from_mode(MODE)).map_err(refused)?;
    copy.as_file().sync_all().map_err(refused)?;
    copy.persist(target).map_err(|error| refused(error.error))?;
    // The name is as durable as the bytes.
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(refused)?;
    Ok(Installed::Now(bytes))
}

/// Whether `target` is what is being installed: the same bytes, and executable by everybody.
fn is_same(own: &mut File, bytes: u64, target: &Path) -> io::Result<bool> {
    let found: Metadata = match std::fs::symlink_metadata(target) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    if !found.is_file() || found.len() != bytes || found.mode() & MODE != MODE {
        return Ok(false);
    }
    // One that cannot be read is replaced.
    let Ok(mut other) = File::open(target) else { return Ok(false) };
    let (mut left, mut right) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    loop {
        let read = own.read(&mut left)?;
        if read == 0 {
            return Ok(true);
        }
        if other.read_exact(&mut right[..read]).is_err() || left[..read] != right[..read] {
            return Ok(false);
        }
    }
}

/// Removes what killed installations left; one that is under way is younger.
fn sweep(directory: &Path) {
    let is_old = |path: &PathBuf| {
        let modified = std::fs::symlink_metadata(path).and_then(|found| found.modified());
        modified.is_ok_and(|at| SystemTime::now().duration_since(at).is_ok_and(|age| age > LONGEST))
    };
    let entries = std::fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok);
    let unfinished =
        entries.filter(|entry| entry.file_name().as_encoded_bytes().starts_with(UNFINISHED.as_bytes()));
    for path in unfinished.map(|entry| entry.path()).filter(is_old) {
        if let Err(error) = std::fs::remove_file(&path) {
            tracing::debug!(path = %path.display(), %error, "an unfinished copy could not be removed");
        }
    }
}

/// Why nothing can be installed there, and what to do about it.
fn refusal(directory: &Path, error: io::Error) -> Failure {
    let hint = match error.kind() {
        ErrorKind::ReadOnlyFilesystem => {
            "mount the volume read-write here; it is the worker's container that should have it read-only"
                .to_owned()
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "the copy needs eight megabytes; raise the volume's sizeLimit".to_owned()
        }
        ErrorKind::PermissionDenied => not_permitted(directory),
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => "name a directory".to_owned(),
        _ => "any writable directory will do, such as an emptyDir's mount".to_owned(),
    };
    let message = format!("cannot install into {}", directory.display());
    Error::new(agent_core::ErrorKind::System, message).because(error).hint(hint).into()
}

/// Whose the directory is, and who asks.
fn not_permitted(directory: &Path) -> String {
    let user = rustix::process::geteuid().as_raw();
    match std::fs::metadata(directory) {
        Ok(found) => format!(
            "this is user {user}, and the directory is user {}'s with mode {:o}; `fsGroup` or `runAsUser` can match them",
            found.uid(),
            found.mode() & 0o7777
        ),
        Err(_) => format!("this is user {user}, who may not look into the directories above it"),
    }
}
