//! `cargo xtask test`: everything that is tested, the fastest first, on a machine that is made fit for it.

use crate::machine;
use crate::step::{self, Result};

/// What is run, in this order. The last line printed is the test runner's own.
const STEPS: [&[&str]; 3] = [
    &["test", "--workspace", "--locked", "--lib", "--bins"],
    &["test", "--workspace", "--locked", "--doc"],
    // The built binary, run as a user runs it.
    &["test", "--workspace", "--locked", "--test", "*"],
];

pub(crate) fn run() -> Result {
    machine::prepare();
    STEPS.iter().try_for_each(|arguments| step::run(&mut step::cargo(arguments)))
}
