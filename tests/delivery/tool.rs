//! Checkers that are packages of Python: found on the path, else installed for the tests alone.

use std::path::Path;
use std::process::{Command, Stdio};

/// The command `program`, from the first of these packages that brings it; `None`, and a sentence, where none does.
#[expect(clippy::print_stdout, reason = "what is not tested is part of what a test says")]
pub(crate) fn python_tool(program: &str, packages: &[&str]) -> Option<Command> {
    let runs = |command: &mut Command| {
        let asked = command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        asked.is_ok_and(|status| status.success())
    };
    if runs(&mut Command::new(program)) {
        return Some(Command::new(program));
    }
    for package in packages {
        // One place a version: it stays for the next time, and another version has another.
        let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(package);
        let installed = place.join("bin").join(program);
        if runs(&mut Command::new(&installed)) {
            return Some(Command::new(installed));
        }
        let quiet = |command: &mut Command| {
            let done = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
            done.is_ok_and(|status| status.success())
        };
        let made = quiet(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&place));
        let pip = ["-m", "pip", "install", "--quiet", "--retries", "1", package];
        if made
            && quiet(Command::new(place.join("bin/python3")).args(pip))
            && runs(&mut Command::new(&installed))
        {
            return Some(Command::new(installed));
        }
    }
    println!("{program} is not here and cannot be installed; what it checks is not tested");
    None
}
