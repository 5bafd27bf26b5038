//! The claims that this life of the worker holds, or may hold: a row that is claimed by any other key of ours was left by
//! an earlier life.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::model::{ClaimKey, ExecutionId, WorkerId};

/// A claim is looked at again this long after it was granted: whoever decided to end the execution before it was claimed has
/// written that by then.
const FIRST_LOOK: Duration = Duration::from_secs(1);

/// All of them. Cloning shares.
#[derive(Debug, Clone, Default)]
pub(super) struct Held(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    claims: Mutex<HashMap<Key, Option<Instant>>>,
    /// Rung whenever one is granted.
    granted: Notify,
}

/// What a claim is known by, to this worker.
type Key = (ExecutionId, Timestamp);

/// One of them, held until this is dropped.
#[derive(Debug)]
pub(super) struct Hold {
    held: Held,
    key: Key,
}

impl Held {
    /// Holds a claim from before it is tried until after its end is written.
    pub(super) fn hold(&self, key: &ClaimKey) -> Hold {
        let key = (key.execution, key.started_at);
        self.lock().insert(key, None);
        Hold { held: self.clone(), key }
    }

    /// Whether this life holds it.
    pub(super) fn holds(&self, key: &ClaimKey) -> bool {
        self.lock().contains_key(&(key.execution, key.started_at))
    }

    /// How many there are, those that are not granted yet among them.
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    /// Awaits that it is time to look at the rows of some claims again; returns all that were granted to `worker`.
    pub(super) async fn due(&self, worker: WorkerId) -> Vec<ClaimKey> {
        loop {
            // Listens before it looks, so that nothing is missed in between.
            let granted = self.0.granted.notified();
            let next = self.lock().values().flatten().min().copied();
            match next {
                Some(next) if next <= Instant::now() => break,
                Some(next) => tokio::select! {
                    () = crate::backoff::pause_until(next) => {}
                    () = granted => {}
                },
                None => granted.await,
            }
        }
        let claims = self.lock();
        let granted = claims.iter().filter(|(_, next)| next.is_some());
        granted
            .map(|((execution, started_at), _)| ClaimKey {
                execution: *execution,
                worker,
                started_at: *started_at,
            })
            .collect()
    }

    /// All that are granted have been looked at, or could not be: the next time is after `period`.
    pub(super) fn looked(&self, period: Duration) {
        let next = Instant::now() + period;
        for due in self.lock().values_mut().flatten() {
            *due = next;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Option<Instant>>> {
        self.0.claims.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hold {
    /// It is ours, and stays so unless somebody else changes the row.
    pub(super) fn granted(&self) {
        self.held.lock().insert(self.key, Some(Instant::now() + FIRST_LOOK));
        self.held.0.granted.notify_one();
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.held.lock().remove(&self.key);
    }
}
