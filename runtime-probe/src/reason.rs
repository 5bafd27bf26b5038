//! Why something that looks like an interpreter cannot be used.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Why an entry was rejected. [`fmt::Display`] is a sentence for a person; [`Reason::code`] is stable.
///
/// ```
/// use runtime_probe::Reason;
/// let reason = Reason::MissingLoader { loader: "/lib/ld-musl-x86_64.so.1".into() };
/// assert_eq!(reason.code(), "missing-loader");
/// assert_eq!(
///     reason.to_string(),
///     "its loader /lib/ld-musl-x86_64.so.1 does not exist here: it is built for musl",
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Reason {
    /// A symbolic link whose target does not exist.
    Dangling {
        /// Where the link points.
        target: PathBuf,
    },
    /// Symbolic links that lead in a circle.
    #[serde(rename = "link-loop")]
    Loop,
    /// Not a regular file behind the link.
    NotAFile,
    /// Nobody may execute it, or we may not.
    NotExecutable,
    /// It is on a file system that is mounted `noexec`.
    #[serde(rename = "noexec-mount")]
    NoExecMount,
    /// Built for another processor.
    WrongArchitecture {
        /// What it is built for.
        program: String,
        /// What this machine is.
        machine: String,
    },
    /// Its dynamic loader does not exist.
    MissingLoader {
        /// The loader it asks for.
        loader: PathBuf,
    },
    /// A script whose own interpreter does not exist.
    MissingInterpreter {
        /// What its first line names.
        interpreter: PathBuf,
    },
    /// Neither a program nor a script: empty, cut off, or data.
    Malformed,
    /// It cannot be opened.
    Unreadable {
        /// What the system answered.
        error: String,
    },
    /// A version manager's shim that leads nowhere.
    Shim {
        /// The version manager.
        manager: Cow<'static, str>,
        /// What it would say.
        cause: String,
    },
    /// It was asked and did not start.
    DoesNotStart {
        /// What the system answered.
        error: String,
    },
    /// It was asked and ended without a word that we understand.
    Failed {
        /// How it ended, and what it said.
        cause: String,
    },
}

impl Reason {
    /// A stable code: what JSON carries as `reason`.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Dangling { .. } => "dangling",
            Self::Loop => "link-loop",
            Self::NotAFile => "not-a-file",
            Self::NotExecutable => "not-executable",
            Self::NoExecMount => "noexec-mount",
            Self::WrongArchitecture { .. } => "wrong-architecture",
            Self::MissingLoader { .. } => "missing-loader",
            Self::MissingInterpreter { .. } => "missing-interpreter",
            Self::Malformed => "malformed",
            Self::Unreadable { .. } => "unreadable",
            Self::Shim { .. } => "shim",
            Self::DoesNotStart { .. } => "does-not-start",
            Self::Failed { .. } => "failed",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dangling { target } => write!(f, "it points to {}, which does not exist", target.display()),
            Self::Loop => f.write_str("its symbolic links lead in a circle"),
            Self::NotAFile => f.write_str("it is not a regular file"),
            Self::NotExecutable => f.write_str("it is not executable"),
            Self::NoExecMount => f.write_str("its file system is mounted noexec"),
            Self::WrongArchitecture { program, machine } => {
                write!(f, "it is built for {program}, and this machine is {machine}")
            }
            Self::MissingLoader { loader } => {
                write!(f, "its loader {} does not exist here", loader.display())?;
                match libc_of(loader) {
                    Some(libc) => write!(f, ": it is built for {libc}"),
                    None => Ok(()),
                }
            }
            Self::MissingInterpreter { interpreter } => {
                write!(f, "it is a script for {}, which does not exist here", interpreter.display())
            }
            Self::Malformed => f.write_str("it is neither a program nor a script"),
            Self::Unreadable { error } => write!(f, "it cannot be read: {error}"),
            Self::Shim { manager, cause } => write!(f, "it is a shim of {manager}, {cause}"),
            Self::DoesNotStart { error } => write!(f, "it does not start: {error}"),
            Self::Failed { cause } => write!(f, "it does not work: {cause}"),
        }
    }
}

fn libc_of(loader: &Path) -> Option<&'static str> {
    let name = loader.file_name()?.to_str()?;
    if name.starts_with("ld-musl") {
        Some("musl")
    } else if name.starts_with("ld-linux") || name.starts_with("ld64") {
        Some("glibc")
    } else {
        None
    }
}
