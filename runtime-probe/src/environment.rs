//! Which environment an interpreter belongs to: a venv, a conda prefix, a store, a version manager.
//!
//! The environment is read from where the interpreter is, never from the caller's shell. It says which
//! libraries a script will see, so two interpreters that share a file but not an environment are two.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::tree::Tree;

/// An environment that an interpreter belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// What kind it is.
    pub kind: EnvironmentKind,
    /// Its root directory.
    pub prefix: PathBuf,
    /// For a venv: the directory of the interpreter it was made from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub home: Option<PathBuf>,
}

/// The kinds of environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EnvironmentKind {
    /// A Python virtual environment (PEP 405).
    Venv,
    /// A conda or mamba prefix.
    Conda,
    /// One version in a version manager's collection (pyenv, rbenv, asdf, mise, nvm …).
    Managed,
    /// The Nix store.
    Nix,
    /// The Guix store.
    Guix,
    /// A snap.
    Snap,
}

impl EnvironmentKind {
    /// Its name in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Venv => "venv",
            Self::Conda => "conda",
            Self::Managed => "managed",
            Self::Nix => "nix",
            Self::Guix => "guix",
            Self::Snap => "snap",
        }
    }
}

/// The environment of the interpreter that is run as `path` and whose file is `real`.
pub(crate) fn of(tree: &Tree, path: &Path, real: &Path, runtime: &str) -> Option<Environment> {
    if runtime == "python"
        && let Some(venv) = venv(tree, path)
    {
        return Some(venv);
    }
    let text = real.to_str()?;
    if let Some(store) = text.strip_prefix("/nix/store/") {
        return Some(stored(EnvironmentKind::Nix, "/nix/store/", store));
    }
    if let Some(store) = text.strip_prefix("/gnu/store/") {
        return Some(stored(EnvironmentKind::Guix, "/gnu/store/", store));
    }
    if let Some(snap) = text.strip_prefix("/snap/") {
        return Some(stored(EnvironmentKind::Snap, "/snap/", snap));
    }
    let prefix = real.parent()?.parent()?;
    if is_managed(text) {
        return Some(Environment { kind: EnvironmentKind::Managed, prefix: prefix.to_owned(), home: None });
    }
    // A system prefix is no conda prefix; asking costs a system call for each interpreter.
    let is_system = matches!(prefix.to_str(), Some("/usr" | "/" | "" | "/usr/local"));
    (!is_system && tree.provides(&prefix.join("conda-meta"))).then(|| Environment {
        kind: EnvironmentKind::Conda,
        prefix: prefix.to_owned(),
        home: None,
    })
}

/// Where version managers keep what they install.
fn is_managed(real: &str) -> bool {
    // Nearly no path has a hidden directory or one called `installs`.
    let may_be = real.contains("/.") || real.contains("/installs/");
    may_be
        && [
            "/.pyenv/versions/",
            "/.rbenv/versions/",
            "/.nodenv/versions/",
            "/.nvm/versions/",
            "/mise/installs/",
            "/.asdf/installs/",
        ]
        .iter()
        .any(|place| real.contains(place))
}

fn stored(kind: EnvironmentKind, store: &str, rest: &str) -> Environment {
    let item = rest.split('/').next().unwrap_or(rest);
    Environment { kind, prefix: PathBuf::from(format!("{store}{item}")), home: None }
}

/// The venv is told by the link's own directory: behind the link there is only the base interpreter.
fn venv(tree: &Tree, path: &Path) -> Option<Environment> {
    let prefix = path.parent()?.parent()?;
    // `/usr/bin` is where nearly every interpreter is, and never a venv.
    if prefix.as_os_str() == "/usr" {
        return None;
    }
    let record = prefix.join("pyvenv.cfg");
    if !tree.provides(&record) {
        return None;
    }
    let text = tree.read(&record, 4096)?;
    let home = text.split(|&byte| byte == b'\n').find_map(|line| {
        let (key, value) = std::str::from_utf8(line).ok()?.split_once('=')?;
        (key.trim() == "home").then(|| PathBuf::from(value.trim()))
    });
    Some(Environment { kind: EnvironmentKind::Venv, prefix: prefix.to_owned(), home })
}
