//! `attune-agent demo`: the whole system in one process, on a control plane that is thrown away.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use agent_core::control_plane::embedded::{Embedded, Submission};
use agent_core::model::{Execution, ExecutionConfig, ExecutionId, ExecutionStatus};
use agent_core::packs::{ActionManifest, Pack, RuntimeManifest};
use agent_core::worker::Worker;
use comfy_table::{Attribute, Cell, Color, ContentArrangement, Table, presets};
use runtime_probe::{Interpreter, Report};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::exit::{FAILED, Failure, print, tell};
use crate::lookup;
use crate::session::{Directories, Session};

/// One row of the table to be.
struct Row<'a> {
    interpreter: &'a Interpreter,
    action: String,
    execution: ExecutionId,
}

pub(crate) async fn run(session: &Session) -> Result<ExitCode, Failure> {
    let begun = std::time::Instant::now();
    let scratch = tempfile::Builder::new().prefix("attune-demo-").tempdir()?;
    let plane = Arc::new(Embedded::open(scratch.path()).await?);
    let found = lookup::interpreters()?;
    let examples = Pack::read(&plane.packs_dir().join("examples"))?;
    let planned = plan(&found, &examples);
    plane
        .register_pack(&write_demo_pack(scratch.path(), &examples, &planned)?)
        .await?;

    let workshop = Arc::new(session.workshop(Arc::clone(&found), Directories::below(scratch.path()))?);
    let mut config = session.config.worker.clone();
    // As many at once as there are cores: interpreters that compile would only slow each other down.
    config.max_concurrent = std::thread::available_parallelism().map_or(1, usize::from);
    let worker = Worker::start(config, Arc::clone(&plane), Arc::clone(&plane), workshop).await?;
    let (stop, orders) = mpsc::channel(1);
    let working = tokio::spawn(worker.run(orders));

    let mut rows = Vec::new();
    for (interpreter, example) in planned {
        let action = example.action_ref();
        let submission = Submission {
            action_ref: action.clone(),
            ..Submission::default()
        };
        rows.push(Row {
            interpreter,
            action,
            execution: plane.submit(&submission).await?,
        });
    }
    let executions = follow(&plane, &rows).await?;
    drop(stop);
    working.await.map_err(std::io::Error::from)??;
    plane.close().await;

    print(&format!("{}\n", table(&rows, &executions)))?;
    let failed = executions
        .iter()
        .filter(|execution| execution.status != ExecutionStatus::Completed)
        .count();
    print(&format!(
        "{} interpreters found in {:.1} ms, {} executions, {failed} not completed, {:.1} s in all\n",
        rows.len(),
        std::time::Duration::from_micros(found.elapsed_us).as_secs_f64() * 1e3,
        executions.len(),
        begun.elapsed().as_secs_f64(),
    ))?;
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FAILED)
    })
}

/// What one interpreter is to run.
enum Example<'a> {
    /// The example as it stands: its runtime resolves to this very interpreter.
    AsIs(&'a ActionManifest),
    /// The example, pinned to this interpreter by a runtime of its own: number `usize` of the pack `demo`.
    Pinned(&'a ActionManifest, usize),
}

impl Example<'_> {
    fn action_ref(&self) -> String {
        match self {
            Self::AsIs(action) => action.reference.to_string(),
            Self::Pinned(action, number) => format!("demo.{}_{number}", action.reference.name()),
        }
    }
}

/// An example for each interpreter. An example belongs to the runtime that its name begins with.
fn plan<'a>(found: &'a Report, examples: &'a Pack) -> Vec<(&'a Interpreter, Example<'a>)> {
    let example_of = |interpreter: &Interpreter| {
        let prefix = format!("{}_", interpreter.name);
        examples
            .actions
            .iter()
            .find(|action| action.reference.name().starts_with(&prefix))
    };
    let mut planned = Vec::new();
    for interpreter in &found.runtimes {
        let Some(action) = example_of(interpreter) else {
            tell(&format!(
                "no example for {} ({})",
                interpreter.name,
                interpreter.path.display()
            ));
            continue;
        };
        let preferred = found
            .preferred(&interpreter.name)
            .is_some_and(|first| first.path == interpreter.path);
        let example = if preferred {
            Example::AsIs(action)
        } else {
            Example::Pinned(action, planned.len())
        };
        planned.push((interpreter, example));
    }
    planned
}

/// Writes the pack `demo`: for each further interpreter of a runtime, a runtime that is exactly this interpreter, and
/// the example's action over it. Returns its directory.
fn write_demo_pack(
    scratch: &Path,
    examples: &Pack,
    planned: &[(&Interpreter, Example<'_>)],
) -> Result<PathBuf, Failure> {
    let directory = scratch.join("demo");
    for below in ["actions", "runtimes", "lib"] {
        std::fs::create_dir_all(directory.join(below))?;
    }
    std::fs::write(
        directory.join("pack.yaml"),
        "ref: demo\nlabel: Demo\nversion: 0.1.0\n",
    )?;
    // Examples may lean on their pack's library.
    for entry in std::fs::read_dir(examples.directory.join("lib"))? {
        let entry = entry?;
        std::fs::copy(entry.path(), directory.join("lib").join(entry.file_name()))?;
    }
    let core = Pack::read(&examples.directory.with_file_name("core"))?;
    let runtimes: Vec<_> = core.runtimes.iter().chain(&examples.runtimes).collect();
    for (interpreter, example) in planned {
        let Example::Pinned(action, _) = example else {
            continue;
        };
        let reference = example.action_ref();
        let entrypoint = &action.entrypoint;
        let definition = json!({
            "ref": reference,
            "name": reference,
            "aliases": [interpreter.name],
            "execution_config": pinned(action, interpreter, &runtimes),
        });
        let manifest = json!({
            "ref": reference,
            "runtime": reference,
            "entrypoint": entrypoint,
            "parameter_delivery": action.parameter_delivery,
            "parameter_format": action.parameter_format,
            "output_format": action.output_format,
            "parameters": action.parameters,
        });
        // JSON is YAML.
        std::fs::write(
            directory.join(format!("runtimes/{reference}.yaml")),
            definition.to_string(),
        )?;
        std::fs::write(
            directory.join(format!("actions/{reference}.yaml")),
            manifest.to_string(),
        )?;
        let source = examples.directory.join("actions").join(entrypoint);
        std::fs::copy(source, directory.join("actions").join(entrypoint))?;
    }
    Ok(directory)
}

/// How the action's runtime runs a file, but with this interpreter.
fn pinned(
    action: &ActionManifest,
    interpreter: &Interpreter,
    runtimes: &[&RuntimeManifest],
) -> ExecutionConfig {
    let own = runtimes
        .iter()
        .find(|runtime| action.runtime.as_deref() == Some(runtime.reference.as_str()));
    let mut config = own
        .map(|runtime| runtime.execution_config.clone())
        .unwrap_or_default();
    config.interpreter.binary = interpreter.path.display().to_string();
    config
}

/// Awaits every execution, telling on a terminal how many are still to come.
async fn follow(plane: &Embedded, rows: &[Row<'_>]) -> Result<Vec<Execution>, Failure> {
    let terminal = std::io::stderr().is_terminal();
    let mut executions = Vec::with_capacity(rows.len());
    for (done, row) in rows.iter().enumerate() {
        if terminal {
            let left = rows.len() - done;
            // Over itself, and erased to the end of the line.
            eprint_progress(&format!(
                "\r\x1b[Kwaiting for {left} executions, next: {}",
                row.action
            ));
        }
        executions.push(plane.finished(row.execution).await?);
    }
    if terminal {
        eprint_progress("\r\x1b[K");
    }
    Ok(executions)
}

fn eprint_progress(text: &str) {
    use std::io::Write;
    // Progress that cannot be shown is not missed.
    std::io::stderr().write_all(text.as_bytes()).ok();
}

fn table(rows: &[Row<'_>], executions: &[Execution]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_HORIZONTAL_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic);
    let titles = [
        "RUNTIME",
        "INTERPRETER",
        "VERSION",
        "ACTION",
        "OUTCOME",
        "TIME",
        "SAID",
    ];
    table.set_header(titles.map(|title| Cell::new(title).add_attribute(Attribute::Bold)));
    for (row, execution) in rows.iter().zip(executions) {
        let result = execution.result.as_ref().unwrap_or(&Value::Null);
        let color = if execution.status == ExecutionStatus::Completed {
            Color::Green
        } else {
            Color::Red
        };
        let time = result
            .get("duration_ms")
            .and_then(Value::as_u64)
            .map_or_else(String::new, |ms| format!("{ms} ms"));
        table.add_row([
            Cell::new(&row.interpreter.name),
            Cell::new(row.interpreter.path.display()),
            Cell::new(row.interpreter.version.as_deref().unwrap_or("-")),
            Cell::new(&row.action),
            Cell::new(execution.status).fg(color),
            Cell::new(time),
            Cell::new(said(result)),
        ]);
    }
    table
}

/// One line of what the action said: its greeting, else why it failed.
fn said(result: &Value) -> String {
    let greeting = result
        .get("data")
        .and_then(|data| data.get("greeting"))
        .and_then(Value::as_str);
    let text = greeting
        .or_else(|| result.get("error").and_then(Value::as_str))
        .unwrap_or_default();
    text.lines().next_back().unwrap_or_default().to_owned()
}
