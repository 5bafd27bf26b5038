//! The Python half of the tests: one process for all of them, asked one question at a time.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{LazyLock, Mutex, PoisonError};

use serde_json::Value;

/// The process, with its questions and its answers.
struct Driver {
    _process: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

static DRIVER: LazyLock<Mutex<Driver>> = LazyLock::new(|| Mutex::new(Driver::start()));

impl Driver {
    fn start() -> Self {
        // It ends when its input does, with this process at the latest.
        let mut process = Command::new(tool("python/bin/python"))
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/driver.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python starts");
        let questions = process.stdin.take().expect("a pipe");
        let answers = BufReader::new(process.stdout.take().expect("a pipe"));
        Self { _process: process, questions, answers }
    }

    fn ask(&mut self, question: &Value) -> Result<Value, String> {
        writeln!(self.questions, "{question}").expect("the driver listens");
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("the driver answers");
        let mut answer: Value =
            serde_json::from_str(&answer).unwrap_or_else(|_| panic!("the driver ended at {question}"));
        match answer["error"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => Ok(answer["ok"].take()),
        }
    }
}

/// Asks `driver.py`; its error is the tool's own.
///
/// # Errors
/// What the tool says, where it refuses.
///
/// # Panics
/// Where the driver has ended.
pub fn ask(question: &Value) -> Result<Value, String> {
    // A test that failed with the lock held has read its answer, or the next one says that it had not.
    DRIVER.lock().unwrap_or_else(PoisonError::into_inner).ask(question)
}

/// A program that `cargo xtask test` installs for these tests.
///
/// # Panics
/// Where it is not installed.
#[track_caller]
pub fn tool(below: &str) -> PathBuf {
    // A test is somewhere in the target directory, and they are at its top.
    let test = std::env::current_exe().expect("a test knows its own path");
    let installed = test.ancestors().map(|above| above.join("chart-tools").join(below));
    installed.into_iter().find(|tool| tool.exists()).unwrap_or_else(|| {
        panic!("{below} is missing: `cargo xtask chart-tools` installs it, with python3-venv and npm")
    })
}

/// The chart's directory.
pub fn chart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../charts/attune")
}
