//! Running one tool of a build: bounded in time, stopped on request, everything it prints in the log.

use std::io;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::time::{Instant, interval_at};
use tokio_util::sync::CancellationToken;

use super::lock::BuildLock;
use super::log::BuildLog;
use crate::backoff::pause_until;
use crate::model::Exit;
use crate::process::{Child, Job, Permit, SpawnError, Spawner, read_now};

/// How often the agent's own log says how far a build is.
const PROGRESS: Duration = Duration::from_secs(10);

/// Between asking a tool to end and ending it.
const GRACE: Duration = Duration::from_secs(5);

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
    let heard = child.heard();
    let (mut out, mut err) = (child.stdout.take(), child.stderr.take());
    let (mut out_buffer, mut err_buffer) = (vec![0; READ_BYTES], vec![0; READ_BYTES]);
    let mut progress = interval_at(Instant::now() + PROGRESS, PROGRESS);
    let mut waiting = std::pin::pin!(wait(&mut child, bounds));
    let ended = loop {
        tokio::select! {
            ended = &mut waiting => break ended.map_err(ToolError::Lost)?,
            read = read(&mut out, &mut out_buffer) => {
                heard.tell();
                log.take(&out_buffer[..read]).await;
            }
            read = read(&mut err, &mut err_buffer) => {
                heard.tell();
                log.take(&err_buffer[..read]).await;
            }
            _ = progress.tick() => {
                tracing::info!(program = %job.program.display(), last = log.last_line(),
                    "an environment is still being built");
            }
        }
    };
    drain(&mut out, log).await;
    drain(&mut err, log).await;
    Ok(ended)
}

/// Awaits the end; past the build's time, or once nobody wants it, sees to it.
async fn wait(child: &mut Child, bounds: &Bounds) -> io::Result<ToolEnd> {
    let why = tokio::select! {
        ended = child.ended() => return Ok(ToolEnd::Exited(ended?.exit)),
        () = bounds.cancelled.cancelled() => ToolEnd::Cancelled,
        () = pause_until(bounds.deadline) => ToolEnd::TimedOut,
    };
    child.end(GRACE, std::future::pending()).await?;
    Ok(why)
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
        match read_now(stream, &mut buffer) {
            Ok(read) if read > 0 => log.take(&buffer[..read]).await,
            _ => return,
        }
    }
}
