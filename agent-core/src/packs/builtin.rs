//! The packs that come with the agent, so that a laptop and a first look need nothing else.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use include_dir::{Dir, DirEntry, include_dir};

use super::RuntimeManifest;
use crate::config::parse_yaml;
use crate::error::{Doing, Error, ErrorKind, Result};

static PACKS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../packs");

/// Writes each built-in pack below `packs_dir` unless something of its name is there already, which may be somebody's
/// own version. Returns the directories of all built-in packs.
pub fn install_builtin(packs_dir: &Path) -> Result<Vec<PathBuf>> {
    let mut installed = Vec::new();
    for pack in PACKS.dirs() {
        let target = packs_dir.join(pack.path());
        if !target.exists() {
            // Whole or not at all: another process may look at the same moment, and this one may be killed.
            let staging = packs_dir.join(format!(".{}.{}", pack.path().display(), std::process::id()));
            write(pack, &staging, pack.path())?;
            match std::fs::rename(&staging, &target) {
                Err(_) if target.exists() => {
                    std::fs::remove_dir_all(&staging).doing(|| format!("remove {}", staging.display()))?;
                }
                renamed => renamed.doing(|| format!("create {}", target.display()))?,
            }
        }
        installed.push(target);
    }
    Ok(installed)
}

/// Writes the built-in pack of this name below `directory`; returns where it is.
///
/// # Errors
/// [`ErrorKind::Usage`] where no pack of this name is built in.
pub fn write_builtin(name: &str, directory: &Path) -> Result<PathBuf> {
    let Some(pack) = PACKS.dirs().find(|pack| pack.path() == Path::new(name)) else {
        let names: Vec<_> = PACKS.dirs().map(|pack| pack.path().display().to_string()).collect();
        return Err(Error::new(ErrorKind::Usage, format!("no pack called `{name}` is built in"))
            .hint(format!("there are {}", names.join(", "))));
    };
    let target = directory.join(pack.path());
    write(pack, &target, pack.path())?;
    Ok(target)
}

/// The runtimes that the built-in packs define, those of the core first.
pub fn builtin_runtimes() -> Vec<RuntimeManifest> {
    let files =
        PACKS.dirs().filter_map(|pack| PACKS.get_dir(pack.path().join("runtimes"))).flat_map(Dir::files);
    let texts = files.filter_map(|file| Some((file.path(), file.contents_utf8()?)));
    // They are part of this program, and its tests read them all.
    texts.filter_map(|(path, text)| parse_yaml(text, path).ok()).collect()
}

fn write(directory: &Dir<'_>, target: &Path, root: &Path) -> Result<()> {
    std::fs::create_dir_all(target).doing(|| format!("create {}", target.display()))?;
    for entry in directory.entries() {
        // Embedded paths start at the packs directory.
        let below = entry.path().strip_prefix(root).unwrap_or(entry.path());
        match entry {
            DirEntry::Dir(inner) => write(inner, &target.join(below), entry.path())?,
            DirEntry::File(file) => {
                let path = target.join(below);
                std::fs::write(&path, file.contents()).doing(|| format!("write {}", path.display()))?;
                // What runs itself says so in its first bytes; modes are not embedded.
                if file.contents().starts_with(b"#!") {
                    let mode = std::fs::Permissions::from_mode(0o755);
                    std::fs::set_permissions(&path, mode)
                        .doing(|| format!("make {} executable", path.display()))?;
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packs::Pack;

    #[test]
    fn the_built_in_packs_are_complete_and_readable() {
        let directory = tempfile::tempdir().unwrap();
        let packs = install_builtin(directory.path()).unwrap();
        assert!(packs.len() >= 2, "core and examples");
        for path in &packs {
            let pack = Pack::read(path).unwrap();
            for action in &pack.actions {
                let entry = path.join("actions").join(&action.entrypoint);
                assert!(entry.is_file(), "{} has no entry point {}", action.reference, action.entrypoint);
            }
        }
        // A second time changes nothing.
        assert_eq!(install_builtin(directory.path()).unwrap(), packs);
    }
}
