//! How Attune answers: rows in PostgreSQL, messages over RabbitMQ, exact to the wire (CONTRACT §0–2, §10).
//!
//! ```text
//!            ┌ database ─ pool: claim, finish        executions ─┐
//! Attune ────┤          └ vital: identity, heartbeat  registry  ─┤─ Registry
//!            └ broker ─── consumer ─ inbox ─────────  queue     ─┴─ Queue
//!                      └─ publisher
//! ```
//!
//! Both connections are made and kept independently of each other, for as long as it takes. The database is the truth
//! about every state; messages only say where to look.

mod artifacts;
mod broker;
mod broker_stream;
mod checkup;
mod client;
mod consumer;
mod database;
mod environments;
mod executions;
mod hand_back;
pub mod messages;
mod migrate;
mod packs;
mod placement;
mod pool;
mod publisher;
mod queue;
mod registry;
mod rows;
mod runtimes;
mod sealed;
mod stranded;
mod topology;
mod waiting;

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Mutex as AsyncMutex, mpsc};
use tokio::task::JoinHandle;

pub use artifacts::Artifacts;
pub use checkup::{DatabaseFacts, examine_broker, examine_database};
pub use client::{Submission, Submitted};
pub use consumer::Receipt;
pub use migrate::{Migrated, migrate};
pub use packs::register_pack;

use self::broker::Broker;
use self::consumer::Inbox;
use self::database::{Access, Database};
use self::publisher::Publisher;
use super::{Delivery, Journal, Notice};
use crate::config::{Secret, ServersConfig};
use crate::error::{Error, ErrorKind, Result};
use crate::telemetry::health::{Health, Server};

/// The control plane of Attune, as one worker or one command uses it. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Attune {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    database: Database,
    broker: Broker,
    publisher: Publisher,
    journal: Arc<Journal>,
    dispatches: AsyncMutex<mpsc::UnboundedReceiver<Delivery<Receipt>>>,
    notices: AsyncMutex<mpsc::Receiver<Notice>>,
    /// How many dispatches the broker delivers ahead of their acknowledgements.
    prefetch: u16,
    keeper: Mutex<Option<JoinHandle<()>>>,
    health: Health,
}

impl Attune {
    /// Begins to connect to both servers. Nothing is awaited: what needs a server waits for it. `health` is told while
    /// one is away.
    ///
    /// # Errors
    /// Where the configuration names no servers, or names them in a way that cannot be used.
    pub fn new(
        servers: &ServersConfig,
        name: &str,
        max_concurrent: usize,
        journal: Arc<Journal>,
        health: Health,
    ) -> Result<Self> {
        let database = Database::new(&Access::of(servers)?)?;
        let (inbox, (dispatches, notices)) = Inbox::new();
        let broker = Broker::new(servers, name, inbox)?;
        let keeper = Mutex::new(Some(broker.keep(&health)));
        Ok(Self {
            shared: Arc::new(Shared {
                publisher: Publisher::start(broker.clone()),
                database,
                broker,
                journal,
                dispatches: AsyncMutex::new(dispatches),
                notices: AsyncMutex::new(notices),
                prefetch: u16::try_from(max_concurrent).unwrap_or(u16::MAX),
                keeper,
                health,
            }),
        })
    }

    /// Awaits both servers, saying what is missing.
    pub async fn wait(&self) -> Result<()> {
        let database = async {
            let _away = self.shared.health.away(Server::Database);
            self.shared.database.wait().await;
        };
        let (link, ()) = tokio::join!(self.shared.broker.link(), database);
        link.map(|_| ())
    }

    /// Closes both connections; nothing may be asked afterwards.
    pub async fn close(&self) {
        self.shared.broker.close();
        let keeper = self.shared.keeper.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(keeper) = keeper {
            // It ends by itself once it has said goodbye.
            keeper.await.ok();
        }
        self.shared.database.close().await;
    }

    fn database(&self) -> &Database {
        &self.shared.database
    }

    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::now() + jiff::SignedDuration::from_micros(self.database().clock().offset_us())
    }
}

/// Awaits the database, whatever is in it.
pub async fn await_database(servers: &ServersConfig) -> Result<()> {
    let database = Database::new(&Access::of(servers)?)?;
    database.wait_for_server().await;
    database.close().await;
    Ok(())
}

/// Awaits the database and the control plane's tables in it.
pub async fn await_schema(servers: &ServersConfig) -> Result<()> {
    let database = Database::new(&Access::of(servers)?)?;
    database.wait().await;
    database.close().await;
    Ok(())
}

/// Awaits the broker.
pub async fn await_broker(servers: &ServersConfig) -> Result<()> {
    let (inbox, _arrivals) = Inbox::new();
    let broker = Broker::new(servers, "attune-agent wait", inbox)?;
    let keeper = broker.keep(&Health::default());
    broker.link().await?;
    broker.close();
    // It ends by itself once it has said goodbye.
    keeper.await.ok();
    Ok(())
}

fn required<'s>(url: Option<&'s Secret>, key: &str, variable: &str) -> Result<&'s Secret> {
    url.ok_or_else(|| {
        Error::new(ErrorKind::Usage, format!("no control plane is named: `{key}` is not set")).hint(format!(
            "set {variable}, or use `--embedded DIR`, which needs no servers; `attune-agent demo` shows it"
        ))
    })
}
