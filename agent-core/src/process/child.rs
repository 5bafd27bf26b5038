//! A running action, as the agent sees it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::{RecvFlags, recv};
use rustix::process::{Pid, Signal};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use super::helper::{ANSWER_PATIENCE, Helper, end_tree};
use super::linger;
use super::oom::OomCount;
use super::spawner::Refused;
use super::wire::{NOTICE_BYTES, Notice, QUIET, Step};
use crate::model::{Exit, OutOfMemory};

/// After `SIGKILL`, how long the supervisor may take. Then the zygote ends it, and does what it would have done; a
/// supervisor that is only slow makes no difference.
const ANSWER_MARGIN: Duration = Duration::from_millis(300);

/// How long the zygote's end of everything is awaited. It gives up sooner itself.
const KILL_PATIENCE: Duration = Duration::from_secs(15);

/// How much longer than it should a supervisor may hear out helpers.
const LINGER_PATIENCE: Duration = linger::LONGEST.saturating_add(Duration::from_secs(1));

/// When the action's own process has ended, helpers that have still something to print are ended once nothing has been
/// heard of them for so long.
const SILENCE: Duration = Duration::from_millis(150);

/// What a process used, as the kernel counted it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processor time in user and kernel mode, with that of the descendants it waited for.
    pub cpu: Duration,
    /// Peak resident memory of the largest of these processes, in KiB.
    pub peak_kib: u64,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// The status of the action's own process.
    pub exit: Exit,
    /// What it used.
    pub usage: Usage,
    /// How many of its descendants were still there and were ended.
    pub swept: u32,
    /// That the kernel ended one of its processes for want of memory, where there is evidence.
    pub out_of_memory: Option<OutOfMemory>,
    /// When the action's own process had ended.
    pub at: Instant,
}

impl Ended {
    /// An end that nobody saw: by the signal that ends everything, now.
    pub(crate) fn unseen() -> Self {
        let (exit, usage) = (Exit::Signal(libc::SIGKILL), Usage::default());
        Self { exit, usage, swept: 0, out_of_memory: None, at: Instant::now() }
    }
}

/// To be told of whatever is read of an action's output.
#[derive(Debug, Clone, Default)]
pub(crate) struct Heard(Arc<Notify>);

impl Heard {
    /// Something has been read.
    pub(crate) fn tell(&self) {
        self.0.notify_one();
    }
}

/// Reads what is in an action's stream now. The kernel is asked, whatever the runtime has heard: an action that ends at once
/// may be known to have ended before the runtime has looked at what it printed.
///
/// # Errors
/// [`io::ErrorKind::WouldBlock`] where there is nothing and somebody may still write.
pub(crate) fn read_now(stream: &pipe::Receiver, buffer: &mut [u8]) -> io::Result<usize> {
    Ok(rustix::io::read(stream, buffer)?)
}

/// The agent's ends of the streams between it and an action.
pub(super) struct Ends {
    pub(super) supervisor: UnixStream,
    pub(super) stdin: pipe::Sender,
    pub(super) stdout: pipe::Receiver,
    pub(super) stderr: pipe::Receiver,
}

/// Who looks after the supervisor.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) helper: Arc<Helper>,
    /// The number of the supervisor.
    pub(super) number: u64,
}

/// A running action. Dropping it ends the action and everything it started.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, and they come in any order")]
pub struct Child {
    supervisor: UnixStream,
    supervisor_pid: Option<Pid>,
    watch: Watch,
    /// What the supervisor was lost by. The zygote speaks in its place.
    lost: Option<io::ErrorKind>,
    /// The zygote speaks, whatever became of the supervisor.
    taken: bool,
    /// It has said so.
    answered: bool,
    /// Bytes of a notice that has arrived in part: waiting may be interrupted at any point.
    partial: Vec<u8>,
    exited: Option<(Exit, Usage, Instant)>,
    /// Its descendants are being heard out.
    lingering: bool,
    heard: Heard,
    /// What the action's own group says.
    out_of_memory: Option<OutOfMemory>,
    /// What the container's group says, and what it said before.
    oom_count: Arc<OomCount>,
    oom_kills_before: u64,
    /// Somebody asked for its end by force.
    killed: bool,
    pid: i32,
    /// The action's standard input.
    pub stdin: Option<pipe::Sender>,
    /// The action's standard output.
    pub stdout: Option<pipe::Receiver>,
    /// The action's standard error.
    pub stderr: Option<pipe::Receiver>,
}

impl Child {
    pub(super) fn new(oom_count: Arc<OomCount>, watch: Watch, ends: Ends) -> Self {
        let Ends { supervisor, stdin, stdout, stderr } = ends;
        Self {
            supervisor,
            supervisor_pid: None,
            watch,
            lost: None,
            taken: false,
            answered: false,
            partial: Vec::with_capacity(NOTICE_BYTES),
            exited: None,
            lingering: false,
            heard: Heard::default(),
            out_of_memory: None,
            oom_kills_before: oom_count.now(),
            oom_count,
            killed: false,
            pid: 0,
            stdin: Some(stdin),
            stdout: Some(stdout),
            stderr: Some(stderr),
        }
    }

    /// Sends the job and awaits the first notice: the program runs, or why not.
    pub(super) async fn begin(&mut self, message: &[u8]) -> Result<(), Refused> {
        let helper = |error| Refused { error, step: Step::Prepare };
        self.supervisor.write_all(message).await.map_err(helper)?;
        match self.notice().await.map_err(helper)? {
            Notice::Started { pid, supervisor } => {
                self.pid = pid;
                self.supervisor_pid = Pid::from_raw(supervisor);
                Ok(())
            }
            Notice::Refused { errno, step } => {
                Err(Refused { error: io::Error::from_raw_os_error(errno), step })
            }
            _ => Err(helper(io::ErrorKind::InvalidData.into())),
        }
    }

    pub(super) fn helper(&self) -> &Arc<Helper> {
        &self.watch.helper
    }

    /// The process id of the action's own process, which is also its process group and session.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// What is to be told of each read of its output.
    pub(crate) fn heard(&self) -> Heard {
        self.heard.clone()
    }

    /// Whether the action's own process has ended, as far as this has been heard of.
    pub fn has_exited(&self) -> bool {
        self.exited.is_some()
    }

    /// Awaits the end of the action: its own process has ended and none of its descendants is left. May be dropped and
    /// called again without losing anything.
    ///
    /// # Errors
    /// When the supervisor was killed from outside before it could tell. What it watched is ended by the zygote, and gone
    /// when this returns.
    pub async fn ended(&mut self) -> io::Result<Ended> {
        if self.lost.is_none() {
            match self.until_gone().await {
                Err(error) if !self.taken => self.lost = Some(error.kind()),
                ended => return ended,
            }
        }
        let ended = self.end_by_force().await?;
        match self.lost {
            // The zygote ends what it finds by this signal, and may have found the action.
            Some(lost) if ended.exit == Exit::Signal(libc::SIGKILL) => Err(lost.into()),
            _ => Ok(ended),
        }
    }

    async fn until_gone(&mut self) -> io::Result<Ended> {
        loop {
            match self.notice_or_silence().await? {
                Notice::Exited { exit, usage } => self.exited = Some((exit, usage, Instant::now())),
                Notice::Lingering => self.lingering = true,
                Notice::OutOfMemory(evidence) => self.out_of_memory = Some(evidence),
                Notice::Gone { swept } => {
                    if self.exited.is_none() && !self.taken {
                        return Err(io::ErrorKind::InvalidData.into());
                    }
                    return Ok(self.conclude(swept));
                }
                Notice::Taken => self.answered = true,
                Notice::Started { .. } | Notice::Refused { .. } => {
                    return Err(io::ErrorKind::InvalidData.into());
                }
            }
        }
    }

    /// How it has ended. Where nobody could see that, it was by the signal that ends everything.
    fn conclude(&self, swept: u32) -> Ended {
        let Some((exit, usage, at)) = self.exited else {
            return Ended { swept, ..Ended::unseen() };
        };
        let out_of_memory = self.evidence(exit, usage);
        Ended { exit, usage, swept, out_of_memory, at }
    }

    /// Whether the kernel ended it for want of memory: by the count of its own group; else by the container's, where it
    /// ended by `SIGKILL` (or as a shell says that its child did) and nobody here had sent that.
    fn evidence(&self, exit: Exit, usage: Usage) -> Option<OutOfMemory> {
        const SHELL_SAYS_KILLED: i32 = 128 + libc::SIGKILL;
        let container = self.oom_count.limit();
        if let Some(OutOfMemory { limit, peak }) = self.out_of_memory {
            // The container's own limit may be the smaller one.
            return Some(OutOfMemory { limit: limit.into_iter().chain(container).min(), peak });
        }
        let killed = matches!(exit, Exit::Signal(libc::SIGKILL) | Exit::Code(SHELL_SAYS_KILLED));
        // What is resident may be more than what counts: pages of program files may be somebody else's.
        let peak = usage.peak_kib.saturating_mul(1024).min(container.unwrap_or(u64::MAX));
        (killed && !self.killed && self.oom_count.explains(self.oom_kills_before))
            .then_some(OutOfMemory { limit: container, peak })
    }

    /// Ends the action by degree: asks it to end, and after `grace`, or as soon as `hurry` is over, ends it and every
    /// descendant.
    ///
    /// # Errors
    /// As [`Child::ended`], and where the kernel cannot end it.
    pub async fn end(&mut self, grace: Duration, hurry: impl Future<Output = ()>) -> io::Result<Ended> {
        if let Err(error) = self.signal(Signal::TERM).await {
            tracing::debug!(%error, "a process ended while it was being asked to");
        }
        tokio::select! {
            biased;
            ended = timeout(grace, self.ended()) => if let Ok(ended) = ended {
                return ended;
            },
            () = hurry => {}
        }
        if let Err(error) = self.signal(Signal::KILL).await {
            tracing::debug!(%error, "a process ended while it was being killed");
        }
        match timeout(ANSWER_MARGIN, self.ended()).await {
            Ok(ended) => ended,
            Err(_) => self.end_by_force().await,
        }
    }

    /// Ends everything without the supervisor's help.
    ///
    /// # Errors
    /// Where the kernel cannot end it.
    pub(super) async fn end_by_force(&mut self) -> io::Result<Ended> {
        self.killed = true;
        if !self.taken {
            match self.watch.helper.end(self.watch.number, self.pid).await {
                Ok(zygote) => self.listen_to(zygote),
                Err(error) => {
                    tracing::debug!(%error, "the helper process cannot be asked to end an execution");
                    return self.end_without_help().await;
                }
            }
        }
        // It says at once that it has heard, and then that all is gone.
        let heard = async {
            self.answered
                || timeout(ANSWER_PATIENCE, self.supervisor.readable()).await.is_ok_and(|heard| heard.is_ok())
        };
        if !heard.await {
            return self.end_without_help().await;
        }
        timeout(KILL_PATIENCE, self.until_gone())
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    fn listen_to(&mut self, zygote: UnixStream) {
        self.supervisor = zygote;
        self.taken = true;
        self.lingering = false;
        self.partial.clear();
    }

    /// The zygote does not answer, or is gone.
    async fn end_without_help(&mut self) -> io::Result<Ended> {
        // A supervisor that outlives its zygote still holds its end of the stream, and with it its number.
        let look = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        let closed = matches!(recv(&self.supervisor, &mut [0][..], look), Ok((_, 0)));
        let outlives = !self.taken && !closed;
        self.watch.helper.give_up().await;
        if let Some(supervisor) = self.supervisor_pid.filter(|_| outlives) {
            end_tree(supervisor).await;
        }
        Ok(self.conclude(0))
    }

    /// Sends a signal to the action's process group; `SIGKILL` goes to every descendant in any group.
    ///
    /// # Errors
    /// When the supervisor is gone, and with it the action.
    pub async fn signal(&mut self, signal: Signal) -> io::Result<()> {
        self.killed |= signal == Signal::KILL;
        let number = u8::try_from(signal.as_raw()).map_err(|_| io::ErrorKind::InvalidInput)?;
        self.supervisor.write_all(&[number]).await
    }

    /// The next notice. While descendants are heard out, the supervisor is told of silence meanwhile.
    async fn notice_or_silence(&mut self) -> io::Result<Notice> {
        let heard = self.heard.clone();
        let begun = Instant::now();
        while self.lingering {
            if begun.elapsed() > LINGER_PATIENCE {
                return Err(io::ErrorKind::TimedOut.into());
            }
            tokio::select! {
                biased;
                notice = self.notice() => return notice,
                () = heard.0.notified() => {}
                () = sleep(SILENCE) => {
                    // One that is gone has said so, and that is read next.
                    self.supervisor.write_all(&[QUIET]).await.ok();
                }
            }
        }
        self.notice().await
    }

    async fn notice(&mut self) -> io::Result<Notice> {
        while self.partial.len() < NOTICE_BYTES {
            let missing = NOTICE_BYTES - self.partial.len();
            let mut buffer = [0; NOTICE_BYTES];
            let read = self.supervisor.read(&mut buffer[..missing]).await?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.partial.extend_from_slice(&buffer[..read]);
        }
        let mut notice = [0; NOTICE_BYTES];
        notice.copy_from_slice(&self.partial);
        self.partial.clear();
        Notice::decode(&notice)
    }
}
