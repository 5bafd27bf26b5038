//! A control plane of one: a single execution in memory, for running an action here and now without any other.
//!
//! It answers the claim and takes the outcome, so that `attune-agent exec` walks the very path of a worker.

use std::sync::Mutex;

use super::{Announced, Announcements, ClaimReply, Denied, Executions, Finish};
use crate::error::Result;
use crate::model::{ClaimKey, Dispatch, Ending, Event, ExecutionStatus, WorkOrder, WorkerId};

/// The one execution, its work order until it is claimed, its end once it has ended.
#[derive(Debug)]
pub struct Solo {
    dispatch: Dispatch,
    order: Mutex<Option<Box<WorkOrder>>>,
    ended: Mutex<Option<ExecutionStatus>>,
}

impl Solo {
    /// A control plane that knows of `order` alone.
    pub fn new(order: WorkOrder) -> Self {
        let dispatch = Dispatch {
            execution_id: order.execution,
            worker_id: WorkerId(0),
            action_ref: order.action_ref().to_string(),
            config: None,
            scheduled_attempt_updated_at: None,
        };
        Self { dispatch, order: Mutex::new(Some(Box::new(order))), ended: Mutex::new(None) }
    }

    /// The dispatch of the one execution.
    pub const fn dispatch(&self) -> &Dispatch {
        &self.dispatch
    }
}

impl Executions for Solo {
    fn key(&self, dispatch: &Dispatch) -> ClaimKey {
        ClaimKey {
            execution: dispatch.execution_id,
            worker: dispatch.worker_id,
            started_at: jiff::Timestamp::now(),
        }
    }

    async fn claim(&self, _dispatch: &Dispatch, _key: &ClaimKey) -> Result<ClaimReply> {
        let order = self.order.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        Ok(order.map_or(ClaimReply::Denied(Denied::Status(ExecutionStatus::Running)), |order| {
            ClaimReply::Granted(Ok(order))
        }))
    }

    async fn finish(&self, ending: &Ending) -> Result<Finish> {
        let mut ended = self.ended.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(earlier) = *ended {
            return Ok(Finish::Superseded(Some(earlier)));
        }
        *ended = Some(ending.status);
        Ok(Finish::Written(ExecutionStatus::Running))
    }
}

impl Announcements for Solo {
    fn announce(&self, _events: Vec<Event>) -> Announced {
        // Whoever asked waits for the outcome itself.
        Announced::safe()
    }
}
