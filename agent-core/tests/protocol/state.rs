//! What the model remembers: rows, messages, what workers hold, and how much may still go wrong.
//!
//! A state is one small value without pointers. Whatever cannot matter any more is reset, so that two histories with
//! the same future are the same state.

use std::num::NonZeroU8;

/// Of two workers, one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Worker {
    A,
    B,
}

impl Worker {
    pub(crate) const ALL: [Self; 2] = [Self::A, Self::B];

    pub(crate) const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// Of two executions, one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Execution {
    First,
    Second,
}

impl Execution {
    pub(crate) const ALL: [Self; 2] = [Self::First, Self::Second];
}

/// The highest attempt within all bounds: the first scheduling, for each drain one more when it gives the execution up, one when
/// somebody else takes up what it left, and one for each reply that is lost on the way.
pub(crate) const ATTEMPTS: usize = 8;

/// Two deliveries of one execution at one worker at a time; a third waits in the queue.
pub(crate) const SLOTS: usize = 2;

/// Which scheduling of an execution: what `execution.updated` was. Zero before the first, and where it does not matter.
pub(crate) type Attempt = u8;

/// The claim key, `started_at`: only equality counts, so a fresh one is the smallest number that nobody holds.
pub(crate) type Key = NonZeroU8;

/// A terminal state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Terminal {
    Completed,
    Cancelled,
    Failed,
    /// By the worker that had it.
    Abandoned,
    /// By the executor's monitor. In the database it is the same `abandoned`; only the properties tell them apart.
    AbandonedByMonitor,
}

impl Terminal {
    /// What the row's column says.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
            Self::Abandoned | Self::AbandonedByMonitor => "abandoned",
        }
    }
}

/// `execution.status`. `scheduling` is the scheduler's own affair and is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Status {
    Requested,
    Scheduled,
    Running,
    Canceling,
    Final(Terminal),
}

/// A row of `execution`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Row {
    pub(crate) status: Status,
    pub(crate) worker: Option<Worker>,
    pub(crate) attempt: Attempt,
    /// `started_at`. There is one if and only if the execution was ever claimed.
    pub(crate) key: Option<Key>,
}

impl Row {
    pub(crate) const fn is_under_way(self) -> bool {
        matches!(self.status, Status::Running | Status::Canceling)
    }

    pub(crate) const fn is_final(self) -> bool {
        matches!(self.status, Status::Final(_))
    }
}

/// How far a worker is with one delivery, or with one entry of its journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// Delivered, nothing done.
    Taken,
    /// A claim was sent and is not answered.
    Claiming,
    Granted,
    Denied,
    /// The row is ours under a key that nobody in this life holds.
    LeftBehind,
    /// A process runs.
    Running,
    /// How the execution ended is known, in memory.
    Ended(Terminal),
    /// … and in the journal.
    Journalled(Terminal),
    /// … and in the row.
    Written(Terminal),
    /// The row was ended by somebody else.
    Superseded(Terminal),
    /// The completion is published and confirmed.
    Published(Terminal),
    /// To be handed back, says the journal.
    HandingBack,
    /// The row is `requested` again, and nobody may have been told.
    HandedBack,
    /// `execution.requested` is published, or not needed.
    Asked,
    /// A claim was undone in favour of this worker's next life, and the dispatch is not published yet.
    Unclaimed,
}

/// One delivery, or one entry of the journal, or first the one and then the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Task {
    pub(crate) stage: Stage,
    /// The broker still waits for our acknowledgement.
    pub(crate) unacked: bool,
    pub(crate) attempt: Attempt,
    pub(crate) key: Option<Key>,
}

/// What a worker is up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Phase {
    Active,
    /// Replays its journal and settles; takes nothing yet.
    Starting,
    Draining,
    /// Drained, and shown as such.
    Inactive,
    Dead,
    /// Nobody will ever start under this name again, and everybody can see that. What its journal held was delivered.
    Gone,
}

/// A claim that was sent and has not reached the row: it can still do so when its sender is dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct LateClaim {
    pub(crate) worker: Worker,
    pub(crate) attempt: Attempt,
    pub(crate) key: Key,
}

/// How often each thing may go wrong, or be asked for, in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Bounds {
    pub(crate) crashes: u8,
    /// Replies and confirms that never arrive, though what they answer was done.
    pub(crate) losses: u8,
    /// Claims that reach the row later than their sender waits, or never.
    pub(crate) delays: u8,
    /// Dispatches published twice, requests delivered twice.
    pub(crate) duplicates: u8,
    /// Connections to the broker that break, so that what is not acknowledged comes again.
    pub(crate) disconnects: u8,
    pub(crate) drains: u8,
    pub(crate) cancels: u8,
    /// Rows ended by the executor's monitor.
    pub(crate) interventions: u8,
    /// Names that never come back.
    pub(crate) vanishings: u8,
}

impl Bounds {
    pub(crate) const NONE: Self = Self {
        crashes: 0,
        losses: 0,
        delays: 0,
        duplicates: 0,
        disconnects: 0,
        drains: 0,
        cancels: 0,
        interventions: 0,
        vanishings: 0,
    };
}

/// Everything about one execution that is not at a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Affair {
    pub(crate) row: Row,
    /// `execution.requested` messages on their way to the scheduler.
    pub(crate) requests: u8,
    /// Scheduled for this worker, and the dispatch is not published yet.
    pub(crate) undispatched: Option<Worker>,
    pub(crate) late: Option<LateClaim>,
    /// How many processes were started, as far as two.
    pub(crate) runs: u8,
    /// At least one completion was published.
    pub(crate) completed: bool,
    /// A terminal state was replaced.
    pub(crate) replaced: bool,
}

/// One execution at one worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Desk {
    /// Dispatches that wait in the worker's queue, by attempt.
    pub(crate) queue: [u8; ATTEMPTS],
    pub(crate) tasks: [Option<Task>; SLOTS],
}

impl Desk {
    const EMPTY: Self = Self { queue: [0; ATTEMPTS], tasks: [None; SLOTS] };

    pub(crate) fn enqueue(&mut self, attempt: Attempt, copies: u8) {
        self.queue[usize::from(attempt) - 1] += copies;
    }

    pub(crate) fn has_room(&self) -> bool {
        self.tasks.contains(&None)
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.tasks == [None; SLOTS]
    }

    /// Puts a task where there is room. Which slot it has means nothing, so they are kept sorted.
    pub(crate) fn add(&mut self, task: Task) {
        let free = self.tasks.iter_mut().find(|slot| slot.is_none()).expect("there is room");
        *free = Some(task);
        self.tasks.sort_unstable();
    }

    pub(crate) fn set(&mut self, slot: usize, task: Option<Task>) {
        self.tasks[slot] = task;
        self.tasks.sort_unstable();
    }
}

/// The whole world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct State {
    pub(crate) affairs: [Affair; 2],
    pub(crate) phases: [Phase; 2],
    pub(crate) desks: [[Desk; 2]; 2],
    pub(crate) left: Bounds,
}

impl State {
    /// One or two executions are requested, and both workers are active.
    pub(crate) fn new(executions: usize, bounds: Bounds) -> Self {
        let requested = Affair {
            row: Row { status: Status::Requested, worker: None, attempt: 0, key: None },
            requests: 1,
            undispatched: None,
            late: None,
            runs: 0,
            completed: false,
            replaced: false,
        };
        let mut affairs = [requested; 2];
        for absent in affairs.iter_mut().skip(executions) {
            absent.row.status = Status::Final(Terminal::Cancelled);
            absent.requests = 0;
        }
        Self { affairs, phases: [Phase::Active; 2], desks: [[Desk::EMPTY; 2]; 2], left: bounds }
    }

    pub(crate) fn affair(&self, execution: Execution) -> &Affair {
        &self.affairs[execution as usize]
    }

    pub(crate) fn affair_mut(&mut self, execution: Execution) -> &mut Affair {
        &mut self.affairs[execution as usize]
    }

    pub(crate) fn phase(&self, worker: Worker) -> Phase {
        self.phases[worker as usize]
    }

    pub(crate) fn desk(&self, worker: Worker, execution: Execution) -> &Desk {
        &self.desks[worker as usize][execution as usize]
    }

    pub(crate) fn desk_mut(&mut self, worker: Worker, execution: Execution) -> &mut Desk {
        &mut self.desks[worker as usize][execution as usize]
    }

    pub(crate) fn tasks(&self, worker: Worker, execution: Execution) -> impl Iterator<Item = Task> {
        self.desk(worker, execution).tasks.into_iter().flatten()
    }

    /// A key for a new claim.
    pub(crate) fn fresh_key(&self, execution: Execution) -> Key {
        let affair = self.affair(execution);
        let taken = |key: Key| {
            affair.row.key == Some(key)
                || affair.late.is_some_and(|late| late.key == key)
                || Worker::ALL.iter().any(|worker| self.holds(*worker, execution, key))
        };
        (1..=Key::MAX.get()).filter_map(Key::new).find(|key| !taken(*key)).expect("keys are few")
    }

    /// Whether this life of the worker knows the key: from a claim of its own, or from its journal.
    pub(crate) fn holds(&self, worker: Worker, execution: Execution, key: Key) -> bool {
        self.tasks(worker, execution).any(|task| task.key == Some(key))
    }

    /// Whether the row is this worker's, under a key that this life does not know.
    pub(crate) fn is_left_behind(&self, worker: Worker, execution: Execution) -> bool {
        let row = &self.affair(execution).row;
        row.is_under_way()
            && row.worker == Some(worker)
            && row.key.is_some_and(|key| !self.holds(worker, execution, key))
    }

    /// Sets the row's state, and keeps in mind whether that replaced a terminal one.
    pub(crate) fn set_status(&mut self, execution: Execution, status: Status) {
        let affair = self.affair_mut(execution);
        affair.replaced |= affair.row.is_final() && affair.row.status != status;
        affair.row.status = status;
    }

    /// One state for all that differ only in which worker and which execution is called what.
    pub(crate) fn representative(&self) -> Self {
        let workers = self.with_workers_swapped();
        let executions = self.with_executions_swapped();
        let both = workers.with_executions_swapped();
        (*self).min(workers).min(executions).min(both)
    }

    fn with_workers_swapped(mut self) -> Self {
        self.phases.swap(0, 1);
        self.desks.swap(0, 1);
        for affair in &mut self.affairs {
            affair.row.worker = affair.row.worker.map(Worker::other);
            affair.undispatched = affair.undispatched.map(Worker::other);
            affair.late = affair.late.map(|late| LateClaim { worker: late.worker.other(), ..late });
        }
        self
    }

    fn with_executions_swapped(mut self) -> Self {
        self.affairs.swap(0, 1);
        for desks in &mut self.desks {
            desks.swap(0, 1);
        }
        self
    }
}
