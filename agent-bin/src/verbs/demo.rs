//! `attune-agent demo`: the whole system in one process, on a control plane that is thrown away.

mod examples;
mod table;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agent_core::control_plane::Journal;
use agent_core::control_plane::embedded::{Embedded, Submission};
use agent_core::model::{Execution, ExecutionId, ExecutionStatus};
use agent_core::telemetry::health::Health;
use agent_core::worker::Worker;
use runtime_probe::Interpreter;
use tokio::sync::mpsc;

use self::examples::Examples;
use crate::exit::{FAILED, Failure, print};
use crate::lookup;
use crate::session::{Directories, Session};

/// One interpreter, and what was asked of it: nothing, where there is no example for its language.
struct Row<'a> {
    interpreter: &'a Interpreter,
    asked: Option<Asked>,
}

/// An example that was submitted.
struct Asked {
    action: String,
    id: ExecutionId,
}

pub(crate) async fn run(session: &Session) -> Result<ExitCode, Failure> {
    let begun = Instant::now();
    let scratch = tempfile::Builder::new().prefix("attune-demo-").tempdir()?;
    let plane = Arc::new(Embedded::open(scratch.path()).await?);
    let found = lookup::interpreters()?;
    let examples = Examples::choose(&plane.packs_dir(), &found)?;
    plane.register_pack(&examples.write_pack(scratch.path())?).await?;

    let workshop = Arc::new(session.workshop(
        Arc::clone(&found),
        Directories::below(scratch.path(), Some(scratch.path().to_owned())),
        Journal::in_memory(),
        None,
    )?);
    let mut config = session.config.worker.clone();
    // As many at once as there are cores: interpreters that compile would only slow each other down.
    config.max_concurrent = std::thread::available_parallelism().map_or(1, usize::from);
    let (registry, queue) = (Arc::clone(&plane), Arc::clone(&plane));
    let worker = Worker::start(config, registry, queue, workshop, Health::default()).await?;
    let (stop, orders) = mpsc::channel(1);
    let working = tokio::spawn(worker.run(orders));

    let mut rows = Vec::new();
    for (interpreter, action) in found.runtimes.iter().zip(examples.action_refs()) {
        let asked = match action {
            Some(action) => Some(submit(&plane, action).await?),
            None => None,
        };
        rows.push(Row { interpreter, asked });
    }
    let executions = follow(&plane, &rows).await?;
    drop(stop);
    working.await.map_err(std::io::Error::from)??;
    plane.close().await;

    let failed = executions.iter().flatten().filter(|execution| !completed(execution)).count();
    let probed = Duration::from_micros(found.elapsed_us).as_secs_f64() * 1e3;
    print(&format!(
        "{}\n\n{}{} interpreters found in {probed:.1} ms; {} executions, {failed} not completed; {:.1} s in all\n",
        table::table(&rows, &executions),
        table::failures(&executions),
        rows.len(),
        executions.iter().flatten().count(),
        begun.elapsed().as_secs_f64(),
    ))?;
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

fn completed(execution: &Execution) -> bool {
    execution.status == ExecutionStatus::Completed
}

async fn submit(plane: &Embedded, action: String) -> Result<Asked, Failure> {
    let submission = Submission { action_ref: action.clone(), ..Submission::default() };
    Ok(Asked { action, id: plane.submit(&submission).await? })
}

/// Awaits every execution, telling on a terminal how many are still to come.
async fn follow(plane: &Embedded, rows: &[Row<'_>]) -> Result<Vec<Option<Execution>>, Failure> {
    let terminal = std::io::stderr().is_terminal();
    let mut executions = Vec::with_capacity(rows.len());
    for (done, row) in rows.iter().enumerate() {
        let Some(asked) = &row.asked else {
            executions.push(None);
            continue;
        };
        if terminal {
            progress(&format!("{} to come, next: {}", rows.len() - done, asked.action));
        }
        executions.push(Some(plane.finished(asked.id).await?));
    }
    if terminal {
        progress("");
    }
    Ok(executions)
}

/// Writes over the current line of the terminal.
fn progress(text: &str) {
    // Progress that cannot be shown is not missed.
    std::io::stderr().write_all(format!("\r\x1b[K{text}").as_bytes()).ok();
}
