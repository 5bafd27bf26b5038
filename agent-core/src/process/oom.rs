//! Evidence for an end by the kernel for want of memory, where executions have no group of their own: the count of the
//! container's, before and after.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, PoisonError};

use super::cgroup::{self, Group};

/// The container's count of processes that the kernel ended for want of memory.
#[derive(Debug)]
pub(super) struct OomCount {
    group: Option<Group>,
    /// Held open, as it is read before every execution.
    events: Option<File>,
    /// So many of them are explained.
    explained: Mutex<u64>,
}

impl OomCount {
    /// Finds the container's group; without one there is never any evidence.
    pub(super) fn find() -> Self {
        let group = cgroup::find("memory");
        let events = group.as_ref().and_then(|group| File::open(group.events()).ok());
        Self { group, events, explained: Mutex::default() }
    }

    /// The count now.
    pub(super) fn now(&self) -> u64 {
        let mut text = [0; 512];
        let read = self.events.as_ref().and_then(|events| events.read_at(&mut text, 0).ok()).unwrap_or(0);
        std::str::from_utf8(&text[..read]).ok().and_then(cgroup::oom_kills_in).unwrap_or(0)
    }

    /// Whether the kernel has ended a process since `before` that explains nobody else's end; if so, it explains this
    /// one.
    pub(super) fn explains(&self, before: u64) -> bool {
        let now = self.now();
        let mut explained = self.explained.lock().unwrap_or_else(PoisonError::into_inner);
        let from = before.max(*explained);
        if now <= from {
            return false;
        }
        *explained = from + 1;
        true
    }

    /// Bytes that the container may use, where there is a limit.
    pub(super) fn limit(&self) -> Option<u64> {
        self.group.as_ref().and_then(Group::memory_limit)
    }
}
