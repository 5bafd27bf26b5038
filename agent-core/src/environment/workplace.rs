//! What tools need of the machine: a home and a place for temporary files that can be written to.

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use super::place::create_shared;
use crate::secrets::ChildEnvironment;

/// Nobody is there to be asked or told.
const QUIET: &[(&str, &str)] = &[
    ("PIP_NO_INPUT", "1"),
    ("PIP_DISABLE_PIP_VERSION_CHECK", "1"),
    ("npm_config_update_notifier", "false"),
    ("npm_config_fund", "false"),
    ("npm_config_audit", "false"),
    ("BUNDLE_SILENCE_ROOT_WARNING", "1"),
    ("GIT_TERMINAL_PROMPT", "0"),
];

/// The variables that tools start from. Where the image's home or temporary directory cannot be written to (a read-only
/// root, a user that the image does not know), one on the volume of environments takes its place; package caches, which
/// are below the home, are there too then.
pub(super) fn variables(child: &ChildEnvironment, envs_dir: &Path) -> io::Result<Vec<(OsString, OsString)>> {
    let mut variables = child.variables();
    for (name, value) in QUIET {
        if !variables.iter().any(|(present, _)| present == name) {
            variables.push(((*name).into(), (*value).into()));
        }
    }
    for (name, below) in [("HOME", ""), ("TMPDIR", "tmp")] {
        let held =
            variables.iter().find(|(present, _)| present == name).map(|(_, value)| PathBuf::from(value));
        if held.is_some_and(|directory| is_writable(&directory)) {
            continue;
        }
        let directory = own_home(envs_dir)?.join(below);
        std::fs::create_dir_all(&directory)?;
        variables.retain(|(present, _)| present != name);
        variables.push((name.into(), directory.into()));
    }
    Ok(variables)
}

/// One for each user: tools refuse what belongs to somebody else.
fn own_home(envs_dir: &Path) -> io::Result<PathBuf> {
    create_shared(envs_dir)?;
    let home = envs_dir.join(format!(".home-{}", rustix::process::geteuid().as_raw()));
    match std::fs::DirBuilder::new().mode(0o700).create(&home) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(home),
    }
}

fn is_writable(directory: &Path) -> bool {
    directory.is_dir() && access(directory, Access::WRITE_OK | Access::EXEC_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::HiddenVariables;

    #[test]
    fn a_home_that_cannot_be_used_is_replaced_and_one_that_can_is_kept() {
        let envs = tempfile::tempdir().unwrap();
        let image = tempfile::tempdir().unwrap();
        let own =
            [("HOME", "/nonexistent"), ("TMPDIR", image.path().to_str().unwrap()), ("PIP_NO_INPUT", "0")];
        let own = own.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        let child = ChildEnvironment::new(own, &HiddenVariables::default(), Path::new("/nonexistent"));
        let variables = variables(&child, envs.path()).unwrap();
        let get = |name: &str| {
            let held: Vec<_> = variables.iter().filter(|(present, _)| present == name).collect();
            assert_eq!(held.len(), 1, "{name}");
            PathBuf::from(&held[0].1)
        };
        assert!(get("HOME").starts_with(envs.path()) && get("HOME").is_dir());
        assert_eq!(get("TMPDIR"), image.path());
        assert_eq!(get("PIP_NO_INPUT"), Path::new("0"));
    }
}
