//! The supervisor: one small process an execution, which starts the action and sees to it that nothing of it is left.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid};

use super::sys::{self, Fork, Reaped};
use super::wire::{Job, Notice, Step};
use super::zygote::discard;

/// How long one pass of ending descendants waits before it looks again: `SIGKILL` normally takes effect at once, but a
/// process in uninterruptible sleep may keep it waiting, and a fork may have raced with the look.
const SWEEP_PASS: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

/// After so many passes (10 s) what is left cannot be ended (a process stuck in the kernel); the action's end is
/// reported all the same.
const SWEEP_PASSES: u32 = 200;

/// The action's standard streams.
pub(super) struct Stdio {
    pub(super) stdin: OwnedFd,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
}

/// One execution's supervisor, before it has started anything.
pub(super) struct Supervisor {
    agent: UnixStream,
    ended: File,
    stdio: Stdio,
}

/// What happened while the supervisor waited.
struct Woken {
    agent: bool,
    child: bool,
}

impl Supervisor {
    pub(super) fn new(agent: OwnedFd, stdio: Stdio) -> io::Result<Self> {
        rustix::thread::set_name(c"attune-superv")?;
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
        Ok(Self { agent: agent.into(), ended: File::from(sys::child_signal()?), stdio })
    }

    /// Runs the job that the agent sends, to its very end. Returns this process's exit status.
    pub(super) fn run(self) -> i32 {
        let Self { mut agent, mut ended, stdio } = self;
        // An error means that the agent is gone before it asked for anything.
        let Ok(job) = Job::read(&agent) else { return 1 };
        let started = start(job, &stdio);
        // Only the action holds them now, so that their end is seen.
        drop(stdio);
        let leader = match started {
            Ok(leader) => leader,
            Err((error, step)) => {
                let errno = error.raw_os_error().unwrap_or(libc::EIO);
                return i32::from(agent.write_all(&Notice::Refused { errno, step }.encode()).is_err());
            }
        };
        // From here on a failing write means that the agent is gone: the action is ended all the same, and nobody is
        // left to be told.
        let mut told = agent.write_all(&Notice::Started { pid: leader.as_raw_pid() }.encode());
        if let Some(reaped) = watch(&mut agent, &mut ended, leader) {
            let Reaped { exit, usage, .. } = reaped;
            told = told.and_then(|()| agent.write_all(&Notice::Exited { exit, usage }.encode()));
        }
        let swept = sweep(&mut ended, leader);
        told = told.and_then(|()| agent.write_all(&Notice::Gone { swept }.encode()));
        i32::from(told.is_err())
    }
}

/// Passes signals on until the leader has ended or the agent is gone. `None` when the agent went first.
fn watch(agent: &mut UnixStream, ended: &mut File, leader: Pid) -> Option<Reaped> {
    loop {
        let woken = wait(Some(agent), ended, None);
        if woken.child {
            discard(ended);
            if has_ended(leader) {
                // Before it is reaped: until then no other group can have its number.
                end_group(leader);
            }
            while let Ok(Some(reaped)) = sys::reap() {
                if reaped.pid == leader {
                    return Some(reaped);
                }
            }
        }
        if woken.agent {
            let mut signal = [0];
            match agent.read(&mut signal) {
                Ok(1) => pass_on(signal[0], leader),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                _ => {
                    end_group(leader);
                    return None;
                }
            }
        }
    }
}

fn pass_on(number: u8, leader: Pid) {
    // SIGKILL goes to every descendant, whatever group it has moved to; anything gentler goes to the action's group,
    // as a terminal's Ctrl-C would. A group that is gone already is no error.
    if i32::from(number) == libc::SIGKILL {
        end_group(leader);
        for child in children() {
            kill_process(child, Signal::KILL).ok();
        }
    } else if let Some(signal) = Signal::from_named_raw(number.into()) {
        kill_process_group(leader, signal).ok();
    }
}

fn has_ended(leader: Pid) -> bool {
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    matches!(waitid(WaitId::Pid(leader), look), Ok(Some(_)))
}

/// The group is the sweep's where there is no `/proc` to list children in; elsewhere it only makes it shorter.
fn end_group(leader: Pid) {
    kill_process_group(leader, Signal::KILL).ok();
}

/// Ends every descendant and waits for each; returns how many there were. A child's children become ours when it ends,
/// so each pass reaches one generation further, until there is nobody left to wait for.
fn sweep(ended: &mut File, leader: Pid) -> u32 {
    let mut swept = 0;
    for _ in 0..SWEEP_PASSES {
        for child in children() {
            kill_process(child, Signal::KILL).ok();
        }
        loop {
            match sys::reap() {
                Ok(Some(reaped)) => swept += u32::from(reaped.pid != leader),
                Ok(None) => break,
                Err(_) => return swept,
            }
        }
        wait(None, ended, Some(&SWEEP_PASS));
        discard(ended);
    }
    swept
}

fn wait(agent: Option<&UnixStream>, ended: &File, timeout: Option<&Timespec>) -> Woken {
    let mut waited = vec![PollFd::new(ended, PollFlags::IN)];
    waited.extend(agent.map(|agent| PollFd::new(agent, PollFlags::IN)));
    // An interrupted or failed wait reports nothing, and the caller looks again.
    if poll(&mut waited, timeout).is_err() {
        return Woken { agent: false, child: false };
    }
    Woken {
        child: !waited[0].revents().is_empty(),
        agent: waited.get(1).is_some_and(|fd| !fd.revents().is_empty()),
    }
}

/// The direct children of this process. Without `/proc` there is no way to know them, and the process group has to
/// do.
pub(super) fn children() -> Vec<Pid> {
    let own = rustix::process::getpid().as_raw_pid();
    let listed = std::fs::read_to_string(format!("/proc/self/task/{own}/children"));
    // Kernels built without CONFIG_PROC_CHILDREN have no such file.
    let pids: Vec<i32> = match listed {
        Ok(text) => text.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect(),
        Err(_) => all_processes().filter(|(_, parent)| *parent == own).map(|(pid, _)| pid).collect(),
    };
    pids.into_iter().filter_map(Pid::from_raw).collect()
}

/// Every process with its parent, from `/proc/<pid>/stat`: `pid (name) state parent …`, where the name may hold
/// anything, so the last parenthesis counts.
fn all_processes() -> impl Iterator<Item = (i32, i32)> {
    std::fs::read_dir("/proc").into_iter().flatten().filter_map(|entry| {
        let pid: i32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let parent = stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?.parse().ok()?;
        Some((pid, parent))
    })
}

/// Forks and executes the action; returns once its program runs.
fn start(job: Job, stdio: &Stdio) -> Result<Pid, (io::Error, Step)> {
    let prepare = |error: io::Error| (error, Step::Prepare);
    let (mut failure, report) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
        .map_err(|error| prepare(error.into()))
        .map(|(read, write)| (File::from(read), File::from(write)))?;
    match sys::fork_single_threaded().map_err(prepare)? {
        Fork::Child => {
            let (error, step) = become_action(job, stdio);
            let errno = error.raw_os_error().unwrap_or(libc::EIO);
            let told = (&report).write_all(&Notice::Refused { errno, step }.encode());
            sys::exit_now(126 + i32::from(told.is_err()))
        }
        Fork::Parent(pid) => {
            drop(report);
            let mut notice = [0; super::wire::NOTICE_BYTES];
            match failure.read_exact(&mut notice) {
                // Closed by exec: the program runs.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(pid),
                Err(error) => Err(prepare(error)),
                Ok(()) => match Notice::decode(&notice) {
                    Ok(Notice::Refused { errno, step }) => Err((io::Error::from_raw_os_error(errno), step)),
                    _ => Err(prepare(io::ErrorKind::InvalidData.into())),
                },
            }
        }
    }
}

/// Turns the calling process into the action. Returns only where that fails.
fn become_action(job: Job, stdio: &Stdio) -> (io::Error, Step) {
    let prepared = (|| {
        // A session of its own: no controlling terminal, and one group to signal.
        rustix::process::setsid()?;
        rustix::stdio::dup2_stdin(&stdio.stdin)?;
        rustix::stdio::dup2_stdout(&stdio.stdout)?;
        rustix::stdio::dup2_stderr(&stdio.stderr)?;
        sys::reset_signals()
    })();
    if let Err(error) = prepared {
        return (error, Step::Prepare);
    }
    if let Err(error) = rustix::process::chdir(&job.cwd) {
        return (error.into(), Step::WorkingDirectory);
    }
    let error = Command::new(&job.program).args(&job.args).env_clear().envs(job.env).exec();
    (error, Step::Execute)
}
