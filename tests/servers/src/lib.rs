//! PostgreSQL and RabbitMQ servers of a test's own.
//!
//! Both are the real programs, with a directory and loopback ports that nobody else uses. Whatever becomes of the test,
//! be it a panic or `SIGKILL`, its servers end with it and leave nothing behind (see `guard`).
//!
//! Most tests want [`Servers::shared`], or [`Postgres::shared`] or [`Rabbit::shared`] alone: one for the whole test
//! process, in which each test has a database and a virtual host of its own. A test that stops servers, or breaks them,
//! starts its own [`Postgres`] or [`Rabbit`].
//!
//! Every call blocks, with a deadline, and may be made from asynchronous code too. What fails ends the test with a
//! sentence, and with the server's log where that says why.

mod account;
mod api;
mod authority;
mod executor;
mod failure;
mod files;
mod guard;
mod port;
mod postgres;
mod process;
mod rabbit;
mod shared;

pub use executor::{Announcement, Executor, ExecutorOptions};
pub use files::{FileApi, FileRequest};
pub use postgres::{Databases, Postgres, PostgresOptions};
pub use rabbit::{Rabbit, RabbitOptions, VirtualHosts};
pub use shared::{Servers, VirtualHost};
