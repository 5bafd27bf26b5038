//! The zygote: this program, started again with an empty environment, which forks one supervisor a request.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;

use super::confinement::Measures;
use super::family::Family;
use super::request::Request;
use super::supervisor::{Stdio, Supervisor};
use super::sweep;
use super::sys::{self, Fork};

/// The argument that makes this program a zygote; behind it stands what actions are confined by. Not a verb: nobody but [`super::Spawner`] has a use for it.
pub(super) const ARGUMENT: &str = "--zygote";

/// Becomes the zygote and never returns, if this process was started as one. To be called first in `main`, before
/// any thread exists.
pub fn enter_if_asked() {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().as_deref() != Some(OsStr::new(ARGUMENT)) {
        return;
    }
    let measures = arguments.next().and_then(|text| Measures::decode(text.to_str()?).ok());
    // A status that nothing else ends with: somebody calls for it by hand.
    let Some(measures) = measures else { sys::exit_now(2) };
    sys::exit_now(i32::from(serve(&measures).is_err()))
}

/// Takes requests until the agent is gone and nothing is left below.
fn serve(measures: &Measures) -> io::Result<()> {
    rustix::thread::set_name(c"attune-zygote")?;
    // Its own session: a Ctrl-C in the agent's terminal is the agent's to handle. It can only fail where this process
    // leads a group already, and then a session of its own would change nothing.
    rustix::process::setsid().ok();
    // Supervisors write to pipes whose reader may be gone, so they ignore this one.
    sys::heed_signals(&[libc::SIGPIPE])?;
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    // Stopped or not, it learns that the agent is gone.
    rustix::process::set_parent_process_death_signal(Some(Signal::CONT))?;
    let agent = take_stdin()?;
    let mut ended = File::from(sys::child_signal()?);
    let mut family = Family::new(measures);
    let mut agent_gone = false;
    while !(agent_gone && family.is_gone()) {
        let [asked, child] =
            wait_for(&agent, !agent_gone, &ended, family.is_unsettled().then_some(&sweep::PASS))?;
        if child {
            discard(&mut ended);
            family.look_after_children()?;
        }
        if asked {
            match Request::receive(&agent) {
                Ok((Request::Start { number }, descriptors)) => match sys::fork_single_threaded()? {
                    Fork::Parent(pid) => family.add(pid, number),
                    Fork::Child => {
                        // Or the agent would not notice the zygote's end.
                        drop((agent, ended, family));
                        sys::exit_now(supervise(measures, descriptors))
                    }
                },
                Ok((Request::End { number, leader }, mut descriptors)) => {
                    let agent = descriptors.next().ok_or(io::ErrorKind::InvalidData)?;
                    family.end(number, leader, agent.into());
                }
                // Its descriptor closes here.
                Ok((Request::Answer, _)) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    agent_gone = true;
                    family.part();
                }
                Err(error) => return Err(error),
            }
        }
        if child || family.is_unsettled() {
            family.settle();
        }
    }
    Ok(())
}

/// Is a supervisor, to the end of its execution; returns its exit status.
fn supervise(measures: &Measures, mut descriptors: impl Iterator<Item = OwnedFd>) -> i32 {
    let mut next = || descriptors.next().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData));
    let supervisor = (|| {
        let agent = next()?;
        let stdio = Stdio { stdin: next()?, stdout: next()?, stderr: next()? };
        Supervisor::new(measures, agent, stdio)
    })();
    supervisor.map_or(1, Supervisor::run)
}

/// The socket that this process was started with as its standard input, which becomes an empty pipe: no supervisor
/// may hold a copy of the socket.
fn take_stdin() -> io::Result<OwnedFd> {
    let agent = io::stdin().as_fd().try_clone_to_owned()?;
    let (empty, _) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    rustix::stdio::dup2_stdin(&empty)?;
    Ok(agent)
}

/// Waits until the agent asks (or is gone) or something has become of a child; says which.
fn wait_for(
    agent: &OwnedFd,
    listen: bool,
    ended: &File,
    timeout: Option<&Timespec>,
) -> io::Result<[bool; 2]> {
    let interest = if listen { PollFlags::IN } else { PollFlags::empty() };
    let mut waited = [PollFd::new(agent, interest), PollFd::new(ended, PollFlags::IN)];
    if !listen {
        // A closed socket would be reported for ever.
        waited[0] = PollFd::new(ended, PollFlags::empty());
    }
    match poll(&mut waited, timeout) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(waited.map(|fd| !fd.revents().is_empty())),
        Err(error) => Err(error.into()),
    }
}

/// Empties the descriptor that reports ended children; what it says is only that there may be some.
pub(super) fn discard(ended: &mut File) {
    let mut buffer = [0; 1024];
    while ended.read(&mut buffer).is_ok_and(|read| read > 0) {}
}
