//! What an action is confined by, beside its own process tree: decided once a worker, applied to each action between
//! `fork` and `exec`.

use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::cgroup::{Cage, Cgroups};
use super::hardening;
use super::hidden_files::{self, Exposed};
use super::limits::ProcessLimits;

/// What is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confinement {
    /// What one execution may use.
    pub limits: ProcessLimits,
    /// Keep actions from gaining privileges, as by `sudo`, and from reading other processes' memory.
    pub no_new_privileges: bool,
    /// Files and directories that actions cannot read, whatever user they run as.
    pub hidden_files: Vec<PathBuf>,
}

impl Confinement {
    /// The files that are to be hidden and cannot be, on this machine.
    pub fn exposed_files(&self) -> Vec<Exposed> {
        hidden_files::sort_out(self.hidden_files.clone(), self.no_new_privileges).1
    }
}

/// What is done, here. The zygote is told with its arguments, so that nothing of it has to be told again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Measures {
    asked: Confinement,
    cgroups: Option<Cgroups>,
    oom_score: Option<i32>,
}

impl Measures {
    /// Finds out how what is asked for can be done here, and says what cannot.
    pub(super) fn prepare(mut asked: Confinement) -> Self {
        let limits = &asked.limits;
        let cgroups = if limits.want_cgroup() { Cgroups::prepare(limits) } else { None };
        if limits.memory.is_some() && !cgroups.as_ref().is_some_and(Cgroups::limit_memory) {
            tracing::info!(
                "no cgroup can be made for executions here: `worker.limits.memory` bounds what each process allocates"
            );
        }
        if limits.processes.is_some() && !cgroups.as_ref().is_some_and(Cgroups::limit_processes) {
            tracing::warn!(
                hint = "delegate a cgroup to the worker, or let the container bound its processes",
                "`worker.limits.processes` has no effect: no cgroup can be made for executions here"
            );
        }
        let (hidden, exposed) = hidden_files::sort_out(asked.hidden_files, asked.no_new_privileges);
        for Exposed { file, why } in exposed {
            tracing::warn!(file = %file.display(), why, hint = Exposed::HINT,
                "actions can read a file that holds a credential");
        }
        asked.hidden_files = hidden;
        Self { asked, cgroups, oom_score: hardening::oom_score_of_actions() }
    }

    /// As an argument.
    pub(super) fn encode(&self) -> io::Result<String> {
        Ok(serde_json::to_string(self)?)
    }

    /// What [`Self::encode`] wrote.
    pub(super) fn decode(text: &str) -> io::Result<Self> {
        Ok(serde_json::from_str(text)?)
    }

    /// The groups of one execution, where it has any.
    pub(super) fn cage(&self) -> io::Result<Option<Cage>> {
        let supervisor = rustix::process::getpid().as_raw_pid();
        self.cgroups.as_ref().map(|cgroups| cgroups.cage(supervisor, &self.asked.limits)).transpose()
    }

    /// The groups that this supervisor has made, or would have, for its execution.
    pub(super) fn cage_of(&self, supervisor: i32) -> Option<Cage> {
        self.cgroups.as_ref().map(|cgroups| cgroups.cage_of(supervisor))
    }

    /// Confines the calling process, which is about to become an action.
    pub(super) fn take(&self, cage: Option<&Cage>) -> io::Result<()> {
        if let Some(cage) = cage {
            cage.enter()?;
        }
        if let Some(score) = self.oom_score {
            hardening::set_oom_score(score);
        }
        let memory_is_counted = self.cgroups.as_ref().is_some_and(Cgroups::limit_memory);
        self.asked.limits.apply(memory_is_counted)?;
        if self.asked.no_new_privileges {
            hardening::give_up_privileges()?;
        }
        hidden_files::hide(&self.asked.hidden_files)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_survive_the_arguments() {
        let limits = ProcessLimits { memory: Some(1 << 30), processes: Some(7), ..ProcessLimits::default() };
        let asked = Confinement { limits, no_new_privileges: true, hidden_files: vec!["/run/secret".into()] };
        let cgroups = Some(Cgroups::V1 { memory: Some("/sys/fs/cgroup/memory".into()), pids: None });
        let measures = Measures { asked, cgroups, oom_score: Some(100) };
        assert_eq!(Measures::decode(&measures.encode().unwrap()).unwrap(), measures);
    }
}
