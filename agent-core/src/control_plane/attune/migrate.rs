//! The control plane's tables, for people without Attune.

use sqlx::{Acquire, PgConnection};

use super::database::{Access, Database, bounded};
use crate::config::ServersConfig;
use crate::error::{Error, ErrorKind, Result};

const SCHEMA: &str = include_str!("schema.sql");

/// What `schema.sql` is at. A table of this name is how tables of ours are told from Attune's own.
const VERSION: i32 = 1;

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Migrated {
    /// The tables were made in this schema.
    Created(String),
    /// They were there.
    AlreadyThere(String),
}

/// Creates the tables in the configured schema, all of them or none.
///
/// # Errors
/// [`ErrorKind::Conflict`] where Attune, or anybody else, has tables there already: those are not touched.
pub async fn migrate(servers: &ServersConfig) -> Result<Migrated> {
    let database = Database::new(&Access::of(servers)?)?;
    let mut session = database.session().await?;
    let done = create(&mut session, database.schema()).await;
    database.close().await;
    done
}

async fn create(session: &mut PgConnection, schema: &str) -> Result<Migrated> {
    let mut transaction = bounded(session.begin()).await?;
    // Whoever comes second waits, and then finds the tables.
    let alone = "SELECT pg_advisory_xact_lock(hashtext('attune-agent migrate'))";
    bounded(sqlx::query(alone).execute(&mut *transaction)).await?;
    let ours = "SELECT to_regclass(format('%I.agent_schema', $1)) IS NOT NULL";
    if bounded(sqlx::query_scalar(ours).bind(schema).fetch_one(&mut *transaction)).await? {
        return Ok(Migrated::AlreadyThere(schema.to_owned()));
    }
    let foreign = "SELECT count(*) FROM pg_catalog.pg_tables WHERE schemaname = $1";
    let tables: i64 = bounded(sqlx::query_scalar(foreign).bind(schema).fetch_one(&mut *transaction)).await?;
    if tables > 0 {
        let message = format!("the schema `{schema}` holds {tables} tables that this agent did not make");
        return Err(Error::new(ErrorKind::Conflict, message)
            .hint("where Attune is, its own migrations make its tables; elsewhere, set `database.schema`"));
    }
    // The configuration has checked the name.
    let script = format!(
        "CREATE SCHEMA IF NOT EXISTS \"{schema}\"; SET LOCAL search_path TO \"{schema}\"; {SCHEMA};
         CREATE TABLE agent_schema (version integer NOT NULL); INSERT INTO agent_schema VALUES ({VERSION});"
    );
    bounded(sqlx::raw_sql(sqlx::AssertSqlSafe(script)).execute(&mut *transaction)).await?;
    bounded(transaction.commit()).await?;
    Ok(Migrated::Created(schema.to_owned()))
}
