//! The command: its arguments and its answer. `runtime-probe` is this and nothing else, and whoever embeds the
//! engine in a program of their own can offer the same command there.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::{Ask, Comparison, Error, Mode, Options, Report, compare, probe};

/// What the command is asked.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Read versions from files, ask the interpreters, or do both and compare
    #[arg(short, long, value_enum, default_value_t = How::Fast)]
    mode: How,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Only these runtimes, by name or alias
    #[arg(short, long, value_delimiter = ',', value_name = "NAME")]
    only: Option<Vec<String>>,
    /// Probe the root file system that is unpacked in this directory
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Search these directories instead of PATH
    #[arg(long, value_name = "DIRS")]
    path: Option<OsString>,
    /// Do not look beside PATH
    #[arg(long)]
    only_path: bool,
    /// In fast mode, do not even ask an interpreter that shows no version
    #[arg(long)]
    never_ask: bool,
    /// How long one interpreter may take to answer
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 2000)]
    deadline: u64,
    /// Read hints from this file instead of /.attune-runtime.yaml
    #[arg(long, value_name = "FILE")]
    hints: Option<PathBuf>,
    /// Remember the answer in this file, and use it while nothing has changed
    #[arg(long, value_name = "FILE")]
    cache: Option<PathBuf>,
}

/// What the command answers.
#[derive(Debug)]
pub struct Answer {
    /// What to print.
    pub text: String,
    /// Whether the modes agree; they do where only one was asked for.
    pub agreed: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum How {
    /// Read the file system and start nothing
    Fast,
    /// Ask every interpreter itself
    Full,
    /// Do both, row by row
    Compare,
}

impl Arguments {
    /// Does what is asked.
    ///
    /// # Errors
    ///
    /// Those of [`probe`].
    pub fn run(&self) -> Result<Answer, Error> {
        let mut options = self.options();
        options.mode = match self.mode {
            How::Fast => Mode::Fast,
            How::Full => Mode::Full,
            How::Compare => {
                let comparison = compare(&options)?;
                return Ok(Answer {
                    text: self.show(&comparison, Comparison::to_string),
                    agreed: comparison.agrees,
                });
            }
        };
        let report = probe(&options)?;
        Ok(Answer { text: self.show(&report, |report: &Report| report.table().to_string()), agreed: true })
    }

    fn options(&self) -> Options {
        Options {
            path: self.path.clone(),
            root: self.root.clone(),
            deadline: Duration::from_millis(self.deadline),
            ask: if self.never_ask { Ask::Never } else { Ask::WhenUnknown },
            hints: self.hints.clone(),
            only: self.only.clone(),
            off_path: !self.only_path,
            cache: self.cache.clone(),
            ..Options::default()
        }
    }

    fn show<T: serde::Serialize>(&self, answer: &T, table: impl Fn(&T) -> String) -> String {
        if !self.json {
            return table(answer);
        }
        let mut text = serde_json::to_string_pretty(answer).expect("a report has no keys but strings");
        text.push('\n');
        text
    }
}
