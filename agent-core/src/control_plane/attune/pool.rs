//! Connections for work: few, opened when they are needed, and given back to the server when they are not.
//!
//! The pool of the library asks the server for a sign of life whenever a connection is given back: a round trip for each
//! statement. Here a statement finds out for itself, and is tried again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::{Connection, PgConnection};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use crate::backoff::{Backoff, pause_until};

/// A connection that nobody has used for this long is closed: many workers share what a server has.
const IDLE: Duration = Duration::from_secs(3);

/// Connections for work. At most one task may use one.
#[derive(Debug)]
pub(super) struct Pool {
    /// One permit for each connection that may be in use.
    room: Semaphore,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Those that nobody uses, and since when; the last one used is the last.
    idle: Vec<(PgConnection, Instant)>,
    /// Whether a task closes what is idle for too long.
    is_watched: bool,
    /// The server has no more, and is not asked before this moment.
    full_until: Option<Instant>,
    /// How long it is not asked; grows, so that many workers get a turn each.
    backoff: Backoff,
}

impl State {
    fn is_full(&self) -> bool {
        self.full_until.is_some_and(|until| Instant::now() < until)
    }
}

/// What there is for whoever wants a connection.
#[derive(Debug)]
pub(super) enum Found {
    Idle(PgConnection),
    /// None, and one may be made.
    MayConnect,
    /// None, and the server had no more a moment ago.
    Full,
}

impl Pool {
    pub(super) fn new(connections: u32) -> Self {
        let room = Semaphore::new(usize::try_from(connections).unwrap_or(1));
        Self { room, state: Mutex::default() }
    }

    /// Awaits room for one more user; `None` once the pool is closed.
    pub(super) async fn room(&self) -> Option<SemaphorePermit<'_>> {
        self.room.acquire().await.ok()
    }

    pub(super) fn find(&self) -> Found {
        let mut state = self.lock();
        match state.idle.pop() {
            Some((connection, _)) => Found::Idle(connection),
            None if state.is_full() => Found::Full,
            None => Found::MayConnect,
        }
    }

    /// The server has made a connection.
    pub(super) fn has_connected(&self) {
        let mut state = self.lock();
        state.full_until = None;
        state.backoff.reset();
    }

    /// Whether the server had no more connections a moment ago.
    pub(super) fn is_full(&self) -> bool {
        self.lock().is_full()
    }

    /// The server has no more connections for now.
    pub(super) fn was_refused(&self) {
        let mut state = self.lock();
        let pause = state.backoff.next();
        state.full_until = Some(Instant::now() + pause);
    }

    /// Keeps a connection for whoever comes next, for a while.
    pub(super) fn give_back(self: &Arc<Self>, connection: PgConnection) {
        let mut state = self.lock();
        state.idle.push((connection, Instant::now()));
        if !std::mem::replace(&mut state.is_watched, true) {
            tokio::spawn(close_idle(Arc::clone(self)));
        }
    }

    /// None of those that rest is of use any more.
    pub(super) fn forget_idle(&self) {
        self.lock().idle.clear();
    }

    /// Closes every connection; nobody gets one any more.
    pub(super) async fn close(&self) {
        self.room.close();
        let idle = std::mem::take(&mut self.lock().idle);
        for (connection, _) in idle {
            // The server notices by itself where it cannot be told.
            connection.close().await.ok();
        }
    }

    /// Those that have been idle for too long, or when the next one will have been; `None` when there is none left.
    fn too_long_idle(&self) -> Option<Result<PgConnection, Instant>> {
        let mut state = self.lock();
        match state.idle.first() {
            None => {
                state.is_watched = false;
                None
            }
            Some((_, since)) if since.elapsed() >= IDLE => Some(Ok(state.idle.remove(0).0)),
            Some((_, since)) => Some(Err(*since + IDLE)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Until none is idle.
async fn close_idle(pool: Arc<Pool>) {
    while let Some(found) = pool.too_long_idle() {
        match found {
            // The server notices by itself where it cannot be told.
            Ok(connection) => connection.close().await.unwrap_or_default(),
            Err(next) => pause_until(next).await,
        }
    }
}
