//! Erlang: the release that a launcher starts, without starting a virtual machine.

use std::path::{Path, PathBuf};

use super::Version;
use crate::program::{Kind, Program};
use crate::report::{Evidence, EvidenceKind};
use crate::tree::Tree;

/// The release of the installation that `program` belongs to.
pub(super) fn release(tree: &Tree, program: &Program) -> Option<Version> {
    homes(program).find_map(|home| in_home(tree, &home, None))
}

/// The release whose emulator has this version: what `erl -version` prints is the emulator's.
pub(crate) fn release_of(tree: &Tree, real: &Path, emulator: &str) -> Option<Version> {
    in_home(tree, real.parent()?.parent()?, Some(emulator))
}

/// The home that the launch script names, else the directory above its own.
fn homes(program: &Program) -> impl Iterator<Item = PathBuf> {
    let named = match &program.kind {
        Kind::Script { text, .. } => text.split(|&byte| byte == b'\n').find_map(|line| {
            let home = std::str::from_utf8(line.strip_prefix(b"ROOTDIR=")?).ok()?;
            Some(PathBuf::from(home.trim().trim_matches('"'))).filter(|home| home.is_absolute())
        }),
        _ => None,
    };
    let above = program.real.parent().and_then(Path::parent).map(Path::to_owned);
    named.into_iter().chain(above)
}

fn in_home(tree: &Tree, home: &Path, emulator: Option<&str>) -> Option<Version> {
    let releases = home.join("releases");
    let started = tree.read(&releases.join("start_erl.data"), 128)?;
    let mut words = std::str::from_utf8(&started).ok()?.split_ascii_whitespace();
    let (started_emulator, release) = (words.next()?, words.next()?);
    if emulator.is_some_and(|emulator| emulator != started_emulator) || release.contains('/') {
        return None;
    }
    let file = releases.join(release).join("OTP_VERSION");
    let text = tree.read(&file, 128)?;
    let version = crate::version::read(text.trim_ascii())?.to_owned();
    Some((version, Evidence::read(EvidenceKind::File, &file, "OTP_VERSION")))
}
