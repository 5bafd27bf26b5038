//! Processes, awaited with a deadline.

use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags};

use crate::failure::{Doing, Failure, Result};

/// No server's start or end takes longer, even on a busy machine, and no tool's work.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// A process, as what can be polled for its end.
pub(crate) struct Handle(OwnedFd);

impl Handle {
    /// That of a process which nobody has reaped.
    pub(crate) fn of(id: u32) -> Result<Self> {
        let pid = i32::try_from(id).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| Failure::new(format!("{id} is no process id")))?;
        rustix::process::pidfd_open(pid, PidfdFlags::empty()).map(Self).doing("watch a process")
    }

    /// Whether it ends within `time`.
    pub(crate) fn ends_within(&self, time: Duration) -> Result<bool> {
        let time = Timespec::try_from(time).doing("wait for so long")?;
        let mut watched = [PollFd::new(&self.0, PollFlags::IN)];
        Ok(rustix::event::poll(&mut watched, Some(&time)).doing("watch a process")? > 0)
    }
}

/// Runs the tool `name` to its end, and returns what it printed.
pub(crate) fn run(command: &mut Command, name: &str) -> Result<String> {
    // Files, unlike pipes, take everything without anybody who reads it.
    let (mut out, mut errors) = (scratch()?, scratch()?);
    command.stdin(Stdio::null());
    command.stdout(out.try_clone().doing("share a file")?).stderr(errors.try_clone().doing("share a file")?);
    let mut child = command.spawn().doing(&format!("start {name}"))?;
    let in_time = Handle::of(child.id())?.ends_within(PATIENCE)?;
    if !in_time {
        child.kill().doing(&format!("kill {name}"))?;
    }
    let status = child.wait().doing(&format!("await {name}"))?;
    let printed = text(&mut out)?;
    if status.success() {
        return Ok(printed);
    }
    let how = if in_time { status.to_string() } else { "it did not end in time".to_owned() };
    Err(Failure::new(format!("{name} failed ({how}): {printed}{}", text(&mut errors)?)))
}

fn scratch() -> Result<File> {
    tempfile::tempfile().doing("make a temporary file")
}

fn text(file: &mut File) -> Result<String> {
    let mut bytes = Vec::new();
    file.rewind().and_then(|()| file.read_to_end(&mut bytes)).doing("read a temporary file")?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
