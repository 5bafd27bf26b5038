//! One interpreter that is being asked.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags, Signal};

use super::{Answer, LIMIT};
use crate::catalogue::Question;

/// Variables every question is asked with. Whatever else is set here could change an answer, run code
/// (`LUA_INIT`), add a banner (`JAVA_TOOL_OPTIONS`) or start a download (`GOTOOLCHAIN`).
const ENVIRONMENT: &[(&str, &str)] = &[
    ("LC_ALL", "C"),
    ("HOME", "/nonexistent"),
    ("NO_COLOR", "1"),
    ("TERM", "dumb"),
    ("GOTOOLCHAIN", "local"),
    ("DOTNET_NOLOGO", "1"),
    ("DOTNET_CLI_TELEMETRY_OPTOUT", "1"),
    ("POWERSHELL_TELEMETRY_OPTOUT", "1"),
    ("DENO_NO_UPDATE_CHECK", "1"),
];

/// A running child, its two streams and what they said so far.
pub(super) struct Child {
    pub(super) started: Instant,
    process: std::process::Child,
    /// Becomes readable when the child ends; absent on kernels before 5.3.
    ended: Option<OwnedFd>,
    out: Stream,
    err: Stream,
}

struct Stream {
    pipe: Option<OwnedFd>,
    text: Vec<u8>,
}

impl Child {
    /// Starts `path` with a question: in its own process group, so that all of it can be ended.
    pub(super) fn spawn(path: &Path, question: &Question, search_path: &OsStr) -> io::Result<Self> {
        let mut command = Command::new(path);
        command.args(question.args).env_clear().envs(ENVIRONMENT.iter().copied());
        command.env("PATH", search_path);
        command.current_dir("/").process_group(0);
        command.stdin(input(question.input)?).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn()?;
        let ended = Pid::from_raw(i32::try_from(process.id()).unwrap_or(0))
            .and_then(|pid| rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok());
        let out = Stream::new(process.stdout.take().map(OwnedFd::from))?;
        let err = Stream::new(process.stderr.take().map(OwnedFd::from))?;
        Ok(Self { started: Instant::now(), process, ended, out, err })
    }

    /// Whether the kernel tells when it ends.
    pub(super) const fn has_descriptor(&self) -> bool {
        self.ended.is_some()
    }

    /// What to wait for.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        [&self.out.pipe, &self.err.pipe, &self.ended].into_iter().flatten().map(AsFd::as_fd)
    }

    /// Reads what there is. `Some` settles the question, and the whole process group with it.
    pub(super) fn step(&mut self, question: &Question, expired: bool) -> Option<Answer> {
        // Whether it ended is asked before its streams are read, so that nothing it said is missed.
        let exited = self.exited();
        self.out.read();
        self.err.read();
        let version = question.answer(&self.out.text).or_else(|| question.answer(&self.err.text));
        let version = version.map(str::to_owned);
        // A version may arrive in pieces, and a failing program's words may not count: its end decides.
        if !exited && !expired && !self.is_flooding() {
            return None;
        }
        let status = self.end();
        let counts = question.any_exit || (exited && status.is_some_and(|status| status.success()));
        Some(match version {
            Some(version) if counts || expired && !exited => {
                Answer::Version(version, question.args.join(" "))
            }
            _ if expired && !exited => Answer::Unclear("it did not answer in time".into()),
            _ if !exited => Answer::Unclear("it prints without end".into()),
            _ if status.is_some_and(|status| status.success()) => {
                Answer::Unclear("it answered, but not with a version".into())
            }
            _ => Answer::Failed(self.last_words(status)),
        })
    }

    /// Whether the child ended; it stays a zombie, so that its process group cannot become another's.
    fn exited(&mut self) -> bool {
        use rustix::process::{WaitId, WaitIdOptions, waitid};
        let Some(pid) = Pid::from_raw(i32::try_from(self.process.id()).unwrap_or(0)) else {
            return true;
        };
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        !matches!(waitid(WaitId::Pid(pid), options), Ok(None))
    }

    fn is_flooding(&self) -> bool {
        self.out.text.len() >= LIMIT || self.err.text.len() >= LIMIT
    }

    /// Ends the process group and collects the child.
    fn end(&mut self) -> Option<ExitStatus> {
        if let Some(group) = Pid::from_raw(i32::try_from(self.process.id()).unwrap_or(0)) {
            let _ = rustix::process::kill_process_group(group, Signal::KILL);
        }
        // A killed process is gone in microseconds, unless the kernel itself holds it: do not wait for that.
        if let Some(ended) = &self.ended {
            let mut fds = [PollFd::new(ended, PollFlags::IN)];
            let _ = rustix::event::poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 200_000_000 }));
            return self.process.try_wait().ok().flatten();
        }
        self.process.wait().ok()
    }

    fn last_words(&self, status: Option<ExitStatus>) -> String {
        let how = status.map_or_else(|| "it ended".to_owned(), |status| status.to_string());
        let said = [&self.err.text, &self.out.text].into_iter().find_map(|text| {
            let line =
                text.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii).find(|line| !line.is_empty())?;
            Some(String::from_utf8_lossy(&line[..line.len().min(200)]).into_owned())
        });
        match said {
            Some(said) => format!("{how}: {said}"),
            None => format!("{how}, and it said nothing"),
        }
    }
}

impl Stream {
    fn new(pipe: Option<OwnedFd>) -> io::Result<Self> {
        if let Some(pipe) = &pipe {
            rustix::io::ioctl_fionbio(pipe, true)?;
        }
        Ok(Self { pipe, text: Vec::new() })
    }

    fn read(&mut self) {
        let Some(pipe) = &self.pipe else { return };
        let mut buffer = [0; 4096];
        while self.text.len() < LIMIT {
            match rustix::io::read(pipe, &mut buffer) {
                Ok(0) => {
                    self.pipe = None;
                    return;
                }
                Ok(count) => self.text.extend_from_slice(&buffer[..count]),
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => return,
                Err(_) => {
                    self.pipe = None;
                    return;
                }
            }
        }
    }
}

/// Standard input: nothing, or a few bytes that a pipe holds without a reader.
fn input(text: &str) -> io::Result<Stdio> {
    if text.is_empty() {
        return Ok(Stdio::null());
    }
    let (reader, mut writer) = io::pipe()?;
    io::Write::write_all(&mut writer, text.as_bytes())?;
    Ok(Stdio::from(reader))
}
