//! The zygote, as the agent sees it: started, asked, kept going, and ended with all that is below it should it not answer.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use tokio::io::{AsyncReadExt, Interest};
use tokio::net::UnixStream;
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::confinement::Measures;
use super::request::Request;
use super::sweep::{self, end_below};
use super::zygote;

/// How long the zygote may take to answer. It does nothing but fork and look after children, so that only a machine that
/// hardly runs at all needs more than a moment.
pub(super) const ANSWER_PATIENCE: Duration = Duration::from_secs(5);

/// Between two passes through processes that are being ended and whose end tells nobody.
const PASS: Duration = Duration::from_millis(10);

/// A zygote that runs, or has.
#[derive(Debug)]
pub(super) struct Helper {
    pid: Pid,
    process: Mutex<std::process::Child>,
    /// It keeps messages apart, as no stream does; to the runtime it is a socket like any other.
    socket: UnixStream,
    /// It is not asked any more.
    given_up: AtomicBool,
    next_number: AtomicU64,
    watch: JoinHandle<()>,
}

impl Helper {
    pub(super) fn start(measures: &Measures) -> io::Result<Self> {
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        rustix::io::ioctl_fionbio(&ours, true)?;
        // Before there is a child to hear of.
        let children = signal(SignalKind::child())?;
        let process = Command::new("/proc/self/exe")
            .arg0("attune-agent")
            .args([zygote::ARGUMENT, &measures.encode()?])
            .env_clear()
            .stdin(theirs)
            .stdout(Stdio::from(io::stderr().as_fd().try_clone_to_owned()?))
            .spawn()?;
        let pid = Pid::from_child(&process);
        Ok(Self {
            pid,
            process: Mutex::new(process),
            socket: UnixStream::from_std(ours.into())?,
            given_up: AtomicBool::new(false),
            next_number: AtomicU64::new(1),
            watch: tokio::spawn(keep_going(pid, children)),
        })
    }

    /// A number for one more supervisor.
    pub(super) fn number(&self) -> u64 {
        self.next_number.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn is_given_up(&self) -> bool {
        self.given_up.load(Ordering::Relaxed)
    }

    pub(super) async fn send(&self, request: Request, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let sending = self.socket.async_io(Interest::WRITABLE, || request.send(&self.socket, descriptors));
        timeout(ANSWER_PATIENCE, sending).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Whether it takes requests.
    pub(super) async fn answers(&self) -> bool {
        let asking = async {
            let (ours, theirs) = StdUnixStream::pair()?;
            ours.set_nonblocking(true)?;
            self.send(Request::Answer, &[theirs.as_fd()]).await?;
            drop(theirs);
            UnixStream::from_std(ours)?.read(&mut [0]).await
        };
        timeout(ANSWER_PATIENCE, asking).await.is_ok_and(|answered| answered.is_ok())
    }

    /// Asks it to end a supervisor that does not answer, and everything below it. What it says of that comes on the stream.
    pub(super) async fn end(&self, number: u64, leader: i32) -> io::Result<UnixStream> {
        let (ours, theirs) = StdUnixStream::pair()?;
        ours.set_nonblocking(true)?;
        self.send(Request::End { number, leader }, &[theirs.as_fd()]).await?;
        UnixStream::from_std(ours)
    }

    /// Ends it and everything below it, without its help: it does not answer.
    pub(super) async fn give_up(&self) {
        if self.given_up.swap(true, Ordering::Relaxed) {
            return;
        }
        tracing::error!(
            pid = self.pid.as_raw_pid(),
            "the helper process does not answer; it is ended, and its executions with it"
        );
        end_tree(self.pid).await;
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        self.watch.abort();
        // It ends by itself when the socket closes; one that has ended already is reaped here, and a living one by
        // whoever inherits it.
        let process = self.process.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = process.try_wait() {
            tracing::debug!(%error, "the helper process could not be reaped");
        }
    }
}

/// Continues the zygote whenever it is stopped: nobody but an attacker has a reason to stop it.
async fn keep_going(zygote: Pid, mut children: Signals) {
    while children.recv().await.is_some() {
        let look = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG;
        // It is reaped only when this task has ended, so the number is its own.
        if let Ok(Some(_)) = waitid(WaitId::Pid(zygote), look) {
            tracing::warn!("somebody has stopped the helper process; it is continued");
            kill_process(zygote, Signal::CONT).ok();
        }
    }
}

/// Ends a process that nobody but its caller has to do with, and first everything below it, as long as it holds that
/// together. Whoever calls this knows that the number is still that process's.
pub(super) async fn end_tree(root: Pid) {
    let begun = Instant::now();
    while end_below(root) && begun.elapsed() < sweep::PATIENCE {
        sleep(PASS).await;
    }
    // It may have ended by itself meanwhile.
    kill_process(root, Signal::KILL).ok();
}
