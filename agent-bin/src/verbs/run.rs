//! `attune-agent run`: be a worker until told to stop.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use agent_core::control_plane::embedded::Embedded;
use agent_core::worker::{Shutdown, Worker};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::cli::RunArgs;
use crate::exit::Failure;
use crate::lookup;
use crate::session::{Directories, Session};

pub(crate) async fn run(session: &Session, args: RunArgs) -> Result<ExitCode, Failure> {
    let Some(directory) = args.embedded else {
        return Err(Failure::usage(
            "no control plane is named",
            "`attune-agent run --embedded DIR` works with one SQLite file in DIR; `attune-agent demo` shows it",
        ));
    };
    // Heard from the first moment: a worker that is told to stop while it starts must not be lost.
    let mut orders = stop_orders()?;
    let (plane, worker) = tokio::select! {
        started = start(session, &directory) => started?,
        _ = orders.recv() => return Ok(ExitCode::SUCCESS),
    };
    worker.run(orders).await?;
    plane.close().await;
    Ok(ExitCode::SUCCESS)
}

async fn start(
    session: &Session,
    directory: &Path,
) -> Result<(Arc<Embedded>, Worker<Embedded, Embedded>), Failure> {
    let plane = Arc::new(open(directory).await?);
    let workshop = Arc::new(session.workshop(lookup::interpreters()?, Directories::below(directory))?);
    let config = session.config.worker.clone();
    let worker = Worker::start(config, Arc::clone(&plane), Arc::clone(&plane), workshop).await?;
    Ok((plane, worker))
}

/// Opens the control plane and reads its packs again; one that cannot be read must not keep the others from working.
async fn open(directory: &Path) -> agent_core::Result<Embedded> {
    let plane = Embedded::open(directory).await?;
    for error in plane.refresh_packs().await? {
        tracing::warn!(hint = error.hint_text(), "a pack cannot be used as it is now: {error}");
    }
    Ok(plane)
}

/// An order for each SIGTERM and SIGINT, from now on.
fn stop_orders() -> std::io::Result<mpsc::Receiver<Shutdown>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // Beyond the third order there is nothing left to hurry.
    let (sender, receiver) = mpsc::channel(3);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if sender.send(Shutdown::Graceful).await.is_err() {
                return;
            }
        }
    });
    Ok(receiver)
}
