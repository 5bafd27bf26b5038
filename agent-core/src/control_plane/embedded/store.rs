//! The database file: opened, created, or refused with a reason.

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Row, SqlitePool};

use crate::error::{Doing, Error, ErrorKind, Result};

const FILE: &str = "control-plane.db";
const SCHEMA: &str = include_str!("schema.sql");

/// `PRAGMA user_version`: raised with every change of `schema.sql`.
const SCHEMA_VERSION: i64 = 1;

/// `PRAGMA application_id`: `AtEm`, so that a stray SQLite file is not taken for ours.
const APPLICATION_ID: i64 = 0x4174_456d;

/// How long a writer waits for others. Transactions take well under a millisecond.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// Opens the database below `directory`, and creates it where there is none.
pub(super) async fn open(directory: &Path) -> Result<SqlitePool> {
    std::fs::create_dir_all(directory).doing(|| format!("create {}", directory.display()))?;
    let path = directory.join(FILE);
    let options = SqliteConnectOptions::new()
        .filename(&path)
        .create_if_missing(true)
        // Commits survive the death of every process; only a power failure may take the last ones, whole.
        .synchronous(SqliteSynchronous::Normal)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT);
    let pool = SqlitePoolOptions::new()
        .max_connections(2)
        .acquire_timeout(BUSY_TIMEOUT)
        .connect_with(options)
        .await
        .map_err(|error| unusable(&path, error))?;
    prepare(&pool, &path).await?;
    // Only now: the mode is kept in the file, and a file that was refused must stay as it was.
    sqlx::query("PRAGMA journal_mode = WAL").execute(&pool).await.map_err(|error| unusable(&path, error))?;
    Ok(pool)
}

/// Creates the tables in an empty file; refuses a file of another program or another version.
async fn prepare(pool: &SqlitePool, path: &Path) -> Result<()> {
    let refused = |error| unusable(path, error);
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await.map_err(refused)?;
    let version: i64 =
        sqlx::query("PRAGMA user_version").fetch_one(&mut *transaction).await.map_err(refused)?.get(0);
    let application: i64 =
        sqlx::query("PRAGMA application_id").fetch_one(&mut *transaction).await.map_err(refused)?.get(0);
    let tables: i64 = sqlx::query("SELECT count(*) FROM sqlite_schema")
        .fetch_one(&mut *transaction)
        .await
        .map_err(refused)?
        .get(0);
    if tables == 0 {
        sqlx::raw_sql(SCHEMA).execute(&mut *transaction).await.map_err(refused)?;
        let stamp =
            format!("PRAGMA user_version = {SCHEMA_VERSION}; PRAGMA application_id = {APPLICATION_ID}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(stamp)).execute(&mut *transaction).await.map_err(refused)?;
        transaction.commit().await.map_err(refused)?;
        return Ok(());
    }
    let problem = if application != APPLICATION_ID {
        Some(("is a database of another program".to_owned(), "name another directory"))
    } else if version > SCHEMA_VERSION {
        Some((
            format!("has schema version {version}, and this agent knows {SCHEMA_VERSION}"),
            "use the newer agent that created it, or name another directory",
        ))
    } else if version < SCHEMA_VERSION {
        Some((
            format!("has schema version {version}, and this agent needs {SCHEMA_VERSION}"),
            "finish with the older agent that created it, or name another directory",
        ))
    } else {
        None
    };
    match problem {
        None => Ok(()),
        Some((problem, hint)) => {
            Err(Error::new(ErrorKind::Invalid, format!("{} {problem}; it was not touched", path.display()))
                .hint(hint))
        }
    }
}

fn unusable(path: &Path, error: sqlx::Error) -> Error {
    let not_a_database =
        matches!(&error, sqlx::Error::Database(database) if database.code().as_deref() == Some("26"));
    let error = Error::new(ErrorKind::System, format!("cannot use {}", path.display())).because(error);
    if not_a_database {
        error.hint("the file is no SQLite database: move it away, or name another directory")
    } else {
        error.hint("the directory has to be writable, on a local file system")
    }
}
