//! Watching an action: its streams, its end, and the orders to end it.

use std::borrow::Cow;
use std::io;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::capture::Capture;
use super::exceeded::Exceeded;
use super::plan::Plan;
use super::veil::Veil;
use super::{Stop, StopSignal, Workshop, output, secret_outputs};
use crate::artifacts::{Kept, Leavings, Owed, WrittenLog};
use crate::model::{Exit, Outcome, OutputFormat, Reason, Stream, StreamReport, WorkOrder};
use crate::process::{Child, Ended, Heard, read_now, signal_name};

/// What becomes of an action's output beside being captured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Streams {
    /// Nothing.
    Captured,
    /// It is shown at once on the agent's own standard error.
    Shown,
}

/// Size of one read. Pipes hold 64 KiB, so a larger one gains nothing.
const READ_BYTES: usize = 64 << 10;

/// Reads that may follow the action's end: what is in a pipe by then is at most 1 MiB, and whoever writes more was
/// never the action's.
const DRAIN_READS: usize = (1 << 20) / READ_BYTES;

/// What is said of an execution that ends because its worker is cut off.
pub(super) const CUT_OFF: &str =
    "the worker could not reach its database for so long that the control plane gives its executions up";

/// What was seen.
#[derive(Debug)]
pub(super) struct Observation {
    ended: io::Result<Ended>,
    cause: Option<Cause>,
    duration: Duration,
    stdout: StreamReport,
    stderr: StreamReport,
    data: Result<Option<serde_json::Value>, String>,
    logs: Vec<WrittenLog>,
}

/// Why the action was told to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    Timeout,
    Stop(Stop),
}

/// Feeds, pumps and waits, all at once: an action that prints before it reads, or never reads, blocks nobody.
pub(super) async fn observe(
    mut child: Child,
    plan: &Plan,
    workshop: &Workshop,
    stop: &mut StopSignal,
    streams: Streams,
) -> Observation {
    let Workshop { limits, artifacts, .. } = workshop;
    let begun = Instant::now();
    let gone = CancellationToken::new();
    let feeding = feed(child.stdin.take(), &plan.stdin, &gone);
    let log = |stream| artifacts.live_log(plan.execution, stream);
    let out = if secret_outputs::withheld(plan) {
        Capture::in_memory(limits.stdout_bytes, log(Stream::Stdout))
    } else {
        Capture::new(limits.stdout_bytes, log(Stream::Stdout))
    };
    let err = Capture::new(limits.stderr_bytes, log(Stream::Stderr));
    let masker = plan.unsealed.masker.as_ref();
    let ears = Ears { heard: child.heard(), gone: gone.clone(), streams };
    let reading_out = pump(child.stdout.take(), out, Veil::of_stdout(masker, plan.output), &ears);
    let reading_err = pump(child.stderr.take(), err, Veil::new(masker), &ears);
    let waiting = async {
        let (ended, cause) = wait(&mut child, plan.timeout, limits.kill_grace, stop).await;
        // It ends with its own process, however long others are heard out and ended.
        let duration = ended.as_ref().map_or_else(|_| begun.elapsed(), |ended| ended.at - begun);
        gone.cancel();
        (ended, cause, duration)
    };
    let ((ended, cause, duration), (), (stdout, veil), (stderr, _)) =
        tokio::join!(waiting, feeding, reading_out, reading_err);
    let (total, limit) = (stdout.total(), stdout.limit());
    let ((stdout, out_log), (stderr, err_log)) = tokio::join!(stdout.finish(), stderr.finish());
    let succeeded = cause.is_none() && matches!(&ended, Ok(Ended { exit: Exit::Code(0), .. }));
    let data = if succeeded && plan.output != OutputFormat::Text {
        let text = match veil.original() {
            Some(text) => Ok(text),
            None => Capture::whole(&stdout, out_log.as_ref(), total, limit).await.map(Cow::Owned),
        };
        text.and_then(|text| output::parse(&text, plan.output))
    } else {
        Ok(None)
    };
    let logs = out_log.into_iter().chain(err_log).collect();
    Observation { ended, cause, duration, stdout, stderr, data, logs }
}

/// What both streams are read with.
struct Ears {
    /// To be told of each read.
    heard: Heard,
    /// The action is gone.
    gone: CancellationToken,
    streams: Streams,
}

/// Awaits the end; past the time limit, or when ordered, asks the action to end and, after the grace, ends it. What comes
/// when its own process has ended already is no cause of its end.
async fn wait(
    child: &mut Child,
    limit: Duration,
    grace: Duration,
    stop: &mut StopSignal,
) -> (io::Result<Ended>, Option<Cause>) {
    let cause = tokio::select! {
        biased;
        ended = timeout(limit, child.ended()) => match ended {
            Ok(ended) => return (ended, None),
            Err(_) => Cause::Timeout,
        },
        why = stop.ordered_to_end() => Cause::Stop(why),
    };
    if child.has_exited() {
        return (child.end(Duration::ZERO, std::future::ready(())).await, None);
    }
    (child.end(grace, stop.killed()).await, Some(cause))
}

/// Writes the parameters and closes standard input. An action that does not read them all is none the worse.
async fn feed(stdin: Option<pipe::Sender>, bytes: &[u8], gone: &CancellationToken) {
    let Some(mut stdin) = stdin else { return };
    let writing = async {
        match stdin.write_all(bytes).await {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                tracing::warn!(%error, "parameters could not be written to an action");
            }
            _ => {}
        }
    };
    tokio::select! {
        () = writing => {}
        () = gone.cancelled() => {}
    }
}

/// Captures a stream, without secrets, until it ends, or until the action is gone and the stream is empty.
async fn pump(
    stream: Option<pipe::Receiver>,
    mut capture: Capture,
    mut veil: Veil,
    ears: &Ears,
) -> (Capture, Veil) {
    let Ears { heard, gone, streams } = ears;
    let Some(stream) = stream else { return (capture, veil) };
    // An action that prints nothing costs no buffer.
    let mut buffer = Vec::new();
    let mut reads_left = usize::MAX;
    while reads_left > 0 {
        if !gone.is_cancelled() {
            tokio::select! {
                ready = stream.readable() => if ready.is_err() { break },
                () = gone.cancelled() => {}
            }
        }
        buffer.resize(READ_BYTES, 0);
        let is_gone = gone.is_cancelled();
        let read = if is_gone {
            reads_left = reads_left.min(DRAIN_READS) - 1;
            read_now(&stream, &mut buffer)
        } else {
            stream.try_read(&mut buffer)
        };
        match read {
            Ok(0) => break,
            Ok(read) => {
                heard.tell();
                pass_on(veil.pass(&buffer[..read]), &mut capture, *streams).await;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && !is_gone => {}
            // Empty, and nobody is left to fill it.
            Err(_) => break,
        }
    }
    pass_on(veil.end(), &mut capture, *streams).await;
    (capture, veil)
}

async fn pass_on(bytes: &[u8], capture: &mut Capture, streams: Streams) {
    if bytes.is_empty() {
        return;
    }
    capture.take(bytes).await;
    if streams == Streams::Shown {
        show(bytes).await;
    }
}

async fn show(bytes: &[u8]) {
    let mut terminal = tokio::io::stderr();
    // Nobody watching is no reason to stop.
    if terminal.write_all(bytes).await.is_ok() {
        terminal.flush().await.ok();
    }
}

impl Observation {
    /// What has to be kept of the execution beside its outcome.
    pub(super) fn leavings(&mut self, order: &WorkOrder, own: Option<Owed>) -> Leavings {
        Leavings {
            execution: order.execution,
            action_ref: order.action_ref().to_string(),
            logs: std::mem::take(&mut self.logs),
            own,
        }
    }

    /// Names what was seen.
    pub(super) fn conclude(self, plan: &Plan, live: Kept, workshop: &Workshop) -> Outcome {
        let Self { ended, cause, duration, stdout, stderr, data, logs: _ } = self;
        let limits = &workshop.limits.process;
        let ended = match (ended, cause) {
            (Ok(ended), _) => ended,
            (Err(error), None) => {
                let message = format!("the process that supervises the action was lost: {error}");
                return Outcome::without_process(Reason::AgentError, message);
            }
            // Why it has ended is known all the same, and by whom.
            (Err(error), Some(_)) => {
                tracing::warn!(execution = plan.execution.0, %error, "nobody saw how an action ended");
                Ended::unseen()
            }
        };
        if ended.swept > 0 {
            tracing::info!(
                execution = plan.execution.0,
                processes = ended.swept,
                "an action left processes behind; they were ended"
            );
        }
        let (reason, error) = match (cause, ended.exit) {
            (Some(Cause::Timeout), _) => {
                (Reason::Timeout, Some(format!("timed out after {} s and was ended", plan.timeout.as_secs())))
            }
            (Some(Cause::Stop(Stop::Cancel)), _) => {
                (Reason::Cancelled, Some("cancelled on request".to_owned()))
            }
            (Some(Cause::Stop(Stop::Fence)), _) => (Reason::WorkerCutOff, Some(CUT_OFF.to_owned())),
            (Some(Cause::Stop(_)), _) => {
                (Reason::WorkerStopped, Some("the worker stopped before the action had ended".to_owned()))
            }
            (None, Exit::Code(0)) => (Reason::Completed, None),
            (None, exit) => match (Exceeded::by(&ended, limits), exit) {
                (Some(exceeded), _) => (exceeded.reason(), Some(exceeded.to_string())),
                (None, Exit::Code(code)) => (Reason::ExitCode, Some(failure_text(&stderr.text, code))),
                (None, Exit::Signal(signal)) => {
                    (Reason::Signal, Some(format!("the action was ended by {}", signal_name(signal))))
                }
            },
        };
        let memory = ended.out_of_memory.filter(|_| reason == Reason::OutOfMemory);
        let outcome = Outcome::of_process(reason, error, ended.exit, duration, stdout, stderr)
            .with_logs(live.stdout, live.stderr)
            .with_memory(memory)
            .with_output(data);
        secret_outputs::seal(outcome, plan, &workshop.keyring)
    }
}

/// What to read first after a failure: all of a short standard error, the last line of a long one, else the status.
fn failure_text(stderr: &str, code: i32) -> String {
    const SHORT_LINES: usize = 5;
    let text = stderr.trim();
    match text.lines().count() {
        0 => format!("the action exited with status {code}"),
        1..=SHORT_LINES => text.to_owned(),
        _ => text.lines().next_back().unwrap_or_default().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifacts::Artifacts;
    use crate::model::ExecutionId;

    #[tokio::test]
    async fn what_was_printed_is_read_though_the_end_is_known_first() {
        let directory = tempfile::tempdir().unwrap();
        let artifacts = Artifacts::local(directory.path().to_owned());
        let capture = Capture::new(100, artifacts.live_log(ExecutionId(7), Stream::Stdout));
        let (reading, writing) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::NONBLOCK).unwrap();
        let stream = pipe::Receiver::from_owned_fd(reading).unwrap();
        // From here on the runtime has had no occasion to look.
        rustix::io::write(&writing, b"short").unwrap();
        drop(writing);
        let gone = CancellationToken::new();
        gone.cancel();
        let ears = Ears { heard: Heard::default(), gone, streams: Streams::Captured };
        let (capture, _) = pump(Some(stream), capture, Veil::new(None), &ears).await;
        assert_eq!(capture.finish().await.0.text, "short");
    }

    #[test]
    fn the_failure_text_is_what_a_person_reads_first() {
        assert_eq!(failure_text("", 3), "the action exited with status 3");
        assert_eq!(failure_text("oh\nno\n", 3), "oh\nno");
        assert_eq!(failure_text("1\n2\n3\n4\n5\nlast\n", 3), "last");
    }
}
