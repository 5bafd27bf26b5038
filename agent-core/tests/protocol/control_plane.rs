//! The other side: the scheduler, the API, the monitor, and the statements that compare and set rows.

use super::rules::{Protocol, Rule};
use super::state::{Attempt, Execution, Key, Phase, State, Status, Terminal, Worker};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClaimReply {
    Granted,
    Denied,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finish {
    Written,
    Superseded,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HandBack {
    /// The row is `requested`.
    Requested,
    /// It is something else, and not ours to hand back.
    NotOurs,
}

/// Whether the scheduler may pick this worker. The dead look alive for a while, and a row cannot tell.
pub(crate) fn is_schedulable(phase: Phase) -> bool {
    matches!(phase, Phase::Active | Phase::Starting | Phase::Dead)
}

pub(crate) fn schedule(state: &mut State, execution: Execution, worker: Worker) {
    state.set_status(execution, Status::Scheduled);
    let affair = state.affair_mut(execution);
    affair.row.worker = Some(worker);
    affair.row.attempt += 1;
    affair.undispatched = Some(worker);
}

/// `scheduled → running` for this worker and attempt, under this key.
pub(crate) fn claim(
    state: &mut State,
    protocol: Protocol,
    execution: Execution,
    worker: Worker,
    attempt: Attempt,
    key: Key,
) -> ClaimReply {
    let row = state.affair(execution).row;
    let expected = row.status == Status::Scheduled || !protocol.keeps(Rule::ClaimComparesStatus);
    let ours = row.worker == Some(worker) && row.attempt == attempt;
    if expected && (ours || !protocol.keeps(Rule::ClaimComparesAttempt)) {
        state.set_status(execution, Status::Running);
        state.affair_mut(execution).row.key = Some(key);
        return ClaimReply::Granted;
    }
    let granted_before = match row.status {
        Status::Running => true,
        Status::Canceling => protocol.keeps(Rule::ClaimIsGrantedWhileCanceling),
        _ => false,
    };
    if granted_before && row.worker == Some(worker) && row.key == Some(key) {
        ClaimReply::Granted
    } else {
        ClaimReply::Denied
    }
}

/// `running` or `canceling` → terminal, for the holder of the key.
pub(crate) fn finish(
    state: &mut State,
    protocol: Protocol,
    execution: Execution,
    worker: Worker,
    key: Option<Key>,
    outcome: Terminal,
) -> Finish {
    let row = state.affair(execution).row;
    let ours = row.worker == Some(worker) && row.key == key;
    if (row.is_under_way() && ours) || !protocol.keeps(Rule::FinishCompares) {
        state.set_status(execution, Status::Final(outcome));
        return Finish::Written;
    }
    match row.status {
        Status::Final(found) if ours && found.label() == outcome.label() => {
            if protocol.keeps(Rule::FinishKnowsItsOwn) { Finish::Written } else { Finish::Superseded }
        }
        _ => Finish::Superseded,
    }
}

/// `scheduled → requested` for this worker, or `running → requested` for the holder of this key.
pub(crate) fn hand_back(
    state: &mut State,
    protocol: Protocol,
    execution: Execution,
    worker: Worker,
    key: Option<Key>,
) -> HandBack {
    let row = state.affair(execution).row;
    let unclaimed = row.status == Status::Scheduled;
    let claimed = row.status == Status::Running && key.is_some() && row.key == key;
    if row.worker == Some(worker) && (unclaimed || claimed) {
        request(state, execution);
        return HandBack::Requested;
    }
    if row.status == Status::Requested && protocol.keeps(Rule::HandBackAsksAgain) {
        HandBack::Requested
    } else {
        HandBack::NotOurs
    }
}

/// Nobody has it.
fn request(state: &mut State, execution: Execution) {
    state.set_status(execution, Status::Requested);
    let row = &mut state.affair_mut(execution).row;
    (row.worker, row.key) = (None, None);
}

/// `running → scheduled` for the holder of this key, or `scheduled → scheduled`: for the same worker, as another attempt;
/// whether it was so.
pub(crate) fn unclaim(
    state: &mut State,
    protocol: Protocol,
    execution: Execution,
    worker: Worker,
    key: Option<Key>,
) -> bool {
    let row = state.affair(execution).row;
    let claimed = row.status == Status::Running && row.key == key;
    let unclaimed = row.status == Status::Scheduled;
    let undone = row.worker == Some(worker) && (claimed || unclaimed);
    if unclaimed && undone && !protocol.keeps(Rule::KeptIsAnotherAttempt) {
        return true;
    }
    if undone {
        state.set_status(execution, Status::Scheduled);
        let row = &mut state.affair_mut(execution).row;
        row.attempt += 1;
        row.key = None;
    }
    undone
}

/// `scheduled → requested`, whoever had it.
pub(crate) fn take_up(state: &mut State, execution: Execution) {
    request(state, execution);
}

/// Somebody asks to cancel. What is not claimed is over at once. Without a comparison, so is what was claimed after
/// somebody looked.
pub(crate) fn cancel(state: &mut State, protocol: Protocol, execution: Execution) {
    let next = match state.affair(execution).row.status {
        Status::Running if protocol.keeps(Rule::CancelCompares) => Status::Canceling,
        _ => Status::Final(Terminal::Cancelled),
    };
    state.set_status(execution, next);
}

/// The monitor gives up on a row, and says so itself.
pub(crate) fn intervene(state: &mut State, execution: Execution) {
    let end = match state.affair(execution).row.status {
        Status::Scheduled => Terminal::Failed,
        _ => Terminal::AbandonedByMonitor,
    };
    state.set_status(execution, Status::Final(end));
    state.affair_mut(execution).completed = true;
}
