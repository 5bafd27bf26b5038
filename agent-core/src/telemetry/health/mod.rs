//! How a worker is: whether it lives, and whether it takes work.
//!
//! It is alive as long as its async runtime answers, which no server has a say in: a worker that is restarted because
//! its database is away is away itself when the database is back. It is ready while it takes work and reaches both
//! servers. Each part of it that knows something says so here; a socket tells whoever asks.

mod address;
mod answer;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use tokio::sync::Notify;

pub use address::Address;
pub use answer::{Answer, Serving, ask, serve};

/// How far a worker has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// Its row is not active yet, or its queue is not consumed.
    Starting,
    /// It takes work.
    Working,
    /// It takes nothing new. There is no way back.
    Draining,
}

/// What a worker cannot take work without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    /// PostgreSQL, with the control plane's tables.
    Database,
    /// RabbitMQ, with a consumer of the worker's queue.
    Broker,
}

/// Why a worker takes no work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// It takes nothing new.
    Draining,
    /// A server is away, or not reached yet.
    Away(Server),
    /// It is on its way.
    Starting,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Draining => "draining: the worker takes nothing new and lets running executions end",
            Self::Away(Server::Database) => "connecting to the database",
            Self::Away(Server::Broker) => "connecting to the broker, the queue is not consumed",
            Self::Starting => "starting: the worker is not active yet",
        })
    }
}

/// What is known of one worker. Clones know the same.
#[derive(Debug, Clone, Default)]
pub struct Health(Arc<Known>);

#[derive(Debug, Default)]
struct Known {
    phase: AtomicU8,
    /// How many miss the database, and how many the broker.
    missed: [AtomicUsize; 2],
    /// Somebody has asked.
    asked: Notify,
}

/// As long as it is held, a server counts as away.
#[derive(Debug)]
#[must_use = "dropping it says that the server is there"]
pub struct Away {
    health: Health,
    server: Server,
}

impl Health {
    /// The worker has come so far.
    pub fn enter(&self, phase: Phase) {
        // Never backwards: a drain that overtakes the end of the start stays one.
        self.0.phase.fetch_max(phase as u8, Ordering::AcqRel);
    }

    /// Somebody misses `server` from now on, until what is returned is dropped.
    pub fn away(&self, server: Server) -> Away {
        self.0.missed[server as usize].fetch_add(1, Ordering::AcqRel);
        Away { health: self.clone(), server }
    }

    /// Why the worker takes no work, what weighs most first; `None` where it does.
    pub fn obstacle(&self) -> Option<Obstacle> {
        let phase = self.0.phase.load(Ordering::Acquire);
        let is_missed = |server: &Server| self.0.missed[*server as usize].load(Ordering::Acquire) > 0;
        if phase == Phase::Draining as u8 {
            return Some(Obstacle::Draining);
        }
        let away = [Server::Database, Server::Broker].into_iter().find(is_missed).map(Obstacle::Away);
        away.or((phase == Phase::Starting as u8).then_some(Obstacle::Starting))
    }

    /// Awaits that somebody asks, or has asked since this was last awaited.
    pub(crate) async fn asked(&self) {
        self.0.asked.notified().await;
    }
}

impl Drop for Away {
    fn drop(&mut self) {
        self.health.0.missed[self.server as usize].fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_is_ready_while_it_works_and_nobody_misses_a_server() {
        let health = Health::default();
        assert_eq!(health.obstacle(), Some(Obstacle::Starting));
        let database = health.away(Server::Database);
        let broker = health.away(Server::Broker);
        assert_eq!(health.obstacle(), Some(Obstacle::Away(Server::Database)));
        drop(database);
        health.enter(Phase::Working);
        assert_eq!(health.obstacle(), Some(Obstacle::Away(Server::Broker)));
        drop(broker);
        assert_eq!(health.obstacle(), None);
        let (one, other) = (health.away(Server::Database), health.away(Server::Database));
        drop(one);
        assert_eq!(health.obstacle(), Some(Obstacle::Away(Server::Database)));
        drop(other);
        assert_eq!(health.obstacle(), None);
    }

    #[test]
    fn a_drain_is_final() {
        let health = Health::default();
        health.enter(Phase::Draining);
        health.enter(Phase::Working);
        assert_eq!(health.obstacle(), Some(Obstacle::Draining));
    }
}
