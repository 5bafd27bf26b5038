//! `runtime-probe`: which interpreters does this system have, and how do we know?

#![expect(clippy::print_stderr, reason = "that is where a command says what is wrong")]

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use runtime_probe::{Ask, Comparison, Error, Mode, Options, Report};

/// Which language interpreters does this system have, in which versions, and how do we know?
#[derive(Debug, Parser)]
#[command(version, about, after_help = EXIT_CODES)]
struct Arguments {
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

const EXIT_CODES: &str = "Exit codes: 0 answered · 1 the modes disagree · 2 usage, hints or root are wrong";

#[derive(Debug, Clone, Copy, ValueEnum)]
enum How {
    Fast,
    Full,
    Compare,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok((text, code)) => {
            // A reader that left early, as in `runtime-probe | head`, is no failure of ours.
            let _ = std::io::stdout().write_all(text.as_bytes());
            code
        }
        Err(error) => {
            eprintln!("runtime-probe: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> Result<(String, ExitCode), Error> {
    let mut options = Options {
        path: arguments.path.clone(),
        root: arguments.root.clone(),
        deadline: Duration::from_millis(arguments.deadline),
        ask: if arguments.never_ask { Ask::Never } else { Ask::WhenUnknown },
        hints: arguments.hints.clone(),
        only: arguments.only.clone(),
        off_path: !arguments.only_path,
        cache: arguments.cache.clone(),
        ..Options::default()
    };
    options.mode = match arguments.mode {
        How::Fast => Mode::Fast,
        How::Full => Mode::Full,
        How::Compare => {
            let comparison = runtime_probe::compare(&options)?;
            let code = if comparison.agrees { ExitCode::SUCCESS } else { ExitCode::FAILURE };
            return Ok((show(arguments, &comparison, Comparison::to_string), code));
        }
    };
    let report = runtime_probe::probe(&options)?;
    Ok((show(arguments, &report, |report: &Report| report.table().to_string()), ExitCode::SUCCESS))
}

fn show<T: serde::Serialize>(arguments: &Arguments, answer: &T, table: impl Fn(&T) -> String) -> String {
    if !arguments.json {
        return table(answer);
    }
    let mut text = serde_json::to_string_pretty(answer).expect("a report has no keys but strings");
    text.push('\n');
    text
}
