//! The environment that an action's pack depends on: before the action runs, and ahead of time.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::choice::{self, Choice};
use super::observe::CUT_OFF;
use super::{NotStarted, Stop, StopSignal, Workshop, stop_channel};
use crate::environment::{BaseInterpreter, Environment, EnvironmentSpec, NotReady};
use crate::model::{Outcome, PackRef, Reason, Runtime, WorkOrder};

/// The environment that `order` needs, for as long as it may run; `None` where it needs none. The interpreter inside it
/// takes the place of the one that was chosen.
pub(super) async fn ready(
    order: &WorkOrder,
    choice: &mut Choice<'_>,
    pack_dir: Option<&Path>,
    time: Duration,
    workshop: &Workshop,
    stop: &mut StopSignal,
) -> Result<Option<Environment>, NotStarted> {
    // A file that somebody names here and now is run as it is.
    let pack_dir = pack_dir.filter(|_| order.file.is_none());
    let Some(spec) = pack_dir.and_then(|pack_dir| spec(choice, order.pack(), pack_dir)) else {
        return Ok(None);
    };
    match workshop.environments.ready(&spec, time, stop).await {
        Ok(environment) => {
            if let Some(inner) = &environment.interpreter {
                choice.program = Some(inner.clone());
            }
            Ok(Some(environment))
        }
        Err(NotReady::Failed(outcome)) => without(spec, outcome, workshop).await,
        Err(NotReady::Stopped(why)) => Err(stopped(why)),
    }
}

/// What becomes of an execution whose environment could not be built: it goes on where nothing would have been in it.
/// Otherwise the log of the build is told, where others can open it: it is beside the logs of executions.
async fn without(
    spec: EnvironmentSpec,
    outcome: Box<Outcome>,
    workshop: &Workshop,
) -> Result<Option<Environment>, NotStarted> {
    let artifacts = workshop.artifacts.clone();
    let looking = tokio::task::spawn_blocking(move || (spec.asks_for_nothing(), artifacts.are_shared()));
    match looking.await {
        Ok((true, _)) => {
            tracing::warn!(
                error = outcome.error(),
                "an action runs without an environment that could not be built: its manifest asks for nothing"
            );
            Ok(None)
        }
        Ok((false, true)) => Err(outcome.into()),
        Ok((false, false)) | Err(_) => Err(outcome.without_logs().into()),
    }
}

fn stopped(why: Stop) -> NotStarted {
    match why {
        Stop::Cancel => {
            Outcome::without_process(Reason::Cancelled, "cancelled while its environment was being built")
                .into()
        }
        Stop::Fence => Outcome::without_process(Reason::WorkerCutOff, CUT_OFF).into(),
        Stop::HandBack | Stop::Drain | Stop::Kill => NotStarted::HandBack,
    }
}

fn spec(choice: &Choice<'_>, pack: &PackRef, pack_dir: &Path) -> Option<EnvironmentSpec> {
    let runtime = choice.runtime?;
    let probed = choice.interpreter;
    let interpreter = BaseInterpreter {
        binary: choice.config().interpreter.binary.clone(),
        path: choice.program.clone()?,
        version: probed.and_then(|probed| probed.version.clone()),
        arch: probed.and_then(|probed| probed.arch.as_deref().map(str::to_owned)),
        libc: probed.and_then(|probed| probed.libc),
    };
    EnvironmentSpec::of(pack, pack_dir, runtime, choice.version, interpreter)
}

/// Builds what a pack that was registered needs, for those of its runtimes that are `offered` here, before the first
/// execution has to wait for it. Failures are told to the log, and again to each execution that needs the environment.
pub async fn build_ahead(workshop: &Workshop, pack: &PackRef, offered: &[String]) {
    let Some(leases) = workshop.environments.leases() else { return };
    let runtimes = match leases.runtimes_of(pack).await {
        Ok(runtimes) => runtimes,
        Err(error) => {
            tracing::warn!(%pack, %error, "what a pack depends on is built when it is needed, and not before");
            return;
        }
    };
    let Ok(pack_dir) = pack_directory(workshop, pack) else { return };
    for runtime in runtimes.iter().filter(|runtime| offered.contains(&runtime.canonical())) {
        if let Some(spec) = spec_ahead(workshop, runtime, pack, &pack_dir) {
            // Nobody stops it but by dropping this.
            let (_handle, mut stop) = stop_channel();
            if let Err(NotReady::Failed(outcome)) =
                workshop.environments.ready(&spec, Duration::ZERO, &mut stop).await
            {
                tracing::warn!(%pack, runtime = runtime.reference, error = outcome.error(),
                    "an environment could not be built ahead of time");
            }
        }
    }
}

fn pack_directory(workshop: &Workshop, pack: &PackRef) -> std::io::Result<PathBuf> {
    workshop.packs_dir.join(pack.as_str()).canonicalize()
}

fn spec_ahead(
    workshop: &Workshop,
    runtime: &Runtime,
    pack: &PackRef,
    pack_dir: &Path,
) -> Option<EnvironmentSpec> {
    spec(&choice::unconstrained(runtime, &workshop.interpreters)?, pack, pack_dir)
}
