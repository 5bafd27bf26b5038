//! Files that are installed together with a program and name its release.

use std::path::{Path, PathBuf};

use crate::report::{Evidence, EvidenceKind};
use crate::tree::Tree;
use crate::version::{self, Mark};

use super::Version;

/// More of a file is not read: releases are named at the top.
const LIMIT: usize = 16 * 1024;

/// Fills in `{prefix}` and `{dir}`.
fn place(real: &Path, template: &str) -> Option<PathBuf> {
    let directory = real.parent()?;
    let (base, rest) = match template.strip_prefix("{dir}") {
        Some(rest) => (directory, rest),
        None => (directory.parent()?, template.strip_prefix("{prefix}")?),
    };
    Some(match rest.strip_prefix("/../") {
        Some(rest) => base.parent()?.join(rest),
        None => base.join(rest.trim_start_matches('/')),
    })
}

/// The version in a text file.
pub(super) fn line(tree: &Tree, real: &Path, template: &str, mark: &Mark) -> Option<Version> {
    in_file(tree, &place(real, template)?, mark)
}

pub(super) fn in_file(tree: &Tree, path: &Path, mark: &Mark) -> Option<Version> {
    let text = tree.read(path, LIMIT)?;
    let version = mark.find(&text)?.to_owned();
    Some((version, Evidence::read(EvidenceKind::File, path, mark.text().trim())))
}

/// The greatest version that names an entry of a directory.
pub(super) fn greatest_entry(tree: &Tree, real: &Path, template: &str, mark: &Mark) -> Option<Version> {
    let directory = place(real, template)?;
    let names = tree.names(&directory);
    let versions = names.iter().filter_map(|name| mark.find(name.as_encoded_bytes()));
    let version = versions.max_by(|left, right| version::compare(left, right))?.to_owned();
    Some((version, Evidence::read(EvidenceKind::File, &directory, "the names in it")))
}

/// R's home is named by its launch script, and the base package there has R's version.
pub(super) fn r_home(tree: &Tree, real: &Path) -> Option<Version> {
    let directory = real.parent()?;
    let prefix = directory.parent()?;
    let script = tree.read(&directory.join("R"), LIMIT).unwrap_or_default();
    let named = script.split(|&byte| byte == b'\n').find_map(|line| {
        let home = std::str::from_utf8(line.strip_prefix(b"R_HOME_DIR=")?).ok()?;
        Some(PathBuf::from(home.trim().trim_matches('"'))).filter(|home| home.is_absolute())
    });
    let homes = [named, Some(prefix.join("lib/R")), Some(prefix.join("lib64/R")), Some(prefix.to_owned())];
    homes.into_iter().flatten().find_map(|home| {
        in_file(tree, &home.join("library/base/DESCRIPTION"), &Mark::after("\nVersion: ").parts(3))
    })
}
