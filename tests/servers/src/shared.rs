//! One PostgreSQL and one RabbitMQ for all tests of a process.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::failure::Result;
use crate::postgres::{Databases, Postgres, PostgresOptions};
use crate::rabbit::{Rabbit, RabbitOptions, VirtualHosts};

/// A database server and a broker. Tests share them, so nobody can stop them; each test has a part of its own.
pub struct Servers {
    databases: Databases,
    virtual_hosts: VirtualHosts,
    /// What was started here runs until the process ends, which ends it too.
    _own: (Option<Postgres>, Option<Rabbit>),
}

// A failure is kept: every test that wants the servers shall say why they are not there.
static SHARED: LazyLock<Result<Servers>> = LazyLock::new(Servers::try_start);

impl Servers {
    /// The pair of this process, started when first asked for.
    ///
    /// Where `DATABASE_URL` or `AMQP_URL` name servers, those are used instead: the users in them have to be ones who
    /// may create databases, or virtual hosts and users, and nothing that is created there is removed. Of the broker,
    /// the management plugin is needed, on port 15672 or `AMQP_API_PORT`.
    #[track_caller]
    pub fn shared() -> &'static Self {
        match &*SHARED {
            Ok(servers) => servers,
            Err(failure) => failure.end(),
        }
    }

    fn try_start() -> Result<Self> {
        let others = |name| std::env::var(name).ok().filter(|url| !url.is_empty());
        let (database_url, amqp_url) = (others("DATABASE_URL"), others("AMQP_URL"));
        let postgres = || database_url.is_none().then(|| Postgres::try_start(PostgresOptions::default()));
        let rabbit = || amqp_url.is_none().then(|| Rabbit::try_start(RabbitOptions::default()));
        // Both at once: most of the time is the broker's.
        let (postgres, rabbit) = std::thread::scope(|scope| {
            let rabbit = scope.spawn(rabbit);
            (postgres(), rabbit.join().expect("a start that does not panic"))
        });
        let (postgres, rabbit) = (postgres.transpose()?, rabbit.transpose()?);
        let databases = match (&postgres, database_url) {
            (Some(own), _) => own.databases().clone(),
            (None, url) => Databases::at(&url.unwrap_or_default()),
        };
        let virtual_hosts = match (&rabbit, amqp_url) {
            (Some(own), _) => own.virtual_hosts().clone(),
            (None, url) => VirtualHosts::at(&url.unwrap_or_default(), others("AMQP_API_PORT").as_deref())?,
        };
        Ok(Self { databases, virtual_hosts, _own: (postgres, rabbit) })
    }

    /// Creates an empty database for one test, whose name starts with `test`, and returns its URL.
    #[track_caller]
    pub fn database(&self, test: &str) -> String {
        self.databases.create(&unique(test))
    }

    /// Creates an empty virtual host for one test, whose name starts with `test`.
    #[track_caller]
    pub fn virtual_host(&self, test: &str) -> VirtualHost {
        let name = unique(test);
        let url = self.virtual_hosts.create(&name);
        VirtualHost { name, url, all: self.virtual_hosts.clone() }
    }
}

/// A virtual host of one test, with a user of its own.
#[derive(Clone, Debug)]
pub struct VirtualHost {
    name: String,
    url: String,
    all: VirtualHosts,
}

impl VirtualHost {
    /// Where a client connects.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its name, which is its user's too.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Closes its clients' connections, as an operator would.
    #[track_caller]
    pub fn close_connections(&self) {
        self.all.close_connections(&self.name);
    }

    /// What the broker lists of it: `queues`, `exchanges` or `bindings`.
    #[track_caller]
    pub fn list(&self, what: &str) -> Vec<serde_json::Value> {
        self.all.list(what, &self.name)
    }
}

/// A name that no other test uses, be it of this process or another.
fn unique(test: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("{test}_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}
