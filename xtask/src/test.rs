//! `cargo xtask test`: everything that is tested, the fastest first, on a machine that is made fit for it.

use crate::step::{self, Result};
use crate::{chart_tools, machine};

/// What is run, in this order; the last line printed is the test runner's own. Every step is of the whole workspace:
/// with another choice of packages cargo would choose other features, and build their dependencies again.
const STEPS: [&[&str]; 4] = [
    &["test", "--workspace", "--locked", "--lib", "--bins"],
    &["test", "--workspace", "--locked", "--doc"],
    // Integration tests: two patterns that leave nothing out, so that `agent`, the built program run as a user runs
    // it, comes last.
    &["test", "--workspace", "--locked", "--test", "[!a]*"],
    &["test", "--workspace", "--locked", "--test", "a*"],
];

pub(crate) fn run() -> Result {
    machine::prepare();
    chart_tools::prepare();
    STEPS.iter().try_for_each(|arguments| step::run(&mut step::cargo(arguments)))
}
