//! What a worker tells the control plane while it works (CONTRACT §2.8).

use serde_json::Value;

use super::{ActionId, ExecutionId, ExecutionStatus};

/// A message to whoever follows an execution.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// `ExecutionStatusChanged`.
    StatusChanged {
        /// Which execution.
        execution: ExecutionId,
        /// What runs.
        action_ref: String,
        /// The state before.
        previous: ExecutionStatus,
        /// The state now.
        new: ExecutionStatus,
    },
    /// `ExecutionCompleted`: the row is terminal, whatever the state; sent after the row is written, never before.
    Completed {
        /// Which execution.
        execution: ExecutionId,
        /// The action's row, where it still exists.
        action: Option<ActionId>,
        /// What ran.
        action_ref: String,
        /// The terminal state.
        status: ExecutionStatus,
        /// The row's `result`.
        result: Value,
    },
}
