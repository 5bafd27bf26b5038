//! The crate's one error.
//!
//! Interpreters that do not work are findings, not errors: they are in [`Report::rejected`]. An error
//! means that the question itself could not be answered.
//!
//! [`Report::rejected`]: crate::Report::rejected

use std::path::PathBuf;

/// Why a probe could not be made at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// [`Options::root`](crate::Options::root) is not a directory that can be read.
    #[error("read the root directory {}: {source}", path.display())]
    Root {
        /// The root asked for.
        path: PathBuf,
        /// What the system answered.
        source: std::io::Error,
    },
    /// The hints file that was named cannot be read.
    #[error("read the hints file {}: {source}", path.display())]
    HintsFile {
        /// The file.
        path: PathBuf,
        /// What the system answered.
        source: std::io::Error,
    },
    /// The hints file is not what it must be.
    #[error("{}:{line}: {message}", path.display())]
    Hints {
        /// The file.
        path: PathBuf,
        /// The line, counted from one.
        line: u64,
        /// What is wrong there.
        message: String,
    },
    /// [`Options::only`](crate::Options::only) names a runtime that neither the catalogue nor the hints know.
    #[error("unknown runtime \"{name}\"")]
    UnknownRuntime {
        /// The name.
        name: String,
    },
    /// Full mode was asked to run the interpreters of another root file system.
    #[error("full mode runs interpreters, and those under another root cannot be run from here")]
    FullUnderRoot,
}
