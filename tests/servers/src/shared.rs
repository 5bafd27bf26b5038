//! One PostgreSQL and one RabbitMQ for all tests of a process.
//!
//! Each is started when first asked for, and ended by the end of the process. Where `DATABASE_URL` or `AMQP_URL` name a
//! server, that is used instead: the user in it has to be one who may create databases, or virtual hosts and users, and
//! nothing that is created there is removed. Of a broker, the management plugin is needed, on port 15672 or
//! `AMQP_API_PORT`.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

use crate::failure::{OrEnd, Result};
use crate::postgres::{Databases, Postgres, PostgresOptions};
use crate::rabbit::{Rabbit, RabbitOptions, VirtualHosts};

/// What tests share, and the server itself where it was started here.
struct Shared<Server, Part> {
    part: Part,
    _own: Option<Server>,
}

// Failures are kept: every test that wants a server shall say why it is not there.
static POSTGRES: LazyLock<Result<Shared<Postgres, Databases>>> = LazyLock::new(|| {
    if let Some(url) = variable("DATABASE_URL") {
        return Ok(Shared { part: Databases::at(&url), _own: None });
    }
    let own = Postgres::try_start(PostgresOptions::default())?;
    Ok(Shared { part: own.databases().clone(), _own: Some(own) })
});
static RABBIT: LazyLock<Result<Shared<Rabbit, VirtualHosts>>> = LazyLock::new(|| {
    if let Some(url) = variable("AMQP_URL") {
        let part = VirtualHosts::at(&url, variable("AMQP_API_PORT").as_deref())?;
        return Ok(Shared { part, _own: None });
    }
    let own = Rabbit::try_start(RabbitOptions::default())?;
    Ok(Shared { part: own.virtual_hosts().clone(), _own: Some(own) })
});

impl Postgres {
    /// The databases of the server that all tests of this process share.
    #[track_caller]
    pub fn shared() -> &'static Databases {
        &POSTGRES.as_ref().or_end().part
    }
}

impl Rabbit {
    /// The virtual hosts of the broker that all tests of this process share.
    #[track_caller]
    pub fn shared() -> &'static VirtualHosts {
        &RABBIT.as_ref().or_end().part
    }
}

/// A database server and a broker. Tests share them, so nobody can stop them; each test has a part of its own.
#[derive(Clone, Copy, Debug)]
pub struct Servers {
    databases: &'static Databases,
    virtual_hosts: &'static VirtualHosts,
}

impl Servers {
    /// The pair that all tests of this process share. They start at once: most of the time is the broker's.
    #[track_caller]
    pub fn shared() -> Self {
        std::thread::scope(|scope| {
            scope.spawn(|| LazyLock::force(&POSTGRES));
            LazyLock::force(&RABBIT);
        });
        Self { databases: Postgres::shared(), virtual_hosts: Rabbit::shared() }
    }

    /// Creates an empty database for one test, whose name starts with `test`, and returns its URL.
    #[track_caller]
    pub fn database(&self, test: &str) -> String {
        self.databases.create_for(test)
    }

    /// Creates an empty virtual host for one test, whose name starts with `test`.
    #[track_caller]
    pub fn virtual_host(&self, test: &str) -> VirtualHost {
        self.virtual_hosts.create_for(test)
    }
}

impl Databases {
    /// Creates an empty database for one test, whose name starts with `test`, and returns its URL.
    #[track_caller]
    pub fn create_for(&self, test: &str) -> String {
        self.create(&unique(test))
    }
}

impl VirtualHosts {
    /// Creates an empty virtual host for one test, whose name starts with `test`.
    #[track_caller]
    pub fn create_for(&self, test: &str) -> VirtualHost {
        let name = unique(test);
        let url = self.create(&name);
        VirtualHost { name, url, all: self.clone() }
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

    /// Gives its user another password, and returns where a client connects from then on.
    #[track_caller]
    pub fn set_password(&self, password: &str) -> String {
        self.all.set_password(&self.name, password);
        self.url.replace(&format!(":{}@", self.name), &format!(":{password}@"))
    }

    /// Closes its clients' connections, as an operator would.
    #[track_caller]
    pub fn close_connections(&self) {
        self.all.close_connections(&self.name);
    }

    /// What the broker lists of it: `queues`, `exchanges` or `bindings`.
    #[track_caller]
    pub fn list(&self, what: &str) -> Vec<Value> {
        self.all.list(what, &self.name)
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// A name that no other test uses, be it of this process or another.
fn unique(test: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("{test}_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}
