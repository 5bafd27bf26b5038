//! The project's own chores: `cargo xtask`.
//!
//! This program has no dependencies, so that it runs seconds after a clone, before anything heavy is built.

#![expect(clippy::print_stderr, clippy::print_stdout, reason = "a chore talks to whoever runs it")]

mod dist;
mod docs;
mod elf;
mod machine;
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
  docs          Write docs/reference.md from the code
  docs --check  Fail where docs/reference.md is not what the code says
";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["test"] => test::run(),
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
