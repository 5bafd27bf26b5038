//! The claim: the compare-and-set that makes an execution ours.

use crate::control_plane::{ClaimReply, Denied, Executions};
use crate::error::Result;
use crate::model::{ActionId, Dispatch, ExecutionId, Outcome, WorkOrder};

/// An execution that belongs to this worker until it is reported. Nothing but [`Claim::take`] can make one, and
/// nothing runs without one.
#[derive(Debug)]
pub struct Claim {
    dispatch: Dispatch,
    order: std::result::Result<Box<WorkOrder>, Box<Outcome>>,
}

/// What came of trying.
#[derive(Debug)]
pub enum Claimed {
    /// The execution is ours.
    Ours(Claim),
    /// It is not, and nothing must be run.
    NotOurs(Denied),
}

impl Claim {
    /// Tries to make the execution of `dispatch` ours.
    pub async fn take(registry: &impl Executions, dispatch: Dispatch) -> Result<Claimed> {
        Ok(match registry.claim(&dispatch).await? {
            ClaimReply::Granted(order) => Claimed::Ours(Self { dispatch, order }),
            ClaimReply::Denied(why) => Claimed::NotOurs(why),
        })
    }

    /// Which execution.
    pub const fn execution(&self) -> ExecutionId {
        self.dispatch.execution_id
    }

    /// What runs.
    pub fn action_ref(&self) -> &str {
        &self.dispatch.action_ref
    }

    /// The action's row, where it is known.
    pub fn action(&self) -> Option<ActionId> {
        self.order.as_ref().ok().and_then(|order| order.action.id)
    }

    /// What is to be done, or how an execution ends that cannot be done.
    pub(super) fn order(&self) -> std::result::Result<&WorkOrder, &Outcome> {
        match &self.order {
            Ok(order) => Ok(order),
            Err(outcome) => Err(outcome),
        }
    }
}
