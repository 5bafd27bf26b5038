//! Running one tool of a build: bounded in time, stopped on request, everything it prints in the log.

use std::io;
use std::time::Duration;

use rustix::process::Signal;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::time::{Instant, interval_at, timeout_at};
use tokio_util::sync::CancellationToken;

use super::lock::BuildLock;
use super::log::BuildLog;
use crate::model::Exit;
use crate::process::{Child, Job, Permit, SpawnError, Spawner};

/// How often the agent's own log says how far a build is.
const PROGRESS: Duration = Duration::from_secs(10);

/// Between asking a tool to end and ending it.
const GRACE: Duration = Duration::from_secs(5);

/// After `SIGKILL`, how long the end is awaited. The supervisor itself gives up sooner.
const KILL_PATIENCE: Duration = Duration::from_secs(15);

/// Size of one read.
const READ_BYTES: usize = 16 << 10;

/// Reads that may follow the tool's end: a pipe holds at most 1 MiB.
const DRAIN_READS: usize = (1 << 20) / READ_BYTES;

/// Whoever holds the lock of an environment may start what builds it.
impl Permit for BuildLock {}

/// How a tool ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ToolEnd {
    Exited(Exit),
    /// The build's time was up.
    TimedOut,
    /// Nobody wants the environment any more.
    Cancelled,
}

/// Why it did not run, or what became of it is not known.
#[derive(Debug)]
pub(super) enum ToolError {
    NotStarted(SpawnError),
    Lost(io::Error),
}

/// What bounds a build.
#[derive(Debug, Clone)]
pub(super) struct Bounds {
    pub(super) deadline: Instant,
    pub(super) cancelled: CancellationToken,
}

/// Runs `job` to its end.
pub(super) async fn run(
    job: &Job,
    spawner: &Spawner,
    lock: &BuildLock,
    log: &mut BuildLog,
    bounds: &Bounds,
) -> Result<ToolEnd, ToolError> {
    let mut child = spawner.spawn(lock, job).await.map_err(ToolError::NotStarted)?;
    // Whoever asks a question gets no answer.
    drop(child.stdin.take());
    let (mut out, mut err) = (child.stdout.take(), child.stderr.take());
    let (mut out_buffer, mut err_buffer) = (vec![0; READ_BYTES], vec![0; READ_BYTES]);
    let mut progress = interval_at(Instant::now() + PROGRESS, PROGRESS);
    let mut ending = Ending { cause: None, killed: false, alarm: bounds.deadline };
    let ended = loop {
        tokio::select! {
            ended = child.ended() => break ended.map_err(ToolError::Lost)?,
            read = read(&mut out, &mut out_buffer) => log.take(&out_buffer[..read]).await,
            read = read(&mut err, &mut err_buffer) => log.take(&err_buffer[..read]).await,
            () = bounds.cancelled.cancelled(), if ending.cause.is_none() => {
                ending.step(ToolEnd::Cancelled, &mut child).await?;
            }
            _ = timeout_at(ending.alarm, std::future::pending::<()>()) => {
                ending.step(ToolEnd::TimedOut, &mut child).await?;
            }
            _ = progress.tick() => {
                tracing::info!(program = %job.program.display(), last = log.last_line(),
                    "an environment is still being built");
            }
        }
    };
    drain(&mut out, log).await;
    drain(&mut err, log).await;
    Ok(ending.cause.unwrap_or(ToolEnd::Exited(ended.exit)))
}

/// How far a tool has been told to end.
struct Ending {
    cause: Option<ToolEnd>,
    killed: bool,
    alarm: Instant,
}

impl Ending {
    /// Asks, then ends, then gives up.
    async fn step(&mut self, cause: ToolEnd, child: &mut Child) -> Result<(), ToolError> {
        let (signal, patience) = match (self.cause, self.killed) {
            (None, _) => (Signal::TERM, GRACE),
            (Some(_), false) => (Signal::KILL, KILL_PATIENCE),
            (Some(_), true) => return Err(ToolError::Lost(io::ErrorKind::TimedOut.into())),
        };
        self.killed = self.cause.is_some();
        self.cause.get_or_insert(cause);
        self.alarm = Instant::now() + patience;
        if let Err(error) = child.signal(signal).await {
            tracing::debug!(%error, "a tool ended while it was being told to");
        }
        Ok(())
    }
}

/// What a stream prints next; awaited for ever once it is closed.
async fn read(stream: &mut Option<pipe::Receiver>, buffer: &mut [u8]) -> usize {
    if let Some(open) = stream {
        match open.read(buffer).await {
            Ok(read) if read > 0 => return read,
            _ => *stream = None,
        }
    }
    std::future::pending().await
}

/// What is left in a stream whose tool has ended.
async fn drain(stream: &mut Option<pipe::Receiver>, log: &mut BuildLog) {
    let Some(stream) = stream else { return };
    let mut buffer = vec![0; READ_BYTES];
    for _ in 0..DRAIN_READS {
        match stream.try_read(&mut buffer) {
            Ok(read) if read > 0 => log.take(&buffer[..read]).await,
            _ => return,
        }
    }
}
