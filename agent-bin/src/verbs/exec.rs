//! `attune-agent exec`: run one action, or one file, here and now exactly as a worker would.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use agent_core::control_plane::Journal;
use agent_core::control_plane::solo::Solo;
use agent_core::execution::{self, Attempted, Claimed, Stop, Streams, stop_channel};
use agent_core::model::{
    Action, Execution, OutputFormat, ParameterDelivery, ParameterFormat, ParameterSpec, Parameters,
    ResultField, Schema, WorkOrder,
};
use agent_core::packs::{Library, install_builtin};
use tokio::signal::unix::{SignalKind, signal};

use super::submit::{exit_code, result_json};
use crate::cli::ExecArgs;
use crate::exit::{Failure, print, tell};
use crate::session::{Directories, Session};
use crate::{lookup, parameters};

pub(crate) async fn run(session: &Session, args: ExecArgs) -> Result<ExitCode, Failure> {
    let scratch = tempfile::Builder::new().prefix("attune-exec-").tempdir()?;
    let mut directories = Directories::below(scratch.path(), Some(scratch.path().to_owned()));
    if let Some(kept) = kept_environments(session) {
        directories.runtime_envs = kept;
    }
    if let Some(packs_dir) = &args.packs_dir {
        directories.packs.clone_from(packs_dir);
    } else {
        std::fs::create_dir_all(&directories.packs)?;
        install_builtin(&directories.packs)?;
    }
    let library = Library::read(&directories.packs)?;
    let order = work_order(&library, &args)?;
    let workshop = session.workshop(lookup::interpreters()?, directories, Journal::in_memory(), None)?;
    let solo = Solo::new(order);
    let attempt = Attempted::new(&solo, solo.dispatch());
    let Claimed::Ours(claim) = attempt.again(&solo).await? else {
        unreachable!("nobody else knows of this execution");
    };
    let (handle, stop) = stop_channel();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let stopper = tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tell("ending the action; Ctrl-C again does it at once");
        handle.stop(Stop::Cancel);
        interrupt.recv().await;
        handle.stop(Stop::Kill);
    });
    let ran = execution::run(claim, &workshop, &solo, &solo, stop, Streams::Shown).await;
    let Ok(outcome) = ran else { unreachable!("nobody drains this command") };
    stopper.abort();
    let execution = Execution {
        id: solo.dispatch().execution_id,
        action_ref: solo.dispatch().action_ref.clone(),
        status: outcome.status(),
        worker: None,
        result: Some(outcome.to_result()),
    };
    let mut document = result_json(&execution);
    if let Some(fields) = document.as_object_mut() {
        // There is no row, so there is no number; and the logs end with the scratch directory.
        fields.shift_remove("execution_id");
        for field in [ResultField::StdoutLog, ResultField::StderrLog] {
            fields.shift_remove(field.shown());
        }
    }
    print(&format!("{document}\n"))?;
    Ok(exit_code(execution.status))
}

/// Where environments outlive this command: with those of this machine's worker, else with the user's caches. Their
/// names say all that they depend on, so that everybody may use them.
fn kept_environments(session: &Session) -> Option<PathBuf> {
    let configured = &session.config.directories.runtime_envs;
    if configured.is_dir() {
        return Some(configured.clone());
    }
    let not_empty = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let caches = not_empty("XDG_CACHE_HOME").or_else(|| Some(not_empty("HOME")?.join(".cache")))?;
    let kept = caches.join("attune-agent").join("environments");
    // A home that cannot be written to is none.
    std::fs::create_dir_all(&kept).is_ok().then_some(kept)
}

/// What names a file is a file; anything else is an action.
fn work_order(library: &Library, args: &ExecArgs) -> Result<WorkOrder, Failure> {
    let path = Path::new(&args.target);
    if path.is_file() {
        return loose_file(library, path, args);
    }
    if args.target.contains('/') {
        return Err(Failure::usage(
            format!("there is no file {}", path.display()),
            "name a file that exists, or an action as pack.name",
        ));
    }
    let action = library.action(&args.target)?;
    let given = parameters::gather(&args.parameters, &action)?;
    Ok(library.work_order(action, given)?)
}

/// A file takes any parameter, as text.
fn loose_file(library: &Library, path: &Path, args: &ExecArgs) -> Result<WorkOrder, Failure> {
    let named: Vec<_> = args.parameters.params.iter().filter_map(|pair| pair.split_once('=')).collect();
    let schema = named.iter().map(|(name, _)| ((*name).to_owned(), ParameterSpec::default())).collect();
    let mut action = Action {
        id: None,
        reference: "exec.file".parse().expect("a literal reference"),
        pack: "exec".parse().expect("a literal pack name"),
        entrypoint: path.display().to_string(),
        runtime: None,
        parameters: Schema(schema),
        delivery: ParameterDelivery::Stdin,
        format: ParameterFormat::Json,
        output: OutputFormat::Text,
        timeout_seconds: None,
        is_adhoc: false,
        version_constraint: None,
        required_runtimes: BTreeMap::new(),
    };
    let given = parameters::gather(&args.parameters, &action)?;
    action.parameters = Schema::default();
    let mut order = library.work_order(action, Parameters::new())?;
    order.parameters = given;
    order.file = Some(PathBuf::from(path));
    Ok(order)
}
