//! The plan: everything that is decided before a process starts.

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::entrypoint::{self, Entrypoint};
use super::{Workshop, interpreter, parameters};
use crate::model::{ExecutionId, Outcome, OutputFormat, ParameterDelivery, Reason, Runtime, WorkOrder};
use crate::process::Job;

/// How one execution is to be run.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) execution: ExecutionId,
    pub(super) job: Job,
    /// What is written to standard input, which is then closed.
    pub(super) stdin: Vec<u8>,
    pub(super) timeout: Duration,
    pub(super) output: OutputFormat,
    /// Where live logs go.
    pub(super) log_dir: PathBuf,
    /// Removed when the plan is dropped, however the execution ends.
    _parameter_file: Option<ParameterFile>,
}

/// A file of mode 0400 that holds parameters.
#[derive(Debug)]
struct ParameterFile(PathBuf);

impl Plan {
    /// Decides how `order` is run here, or why it cannot be.
    pub(super) fn new(order: &WorkOrder, workshop: &Workshop) -> Result<Self, Box<Outcome>> {
        let action = &order.action;
        let Entrypoint { file, pack_dir } = match &order.file {
            Some(file) => entrypoint::loose(file)?,
            None => entrypoint::locate(&workshop.packs_dir, action)?,
        };
        let runtime = interpreter::runtime_of(order, &file);
        let runner = interpreter::resolve(runtime, &workshop.interpreters)?;
        let rendered = parameters::render(&order.parameters, action.format)
            .map_err(|error| Box::new(Outcome::without_process(Reason::ParametersInvalid, error)))?;
        let mut env = environment(order, runtime, workshop, &pack_dir);
        let (stdin, parameter_file) = match action.delivery {
            ParameterDelivery::Stdin => (rendered, None),
            ParameterDelivery::File => {
                let held = ParameterFile::write(order.execution, &workshop.environment.temp_dir(), &rendered)
                    .map_err(|error| Box::new(Outcome::without_process(Reason::AgentError, error)))?;
                env.push(("ATTUNE_PARAMETER_FILE".into(), held.0.clone().into()));
                (Vec::new(), Some(held))
            }
        };
        let (program, args) = match runner.program {
            Some(program) => (program, runner.args.into_iter().chain([file.into()]).collect()),
            None => (file, Vec::new()),
        };
        Ok(Self {
            execution: order.execution,
            job: Job { program, args, env, cwd: pack_dir },
            stdin,
            timeout: timeout(order, workshop.limits.timeout),
            output: action.output,
            log_dir: workshop.artifacts_dir.join(format!("execution_{}", order.execution)),
            _parameter_file: parameter_file,
        })
    }
}

/// The workflow task's limit, else the action's, else the worker's.
fn timeout(order: &WorkOrder, worker: Duration) -> Duration {
    [order.task_timeout_seconds, order.action.timeout_seconds]
        .into_iter()
        .flatten()
        .find(|seconds| *seconds > 0)
        .map_or(worker, |seconds| Duration::from_secs(seconds.into()))
}

/// The action's whole environment (CONTRACT §3.7): the image's own, the contract's, the runtime's, the submission's.
fn environment(
    order: &WorkOrder,
    runtime: Option<&Runtime>,
    workshop: &Workshop,
    pack_dir: &Path,
) -> Vec<(OsString, OsString)> {
    let mut env = workshop.environment.variables();
    let mut set = |name: &str, value: OsString| {
        env.retain(|(present, _)| present != name);
        env.push((name.into(), value));
    };
    let action = &order.action;
    set("ATTUNE_EXEC_ID", order.execution.to_string().into());
    set("ATTUNE_ACTION", action.reference.as_str().into());
    set("ATTUNE_PACK_REF", action.pack.as_str().into());
    set("ATTUNE_ARTIFACTS_DIR", workshop.artifacts_dir.clone().into());
    set("ATTUNE_RUNTIME_ENVS_DIR", workshop.runtime_envs_dir.clone().into());
    set("ATTUNE_PARAMETER_DELIVERY", action.delivery.as_str().into());
    set("ATTUNE_PARAMETER_FORMAT", action.format.as_str().into());
    if let Some(context) = order.parameters.get("context").and_then(serde_json::Value::as_object) {
        for (key, value) in context {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            set(&format!("ATTUNE_CONTEXT_{}", key.to_uppercase()), text.into());
        }
    }
    if let Some(runtime) = runtime {
        let env_dir = workshop.runtime_envs_dir.join(action.pack.as_str()).join(runtime.name.to_lowercase());
        let expand = |template: &str| {
            template
                .replace("{pack_dir}", &pack_dir.to_string_lossy())
                .replace("{env_dir}", &env_dir.to_string_lossy())
                .replace("{interpreter}", &runtime.config.interpreter.binary)
        };
        for (name, variable) in &runtime.config.env_vars {
            set(name, variable.resolve(None, expand).into());
        }
    }
    for (name, value) in &order.env_vars {
        set(name, value.into());
    }
    env
}

impl ParameterFile {
    /// Writes a new file that nobody else can read; a name that is taken, even by a link, is never followed.
    fn write(execution: ExecutionId, directory: &Path, text: &[u8]) -> Result<Self, String> {
        let path = directory.join(format!("attune-parameters-{execution}-{}", unique()));
        std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o400)
            .open(&path)
            .and_then(|mut file| file.write_all(text))
            .map_err(|error| format!("cannot write the parameter file {}: {error}", path.display()))?;
        Ok(Self(path))
    }
}

/// Different for each call in this process, and between processes that live at the same time.
fn unique() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

impl Drop for ParameterFile {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(path = %self.0.display(), %error, "a parameter file could not be removed");
        }
    }
}
