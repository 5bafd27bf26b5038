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

/// An execution's task that has ended.
#[derive(Debug)]
pub(super) struct EndedTask {
    pub(super) execution: ExecutionId,
    /// What it panicked with, had it done so.
    pub(super) panic: Option<String>,
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

    /// Awaits the next end; `None` when nothing runs. Dropping the future loses nothing.
    pub(super) async fn next_end(&mut self) -> Option<EndedTask> {
        let joined = self.tasks.join_next_with_id().await?;
        let (id, panic) = match joined {
            Ok((id, ())) => (id, None),
            Err(error) => (error.id(), Some(error.to_string())),
        };
        let (execution, _) = self.by_task.remove(&id)?;
        Some(EndedTask { execution, panic })
    }
}
