//! The first process of a container: reaps what is left to it and passes signals on.
//!
//! Everything whose parent has ended becomes a child of process 1: not only what actions leave behind, which goes to
//! their supervisors, but also what is started in the container from outside and then lets go. Whoever reaped these in
//! the agent would have to tell them from the agent's own children, which several parts wait for, each in its own
//! way. So the agent never is process 1: that one does nothing else.

use std::fs::File;
use std::io;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, Signal, child_subreaper, getpid, kill_process, set_parent_process_death_signal};

use super::sys::{self, Fork, Reaped};
use crate::model::Exit;

/// The name of the process that reaps, as the kernel shows it.
pub(super) const NAME: &str = "attune-init";

/// What a container's runtime, or a person, sends to process 1 and means for the agent.
const PASSED_ON: &[libc::c_int] =
    &[libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT, libc::SIGUSR1, libc::SIGUSR2];

/// Splits this process in two where orphans come to it: the caller goes on in a child, and the process itself becomes
/// the one that reaps, and ends as the child ends. Anywhere else it does nothing. To be called before there is a thread.
///
/// # Errors
/// When the system refuses another process. The caller may go on as process 1, and orphans stay as zombies.
pub fn leave_orphans_to_init() -> io::Result<()> {
    let subreaper = child_subreaper().is_ok_and(|set| set.is_some());
    if !(getpid().is_init() || subreaper) {
        return Ok(());
    }
    let arrived = File::from(sys::signals(&[PASSED_ON, &[libc::SIGCHLD]].concat())?);
    match sys::fork_single_threaded()? {
        Fork::Child => {
            drop(arrived);
            // Nobody would be left to reap what comes back, were it killed where it is not process 1.
            set_parent_process_death_signal(Some(Signal::TERM))?;
            sys::unblock_signals()
        }
        Fork::Parent(agent) => {
            // It needs none of them, and they hold credentials.
            sys::wipe_environment(|_| true);
            // A name is for people; what it is for goes on without.
            std::fs::write("/proc/self/comm", NAME).ok();
            let status = match serve(&arrived, agent) {
                Ok(Exit::Code(code)) => code,
                // As a shell would say it: a container's runtime knows no other way.
                Ok(Exit::Signal(signal)) => 128 + signal,
                Err(_) => 1,
            };
            sys::exit_now(status)
        }
    }
}

/// Reaps and passes on until the agent has ended; returns how.
fn serve(arrived: &File, agent: Pid) -> io::Result<Exit> {
    loop {
        match poll(&mut [PollFd::new(arrived, PollFlags::IN)], None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        while let Some(signal) = sys::next_signal(arrived)? {
            // The agent is in the terminal's foreground group too, and has had its own.
            if !signal.from_kernel
                && let Some(signal) =
                    Signal::from_named_raw(signal.number).filter(|one| *one != Signal::CHILD)
            {
                // It may have ended by itself meanwhile.
                kill_process(agent, signal).ok();
            }
        }
        loop {
            match sys::reap() {
                Ok(Some(Reaped { pid, exit, .. })) if pid == agent => return Ok(exit),
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(error) => return Err(error),
            }
        }
    }
}
