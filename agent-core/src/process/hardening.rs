//! What keeps the agent's memory from the programs that it runs.
//!
//! An action usually has the agent's user id. The kernel lets a process read the memory, environment and descriptors
//! of another one of its user unless that one is *not dumpable*; then it asks for `CAP_SYS_PTRACE`, which an action
//! is not left with. `exec` makes a process dumpable again, so an action itself is as any other process: it can be
//! debugged, and may read its own `/proc`.

use std::ffi::OsStr;

use rustix::process::{
    DumpableBehavior, Resource, Rlimit, dumpable_behavior, getrlimit, set_dumpable_behavior, setrlimit,
};
use rustix::thread::{CapabilitySet, remove_capability_from_bounding_set, set_no_new_privs};

use super::sys;

/// Where the kernel keeps how ready it is to end this process when memory runs out.
const OOM_SCORE: &str = "/proc/self/oom_score_adj";

/// How much readier the kernel shall be to end an action than the agent: as if it used so many thousandths of the memory
/// there is in addition.
const OOM_DISTANCE: i32 = 100;

/// The readiness of a process that is never ended for want of memory.
const OOM_NEVER: i32 = -1000;

/// The most ready that a process can be.
const OOM_MOST: i32 = 1000;

/// Makes this process unreadable for others and keeps it from dumping its memory. To be called first in `main`.
pub fn harden() {
    // Neither can fail with these arguments, and whoever runs this has no log yet.
    set_dumpable_behavior(DumpableBehavior::NotDumpable).ok();
    let core = getrlimit(Resource::Core);
    setrlimit(Resource::Core, Rlimit { current: Some(0), ..core }).ok();
}

/// Takes back what [`harden`] did, for who has to debug this process.
pub fn allow_dumps() {
    set_dumpable_behavior(DumpableBehavior::Dumpable).ok();
    let core = getrlimit(Resource::Core);
    setrlimit(Resource::Core, Rlimit { current: core.maximum, ..core }).ok();
}

/// Whether other processes of this user cannot read this one's memory.
pub fn is_hardened() -> bool {
    dumpable_behavior().is_ok_and(|behavior| behavior != DumpableBehavior::Dumpable)
}

/// Overwrites the values of the variables that `hidden` names, where the kernel shows them to others.
///
/// To be called before this process has a second thread, and after everything that is to be known of them is read.
pub fn wipe_variables(hidden: impl Fn(&OsStr) -> bool) {
    sys::wipe_environment(hidden);
}

/// How ready the kernel is to be to end actions when memory runs out; `None` where they cannot be told from the agent.
pub(super) fn oom_score_of_actions() -> Option<i32> {
    let own: i32 = std::fs::read_to_string(OOM_SCORE).ok()?.trim().parse().ok()?;
    // An action that inherits "never" has no memory limit at all: the kernel would end everything else first.
    let wanted = if own == OOM_NEVER { 0 } else { (own + OOM_DISTANCE).min(OOM_MOST) };
    (wanted > own).then_some(wanted)
}

/// Makes the calling process the kernel's first choice when memory runs out. Becoming readier takes no privilege.
pub(super) fn set_oom_score(score: i32) {
    if std::fs::write(OOM_SCORE, score.to_string()).is_err() {
        // The file of a process that is not dumpable belongs to root. This one has nothing left to hide: what it knows
        // beyond the action's own arguments and variables is nothing, and in a moment it is the action.
        set_dumpable_behavior(DumpableBehavior::Dumpable).ok();
        // Where it still cannot be said, the kernel chooses by size, which is the action as a rule.
        std::fs::write(OOM_SCORE, score.to_string()).ok();
    }
}

/// Keeps the calling process, and whatever it becomes, from gaining privileges, and from the two that open other
/// processes' memory.
pub(super) fn give_up_privileges() -> std::io::Result<()> {
    for capability in [CapabilitySet::SYS_PTRACE, CapabilitySet::PERFMON] {
        // Who may not give it up cannot have it after `exec` unless a container was given it without CAP_SETPCAP, or
        // has it under an ordinary user id; `doctor` tells.
        remove_capability_from_bounding_set(capability).ok();
    }
    Ok(set_no_new_privs(true)?)
}
