//! The model: what can happen in a state, what comes of it, and what must hold.

use stateright::{Model, Property};

use super::action::{Action, Reply, Step};
use super::rules::{Protocol, Rule};
use super::state::{Affair, Bounds, Execution, Phase, Stage, State, Status, Task, Terminal, Worker};
use super::worker::At;
use super::{control_plane, worker};

/// Names of what must always hold.
pub(crate) mod always {
    pub(crate) const RUNS_ONCE: &str = "no execution's process is started twice";
    pub(crate) const FINAL: &str = "a terminal state is never replaced";
    pub(crate) const CLAIMED: &str = "a process runs only under its own claim";
    pub(crate) const RETIRED: &str = "an inactive worker owes nothing";
    pub(crate) const BLAMELESS: &str = "a worker abandons nothing unless it crashed";
    pub(crate) const SETTLED: &str =
        "where nothing is left to do, all is terminal, told, acknowledged and forgotten";
}

/// The protocol, and how much may go wrong while it is at work.
#[derive(Clone)]
pub(crate) struct Delivery {
    pub(crate) protocol: Protocol,
    /// One or two.
    pub(crate) executions: usize,
    pub(crate) bounds: Bounds,
    /// What is expected to be reachable within these bounds.
    pub(crate) sometimes: Vec<Property<Self>>,
}

impl Model for Delivery {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::new(self.executions, self.bounds)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.progress(state, actions);
        misfortune(state, actions);
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = *state;
        self.happen(&mut next, action);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::<Self>::always(always::RUNS_ONCE, |_, state| state.affairs.iter().all(|a| a.runs <= 1)),
            Property::<Self>::always(always::FINAL, |_, state| state.affairs.iter().all(|a| !a.replaced)),
            Property::<Self>::always(always::CLAIMED, |_, state| runs_under_its_claim(state)),
            Property::<Self>::always(always::RETIRED, |_, state| owes_nothing_when_inactive(state)),
            Property::<Self>::always(always::BLAMELESS, |model, state| {
                state.left.crashes < model.bounds.crashes
                    || state.affairs.iter().all(|a| a.row.status != Status::Final(Terminal::Abandoned))
            }),
            // Every step of progress comes nearer to an end, for each thing that could start another round is bounded.
            // So this one says what "eventually" would say, and says it about joining paths, too.
            Property::<Self>::always(always::SETTLED, |model, state| {
                is_settled(state) || {
                    let mut steps = Vec::new();
                    model.progress(state, &mut steps);
                    !steps.is_empty()
                }
            }),
        ];
        properties.extend(self.sometimes.iter().cloned());
        properties
    }
}

impl Delivery {
    /// What happens by itself sooner or later, while nothing goes wrong.
    fn progress(&self, state: &State, actions: &mut Vec<Action>) {
        for execution in Execution::ALL {
            scheduling(state, execution, self.protocol.rescues(), actions);
            self.rescue(state, execution, actions);
        }
        for worker in Worker::ALL {
            match state.phase(worker) {
                Phase::Gone => {}
                Phase::Inactive if !self.protocol.keeps(Rule::SomebodyStartsAgain) => {}
                Phase::Dead | Phase::Inactive => actions.push(Action::Restart { worker }),
                phase => {
                    self.work(state, worker, phase, actions);
                    self.turn(state, worker, phase, actions);
                }
            }
        }
    }

    fn work(&self, state: &State, worker: Worker, phase: Phase, actions: &mut Vec<Action>) {
        let other = state.phase(worker.other()) == Phase::Active;
        for execution in Execution::ALL {
            let desk = state.desk(worker, execution);
            for (slot, task) in desk.tasks.iter().enumerate() {
                let Some(task) = task else { continue };
                let Some(step) = worker::next_step(self.protocol, phase, other, *task) else { continue };
                actions.push(Action::Task { worker, execution, slot, step, reply: Reply::Answered });
                replies_that_fail(state, worker, (execution, slot), step, actions);
            }
            // A worker that drains takes from its queue what it can hand to somebody.
            let takes = phase == Phase::Active || (phase == Phase::Draining && other);
            if takes && desk.has_room() {
                let waiting = (1..).zip(desk.queue).filter(|(_, copies)| *copies > 0);
                actions.extend(waiting.map(|(attempt, _)| Action::Take { worker, execution, attempt }));
            }
        }
    }

    /// From one phase to the next.
    fn turn(&self, state: &State, worker: Worker, phase: Phase, actions: &mut Vec<Action>) {
        let idle = Execution::ALL.iter().all(|execution| state.desk(worker, *execution).is_idle());
        match phase {
            Phase::Starting => {
                let settles = self.protocol.keeps(Rule::SettleAtStart);
                let mut left_behind = Execution::ALL
                    .into_iter()
                    .filter(|execution| settles && state.is_left_behind(worker, *execution))
                    .peekable();
                let waits = Execution::ALL.iter().all(|execution| {
                    let waits = |task: Task| matches!(task.stage, Stage::HandingBack | Stage::HandedBack);
                    state.tasks(worker, *execution).all(waits)
                });
                if waits && left_behind.peek().is_none() {
                    actions.push(Action::Activate { worker });
                }
                let with_room = left_behind.filter(|execution| state.desk(worker, *execution).has_room());
                actions.extend(with_room.map(|execution| Action::Settle { worker, execution }));
            }
            // What it could not hand to anybody stays in its queue; so does what comes too late for its drain.
            Phase::Draining => {
                if idle {
                    actions.push(Action::Retire { worker });
                }
            }
            Phase::Active | Phase::Inactive | Phase::Dead | Phase::Gone => {}
        }
    }

    /// What active workers do about executions that nobody has. A moment has passed: what others are about to do is done.
    fn rescue(&self, state: &State, execution: Execution, actions: &mut Vec<Action>) {
        let affair = state.affair(execution);
        let in_hands = Worker::ALL.into_iter().any(|worker| {
            let asks = |task: Task| matches!(task.stage, Stage::HandedBack | Stage::Unclaimed);
            !matches!(state.phase(worker), Phase::Dead | Phase::Gone)
                && state.tasks(worker, execution).any(asks)
        });
        if !self.protocol.rescues() || in_hands || affair.requests > 0 || affair.undispatched.is_some() {
            return;
        }
        for worker in Worker::ALL.into_iter().filter(|worker| state.phase(*worker) == Phase::Active) {
            match affair.row.status {
                Status::Requested if self.protocol.keeps(Rule::AsksForWhatWasRejected) => {
                    actions.push(Action::AskAgain { worker, execution });
                }
                Status::Scheduled if self.protocol.keeps(Rule::TakesUpWhatIsLeft) => {
                    let whose = affair.row.worker.unwrap_or(worker);
                    let gone = !control_plane::is_schedulable(state.phase(whose));
                    let desk = state.desk(whose, execution);
                    let without_dispatch = desk.is_idle() && desk.queue.iter().all(|n| *n == 0);
                    if gone || (whose == worker && without_dispatch) {
                        actions.push(Action::TakeUp { worker, execution });
                    }
                }
                _ => {}
            }
        }
    }

    fn happen(&self, state: &mut State, action: Action) {
        match action {
            Action::GiveUp { execution } => control_plane::intervene(state, execution),
            Action::AskAgain { execution, .. } => state.affair_mut(execution).requests += 1,
            Action::TakeUp { execution, .. } => {
                control_plane::take_up(state, execution);
                state.affair_mut(execution).requests += 1;
            }
            Action::Schedule { execution, worker, again } => {
                control_plane::schedule(state, execution, worker);
                if again { state.left.duplicates -= 1 } else { state.affair_mut(execution).requests -= 1 }
            }
            Action::Reject { execution } | Action::DropRequest { execution } => {
                state.affair_mut(execution).requests -= 1;
            }
            Action::Dispatch { execution, copies } => {
                let affair = state.affair_mut(execution);
                let attempt = affair.row.attempt;
                let worker = affair.undispatched.take().expect("there is something to dispatch");
                state.desk_mut(worker, execution).enqueue(attempt, copies);
                state.left.duplicates -= copies - 1;
            }
            Action::Take { worker, execution, attempt } => worker::take(state, worker, execution, attempt),
            Action::Task { worker, execution, slot, step, reply } => {
                worker::advance(state, self.protocol, At { worker, execution, slot }, step, reply);
                match reply {
                    Reply::Answered => {}
                    Reply::Lost => state.left.losses -= 1,
                    Reply::Delayed => state.left.delays -= 1,
                }
            }
            Action::Settle { worker, execution } => worker::settle(state, worker, execution),
            Action::Activate { worker } => state.phases[worker as usize] = Phase::Active,
            Action::Retire { worker } => state.phases[worker as usize] = Phase::Inactive,
            Action::Restart { worker } => state.phases[worker as usize] = Phase::Starting,
            Action::LoseClaim { execution } => state.affair_mut(execution).late = None,
            misfortune => self.strike(state, misfortune),
        }
    }

    /// What spends a bound.
    fn strike(&self, state: &mut State, misfortune: Action) {
        match misfortune {
            Action::Drain { worker } => {
                state.phases[worker as usize] = Phase::Draining;
                state.left.drains -= 1;
            }
            Action::Crash { worker } => {
                worker::crash(state, self.protocol, worker);
                state.left.crashes -= 1;
            }
            Action::Disconnect { worker } => {
                worker::disconnect(state, worker);
                state.left.disconnects -= 1;
            }
            Action::Vanish { worker } => {
                state.phases[worker as usize] = Phase::Gone;
                state.left.vanishings -= 1;
            }
            Action::LateClaim { execution } => {
                if let Some(late) = state.affair_mut(execution).late.take() {
                    control_plane::claim(
                        state,
                        self.protocol,
                        execution,
                        late.worker,
                        late.attempt,
                        late.key,
                    );
                }
            }
            Action::Cancel { execution } => {
                control_plane::cancel(state, self.protocol, execution);
                state.left.cancels -= 1;
            }
            Action::Intervene { execution } => {
                control_plane::intervene(state, execution);
                state.left.interventions -= 1;
            }
            other => unreachable!("{other} is no misfortune"),
        }
    }
}

fn scheduling(state: &State, execution: Execution, forgets: bool, actions: &mut Vec<Action>) {
    let affair = state.affair(execution);
    if affair.requests > 0 && affair.row.status == Status::Requested {
        for worker in Worker::ALL {
            if control_plane::is_schedulable(state.phase(worker)) {
                actions.push(Action::Schedule { execution, worker, again: false });
                if state.left.duplicates > 0 {
                    actions.push(Action::Schedule { execution, worker, again: true });
                }
            }
        }
        // The dead look alive for a while, and then they do not.
        if forgets && !Worker::ALL.iter().any(|worker| state.phase(*worker) == Phase::Active) {
            actions.push(Action::Reject { execution });
        }
    } else if affair.requests > 0 {
        actions.push(Action::DropRequest { execution });
    }
    // The monitor ends what runs at a worker that it knows to be gone.
    if affair.row.is_under_way() && affair.row.worker.is_some_and(|worker| state.phase(worker) == Phase::Gone)
    {
        actions.push(Action::GiveUp { execution });
    }
    if affair.undispatched.is_some() {
        actions.push(Action::Dispatch { execution, copies: 1 });
        if state.left.duplicates > 0 {
            actions.push(Action::Dispatch { execution, copies: 2 });
        }
    }
}

/// What may become of a call to a server, as long as the bounds last.
fn replies_that_fail(
    state: &State,
    worker: Worker,
    (execution, slot): (Execution, usize),
    step: Step,
    actions: &mut Vec<Action>,
) {
    let asks = matches!(
        step,
        Step::Claim | Step::Finish | Step::Publish | Step::HandBack | Step::Request | Step::Unclaim
    );
    if asks && state.left.losses > 0 {
        actions.push(Action::Task { worker, execution, slot, step, reply: Reply::Lost });
    }
    if step == Step::Claim && state.left.delays > 0 && state.affair(execution).late.is_none() {
        actions.push(Action::Task { worker, execution, slot, step, reply: Reply::Delayed });
    }
}

/// What may happen or not, as long as its bound lasts.
fn misfortune(state: &State, actions: &mut Vec<Action>) {
    for worker in Worker::ALL {
        let phase = state.phase(worker);
        let is_down = matches!(phase, Phase::Dead | Phase::Inactive | Phase::Gone);
        let owes = |execution: &Execution| {
            let row = &state.affair(*execution).row;
            !state.desk(worker, *execution).is_idle() || (row.is_under_way() && row.worker == Some(worker))
        };
        if matches!(phase, Phase::Dead | Phase::Inactive)
            && state.left.vanishings > 0
            && !Execution::ALL.iter().any(owes)
            && state.phase(worker.other()) != Phase::Gone
        {
            actions.push(Action::Vanish { worker });
        }
        if !is_down && state.left.crashes > 0 {
            actions.push(Action::Crash { worker });
        }
        if phase == Phase::Active && state.left.drains > 0 {
            actions.push(Action::Drain { worker });
        }
        let unacked =
            Execution::ALL.iter().any(|execution| state.tasks(worker, *execution).any(|task| task.unacked));
        if unacked && state.left.disconnects > 0 {
            actions.push(Action::Disconnect { worker });
        }
    }
    for execution in Execution::ALL {
        let affair = state.affair(execution);
        if affair.late.is_some() {
            actions.extend([Action::LateClaim { execution }, Action::LoseClaim { execution }]);
        }
        let status = affair.row.status;
        if matches!(status, Status::Requested | Status::Scheduled | Status::Running) && state.left.cancels > 0
        {
            actions.push(Action::Cancel { execution });
        }
        if matches!(status, Status::Scheduled | Status::Running) && state.left.interventions > 0 {
            actions.push(Action::Intervene { execution });
        }
    }
}

fn each_task(state: &State) -> impl Iterator<Item = (Worker, Execution, Task)> {
    Worker::ALL.into_iter().flat_map(move |worker| {
        Execution::ALL.into_iter().flat_map(move |execution| {
            state.tasks(worker, execution).map(move |task| (worker, execution, task))
        })
    })
}

/// The one exception is what the monitor ended: its worker learns that when it finishes.
fn runs_under_its_claim(state: &State) -> bool {
    each_task(state).filter(|(.., task)| task.stage == Stage::Running).all(|(worker, execution, task)| {
        let row = &state.affair(execution).row;
        let lives = row.is_under_way() || row.status == Status::Final(Terminal::AbandonedByMonitor);
        lives && row.worker == Some(worker) && row.key == task.key
    })
}

/// The one exception is a claim that outlived its sender and reaches the row later still: the dispatch that it was made for waits
/// in the queue, and the next life settles it.
fn owes_nothing_when_inactive(state: &State) -> bool {
    Worker::ALL.into_iter().filter(|worker| state.phase(*worker) == Phase::Inactive).all(|worker| {
        Execution::ALL.into_iter().all(|execution| {
            let row = &state.affair(execution).row;
            let desk = state.desk(worker, execution);
            let runs = row.is_under_way() && row.worker == Some(worker);
            desk.is_idle() && (!runs || desk.queue.iter().any(|copies| *copies > 0))
        })
    })
}

/// An execution that was cancelled before anybody claimed it is its canceller's to tell. Dispatches that nobody will ever take
/// expire.
fn is_settled(state: &State) -> bool {
    let told = |a: &Affair| a.row.is_final() && (a.completed || a.row.key.is_none());
    state.affairs.iter().all(told)
        && each_task(state).next().is_none()
        && Worker::ALL.into_iter().filter(|worker| state.phase(*worker) != Phase::Gone).all(|worker| {
            let empty = |execution: &Execution| state.desk(worker, *execution).queue.iter().all(|n| *n == 0);
            Execution::ALL.iter().all(empty)
        })
}

/// What should be reachable, so that the bounds are known to reach the interesting places.
pub(crate) mod sometimes {
    use super::{Delivery, Execution, Phase, Property, Stage, State, Status, Terminal, Worker, each_task};

    pub(crate) fn a_second_delivery_is_denied() -> Property<Delivery> {
        Property::<Delivery>::sometimes("a second delivery of what has run is denied", |_, state| {
            each_task(state)
                .any(|(_, execution, task)| task.stage == Stage::Denied && state.affair(execution).runs == 1)
        })
    }

    pub(crate) fn a_claim_is_ours_and_we_do_not_know() -> Property<Delivery> {
        Property::<Delivery>::sometimes("a claim is granted, and its worker does not know", |_, state| {
            each_task(state).any(|(_, execution, task)| {
                task.stage == Stage::Claiming
                    && task.key.is_some()
                    && state.affair(execution).row.key == task.key
            })
        })
    }

    pub(crate) fn the_other_worker_runs_what_was_handed_back() -> Property<Delivery> {
        Property::<Delivery>::sometimes("the other worker runs what was handed back", |_, state| {
            each_task(state).any(|(worker, execution, task)| {
                task.stage == Stage::Running
                    && state.affair(execution).row.attempt == 2
                    && state.phase(worker.other()) == Phase::Inactive
            })
        })
    }

    pub(crate) fn a_request_is_rejected() -> Property<Delivery> {
        Property::<Delivery>::sometimes("a request is rejected and forgotten", |_, state| {
            state.affairs.iter().any(|affair| affair.row.status == Status::Requested && affair.requests == 0)
                && state.phases.iter().all(|phase| *phase == Phase::Inactive)
        })
    }

    pub(crate) fn what_was_rejected_is_asked_for_again() -> Property<Delivery> {
        Property::<Delivery>::sometimes("what was rejected runs", |_, state| {
            state.left.drains == 0
                && state.affairs.iter().any(|affair| affair.runs == 1 && affair.row.attempt == 1)
        })
    }

    pub(crate) fn the_next_life_runs_what_was_kept() -> Property<Delivery> {
        Property::<Delivery>::sometimes("what was kept waits for a drained worker's next life", |_, state| {
            Worker::ALL.into_iter().any(|worker| {
                state.phase(worker) == Phase::Inactive
                    && Execution::ALL.into_iter().any(|execution| {
                        let row = &state.affair(execution).row;
                        row.status == Status::Scheduled
                            && row.worker == Some(worker)
                            && state.desk(worker, execution).queue.iter().any(|copies| *copies > 0)
                    })
            })
        })
    }

    pub(crate) fn what_a_vanished_worker_left_runs() -> Property<Delivery> {
        Property::<Delivery>::sometimes("what a vanished worker left runs elsewhere", |_, state| {
            Worker::ALL.into_iter().any(|worker| {
                state.phase(worker) == Phase::Gone
                    && Execution::ALL.into_iter().any(|execution| {
                        state.affair(execution).row.attempt > 1
                            && state.tasks(worker.other(), execution).any(|task| task.stage == Stage::Running)
                    })
            })
        })
    }

    pub(crate) fn the_journal_finishes_what_a_crash_interrupted() -> Property<Delivery> {
        Property::<Delivery>::sometimes("a replay finds its row written before the crash", |_, state| {
            in_a_starting_worker(state, |state, execution, stage| {
                matches!(stage, Stage::Written(Terminal::Completed)) && !state.affair(execution).completed
            })
        })
    }

    pub(crate) fn settling_abandons() -> Property<Delivery> {
        Property::<Delivery>::sometimes("settling abandons what the earlier life ran", |_, state| {
            in_a_starting_worker(state, |state, execution, stage| {
                matches!(stage, Stage::Written(Terminal::Abandoned)) && state.affair(execution).runs == 1
            })
        })
    }

    pub(crate) fn a_late_claim_is_settled_at_denial() -> Property<Delivery> {
        Property::<Delivery>::sometimes(
            "a claim that outlived its worker is settled at a denial",
            |_, state| each_task(state).any(|(.., task)| task.stage == Stage::LeftBehind),
        )
    }

    pub(crate) fn a_late_finish_is_superseded() -> Property<Delivery> {
        Property::<Delivery>::sometimes("a late finish is superseded", |_, state| {
            each_task(state).any(|(.., task)| matches!(task.stage, Stage::Superseded(_)))
        })
    }

    pub(crate) fn what_runs_is_cancelled() -> Property<Delivery> {
        Property::<Delivery>::sometimes("what runs is cancelled", |_, state| {
            state
                .affairs
                .iter()
                .any(|affair| affair.runs == 1 && affair.row.status == Status::Final(Terminal::Cancelled))
        })
    }

    fn in_a_starting_worker(state: &State, wanted: impl Fn(&State, Execution, Stage) -> bool) -> bool {
        Worker::ALL.into_iter().filter(|worker| state.phase(*worker) == Phase::Starting).any(|worker| {
            Execution::ALL.into_iter().any(|execution| {
                state.tasks(worker, execution).any(|task| wanted(state, execution, task.stage))
            })
        })
    }
}
