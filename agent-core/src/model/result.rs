//! The shape of `execution.result`: one table of fields, from which results, their documents and docs are made.
//!
//! A workflow reads a result as `{{ result().KEY }}`, where the executor puts the keys of the action's own data under
//! those of the result, without overwriting (CONTRACT §11). So the top belongs to the reference's keys and to the
//! action: everything of ours is below [`AGENT`], a name that nobody returns by accident.

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::Reason;

/// Under this key of a result is what this agent says beyond the reference.
pub const AGENT: &str = "_agent";

macro_rules! fields {
    ($($variant:ident = $place:literal, $shown:literal, $holds:literal, $meaning:literal;)+) => {
        /// Everything that a result of this agent can hold.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ResultField {$(
            #[doc = $meaning]
            $variant
        ),+}

        impl ResultField {
            /// Every field, in the order in which people read them.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// Where it is in `execution.result`: names from the top on, with dots between them.
            pub const fn place(self) -> &'static str {
                match self {$(Self::$variant => $place),+}
            }

            /// Its name in what `submit --json` and `exec` print.
            pub const fn shown(self) -> &'static str {
                match self {$(Self::$variant => $shown),+}
            }

            /// What it is, and in which unit.
            pub const fn holds(self) -> &'static str {
                match self {$(Self::$variant => $holds),+}
            }

            /// What it says, and when it is there, for the reference page.
            pub const fn meaning(self) -> &'static str {
                match self {$(Self::$variant => $meaning),+}
            }
        }
    };
}

fields! {
    Succeeded = "succeeded", "succeeded", "boolean",
        "Whether it has completed.";
    Cancelled = "cancelled", "cancelled", "`true`",
        "That it was cancelled.";
    Reason = "_agent.reason", "reason", "text",
        "Why it ended: a code from the table of reasons.";
    ExitCode = "exit_code", "exit_code", "number",
        "The exit status of its process, -1 after a signal. Absent where there was no process.";
    Signal = "_agent.signal", "signal", "text",
        "The signal that ended its process, for example `SIGTERM`.";
    MemoryLimit = "_agent.memory.limit_bytes", "memory_limit_bytes", "number of bytes",
        "How much memory it was allowed, where that was too little and somebody had set a limit.";
    MemoryPeak = "_agent.memory.peak_bytes", "memory_peak_bytes", "number of bytes",
        "How much memory it used at most, where that was too much.";
    Duration = "duration_ms", "duration_ms", "number of milliseconds",
        "How long its process ran. Absent where there was no process.";
    Error = "error", "error", "text",
        "What a person should read first, where it has not completed.";
    Hint = "_agent.hint", "hint", "text",
        "What can be done about that.";
    OutputError = "_agent.output_error", "output_error", "text",
        "Why standard output is not in `data`, though the action's format is not text.";
    Stdout = "stdout", "stdout", "text",
        "Standard output, where there is any that did not become `data`; head and tail, where it is long.";
    StdoutBase64 = "_agent.stdout_base64", "stdout_base64", "text",
        "The bytes of a short standard output that is not UTF-8, in base64.";
    StdoutTruncated = "stdout_truncated", "stdout_truncated", "`true`",
        "That `stdout` leaves something out.";
    StdoutBytesTruncated = "stdout_bytes_truncated", "stdout_bytes_truncated", "number of bytes",
        "How much it leaves out.";
    StdoutLog = "_agent.logs.stdout.path", "stdout_log", "path",
        "Where `stdout` leaves something out: the log, on the volume of artifacts as this worker sees it.";
    StdoutArtifact = "_agent.logs.stdout.artifact", "stdout_artifact", "text",
        "The same where the worker shares no such volume: the name of the artifact, which the API has.";
    StderrTruncated = "stderr_truncated", "stderr_truncated", "`true`",
        "That standard error was longer than what is kept of it in memory.";
    StderrBytesTruncated = "stderr_bytes_truncated", "stderr_bytes_truncated", "number of bytes",
        "By how much.";
    StderrLog = "stderr_log", "stderr_log", "path",
        "The log of standard error, where there is any, or of the environment that could not be built; on the volume of \
         artifacts as this worker sees it. Absent where nobody else could open it.";
    StderrArtifact = "_agent.logs.stderr.artifact", "stderr_artifact", "text",
        "The log of standard error where the worker shares no such volume: the name of the artifact, which the API has.";
    QueueAck = "queue_ack", "queue_ack", "whatever the action returns",
        "`queue_ack` of the data, where a work queue looks for it.";
    Data = "data", "data", "whatever the action returns",
        "Standard output in the format that the action declares; markers stand in the place of secrets.";
}

impl ResultField {
    /// Whether the reference's worker writes it too.
    pub fn is_of_reference(self) -> bool {
        self.path().next() != Some(AGENT)
    }

    /// Its value in `result`.
    pub fn of(self, result: &Value) -> Option<&Value> {
        self.path().try_fold(result, |value, name| value.get(name))
    }

    /// Its value in `result`, where that is text.
    pub fn text_of(self, result: &Value) -> Option<&str> {
        self.of(result)?.as_str()
    }

    /// Puts its value into a result.
    pub fn put(self, result: &mut Map<String, Value>, value: impl Into<Value>) {
        insert(result, self.place(), value.into());
    }

    fn path(self) -> impl Iterator<Item = &'static str> {
        self.place().split('.')
    }
}

fn insert(object: &mut Map<String, Value>, place: &str, value: Value) {
    let Some((name, rest)) = place.split_once('.') else {
        object.insert(place.to_owned(), value);
        return;
    };
    let below = object.entry(name).or_insert_with(|| Map::new().into());
    if let Value::Object(below) = below {
        insert(below, rest, value);
    }
}

/// A result as people are shown it, without the division that workflows need. One that is not this agent's own is shown as
/// it is: whoever wrote it knows what its keys mean.
pub fn shown_result(result: &Value) -> Map<String, Value> {
    match result {
        Value::Object(_) if result.get(AGENT).is_some() => ResultField::ALL
            .iter()
            .filter_map(|field| Some((field.shown().to_owned(), field.of(result)?.clone())))
            .collect(),
        Value::Object(other) => other.clone(),
        _ => Map::new(),
    }
}

/// Reads a result that an earlier version may have left in its journal: that one had all fields at the top, under the names
/// by which they are still shown.
pub(super) fn of_any_version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
    let mut result = Value::deserialize(deserializer)?;
    let is_reason = |text: &Value| Reason::ALL.iter().any(|reason| text == reason.code());
    if let Value::Object(fields) = &mut result
        && !fields.contains_key(AGENT)
        && fields.contains_key(ResultField::Succeeded.shown())
        && fields.get(ResultField::Reason.shown()).is_some_and(is_reason)
    {
        for field in ResultField::ALL.iter().filter(|field| !field.is_of_reference()) {
            match fields.shift_remove(field.shown()) {
                // It was told of every log, of those too that nobody but the worker could open.
                Some(_) if *field == ResultField::StdoutLog => {}
                Some(value) => field.put(fields, value),
                None => {}
            }
        }
    }
    Ok(result)
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::HashSet;

    use serde_json::json;

    use super::*;

    /// The keys that the reference's worker writes (CONTRACT §3.9).
    pub(in crate::model) const REFERENCE: &[&str] = &[
        "succeeded",
        "cancelled",
        "exit_code",
        "duration_ms",
        "error",
        "stdout",
        "stderr_log",
        "stdout_truncated",
        "stdout_bytes_truncated",
        "stderr_truncated",
        "stderr_bytes_truncated",
        "data",
        "queue_ack",
    ];

    #[test]
    fn what_is_ours_is_below_one_key_and_every_name_is_told_once() {
        let at_the_top: HashSet<_> = ResultField::ALL
            .iter()
            .filter(|field| field.is_of_reference())
            .map(|field| field.place())
            .collect();
        assert_eq!(at_the_top, REFERENCE.iter().copied().collect());
        let shown: HashSet<_> = ResultField::ALL.iter().map(|field| field.shown()).collect();
        assert_eq!(shown.len(), ResultField::ALL.len());
    }

    #[test]
    fn what_is_shown_is_ours_and_never_what_the_action_calls_the_same() {
        let data = json!({"reason": "because", "hint": "mine"});
        let result = json!({"data": data, "succeeded": true, "_agent": {"reason": "completed"}});
        let expected = json!({"succeeded": true, "reason": "completed", "data": data});
        assert_eq!(Value::Object(shown_result(&result)), expected);
        let elsewhere = json!({"succeeded": true, "answer": 42});
        assert_eq!(Value::Object(shown_result(&elsewhere)), elsewhere);
        assert!(shown_result(&Value::Null).is_empty());
    }

    #[test]
    fn a_result_of_an_earlier_version_is_read_as_one_of_this() {
        let read = |result: Value| of_any_version(result).unwrap();
        let old = json!({
            "succeeded": false, "reason": "out_of_memory", "exit_code": -1, "signal": "SIGKILL", "memory_limit_bytes": 7,
            "memory_peak_bytes": 8, "error": "too much", "hint": "less", "stdout": "a", "stdout_log": "/private/a",
            "stderr_log": "/shared/b",
        });
        let expected = json!({
            "succeeded": false, "exit_code": -1, "error": "too much", "stdout": "a", "stderr_log": "/shared/b",
            "_agent": {"reason": "out_of_memory", "signal": "SIGKILL", "memory": {"limit_bytes": 7, "peak_bytes": 8},
                "hint": "less"},
        });
        assert_eq!(read(old), expected);
        assert_eq!(read(expected.clone()), expected);
        for others in [json!({"reason": "somebody's own"}), json!({"reason": "completed"}), Value::Null] {
            assert_eq!(read(others.clone()), others);
        }
    }
}
