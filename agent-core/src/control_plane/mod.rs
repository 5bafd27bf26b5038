//! What we ask of a control plane, as two ports: a [`Registry`] that remembers and a [`Queue`] that hands out work.
//!
//! The worker knows nothing else of the world; one execution needs only [`Executions`] and [`Announcements`] of them. `embedded` answers from one SQLite file, `solo` from memory for the
//! single execution of `attune-agent exec`.

use std::future::Future;

use crate::error::Result;
use crate::model::{
    Dispatch, Event, ExecutionId, ExecutionStatus, Outcome, Registration, WorkOrder, WorkerId, WorkerStatus,
};

pub mod embedded;
pub mod solo;

/// What one execution needs of the memory: that it is ours alone, and that its end is kept.
pub trait Executions: Send + Sync + 'static {
    /// Compares and sets `scheduled → running` for this worker and this attempt. What the answer grants belongs to
    /// this worker until it is finished.
    fn claim(&self, dispatch: &Dispatch) -> impl Future<Output = Result<ClaimReply>> + Send;

    /// Compares and sets `running` or `canceling` to the outcome's terminal state, with its result.
    fn finish(
        &self,
        execution: ExecutionId,
        outcome: &Outcome,
    ) -> impl Future<Output = Result<Finish>> + Send;
}

/// What one execution needs of the messages: that whoever follows it is told.
pub trait Announcements: Send + Sync + 'static {
    /// Tells whoever follows an execution. Returns when the message is safe.
    fn publish(&self, event: &Event) -> impl Future<Output = Result<()>> + Send;
}

/// What remembers: workers, executions, and what came of them. Every call has a deadline of its implementation's
/// choosing.
pub trait Registry: Executions {
    /// Creates or renews the worker's row, found by its name, not yet active.
    fn register(&self, registration: &Registration) -> impl Future<Output = Result<WorkerId>> + Send;

    /// Ends what earlier lives of this worker left behind. To be called before the first dispatch is taken.
    fn settle(&self, worker: WorkerId) -> impl Future<Output = Result<Vec<Settled>>> + Send;

    /// Shows the worker in this state.
    fn set_status(&self, worker: WorkerId, status: WorkerStatus) -> impl Future<Output = Result<()>> + Send;

    /// Shows that the worker is alive, by the control plane's clock.
    fn heartbeat(&self, worker: WorkerId) -> impl Future<Output = Result<()>> + Send;
}

/// What hands out work and carries messages.
pub trait Queue: Announcements {
    /// What acknowledges a delivery.
    type Receipt: Send + 'static;

    /// Makes sure that whatever is sent to this worker from now on is kept for it. Before the worker is active.
    fn declare(&self, worker: WorkerId) -> impl Future<Output = Result<()>> + Send;

    /// Awaits the next dispatch. Dropping the future loses nothing.
    fn next_dispatch(&self, worker: WorkerId)
    -> impl Future<Output = Result<Delivery<Self::Receipt>>> + Send;

    /// Awaits the next notice. Dropping the future loses nothing.
    fn next_notice(&self, worker: WorkerId) -> impl Future<Output = Result<Notice>> + Send;

    /// Says that a delivery is dealt with: claimed, or never to be claimed.
    fn ack(&self, receipt: Self::Receipt) -> impl Future<Output = Result<()>> + Send;

    /// Stops handing work to this worker: what was meant for it and is not claimed goes to others at once.
    fn retire(&self, worker: WorkerId) -> impl Future<Output = Result<()>> + Send;

    /// Gives an unclaimed delivery back, so that another worker has it at once.
    fn hand_back(&self, delivery: Delivery<Self::Receipt>) -> impl Future<Output = Result<()>> + Send;
}

/// A dispatch as the queue delivered it.
#[derive(Debug)]
pub struct Delivery<R> {
    /// What is to be run.
    pub dispatch: Dispatch,
    /// What acknowledges it.
    pub receipt: R,
}

/// Something that a worker should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// Somebody asks to cancel this execution.
    Cancel(ExecutionId),
}

/// The answer to a claim.
#[derive(Debug)]
pub enum ClaimReply {
    /// The execution is ours. Where it cannot be run at all, with how it ends.
    Granted(std::result::Result<Box<WorkOrder>, Box<Outcome>>),
    /// It is not ours, and must not be run.
    Denied(Denied),
}

/// Why a claim was denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// There is no such execution.
    Unknown,
    /// It is in another state than `scheduled`: somebody was faster, or it was cancelled.
    Status(ExecutionStatus),
    /// It is scheduled, but for another worker or in another attempt.
    Stale,
}

/// What became of a terminal state that was to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// Written, over this state.
    Written(ExecutionStatus),
    /// Not written: the row is final already, or not ours any more. Nothing must be announced.
    Superseded(Option<ExecutionStatus>),
}

/// An execution that an earlier life of a worker left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// Which.
    pub execution: ExecutionId,
    /// What it was.
    pub before: ExecutionStatus,
    /// What it is now: terminal, or `requested` again.
    pub after: ExecutionStatus,
}
