//! Why an environment could not be had, so that a person can do something about it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::log::BuildLog;
use super::spec::EnvironmentSpec;
use crate::model::{Outcome, Reason};

/// What tools say, and what that means for whoever has to mend it. The first that fits is told.
const DIAGNOSES: &[(&str, &str)] = &[
    (
        "ensurepip is not",
        "the image has Python without the module that makes virtual environments: on Debian and Ubuntu, install python3-venv",
    ),
    (
        "No module named venv",
        "the image has Python without its module `venv`: on Debian and Ubuntu, install python3-venv",
    ),
    (
        "No module named pip",
        "the image's Python makes environments without pip: install its pip or ensurepip",
    ),
    (
        "externally-managed-environment",
        "the install command has to use `{interpreter}`, which is the environment's own",
    ),
    ("No space left on device", "the volume of `runtime_envs_dir` or the temporary directory is full"),
    (
        "Read-only file system",
        "builds write to `runtime_envs_dir`, `HOME` and `TMPDIR`: these have to be writable",
    ),
    ("Temporary failure in name resolution", UNREACHABLE),
    ("Failed to establish a new connection", UNREACHABLE),
    ("EAI_AGAIN", UNREACHABLE),
    ("ENOTFOUND", UNREACHABLE),
    ("ECONNREFUSED", UNREACHABLE),
    ("Could not reach", UNREACHABLE),
    ("no such host", UNREACHABLE),
];

const UNREACHABLE: &str =
    "the package registry cannot be reached from this worker: check its network, proxy and registry settings";

/// Between two tries to build what has failed, at first; it doubles with each failure.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// Why there is no environment.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    reason: Reason,
    /// A fragment that reads well after "could not be built: ".
    what: String,
    /// What was printed last.
    tail: String,
    hint: Option<String>,
    log: Option<PathBuf>,
}

/// A failure that is not tried again yet.
#[derive(Debug)]
pub(super) struct Remembered {
    failure: Failure,
    at: Instant,
    pause: Duration,
}

impl Failure {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self {
            reason: Reason::EnvironmentFailed,
            what: what.into(),
            tail: String::new(),
            hint: None,
            log: None,
        }
    }

    /// The operating system's refusal; `what` reads well after "cannot ".
    pub(super) fn system(what: &str, path: &Path, error: &io::Error) -> Self {
        let failure = Self::new(format!("cannot {what} {}: {error}", path.display()));
        match error.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => failure
                .hint("the worker's user has to be able to write there; `runtime_envs_dir` says where it is"),
            io::ErrorKind::StorageFull => failure.hint("free some space on that volume"),
            _ => failure,
        }
    }

    pub(super) fn timed_out(what: impl Into<String>) -> Self {
        Self { reason: Reason::EnvironmentTimeout, ..Self::new(what) }
    }

    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// With what was printed, and what is known about that.
    pub(super) fn with_log(self, log: &BuildLog) -> Self {
        let text = log.end_as_text();
        let known =
            DIAGNOSES.iter().find(|(said, _)| text.contains(said)).map(|(_, hint)| (*hint).to_owned());
        Self { tail: log.tail(), hint: known.or(self.hint), log: log.path().map(Path::to_owned), ..self }
    }

    /// One sentence, for logs and for the environment's row.
    pub(super) fn sentence(&self) -> &str {
        &self.what
    }

    /// How an execution ends that needs the environment.
    pub(super) fn outcome(&self, spec: &EnvironmentSpec) -> Outcome {
        let mut error = format!(
            "the environment of {} for {} could not be built: {}",
            spec.pack, spec.runtime_ref, self.what
        );
        if !self.tail.is_empty() {
            error.push('\n');
            error.push_str(&self.tail);
        }
        let mut outcome = Outcome::without_process(self.reason, error);
        if let Some(hint) = &self.hint {
            outcome = outcome.with_hint(hint);
        }
        match &self.log {
            Some(log) => outcome.with_log(log.clone()),
            None => outcome,
        }
    }
}

impl Remembered {
    /// A failure just now, after `before`.
    pub(super) fn after(before: Option<&Self>, failure: Failure) -> Self {
        let pause = before.map_or(FIRST_PAUSE, |before| (before.pause * 2).min(LONGEST_PAUSE));
        Self { failure, at: Instant::now(), pause }
    }

    /// The failure, while it is too early to try again.
    pub(super) fn still(&self) -> Option<Failure> {
        let left = self.pause.checked_sub(self.at.elapsed()).filter(|left| !left.is_zero())?;
        let mut failure = self.failure.clone();
        failure.what.push_str(&format!(
            " (that was {} s ago; it is tried again in {} s, or at once when the manifest changes)",
            self.at.elapsed().as_secs(),
            left.as_secs() + 1
        ));
        Some(failure)
    }
}

#[cfg(test)]
mod tests {
    use super::super::spec::tests::spec;
    use super::*;

    #[tokio::test]
    async fn an_outcome_says_what_where_and_what_to_do() {
        let pack = tempfile::tempdir().unwrap();
        let mut log = BuildLog::begin(pack.path().join("build.log")).await;
        log.say("The virtual environment was not created because ensurepip is not\navailable.").await;
        let failure = Failure::new("`python3 -m venv` exited with status 1").with_log(&log);
        let result = failure.outcome(&spec(pack.path())).to_result();
        assert_eq!(result["_agent"]["reason"], "environment_failed");
        let error = result["error"].as_str().unwrap();
        assert!(
            error.starts_with("the environment of mine for core.python could not be built: `python3"),
            "{error}"
        );
        assert!(error.ends_with("available."), "{error}");
        assert!(result["_agent"]["hint"].as_str().unwrap().contains("install python3-venv"));
        assert!(result["stderr_log"].as_str().unwrap().ends_with("build.log"));
    }

    #[test]
    fn a_failure_is_remembered_for_longer_each_time() {
        let first = Remembered::after(None, Failure::new("no"));
        assert!(first.still().unwrap().sentence().starts_with("no (that was 0 s ago"));
        let second = Remembered::after(Some(&first), Failure::new("no"));
        assert_eq!(second.pause, FIRST_PAUSE * 2);
        let old = Remembered { at: Instant::now().checked_sub(FIRST_PAUSE).unwrap(), ..first };
        assert!(old.still().is_none());
    }
}
