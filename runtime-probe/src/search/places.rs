//! Where interpreters are installed without being on `PATH`.
//!
//! Images set `PATH` for their own entry point, and an agent that is put into them may see another one.
//! The list is short on purpose: each directory that does not exist costs a microsecond.

use std::path::{Path, PathBuf};

use super::Wanted;
use crate::catalogue;
use crate::options::Options;
use crate::tree::Tree;

/// Directories that one kind of image or installer uses, and whose they are (`""` is anybody's).
const FIXED: &[(&str, &str)] = &[
    ("", "/usr/local/bin"),
    ("", "/usr/bin"),
    ("", "/bin"),
    ("node", "/nodejs/bin"),
    ("go", "/usr/local/go/bin"),
    ("java", "/opt/java/openjdk/bin"),
    ("julia", "/usr/local/julia/bin"),
    ("", "/opt/conda/bin"),
    ("", "/opt/homebrew/bin"),
    ("", "/home/linuxbrew/.linuxbrew/bin"),
    ("", "/nix/var/nix/profiles/default/bin"),
    ("", "/run/current-system/sw/bin"),
    ("", "/snap/bin"),
    ("dotnet", "/usr/share/dotnet"),
    ("dotnet", "/usr/lib/dotnet"),
    ("powershell", "/opt/microsoft/powershell/7"),
    ("deno", "/deno-dir/bin"),
];

/// Directories that a variable names, and what to append.
const NAMED: &[(&str, &str, &str)] = &[
    ("java", "JAVA_HOME", "bin"),
    ("go", "GOROOT", "bin"),
    ("", "CONDA_PREFIX", "bin"),
    ("python", "VIRTUAL_ENV", "bin"),
    ("dotnet", "DOTNET_ROOT", ""),
    ("deno", "DENO_INSTALL", "bin"),
    ("bun", "BUN_INSTALL", "bin"),
];

/// Collections: a variable that may name the base, where the base is otherwise (`~` is the home), the
/// directory with one entry for each version, and what to append to that.
const COLLECTIONS: &[(&str, &str, &str, &str, &str)] = &[
    ("python", "PYENV_ROOT", "~/.pyenv", "versions", "bin"),
    ("ruby", "RBENV_ROOT", "~/.rbenv", "versions", "bin"),
    ("node", "NODENV_ROOT", "~/.nodenv", "versions", "bin"),
    ("node", "NVM_DIR", "~/.nvm", "versions/node", "bin"),
    ("java", "", "/usr/lib", "jvm", "bin"),
    ("java", "SDKMAN_DIR", "~/.sdkman", "candidates/java", "bin"),
    ("", "", "/opt", "bitnami", "bin"),
];

/// A directory beside `PATH`.
pub(super) struct Beside {
    pub(super) path: PathBuf,
    /// Whether it is one version of a collection: all its names lead to the same interpreter.
    pub(super) is_version: bool,
}

impl Beside {
    const fn any(path: PathBuf) -> Self {
        Self { path, is_version: false }
    }
}

/// The directories beside `PATH` that may hold what is wanted.
pub(super) fn beside_path(tree: &Tree, options: &Options, wanted: &Wanted) -> Vec<Beside> {
    let is_wanted = |runtime: &str| match wanted {
        Some(wanted) if !runtime.is_empty() => {
            wanted.iter().any(|&index| catalogue::all()[index].name == runtime)
        }
        _ => true,
    };
    let mut places = Vec::new();
    for (_, variable, append) in NAMED.iter().filter(|(runtime, ..)| is_wanted(runtime)) {
        if let Some(base) = options.variable(variable).map(PathBuf::from).filter(|base| base.is_absolute()) {
            places.push(Beside::any(if append.is_empty() { base } else { base.join(append) }));
        }
    }
    places.extend(
        FIXED
            .iter()
            .filter(|(runtime, _)| is_wanted(runtime))
            .map(|(_, path)| Beside::any(PathBuf::from(path))),
    );
    for (_, variable, base, versions, append) in COLLECTIONS.iter().filter(|(runtime, ..)| is_wanted(runtime))
    {
        let Some(base) = base_of(options, variable, base) else {
            continue;
        };
        let collection = base.join(versions);
        let mut names = tree.names(&collection);
        // Greatest version first: these have no order of their own.
        names.sort_by(|left, right| crate::version::compare(&digits_of(right), &digits_of(left)));
        places.extend(names.into_iter().map(|name| Beside {
            path: collection.join(name).join(append),
            is_version: *versions != "bitnami",
        }));
    }
    places
}

fn base_of(options: &Options, variable: &str, base: &str) -> Option<PathBuf> {
    if let Some(named) = options.variable(variable) {
        return Some(PathBuf::from(named)).filter(|base| base.is_absolute());
    }
    match base.strip_prefix("~/") {
        Some(rest) => options.variable("HOME").map(|home| Path::new(&home).join(rest)),
        None => Some(PathBuf::from(base)),
    }
}

/// The version in a directory's name: `3.11.7`, `v20.1.0`, `java-17-openjdk-amd64`.
fn digits_of(name: &std::ffi::OsStr) -> String {
    let name = name.to_string_lossy();
    name.trim_start_matches(|c: char| !c.is_ascii_digit()).to_owned()
}
