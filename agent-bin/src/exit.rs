//! How this program ends: one table of exit codes, and one way to tell why.

use std::io::Write;
use std::process::ExitCode;

use agent_core::{Error, ErrorKind};

/// What was asked for was done and did not succeed: an execution failed, two modes disagree.
pub(crate) const FAILED: u8 = 1;

/// Somebody stopped waiting with Ctrl-C.
pub(crate) const INTERRUPTED: u8 = 130;

/// The agent itself failed.
const FAULT: u8 = 70;

/// Ends this process wherever it panics: whatever it was doing, nobody knows any more in what state that is. What it ran
/// ends with it, and its next life, or another worker, settles what the journal and the rows tell. So the program that
/// is shipped needs no tables for unwinding, which would be a fifth of it, and no build behaves differently.
pub(crate) fn end_where_it_panics() {
    std::panic::set_hook(Box::new(|panic| {
        tell(&format!(
            "error: the agent failed: {panic}\n  hint: this is a fault of attune-agent; please report it"
        ));
        #[expect(clippy::exit, reason = "nothing that is left to be done may be trusted")]
        std::process::exit(i32::from(FAULT));
    }));
}

/// A sentence for the user, with a hint, and the exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    message: String,
    hint: Option<String>,
}

impl Failure {
    /// Asked for wrongly.
    pub(crate) fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { code: code(ErrorKind::Usage), message: message.into(), hint: Some(hint.into()) }
    }

    /// Tells the user on standard error and gives the exit code.
    pub(crate) fn report(self) -> ExitCode {
        let mut text = format!("error: {}\n", self.message);
        if let Some(hint) = &self.hint {
            text.push_str("  hint: ");
            text.push_str(hint);
            text.push('\n');
        }
        // Nobody to tell is no reason to fail differently.
        std::io::stderr().write_all(text.as_bytes()).ok();
        ExitCode::from(self.code)
    }
}

/// The codes of `sysexits.h`, as far as they fit; the table in `--help` is the same.
const fn code(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::Usage => 2,
        ErrorKind::Invalid => 65,
        ErrorKind::ControlPlane | ErrorKind::Unavailable => 69,
        ErrorKind::System => 71,
        ErrorKind::Conflict => 73,
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self {
            code: code(error.kind()),
            message: error.to_string(),
            hint: error.hint_text().map(str::to_owned),
        }
    }
}

impl From<agent_core::process::SpawnError> for Failure {
    fn from(error: agent_core::process::SpawnError) -> Self {
        Self {
            code: code(ErrorKind::System),
            message: error.to_string(),
            hint: error.hint().map(str::to_owned),
        }
    }
}

impl From<runtime_probe::Error> for Failure {
    fn from(error: runtime_probe::Error) -> Self {
        Self { code: code(ErrorKind::Invalid), message: error.to_string(), hint: None }
    }
}

/// Standard output could not be written, or a temporary directory not be made.
impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self { code: code(ErrorKind::System), message: error.to_string(), hint: None }
    }
}

/// Prints to standard output; whoever closed it early (`| head`) has seen enough.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Tells the user something beside the result, on standard error.
pub(crate) fn tell(text: &str) {
    // Nobody to tell is no reason to fail.
    std::io::stderr().write_all(format!("{text}\n").as_bytes()).ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Set in the process that is to panic.
    const TO_PANIC: &str = "ATTUNE_TEST_TO_PANIC";

    #[test]
    fn a_panic_ends_the_process_with_a_sentence_and_its_own_code() {
        if std::env::var_os(TO_PANIC).is_some() {
            end_where_it_panics();
            std::thread::spawn(|| panic!("at step {}", 2)).join().ok();
            return;
        }
        let mut again = std::process::Command::new(std::env::current_exe().unwrap());
        let name = "exit::tests::a_panic_ends_the_process_with_a_sentence_and_its_own_code";
        let ended = again.args(["--exact", "--nocapture", name]).env(TO_PANIC, "1").output().unwrap();
        assert_eq!(ended.status.code(), Some(i32::from(FAULT)));
        let told = String::from_utf8_lossy(&ended.stderr);
        assert!(
            told.contains("error: the agent failed: panicked at") && told.contains("at step 2"),
            "{told}"
        );
    }
}
