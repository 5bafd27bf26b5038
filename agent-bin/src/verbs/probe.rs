//! `attune-agent probe`: which interpreters this container has, and how we know.

use std::process::ExitCode;

use runtime_probe::command::Arguments;

use crate::exit::{FAILED, Failure, print};

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let answer = arguments.run()?;
    print(&answer.text)?;
    Ok(if answer.agreed { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}
