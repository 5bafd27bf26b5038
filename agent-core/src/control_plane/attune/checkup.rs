//! One look at each server, without waiting for it: what a diagnosis is made of.

use jiff::Timestamp;

use super::broker::Broker;
use super::consumer::Inbox;
use super::database::{Access, Database, bounded};
use super::rows;
use crate::config::ServersConfig;
use crate::error::Result;

/// What a look at the database showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseFacts {
    /// The server's version.
    pub version: String,
    /// Whether the connection is encrypted.
    pub encrypted: bool,
    /// The server's clock less this machine's, in milliseconds.
    pub skew_ms: i64,
    /// Why the schema cannot be used, where it cannot: the error and its hint.
    pub schema_problem: Option<(String, Option<String>)>,
}

/// Connects to the database once.
pub async fn examine_database(servers: &ServersConfig) -> Result<DatabaseFacts> {
    let database = Database::new(&Access::of(servers)?)?;
    let mut session = database.session().await?;
    let statement = format!(
        "SELECT current_setting('server_version') AS version, {} AS now, \
         coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false) AS encrypted",
        rows::moment_text("clock_timestamp()")
    );
    let row = bounded(sqlx::query(sqlx::AssertSqlSafe(statement)).fetch_one(&mut session)).await?;
    let here = Timestamp::now();
    let there = rows::moment(&row, "now")?;
    let schema_problem = database.check_schema(&mut session).await.err();
    Ok(DatabaseFacts {
        version: rows::get(&row, "version")?,
        encrypted: rows::get(&row, "encrypted")?,
        skew_ms: there.as_millisecond() - here.as_millisecond(),
        schema_problem: schema_problem.map(|error| (error.to_string(), error.hint_text().map(str::to_owned))),
    })
}

/// Connects to the broker once, and declares the exchanges as every service does.
pub async fn examine_broker(servers: &ServersConfig) -> Result<()> {
    let (inbox, _arrivals) = Inbox::new();
    Broker::new(servers, "attune-agent doctor", inbox)?.try_once().await
}
