//! Artifacts: files that executions leave behind, in versions (CONTRACT §1.11).

use std::fmt;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{ArtifactVersionId, ExecutionId};

/// One of an action's two output streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    /// Its name everywhere.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What an artifact's versions are kept by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RetentionPolicy {
    /// So many versions.
    Versions,
    /// For so many days.
    Days,
    /// For so many hours.
    Hours,
    /// For so many minutes.
    Minutes,
}

impl RetentionPolicy {
    /// The label used in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Versions => "versions",
            Self::Days => "days",
            Self::Hours => "hours",
            Self::Minutes => "minutes",
        }
    }
}

/// Text that is no policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a retention policy is one of versions, days, hours, minutes")]
pub struct UnknownPolicy;

impl FromStr for RetentionPolicy {
    type Err = UnknownPolicy;

    fn from_str(text: &str) -> Result<Self, UnknownPolicy> {
        [Self::Versions, Self::Days, Self::Hours, Self::Minutes]
            .into_iter()
            .find(|policy| policy.as_str() == text)
            .ok_or(UnknownPolicy)
    }
}

/// How long an artifact's versions are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// By what.
    pub policy: RetentionPolicy,
    /// How many of it.
    pub limit: NonZeroU32,
}

/// A log that an execution has left behind and that nobody has entered anywhere yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLog {
    /// Whose.
    pub execution: ExecutionId,
    /// What ran.
    pub action_ref: String,
    /// Which of its streams.
    pub stream: Stream,
    /// Its size.
    pub bytes: u64,
}

impl NewLog {
    /// `artifact.ref` of the artifact that it becomes a version of.
    pub fn artifact_ref(&self) -> String {
        format!("{}.{}.log", self.action_ref, self.stream)
    }
}

/// The files that an execution may have made itself, in versions that it has asked the API for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnFiles {
    /// Whose.
    pub execution: ExecutionId,
    /// What it was given as `ATTUNE_ARTIFACTS_DIR`.
    pub directory: PathBuf,
}

/// A version of an artifact whose content is a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileVersion {
    /// Its row.
    pub id: ArtifactVersionId,
    /// Where its file is, below the directory of artifacts.
    pub path: FilePath,
}

/// A file below the directory of artifacts: relative, and unable to lead out of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FilePath(String);

/// A path that is absolute, empty, or leads elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a path below the directory of artifacts")]
pub struct NotBelow(String);

impl FilePath {
    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its components, of which there is at least one.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }
}

impl FromStr for FilePath {
    type Err = NotBelow;

    fn from_str(text: &str) -> Result<Self, NotBelow> {
        let is_name = |part: &str| !matches!(part, "" | "." | "..") && !part.contains('\0');
        if text.split('/').all(is_name) { Ok(Self(text.to_owned())) } else { Err(NotBelow(text.to_owned())) }
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_below_the_directory_of_artifacts_or_nowhere() {
        for inside in ["a", "core/echo/stdout/log/v1.txt", "a/...", "ä ö/%2e%2e"] {
            assert_eq!(inside.parse::<FilePath>().unwrap().as_str(), inside);
        }
        for outside in ["", "/", "/etc/passwd", "..", "a/../b", "a//b", "a/", "./a", "a\0b"] {
            assert_eq!(outside.parse::<FilePath>(), Err(NotBelow(outside.to_owned())));
        }
    }

    #[test]
    fn policies_have_the_databases_labels() {
        assert_eq!("days".parse(), Ok(RetentionPolicy::Days));
        assert_eq!("weeks".parse::<RetentionPolicy>(), Err(UnknownPolicy));
    }
}
