//! How the laptop answers: one SQLite file in a directory that the user names, shared by any number of processes.
//!
//! ```text
//! DIR/control-plane.db   tables of the Attune schema (see `schema.sql`)
//! DIR/packs/             one directory a pack
//! DIR/artifacts/         logs, one directory an execution
//! DIR/bells/             rung after a commit that others wait for
//! DIR/workers/           one lock a live worker
//! DIR/journals/          what a worker could not deliver yet
//! ```
//!
//! There is no scheduler process: each worker hands itself the oldest execution that it can serve, by the same steps
//! (`requested → scheduled → running`) that a scheduler and a broker would take.

mod bell;
mod client;
mod liveness;
mod packs;
mod queue;
mod registry;
mod rows;
mod store;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use sqlx::SqlitePool;

pub use client::Submission;

use self::bell::Bell;
use self::liveness::{Life, Liveness};
use super::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use crate::model::ExecutionId;

/// The control plane in one directory. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Embedded {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    directory: PathBuf,
    pool: SqlitePool,
    /// Rung when there may be something for a worker.
    work: Bell,
    /// Rung when an execution has changed its state.
    done: Bell,
    liveness: Liveness,
    /// This process's worker, once it has registered: its name, and the lock that says it lives.
    life: Mutex<Option<(String, Life)>>,
    clock: Clock,
    /// Cancellations that this process's worker has been told of.
    told: Mutex<HashSet<ExecutionId>>,
}

impl Embedded {
    /// Opens the control plane in `directory`; creates it, with the built-in packs, where there is none yet.
    pub async fn open(directory: &Path) -> Result<Self> {
        let directory = std::path::absolute(directory).map_err(|error| {
            Error::new(ErrorKind::Usage, format!("{} is not a usable path", directory.display()))
                .because(error)
        })?;
        // One process at a time: whoever comes second finds the packs that the first one installs.
        let _opening = liveness::alone(directory.clone()).await?;
        let pool = store::open(&directory).await?;
        let bells = directory.join("bells");
        let plane = Self {
            shared: Arc::new(Shared {
                work: Bell::open(&bells, "work")?,
                done: Bell::open(&bells, "done")?,
                liveness: Liveness::open(&directory.join("workers"))?,
                life: Mutex::new(None),
                clock: Clock::default(),
                told: Mutex::new(HashSet::new()),
                directory,
                pool,
            }),
        };
        if plane.has_no_packs().await? {
            plane.install_builtin_packs().await?;
        }
        Ok(plane)
    }

    /// Where packs are.
    pub fn packs_dir(&self) -> PathBuf {
        self.shared.directory.join("packs")
    }

    /// Where logs and artifacts go.
    pub fn artifacts_dir(&self) -> PathBuf {
        self.shared.directory.join("artifacts")
    }

    /// Where workers keep what they could not deliver yet.
    pub fn journals_dir(&self) -> PathBuf {
        Self::journals_below(&self.shared.directory)
    }

    /// Where the workers of the control plane in `directory` keep what they could not deliver yet.
    pub fn journals_below(directory: &Path) -> PathBuf {
        directory.join("journals")
    }

    /// Closes the file; nothing may be asked afterwards.
    pub async fn close(&self) {
        self.shared.pool.close().await;
    }

    fn pool(&self) -> &SqlitePool {
        &self.shared.pool
    }

    /// Whether a worker of this name lives, in this process or in another.
    fn is_alive(&self, worker: &str) -> Result<bool> {
        let own = self.shared.life.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if own.as_ref().is_some_and(|(name, _)| name == worker) {
            return Ok(true);
        }
        self.shared.liveness.is_alive(worker)
    }
}

/// The present moment as the tables write it.
fn now() -> String {
    format!("{:.6}", jiff::Timestamp::now())
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        let full = matches!(&error, sqlx::Error::Database(database) if database.message().contains("full"));
        let error = Self::new(ErrorKind::ControlPlane, "the control plane's database refused").because(error);
        if full { error.hint("free some disk space; nothing that was committed is lost") } else { error }
    }
}
