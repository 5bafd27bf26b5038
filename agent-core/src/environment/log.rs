//! What a build prints: all of it in a file that users can read, the end of it in memory for whoever reports.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

use tokio::fs::File;
use tokio::io::AsyncWriteExt;

use crate::volume::create_directories;

/// How much of it the file holds; what comes after is only kept at its end.
const FILE_BYTES: u64 = 16 << 20;

/// How much of the end memory holds.
const TAIL_BYTES: usize = 32 << 10;

/// How much of the end goes into a failed execution's result.
const TOLD_LINES: usize = 20;
const TOLD_BYTES: usize = 4 << 10;

/// The log of one build.
#[derive(Debug)]
pub(super) struct BuildLog {
    path: PathBuf,
    file: Option<File>,
    written: u64,
    tail: VecDeque<u8>,
}

impl BuildLog {
    /// Begins the log at `path`, in place of an earlier one. Where that cannot be written, memory has to do.
    pub(super) async fn begin(path: PathBuf) -> Self {
        let file = match create(&path).await {
            Ok(file) => Some(file),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "the log of a build cannot be written");
                None
            }
        };
        Self { path, file, written: 0, tail: VecDeque::new() }
    }

    /// Where it is, if it is anywhere.
    pub(super) fn path(&self) -> Option<&Path> {
        self.file.as_ref().map(|_| self.path.as_path())
    }

    /// Takes what was printed next.
    pub(super) async fn take(&mut self, bytes: &[u8]) {
        let kept = &bytes[bytes.len().saturating_sub(TAIL_BYTES)..];
        let excess = (self.tail.len() + kept.len()).saturating_sub(TAIL_BYTES);
        self.tail.drain(..excess);
        self.tail.extend(kept);
        let room = usize::try_from(FILE_BYTES.saturating_sub(self.written)).unwrap_or(usize::MAX);
        self.written += bytes.len() as u64;
        self.write(&bytes[..bytes.len().min(room)]).await;
    }

    /// Takes a line of the agent's own.
    pub(super) async fn say(&mut self, line: &str) {
        self.take(format!("{line}\n").as_bytes()).await;
    }

    /// Completes the file.
    pub(super) async fn end(&mut self) {
        if self.written > FILE_BYTES {
            let left_out = self.written - FILE_BYTES;
            let tail: Vec<u8> = self.tail.iter().copied().collect();
            self.write(
                format!("\n\n[{left_out} bytes are left out here, but for these last]\n\n").as_bytes(),
            )
            .await;
            self.write(&tail).await;
        }
        if let Some(file) = &mut self.file
            && let Err(error) = file.flush().await
        {
            tracing::warn!(path = %self.path.display(), %error, "the log of a build is not complete");
        }
    }

    /// Its last lines.
    pub(super) fn tail(&self) -> String {
        let text = self.end_as_text();
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        let last = lines[lines.len().saturating_sub(TOLD_LINES)..].join("\n");
        let mut from = last.len().saturating_sub(TOLD_BYTES);
        while !last.is_char_boundary(from) {
            from += 1;
        }
        last[from..].to_owned()
    }

    /// All that memory holds.
    pub(super) fn end_as_text(&self) -> String {
        let bytes: Vec<u8> = self.tail.iter().copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The last line that says anything, for whoever wants to know how far it is.
    pub(super) fn last_line(&self) -> String {
        let text = self.end_as_text();
        let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
        line.chars().take(200).collect()
    }

    async fn write(&mut self, bytes: &[u8]) {
        if let Some(file) = &mut self.file
            && let Err(error) = file.write_all(bytes).await
        {
            tracing::warn!(path = %self.path.display(), %error, "the log of a build cannot be written any more");
            self.file = None;
        }
    }
}

async fn create(path: &Path) -> io::Result<File> {
    let directory = path.parent().unwrap_or(path).to_owned();
    let created = tokio::task::spawn_blocking(move || create_directories(&directory)).await;
    created.unwrap_or_else(|error| Err(io::Error::other(error)))?;
    File::create(path).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_log_has_all_of_it_and_memory_the_end() {
        let directory = tempfile::tempdir().unwrap();
        let mut log = BuildLog::begin(directory.path().join("deep/build.log")).await;
        for number in 0..5000 {
            log.say(&format!("line {number}")).await;
        }
        log.end().await;
        let text = std::fs::read_to_string(log.path().unwrap()).unwrap();
        assert_eq!(text.lines().count(), 5000);
        assert_eq!(log.tail().lines().count(), TOLD_LINES);
        assert!(log.tail().ends_with("line 4999"));
        assert_eq!(log.last_line(), "line 4999");
        assert!(log.end_as_text().len() <= TAIL_BYTES);
    }

    #[tokio::test]
    async fn a_log_that_cannot_be_written_stops_nothing() {
        let mut log = BuildLog::begin("/dev/null/build.log".into()).await;
        log.say("all the same").await;
        log.end().await;
        assert_eq!((log.path(), log.tail().as_str()), (None, "all the same"));
    }
}
