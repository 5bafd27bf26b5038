//! What can happen, in the names of the code.

use super::state::{Attempt, Execution, Worker};

/// One step of a task at a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Claim,
    Ack,
    Spawn,
    /// The process ends.
    End,
    Journal,
    Finish,
    Publish,
    Forget,
    /// Journals that a delivery is to be handed back.
    JournalHandBack,
    HandBack,
    /// Publishes `execution.requested`.
    Request,
    /// Leaves a dispatch in the queue.
    Requeue,
    /// Undoes a claim: the row is scheduled for the same worker again.
    Unclaim,
    /// Publishes the dispatch of what was unclaimed.
    DispatchAgain,
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Claim => "claim",
            Self::Ack => "ack",
            Self::Spawn => "spawn",
            Self::End => "end",
            Self::Journal => "journal",
            Self::Finish => "finish",
            Self::Publish => "publish",
            Self::Forget => "forget",
            Self::JournalHandBack => "journal hand_back",
            Self::HandBack => "hand_back",
            Self::Request => "request",
            Self::Requeue => "requeue",
            Self::Unclaim => "unclaim",
            Self::DispatchAgain => "dispatch again",
        })
    }
}

/// What comes back from a call to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reply {
    Answered,
    /// It was done, and the worker does not know.
    Lost,
    /// It is not done yet, and the worker has given up waiting.
    Delayed,
}

/// One thing that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// The scheduler answers a request; `again` when the request will be delivered a second time.
    Schedule {
        execution: Execution,
        worker: Worker,
        again: bool,
    },
    /// The scheduler drops a request for what is not `requested`.
    DropRequest {
        execution: Execution,
    },
    /// The scheduler has no worker for a request, and forgets it.
    Reject {
        execution: Execution,
    },
    /// The monitor ends what runs at a worker that is gone.
    GiveUp {
        execution: Execution,
    },
    /// An active worker asks for what is `requested` and in nobody's hands.
    AskAgain {
        worker: Worker,
        execution: Execution,
    },
    /// An active worker takes an execution out of the hands of one that is not, or of its own, and asks for it.
    TakeUp {
        worker: Worker,
        execution: Execution,
    },
    /// The scheduler publishes the dispatch.
    Dispatch {
        execution: Execution,
        copies: u8,
    },
    Take {
        worker: Worker,
        execution: Execution,
        attempt: Attempt,
    },
    Task {
        worker: Worker,
        execution: Execution,
        slot: usize,
        step: Step,
        reply: Reply,
    },
    /// A starting worker journals the end of a row that it finds under its name and not in its journal.
    Settle {
        worker: Worker,
        execution: Execution,
    },
    Activate {
        worker: Worker,
    },
    Drain {
        worker: Worker,
    },
    /// A drained worker shows itself `inactive`.
    Retire {
        worker: Worker,
    },
    Crash {
        worker: Worker,
    },
    Restart {
        worker: Worker,
    },
    /// A worker's name never comes back.
    Vanish {
        worker: Worker,
    },
    /// The connection to the broker breaks and comes back.
    Disconnect {
        worker: Worker,
    },
    /// A delayed claim reaches the row.
    LateClaim {
        execution: Execution,
    },
    /// A delayed claim is never carried out.
    LoseClaim {
        execution: Execution,
    },
    /// Somebody asks to cancel.
    Cancel {
        execution: Execution,
    },
    /// The monitor ends a row: a running one whose worker looks dead, or one that stays `scheduled`.
    Intervene {
        execution: Execution,
    },
}

impl std::fmt::Display for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Schedule { execution, worker, again } => {
                write!(
                    f,
                    "schedule {execution:?} for {worker:?}{}",
                    if *again { ", request again" } else { "" }
                )
            }
            Self::DropRequest { execution } => write!(f, "drop request for {execution:?}"),
            Self::GiveUp { execution } => write!(f, "monitor gives up {execution:?}"),
            Self::Reject { execution } => write!(f, "reject request for {execution:?}"),
            Self::AskAgain { worker, execution } => write!(f, "{worker:?} ask again for {execution:?}"),
            Self::TakeUp { worker, execution } => write!(f, "{worker:?} take up {execution:?}"),
            Self::Vanish { worker } => write!(f, "{worker:?} VANISH"),
            Self::Dispatch { execution, copies: 1 } => write!(f, "dispatch {execution:?}"),
            Self::Dispatch { execution, copies } => write!(f, "dispatch {execution:?} ×{copies}"),
            Self::Take { worker, execution, attempt } => write!(f, "{worker:?} take {execution:?}/{attempt}"),
            Self::Task { worker, execution, step, reply, .. } => {
                write!(f, "{worker:?} {step} {execution:?}")?;
                match reply {
                    Reply::Answered => Ok(()),
                    Reply::Lost => f.write_str(", reply lost"),
                    Reply::Delayed => f.write_str(", delayed"),
                }
            }
            Self::Settle { worker, execution } => write!(f, "{worker:?} settle {execution:?}"),
            Self::Activate { worker } => write!(f, "{worker:?} active"),
            Self::Drain { worker } => write!(f, "{worker:?} drain"),
            Self::Retire { worker } => write!(f, "{worker:?} inactive"),
            Self::Crash { worker } => write!(f, "{worker:?} CRASH"),
            Self::Restart { worker } => write!(f, "{worker:?} restart"),
            Self::Disconnect { worker } => write!(f, "{worker:?} DISCONNECT"),
            Self::LateClaim { execution } => write!(f, "late claim of {execution:?} arrives"),
            Self::LoseClaim { execution } => write!(f, "late claim of {execution:?} never arrives"),
            Self::Cancel { execution } => write!(f, "cancel {execution:?}"),
            Self::Intervene { execution } => write!(f, "monitor ends {execution:?}"),
        }
    }
}
