//! An execution: one run of an action with parameters, and the dispatch that hands it to a worker.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Action, ExecutionId, ExecutionStatus, Origin, PackRef, Ref, Runtime, Sealed, WorkerId};

/// Parameters by name.
pub type Parameters = serde_json::Map<String, Value>;

/// `execution.updated` at the moment it became `scheduled`: which attempt a dispatch belongs to. A dispatch of an
/// earlier attempt must not start a process (CONTRACT §2.7).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Attempt(pub String);

/// The message that hands an execution to this worker (CONTRACT §2.7 a).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dispatch {
    /// Which execution.
    pub execution_id: ExecutionId,
    /// Which worker it is for.
    pub worker_id: WorkerId,
    /// What runs.
    pub action_ref: String,
    /// Parameters with the schema's defaults applied.
    #[serde(default)]
    pub config: Option<Parameters>,
    /// Which attempt; a control plane that does not say so trusts state and worker alone.
    #[serde(default)]
    pub scheduled_attempt_updated_at: Option<Attempt>,
}

/// Everything that a worker needs in order to run what it has claimed; what the claim's one round trip returns.
#[derive(Debug, Clone)]
pub struct WorkOrder {
    /// Which execution.
    pub execution: ExecutionId,
    /// What runs.
    pub action: Action,
    /// A file to run in place of the action's entry point. Only who runs something here and now can name one: what
    /// comes from a control plane stays in its pack.
    pub file: Option<std::path::PathBuf>,
    /// Every runtime the control plane knows: the action's own, and those that may claim its file's extension.
    pub runtimes: Vec<Runtime>,
    /// `execution.config` over the dispatch's.
    pub parameters: Parameters,
    /// `execution.env_vars`.
    pub env_vars: Vec<(String, String)>,
    /// `workflow_task.timeout_seconds`, which goes before the action's own.
    pub task_timeout_seconds: Option<u32>,
    /// On whose behalf it runs.
    pub origin: Origin,
    /// What of it is secret.
    pub sealed: Sealed,
}

/// An execution as the control plane shows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Execution {
    /// `execution.id`.
    pub id: ExecutionId,
    /// What runs, or ran.
    pub action_ref: String,
    /// Its state.
    pub status: ExecutionStatus,
    /// The worker it was given to.
    pub worker: Option<WorkerId>,
    /// What came of it (CONTRACT §3.9).
    pub result: Option<Value>,
}

impl Attempt {
    /// The fingerprint as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Dispatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "execution {} of {}", self.execution_id, self.action_ref)
    }
}

impl WorkOrder {
    /// The runtime that the action names.
    pub fn declared_runtime(&self) -> Option<&Runtime> {
        let id = self.action.runtime?;
        self.runtimes.iter().find(|runtime| runtime.id == id)
    }

    /// The action's reference.
    pub fn action_ref(&self) -> &Ref {
        &self.action.reference
    }

    /// The pack that the action is in.
    pub fn pack(&self) -> &PackRef {
        &self.action.pack
    }
}
