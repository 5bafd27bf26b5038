//! `attune-agent health`: ask the worker that runs here how it is.
//!
//! A probe runs every few seconds in a container that may have no shell, so this reads no more of the configuration
//! than where the worker is, and blocks on one socket.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use agent_core::config::{ConfigFile, Sources};
use agent_core::control_plane::embedded::Embedded;
use agent_core::telemetry::health::{Address, Answer, ask};
use agent_core::worker::{WorkDir, work_directories};

use crate::cli::{Common, HealthArgs, HealthOf};
use crate::exit::{FAILED, Failure, print};

pub(crate) fn run(common: &Common, args: &HealthArgs) -> Result<ExitCode, Failure> {
    let deadline = Instant::now() + args.timeout;
    let (name, addresses) = find(common, args)?;
    let answer = ask(&addresses, deadline);
    let why_not = match answer {
        Answer::Ready => None,
        Answer::NotReady(_) if args.what == HealthOf::Live => None,
        Answer::NotReady(why) => Some(why),
        Answer::Silent => Some(format!("the worker did not answer within {} s", args.timeout.as_secs_f64())),
        Answer::Nobody => Some(format!("no worker named `{name}` runs here as this user")),
    };
    let well = match args.what {
        HealthOf::Live => "alive",
        HealthOf::Ready => "ready",
    };
    match why_not {
        None => {
            print(&format!("{well}\n"))?;
            Ok(ExitCode::SUCCESS)
        }
        Some(why) => {
            print(&format!("not {well}: {why}\n"))?;
            Ok(ExitCode::from(FAILED))
        }
    }
}

/// The worker's name, and where it may answer: found as the worker itself finds its place.
fn find(common: &Common, args: &HealthArgs) -> Result<(String, Vec<Address>), Failure> {
    let environment = || common.named().into_iter().chain(std::env::vars_os());
    // The file may have become unreadable since the worker read it, which does not make it less alive.
    let sources = Sources::read(&common.config_file(), environment())
        .or_else(|_| Sources::read(&ConfigFile::None, environment()))?;
    let (name, work_dir) = sources.whereabouts()?;
    let directories: Vec<PathBuf> = match &args.embedded {
        Some(directory) => vec![Embedded::journals_below(directory)],
        None => work_directories(&work_dir).into(),
    };
    let addresses = WorkDir::health_addresses(&name, &directories);
    Ok((name, addresses))
}
