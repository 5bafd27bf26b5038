//! The claims that this life of the worker holds, or may hold: a row that is claimed by any other key of ours was left by
//! an earlier life.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use crate::model::{ClaimKey, ExecutionId};

/// All of them. Cloning shares.
#[derive(Debug, Clone, Default)]
pub(super) struct Held(Arc<Mutex<HashSet<(ExecutionId, Timestamp)>>>);

/// One of them, held until this is dropped.
#[derive(Debug)]
pub(super) struct Hold {
    held: Held,
    key: (ExecutionId, Timestamp),
}

impl Held {
    /// Holds a claim from before it is tried until after its end is written.
    pub(super) fn hold(&self, key: &ClaimKey) -> Hold {
        let key = (key.execution, key.started_at);
        self.lock().insert(key);
        Hold { held: self.clone(), key }
    }

    /// Whether this life holds it.
    pub(super) fn holds(&self, key: &ClaimKey) -> bool {
        self.lock().contains(&(key.execution, key.started_at))
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<(ExecutionId, Timestamp)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.held.lock().remove(&self.key);
    }
}
