//! A control plane of one: a single execution in memory, for running an action here and now without any other.
//!
//! It answers the claim and takes the outcome, so that `attune-agent exec` walks the very path of a worker.

use std::sync::Mutex;

use super::{Announcements, ClaimReply, Denied, Executions, Finish};
use crate::error::Result;
use crate::model::{Attempt, Dispatch, Event, ExecutionId, ExecutionStatus, Outcome, WorkOrder, WorkerId};

/// The one execution, its work order until it is claimed, its outcome once it has ended.
#[derive(Debug)]
pub struct Solo {
    dispatch: Dispatch,
    order: Mutex<Option<Box<WorkOrder>>>,
    outcome: Mutex<Option<Outcome>>,
}

impl Solo {
    /// A control plane that knows of `order` alone.
    pub fn new(order: WorkOrder) -> Self {
        let dispatch = Dispatch {
            execution_id: order.execution,
            worker_id: WorkerId(0),
            action_ref: order.action_ref().to_string(),
            config: None,
            scheduled_attempt_updated_at: Attempt(String::new()),
        };
        Self { dispatch, order: Mutex::new(Some(Box::new(order))), outcome: Mutex::new(None) }
    }

    /// The dispatch of the one execution.
    pub const fn dispatch(&self) -> &Dispatch {
        &self.dispatch
    }

    /// What came of it.
    pub fn into_outcome(self) -> Option<Outcome> {
        self.outcome.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Executions for Solo {
    async fn claim(&self, _dispatch: &Dispatch) -> Result<ClaimReply> {
        let order = self.order.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        Ok(order.map_or(ClaimReply::Denied(Denied::Status(ExecutionStatus::Running)), |order| {
            ClaimReply::Granted(Ok(order))
        }))
    }

    async fn finish(&self, _execution: ExecutionId, outcome: &Outcome) -> Result<Finish> {
        let mut held = self.outcome.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(earlier) = held.as_ref() {
            return Ok(Finish::Superseded(Some(earlier.status())));
        }
        *held = Some(outcome.clone());
        Ok(Finish::Written(ExecutionStatus::Running))
    }
}

impl Announcements for Solo {
    async fn publish(&self, _event: &Event) -> Result<()> {
        // Whoever asked waits for the outcome itself.
        Ok(())
    }
}
