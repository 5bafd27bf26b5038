//! How one execution lives and dies: claim → plan → spawn → observe → outcome → report.
//!
//! Each step consumes what the step before it made, so that none can be left out: only [`Attempted::again`] makes a claim,
//! only a claim makes a plan, and only with a claim does [`crate::process::Spawner`] start a process.

mod capture;
mod choice;
mod claim;
mod dependencies;
mod entrypoint;
mod exceeded;
mod inline;
mod observe;
mod output;
mod parameters;
mod plan;
mod private_file;
mod report;
mod secret_outputs;
mod stop;
mod unseal;
mod variables;
mod veil;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use claim::{Attempted, Claim, Claimed};
pub use dependencies::build_ahead;
pub use observe::Streams;
pub use report::{deliver, report};
pub use stop::{Stop, StopHandle, StopSignal, stop_channel};

use self::entrypoint::{Code, Entrypoint};
use self::plan::{Opened, Plan};
use self::unseal::Unsealed;
use crate::artifacts::{Artifacts, Leavings};
use crate::control_plane::{Announcements, Executions, Journal, Record};
use crate::environment::Environments;
use crate::model::{Event, ExecutionStatus, LogPlace, Outcome, Reason, WorkOrder};
use crate::packs::RemotePacks;
use crate::process::{ProcessLimits, SpawnError, Spawner};
use crate::secrets::{ChildEnvironment, Keyring};

/// What all executions of a worker share.
#[derive(Debug)]
pub struct Workshop {
    /// What starts processes.
    pub spawner: Arc<Spawner>,
    /// What this container has to run files with.
    pub interpreters: Arc<runtime_probe::Report>,
    /// What a child's environment starts from.
    pub environment: ChildEnvironment,
    /// What decrypts, signs and covers.
    pub keyring: Keyring,
    /// Where actions reach the control plane's API, where there is one.
    pub api_url: Option<String>,
    /// Where packs are.
    pub packs_dir: PathBuf,
    /// What fills that directory from the API, where the API does not share it.
    pub remote_packs: Option<Arc<RemotePacks>>,
    /// Where logs go, and what else executions leave behind.
    pub artifacts: Artifacts,
    /// Where environments with dependencies are.
    pub runtime_envs_dir: PathBuf,
    /// What packs depend on.
    pub environments: Environments,
    /// Where files go that only the worker may read.
    pub private_dir: PathBuf,
    /// Bounds.
    pub limits: Limits,
    /// What has ended and is not delivered yet.
    pub journal: Arc<Journal>,
}

/// What bounds an execution.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Time limit of an action that has none of its own.
    pub timeout: Duration,
    /// Between asking a process to end and ending it.
    pub kill_grace: Duration,
    /// Bytes of standard output that are kept.
    pub stdout_bytes: usize,
    /// Bytes of standard error that are kept.
    pub stderr_bytes: usize,
    /// What its processes may use.
    pub process: ProcessLimits,
}

/// A worker that takes no more work has not begun what it had claimed: it is to be handed back, and nothing was reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotBegun;

/// Runs what `claim` holds to its very end and reports it; returns the outcome that was reported.
///
/// # Errors
/// [`NotBegun`] where the worker drains and no process was started yet.
pub async fn run<R: Executions, Q: Announcements>(
    mut claim: Claim,
    workshop: &Workshop,
    registry: &R,
    queue: &Q,
    stop: StopSignal,
    streams: Streams,
) -> Result<Outcome, NotBegun> {
    // Followers see the end; nothing waits for them to have seen the beginning.
    let started = Event::StatusChanged {
        execution: claim.execution(),
        action_ref: claim.action_ref().to_owned(),
        previous: ExecutionStatus::Scheduled,
        new: ExecutionStatus::Running,
    };
    queue.announce(vec![started]).unattended();
    let Carried { mut outcome, leavings } = match carry_out(&mut claim, workshop, stop, streams).await {
        Ok(carried) => carried,
        Err(NotStarted::Ended(outcome)) => (*outcome).into(),
        Err(NotStarted::HandBack) => return Err(NotBegun),
    };
    // From here on nothing is lost. Its files are kept before its end is told, so that whoever learns of it finds them.
    let mut record = Record::Ending(claim.ending(&outcome));
    let entry = workshop.journal.write(&record);
    if let Some(leavings) = leavings {
        let kept = workshop.artifacts.keep(leavings).await;
        let told = outcome.logs().map(Option::<&LogPlace>::cloned);
        outcome = outcome.with_logs(kept.stdout, kept.stderr);
        // Most results tell of no log, and need not be made again.
        if outcome.logs() != told.each_ref().map(Option::as_ref) {
            record = Record::Ending(claim.ending(&outcome));
            entry.rewrite(&record);
        }
    }
    if let Record::Ending(ending) = record {
        deliver(ending, entry, &workshop.journal, registry, queue).await;
    }
    Ok(outcome)
}

/// Why nothing was started.
enum NotStarted {
    /// It ends like this.
    Ended(Box<Outcome>),
    /// The worker drains, and somebody else may start it.
    HandBack,
}

impl From<Outcome> for NotStarted {
    fn from(outcome: Outcome) -> Self {
        Self::Ended(Box::new(outcome))
    }
}

impl From<Box<Outcome>> for NotStarted {
    fn from(outcome: Box<Outcome>) -> Self {
        Self::Ended(outcome)
    }
}

/// What came of carrying out a claim.
struct Carried {
    outcome: Outcome,
    /// What is to be kept of it, where there was a process.
    leavings: Option<Leavings>,
}

impl From<Outcome> for Carried {
    fn from(outcome: Outcome) -> Self {
        Self { outcome, leavings: None }
    }
}

/// Carries out what was claimed. Whatever is said of it afterwards is said without secrets.
async fn carry_out(
    claim: &mut Claim,
    workshop: &Workshop,
    stop: StopSignal,
    streams: Streams,
) -> Result<Carried, NotStarted> {
    let unsealed = match claim.order_mut() {
        Ok(order) => unseal::unseal(order, workshop)?,
        Err(outcome) => return Err(outcome.clone().into()),
    };
    let Some(masker) = unsealed.masker.clone() else {
        return carry_out_unsealed(claim, unsealed, workshop, stop, streams).await;
    };
    match carry_out_unsealed(claim, unsealed, workshop, stop, streams).await {
        Ok(carried) => Ok(Carried { outcome: carried.outcome.masked(&masker), ..carried }),
        Err(NotStarted::Ended(outcome)) => Err(outcome.masked(&masker).into()),
        Err(NotStarted::HandBack) => Err(NotStarted::HandBack),
    }
}

async fn carry_out_unsealed(
    claim: &Claim,
    unsealed: Unsealed,
    workshop: &Workshop,
    mut stop: StopSignal,
    streams: Streams,
) -> Result<Carried, NotStarted> {
    let order = claim.order().map_err(Clone::clone)?;
    if let Some(packs) = &workshop.remote_packs
        && order.file.is_none()
    {
        tokio::select! {
            () = packs.ensure(order.pack()) => {}
            _ = stop.ordered() => {}
        }
    }
    may_begin(&stop)?;
    let plan = prepare(order, unsealed, workshop, &mut stop).await?;
    may_begin(&stop)?;
    let owed = plan.own_files().map(|own| workshop.artifacts.owe(own, &workshop.journal));
    let child = match workshop.spawner.spawn(claim, &plan.job).await {
        Ok(child) => child,
        Err(error) => {
            if let Some(owed) = owed {
                owed.nothing();
            }
            return Err(not_started(&error).into());
        }
    };
    tracing::debug!(execution = claim.execution().0, pid = child.pid(), program = %plan.job.program.display(),
        "an action runs");
    let mut observation = observe::observe(child, &plan, workshop, &mut stop, streams).await;
    let leavings = observation.leavings(order, owed);
    let outcome = observation.conclude(&plan, leavings.live(), workshop);
    Ok(Carried { outcome, leavings: Some(leavings) })
}

/// Whether nobody has told this execution to stop before it began.
fn may_begin(stop: &StopSignal) -> Result<(), NotStarted> {
    Err(match stop.now() {
        None => return Ok(()),
        Some(Stop::HandBack | Stop::Drain | Stop::Kill) => NotStarted::HandBack,
        Some(Stop::Cancel) => {
            Outcome::without_process(Reason::CancelledBeforeStart, "cancelled before it started").into()
        }
        Some(Stop::Fence) => Outcome::without_process(Reason::WorkerCutOff, observe::CUT_OFF).into(),
    })
}

/// Finds what runs, what runs it and what it depends on, and decides how.
async fn prepare(
    order: &WorkOrder,
    unsealed: Unsealed,
    workshop: &Workshop,
    stop: &mut StopSignal,
) -> Result<Plan, NotStarted> {
    let Entrypoint { code, pack_dir } = match &order.file {
        Some(file) => entrypoint::loose(file)?,
        None => entrypoint::locate(&workshop.packs_dir, &order.action)?,
    };
    let file = match &code {
        Code::File(file) => Some(file.as_path()),
        Code::Inline(_) => None,
    };
    let mut choice = choice::choose(order, file, &workshop.interpreters)?;
    let timeout = plan::timeout(order, workshop.limits.timeout);
    let needed = timeout + workshop.limits.kill_grace;
    let pack_dir = pack_dir.as_deref();
    let environment = dependencies::ready(order, &mut choice, pack_dir, needed, workshop, stop).await?;
    let artifacts_dir = workshop.artifacts.directory_for_action().await;
    let opened = Opened { unsealed, environment, artifacts_dir };
    Ok(Plan::new(order, code, &choice, pack_dir, opened, workshop)?)
}

/// A helper process that fails is the agent's own failure; anything else is the action's or the system's.
fn not_started(error: &SpawnError) -> Outcome {
    let reason =
        if matches!(error, SpawnError::Helper(_)) { Reason::AgentError } else { Reason::SpawnFailed };
    let outcome = Outcome::without_process(reason, error.to_string());
    match error.hint() {
        Some(hint) => outcome.with_hint(hint),
        None => outcome,
    }
}
