//! The built programs, which know what pages say about them.

use std::path::PathBuf;
use std::process::Command;

use crate::step::{self, Result};

/// Where the built programs are.
pub(super) struct Programs {
    directory: PathBuf,
}

impl Programs {
    /// Builds what is asked for the pages, with the features that the tests have too: nothing is built twice.
    pub(super) fn build() -> Result<Self> {
        step::run(&mut step::cargo(&["build", "--workspace", "--locked", "--bins", "--examples"]))?;
        Ok(Self { directory: step::target_directory()?.join("debug") })
    }

    /// A table that only a library knows.
    pub(super) fn table(&self, name: &str) -> Result<String> {
        step::read(Command::new(self.directory.join("examples/reference")).arg(name))
    }

    /// The help of a verb, as wide as it is where there is no terminal.
    pub(super) fn help(&self, verb: &[&str]) -> Result<String> {
        let mut agent = Command::new(self.directory.join("attune-agent"));
        step::read(agent.args(verb).arg("--help").env_remove("COLUMNS"))
    }
}
