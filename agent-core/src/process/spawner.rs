//! The agent's side of the zygote: starts it, hands it requests, starts it again should it die.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};

use super::child::{Child, Ends, Watch};
use super::confinement::{Confinement, Measures};
use super::helper::{ANSWER_PATIENCE, Helper};
use super::oom::OomCount;
use super::request::Request;
use super::wire::{Job, Step};

/// How long a start may take. It is well under a millisecond, unless the program is on a file system that hangs.
const START_PATIENCE: Duration = Duration::from_mins(1);

/// What allows to start a process: the claim of an execution, or the lock of an environment that is being built.
pub trait Permit {}

/// Starts processes, and only for who holds a permit.
#[derive(Debug)]
pub struct Spawner {
    measures: Measures,
    oom_count: Arc<OomCount>,
    helper: Mutex<Arc<Helper>>,
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
        let helper = Arc::new(Helper::start(&measures).map_err(SpawnError::Helper)?);
        Ok(Self { measures, oom_count, helper: Mutex::new(helper) })
    }

    /// Starts `job` for what `_permit` stands for.
    pub async fn spawn(&self, _permit: &impl Permit, job: &Job) -> Result<Child, SpawnError> {
        let message = job.encode().map_err(SpawnError::Unacceptable)?;
        let (ours, theirs) = connect().map_err(SpawnError::Helper)?;
        let watch = self.request(&theirs).await.map_err(SpawnError::Helper)?;
        // The child's ends live on in the supervisor alone, or their end would never be seen here.
        drop(theirs);
        let mut child = Child::new(Arc::clone(&self.oom_count), watch, ours);
        // Dropping the child on the way out ends whatever had been started after all.
        match begin(&mut child, &message).await {
            Some(Ok(())) => Ok(child),
            Some(Err(refused)) => Err(refused.into_spawn_error(job)),
            None => {
                // Whatever has come of it has to be gone, and is not told.
                if let Err(error) = child.end_by_force().await {
                    tracing::warn!(%error, "a process that did not start in time could not be ended");
                }
                Err(SpawnError::Helper(io::ErrorKind::TimedOut.into()))
            }
        }
    }

    /// Hands the descriptors to the zygote. One that has died is replaced once; a second failure is reported.
    async fn request(&self, descriptors: &[OwnedFd; 4]) -> io::Result<Watch> {
        let descriptors = descriptors.each_ref().map(AsFd::as_fd);
        let mut helper = self.helper.lock().await;
        let ask = async |helper: &Arc<Helper>| {
            let number = helper.number();
            helper.send(Request::Start { number }, &descriptors).await?;
            io::Result::Ok(Watch { helper: Arc::clone(helper), number })
        };
        if !helper.is_given_up() {
            match ask(&helper).await {
                // One that takes no more requests has not taken this one either.
                Err(error) if error.kind() == io::ErrorKind::TimedOut => helper.give_up().await,
                Err(error) => {
                    tracing::warn!(%error, "the helper process is gone and is started again");
                }
                asked => return asked,
            }
        }
        *helper = Arc::new(Helper::start(&self.measures)?);
        ask(&helper).await
    }
}

/// Sends the job and awaits that it runs; `None` where that takes too long. A helper process that does not answer meanwhile
/// is given up.
async fn begin(child: &mut Child, message: &[u8]) -> Option<Result<(), Refused>> {
    let helper = Arc::clone(child.helper());
    let mut beginning = std::pin::pin!(timeout(START_PATIENCE, child.begin(message)));
    tokio::select! {
        biased;
        begun = &mut beginning => return begun.ok(),
        () = sleep(ANSWER_PATIENCE) => {}
    }
    if !helper.answers().await {
        helper.give_up().await;
    }
    beginning.await.ok()
}

/// The streams between agent and action: our ends, and the four descriptors for the supervisor in the wire's order.
fn connect() -> io::Result<(Ends, [OwnedFd; 4])> {
    let (ours, theirs) = StdUnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let (stdin_read, stdin_write) = io::pipe()?;
    let (stdout_read, stdout_write) = io::pipe()?;
    let (stderr_read, stderr_write) = io::pipe()?;
    let ends = Ends {
        supervisor: UnixStream::from_std(ours)?,
        stdin: pipe::Sender::from_owned_fd(stdin_write.into())?,
        stdout: pipe::Receiver::from_owned_fd(stdout_read.into())?,
        stderr: pipe::Receiver::from_owned_fd(stderr_read.into())?,
    };
    Ok((ends, [theirs.into(), stdin_read.into(), stdout_write.into(), stderr_write.into()]))
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
