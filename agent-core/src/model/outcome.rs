//! How an execution ended, and the `result` JSON that says so (CONTRACT §3.9).

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{ExecutionStatus, Reason, SealedOutput};
use crate::secrets::Masker;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// With this status.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

/// That the kernel ended a process for want of memory, and what it had to do with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutOfMemory {
    /// Bytes that were allowed, where somebody had set a limit.
    pub limit: Option<u64>,
    /// Bytes that were used at most.
    pub peak: u64,
}

/// What a stream held, bounded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StreamReport {
    /// All of it, or its head, a notice and its tail.
    pub text: String,
    /// The exact bytes in base64 where `text` could not carry them (invalid UTF-8) and they were few enough.
    pub base64: Option<String>,
    /// Bytes that `text` leaves out.
    pub dropped: u64,
    /// The log file, where one was written.
    pub log: Option<PathBuf>,
}

/// How an execution ended. The reason decides the state, so that an outcome cannot be both failed and successful.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    reason: Reason,
    error: Option<String>,
    hint: Option<String>,
    exit: Option<Exit>,
    memory: Option<OutOfMemory>,
    duration: Option<Duration>,
    stdout: StreamReport,
    stderr: StreamReport,
    data: Option<Value>,
    sealed: Vec<SealedOutput>,
    output_error: Option<String>,
}

impl Exit {
    /// The number that `result.exit_code` holds: the status, or −1 after a signal.
    pub const fn code(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(_) => -1,
        }
    }
}

impl Outcome {
    /// An execution that ended before there was a process.
    pub fn without_process(reason: Reason, error: impl Into<String>) -> Self {
        debug_assert!(!matches!(reason, Reason::Completed));
        Self {
            reason,
            error: Some(error.into()),
            hint: reason.hint().map(str::to_owned),
            exit: None,
            memory: None,
            duration: None,
            stdout: StreamReport::default(),
            stderr: StreamReport::default(),
            data: None,
            sealed: Vec::new(),
            output_error: None,
        }
    }

    /// An execution whose process has ended. `error` is what a person should read first.
    pub fn of_process(
        reason: Reason,
        error: Option<String>,
        exit: Exit,
        duration: Duration,
        stdout: StreamReport,
        stderr: StreamReport,
    ) -> Self {
        Self {
            reason,
            error,
            hint: reason.hint().map(str::to_owned),
            exit: Some(exit),
            memory: None,
            duration: Some(duration),
            stdout,
            stderr,
            data: None,
            sealed: Vec::new(),
            output_error: None,
        }
    }

    /// With a hint that knows more than the reason's own.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With what memory it had to do with, and was not enough.
    #[must_use]
    pub fn with_memory(mut self, memory: Option<OutOfMemory>) -> Self {
        self.memory = memory;
        self
    }

    /// With where the logs of its process are. They are told only where they hold something that the result does not
    /// (CONTRACT §3.9): any standard error, and of standard output what was too much.
    #[must_use]
    pub fn with_logs(mut self, stdout: Option<PathBuf>, stderr: Option<PathBuf>) -> Self {
        if self.stdout.dropped > 0 && stdout.is_some() {
            self.stdout.log = stdout;
        }
        if !self.stderr.text.trim().is_empty() && stderr.is_some() {
            self.stderr.log = stderr;
        }
        self
    }

    /// The logs that it tells of: of standard output, of standard error.
    pub fn logs(&self) -> [Option<&Path>; 2] {
        [&self.stdout, &self.stderr].map(|stream| stream.log.as_deref())
    }

    /// With the log of what failed before there was a process.
    #[must_use]
    pub fn with_log(mut self, log: PathBuf) -> Self {
        self.stderr.log = Some(log);
        self
    }

    /// With what standard output meant in the format that the action declares, or why it could not be read.
    #[must_use]
    pub fn with_output(mut self, parsed: Result<Option<Value>, String>) -> Self {
        match parsed {
            Ok(data) => self.data = data,
            Err(error) => self.output_error = Some(error),
        }
        self
    }

    /// With the secrets that were taken out of its data.
    #[must_use]
    pub fn with_sealed(mut self, sealed: Vec<SealedOutput>) -> Self {
        self.sealed = sealed;
        self
    }

    /// Without what `masker` covers, in all that people read.
    #[must_use]
    pub fn masked(mut self, masker: &Masker) -> Self {
        let texts = [&mut self.error, &mut self.hint, &mut self.output_error, &mut self.stdout.base64];
        let texts = texts.into_iter().chain([&mut self.stderr.base64]).flatten();
        for text in texts.chain([&mut self.stdout.text, &mut self.stderr.text]) {
            if let Cow::Owned(masked) = masker.mask_text(text) {
                *text = masked;
            }
        }
        if let Some(data) = &mut self.data {
            masker.mask_json(data);
        }
        self
    }

    /// What standard output meant, to take secrets out of it.
    pub fn data_mut(&mut self) -> Option<&mut Value> {
        self.data.as_mut()
    }

    /// Without standard output, of which only the size is told: it may hold secrets, and nobody knows where.
    #[must_use]
    pub fn without_stdout(mut self) -> Self {
        let bytes = self.stdout.text.len() as u64 + self.stdout.dropped;
        if bytes > 0 {
            let text =
                "[stdout is left out: the action returns secrets, and this is not its data]\n".to_owned();
            self.stdout = StreamReport { text, base64: None, dropped: bytes, log: None };
        }
        self
    }

    /// The secrets that were taken out of its data, encrypted.
    pub fn sealed(&self) -> &[SealedOutput] {
        &self.sealed
    }

    /// Why it ended.
    pub const fn reason(&self) -> Reason {
        self.reason
    }

    /// The state it ends in.
    pub const fn status(&self) -> ExecutionStatus {
        self.reason.status()
    }

    /// What a person should read first, where it did not end well.
    pub fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    /// `execution.result`.
    pub fn to_result(&self) -> Value {
        let mut result = Map::new();
        let status = self.status();
        result.insert("succeeded".into(), json!(status == ExecutionStatus::Completed));
        if status == ExecutionStatus::Cancelled {
            result.insert("cancelled".into(), json!(true));
        }
        result.insert("reason".into(), json!(self.reason));
        if let Some(exit) = self.exit {
            result.insert("exit_code".into(), json!(exit.code()));
            if let Exit::Signal(signal) = exit {
                result.insert("signal".into(), json!(crate::process::signal_name(signal)));
            }
        }
        if let Some(OutOfMemory { limit, peak }) = self.memory {
            if let Some(limit) = limit {
                result.insert("memory_limit_bytes".into(), json!(limit));
            }
            result.insert("memory_peak_bytes".into(), json!(peak));
        }
        if let Some(duration) = self.duration {
            result
                .insert("duration_ms".into(), json!(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)));
        }
        for (key, text) in
            [("error", &self.error), ("hint", &self.hint), ("output_error", &self.output_error)]
        {
            if let Some(text) = text {
                result.insert(key.into(), json!(text));
            }
        }
        // Where standard output became data it is not repeated as text (CONTRACT §3.9).
        if self.data.is_none() {
            insert_text(&mut result, "stdout", &self.stdout);
        }
        insert_facts(&mut result, "stdout", &self.stdout);
        insert_facts(&mut result, "stderr", &self.stderr);
        if let Some(data) = &self.data {
            // The work-queue contract looks for it at the top.
            if let Some(ack) = data.get("queue_ack") {
                result.insert("queue_ack".into(), ack.clone());
            }
            result.insert("data".into(), data.clone());
        }
        Value::Object(result)
    }
}

fn insert_text(result: &mut Map<String, Value>, stream: &str, report: &StreamReport) {
    if !report.text.is_empty() {
        result.insert(stream.to_owned(), json!(report.text));
    }
    if let Some(base64) = &report.base64 {
        result.insert(format!("{stream}_base64"), json!(base64));
    }
}

/// Truncation is always told, and where the log is.
fn insert_facts(result: &mut Map<String, Value>, stream: &str, report: &StreamReport) {
    if report.dropped > 0 {
        result.insert(format!("{stream}_truncated"), json!(true));
        result.insert(format!("{stream}_bytes_truncated"), json!(report.dropped));
    }
    if let Some(log) = &report.log {
        result.insert(format!("{stream}_log"), json!(log));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(text: &str) -> StreamReport {
        StreamReport { text: text.to_owned(), ..StreamReport::default() }
    }

    #[test]
    fn a_success_has_the_contracts_shape() {
        let outcome = Outcome::of_process(
            Reason::Completed,
            None,
            Exit::Code(0),
            Duration::from_millis(12),
            stream("hi\n"),
            stream(""),
        );
        let expected = json!({"succeeded": true, "reason": "completed", "exit_code": 0, "duration_ms": 12, "stdout": "hi\n"});
        assert_eq!(outcome.to_result(), expected);
        let parsed = outcome.with_output(Ok(Some(json!({"queue_ack": {"version": 1}}))));
        assert_eq!(parsed.to_result()["queue_ack"], json!({"version": 1}));
        assert!(parsed.to_result().get("stdout").is_none());
    }

    #[test]
    fn truncation_is_told_of_a_success_too() {
        let long = StreamReport { text: "a…b".to_owned(), dropped: 7, ..StreamReport::default() };
        let outcome =
            Outcome::of_process(Reason::Completed, None, Exit::Code(0), Duration::ZERO, long, stream(""));
        assert_eq!(outcome.to_result()["stdout_truncated"], json!(true));
        assert_eq!(outcome.to_result()["stdout_bytes_truncated"], json!(7));
    }

    #[test]
    fn a_signal_is_named_and_counts_as_minus_one() {
        let outcome = Outcome::of_process(
            Reason::Timeout,
            Some("ended after 1 s".to_owned()),
            Exit::Signal(15),
            Duration::from_secs(1),
            stream(""),
            stream(""),
        );
        assert_eq!(outcome.status(), ExecutionStatus::Timeout);
        assert_eq!(outcome.to_result()["exit_code"], json!(-1));
        assert_eq!(outcome.to_result()["signal"], json!("SIGTERM"));
    }
}
