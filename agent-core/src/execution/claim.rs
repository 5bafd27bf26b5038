//! The claim: the compare-and-set that makes an execution ours.

use crate::control_plane::{ClaimReply, Denied, Executions, Orphan};
use crate::error::Result;
use crate::model::{ActionId, ClaimKey, Dispatch, Ending, ExecutionId, Outcome, WorkOrder};
use crate::process::Permit;

/// An execution that belongs to this worker until it is reported. Nothing but [`Attempted::again`] can make one, and
/// nothing runs without one.
#[derive(Debug)]
pub struct Claim {
    key: ClaimKey,
    action_ref: String,
    order: std::result::Result<Box<WorkOrder>, Box<Outcome>>,
}

/// What came of trying.
#[derive(Debug)]
pub enum Claimed {
    /// The execution is ours.
    Ours(Claim),
    /// It is not, and nothing must be run.
    NotOurs(Denied),
    /// It is not, and that it was cancelled has yet to be announced.
    CancelledBefore(Box<Ending>),
    /// This worker claimed it before: in another task, or in an earlier life that was not settled for it.
    Before(Box<Orphan>),
}

/// One claim, tried as often as it takes to get an answer: the key stays the same, so an answer that was lost is found
/// again.
#[derive(Debug)]
pub struct Attempted<'d> {
    dispatch: &'d Dispatch,
    key: ClaimKey,
}

impl<'d> Attempted<'d> {
    /// A claim of `dispatch` that nobody has heard of yet.
    pub fn new(registry: &impl Executions, dispatch: &'d Dispatch) -> Self {
        Self { dispatch, key: registry.key(dispatch) }
    }

    /// Tries to make the execution ours.
    pub async fn again(&self, registry: &impl Executions) -> Result<Claimed> {
        Ok(match registry.claim(self.dispatch, &self.key).await? {
            ClaimReply::Granted(order) => Claimed::Ours(Claim {
                key: self.key.clone(),
                action_ref: self.dispatch.action_ref.clone(),
                order,
            }),
            ClaimReply::Denied(why) => Claimed::NotOurs(why),
            ClaimReply::CancelledBefore(ending) => Claimed::CancelledBefore(ending),
            ClaimReply::Claimed(orphan) => Claimed::Before(orphan),
        })
    }

    /// What the claim is known by, should it have been granted.
    pub const fn key(&self) -> &ClaimKey {
        &self.key
    }
}

/// Nothing but a claim starts an action.
impl Permit for Claim {}

impl Claim {
    /// Which execution.
    pub const fn execution(&self) -> ExecutionId {
        self.key.execution
    }

    /// What runs.
    pub fn action_ref(&self) -> &str {
        &self.action_ref
    }

    /// The action's row, where it is known.
    pub fn action(&self) -> Option<ActionId> {
        self.order.as_ref().ok().and_then(|order| order.action.id)
    }

    /// How it ends.
    pub(super) fn ending(&self, outcome: &Outcome) -> Ending {
        Ending::new(self.key.clone(), self.action(), self.action_ref.clone(), outcome)
    }

    /// The same, to be completed with what was sealed.
    pub(super) fn order_mut(&mut self) -> std::result::Result<&mut WorkOrder, &Outcome> {
        match &mut self.order {
            Ok(order) => Ok(order),
            Err(outcome) => Err(outcome),
        }
    }

    /// What is to be done, or how an execution ends that cannot be done.
    pub(super) fn order(&self) -> std::result::Result<&WorkOrder, &Outcome> {
        match &self.order {
            Ok(order) => Ok(order),
            Err(outcome) => Err(outcome),
        }
    }
}
