//! `cargo xtask test`: everything that is tested, the fastest first, on a machine that is made fit for it.

use crate::step::{self, Result};
use crate::{chart_tools, dist, machine};

/// What is run first. Every step is of the whole workspace: with another choice of packages cargo would choose other
/// features, and build their dependencies again.
const PARTS: [&[&str]; 2] =
    [&["test", "--workspace", "--locked", "--lib", "--bins"], &["test", "--workspace", "--locked", "--doc"]];

/// What is run of the whole: two patterns that leave nothing out, so that `agent`, the built program run as a user runs
/// it, comes last; the last line printed is the test runner's own.
const WHOLE: [&[&str]; 2] = [
    &["test", "--workspace", "--locked", "--test", "[!a]*"],
    &["test", "--workspace", "--locked", "--test", "a*"],
];

pub(crate) fn run() -> Result {
    machine::prepare();
    chart_tools::prepare();
    steps(&PARTS)?;
    // Containers run what is shipped; only root has containers of every user.
    if machine::is_root() {
        dist::build(&[])?;
    }
    steps(&WHOLE)
}

fn steps(steps: &[&[&str]]) -> Result {
    steps.iter().try_for_each(|arguments| step::run(&mut step::cargo(arguments)))
}
