//! A PostgreSQL server of a test's own.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};

use crate::account::{self, Account};
use crate::authority::Certificates;
use crate::failure::{self, Doing, Failure, OrEnd, Result};
use crate::guard::{Guarded, Program};
use crate::port::Port;
use crate::process::{self, PATIENCE};

/// User, password, and the database of whoever wants only one.
const NAME: &str = "attune";

/// How long one attempt to connect may take.
const ATTEMPT: Duration = Duration::from_secs(5);

/// How a [`Postgres`] is to be.
#[derive(Clone, Copy, Debug, Default)]
#[must_use]
pub struct PostgresOptions {
    durable: bool,
    tls: bool,
    connections: Option<u16>,
}

impl PostgresOptions {
    /// Whether commits survive a power failure, as they do outside of tests. By default they survive only the death of
    /// every process, and are much faster.
    pub fn durable(self, durable: bool) -> Self {
        Self { durable, ..self }
    }

    /// Whether it speaks TLS, and nothing else, as `localhost`.
    pub fn tls(self, tls: bool) -> Self {
        Self { tls, ..self }
    }

    /// How many connections it takes; by default more than any test needs.
    pub fn connections(self, connections: u16) -> Self {
        Self { connections: Some(connections), ..self }
    }

    /// Starts a server, and returns when it takes connections.
    #[track_caller]
    pub fn start(self) -> Postgres {
        Postgres::try_start(self).or_end()
    }
}

/// A running, or stopped, PostgreSQL. Dropping it ends it and removes its data.
pub struct Postgres {
    server: Guarded,
    port: Port,
    certificates: Option<Certificates>,
    databases: Databases,
    url: String,
}

impl Postgres {
    /// Starts a server with the default options, and returns when it takes connections.
    #[track_caller]
    pub fn start() -> Self {
        Self::options().start()
    }

    /// Options to start a server with.
    pub fn options() -> PostgresOptions {
        PostgresOptions::default()
    }

    pub(crate) fn try_start(options: PostgresOptions) -> Result<Self> {
        let account = Account::of_server("postgres")?;
        let programs = find_programs()?;
        let directory = account.directory()?;
        let path = directory.path().to_owned();
        let port = Port::free()?;
        let certificates = options.tls.then(|| Certificates::make(&path, &account)).transpose()?;
        initialize(&programs, &path, &account)?;
        if options.tls {
            let rules = "hostssl all all 127.0.0.1/32 scram-sha-256\n";
            account.write_secret(&path.join("data/pg_hba.conf"), rules)?;
        }
        let mut words = account.words(&programs.join("postgres"), "QUIT");
        words.extend(["-D".to_owned(), path.join("data").display().to_string()]);
        let settings = settings(options, port.number(), certificates.as_ref());
        words.extend(settings.into_iter().map(|(name, value)| format!("--{name}={value}")));
        let program = Program {
            name: "PostgreSQL",
            words,
            environment: vec![("LANG", "C.UTF-8".to_owned())],
            log: path.join("log"),
            end_now: "QUIT",
        };
        let server = Guarded::new(program, Some(&path))?;
        // From here on it is the guard's to remove.
        let _ = directory.keep();
        let databases = Databases::at(&url(port.number(), certificates.as_ref()));
        let mut postgres = Self { server, port, certificates, databases, url: String::new() };
        postgres.try_start_again()?;
        postgres.url = postgres.databases.try_create(NAME)?;
        Ok(postgres)
    }

    fn try_start_again(&mut self) -> Result {
        let databases = &self.databases;
        self.server.start(|| {
            failure::block_on(async { databases.connect().await?.close().await.doing("disconnect") })
        })
    }

    /// The URL of the database `attune`, which is empty at first.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The loopback port; it stays the same when the server starts again.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// The certificate of the authority that vouches for a server with [`PostgresOptions::tls`].
    pub fn authority(&self) -> Option<&Path> {
        self.certificates.as_ref().map(|files| files.authority.as_path())
    }

    /// The server's databases.
    pub fn databases(&self) -> &Databases {
        &self.databases
    }

    /// Creates an empty database and returns its URL.
    #[track_caller]
    pub fn create_database(&self, name: &str) -> String {
        self.databases.create(name)
    }

    /// Ends every session and then the server, in order.
    #[track_caller]
    pub fn stop(&mut self) {
        self.server.stop("INT").or_end();
    }

    /// Ends the server at once, as in a crash: it has to recover when it starts again.
    #[track_caller]
    pub fn stop_now(&mut self) {
        self.server.stop("QUIT").or_end();
    }

    /// Starts a stopped server on the same data and the same port.
    #[track_caller]
    pub fn start_again(&mut self) {
        self.try_start_again().or_end();
    }
}

/// The databases of a server, whoever started it.
#[derive(Clone, Debug)]
pub struct Databases {
    url: String,
}

impl Databases {
    /// Those of the server to which `url` leads; its user may create databases.
    pub fn at(url: &str) -> Self {
        Self { url: url.to_owned() }
    }

    /// Creates an empty database and returns its URL.
    #[track_caller]
    pub fn create(&self, name: &str) -> String {
        self.try_create(name).or_end()
    }

    fn try_create(&self, name: &str) -> Result<String> {
        if !name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_')) {
            return Err(Failure::new(format!("`{name}` is no name that needs no quotes")));
        }
        let create = AssertSqlSafe(format!("CREATE DATABASE \"{name}\""));
        let created = async {
            let mut connection = self.connect().await?;
            let created =
                tokio::time::timeout(PATIENCE, sqlx::raw_sql(create).execute(&mut connection)).await;
            created.doing("create a database")?.doing("create a database")?;
            connection.close().await.doing("disconnect from PostgreSQL")
        };
        failure::block_on(created)?;
        with_database(&self.url, name)
    }

    async fn connect(&self) -> Result<PgConnection> {
        let options =
            PgConnectOptions::from_str(&self.url).doing("read a PostgreSQL URL")?.disable_statement_logging();
        let connection = tokio::time::timeout(ATTEMPT, PgConnection::connect_with(&options)).await;
        connection.doing("connect to PostgreSQL")?.doing("connect to PostgreSQL")
    }
}

/// `url` with another database.
fn with_database(url: &str, name: &str) -> Result<String> {
    let (place, parameters) = url.split_once('?').unwrap_or((url, ""));
    let authority = place.split_once("://").map(|(_, rest)| rest.split('/').next().unwrap_or(rest));
    let authority = authority.ok_or_else(|| Failure::new("a PostgreSQL URL starts with postgres://"))?;
    let query = if parameters.is_empty() { String::new() } else { format!("?{parameters}") };
    Ok(format!("postgres://{authority}/{name}{query}"))
}

/// The URL of the database that every server has.
fn url(port: u16, certificates: Option<&Certificates>) -> String {
    match certificates {
        None => format!("postgres://{NAME}:{NAME}@127.0.0.1:{port}/postgres?sslmode=disable"),
        Some(Certificates { authority, .. }) => format!(
            "postgres://{NAME}:{NAME}@localhost:{port}/postgres?sslmode=verify-full&sslrootcert={}",
            authority.display()
        ),
    }
}

/// Where the server's programs are: Debian keeps every version's in a directory of its own, off the path.
fn find_programs() -> Result<PathBuf> {
    let mut versions: Vec<PathBuf> = Vec::new();
    if let Ok(entries) = std::fs::read_dir("/usr/lib/postgresql") {
        versions.extend(entries.filter_map(|entry| Some(entry.ok()?.path().join("bin"))));
    }
    // The newest, by number.
    let number =
        |path: &PathBuf| path.iter().rev().nth(1).and_then(|name| name.to_str()?.parse::<u32>().ok());
    versions.sort_by_key(|path| std::cmp::Reverse(number(path)));
    let initdb = account::find("initdb", versions, "postgresql")?;
    initdb.parent().map(Path::to_owned).ok_or_else(|| Failure::new("a program is in no directory"))
}

/// Makes the data directory.
fn initialize(programs: &Path, directory: &Path, account: &Account) -> Result {
    let password = directory.join("password");
    account.write_secret(&password, NAME)?;
    let mut initdb = account.command(&programs.join("initdb"));
    initdb.args(["--no-sync", "--no-instructions", "--encoding=UTF8", "--locale=C.UTF-8"]);
    initdb.args(["--username", NAME, "--auth=scram-sha-256", "--pwfile"]).arg(&password);
    process::run(initdb.arg("--pgdata").arg(directory.join("data")), "initdb").map(drop)
}

/// What the command line sets.
fn settings(
    options: PostgresOptions,
    port: u16,
    certificates: Option<&Certificates>,
) -> Vec<(&'static str, String)> {
    let mut settings = vec![
        ("listen_addresses", "127.0.0.1".to_owned()),
        ("port", port.to_string()),
        ("unix_socket_directories", String::new()),
        // A test process has many pools.
        ("max_connections", options.connections.unwrap_or(300).to_string()),
    ];
    if !options.durable {
        let off = ["fsync", "synchronous_commit", "full_page_writes"].map(|name| (name, "off".to_owned()));
        settings.extend(off);
    }
    if let Some(Certificates { certificate, key, .. }) = certificates {
        settings.push(("ssl", "on".to_owned()));
        settings.push(("ssl_cert_file", certificate.display().to_string()));
        settings.push(("ssl_key_file", key.display().to_string()));
    }
    settings
}
