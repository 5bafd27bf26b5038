//! Ending what an action leaves behind.

use std::fs::File;
use std::time::{Duration, Instant};

use rustix::event::Timespec;
use rustix::process::{Pid, Signal, kill_process};

use super::supervisor::wait;
use super::sys;
use super::zygote::discard;

/// How long one pass waits before it looks again: `SIGKILL` normally takes effect at once, but a process in
/// uninterruptible sleep may keep it waiting, and a fork may have raced with the look.
pub(super) const PASS: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

/// What is left after so long cannot be ended (a process stuck in the kernel); the action's end is reported all the
/// same.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Ends every descendant and waits for each; returns how many there were.
///
/// A process that forks while it is looked for is not on the list, but its children become ours when it ends. The
/// first look is at direct children, of which there are none as a rule. Each further look is at all descendants, and
/// ends them faster than they can fork: what is left of a fork bomb dwindles.
pub(super) fn sweep(ended: &mut File, leader: Pid) -> u32 {
    let begun = Instant::now();
    let mut swept = 0;
    let mut found = children();
    loop {
        for process in found {
            // It may have ended by itself meanwhile.
            kill_process(process, Signal::KILL).ok();
        }
        loop {
            match sys::reap() {
                Ok(Some(reaped)) => swept += u32::from(reaped.pid != leader),
                Ok(None) => break,
                Err(_) => return swept,
            }
        }
        if begun.elapsed() > PATIENCE {
            return swept;
        }
        wait(None, ended, Some(&PASS));
        discard(ended);
        found = descendants();
    }
}

/// The direct children of this process. Without `/proc` there is no way to know them, and the process group has to
/// do.
pub(super) fn children() -> Vec<Pid> {
    let own = own_pid();
    let listed = std::fs::read_to_string(format!("/proc/self/task/{own}/children"));
    // Kernels built without CONFIG_PROC_CHILDREN have no such file.
    listed.map_or_else(|_| found_with_parent(own), |text| listed_in(&text))
}

/// The direct children of another process, which may have several threads that each have some.
fn children_of(parent: Pid) -> Vec<Pid> {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{parent}/task")) else { return Vec::new() };
    let list = |thread: std::io::Result<std::fs::DirEntry>| {
        Ok(listed_in(&std::fs::read_to_string(thread?.path().join("children"))?))
    };
    let lists: std::io::Result<Vec<_>> = threads.map(list).collect();
    // A thread may have ended meanwhile; that is looked up as if there were no lists.
    lists.map_or_else(|_| found_with_parent(parent.as_raw_pid()), |lists| lists.concat())
}

/// These processes and all that descend from them.
pub(super) fn with_all_below(mut tree: Vec<Pid>) -> Vec<Pid> {
    let mut next = 0;
    while let Some(parent) = tree.get(next).copied() {
        // It may be somebody else's child by the time that it is looked up, and is found once all the same.
        let new: Vec<Pid> = children_of(parent).into_iter().filter(|pid| !tree.contains(pid)).collect();
        tree.extend(new);
        next += 1;
    }
    tree
}

/// Ends everything below a process, but not the process itself. Returns whether anything was there to be ended.
pub(super) fn end_below(root: Pid) -> bool {
    let mut found = false;
    for process in
        with_all_below(vec![root]).into_iter().filter(|pid| *pid != root && state(*pid) != Some('Z'))
    {
        // It may have ended by itself meanwhile.
        found |= kill_process(process, Signal::KILL).is_ok();
    }
    found
}

/// Continues whatever is stopped of these and below.
pub(super) fn resume_all(roots: Vec<Pid>) {
    for process in with_all_below(roots).into_iter().filter(|pid| state(*pid) == Some('T')) {
        kill_process(process, Signal::CONT).ok();
    }
}

/// What a process does, in the kernel's letters; `None` for one that is gone.
pub(super) fn state(process: Pid) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    stat.rsplit_once(')')?.1.trim_start().chars().next()
}

fn listed_in(text: &str) -> Vec<Pid> {
    text.split_ascii_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)).collect()
}

fn found_with_parent(wanted: i32) -> Vec<Pid> {
    let is_child = |(pid, parent)| if parent == wanted { Pid::from_raw(pid) } else { None };
    all_processes().into_iter().filter_map(is_child).collect()
}

/// All that descend from this process.
fn descendants() -> Vec<Pid> {
    let mut rest = all_processes();
    let mut found = vec![own_pid()];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        let (below, others) = rest.into_iter().partition::<Vec<_>, _>(|(_, of)| *of == parent);
        found.extend(below.into_iter().map(|(pid, _)| pid));
        rest = others;
        next += 1;
    }
    found.into_iter().skip(1).filter_map(Pid::from_raw).collect()
}

fn own_pid() -> i32 {
    rustix::process::getpid().as_raw_pid()
}

/// Every process with its parent, from `/proc/<pid>/stat`: `pid (name) state parent …`, where the name may hold
/// anything, so the last parenthesis counts.
fn all_processes() -> Vec<(i32, i32)> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten();
    let of = |entry: std::io::Result<std::fs::DirEntry>| {
        let pid: i32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let parent = stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?.parse().ok()?;
        Some((pid, parent))
    };
    entries.filter_map(of).collect()
}
