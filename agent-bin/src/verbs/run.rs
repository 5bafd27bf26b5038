//! `attune-agent run`: be a worker until told to stop.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use agent_core::control_plane::attune::Attune;
use agent_core::control_plane::embedded::Embedded;
use agent_core::control_plane::{EnvironmentLeases, Queue, Registry};
use agent_core::execution::Workshop;
use agent_core::telemetry::health::{Health, Phase, Serving, serve};
use agent_core::worker::{Shutdown, WorkDir, Worker, work_directories};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::cli::RunArgs;
use crate::exit::Failure;
use crate::session::{Directories, Session};
use crate::{lookup, transfer};

pub(crate) async fn run(session: &Session, args: RunArgs) -> Result<ExitCode, Failure> {
    // Heard from the first moment: a worker that is told to stop while it starts must not be lost.
    let orders = stop_orders()?;
    match args.embedded {
        Some(directory) => embedded(session, &directory, orders).await,
        None => Box::pin(attune(session, orders)).await,
    }
}

async fn embedded(
    session: &Session,
    directory: &Path,
    orders: mpsc::Receiver<Shutdown>,
) -> Result<ExitCode, Failure> {
    let plane = Arc::new(open(directory).await?);
    let work_dir = WorkDir::of_worker(&session.config.worker.name, &[plane.journals_dir()])?;
    let health = Health::default();
    let _serving = tell(&health, &work_dir);
    let directories = Directories::below(directory, work_dir.private_dir());
    let workshop = session.workshop(lookup::interpreters()?, directories, work_dir.journal()?, None)?;
    let done = work(session, &plane, workshop, orders, health).await;
    plane.close().await;
    done
}

async fn attune(session: &Session, orders: mpsc::Receiver<Shutdown>) -> Result<ExitCode, Failure> {
    let config = &session.config;
    config.security.check_tokens()?;
    let work_dir = WorkDir::of_worker(&config.worker.name, &work_directories(&config.worker.work_dir))?;
    let health = Health::default();
    let _serving = tell(&health, &work_dir);
    let journal = work_dir.journal()?;
    let name = format!("attune-agent {}", config.worker.name);
    // Both connections are made while the interpreters are looked for and the helper process starts.
    let concurrent = config.worker.max_concurrent;
    let plane = Attune::new(&config.servers, &name, concurrent, Arc::clone(&journal), health.clone())?;
    let plane = Arc::new(plane);
    let api = transfer::api(config)?;
    let mut directories = Directories::configured(config, &work_dir);
    let remote_packs = transfer::packs(&mut directories.packs, api.as_ref(), &plane, &work_dir);
    let artifacts = transfer::artifacts(config, api, &plane, &work_dir)?;
    let leases: Arc<dyn EnvironmentLeases> = Arc::clone(&plane) as _;
    let workshop = session.workshop(lookup::interpreters()?, directories, journal, Some(leases))?;
    let api_url = Some(config.api_url.clone());
    let workshop = Workshop { artifacts, remote_packs, api_url, ..workshop };
    let done = work(session, &plane, workshop, orders, health).await;
    plane.close().await;
    done
}

async fn work<P: Registry + Queue>(
    session: &Session,
    plane: &Arc<P>,
    workshop: Workshop,
    mut orders: mpsc::Receiver<Shutdown>,
    health: Health,
) -> Result<ExitCode, Failure> {
    let config = session.config.worker.clone();
    let (registry, queue) = (Arc::clone(plane), Arc::clone(plane));
    let starting = Worker::start(config, registry, queue, Arc::new(workshop), health.clone());
    let worker = tokio::select! {
        started = starting => started?,
        _ = orders.recv() => {
            health.enter(Phase::Draining);
            return Ok(ExitCode::SUCCESS);
        }
    };
    worker.run(orders).await?;
    Ok(ExitCode::SUCCESS)
}

/// Tells whoever asks how the worker is, from now on. A worker that cannot still works.
fn tell(health: &Health, work_dir: &WorkDir) -> Option<Serving> {
    let served = serve(health, work_dir.health_address());
    served.inspect_err(|error| tracing::warn!(%error, "`attune-agent health` will find no worker here")).ok()
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
