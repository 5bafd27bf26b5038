//! Packages of Python, each set in a virtual environment of its own, below the target directory.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::machine;
use crate::step::{self, Result};

/// Makes the environment at `place`, from nothing, with these packages; only what went wrong is seen.
pub(crate) fn install(place: &Path, packages: &[&str]) -> Result {
    machine::prepare_python();
    quietly(Command::new("python3").args(["-m", "venv", "--clear"]).arg(place))?;
    let mut pip = Command::new(place.join("bin/python"));
    quietly(pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(packages))
}

/// Runs it without a terminal; only what went wrong is seen.
pub(crate) fn quietly(command: &mut Command) -> Result {
    step::run(command.stdin(Stdio::null()).stdout(Stdio::null()))
}
