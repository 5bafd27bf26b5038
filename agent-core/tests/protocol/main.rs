//! The delivery protocol, explored exhaustively: whatever two workers, the broker and the control plane do in whatever
//! order, with crashes at every step and lost replies, nothing is lost, runs twice or is overwritten.
//!
//! The model is of the protocol, not of the code; its steps carry the names that the code has for them. What is taken
//! for granted: the database carries out one statement at a time, the broker and the disk lose nothing that they have
//! confirmed, no two processes live under one worker's name, and a worker that crashed starts again some day, unless its
//! journal was empty.
//!
//! The smaller explorations run with all other tests. The larger ones are ignored by default:
//! `cargo test --workspace --test protocol -- --ignored`.

mod action;
mod control_plane;
mod model;
mod rules;
mod state;
mod worker;

use std::collections::BTreeSet;
use std::fmt;
use std::time::{Duration, Instant};

use stateright::{Checker, HasDiscoveries, Model, Property};

use self::action::Action;
use self::model::{Delivery, always, sometimes};
use self::rules::{Protocol, Rule};
use self::state::{Bounds, State};

const THREADS: usize = 2;

/// No counterexample has as many steps.
const LONGEST: usize = 30;

/// What an exploration came to.
struct Explored {
    executions: usize,
    bounds: Bounds,
    transitions: usize,
    states: usize,
    depth: usize,
    took: Duration,
}

impl fmt::Display for Explored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { executions, bounds, transitions, states, depth, took } = self;
        write!(
            f,
            "{executions} execution(s), {bounds:?}: {transitions} transitions, {states} states up to symmetry, depth \
             {depth}, {:.1} s",
            took.as_secs_f64()
        )
    }
}

/// Explores everything within the bounds. Fails where something does not hold that always must, and where something is
/// out of reach that should not be.
fn explore(executions: usize, bounds: Bounds, sometimes: Vec<Property<Delivery>>) -> Explored {
    explore_protocol(Protocol::WITHOUT_RESCUE, executions, bounds, sometimes)
}

/// The same, with workers that look for what others left, and an executor that forgets what nobody could take.
fn explore_rescue(executions: usize, bounds: Bounds, sometimes: Vec<Property<Delivery>>) -> Explored {
    explore_protocol(Protocol::WHOLE, executions, bounds, sometimes)
}

fn explore_protocol(
    protocol: Protocol,
    executions: usize,
    bounds: Bounds,
    sometimes: Vec<Property<Delivery>>,
) -> Explored {
    let began = Instant::now();
    let model = Delivery { protocol, executions, bounds, sometimes };
    let checker = model.checker().threads(THREADS).symmetry_fn(State::representative).spawn_dfs().join();
    checker.assert_properties();
    Explored {
        executions,
        bounds,
        transitions: checker.state_count(),
        states: checker.unique_state_count(),
        depth: checker.max_depth(),
        took: began.elapsed(),
    }
}

#[test]
fn two_executions_survive_crashes_lost_replies_late_claims_and_duplicates() {
    let bounds = Bounds { crashes: 2, losses: 1, delays: 1, duplicates: 1, ..Bounds::NONE };
    let explored = explore(
        2,
        bounds,
        vec![
            sometimes::a_second_delivery_is_denied(),
            sometimes::a_claim_is_ours_and_we_do_not_know(),
            sometimes::the_journal_finishes_what_a_crash_interrupted(),
            sometimes::settling_abandons(),
            sometimes::a_late_claim_is_settled_at_denial(),
        ],
    );
    println!("{explored}");
}

#[test]
fn two_executions_survive_two_crashes_of_each_worker() {
    let bounds = Bounds { crashes: 4, losses: 2, delays: 1, ..Bounds::NONE };
    let explored = explore(
        2,
        bounds,
        vec![
            sometimes::the_journal_finishes_what_a_crash_interrupted(),
            sometimes::settling_abandons(),
            sometimes::a_late_claim_is_settled_at_denial(),
        ],
    );
    println!("{explored}");
}

#[test]
fn two_executions_survive_a_drain_with_a_crash() {
    let bounds = Bounds { crashes: 1, losses: 1, drains: 1, ..Bounds::NONE };
    let explored = explore(
        2,
        bounds,
        vec![sometimes::the_other_worker_runs_what_was_handed_back(), sometimes::settling_abandons()],
    );
    println!("{explored}");
}

#[test]
fn a_drain_survives_two_crashes_late_claims_and_duplicates() {
    let bounds = Bounds { crashes: 2, losses: 1, delays: 1, duplicates: 1, drains: 1, ..Bounds::NONE };
    let explored = explore(
        1,
        bounds,
        vec![
            sometimes::a_second_delivery_is_denied(),
            sometimes::the_other_worker_runs_what_was_handed_back(),
            sometimes::a_late_claim_is_settled_at_denial(),
        ],
    );
    println!("{explored}");
}

/// No worker at all for a while, and names that never come back, under an executor that forgets what it rejects.
#[test]
fn nothing_is_stranded_by_workers_that_stop() {
    let expected = || {
        vec![
            sometimes::a_request_is_rejected(),
            sometimes::what_was_rejected_is_asked_for_again(),
            sometimes::the_next_life_runs_what_was_kept(),
        ]
    };
    let crashed = Bounds { drains: 2, crashes: 1, losses: 1, delays: 1, ..Bounds::NONE };
    println!("{}", explore_rescue(1, crashed, expected()));
    let vanished = Bounds { drains: 2, crashes: 1, losses: 1, vanishings: 1, ..Bounds::NONE };
    println!("{}", explore_rescue(1, vanished, vec![sometimes::what_a_vanished_worker_left_runs()]));
    let cancelled = Bounds { drains: 2, cancels: 1, interventions: 1, duplicates: 1, ..Bounds::NONE };
    println!("{}", explore_rescue(1, cancelled, Vec::new()));
}

#[test]
fn two_executions_survive_cancellation_and_the_monitor() {
    let bounds = Bounds { crashes: 1, losses: 1, cancels: 1, interventions: 1, ..Bounds::NONE };
    let explored = explore(
        2,
        bounds,
        vec![sometimes::a_late_finish_is_superseded(), sometimes::what_runs_is_cancelled()],
    );
    println!("{explored}");
}

#[test]
fn cancellation_and_the_monitor_meet_a_drain_or_a_broken_connection() {
    let rough = Bounds { crashes: 1, losses: 1, delays: 1, cancels: 1, interventions: 1, ..Bounds::NONE };
    for bounds in [Bounds { drains: 1, ..rough }, Bounds { duplicates: 1, disconnects: 1, ..rough }] {
        let expected = vec![sometimes::a_late_finish_is_superseded(), sometimes::what_runs_is_cancelled()];
        println!("{}", explore(1, bounds, expected));
    }
}

#[test]
#[ignore = "some minutes of two threads"]
fn everything_at_once() {
    let each = Bounds {
        crashes: 1,
        losses: 1,
        delays: 1,
        duplicates: 1,
        disconnects: 1,
        drains: 1,
        cancels: 1,
        interventions: 1,
        vanishings: 0,
    };
    println!("{}", explore(1, each, Vec::new()));
    let twice = Bounds { crashes: 2, losses: 2, cancels: 0, interventions: 0, ..each };
    println!("{}", explore(1, twice, Vec::new()));
    let drained = Bounds { crashes: 2, losses: 1, drains: 1, ..Bounds::NONE };
    println!("{}", explore(2, drained, Vec::new()));
    let stopped = Bounds { drains: 2, losses: 1, ..Bounds::NONE };
    println!("{}", explore_rescue(2, stopped, Vec::new()));
}

/// Symmetry may fold at most the two names of each into one, and nothing may hold only because it folds.
#[test]
fn without_symmetry_there_are_at_most_four_times_as_many_states() {
    let bounds = Bounds { crashes: 2, losses: 1, ..Bounds::NONE };
    let folded = explore(2, bounds, Vec::new());
    let model = Delivery { protocol: Protocol::WITHOUT_RESCUE, executions: 2, bounds, sometimes: Vec::new() };
    let plain = model.checker().threads(THREADS).spawn_dfs().join();
    plain.assert_properties();
    assert!((folded.states..=4 * folded.states).contains(&plain.unique_state_count()));
    println!("{folded}; {} without", plain.unique_state_count());
}

/// Breaks one rule, and returns a shortest way to what then does not hold.
fn counterexample(rule: Rule, bounds: Bounds, broken: &'static str) -> Vec<Action> {
    let model = Delivery { protocol: Protocol::without(rule), executions: 1, bounds, sometimes: Vec::new() };
    // The checker reports any way that it has found when it stops, so it is let in one step deeper at a time.
    let shortest = (2..LONGEST).find_map(|depth| {
        let checker = model
            .clone()
            .checker()
            .target_max_depth(depth)
            .finish_when(HasDiscoveries::AnyOf(BTreeSet::from([broken])))
            .spawn_bfs()
            .join();
        checker.discovery(broken)
    });
    shortest.unwrap_or_else(|| panic!("{broken}, even without {rule:?}")).into_actions()
}

/// A rule, how little has to go wrong for it to be needed, and what does not hold without it.
const NEEDED: &[(Rule, Bounds, &str)] = &[
    (Rule::ClaimBeforeAck, Bounds { crashes: 1, ..Bounds::NONE }, always::SETTLED),
    (
        Rule::ClaimComparesAttempt,
        Bounds { crashes: 1, duplicates: 1, drains: 1, ..Bounds::NONE },
        always::CLAIMED,
    ),
    (Rule::ClaimComparesStatus, Bounds { duplicates: 1, ..Bounds::NONE }, always::RUNS_ONCE),
    (Rule::ClaimKeepsItsKey, Bounds { losses: 1, ..Bounds::NONE }, always::SETTLED),
    (Rule::ClaimIsGrantedWhileCanceling, Bounds { losses: 1, cancels: 1, ..Bounds::NONE }, always::SETTLED),
    (Rule::JournalBeforeFinish, Bounds { crashes: 1, ..Bounds::NONE }, always::SETTLED),
    (Rule::FinishCompares, Bounds { interventions: 1, ..Bounds::NONE }, always::FINAL),
    (Rule::FinishKnowsItsOwn, Bounds { losses: 1, ..Bounds::NONE }, always::SETTLED),
    (Rule::SettleAtStart, Bounds { crashes: 1, ..Bounds::NONE }, always::SETTLED),
    (Rule::SettleAtDenial, Bounds { crashes: 1, delays: 1, ..Bounds::NONE }, always::SETTLED),
    (Rule::HandBackNamesItsClaim, Bounds { losses: 1, drains: 1, ..Bounds::NONE }, always::BLAMELESS),
    (Rule::KeptIsAnotherAttempt, Bounds { delays: 1, drains: 2, ..Bounds::NONE }, always::BLAMELESS),
    (Rule::JournalBeforeHandBack, Bounds { crashes: 1, drains: 1, ..Bounds::NONE }, always::SETTLED),
    (Rule::HandBackAsksAgain, Bounds { crashes: 1, drains: 1, ..Bounds::NONE }, always::SETTLED),
    (Rule::CancelledIsNotHandedBack, Bounds { drains: 1, cancels: 1, ..Bounds::NONE }, always::BLAMELESS),
    (Rule::AsksForWhatWasRejected, Bounds { drains: 2, ..Bounds::NONE }, always::SETTLED),
    (Rule::TakesUpWhatIsLeft, Bounds { drains: 1, vanishings: 1, ..Bounds::NONE }, always::SETTLED),
    (Rule::SomebodyStartsAgain, Bounds { drains: 2, ..Bounds::NONE }, always::SETTLED),
    (Rule::CancelCompares, Bounds { cancels: 1, ..Bounds::NONE }, always::SETTLED),
];

#[test]
fn no_rule_can_be_left_out() {
    for (rule, bounds, broken) in NEEDED {
        let steps: Vec<String> =
            counterexample(*rule, *bounds, broken).iter().map(ToString::to_string).collect();
        println!("without {rule:?} ({} steps), not: {broken}\n    {}", steps.len(), steps.join(" → "));
    }
}

/// The wrong order that costs an execution: acknowledged, then crashed, and the row stays `scheduled` for nobody.
#[test]
fn a_dispatch_acknowledged_before_its_claim_is_lost_in_a_crash() {
    let bounds = Bounds { crashes: 1, ..Bounds::NONE };
    let steps: Vec<String> = counterexample(Rule::ClaimBeforeAck, bounds, always::SETTLED)
        .iter()
        .map(ToString::to_string)
        .collect();
    let worker = if steps[0].ends_with('A') { 'A' } else { 'B' };
    let expected = [
        format!("schedule First for {worker}"),
        "dispatch First".to_owned(),
        format!("{worker} take First/1"),
        format!("{worker} ack First"),
        format!("{worker} CRASH"),
        format!("{worker} restart"),
        format!("{worker} active"),
    ];
    assert_eq!(steps, expected);
}
