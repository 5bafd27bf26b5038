//! A worker's side: take, claim, ack, spawn, journal, finish, publish, forget; hand back; crash and start again.

use super::action::{Reply, Step};
use super::control_plane::{self, ClaimReply, Finish, HandBack};
use super::rules::{Protocol, Rule};
use super::state::{Attempt, Execution, LateClaim, Phase, Stage, State, Status, Task, Terminal, Worker};

/// A task, and where it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct At {
    pub(crate) worker: Worker,
    pub(crate) execution: Execution,
    pub(crate) slot: usize,
}

/// What a task does next. `other` is there to take what this worker hands back, as far as it can see.
pub(crate) fn next_step(protocol: Protocol, phase: Phase, other: bool, task: Task) -> Option<Step> {
    Some(match task.stage {
        Stage::Taken if phase == Phase::Draining => {
            if other {
                Step::JournalHandBack
            } else {
                Step::Requeue
            }
        }
        Stage::Claiming if phase == Phase::Draining => Step::JournalHandBack,
        Stage::Taken if task.unacked && !protocol.keeps(Rule::ClaimBeforeAck) => Step::Ack,
        Stage::Taken | Stage::Claiming => Step::Claim,
        Stage::Granted | Stage::Asked if task.unacked => Step::Ack,
        Stage::Denied | Stage::LeftBehind => Step::Ack,
        Stage::Granted if phase == Phase::Draining => Step::JournalHandBack,
        Stage::Granted => Step::Spawn,
        Stage::Running => Step::End,
        Stage::Ended(_) => Step::Journal,
        Stage::Journalled(_) => Step::Finish,
        Stage::Written(_) => Step::Publish,
        Stage::Unclaimed => Step::DispatchAgain,
        // What an earlier life had begun to hand back waits until somebody can have it.
        Stage::HandingBack | Stage::HandedBack if phase == Phase::Starting => return None,
        Stage::HandingBack if phase == Phase::Draining && !other => Step::Unclaim,
        Stage::HandingBack => Step::HandBack,
        Stage::HandedBack => Step::Request,
        Stage::Asked | Stage::Superseded(_) | Stage::Published(_) => Step::Forget,
    })
}

/// Takes a dispatch from the queue, unacknowledged.
pub(crate) fn take(state: &mut State, worker: Worker, execution: Execution, attempt: Attempt) {
    let desk = state.desk_mut(worker, execution);
    desk.queue[usize::from(attempt) - 1] -= 1;
    desk.add(Task { stage: Stage::Taken, unacked: true, attempt, key: None });
}

/// Does one step of a task.
pub(crate) fn advance(state: &mut State, protocol: Protocol, at: At, step: Step, reply: Reply) {
    let Some(task) = state.desk(at.worker, at.execution).tasks[at.slot] else { return };
    let next = match step {
        Step::Claim => claim(state, protocol, at, task, reply),
        Step::Ack => ack(task),
        Step::Spawn => Some(spawn(state, at, task)),
        Step::End => Some(end(state, at, task)),
        Step::Journal => Some(journal(task)),
        Step::Finish => Some(finish(state, protocol, at, task, reply)),
        Step::Publish => Some(publish(state, at, task, reply)),
        Step::Forget => None,
        Step::JournalHandBack => {
            let key = task.key.filter(|_| protocol.keeps(Rule::HandBackNamesItsClaim));
            Some(Task { stage: Stage::HandingBack, key, ..task })
        }
        Step::Requeue => {
            state.desk_mut(at.worker, at.execution).enqueue(task.attempt, 1);
            None
        }
        Step::Unclaim => unclaim(state, protocol, at, task, reply),
        Step::DispatchAgain => {
            state.desk_mut(at.worker, at.execution).enqueue(task.attempt, 1);
            task.unacked.then_some(Task { stage: Stage::Denied, key: None, ..task })
        }
        Step::HandBack => hand_back(state, protocol, at, task, reply),
        Step::Request => Some(request(state, at, task, reply)),
    };
    state.desk_mut(at.worker, at.execution).set(at.slot, next.map(without_what_is_over));
}

/// Once it is claimed and acknowledged, nothing asks for a task's attempt.
fn without_what_is_over(task: Task) -> Task {
    let needed = task.unacked
        || matches!(
            task.stage,
            Stage::Taken | Stage::Claiming | Stage::HandingBack | Stage::HandedBack | Stage::Unclaimed
        );
    Task { attempt: if needed { task.attempt } else { 0 }, ..task }
}

fn claim(state: &mut State, protocol: Protocol, at: At, task: Task, reply: Reply) -> Option<Task> {
    let At { worker, execution, .. } = at;
    let kept = task.key.filter(|_| protocol.keeps(Rule::ClaimKeepsItsKey));
    let key = kept.unwrap_or_else(|| state.fresh_key(execution));
    let sent = Task { stage: Stage::Claiming, key: Some(key), ..task };
    if reply == Reply::Delayed {
        let late = LateClaim { worker, attempt: task.attempt, key };
        state.affair_mut(execution).late = Some(late);
        return Some(sent);
    }
    let answer = control_plane::claim(state, protocol, execution, worker, task.attempt, key);
    match (reply, answer) {
        (Reply::Lost, _) => Some(sent),
        (_, ClaimReply::Granted) => Some(Task { stage: Stage::Granted, ..sent }),
        (_, ClaimReply::Denied) => not_ours(state, protocol, at, task, Stage::Denied),
    }
}

/// What becomes of a delivery whose row is not ours to claim or to hand back.
///
/// A claim of an earlier life may have reached the row after this life had settled. The delivery that it was made for
/// was never acknowledged, so it comes again, and finds a row that is ours and that nobody knows of.
fn not_ours(state: &State, protocol: Protocol, at: At, task: Task, otherwise: Stage) -> Option<Task> {
    if state.is_left_behind(at.worker, at.execution) && protocol.keeps(Rule::SettleAtDenial) {
        return Some(left_behind(Task { key: state.affair(at.execution).row.key, ..task }));
    }
    let next = Task { stage: otherwise, key: None, ..task };
    (task.unacked || otherwise != Stage::Denied).then_some(next)
}

/// The delivery is acknowledged first: should that be the last thing this life does, the next one settles.
fn left_behind(task: Task) -> Task {
    let stage = if task.unacked { Stage::LeftBehind } else { Stage::Ended(Terminal::Abandoned) };
    Task { stage, ..task }
}

fn ack(task: Task) -> Option<Task> {
    let acked = Task { unacked: false, ..task };
    match task.stage {
        Stage::Denied => None,
        Stage::LeftBehind => Some(left_behind(acked)),
        _ => Some(acked),
    }
}

fn spawn(state: &mut State, at: At, task: Task) -> Task {
    let affair = state.affair_mut(at.execution);
    affair.runs = (affair.runs + 1).min(2);
    Task { stage: Stage::Running, ..task }
}

/// By itself, or because a cancellation was asked for.
fn end(state: &State, at: At, task: Task) -> Task {
    let outcome = match state.affair(at.execution).row.status {
        Status::Canceling => Terminal::Cancelled,
        _ => Terminal::Completed,
    };
    Task { stage: Stage::Ended(outcome), ..task }
}

fn journal(task: Task) -> Task {
    let Stage::Ended(outcome) = task.stage else { return task };
    Task { stage: Stage::Journalled(outcome), ..task }
}

fn finish(state: &mut State, protocol: Protocol, at: At, task: Task, reply: Reply) -> Task {
    let Stage::Journalled(outcome) = task.stage else { return task };
    let answer = control_plane::finish(state, protocol, at.execution, at.worker, task.key, outcome);
    let stage = match (reply, answer) {
        (Reply::Answered, Finish::Written) => Stage::Written(outcome),
        (Reply::Answered, Finish::Superseded) => Stage::Superseded(outcome),
        (Reply::Lost | Reply::Delayed, _) => task.stage,
    };
    Task { stage, ..task }
}

fn publish(state: &mut State, at: At, task: Task, reply: Reply) -> Task {
    state.affair_mut(at.execution).completed = true;
    match (task.stage, reply) {
        (Stage::Written(outcome), Reply::Answered) => Task { stage: Stage::Published(outcome), ..task },
        _ => task,
    }
}

fn hand_back(state: &mut State, protocol: Protocol, at: At, task: Task, reply: Reply) -> Option<Task> {
    let answer = control_plane::hand_back(state, protocol, at.execution, at.worker, task.key);
    match (reply, answer) {
        (Reply::Lost | Reply::Delayed, _) => Some(task),
        (Reply::Answered, HandBack::Requested) => Some(Task { stage: Stage::HandedBack, key: None, ..task }),
        (Reply::Answered, HandBack::NotOurs) => match cancelled(state, protocol, at, task) {
            Some(cancelled) => Some(cancelled),
            None => not_ours(state, protocol, at, task, Stage::Asked),
        },
    }
}

/// What somebody has asked to cancel cannot go back, and is this worker's to end.
fn cancelled(state: &State, protocol: Protocol, at: At, task: Task) -> Option<Task> {
    let row = state.affair(at.execution).row;
    let ours = row.worker == Some(at.worker) && row.key.is_some() && row.key == task.key;
    let is_cancelled =
        row.status == Status::Canceling && ours && protocol.keeps(Rule::CancelledIsNotHandedBack);
    is_cancelled.then_some(Task { stage: Stage::Ended(Terminal::Cancelled), ..task })
}

/// Who does not learn that it was done finds a row that is not its claim any more, and leaves it to whoever looks at rows.
fn unclaim(state: &mut State, protocol: Protocol, at: At, task: Task, reply: Reply) -> Option<Task> {
    let undone = control_plane::unclaim(state, protocol, at.execution, at.worker, task.key);
    if reply != Reply::Answered {
        return Some(task);
    }
    if let Some(cancelled) = cancelled(state, protocol, at, task) {
        return Some(cancelled);
    }
    let attempt = state.affair(at.execution).row.attempt;
    if undone {
        return Some(Task { stage: Stage::Unclaimed, key: None, attempt, ..task });
    }
    // An earlier try, whose answer was lost, may have released it when there was somebody to take it.
    if state.affair(at.execution).row.status == Status::Requested && protocol.keeps(Rule::HandBackAsksAgain) {
        return Some(Task { stage: Stage::HandedBack, key: None, ..task });
    }
    not_ours(state, protocol, at, task, Stage::Asked)
}

fn request(state: &mut State, at: At, task: Task, reply: Reply) -> Task {
    state.affair_mut(at.execution).requests += 1;
    let stage = if reply == Reply::Answered { Stage::Asked } else { task.stage };
    Task { stage, ..task }
}

/// A starting worker journals that what it finds under its name was lost with its earlier life.
pub(crate) fn settle(state: &mut State, worker: Worker, execution: Execution) {
    let key = state.affair(execution).row.key;
    let stage = Stage::Journalled(Terminal::Abandoned);
    state.desk_mut(worker, execution).add(Task { stage, unacked: false, attempt: 0, key });
}

/// Memory and processes are gone; rows, queues and journal are not. What was not acknowledged goes back to the queue.
pub(crate) fn crash(state: &mut State, protocol: Protocol, worker: Worker) {
    state.phases[worker as usize] = Phase::Dead;
    for execution in Execution::ALL {
        let desk = state.desk_mut(worker, execution);
        for task in std::mem::take(&mut desk.tasks).into_iter().flatten() {
            if task.unacked {
                desk.enqueue(task.attempt, 1);
            }
            if let Some(entry) = journalled(protocol, task)
                && !desk.tasks.contains(&Some(entry))
            {
                desk.add(entry);
            }
        }
    }
}

/// What the next life finds in the journal about this task.
fn journalled(protocol: Protocol, task: Task) -> Option<Task> {
    match task.stage {
        Stage::Journalled(outcome)
        | Stage::Written(outcome)
        | Stage::Superseded(outcome)
        | Stage::Published(outcome)
            if protocol.keeps(Rule::JournalBeforeFinish) =>
        {
            Some(Task { stage: Stage::Journalled(outcome), unacked: false, attempt: 0, key: task.key })
        }
        Stage::HandingBack | Stage::HandedBack | Stage::Asked | Stage::Unclaimed
            if protocol.keeps(Rule::JournalBeforeHandBack) =>
        {
            Some(Task { stage: Stage::HandingBack, unacked: false, attempt: 0, key: None })
        }
        _ => None,
    }
}

/// What is not acknowledged goes back to the queue; the tasks know nothing of it.
pub(crate) fn disconnect(state: &mut State, worker: Worker) {
    for execution in Execution::ALL {
        let desk = state.desk_mut(worker, execution);
        for slot in 0..desk.tasks.len() {
            let Some(task) = desk.tasks[slot].filter(|task| task.unacked) else { continue };
            desk.enqueue(task.attempt, 1);
            desk.tasks[slot] = match task.stage {
                // The acknowledgement fails, and nothing else was left to do.
                Stage::Denied => None,
                Stage::LeftBehind => Some(left_behind(Task { unacked: false, ..task })),
                _ => Some(Task { unacked: false, ..task }),
            }
            .map(without_what_is_over);
        }
        desk.tasks.sort_unstable();
    }
}
