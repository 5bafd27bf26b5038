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
use crate::session::{Session, Voice};

/// musl gives memory back to the kernel at once and asks for it again, and takes a lock that sleeps each time.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

fn main() -> ExitCode {
    exit::end_where_it_panics();
    agent_core::process::disinherit();
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
    let Cli { common, detect_only, verb } = cli;
    if detect_only {
        return verbs::detect_only::run();
    }
    // A container's PATH, home and credentials are read there and nowhere else.
    let (heard, quiet) = (|| Session::new(&common, Voice::Log), || Session::new(&common, Voice::Quiet));
    match verb.unwrap_or_else(|| Verb::Run(cli::RunArgs::default())) {
        Verb::Run(args) => heard()?.run(async |session| verbs::run::run(session, args).await),
        Verb::Demo => quiet()?.run(verbs::demo::run),
        Verb::Exec(args) => quiet()?.run(async |session| verbs::exec::run(session, args).await),
        Verb::Submit(args) => quiet()?.run(async |session| verbs::submit::run(session, args).await),
        Verb::Pack(args) => quiet()?.run(async |session| verbs::pack::run(session, args).await),
        // What an image offers has nothing to do with what is configured.
        Verb::Doctor(args) if args.image => verbs::doctor::run_image(&args),
        Verb::Doctor(args) => quiet()?.run(async |session| verbs::doctor::run(session, &args).await),
        Verb::Wait(args) => heard()?.run(async |session| verbs::wait::run(session, args).await),
        Verb::Migrate => quiet()?.run(verbs::migrate::run),
        Verb::Probe(args) => quiet()?.run(async |_| verbs::probe::run(&args)),
        Verb::Reasons => quiet()?.run(async |_| Ok(verbs::reasons::run())),
        // What is wrong with the configuration is a part of the answer.
        Verb::Config(args) => verbs::config::run(&common, &args),
        // What an init container runs has nothing to configure.
        Verb::Install(args) => verbs::install::run(&args),
        // A probe is answered by the worker that runs, whatever has become of its configuration since.
        Verb::Health(args) => verbs::health::run(&common, &args),
    }
}
