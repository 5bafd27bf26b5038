//! The connections to PostgreSQL: a small pool for work, and one connection that holds the worker's identity.

use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection, Row};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::pool::{Found, Pool};
use super::required;
use super::rows::moment_text;
use super::waiting::Waiting;
use crate::config::{Secret, ServersConfig};
use crate::control_plane::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use crate::model::WorkerId;

/// A statement that takes longer is given up, and its connection with it.
const STATEMENT_PATIENCE: Duration = Duration::from_secs(10);

/// A connection that takes longer to be made will not be.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);

/// More connections would not be used: one statement claims, one finishes, and both take a millisecond.
const MOST_CONNECTIONS: u32 = 5;

/// Whether a commit is waited for until it is on the medium.
const QUICK: &str = "SET synchronous_commit TO off";
const DURABLE: &str = "SET synchronous_commit TO on";

/// The server has as many connections as it takes, in all or for this role or database.
const TOO_MANY_CONNECTIONS: &str = "53300";

/// PostgreSQL, as one worker or one command uses it.
#[derive(Debug)]
pub(super) struct Database {
    options: PgConnectOptions,
    address: String,
    schema: String,
    pool: Arc<Pool>,
    vital: Mutex<Vital>,
    clock: Clock,
}

/// How much of a database has to be there.
#[derive(Clone, Copy)]
enum Awaited {
    Server,
    Tables,
}

/// The connection that heartbeats go over. Its session holds the lock that says who this worker is, so that the server
/// itself drops the lock with the process.
#[derive(Debug, Default)]
struct Vital {
    connection: Option<PgConnection>,
    /// The server's process for the connection: what a lock that is left over after a broken connection belongs to.
    backend: Option<i32>,
    identity: Option<WorkerId>,
}

/// Whether the worker's identity could be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Identity {
    Ours,
    /// Another session holds it.
    Taken,
}

/// How to reach a database.
#[derive(Debug, Clone)]
pub(super) struct Access<'a> {
    pub(super) url: &'a Secret,
    pub(super) ca_file: Option<&'a Path>,
    pub(super) schema: &'a str,
    pub(super) connections: u32,
}

impl<'a> Access<'a> {
    /// As configured.
    pub(super) fn of(servers: &'a ServersConfig) -> Result<Self> {
        Ok(Self {
            url: required(servers.database_url.as_ref(), "database.url", "ATTUNE__DATABASE__URL")?,
            ca_file: servers.database_ca.as_deref(),
            schema: &servers.schema,
            connections: servers.database_connections,
        })
    }
}

impl Database {
    /// Prepares to connect; nothing is connected yet.
    pub(super) fn new(access: &Access<'_>) -> Result<Self> {
        let not_a_url = || {
            Error::new(ErrorKind::Invalid, "`database.url` is not a PostgreSQL URL")
                .hint("it has the form postgres://user:password@host:port/database?sslmode=verify-full")
        };
        // Any scheme would be taken, and a password for one.
        let url = access.url.expose();
        if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
            return Err(not_a_url());
        }
        // The URL holds a password, so what is wrong with it is told without it.
        let mut options =
            PgConnectOptions::from_str(url).map_err(|error| not_a_url().because(error.to_string()))?;
        if let Some(ca_file) = access.ca_file {
            std::fs::metadata(ca_file).map_err(|error| {
                Error::new(
                    ErrorKind::Invalid,
                    format!("cannot read `database.ca_file` {}", ca_file.display()),
                )
                .because(error)
            })?;
            options = options.ssl_root_cert(ca_file);
        }
        // A statement is no sentence for an operator, however slow it was; what fails is told by who asked.
        // Poolers refuse a session that asks for digits of its own, and nothing here reads floating point as text.
        options =
            options.application_name("attune-agent").extra_float_digits(None).disable_statement_logging();
        let address = format!("{}:{}", options.get_host(), options.get_port());
        let schema = access.schema.to_owned();
        let pool = Arc::new(Pool::new(access.connections.min(MOST_CONNECTIONS) - 1));
        let vital = Mutex::default();
        Ok(Self { options, address, schema, pool, vital, clock: Clock::default() })
    }

    /// Connects, waiting for the server and for the tables for as long as that takes.
    pub(super) async fn wait(&self) {
        self.wait_for(Awaited::Tables).await;
    }

    /// Connects, waiting for the server alone.
    pub(super) async fn wait_for_server(&self) {
        self.wait_for(Awaited::Server).await;
    }

    async fn wait_for(&self, awaited: Awaited) {
        let mut waiting = Waiting::new(format!("the database at {}", self.address));
        loop {
            let tried = async {
                let mut vital = self.vital.lock().await;
                let connection = self.vital_connection(&mut vital).await?;
                match awaited {
                    Awaited::Server => Ok(()),
                    Awaited::Tables => self.check_schema(connection).await,
                }
            };
            match tried.await {
                Ok(()) => return waiting.over(),
                Err(error) => waiting.failed(&error).await,
            }
        }
    }

    /// Whether the tables are there.
    pub(super) async fn check_schema(&self, connection: &mut PgConnection) -> Result<()> {
        let tables = "SELECT to_regclass('execution') IS NOT NULL AND to_regclass('worker') IS NOT NULL \
            AND to_regclass('runtime') IS NOT NULL AND to_regclass('action') IS NOT NULL";
        let there: bool = bounded(sqlx::query_scalar(tables).fetch_one(connection)).await?;
        if there {
            return Ok(());
        }
        let schema = &self.schema;
        Err(Error::new(
            ErrorKind::Unavailable,
            format!("the schema `{schema}` does not hold Attune's tables"),
        )
        .hint("Attune's migrations make them; without Attune, `attune-agent migrate` does"))
    }

    /// The control plane's clock.
    pub(super) const fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The schema that the tables are in.
    pub(super) fn schema(&self) -> &str {
        &self.schema
    }

    /// Runs `work` on a connection of the pool. What takes too long is given up, together with its connection.
    pub(super) async fn run<T: Send>(
        &self,
        work: impl for<'c> FnOnce(&'c mut PgConnection) -> BoxFuture<'c, sqlx::Result<T>> + Send,
    ) -> Result<T> {
        let _permit = timeout(STATEMENT_PATIENCE, self.pool.room())
            .await
            .map_err(|_| silent())?
            .ok_or_else(|| Error::new(ErrorKind::Unavailable, "the database was closed"))?;
        let mut connection = match self.pool.find() {
            Found::Idle(connection) => connection,
            Found::MayConnect => match self.connect().await {
                Ok(connection) => {
                    self.pool.has_connected();
                    connection
                }
                Err(_) if self.pool.is_full() && self.has_vital().await => {
                    return self.run_on_vital(work).await;
                }
                Err(error) => return Err(error),
            },
            Found::Full => return self.run_on_vital(work).await,
        };
        // Whoever is dropped here, or gives up, takes the connection with it.
        let done = bounded(work(&mut connection)).await;
        if done.as_ref().is_err_and(|error| error.kind() == ErrorKind::Unavailable) {
            // Where one is broken, those that rest are too.
            self.pool.forget_idle();
        } else {
            self.pool.give_back(connection);
        }
        done
    }

    /// Runs `work` on the one connection that this worker has for certain, while the server takes no further ones. What it
    /// writes is on the medium like that of any other.
    async fn run_on_vital<T: Send>(
        &self,
        work: impl for<'c> FnOnce(&'c mut PgConnection) -> BoxFuture<'c, sqlx::Result<T>> + Send,
    ) -> Result<T> {
        let mut vital = self.vital.lock().await;
        let connection = self.vital_connection(&mut vital).await?;
        let working = async {
            sqlx::query(DURABLE).execute(&mut *connection).await?;
            let done = work(&mut *connection).await;
            if matches!(&done, Ok(_) | Err(sqlx::Error::Database(_))) {
                sqlx::query(QUICK).execute(&mut *connection).await?;
            }
            done
        };
        let done = bounded(working).await;
        if done.as_ref().is_err_and(|error| error.kind() == ErrorKind::Unavailable) {
            vital.connection = None;
        }
        done
    }

    async fn has_vital(&self) -> bool {
        self.vital.lock().await.connection.is_some()
    }

    /// Runs `work` on the connection that holds the identity, making it again where it is broken.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] where another session has taken the identity meanwhile.
    pub(super) async fn run_vital<T>(
        &self,
        work: impl for<'c> FnOnce(&'c mut PgConnection) -> BoxFuture<'c, sqlx::Result<T>> + Send,
    ) -> Result<T> {
        let mut vital = self.vital.lock().await;
        let connection = self.vital_connection(&mut vital).await?;
        let done = bounded(work(connection)).await;
        if done.as_ref().is_err_and(|error| error.kind() == ErrorKind::Unavailable) {
            vital.connection = None;
        }
        done
    }

    /// Takes the identity of `worker` for this process, unless another session has it.
    pub(super) async fn take_identity(&self, worker: WorkerId) -> Result<Identity> {
        let mut vital = self.vital.lock().await;
        let connection = self.vital_connection(&mut vital).await?;
        let identity = lock(connection, worker).await?;
        if identity == Identity::Ours {
            vital.identity = Some(worker);
        }
        Ok(identity)
    }

    /// The worker that this process is, once it has become one.
    pub(super) async fn identity(&self) -> Option<WorkerId> {
        self.vital.lock().await.identity
    }

    /// The vital connection, made anew where there is none, with the identity that it had.
    async fn vital_connection<'v>(&self, vital: &'v mut Vital) -> Result<&'v mut PgConnection> {
        if vital.connection.is_none() {
            let mut connection = self.connect().await?;
            if let Some(worker) = vital.identity {
                retake(&mut connection, worker, vital.backend).await?;
            }
            // Heartbeats and the like are not worth a write to the medium each: what a crash of the server takes of
            // them, the next one writes.
            bounded(sqlx::query(QUICK).execute(&mut connection)).await?;
            let told = format!("SELECT pg_backend_pid(), {}", moment_text("clock_timestamp()"));
            let row = bounded(sqlx::query(sqlx::AssertSqlSafe(told)).fetch_one(&mut connection)).await?;
            vital.backend = Some(row.try_get(0).map_err(|error| refused(&error))?);
            self.learn_time(row.try_get(1).map_err(|error| refused(&error))?);
            vital.connection = Some(connection);
        }
        vital.connection.as_mut().ok_or_else(silent)
    }

    /// Sets the clock by what the server said.
    pub(super) fn learn_time(&self, text: &str) {
        match text.parse::<Timestamp>() {
            Ok(theirs) => self.clock.set(theirs),
            Err(error) => tracing::warn!(%error, text, "the database's clock cannot be read"),
        }
    }

    async fn connect(&self) -> Result<PgConnection> {
        let connecting = async {
            let mut connection = self.options.connect().await?;
            set_search_path(&mut connection, &self.schema).await?;
            Ok(connection)
        };
        match timeout(CONNECT_PATIENCE, connecting).await {
            Ok(connected) => connected.map_err(|error: sqlx::Error| {
                if sqlstate(&error).as_deref() == Some(TOO_MANY_CONNECTIONS) {
                    self.pool.was_refused();
                }
                refused(&error)
            }),
            Err(_) => Err(silent()),
        }
    }

    /// A connection of its own, for a command that needs a session to itself.
    pub(super) async fn session(&self) -> Result<PgConnection> {
        self.connect().await
    }

    /// Closes every connection, and with them the identity.
    pub(super) async fn close(&self) {
        self.pool.close().await;
        let mut vital = self.vital.lock().await;
        vital.identity = None;
        if let Some(connection) = vital.connection.take() {
            // The server notices by itself where it cannot be told.
            connection.close().await.ok();
        }
    }
}

async fn set_search_path(connection: &mut PgConnection, schema: &str) -> sqlx::Result<()> {
    // The configuration has checked the name: it needs no quoting, and holds nothing to escape.
    let public = if schema.starts_with("test_") { "" } else { ", public" };
    let statement = format!("SET search_path TO \"{schema}\"{public}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(connection).await?;
    Ok(())
}

/// The lock's two halves: whose schema, and which worker. Numbers of 32 bits are a space of their own, apart from the
/// locks that the control plane takes on artifacts.
const LOCK: &str = "hashtext(current_schema() || '.worker'), ($1 % 2147483647)::int4";

async fn lock(connection: &mut PgConnection, worker: WorkerId) -> Result<Identity> {
    let statement = format!("SELECT pg_try_advisory_lock({LOCK})");
    let statement = sqlx::query_scalar(sqlx::AssertSqlSafe(statement)).bind(worker.0);
    let locked: bool = bounded(statement.fetch_one(connection)).await?;
    Ok(if locked { Identity::Ours } else { Identity::Taken })
}

/// Takes the identity again after the connection that held it broke. The server may not know yet that it broke: its
/// session, which nobody is behind any more, is ended.
async fn retake(connection: &mut PgConnection, worker: WorkerId, backend: Option<i32>) -> Result<()> {
    if lock(connection, worker).await? == Identity::Ours {
        return Ok(());
    }
    let ended: Option<bool> = match backend {
        Some(backend) => {
            let own = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                WHERE pid = $1 AND usename = current_user AND application_name = 'attune-agent'";
            bounded(sqlx::query_scalar(own).bind(backend).fetch_optional(&mut *connection)).await?
        }
        None => None,
    };
    if ended == Some(true) {
        // It ends at its next step, and this is tried again with the next heartbeat.
        return Err(Error::new(
            ErrorKind::Unavailable,
            "an earlier session of this worker is still being ended",
        ));
    }
    Err(Error::new(ErrorKind::Conflict, format!("another process has become worker {worker}"))
        .hint("give each worker a name of its own: `--name` or ATTUNE_WORKER_NAME"))
}

/// Awaits a statement for as long as one may take.
pub(super) async fn bounded<T>(statement: impl Future<Output = sqlx::Result<T>>) -> Result<T> {
    match timeout(STATEMENT_PATIENCE, statement).await {
        Ok(done) => done.map_err(|error| refused(&error)),
        Err(_) => Err(silent()),
    }
}

fn silent() -> Error {
    let message = format!("the database did not answer within {} s", STATEMENT_PATIENCE.as_secs());
    Error::new(ErrorKind::Unavailable, message)
}

/// What the server, or the way to it, has against a statement.
pub(super) fn refused(error: &sqlx::Error) -> Error {
    let sentence = error.to_string();
    if sqlstate(error).as_deref() == Some(TOO_MANY_CONNECTIONS) {
        return Error::new(ErrorKind::Unavailable, "the database takes no more connections").because(sentence).hint(
            "raise `max_connections` of PostgreSQL (or the role's limit), or put a pooler between; a worker keeps one \
             connection, and uses up to `database.max_connections` while it is busy",
        );
    }
    if may_work_later(error) {
        return Error::new(ErrorKind::Unavailable, "the database is not available").because(sentence);
    }
    Error::new(ErrorKind::ControlPlane, "the database refused").because(sentence)
}

fn sqlstate(error: &sqlx::Error) -> Option<std::borrow::Cow<'_, str>> {
    error.as_database_error().and_then(sqlx::error::DatabaseError::code)
}

/// Whether the same statement may work later: the server is away, starts, stops, is full, or had to choose a victim.
fn may_work_later(error: &sqlx::Error) -> bool {
    /// Classes of SQLSTATE: connection, transaction rollback, resources, operator intervention, locks, wrong user or
    /// database (which somebody will mend), system; and a server that became read-only because another took over.
    const LATER: &[&str] = &["08", "40", "53", "57", "55", "28", "3D", "58", "XX", "25006"];
    match error {
        sqlx::Error::Database(database) => {
            database.code().is_some_and(|code| LATER.iter().any(|class| code.starts_with(class)))
        }
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) => true,
        _ => false,
    }
}
