//! What of an action's tree has still something to say when the action's own process has ended.
//!
//! `exec > >(tee log)` makes a helper that prints what the action has printed, a moment later. It is told from a silent
//! process that was left behind (`sleep 1000 &`) by what is seen of their pipes: somebody reads from a pipe that holds
//! unread bytes or whose writers have ended, and somebody can still write to what is captured. A process that reads from
//! no pipe is not waited for.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::Timespec;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, StatxFlags};
use rustix::process::Pid;

use super::supervisor::{Stdio, wait};
use super::sweep::{children, state, with_all_below};
use super::sys;
use super::wire::QUIET;
use super::zygote::discard;

/// How long the rest of a tree may go on speaking.
pub(super) const LONGEST: Duration = Duration::from_secs(2);

/// Between two looks. That a helper has ended is an event; that it has become idle is none.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };

/// A pipe: the number of its file system (0 for those without a name) and its own.
type Pipe = (u64, u64);

/// The pipes of one action's standard streams.
#[derive(Debug)]
pub(super) struct Streams {
    stdin: Pipe,
    captured: [Pipe; 2],
}

/// How much the rest of a tree has to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    /// Nothing that anybody could wait for.
    Silent,
    /// What is unread; whether anything comes of it, its silence will tell.
    Unread,
    /// A helper is at work.
    Busy,
}

/// What one process has open of pipes.
#[derive(Debug, Default)]
struct Ends {
    reads: Vec<(Pipe, PathBuf)>,
    writes: Vec<Pipe>,
    runs: bool,
    /// Its descriptors belong to another user.
    hidden: bool,
}

impl Streams {
    pub(super) fn of(stdio: &Stdio) -> io::Result<Self> {
        let pipe = |end: &dyn AsFd| io::Result::Ok((0, rustix::fs::fstat(end)?.st_ino));
        Ok(Self { stdin: pipe(&stdio.stdin)?, captured: [pipe(&stdio.stdout)?, pipe(&stdio.stderr)?] })
    }

    /// Looks at everything below this process, of which `leader` has ended.
    pub(super) fn rest(&self, leader: Pid) -> Rest {
        match self.look(leader) {
            // One that runs may have moved a pipe from a number that was yet to be looked at to one that had been:
            // this is how a shell gives a helper its input.
            (Rest::Silent, true) => self.look(leader).0,
            (rest, _) => rest,
        }
    }

    /// What is seen at one look, and whether anybody did something meanwhile.
    fn look(&self, leader: Pid) -> (Rest, bool) {
        let mut tree = children();
        tree.retain(|child| *child != leader);
        let tree: Vec<Ends> = with_all_below(tree).into_iter().filter_map(Ends::of).collect();
        let runs = tree.iter().any(|process| process.runs);
        let is_captured = |pipe| self.captured.contains(pipe);
        if !tree.iter().any(|process| process.hidden || process.writes.iter().any(is_captured)) {
            return (Rest::Silent, runs);
        }
        // The parameters come from the agent, and whatever inherits standard input has that pipe.
        let read = || {
            let of = |process: &'_ Ends| process.reads.iter().any(|(pipe, _)| *pipe != self.stdin);
            tree.iter().filter(move |process| of(process))
        };
        if read().any(|process| process.runs) {
            return (Rest::Busy, runs);
        }
        let written = |pipe: &Pipe| tree.iter().any(|process| process.writes.contains(pipe));
        let mut pipes = read().flat_map(|process| &process.reads).filter(|(pipe, _)| *pipe != self.stdin);
        let unread = pipes.any(|(pipe, path)| !written(pipe) || holds_bytes(path));
        (if unread { Rest::Unread } else { Rest::Silent }, runs)
    }

    /// Lets the rest speak, until it has nothing more to say, the agent has heard nothing for a while or orders an end,
    /// or this takes too long.
    pub(super) fn hear_out(&self, agent: &mut UnixStream, ended: &mut File, leader: Pid) {
        let begun = Instant::now();
        let mut quiet = false;
        loop {
            match self.rest(leader) {
                Rest::Silent => return,
                Rest::Unread if quiet => return,
                Rest::Unread | Rest::Busy if begun.elapsed() >= LONGEST => return,
                Rest::Unread | Rest::Busy => quiet = false,
            }
            let woken = wait(Some(agent), ended, Some(&LOOK));
            if woken.child {
                discard(ended);
                while let Ok(Some(_)) = sys::reap() {}
            }
            if woken.agent {
                let mut word = [0];
                match agent.read(&mut word) {
                    Ok(1) if word[0] == QUIET => quiet = true,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    // Told to end, by whichever signal, or left alone.
                    _ => return,
                }
            }
        }
    }
}

impl Ends {
    /// `None` for a process that has ended.
    fn of(pid: Pid) -> Option<Self> {
        let state = state(pid)?;
        if matches!(state, 'Z' | 'X') {
            return None;
        }
        // Runnable, or in the middle of a read or write of a disk.
        let mut ends = Self { runs: matches!(state, 'R' | 'D'), ..Self::default() };
        let entries = match std::fs::read_dir(format!("/proc/{pid}/fd")) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Some(Self { hidden: true, ..ends });
            }
            Err(_) => return None,
        };
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            // It may be closed by now, like everything that is looked at here.
            let Some((pipe, mode)) = pipe_at(&path).zip(std::fs::symlink_metadata(&path).ok()) else {
                continue;
            };
            // The link's own permissions say what the descriptor was opened for.
            let mode = mode.permissions().mode();
            if mode & 0o400 != 0 {
                ends.reads.push((pipe, path));
            }
            if mode & 0o200 != 0 {
                ends.writes.push(pipe);
            }
        }
        Some(ends)
    }
}

/// Which pipe a descriptor is of, if it is of one.
fn pipe_at(descriptor: &Path) -> Option<Pipe> {
    let target = std::fs::read_link(descriptor).ok()?;
    let name = target.as_os_str().as_bytes();
    if let Some(number) = name.strip_prefix(b"pipe:[").and_then(|rest| rest.strip_suffix(b"]")) {
        return Some((0, std::str::from_utf8(number).ok()?.parse().ok()?));
    }
    // Sockets and the like; and what is never one.
    if !name.starts_with(b"/") || name.starts_with(b"/dev/") {
        return None;
    }
    // A file server that does not answer is not asked.
    let wanted = StatxFlags::TYPE | StatxFlags::INO;
    let file = rustix::fs::statx(CWD, descriptor, AtFlags::STATX_DONT_SYNC, wanted).ok()?;
    let device = u64::from(file.stx_dev_major) << 32 | u64::from(file.stx_dev_minor);
    let kind = FileType::from_raw_mode(file.stx_mode.into());
    // No named one is of device 0:0.
    (kind == FileType::Fifo).then_some((device, file.stx_ino))
}

/// Whether there is something to read in a pipe that another process has open.
fn holds_bytes(descriptor: &Path) -> bool {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    rustix::fs::open(descriptor, flags, Mode::empty())
        .and_then(rustix::io::ioctl_fionread)
        .is_ok_and(|bytes| bytes > 0)
}
