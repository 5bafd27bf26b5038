//! Stopping (CONTRACT §10): seen as busy, nothing lost, nothing left running, and never longer than the grace period.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::site::{Gate, PATIENCE, Site, Worker, is_running, lines};
use crate::wire::{Wire, until};

const GRACE: Duration = Duration::from_secs(10);
const RUNNING: usize = 20;
const QUEUED: usize = 50;

/// A site with an action that ends when it is let, and one that does not.
struct Busy {
    site: Site,
    wire: Wire,
    gate: Gate,
}

impl Busy {
    fn new(test: &str) -> Self {
        let site = Site::shared(test);
        let wire = Wire::new(&site);
        let gate = Gate::new(&site, "gate");
        let pids = site.path("pids");
        site.action("short", &format!("echo $$ >> {}\n{}", pids.display(), gate.wait()), "");
        let stubborn =
            format!("sleep 1000 &\necho $! >> {0}\necho $$ >> {0}\nexec sleep 1000\n", pids.display());
        site.action("long", &stubborn, "");
        Self { site, wire, gate }
    }

    fn worker(&self, name: &str) -> Worker {
        let mut command = self.site.worker_command(name);
        command.env("ATTUNE__WORKER__MAX_CONCURRENT_TASKS", RUNNING.to_string());
        command.env("ATTUNE__WORKER__HEARTBEAT_INTERVAL", "0.2").env("ATTUNE__WORKER__KILL_GRACE", "1");
        command.env("ATTUNE__WORKER__SHUTDOWN_TIMEOUT", GRACE.as_secs().to_string());
        let worker = Worker::spawn(&mut command);
        worker.wait_for("the worker takes work");
        worker
    }

    fn pids(&self) -> Vec<u32> {
        lines(&self.site.path("pids")).iter().map(|pid| pid.parse().expect("a number")).collect()
    }

    fn count(&self, condition: &str) -> i64 {
        let count = self.wire.value(&format!("SELECT count(*) FROM execution WHERE {condition}"));
        count.as_i64().expect("a count")
    }

    fn await_count(&self, condition: &str, count: usize) {
        self.wire.await_value(&format!("SELECT count(*) FROM execution WHERE {condition}"), &json!(count));
    }
}

#[test]
fn a_full_worker_hands_its_queue_over_ends_what_it_can_and_leaves_in_time() {
    let busy = Busy::new("drain");
    let wire = &busy.wire;
    let executor = busy.site.executor();
    let mut first = busy.worker("first");
    let number = wire.worker("first");
    let short: Vec<_> = (0..RUNNING / 2).map(|_| executor.request("my.short", &json!({}))).collect();
    let long: Vec<_> = (0..RUNNING / 2).map(|_| executor.request("my.long", &json!({}))).collect();
    // Every process is there: one of each short action, two of each long one.
    assert!(until(PATIENCE, || busy.pids().len() == RUNNING / 2 * 3));
    let queued: Vec<_> = (0..QUEUED).map(|_| executor.request("core.noop", &json!({}))).collect();
    busy.await_count(&format!("status = 'scheduled' AND worker = {number}"), QUEUED);
    let second = busy.worker("second");
    let other = wire.worker("second");

    let told = wire.value("SELECT extract(epoch FROM clock_timestamp())").as_f64().expect("a moment");
    let begun = Instant::now();
    first.signal(Signal::TERM);
    busy.await_count(&format!("status = 'completed' AND worker = {other}"), QUEUED);
    let times = wire.row(&format!(
        "SELECT extract(epoch FROM min(started_at)) - {told} AS first, extract(epoch FROM max(started_at)) - {told} \
         AS last, count(*) AS count FROM execution WHERE worker = {other}"
    ));
    println!(
        "drain: of {QUEUED} queued executions the other worker began the first after {} s, the last after {} s",
        times["first"], times["last"]
    );
    assert_eq!(times["count"], QUEUED);
    assert!((0.0..1.0).contains(&times["first"].as_f64().expect("a number")), "{times}");

    // It is seen, alive and not to be given work, for as long as it has any.
    assert_eq!(wire.value("SELECT status FROM worker WHERE name = 'first'"), "busy");
    let beat = || wire.value("SELECT last_heartbeat FROM worker WHERE name = 'first' AND status = 'busy'");
    let seen = beat();
    assert!(
        until(Duration::from_secs(3), || ![seen.clone(), Value::Null].contains(&beat())),
        "the heartbeat goes on"
    );

    busy.gate.open(short.len());
    busy.await_count(&format!("status = 'completed' AND worker = {number}"), short.len());
    assert_eq!(first.exit_code(), 0);
    let took = begun.elapsed();
    println!("drain: the worker was gone after {took:.2?} of {GRACE:?}");
    assert!(took <= GRACE, "{took:?}");
    for execution in &long {
        assert_eq!(wire.status(*execution), "abandoned");
        assert_eq!(wire.result(*execution)["_agent"]["reason"], "worker_stopped");
    }
    for execution in short.iter().chain(&queued) {
        assert_eq!(wire.status(*execution), "completed");
    }
    for execution in short.iter().chain(&long).chain(&queued) {
        wire.await_completion(*execution);
    }
    assert!(busy.pids().iter().all(|pid| !is_running(*pid)), "no process is left");
    assert_eq!(wire.value("SELECT status FROM worker WHERE name = 'first'"), "inactive");
    assert_gone(&busy, number);
    second.drain();
}

/// That nothing is left of a worker's queues, its binding for dead letters included.
fn assert_gone(busy: &Busy, worker: i64) {
    let named = |what: &str| -> Vec<String> {
        let listed = busy.site.virtual_host().list(what);
        listed.iter().map(Value::to_string).filter(|one| one.contains(&format!("worker.{worker}"))).collect()
    };
    assert_eq!(named("queues"), [""; 0]);
    assert_eq!(named("bindings"), [""; 0]);
}

#[test]
fn without_an_executor_a_stopping_worker_hands_over_by_itself() {
    let busy = Busy::new("hand_over");
    let wire = &busy.wire;
    let mut first = busy.worker("first");
    let number = wire.worker("first");
    for _ in 0..RUNNING {
        wire.hand(number, "my.short", &json!({}));
    }
    busy.await_count("status = 'running'", RUNNING);
    let queued: Vec<_> = (0..5).map(|_| wire.hand(number, "core.noop", &json!({}))).collect();
    // Its dispatch is lost: only the row knows of it.
    let lost = wire.schedule(number, "core.noop", &json!({})).id;
    let second = busy.worker("second");
    let other = wire.worker("second");
    first.signal(Signal::TERM);
    for execution in queued.into_iter().chain([lost]) {
        wire.await_completion(execution);
        let row = wire.row(&format!("SELECT status, worker FROM execution WHERE id = {execution}"));
        assert_eq!((&row["status"], &row["worker"]), (&json!("completed"), &json!(other)));
    }
    busy.gate.open(RUNNING);
    assert_eq!(first.exit_code(), 0);
    assert_eq!(busy.count("status = 'completed'"), 26);
    assert_gone(&busy, number);
    second.drain();
}

#[test]
fn without_anybody_to_take_it_unclaimed_work_waits_for_the_next_life() {
    let busy = Busy::new("nobody");
    let wire = &busy.wire;
    let mut worker = busy.worker("first");
    let number = wire.worker("first");
    for _ in 0..RUNNING {
        wire.hand(number, "my.short", &json!({}));
    }
    busy.await_count("status = 'running'", RUNNING);
    let queued = wire.hand(number, "core.noop", &json!({}));
    worker.signal(Signal::TERM);
    busy.await_count(&format!("status = 'scheduled' AND worker = {number}"), 1);
    busy.gate.open(RUNNING);
    assert_eq!(worker.exit_code(), 0);
    assert_eq!(wire.status(queued), "scheduled");
    assert_eq!(wire.queue(&format!("worker.{number}.executions")), Some((1, 0)), "its dispatch waits");
    assert!(worker.whole_log().iter().any(|line| line.contains("wait for this worker's next life")));
    let next = busy.worker("first");
    wire.await_completion(queued);
    assert_eq!(wire.status(queued), "completed");
    next.drain();
    assert_gone(&busy, number);
}

#[test]
fn a_second_order_to_stop_ends_what_runs_at_once() {
    let busy = Busy::new("hurry");
    let wire = &busy.wire;
    let mut worker = busy.worker("first");
    let execution = wire.hand(wire.worker("first"), "my.long", &json!({}));
    assert!(until(PATIENCE, || busy.pids().len() == 2));
    let begun = Instant::now();
    worker.signal(Signal::TERM);
    worker.wait_for("the worker stops");
    worker.signal(Signal::TERM);
    assert_eq!(worker.exit_code(), 0);
    assert!(begun.elapsed() < GRACE / 2, "{:?}", begun.elapsed());
    assert_eq!(wire.status(execution), "abandoned");
    assert!(busy.pids().iter().all(|pid| !is_running(*pid)), "no process is left");
}
