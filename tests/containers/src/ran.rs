//! A program that has ended.

use std::process::{Command, Output};

/// What a program printed and how it ended.
#[derive(Clone, Debug)]
pub struct Ran {
    /// Its exit code; −1 where a signal ended it.
    pub code: i32,
    /// What it printed.
    pub stdout: String,
    /// What it said about it.
    pub stderr: String,
}

impl Ran {
    /// Runs it to its end.
    ///
    /// # Panics
    /// Where it does not start.
    #[track_caller]
    pub fn of(command: &mut Command) -> Self {
        let program = command.get_program().to_owned();
        command.output().unwrap_or_else(|error| panic!("{}: {error}", program.display())).into()
    }

    /// Itself, where it ended well.
    ///
    /// # Panics
    /// Where it did not.
    #[track_caller]
    #[expect(clippy::return_self_not_must_use, reason = "that it ended well may be all there is to know")]
    pub fn expect_success(self) -> Self {
        assert_eq!(self.code, 0, "{}{}", self.stdout, self.stderr);
        self
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }
}
