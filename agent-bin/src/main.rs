//! `attune-agent`: parse, configure, wire, run. What the agent does is in `agent-core`.

#![forbid(unsafe_code)]

mod cli;
mod exit;
mod lookup;
mod parameters;
mod plane;
mod session;
mod transfer;
mod verbs;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Verb};
use crate::exit::Failure;

/// musl gives memory back to the kernel at once and asks for it again, and takes a lock that sleeps each time.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

fn main() -> ExitCode {
    exit::end_where_it_panics();
    // Before it knows anything, and whatever becomes of it.
    agent_core::process::harden();
    // The helper process that forks is this program too, and must have no threads: nothing else may come before.
    agent_core::process::enter_if_asked();
    if let Err(error) = agent_core::process::leave_orphans_to_init() {
        exit::tell(&format!("warning: what is left to process 1 will not be reaped: {error}"));
    }
    let cli = Cli::parse();
    match run(cli) {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}

fn run(cli: Cli) -> Result<ExitCode, Failure> {
    if cli.detect_only {
        return verbs::detect_only::run();
    }
    // What an init container runs has nothing to configure.
    if let Some(Verb::Install(args)) = &cli.verb {
        return verbs::install::run(args);
    }
    // A container's PATH, home and credentials are read here and nowhere else.
    let session = session::Session::new(&cli)?;
    match cli.verb.unwrap_or_else(|| Verb::Run(cli::RunArgs::default())) {
        Verb::Run(args) => session.block_on(verbs::run::run(&session, args)),
        Verb::Demo => session.block_on(verbs::demo::run(&session)),
        Verb::Exec(args) => session.block_on(verbs::exec::run(&session, args)),
        Verb::Submit(args) => session.block_on(verbs::submit::run(&session, args)),
        Verb::Pack(args) => session.block_on(verbs::pack::run(&session, args)),
        Verb::Doctor(args) => session.block_on(verbs::doctor::run(&session, &args)),
        Verb::Wait(args) => session.block_on(verbs::wait::run(&session, args)),
        Verb::Migrate => session.block_on(verbs::migrate::run(&session)),
        Verb::Probe(args) => verbs::probe::run(&args),
        Verb::Install(args) => verbs::install::run(&args),
        Verb::Reasons => Ok(verbs::reasons::run()),
    }
}
