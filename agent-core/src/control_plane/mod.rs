//! What we ask of a control plane, as two ports: a [`Registry`] that remembers and a [`Queue`] that hands out work.
//!
//! The worker knows nothing else of the world; one execution needs only [`Executions`] and [`Announcements`] of them.
//! `attune` answers from PostgreSQL and RabbitMQ, `embedded` from one SQLite file, `solo` from memory for the single
//! execution of `attune-agent exec`.

use std::future::Future;

use futures_util::future::BoxFuture;

use crate::error::Result;
use crate::model::{
    ActionId, Capabilities, ClaimKey, Dispatch, Ending, Event, ExecutionId, ExecutionStatus, Outcome, Reason,
    Registration, WorkOrder, WorkerId, WorkerStatus,
};

mod artifacts;
pub mod attune;
mod clock;
pub mod embedded;
mod journal;
mod leases;
pub mod solo;

pub use artifacts::{ArtifactRegistry, LogVersion, PackRegistry};
pub use journal::{Entry, Journal, Record};
pub use leases::{Built, EnvironmentLeases, Lease, LeaseReply, LeaseRequest};

/// What one execution needs of the memory: that it is ours alone, and that its end is kept.
///
/// Both statements may be sent again after an answer that was lost: the key tells their own work from others'.
pub trait Executions: Send + Sync + 'static {
    /// What a claim of `dispatch` would be known by. Every call makes another.
    fn key(&self, dispatch: &Dispatch) -> ClaimKey;

    /// Compares and sets `scheduled → running` for this worker and this attempt. What the answer grants belongs to
    /// this worker until it is finished.
    fn claim(&self, dispatch: &Dispatch, key: &ClaimKey) -> impl Future<Output = Result<ClaimReply>> + Send;

    /// Compares and sets `running` or `canceling` to the terminal state, with its result.
    fn finish(&self, ending: &Ending) -> impl Future<Output = Result<Finish>> + Send;
}

/// What one execution needs of the messages: that whoever follows it is told.
pub trait Announcements: Send + Sync + 'static {
    /// Queues these events behind all earlier ones and returns at once. They are delivered in this order, for as long
    /// as it takes.
    fn announce(&self, events: Vec<Event>) -> Announced;
}

/// What remembers: workers, executions, and what came of them. Every call has a deadline of its implementation's
/// choosing; [`ErrorKind::Unavailable`](crate::ErrorKind) says that the same call may work later.
pub trait Registry: Executions {
    /// Creates or renews the worker's row, found by its name, not yet active.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`](crate::ErrorKind) where a worker of this name lives.
    fn register(&self, registration: &Registration) -> impl Future<Output = Result<WorkerId>> + Send;

    /// Shows anew what the worker offers: the runtimes that the control plane knows may have changed.
    fn refresh(&self, worker: WorkerId, offered: &Capabilities) -> impl Future<Output = Result<()>> + Send;

    /// Takes stock of what earlier lives of this worker left behind. What they had only been given goes back or stays
    /// queued; what they had claimed is returned, to be reported as lost. Before the first dispatch is taken.
    fn settle(&self, worker: WorkerId) -> impl Future<Output = Result<Vec<Orphan>>> + Send;

    /// Shows the worker in this state.
    fn set_status(&self, worker: WorkerId, status: WorkerStatus) -> impl Future<Output = Result<()>> + Send;

    /// Which of these claims, all of one worker, do not stand any more, and what their rows say; `None` where there is no
    /// row. Others may end or take back what runs without telling anybody.
    fn superseded(
        &self,
        claims: &[ClaimKey],
    ) -> impl Future<Output = Result<Vec<(ExecutionId, Option<ExecutionStatus>)>>> + Send;

    /// Shows that the worker is alive, by the control plane's clock.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`](crate::ErrorKind) where somebody else has become this worker: it must stop.
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

    /// Puts a delivery aside that can never be claimed, where whoever looks after the control plane finds it.
    fn reject(&self, receipt: Self::Receipt) -> impl Future<Output = Result<()>> + Send;

    /// Gives up an execution that has not begun: another worker that can take it has it at once, else it waits in this
    /// worker's queue for its next life. The receipt is gone once it is used. What somebody asked to cancel meanwhile stays
    /// this worker's, and is returned, to be ended by it.
    fn hand_back(
        &self,
        given_up: &mut GivenUp<Self::Receipt>,
    ) -> impl Future<Output = Result<Option<Orphan>>> + Send;

    /// Stops handing work to this worker. Of what was meant for it and is not claimed, others get at once what they can
    /// take; the rest stays queued for the next life of this worker. The worker is shown as `busy` by now. May be called
    /// again, for what was on its way the first time, and for whom else there may be by then.
    fn retire(&self, worker: WorkerId) -> impl Future<Output = Result<()>> + Send;

    /// Looks for executions that nobody has and that this worker could run, and asks for them again. Whoever else looks at
    /// the same time does not ask for the same ones.
    fn rescue(&self, worker: WorkerId, look: Look) -> impl Future<Output = Result<()>> + Send;

    /// The worker is `inactive` and has nothing left to say: removes what was kept for it alone.
    fn leave(&self, worker: WorkerId) -> impl Future<Output = Result<()>> + Send;
}

/// Events on their way. Dropping it changes nothing about their delivery.
#[must_use = "what is announced is safe only once this says so"]
pub struct Announced(Option<BoxFuture<'static, bool>>);

impl Announced {
    /// Events that are safe already.
    pub const fn safe() -> Self {
        Self(None)
    }

    /// Events that are safe once this says so.
    pub(crate) fn when(safe: impl Future<Output = bool> + Send + 'static) -> Self {
        Self(Some(Box::pin(safe)))
    }

    /// Nobody waits for these.
    pub fn unattended(self) {}

    /// Awaits that every event is safe; false where the connection was given up before.
    pub async fn safe_at_last(self) -> bool {
        match self.0 {
            None => true,
            Some(safe) => safe.await,
        }
    }
}

/// A dispatch as the queue delivered it.
#[derive(Debug)]
pub struct Delivery<R> {
    /// What is to be run.
    pub dispatch: Dispatch,
    /// What acknowledges it.
    pub receipt: R,
}

/// An execution that its worker gives up before it has begun.
#[derive(Debug)]
pub struct GivenUp<R> {
    /// What was to be run.
    pub dispatch: Dispatch,
    /// What acknowledges it, where that is not done yet.
    pub receipt: Option<R>,
    /// The claim. It may have been granted or not: where the worker does not know, it is undone if it was.
    pub key: ClaimKey,
}

/// On what occasion a worker looks for executions that nobody has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// The worker has just begun to take work: while there was none, requests may have been turned away.
    pub has_just_started: bool,
    /// It has room: whatever was delivered to it is being claimed at this moment.
    pub has_room: bool,
}

/// Something that a worker should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// Somebody asks to cancel this execution.
    Cancel(ExecutionId),
    /// A pack's actions or runtimes are new or have changed.
    PackRegistered {
        /// Which.
        pack: String,
        /// Canonical names of the runtimes that it uses.
        runtimes: Vec<String>,
    },
    /// A pack is gone.
    PackDeleted {
        /// Which.
        pack: String,
    },
}

/// The answer to a claim.
#[derive(Debug)]
pub enum ClaimReply {
    /// The execution is ours. Where it cannot be run at all, with how it ends.
    Granted(std::result::Result<Box<WorkOrder>, Box<Outcome>>),
    /// It is not ours, and must not be run.
    Denied(Denied),
    /// It was cancelled before anybody claimed it, and nobody has announced that yet.
    CancelledBefore(Box<Ending>),
    /// It was claimed by this very worker and has not ended. Where no task of this life holds that claim, an earlier
    /// life's statement reached the database after that life had been settled: it has to be reported as lost.
    Claimed(Box<Orphan>),
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

/// An execution that a worker has claimed and did not begin, or that an earlier life of it had claimed and did not end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphan {
    /// The claim.
    pub key: ClaimKey,
    /// The action's row, where it still exists.
    pub action: Option<ActionId>,
    /// What ran.
    pub action_ref: String,
    /// The state it was left in.
    pub status: ExecutionStatus,
}

impl Orphan {
    /// How one ends that was cancelled and had not begun.
    pub fn cancelled_before_start(self) -> Ending {
        let outcome =
            Outcome::without_process(Reason::CancelledBeforeStart, "cancelled before the action started");
        Ending::new(self.key, self.action, self.action_ref, &outcome)
    }

    /// How one ends that an earlier life left.
    pub fn ending(self) -> Ending {
        let outcome = if self.status == ExecutionStatus::Canceling {
            Outcome::without_process(
                Reason::Cancelled,
                "the worker died while the action was being cancelled",
            )
        } else {
            Outcome::without_process(Reason::WorkerLost, "the worker died while the action ran")
        };
        Ending::new(self.key, self.action, self.action_ref, &outcome)
    }
}
