//! Putting a pack where workers look for it.

use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::Pack;
use crate::error::{Doing, Result};

/// Copies `pack`, which was read from `source`, below `packs_dir`, in place of an earlier one. One that is there already
/// stays.
pub fn install_pack(source: &Path, packs_dir: &Path, pack: &Pack) -> Result<()> {
    let target = packs_dir.join(pack.manifest.reference.as_str());
    let same =
        source.canonicalize().is_ok_and(|source| target.canonicalize().is_ok_and(|target| target == source));
    if same {
        return Ok(());
    }
    std::fs::create_dir_all(packs_dir).doing(|| format!("create {}", packs_dir.display()))?;
    replace_directory(source, &target)
}

/// Copies `source` beside `target` and moves it there, so that an execution sees the old pack or the new one.
fn replace_directory(source: &Path, target: &Path) -> Result<()> {
    let staging = sibling(target, "new");
    copy_directory(source, &staging)?;
    put_in_place(&staging, target)
}

/// Moves the directory `staging` to `target`; what was there is removed.
pub(super) fn put_in_place(staging: &Path, target: &Path) -> Result<()> {
    let describe = || format!("create {}", target.display());
    // Where there is one, both change places in one step: nobody finds none.
    let exchanged = renameat_with(CWD, staging, CWD, target, RenameFlags::EXCHANGE);
    let old = match exchanged {
        Ok(()) => staging.to_owned(),
        Err(Errno::NOENT) => return std::fs::rename(staging, target).doing(describe),
        // Not every file system can.
        Err(_) => {
            let old = sibling(target, "old");
            std::fs::rename(target, &old).doing(|| format!("move {} away", target.display()))?;
            std::fs::rename(staging, target).doing(describe)?;
            old
        }
    };
    std::fs::remove_dir_all(&old).doing(|| format!("remove {}", old.display()))
}

fn sibling(target: &Path, what: &str) -> PathBuf {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    target.with_file_name(format!(".{name}.{what}.{}", std::process::id()))
}

fn copy_directory(source: &Path, target: &Path) -> Result<()> {
    std::fs::create_dir_all(target).doing(|| format!("create {}", target.display()))?;
    let describe = || format!("copy {}", source.display());
    for entry in std::fs::read_dir(source).doing(describe)? {
        let entry = entry.doing(describe)?;
        let (from, to) = (entry.path(), target.join(entry.file_name()));
        // Links are copied as links: where they lead is decided when the action runs.
        if entry.file_type().doing(describe)?.is_symlink() {
            let leads_to = std::fs::read_link(&from).doing(describe)?;
            std::os::unix::fs::symlink(leads_to, &to).doing(|| format!("create {}", to.display()))?;
        } else if from.is_dir() {
            copy_directory(&from, &to)?;
        } else {
            std::fs::copy(&from, &to).doing(|| format!("copy {}", from.display()))?;
        }
    }
    Ok(())
}
