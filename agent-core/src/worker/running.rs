//! The executions that run now, one task each.

use std::collections::HashMap;

use tokio::task::{AbortHandle, Id, JoinSet};

use crate::execution::{Stop, StopHandle};
use crate::model::ExecutionId;

/// What runs, and how it is told to stop.
#[derive(Debug)]
pub(super) struct Running {
    room: usize,
    tasks: JoinSet<()>,
    by_task: HashMap<Id, (ExecutionId, StopHandle)>,
}

impl Running {
    pub(super) fn new(room: usize) -> Self {
        Self { room, tasks: JoinSet::new(), by_task: HashMap::new() }
    }

    pub(super) fn has_room(&self) -> bool {
        self.tasks.len() < self.room
    }

    pub(super) fn len(&self) -> usize {
        self.tasks.len()
    }

    pub(super) fn start(
        &mut self,
        execution: ExecutionId,
        stop: StopHandle,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let handle: AbortHandle = self.tasks.spawn(task);
        self.by_task.insert(handle.id(), (execution, stop));
    }

    /// Tells one execution to stop; false when it does not run here. A dispatch that was delivered twice has two tasks,
    /// of which the claim lets one run.
    pub(super) fn stop(&self, execution: ExecutionId, stop: Stop) -> bool {
        let of_it = self.by_task.values().filter(|(running, _)| *running == execution);
        of_it.map(|(_, handle)| handle.stop(stop)).count() > 0
    }

    /// Gives up on whatever has not ended.
    pub(super) fn abandon(&mut self) {
        self.tasks.abort_all();
    }

    pub(super) fn stop_all(&self, stop: Stop) {
        for (_, handle) in self.by_task.values() {
            handle.stop(stop);
        }
    }

    /// Awaits the next end; `false` when nothing runs. Dropping the future loses nothing.
    pub(super) async fn next_end(&mut self) -> bool {
        let Some(joined) = self.tasks.join_next_with_id().await else { return false };
        // One that was given up on has ended too.
        let id = joined.map_or_else(|abandoned| abandoned.id(), |(id, ())| id);
        self.by_task.remove(&id);
        true
    }
}
