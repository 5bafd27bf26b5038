//! `attune-agent submit`: ask a control plane for an execution, and follow it.

use std::process::ExitCode;

use agent_core::model::{Execution, ExecutionId, ExecutionStatus, ResultField, shown_result};
use serde_json::{Value, json};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cli::SubmitArgs;
use crate::exit::{FAILED, Failure, INTERRUPTED, print, tell};
use crate::parameters;
use crate::plane::{Plane, Submission};
use crate::session::Session;

pub(crate) async fn run(session: &Session, args: SubmitArgs) -> Result<ExitCode, Failure> {
    let plane = Plane::open(session, args.embedded.as_deref()).await?;
    let action = plane.action(&args.action).await?;
    let mut submission = Submission {
        action_ref: args.action.clone(),
        parameters: parameters::gather(&args.parameters, &action)?,
        direct: args.direct,
        ..Submission::default()
    };
    for pair in &args.env_vars {
        let (name, value) = parameters::split(pair, "--env NAME=value")?;
        submission.env_vars.insert(name.to_owned(), value.to_owned());
    }
    for pair in &args.labels {
        let (label, value) = parameters::split(pair, "--select label=value")?;
        submission.labels.insert(label.to_owned(), value.to_owned());
    }
    // Heard from before there is anything to cancel.
    let interrupt = args.wait.then(|| signal(SignalKind::interrupt())).transpose()?;
    let id = plane.submit(&submission).await?;
    let code = match interrupt {
        Some(interrupt) => follow(&plane, id, &args, interrupt).await?,
        None => requested(&plane, id, &args).await?,
    };
    plane.close().await;
    Ok(code)
}

async fn requested(plane: &Plane, id: ExecutionId, args: &SubmitArgs) -> Result<ExitCode, Failure> {
    if args.json {
        print(&format!(
            "{}\n",
            json!({"execution_id": id, "action_ref": args.action, "status": "requested"})
        ))?;
    } else {
        print(&format!("execution {id} of {} is requested\n", args.action))?;
    }
    mention_absent_worker(plane, args).await?;
    Ok(ExitCode::SUCCESS)
}

async fn mention_absent_worker(plane: &Plane, args: &SubmitArgs) -> Result<(), Failure> {
    // Under an executor this is the executor's to say.
    if let (Plane::Embedded(embedded), Some(directory)) = (plane, &args.embedded)
        && !embedded.has_live_worker().await?
    {
        let directory = directory.display();
        tell(&format!("no worker is running there: `attune-agent run --embedded {directory}` starts one"));
    }
    Ok(())
}

/// Waits for the end. The first Ctrl-C asks to cancel and goes on waiting, the second stops waiting.
async fn follow(
    plane: &Plane,
    id: ExecutionId,
    args: &SubmitArgs,
    mut interrupt: Signal,
) -> Result<ExitCode, Failure> {
    mention_absent_worker(plane, args).await?;
    let mut asked = false;
    let execution = loop {
        tokio::select! {
            finished = plane.finished(id) => break finished?,
            _ = interrupt.recv() => {
                if asked {
                    tell(&format!("execution {id} goes on without being watched"));
                    return Ok(ExitCode::from(INTERRUPTED));
                }
                asked = true;
                tell(&format!("asking to cancel execution {id}; Ctrl-C again stops waiting"));
                plane.cancel(id).await?;
            }
        }
    };
    show(&execution, args.json)?;
    Ok(exit_code(execution.status))
}

/// 0 for what ended well, 1 for anything else.
pub(crate) fn exit_code(status: ExecutionStatus) -> ExitCode {
    if status == ExecutionStatus::Completed { ExitCode::SUCCESS } else { ExitCode::from(FAILED) }
}

fn show(execution: &Execution, as_json: bool) -> Result<(), Failure> {
    if as_json {
        return print(&format!("{}\n", result_json(execution)));
    }
    let result = execution.result.as_ref().unwrap_or(&Value::Null);
    if let Some(data) = result.get("data") {
        print(&format!("{data:#}\n"))?;
    } else if let Some(stdout) = result.get("stdout").and_then(Value::as_str) {
        print(stdout)?;
    }
    tell(&sentence(execution));
    Ok(())
}

/// What came of it, in a sentence.
fn sentence(execution: &Execution) -> String {
    let result = shown_result(execution.result.as_ref().unwrap_or(&Value::Null));
    let text = |field: ResultField| result.get(field.shown()).and_then(Value::as_str);
    let mut sentence =
        format!("execution {} of {}: {}", execution.id, execution.action_ref, execution.status);
    if let Some(duration) = result.get(ResultField::Duration.shown()).and_then(Value::as_u64) {
        sentence.push_str(&format!(" after {duration} ms"));
    }
    if let Some(error) = text(ResultField::Error) {
        sentence.push_str(&format!(" ({})\n{error}", text(ResultField::Reason).unwrap_or("no reason given")));
    }
    if let Some(hint) = text(ResultField::Hint) {
        sentence.push_str(&format!("\n  hint: {hint}"));
    }
    sentence
}

/// The result, with what identifies it in front.
pub(crate) fn result_json(execution: &Execution) -> Value {
    let mut document = serde_json::Map::new();
    document.insert("execution_id".to_owned(), json!(execution.id));
    document.insert("action_ref".to_owned(), json!(execution.action_ref));
    document.insert("status".to_owned(), json!(execution.status));
    document.extend(execution.result.as_ref().map(shown_result).unwrap_or_default());
    Value::Object(document)
}
