//! What one execution may use.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};

/// Between a process's limit of processor time, at which it is sent `SIGXCPU` and may say so, and its end, in seconds.
const CPU_GRACE: u64 = 5;

/// What bounds an execution beside its time limit. `None` is what the container itself allows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessLimits {
    /// Bytes of memory that all processes of an execution may use together; without a cgroup, that each of them may
    /// allocate.
    pub memory: Option<u64>,
    /// How many processes and threads an execution may have at a time; needs a cgroup.
    pub processes: Option<u64>,
    /// Seconds of processor time for each process.
    pub cpu_seconds: Option<u64>,
    /// Open files of each process.
    pub open_files: Option<u64>,
    /// Bytes that a file may grow to.
    pub file_size: Option<u64>,
    /// Bytes of a core dump; 0 is none.
    pub core_size: u64,
}

impl ProcessLimits {
    /// Whether one of them counts all processes of an execution together.
    pub(super) const fn want_cgroup(&self) -> bool {
        self.memory.is_some() || self.processes.is_some()
    }

    /// Bounds the calling process, and what it starts. The limit on memory is left to a cgroup where the process is in
    /// one.
    pub(super) fn apply(&self, in_cgroup: bool) -> io::Result<()> {
        let hard = |resource, limit: Option<u64>| limit.map_or(Ok(()), |limit| bound(resource, limit, limit));
        hard(Resource::Core, Some(self.core_size))?;
        hard(Resource::Fsize, self.file_size)?;
        hard(Resource::Nofile, self.open_files)?;
        if let Some(seconds) = self.cpu_seconds {
            bound(Resource::Cpu, seconds, seconds.saturating_add(CPU_GRACE))?;
        }
        if !in_cgroup {
            // What is written to and not shared, and so not the address space that runtimes (Go, Java, Node.js) reserve
            // without using it, which is all that RLIMIT_AS would count.
            hard(Resource::Data, self.memory)?;
        }
        Ok(())
    }
}

/// Lowers a limit; what the container allows already is never exceeded.
fn bound(resource: Resource, soft: u64, hard: u64) -> io::Result<()> {
    let most = getrlimit(resource).maximum.unwrap_or(u64::MAX);
    let new = Rlimit { current: Some(soft.min(most)), maximum: Some(hard.min(most)) };
    Ok(setrlimit(resource, new)?)
}
