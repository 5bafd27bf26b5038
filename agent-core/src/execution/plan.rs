//! The plan: everything that is decided before a process starts.

use std::path::PathBuf;
use std::time::Duration;

use super::entrypoint::{self, Entrypoint};
use super::parameter_file::ParameterFile;
use super::unseal::Unsealed;
use super::{Workshop, interpreter, parameters, variables};
use crate::model::{ExecutionId, Outcome, OutputFormat, ParameterDelivery, Reason, Ref, WorkOrder};
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
    /// Where live logs go.
    pub(super) log_dir: PathBuf,
    pub(super) unsealed: Unsealed,
    /// Removed when the plan is dropped, however the execution ends.
    _parameter_file: Option<ParameterFile>,
}

impl Plan {
    /// Decides how `order` is run here, or why it cannot be.
    pub(super) fn new(
        order: &WorkOrder,
        unsealed: Unsealed,
        workshop: &Workshop,
    ) -> Result<Self, Box<Outcome>> {
        let action = &order.action;
        let Entrypoint { file, pack_dir } = match &order.file {
            Some(file) => entrypoint::loose(file)?,
            None => entrypoint::locate(&workshop.packs_dir, action)?,
        };
        let runtime = interpreter::runtime_of(order, &file);
        let runner = interpreter::resolve(runtime, &workshop.interpreters)?;
        let rendered = parameters::render(&order.parameters, action.format)
            .map_err(|error| Box::new(Outcome::without_process(Reason::ParametersInvalid, error)))?;
        let mut env = variables::of(order, runtime, workshop, &pack_dir, unsealed.token.as_ref());
        let (stdin, parameter_file) = match action.delivery {
            ParameterDelivery::Stdin => (rendered, None),
            ParameterDelivery::File => {
                let held = ParameterFile::write(order.execution, &workshop.environment.temp_dir(), &rendered)
                    .map_err(|error| Box::new(Outcome::without_process(Reason::AgentError, error)))?;
                env.push(("ATTUNE_PARAMETER_FILE".into(), held.path().into()));
                (Vec::new(), Some(held))
            }
        };
        let (program, args) = match runner.program {
            Some(program) => (program, runner.args.into_iter().chain([file.into()]).collect()),
            None => (file, Vec::new()),
        };
        Ok(Self {
            execution: order.execution,
            action: action.reference.clone(),
            job: Job { program, args, env, cwd: pack_dir },
            stdin,
            timeout: timeout(order, workshop.limits.timeout),
            output: action.output,
            log_dir: workshop.artifacts_dir.join(format!("execution_{}", order.execution)),
            unsealed,
            _parameter_file: parameter_file,
        })
    }
}

/// The workflow task's limit, else the action's, else the worker's.
pub(super) fn timeout(order: &WorkOrder, worker: Duration) -> Duration {
    [order.task_timeout_seconds, order.action.timeout_seconds]
        .into_iter()
        .flatten()
        .find(|seconds| *seconds > 0)
        .map_or(worker, |seconds| Duration::from_secs(seconds.into()))
}
