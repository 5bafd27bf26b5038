//! The zygote: this program, started again with an empty environment, which forks one supervisor a request.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::process::{Pid, Signal, kill_process};

use super::confinement::Measures;
use super::supervisor::{Stdio, Supervisor};
use super::sys::{self, Fork};

/// The argument that makes this program a zygote; behind it stands what actions are confined by. Not a verb: nobody but [`super::Spawner`] has a use for it.
pub(super) const ARGUMENT: &str = "--zygote";

/// Descriptors that come with each request: the stream to the agent, then standard input, output and error.
const DESCRIPTORS: usize = 4;

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

/// Takes requests until the agent is gone and every supervisor has ended.
fn serve(measures: &Measures) -> io::Result<()> {
    rustix::thread::set_name(c"attune-zygote")?;
    // Its own session: a Ctrl-C in the agent's terminal is the agent's to handle. It can only fail where this process
    // leads a group already, and then a session of its own would change nothing.
    rustix::process::setsid().ok();
    // Supervisors write to pipes whose reader may be gone, so they ignore this one.
    sys::heed_signals(&[libc::SIGPIPE])?;
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    let agent = take_stdin()?;
    let mut ended = File::from(sys::child_signal()?);
    let mut supervisors = Vec::new();
    let mut agent_gone = false;
    // Supervisors see the agent's end by themselves and end their actions; the zygote stays until they have.
    while !(agent_gone && supervisors.is_empty()) {
        let [asked, child] = wait_for(&agent, !agent_gone, &ended)?;
        if child {
            discard(&mut ended);
            reap(&mut supervisors)?;
        }
        if !asked {
            continue;
        }
        match receive(&agent) {
            Ok(request) => match sys::fork_single_threaded()? {
                Fork::Parent(pid) => supervisors.push(pid),
                Fork::Child => {
                    // Or the agent would not notice the zygote's end.
                    drop(agent);
                    drop(ended);
                    let supervisor = Supervisor::new(measures, request.agent, request.stdio);
                    let status = supervisor.map_or(1, Supervisor::run);
                    sys::exit_now(status)
                }
            },
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => agent_gone = true,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The socket that this process was started with as its standard input, which becomes an empty pipe: no supervisor
/// may hold a copy of the socket.
fn take_stdin() -> io::Result<UnixStream> {
    let agent = io::stdin().as_fd().try_clone_to_owned()?;
    let (empty, _) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    rustix::stdio::dup2_stdin(&empty)?;
    Ok(agent.into())
}

/// Waits until the agent asks (or is gone) or a child has ended; says which.
fn wait_for(agent: &UnixStream, listen: bool, ended: &File) -> io::Result<[bool; 2]> {
    let interest = if listen { PollFlags::IN } else { PollFlags::empty() };
    let mut waited = [PollFd::new(agent, interest), PollFd::new(ended, PollFlags::IN)];
    if !listen {
        // A closed socket would be reported for ever.
        waited[0] = PollFd::new(ended, PollFlags::empty());
    }
    match poll(&mut waited, None) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(waited.map(|fd| !fd.revents().is_empty())),
        Err(error) => Err(error.into()),
    }
}

struct Request {
    agent: OwnedFd,
    stdio: Stdio,
}

fn receive(agent: &UnixStream) -> io::Result<Request> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let received = loop {
        match recvmsg(agent, &mut [IoSliceMut::new(&mut byte)], &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
            Err(rustix::io::Errno::INTR) => {}
            other => break other?,
        }
    };
    if received.bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut descriptors = ancillary
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(rights) => Some(rights),
            _ => None,
        })
        .flatten();
    let mut next = || descriptors.next().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData));
    Ok(Request { agent: next()?, stdio: Stdio { stdin: next()?, stdout: next()?, stderr: next()? } })
}

/// Reaps supervisors. Any other child is an orphan whose supervisor was killed from outside: it has no business left.
fn reap(supervisors: &mut Vec<Pid>) -> io::Result<()> {
    loop {
        match sys::reap() {
            Ok(Some(reaped)) => supervisors.retain(|pid| *pid != reaped.pid),
            Ok(None) => break,
            Err(error) if error.kind() == io::ErrorKind::NotFound => break,
            Err(error) => return Err(error),
        }
    }
    for orphan in super::sweep::children().into_iter().filter(|pid| !supervisors.contains(pid)) {
        // It may have ended by itself meanwhile.
        kill_process(orphan, Signal::KILL).ok();
    }
    Ok(())
}

/// Empties the descriptor that reports ended children; what it says is only that there may be some.
pub(super) fn discard(ended: &mut File) {
    let mut buffer = [0; 1024];
    while ended.read(&mut buffer).is_ok_and(|read| read > 0) {}
}
