//! `runtime-probe`: which interpreters does this system have, and how do we know?

#![expect(clippy::print_stderr, reason = "a command says what is wrong")]

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser;
use runtime_probe::command::Arguments;

/// musl gives memory back to the kernel at once and asks for it again: in a process that lives a millisecond, that is
/// a third of it.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

const EXIT_CODES: &str = "Exit codes: 0 answered · 1 the modes disagree · 2 usage, hints or root are wrong";

/// Which language interpreters does this system have, in which versions, and how do we know?
#[derive(Debug, Parser)]
#[command(version, about, after_help = EXIT_CODES)]
struct Command {
    #[command(flatten)]
    arguments: Arguments,
}

fn main() -> ExitCode {
    match Command::parse().arguments.run() {
        Ok(answer) => {
            // A reader that left early, as in `runtime-probe | head`, is no failure of ours.
            let _ = std::io::stdout().write_all(answer.text.as_bytes());
            if answer.agreed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("runtime-probe: {error}");
            ExitCode::from(2)
        }
    }
}
