//! Files that actions cannot read although they run as the user that can: the agent's credential files.
//!
//! Landlock (Linux 5.13) restricts a process, and all that it starts, to what is allowed below given directories. It
//! cannot forbid, so all siblings of what is hidden are allowed: those of the file, of its directory, and so on up to
//! the root. What is made in one of these directories later cannot be read by the action that runs then; so a file
//! cannot be hidden where everybody may make others, as in `/tmp`.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use landlock::{
    AccessFs, CompatLevel, Compatible, PathBeneath, PathFd, RestrictionStatus, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetStatus,
};
use rustix::thread::{CapabilitySet, capabilities};

/// A directory with more entries is no place for a credential, and would make every start slow.
const MOST_SIBLINGS: usize = 1024;

/// A credential file that actions can read all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exposed {
    /// Which.
    pub file: PathBuf,
    /// Why it cannot be hidden.
    pub why: &'static str,
}

impl Exposed {
    /// What to do about it.
    pub const HINT: &str = "give the credential as a variable, which is wiped once it is read, or mount the file in a directory that \
                            nobody else may write to";
}

/// Of `files`, those that can be hidden here, as real paths, and those that cannot.
pub(super) fn sort_out(files: Vec<PathBuf>, no_new_privileges: bool) -> (Vec<PathBuf>, Vec<Exposed>) {
    let supported = if files.is_empty() { Ok(()) } else { support(no_new_privileges) };
    let (mut hidden, mut exposed) = (BTreeSet::new(), Vec::new());
    for file in files {
        match supported.and_then(|()| place_of(&file)) {
            Ok(place) => {
                hidden.insert(place);
            }
            Err(why) => exposed.push(Exposed { file, why }),
        }
    }
    (hidden.into_iter().collect(), exposed)
}

/// What is to be hidden so that `file` is: itself, or its directory where it is a link to what changes its name with
/// every update, as in a mounted secret.
fn place_of(file: &Path) -> Result<PathBuf, &'static str> {
    let real = file.canonicalize().map_err(|_| "it cannot be found")?;
    let directory = file.parent().unwrap_or(Path::new("/"));
    let directory = directory.canonicalize().map_err(|_| "it cannot be found")?;
    let place = if real.parent() == Some(&directory) { real } else { directory };
    for above in place.ancestors().skip(1) {
        let mode = above.metadata().map_err(|_| "it cannot be found")?.permissions().mode();
        if mode & 0o002 != 0 {
            return Err("everybody may write to a directory that it is in");
        }
        if entries(above).map_err(|_| "a directory that it is in cannot be read")?.len() > MOST_SIBLINGS {
            return Err("a directory that it is in has too many entries");
        }
    }
    Ok(place)
}

fn entries(directory: &Path) -> io::Result<Vec<PathBuf>> {
    std::fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect()
}

/// Whether anything can be hidden: the kernel is asked for a ruleset, which is dropped.
fn support(no_new_privileges: bool) -> Result<(), &'static str> {
    // Or a setuid program could be fooled by what it cannot read.
    let privileged = || capabilities(None).is_ok_and(|own| own.effective.contains(CapabilitySet::SYS_ADMIN));
    if !no_new_privileges && !privileged() {
        return Err("`worker.no_new_privileges` is off");
    }
    ruleset().map(drop).map_err(|_| "this kernel has no Landlock")
}

fn ruleset() -> Result<RulesetCreated, landlock::RulesetError> {
    // Only reading is restricted, so that everything else stays as it is.
    Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::ReadFile)?
        .create()
}

/// Keeps the calling process, and whatever it becomes, from reading `hidden`.
pub(super) fn hide(hidden: &[PathBuf]) -> io::Result<()> {
    if hidden.is_empty() {
        return Ok(());
    }
    let mut rules = ruleset().map_err(io::Error::other)?;
    allow_beside(Path::new("/"), hidden, &mut rules)?;
    // Without new privileges, or as root, which both may restrict themselves.
    let status = rules.no_new_privs(false).restrict_self().map_err(io::Error::other)?;
    match status {
        RestrictionStatus { ruleset: RulesetStatus::FullyEnforced, .. } => Ok(()),
        _ => Err(io::ErrorKind::Unsupported.into()),
    }
}

/// Allows everything in `directory` that neither is hidden nor holds what is.
fn allow_beside(directory: &Path, hidden: &[PathBuf], rules: &mut RulesetCreated) -> io::Result<()> {
    for entry in entries(directory)? {
        if hidden.contains(&entry) {
            continue;
        }
        if hidden.iter().any(|place| place.starts_with(&entry)) {
            allow_beside(&entry, hidden, rules)?;
            continue;
        }
        // What vanishes meanwhile, or cannot be opened, cannot be read either. A link is allowed with what it leads to.
        if entry.is_symlink() {
            continue;
        }
        if let Ok(handle) = PathFd::new(&entry) {
            rules.add_rule(PathBeneath::new(handle, AccessFs::ReadFile)).map_err(io::Error::other)?;
        }
    }
    Ok(())
}
