//! A server process that cannot outlive the test, however the test ends.
//!
//! Between the two stands a shell (`guard.sh`), in a process group of its own, so that what interrupts the test does
//! not interrupt it. It ends the server when the pipe from the test closes, and the kernel closes that for processes of
//! all fates. Should the shell itself be killed, the kernel ends the server: it was started with `setpriv --pdeathsig`.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use crate::account;
use crate::failure::{Doing, Failure, OrEnd, Result};
use crate::process::{Handle, PATIENCE};

const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// How many lines of a log say why a server failed.
const TAIL: usize = 25;

/// What is started, and with which environment besides the path.
pub(crate) struct Program {
    /// For sentences about it.
    pub(crate) name: &'static str,
    /// It and its arguments.
    pub(crate) words: Vec<String>,
    pub(crate) environment: Vec<(&'static str, String)>,
    /// Where its output goes.
    pub(crate) log: PathBuf,
    /// The signal that ends it at once.
    pub(crate) end_now: &'static str,
}

/// A server that runs or does not, and its guard.
pub(crate) struct Guarded {
    name: &'static str,
    log: PathBuf,
    guard: Child,
    /// Taken to let the guard end.
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    server: Option<Handle>,
}

impl Guarded {
    /// Makes the guard of a server that does not run yet. It removes `directory` at the end.
    pub(crate) fn new(program: Program, directory: Option<&Path>) -> Result<Self> {
        let log = File::options().create(true).append(true).open(&program.log).doing("write a log")?;
        let mut guard = Command::new("/bin/sh");
        guard.args(["-c", include_str!("guard.sh"), "guard"]);
        guard.arg(directory.unwrap_or(Path::new(""))).arg(&program.log).arg(program.end_now);
        guard.args(&program.words).env_clear().env("PATH", account::path()).envs(program.environment);
        guard.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log).process_group(0);
        let mut guard = guard.spawn().doing("start /bin/sh")?;
        let orders = guard.stdin.take();
        let answers = BufReader::new(guard.stdout.take().expect("standard output is a pipe"));
        Ok(Self { name: program.name, log: program.log, guard, orders, answers, server: None })
    }

    /// Starts the server and waits until `is_ready` holds: it returns why it does not hold yet.
    pub(crate) fn start(&mut self, is_ready: impl Fn() -> Result) -> Result {
        assert!(self.server.is_none(), "{} runs already", self.name);
        let deadline = Instant::now() + PATIENCE;
        self.order("start")?;
        let id = self.answer()?.parse().doing("read a process id")?;
        // Not reaped before the guard is told to, so the id is still its.
        let server = self.server.insert(Handle::of(id)?);
        let mut pause = FIRST_PAUSE;
        while let Err(reason) = is_ready() {
            if server.ends_within(pause)? {
                return Err(self.told("ended instead of starting"));
            }
            if Instant::now() > deadline {
                return Err(self.told(&format!("does not get ready: {reason}")));
            }
            pause = LONGEST_PAUSE.min(pause * 2);
        }
        Ok(())
    }

    /// Ends the server by `signal`.
    pub(crate) fn stop(&mut self, signal: &str) -> Result {
        let server = self.server.take();
        let server = server.ok_or_else(|| Failure::new(format!("{} does not run", self.name)))?;
        self.order(signal)?;
        if !server.ends_within(PATIENCE)? {
            return Err(self.told(&format!("does not end by {signal}")));
        }
        self.answer().map(drop)
    }

    fn order(&mut self, word: &str) -> Result {
        let orders = self.orders.as_mut().expect("the guard has not been let go");
        writeln!(orders, "{word}").doing("tell the guard of a server")
    }

    fn answer(&mut self) -> Result<String> {
        let mut line = String::new();
        self.answers.read_line(&mut line).doing("hear from the guard of a server")?;
        if line.is_empty() { Err(self.told("has lost its guard")) } else { Ok(line.trim().to_owned()) }
    }

    /// A failure, with the end of the log.
    fn told(&self, what: &str) -> Failure {
        let log = std::fs::read(&self.log).unwrap_or_else(|error| error.to_string().into_bytes());
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<_> = log.lines().collect();
        let tail = lines[lines.len().saturating_sub(TAIL)..].join("\n");
        Failure::new(format!("{} {what}; its log ends:\n{tail}", self.name))
    }

    /// Lets the guard go, and with it the server and the directory.
    fn end(&mut self) -> Result {
        drop(self.orders.take());
        let in_time = Handle::of(self.guard.id())?.ends_within(PATIENCE)?;
        if !in_time {
            self.guard.kill().doing("kill the guard of a server")?;
        }
        self.guard.wait().doing("await the guard of a server")?;
        if in_time { Ok(()) } else { Err(self.told("does not end")) }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        let ended = self.end();
        // A test that fails already says why.
        if !std::thread::panicking() {
            ended.or_end();
        }
    }
}
