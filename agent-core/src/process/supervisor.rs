//! The supervisor: one small process an execution, which starts the action and sees to it that nothing of it is left.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid};

use super::cgroup::Cage;
use super::confinement::Measures;
use super::linger::{Rest, Streams};
use super::sweep::{children, resume_all, sweep};
use super::sys::{self, Fork, Reaped};
use super::wire::{Job, Notice, Step};
use super::zygote::discard;

/// The action's standard streams.
pub(super) struct Stdio {
    pub(super) stdin: OwnedFd,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
}

/// One execution's supervisor, before it has started anything.
pub(super) struct Supervisor<'a> {
    measures: &'a Measures,
    agent: UnixStream,
    ended: File,
    stdio: Stdio,
}

/// What happened while the supervisor waited.
pub(super) struct Woken {
    pub(super) agent: bool,
    pub(super) child: bool,
}

impl<'a> Supervisor<'a> {
    pub(super) fn new(measures: &'a Measures, agent: OwnedFd, stdio: Stdio) -> io::Result<Self> {
        rustix::thread::set_name(c"attune-superv")?;
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
        // Whoever stops it and ends the zygote, which would continue it, has not stopped it.
        rustix::process::set_parent_process_death_signal(Some(Signal::CONT))?;
        Ok(Self { measures, agent: agent.into(), ended: File::from(sys::child_signal()?), stdio })
    }

    /// Runs the job that the agent sends, to its very end. Returns this process's exit status.
    pub(super) fn run(self) -> i32 {
        let Self { measures, mut agent, mut ended, stdio } = self;
        // An error means that the agent is gone before it asked for anything.
        let Ok(job) = Job::read(&agent) else { return 1 };
        let caged = measures.cage().map_err(|error| (error, Step::Prepare));
        let started = caged.and_then(|cage| match start(job, &stdio, measures, cage.as_ref()) {
            Ok(leader) => Ok((leader, cage)),
            Err(refused) => {
                cage.iter().for_each(Cage::remove);
                Err(refused)
            }
        });
        let streams = Streams::of(&stdio);
        // Only the action holds them now, so that their end is seen.
        drop(stdio);
        let (leader, cage) = match started {
            Ok(started) => started,
            Err((error, step)) => {
                let errno = error.raw_os_error().unwrap_or(libc::EIO);
                return i32::from(agent.write_all(&Notice::Refused { errno, step }.encode()).is_err());
            }
        };
        // From here on a failing write means that the agent is gone: the action is ended all the same, and nobody is
        // left to be told.
        let mut told = agent.write_all(&started_notice(leader).encode());
        // Where they cannot be told from others, nobody is heard out.
        if let Some(exited) = watch(&mut agent, &mut ended, leader, streams.as_ref().ok()) {
            let Reaped { exit, usage, .. } = exited.leader;
            told = told.and_then(|()| agent.write_all(&Notice::Exited { exit, usage }.encode()));
            if let Some(streams) = exited.heard_out {
                told = told.and_then(|()| agent.write_all(&Notice::Lingering.encode()));
                streams.hear_out(&mut agent, &mut ended, leader);
            }
        }
        cage.iter().for_each(Cage::kill);
        let swept = sweep(&mut ended, leader);
        if let Some(evidence) = cage.as_ref().and_then(Cage::out_of_memory) {
            told = told.and_then(|()| agent.write_all(&Notice::OutOfMemory(evidence).encode()));
        }
        cage.iter().for_each(Cage::remove);
        told = told.and_then(|()| agent.write_all(&Notice::Gone { swept }.encode()));
        i32::from(told.is_err())
    }
}

fn started_notice(leader: Pid) -> Notice {
    let supervisor = rustix::process::getpid().as_raw_pid();
    Notice::Started { pid: leader.as_raw_pid(), supervisor }
}

/// The end of the action's own process.
struct Exited<'a> {
    leader: Reaped,
    /// The streams on which others have still something to say; where nobody has, they are being ended.
    heard_out: Option<&'a Streams>,
}

/// Passes signals on until the leader has ended or the agent is gone. `None` when the agent went first.
fn watch<'a>(
    agent: &mut UnixStream,
    ended: &mut File,
    leader: Pid,
    streams: Option<&'a Streams>,
) -> Option<Exited<'a>> {
    let mut killed = false;
    loop {
        let woken = wait(Some(agent), ended, None);
        if woken.child {
            discard(ended);
            let mut heard_out = None;
            if has_ended(leader) {
                heard_out = streams.filter(|streams| !killed && streams.rest(leader) != Rest::Silent);
                if heard_out.is_none() {
                    // Before it is reaped: until then no other group can have its number.
                    end_group(leader);
                }
            }
            while let Ok(Some(reaped)) = sys::reap() {
                if reaped.pid == leader {
                    return Some(Exited { leader: reaped, heard_out });
                }
            }
        }
        if woken.agent {
            let mut signal = [0];
            match agent.read(&mut signal) {
                Ok(1) => {
                    killed |= i32::from(signal[0]) == libc::SIGKILL;
                    pass_on(signal[0], leader);
                }
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
        // What is stopped hears of a signal when it is continued; so does whatever it waits for.
        kill_process_group(leader, Signal::CONT).ok();
        resume_all(children());
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

/// Waits for the agent to say something, or for a child to end.
pub(super) fn wait(agent: Option<&UnixStream>, ended: &File, timeout: Option<&Timespec>) -> Woken {
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

/// Forks and executes the action; returns once its program runs.
fn start(
    job: Job,
    stdio: &Stdio,
    measures: &Measures,
    cage: Option<&Cage>,
) -> Result<Pid, (io::Error, Step)> {
    let prepare = |error: io::Error| (error, Step::Prepare);
    let (mut failure, report) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
        .map_err(|error| prepare(error.into()))
        .map(|(read, write)| (File::from(read), File::from(write)))?;
    match sys::fork_single_threaded().map_err(prepare)? {
        Fork::Child => {
            let (error, step) = become_action(job, stdio, measures, cage);
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
fn become_action(job: Job, stdio: &Stdio, measures: &Measures, cage: Option<&Cage>) -> (io::Error, Step) {
    let prepared = (|| {
        // A session of its own: no controlling terminal, and one group to signal.
        rustix::process::setsid()?;
        rustix::stdio::dup2_stdin(&stdio.stdin)?;
        rustix::stdio::dup2_stdout(&stdio.stdout)?;
        rustix::stdio::dup2_stderr(&stdio.stderr)?;
        sys::reset_signals()?;
        measures.take(cage)
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
