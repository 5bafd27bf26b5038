//! The end of an execution as it is written, announced and journalled: what is left of a claim once its outcome is known.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{ActionId, Event, ExecutionId, ExecutionStatus, Outcome, SealedOutput, WorkerId, result};

/// What the control plane knows a claim by. The moment is the claim's own: no other claim of this worker has it, so a
/// statement that is sent twice because its answer was lost can tell its own work from somebody else's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimKey {
    /// Which execution.
    pub execution: ExecutionId,
    /// Whose claim it is.
    pub worker: WorkerId,
    /// `execution.started_at`, to the microsecond, by the control plane's clock.
    pub started_at: Timestamp,
}

/// How a claimed execution ended, with all that has to be written and said of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ending {
    /// The claim that ends.
    pub key: ClaimKey,
    /// The action's row, where it still exists.
    pub action: Option<ActionId>,
    /// What ran.
    pub action_ref: String,
    /// The terminal state.
    pub status: ExecutionStatus,
    /// `execution.result` (CONTRACT §3.9).
    #[serde(deserialize_with = "result::of_any_version")]
    pub result: Value,
    /// Secrets of the result, which are kept beside it; what stands in the result is a marker.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sealed: Vec<SealedOutput>,
}

impl Ending {
    /// The end of `key` with this outcome.
    pub fn new(key: ClaimKey, action: Option<ActionId>, action_ref: String, outcome: &Outcome) -> Self {
        let sealed = outcome.sealed().to_vec();
        Self { key, action, action_ref, status: outcome.status(), result: outcome.to_result(), sealed }
    }

    /// What followers are told once the row is written: the change from `previous`, then the completion.
    pub fn events(&self, previous: ExecutionStatus) -> [Event; 2] {
        let execution = self.key.execution;
        [
            Event::StatusChanged {
                execution,
                action_ref: self.action_ref.clone(),
                previous,
                new: self.status,
            },
            Event::Completed {
                execution,
                action: self.action,
                action_ref: self.action_ref.clone(),
                status: self.status,
                result: self.result.clone(),
            },
        ]
    }
}
