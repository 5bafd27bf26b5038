//! Who may run what: a dispatch is a hint, the row decides, and nothing that is refused stops what comes after it.

use serde_json::{Value, json};
use sqlx::{Postgres, Transaction};

use crate::site::{PATIENCE, Site, Worker, lines};
use crate::wire::{EXECUTIONS, Wire, until};

/// A site whose action `my.count` writes down that it ran.
struct Counting {
    site: Site,
    wire: Wire,
}

impl Counting {
    fn new(test: &str) -> Self {
        let site = Site::shared(test);
        let wire = Wire::new(&site);
        let ran = site.path("ran");
        site.action("count", &format!("echo \"$ATTUNE_EXEC_ID\" >> {}\n", ran.display()), "");
        Self { site, wire }
    }

    /// How often processes of this execution were started.
    fn runs(&self, execution: i64) -> usize {
        lines(&self.site.path("ran")).iter().filter(|line| **line == execution.to_string()).count()
    }

    /// Runs one more execution, to its end: what was sent before it has been dealt with, and blocks nothing.
    fn assert_goes_on(&self, worker: i64) {
        let execution = self.wire.hand(worker, "my.count", &json!({}));
        self.wire.await_completion(execution);
        assert_eq!(self.wire.status(execution), "completed");
        assert_eq!(self.runs(execution), 1);
        let queue = format!("worker.{worker}.executions");
        let empty = until(PATIENCE, || self.wire.queue(&queue).is_some_and(|(messages, _)| messages == 0));
        assert!(empty, "every dispatch was acknowledged");
    }
}

/// A claim that a worker has sent and that waits for a lock.
struct Waiting {
    worker: Worker,
    number: i64,
    execution: i64,
    /// Whoever has the lock.
    held: Transaction<'static, Postgres>,
}

impl Waiting {
    /// A worker whose claim waits for what `hold` does to the row first.
    fn behind(own: &Counting, hold: impl Fn(&Wire, i64) -> Transaction<'static, Postgres>) -> Self {
        let worker = ready(&own.site);
        let number = own.wire.worker("w");
        let scheduled = own.wire.schedule(number, "my.count", &json!({}));
        let held = hold(&own.wire, scheduled.id);
        own.wire.dispatch(&scheduled);
        own.wire.await_waiter();
        Self { worker, number, execution: scheduled.id, held }
    }

    /// The same, of a worker that has been killed since.
    fn of_the_dead(own: &Counting) -> (i64, i64, Transaction<'static, Postgres>) {
        let Self { worker, number, execution, held } = Self::behind(own, Wire::lock);
        worker.kill();
        (number, execution, held)
    }
}

/// A worker with room for one: whatever it does not let go of blocks it.
fn narrow(site: &Site) -> Worker {
    let mut command = site.worker_command("w");
    Worker::spawn(command.env("ATTUNE__WORKER__MAX_CONCURRENT_TASKS", "1"))
}

fn ready(site: &Site) -> Worker {
    let worker = narrow(site);
    worker.wait_for("the worker takes work");
    worker
}

#[test]
fn what_is_not_scheduled_for_this_worker_in_this_attempt_is_not_run() {
    let own = Counting::new("refused");
    let (site, wire) = (&own.site, &own.wire);
    let worker = ready(site);
    let number = wire.worker("w");
    wire.execute("INSERT INTO worker (name, worker_type, worker_role) VALUES ('other', 'local', 'action')");
    let other = wire.worker("other");
    let key = format!("execution.dispatch.worker.{number}");
    let send = |payload: &Value| wire.send(EXECUTIONS, &key, "ExecutionRequested", payload);

    // A stale attempt.
    let stale = wire.schedule(number, "my.count", &json!({}));
    wire.execute(&format!("UPDATE execution SET retry_count = 1 WHERE id = {}", stale.id));
    send(&stale.payload());
    // Another worker's row, in a message that says it is ours.
    let theirs = wire.schedule(other, "my.count", &json!({}));
    let mut payload = theirs.payload();
    payload["worker_id"] = json!(number);
    send(&payload);
    // Another worker's message, in our queue.
    let foreign = wire.schedule(number, "my.count", &json!({}));
    let mut payload = foreign.payload();
    payload["worker_id"] = json!(other);
    send(&payload);
    // Nobody's.
    send(&json!({"execution_id": 4_000_000_000_i64, "worker_id": number, "action_ref": "my.count"}));
    // Every state but the right one.
    let states =
        ["requested", "scheduling", "running", "completed", "failed", "canceling", "timeout", "abandoned"];
    let others: Vec<_> = states
        .iter()
        .map(|state| {
            let scheduled = wire.schedule(number, "my.count", &json!({}));
            wire.execute(&format!("UPDATE execution SET status = '{state}' WHERE id = {}", scheduled.id));
            let mut payload = scheduled.payload();
            payload["scheduled_attempt_updated_at"] = Value::Null;
            send(&payload);
            (scheduled.id, *state)
        })
        .collect();
    own.assert_goes_on(number);
    for (id, status) in
        others.into_iter().chain([stale.id, theirs.id, foreign.id].map(|id| (id, "scheduled")))
    {
        assert_eq!(wire.status(id), status);
        assert_eq!(own.runs(id), 0, "{status}");
        assert_eq!(wire.story(id), [""; 0], "{status}");
    }
    // A message for somebody else is nobody's here: whoever looks after the control plane finds it.
    let (dead, body) = wire.await_take("attune.dlx.queue");
    assert_eq!(dead, key);
    assert!(String::from_utf8_lossy(&body).contains(&format!("\"execution_id\":{}", foreign.id)));
    // It goes back to whoever schedules, which is not what this test is about.
    wire.execute("UPDATE execution SET status = 'failed' WHERE status = 'scheduled'");
    worker.drain();
}

#[test]
fn a_dispatch_without_an_attempt_is_run() {
    let own = Counting::new("attemptless");
    let (site, wire) = (&own.site, &own.wire);
    let worker = ready(site);
    let number = wire.worker("w");
    for absent in [json!(null), Value::Bool(false)] {
        let scheduled = wire.schedule(number, "my.count", &json!({}));
        let mut payload = scheduled.payload();
        if absent.is_null() {
            payload["scheduled_attempt_updated_at"] = Value::Null;
        } else {
            payload.as_object_mut().expect("an object").remove("scheduled_attempt_updated_at");
        }
        wire.send(EXECUTIONS, &format!("execution.dispatch.worker.{number}"), "ExecutionRequested", &payload);
        wire.await_completion(scheduled.id);
        assert_eq!(own.runs(scheduled.id), 1);
    }
    worker.drain();
}

#[test]
fn a_dispatch_that_comes_again_and_again_runs_once() {
    let own = Counting::new("twice");
    let (site, wire) = (&own.site, &own.wire);
    // Room for all of them at once, so that they meet.
    let worker = site.worker("w");
    let number = wire.worker("w");
    for _ in 0..5 {
        let scheduled = wire.schedule(number, "my.count", &json!({}));
        for _ in 0..6 {
            wire.dispatch(&scheduled);
        }
        wire.await_completion(scheduled.id);
        wire.dispatch(&scheduled);
        own.assert_goes_on(number);
        assert_eq!(own.runs(scheduled.id), 1);
        assert_eq!(wire.story(scheduled.id), ["scheduled→running", "running→completed", "Completed"]);
    }
    worker.drain();
}

#[test]
fn a_worker_that_is_killed_before_it_has_claimed_runs_it_in_its_next_life() {
    let own = Counting::new("killed_before");
    let (site, wire) = (&own.site, &own.wire);
    let (number, execution, held) = Waiting::of_the_dead(&own);
    // The claim dies with its session.
    wire.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE datname = current_database() AND wait_event_type = 'Lock'",
    );
    wire.await_value(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
        &json!(0),
    );
    wire.release(held);
    assert_eq!(wire.status(execution), "scheduled");
    let worker = ready(site);
    wire.await_completion(execution);
    assert_eq!((wire.status(execution).as_str(), own.runs(execution)), ("completed", 1));
    own.assert_goes_on(number);
    worker.drain();
}

#[test]
fn a_worker_that_is_killed_between_claim_and_acknowledgement_does_not_run_it_again() {
    let own = Counting::new("killed_after");
    let (site, wire) = (&own.site, &own.wire);
    let (number, execution, held) = Waiting::of_the_dead(&own);
    // The server carries out what it was told, and has nobody to tell.
    wire.release(held);
    wire.await_value(&format!("SELECT status FROM execution WHERE id = {execution}"), &json!("running"));
    let worker = ready(site);
    wire.await_completion(execution);
    own.assert_goes_on(number);
    assert_eq!((wire.status(execution).as_str(), own.runs(execution)), ("abandoned", 0));
    assert_eq!(wire.result(execution)["_agent"]["reason"], "worker_lost");
    assert_eq!(wire.story(execution), ["running→abandoned", "Abandoned"]);
    worker.drain();
}

#[test]
fn a_claim_that_waits_behind_one_of_an_earlier_life_finds_what_that_did() {
    let own = Counting::new("behind");
    let (site, wire) = (&own.site, &own.wire);
    let (number, execution, held) = Waiting::of_the_dead(&own);
    let worker = ready(site);
    // Both lives' claims wait, the earlier one first: when its turn comes, the later one saw the row as it was.
    wire.await_waiters(2);
    wire.release(held);
    wire.await_completion(execution);
    assert_eq!((wire.status(execution).as_str(), own.runs(execution)), ("abandoned", 0));
    own.assert_goes_on(number);
    worker.drain();
}

#[test]
fn a_cancellation_that_a_claim_had_to_wait_for_is_announced() {
    let own = Counting::new("cancel_first");
    let wire = &own.wire;
    let Waiting { worker, execution, held, .. } = Waiting::behind(&own, Wire::cancelling);
    wire.block_on(held.commit()).expect("a database");
    wire.await_completion(execution);
    assert_eq!((wire.status(execution).as_str(), own.runs(execution)), ("cancelled", 0));
    worker.drain();
}

#[test]
fn a_claim_that_outlives_its_worker_leaves_nothing_running_for_ever() {
    let own = Counting::new("outlived");
    let (site, wire) = (&own.site, &own.wire);
    let (number, execution, held) = Waiting::of_the_dead(&own);
    // The next life takes stock while the old claim still waits to be carried out.
    let worker = ready(site);
    wire.release(held);
    wire.await_completion(execution);
    let (status, runs) = (wire.status(execution), own.runs(execution));
    assert!(
        matches!((status.as_str(), runs), ("abandoned", 0) | ("completed", 1)),
        "{status}, ran {runs} times"
    );
    own.assert_goes_on(number);
    worker.drain();
}
