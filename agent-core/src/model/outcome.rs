//! How an execution ended, and the `result` JSON that says so (CONTRACT §3.9).

use std::borrow::Cow;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value};

use super::{ExecutionStatus, Reason, ResultField, SealedOutput};
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

/// Where others than the worker find a log. What only the worker could open has no place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogPlace {
    /// A file on the volume of artifacts, as the worker sees it.
    File(PathBuf),
    /// The artifact of this name, which the API has.
    Artifact(String),
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
    /// Its log, where that is told.
    pub log: Option<LogPlace>,
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
    pub fn with_logs(mut self, stdout: Option<LogPlace>, stderr: Option<LogPlace>) -> Self {
        if self.stdout.dropped > 0 && stdout.is_some() {
            self.stdout.log = stdout;
        }
        if !self.stderr.text.trim().is_empty() && stderr.is_some() {
            self.stderr.log = stderr;
        }
        self
    }

    /// The logs that it tells of: of standard output, of standard error.
    pub fn logs(&self) -> [Option<&LogPlace>; 2] {
        [&self.stdout, &self.stderr].map(|stream| stream.log.as_ref())
    }

    /// With the log of what failed before there was a process.
    #[must_use]
    pub fn with_log(mut self, log: PathBuf) -> Self {
        self.stderr.log = Some(LogPlace::File(log));
        self
    }

    /// Without telling of any log: nobody else could open them.
    #[must_use]
    pub fn without_logs(mut self) -> Self {
        self.stdout.log = None;
        self.stderr.log = None;
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
        use ResultField as Field;

        let mut result = Map::new();
        let status = self.status();
        Field::Succeeded.put(&mut result, status == ExecutionStatus::Completed);
        if status == ExecutionStatus::Cancelled {
            Field::Cancelled.put(&mut result, true);
        }
        Field::Reason.put(&mut result, self.reason.code());
        if let Some(exit) = self.exit {
            Field::ExitCode.put(&mut result, exit.code());
            if let Exit::Signal(signal) = exit {
                Field::Signal.put(&mut result, crate::process::signal_name(signal));
            }
        }
        if let Some(OutOfMemory { limit, peak }) = self.memory {
            if let Some(limit) = limit {
                Field::MemoryLimit.put(&mut result, limit);
            }
            Field::MemoryPeak.put(&mut result, peak);
        }
        if let Some(duration) = self.duration {
            Field::Duration.put(&mut result, u64::try_from(duration.as_millis()).unwrap_or(u64::MAX));
        }
        let texts = [
            (Field::Error, &self.error),
            (Field::Hint, &self.hint),
            (Field::OutputError, &self.output_error),
        ];
        for (field, text) in texts {
            if let Some(text) = text {
                field.put(&mut result, text.as_str());
            }
        }
        self.put_streams(&mut result);
        if let Some(data) = &self.data {
            // The work-queue contract looks for it at the top.
            if let Some(ack) = data.get("queue_ack") {
                Field::QueueAck.put(&mut result, ack.clone());
            }
            Field::Data.put(&mut result, data.clone());
        }
        Value::Object(result)
    }

    /// Truncation is always told, and where the log is.
    fn put_streams(&self, result: &mut Map<String, Value>) {
        use ResultField as Field;

        // Where standard output became data it is not repeated as text (CONTRACT §3.9).
        if self.data.is_none() {
            if !self.stdout.text.is_empty() {
                Field::Stdout.put(result, self.stdout.text.as_str());
            }
            if let Some(base64) = &self.stdout.base64 {
                Field::StdoutBase64.put(result, base64.as_str());
            }
        }
        let streams = [
            (
                &self.stdout,
                Field::StdoutTruncated,
                Field::StdoutBytesTruncated,
                Field::StdoutLog,
                Field::StdoutArtifact,
            ),
            (
                &self.stderr,
                Field::StderrTruncated,
                Field::StderrBytesTruncated,
                Field::StderrLog,
                Field::StderrArtifact,
            ),
        ];
        for (stream, truncated, bytes, path, artifact) in streams {
            if stream.dropped > 0 {
                truncated.put(result, true);
                bytes.put(result, stream.dropped);
            }
            match &stream.log {
                Some(LogPlace::File(log)) => path.put(result, log.to_string_lossy().as_ref()),
                Some(LogPlace::Artifact(name)) => artifact.put(result, name.as_str()),
                None => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::AGENT;
    use crate::model::result::tests::REFERENCE;

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
        let expected = json!({
            "succeeded": true, "exit_code": 0, "duration_ms": 12, "stdout": "hi\n", "_agent": {"reason": "completed"}
        });
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
        assert_eq!(outcome.to_result()["_agent"]["signal"], json!("SIGTERM"));
    }

    #[test]
    fn whatever_an_execution_ends_for_nothing_of_ours_is_at_the_top() {
        let place = |name: &str| [LogPlace::File(name.into()), LogPlace::Artifact(name.to_owned())];
        let full = StreamReport {
            text: "head…tail".to_owned(),
            base64: Some("/w==".to_owned()),
            dropped: 7,
            log: None,
        };
        let memory = OutOfMemory { limit: Some(1), peak: 2 };
        let parsed = [Ok(None), Ok(Some(json!({"queue_ack": 1, "reason": "mine"}))), Err("no".to_owned())];
        let mut told: Vec<ResultField> = Vec::new();
        for reason in Reason::ALL {
            let mut shapes = Vec::new();
            for exit in [Exit::Code(0), Exit::Code(3), Exit::Signal(9)] {
                let error = Some("why".to_owned());
                let of_process =
                    Outcome::of_process(*reason, error, exit, Duration::ZERO, full.clone(), full.clone());
                for (stdout, stderr) in place("out").into_iter().zip(place("err")) {
                    let full = of_process.clone().with_hint("a hint").with_memory(Some(memory));
                    let full = full.with_logs(Some(stdout), Some(stderr));
                    shapes.extend(parsed.iter().map(|parsed| full.clone().with_output(parsed.clone())));
                }
                shapes.push(of_process.with_output(parsed[2].clone()).without_stdout());
            }
            if *reason != Reason::Completed {
                shapes.push(Outcome::without_process(*reason, "why").with_log("/log".into()));
            }
            for shape in shapes {
                let result = shape.to_result();
                for top in result.as_object().unwrap().keys() {
                    assert!(top == AGENT || REFERENCE.contains(&top.as_str()), "{top}: {result:#}");
                }
                let fields = ResultField::ALL.iter().copied();
                let of_table: Vec<_> = fields.filter(|field| field.of(&result).is_some()).collect();
                told.extend(&of_table);
                let mut rest = result.clone();
                for field in of_table {
                    let pointer = format!("/{}", field.place().replace('.', "/"));
                    *rest.pointer_mut(&pointer).unwrap() = Value::Null;
                }
                assert!(is_hollow(&rest), "something is in no table: {rest:#}");
            }
        }
        for field in ResultField::ALL {
            // Both places of a log cannot be told at once, but each of them was.
            assert!(told.contains(field), "{field:?} is in the table and nobody writes it");
        }
    }

    /// Whether nothing is left but objects.
    fn is_hollow(value: &Value) -> bool {
        match value {
            Value::Null => true,
            Value::Object(values) => values.values().all(is_hollow),
            _ => false,
        }
    }
}
