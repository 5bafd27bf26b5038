//! `attune-agent probe`: which interpreters this container has, and how we know.

use std::process::ExitCode;

use runtime_probe::{Mode, Options};

use crate::cli::{ProbeArgs, ProbeMode};
use crate::exit::{Failure, print};

pub(crate) fn run(args: &ProbeArgs) -> Result<ExitCode, Failure> {
    let mode = match args.mode {
        ProbeMode::Fast => Mode::Fast,
        ProbeMode::Full | ProbeMode::Compare => Mode::Full,
    };
    let options = Options { mode, root: args.root.clone(), ..Options::default() };
    let report = runtime_probe::probe(&options)?;
    if args.json {
        let text = serde_json::to_string(&report).map_err(std::io::Error::from)?;
        print(&format!("{text}\n"))?;
    } else {
        print(&format!("{}\n", report.table()))?;
    }
    Ok(ExitCode::SUCCESS)
}
