//! What is in a Debian package: read from what is installed on this machine, so nothing is fetched.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Ran;

/// What no program needs: distroless and slim images leave it out too.
const LEFT_OUT: &[&str] =
    &["/usr/share/doc/", "/usr/share/man/", "/usr/share/info/", "/usr/share/locale/", "/usr/share/lintian/"];

/// The packages that are installed, by the names that others depend on.
pub(crate) struct Installed {
    /// By name, and by whatever a package provides: what it depends on, each with its alternatives.
    depends: BTreeMap<String, Vec<Vec<String>>>,
    /// The package that a name stands for.
    provided: BTreeMap<String, String>,
    essential: Vec<String>,
}

impl Installed {
    pub(crate) fn read() -> Self {
        const FORMAT: &str =
            "${Package}\t${Essential}\t${db:Status-Status}\t${Pre-Depends}, ${Depends}\t${Provides}\n";
        let list =
            Ran::of(Command::new("dpkg-query").args(["--show", "--showformat", FORMAT])).expect_success();
        let mut installed =
            Self { depends: BTreeMap::new(), provided: BTreeMap::new(), essential: Vec::new() };
        for line in list.stdout.lines() {
            let [package, essential, "installed", depends, provides] =
                line.split('\t').collect::<Vec<_>>()[..]
            else {
                continue;
            };
            if essential == "yes" {
                installed.essential.push(package.to_owned());
            }
            let groups = depends.split(',').map(|group| group.split('|').filter_map(name).collect());
            installed.depends.insert(package.to_owned(), groups.collect());
            installed.provided.insert(package.to_owned(), package.to_owned());
            for provided in provides.split(',').filter_map(name) {
                installed.provided.entry(provided).or_insert_with(|| package.to_owned());
            }
        }
        installed
    }

    /// What every Debian system has.
    pub(crate) fn essential(&self) -> &[String] {
        &self.essential
    }

    pub(crate) fn has(&self, package: &str) -> bool {
        self.depends.contains_key(package)
    }

    /// These packages, and all that they depend on.
    pub(crate) fn closure(&self, packages: &[&str]) -> BTreeSet<String> {
        let mut closure = BTreeSet::new();
        let mut left: Vec<String> = packages.iter().map(|name| (*name).to_owned()).collect();
        while let Some(package) = left.pop() {
            if !closure.insert(package.clone()) {
                continue;
            }
            for alternatives in self.depends.get(&package).into_iter().flatten() {
                left.extend(alternatives.iter().find_map(|name| self.provided.get(name)).cloned());
            }
        }
        closure
    }
}

/// A dependency's name, without its version and architecture.
fn name(dependency: &str) -> Option<String> {
    let name = dependency.split_whitespace().next()?;
    Some(name.split(':').next().unwrap_or(name).to_owned())
}

/// The files and directories of these packages, where they are today: Debian has moved `/bin` and its like below `/usr`.
///
/// # Panics
/// Where a package is not installed.
pub(crate) fn files(packages: &[&str]) -> BTreeSet<PathBuf> {
    let mut query = Command::new("dpkg-query");
    let list = Ran::of(query.arg("--listfiles").args(packages)).expect_success();
    let paths = list.stdout.lines().filter(|line| line.starts_with('/') && *line != "/.");
    paths
        .filter(|path| !LEFT_OUT.iter().any(|left_out| path.starts_with(left_out)))
        .map(|path| {
            let moved = Path::new("/usr").join(path.trim_start_matches('/'));
            let first = path.split('/').nth(1).unwrap_or_default();
            let is_link = Path::new("/").join(first).is_symlink();
            if is_link && path.len() > first.len() + 1 { moved } else { PathBuf::from(path) }
        })
        .collect()
}

/// Which file each name of Debian's alternatives stands for: `/usr/bin/awk`, `/etc/alternatives/awk`.
pub(crate) fn alternatives() -> Vec<(PathBuf, PathBuf)> {
    let Ok(entries) = std::fs::read_dir("/var/lib/dpkg/alternatives") else { return Vec::new() };
    let read = |entry: std::fs::DirEntry| {
        let text = std::fs::read_to_string(entry.path()).ok()?;
        let name = PathBuf::from(text.lines().nth(1)?);
        Some((name, Path::new("/etc/alternatives").join(entry.file_name())))
    };
    entries.flatten().filter_map(read).collect()
}
