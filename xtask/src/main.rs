//! The project's own chores: `cargo xtask`.
//!
//! This program has no dependencies, so that it runs seconds after a clone, before anything heavy is built.

#![expect(clippy::print_stderr, clippy::print_stdout, reason = "a chore talks to whoever runs it")]

mod chart_tools;
mod dist;
mod docs;
mod elf;
mod machine;
mod python;
mod step;
mod test;

use std::process::ExitCode;

const HELP: &str = "\
The project's own chores.

Usage: cargo xtask <CHORE>

Chores:
  test          Install the interpreters and servers that the tests run (as root, on Debian), then run all tests
  dist [ARCHITECTURE…]
                Build the static programs that are shipped into dist/amd64 and dist/arm64
  dist --again  Build them a second time, elsewhere and from nothing, and fail where the bytes differ
  chart-tools   Install what the chart's tests run, in the target directory
  docs          Write what is written from the code: the reference, the chart's README, tables
  docs --check  Fail where any of it is not what the code says
";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["test"] => test::run(),
        ["chart-tools"] => chart_tools::install(),
        ["dist", "--again"] => dist::reproduce(),
        ["dist", architectures @ ..] => dist::build(architectures),
        ["docs"] => docs::write(),
        ["docs", "--check"] => docs::check(),
        _ => {
            eprint!("{HELP}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}
