//! The agent's side of the zygote: starts it, hands it requests, starts it again should it die.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::child::Child;
use super::confinement::{Confinement, Measures};
use super::oom::OomCount;
use super::wire::{Job, Step};
use super::zygote;

/// How long a start may take. It is well under a millisecond, unless the program is on a file system that hangs.
const START_PATIENCE: Duration = Duration::from_mins(1);

/// What allows to start a process: the claim of an execution, or the lock of an environment that is being built.
pub trait Permit {}

/// Starts processes, and only for who holds a permit.
#[derive(Debug)]
pub struct Spawner {
    measures: Measures,
    oom_count: Arc<OomCount>,
    zygote: Mutex<Option<Zygote>>,
}

#[derive(Debug)]
struct Zygote {
    process: std::process::Child,
    socket: UnixStream,
}

/// Why a process could not be started.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// The helper process that forks could not be started, or died.
    #[error("the agent's helper process failed: {0}")]
    Helper(#[source] io::Error),
    /// Arguments or environment that no process can be given.
    #[error("{0}")]
    Unacceptable(#[source] io::Error),
    /// The working directory is not usable.
    #[error("cannot enter the working directory {directory}: {source}")]
    WorkingDirectory {
        /// The directory.
        directory: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The program could not be executed.
    #[error("cannot execute {program}: {source}")]
    Execute {
        /// The program.
        program: String,
        /// The system's reason.
        source: io::Error,
    },
}

impl SpawnError {
    /// What a person can do about it, by the system's reason.
    pub fn hint(&self) -> Option<&'static str> {
        let Self::Execute { source, .. } = self else {
            return None;
        };
        match source.raw_os_error()? {
            libc::EACCES => Some("the file is not executable: `chmod +x` it, or check for a noexec mount"),
            libc::ENOEXEC => Some("it is neither a program for this machine nor a script with a `#!` line"),
            // The file was there when the plan was made.
            libc::ENOENT => {
                Some("the file is there, so what its `#!` line or its ELF header asks for is missing")
            }
            libc::E2BIG => Some("the environment is too large: fewer or shorter variables"),
            libc::EAGAIN => Some("the limit on processes is reached"),
            _ => None,
        }
    }
}

impl Spawner {
    /// Starts the helper process, which confines every action as asked for. To be called once, inside the async runtime.
    pub fn start(confinement: Confinement) -> Result<Self, SpawnError> {
        let measures = Measures::prepare(confinement);
        // Looked for where actions without a group of their own will be.
        let oom_count = Arc::new(OomCount::find());
        let zygote = Zygote::start(&measures).map_err(SpawnError::Helper)?;
        Ok(Self { measures, oom_count, zygote: Mutex::new(Some(zygote)) })
    }

    /// Starts `job` for what `_permit` stands for.
    pub async fn spawn(&self, _permit: &impl Permit, job: &Job) -> Result<Child, SpawnError> {
        let message = job.encode().map_err(SpawnError::Unacceptable)?;
        let (mut child, theirs) = connect(&self.oom_count).map_err(SpawnError::Helper)?;
        self.request(&theirs).await.map_err(SpawnError::Helper)?;
        // The child's ends live on in the supervisor alone, or their end would never be seen here.
        drop(theirs);
        // Dropping the child on the way out ends whatever had been started after all.
        match timeout(START_PATIENCE, child.begin(&message)).await {
            Ok(Ok(())) => Ok(child),
            Ok(Err(refused)) => Err(refused.into_spawn_error(job)),
            Err(_) => Err(SpawnError::Helper(io::ErrorKind::TimedOut.into())),
        }
    }

    /// Hands the descriptors to the zygote. One that has died is replaced once; a second failure is reported.
    async fn request(&self, descriptors: &[OwnedFd; 4]) -> io::Result<()> {
        let mut zygote = self.zygote.lock().await;
        if let Some(running) = zygote.as_mut() {
            match running.send(descriptors).await {
                Ok(()) => return Ok(()),
                Err(error) => tracing::warn!(%error, "the helper process is gone and is started again"),
            }
        }
        *zygote = None;
        let mut fresh = Zygote::start(&self.measures)?;
        fresh.send(descriptors).await?;
        *zygote = Some(fresh);
        Ok(())
    }
}

impl Zygote {
    fn start(measures: &Measures) -> io::Result<Self> {
        let (ours, theirs) = StdUnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let process = Command::new("/proc/self/exe")
            .arg0("attune-agent")
            .args([zygote::ARGUMENT, &measures.encode()?])
            .env_clear()
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::from(io::stderr().as_fd().try_clone_to_owned()?))
            .spawn()?;
        Ok(Self { process, socket: UnixStream::from_std(ours)? })
    }

    async fn send(&mut self, descriptors: &[OwnedFd; 4]) -> io::Result<()> {
        let borrowed = descriptors.each_ref().map(AsFd::as_fd);
        self.socket
            .async_io(Interest::WRITABLE, || {
                let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
                let mut ancillary = SendAncillaryBuffer::new(&mut space);
                if !ancillary.push(SendAncillaryMessage::ScmRights(&borrowed)) {
                    return Err(io::ErrorKind::InvalidInput.into());
                }
                sendmsg(&self.socket, &[IoSlice::new(&[0])], &mut ancillary, SendFlags::NOSIGNAL)?;
                Ok(())
            })
            .await
    }
}

impl Drop for Zygote {
    fn drop(&mut self) {
        // It ends by itself when the socket closes; one that has ended already is reaped here, and a living one by
        // whoever inherits it.
        if let Err(error) = self.process.try_wait() {
            tracing::debug!(%error, "the helper process could not be reaped");
        }
    }
}

/// The streams between agent and action: our ends, and the four descriptors for the supervisor in the wire's order.
fn connect(oom_count: &Arc<OomCount>) -> io::Result<(Child, [OwnedFd; 4])> {
    let (ours, theirs) = StdUnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let (stdin_read, stdin_write) = io::pipe()?;
    let (stdout_read, stdout_write) = io::pipe()?;
    let (stderr_read, stderr_write) = io::pipe()?;
    let child = Child::new(
        Arc::clone(oom_count),
        UnixStream::from_std(ours)?,
        pipe::Sender::from_owned_fd(stdin_write.into())?,
        pipe::Receiver::from_owned_fd(stdout_read.into())?,
        pipe::Receiver::from_owned_fd(stderr_read.into())?,
    );
    Ok((child, [theirs.into(), stdin_read.into(), stdout_write.into(), stderr_write.into()]))
}

/// A start that the supervisor refused, or could not answer.
pub(super) struct Refused {
    pub(super) error: io::Error,
    pub(super) step: Step,
}

impl Refused {
    fn into_spawn_error(self, job: &Job) -> SpawnError {
        let Self { error, step } = self;
        match step {
            Step::Prepare => SpawnError::Helper(error),
            Step::WorkingDirectory => {
                SpawnError::WorkingDirectory { directory: job.cwd.display().to_string(), source: error }
            }
            Step::Execute => {
                SpawnError::Execute { program: job.program.display().to_string(), source: error }
            }
        }
    }
}
