//! The plan: everything that is decided before a process starts.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::choice::Choice;
use super::entrypoint::Code;
use super::private_file::PrivateFile;
use super::unseal::Unsealed;
use super::{Workshop, inline, parameters, variables};
use crate::environment::Environment;
use crate::model::{ExecutionId, Outcome, OutputFormat, OwnFiles, ParameterDelivery, Reason, Ref, WorkOrder};
use crate::process::Job;

/// How one execution is to be run.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) execution: ExecutionId,
    pub(super) action: Ref,
    pub(super) job: Job,
    /// What is written to standard input, which is then closed.
    pub(super) stdin: Vec<u8>,
    pub(super) timeout: Duration,
    pub(super) output: OutputFormat,
    pub(super) unsealed: Unsealed,
    /// Where the action may leave files.
    pub(super) artifacts_dir: PathBuf,
    /// Removed when the plan is dropped, however the execution ends.
    _private_files: Vec<PrivateFile>,
    /// Stays until then, too.
    _environment: Option<Environment>,
}

/// What was made ready for one execution before it could be planned.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) unsealed: Unsealed,
    pub(super) environment: Option<Environment>,
    /// Where the action may leave files.
    pub(super) artifacts_dir: PathBuf,
}

impl Plan {
    /// Decides how `choice` runs `code` for `order`, or why it cannot.
    pub(super) fn new(
        order: &WorkOrder,
        code: Code<'_>,
        choice: &Choice<'_>,
        pack_dir: Option<&Path>,
        opened: Opened,
        workshop: &Workshop,
    ) -> Result<Self, Box<Outcome>> {
        let action = &order.action;
        let private_dir = &workshop.private_dir;
        let mut private_files = Vec::new();
        let mut env = variables::of(order, choice, workshop, pack_dir, &opened);
        let Opened { unsealed, environment, artifacts_dir } = opened;
        let Command { program, args, file, holds_parameters } = command(order, code, choice, private_dir)?;
        private_files.extend(file);
        let stdin = if holds_parameters {
            Vec::new()
        } else {
            let rendered = parameters::render(&order.parameters, action.format)
                .map_err(|error| Box::new(Outcome::without_process(Reason::ParametersInvalid, error)))?;
            match action.delivery {
                ParameterDelivery::Stdin => rendered,
                ParameterDelivery::File => {
                    let held = PrivateFile::write(private_dir, order.execution, "", &rendered)?;
                    env.push(("ATTUNE_PARAMETER_FILE".into(), held.path().into()));
                    private_files.push(held);
                    Vec::new()
                }
            }
        };
        // Code without a pack starts where anything may be left.
        let cwd = pack_dir.map_or_else(|| workshop.environment.temp_dir(), Path::to_owned);
        Ok(Self {
            execution: order.execution,
            action: action.reference.clone(),
            job: Job { program, args, env, cwd },
            stdin,
            timeout: timeout(order, workshop.limits.timeout),
            output: action.output,
            unsealed,
            artifacts_dir,
            _private_files: private_files,
            _environment: environment,
        })
    }
}

impl Plan {
    /// The files that the action may make as artifacts: with a token it can ask the API for versions.
    pub(super) fn own_files(&self) -> Option<OwnFiles> {
        let own = OwnFiles { execution: self.execution, directory: self.artifacts_dir.clone() };
        self.unsealed.token.is_some().then_some(own)
    }
}

/// What is executed.
struct Command {
    program: PathBuf,
    args: Vec<OsString>,
    /// What the arguments name, where it is not the pack's.
    file: Option<PrivateFile>,
    /// Whether the parameters are in it.
    holds_parameters: bool,
}

fn command(
    order: &WorkOrder,
    code: Code<'_>,
    choice: &Choice<'_>,
    private_dir: &Path,
) -> Result<Command, Box<Outcome>> {
    let (args, file, holds_parameters) = match code {
        Code::File(file) => match &choice.program {
            None => {
                return Ok(Command { program: file, args: Vec::new(), file: None, holds_parameters: false });
            }
            Some(_) => (vec![file.into()], None, false),
        },
        Code::Inline(text) => {
            let inline = inline::prepare(text, choice, order.execution, &order.parameters, private_dir)?;
            (inline.args, inline.file, inline.holds_parameters)
        }
    };
    let program = choice.program.clone().expect("code is refused where nothing runs it");
    let args = choice.args.iter().cloned().chain(args).collect();
    Ok(Command { program, args, file, holds_parameters })
}

/// The workflow task's limit, else the action's, else the worker's.
pub(super) fn timeout(order: &WorkOrder, worker: Duration) -> Duration {
    [order.task_timeout_seconds, order.action.timeout_seconds]
        .into_iter()
        .flatten()
        .find(|seconds| *seconds > 0)
        .map_or(worker, |seconds| Duration::from_secs(seconds.into()))
}
