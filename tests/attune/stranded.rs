//! Work that its worker gives up, or that nobody was there to take, is taken all the same: under an executor that rejects a
//! request for which there is no worker, and never looks at it again (CONTRACT §11).

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use crate::site::{Gate, PATIENCE, Site, Worker, is_running, lines};
use crate::wire::{Wire, until};

const EXECUTIONS: usize = 200;
const RESTARTS: usize = 10;

/// A pool of one worker that is restarted again and again while there is work.
struct Pool {
    site: Site,
    wire: Wire,
    ran: PathBuf,
}

impl Pool {
    fn new(test: &str) -> Self {
        let site = Site::shared(test);
        let wire = Wire::new(&site);
        let ran = site.path("ran");
        site.action("job", &format!("echo \"$ATTUNE_EXEC_ID\" >> {}\nsleep 0.05\n", ran.display()), "");
        Self { site, wire, ran }
    }

    fn worker(&self, name: &str) -> Worker {
        let mut command = self.site.worker_command(name);
        command
            .env("ATTUNE__WORKER__MAX_CONCURRENT_TASKS", "2")
            .env("ATTUNE__WORKER__HEARTBEAT_INTERVAL", "1");
        let worker = Worker::spawn(&mut command);
        worker.wait_for("the worker takes work");
        worker
    }

    /// Restarts the pool's only worker while work comes in, each time under the name that `name` gives it; in the end
    /// everything has run, once.
    #[expect(clippy::print_stdout, reason = "the figures belong to the test's log")]
    fn outlives_restarts(&self, name: impl Fn(usize) -> String) {
        let executor = self.site.executor();
        let mut requested = Vec::new();
        let mut worker = self.worker(&name(0));
        for round in 1..=RESTARTS {
            let request = |count: usize| -> Vec<i64> {
                (0..count).map(|_| executor.request("my.job", &json!({}))).collect()
            };
            requested.extend(request(EXECUTIONS / RESTARTS - 5));
            // In the middle of it; and some are asked for while nobody is there.
            let begun = requested.len().saturating_sub(12);
            assert!(until(PATIENCE, || lines(&self.ran).len() >= begun.min(round * 3)));
            worker.signal(Signal::TERM);
            worker.wait_for("the worker stops");
            requested.extend(request(5));
            assert_eq!(worker.exit_code(), 0);
            worker = self.worker(&name(round));
        }
        let begun = Instant::now();
        let open = "SELECT count(*) FROM execution WHERE status <> 'completed'";
        until(PATIENCE, || self.wire.value(open) == json!(0));
        let states = self.wire.rows("SELECT status, count(*) FROM execution GROUP BY status");
        println!(
            "stranded: {} executions, {RESTARTS} restarts, {} requests rejected, all over {:.1?} after the last start; {states:?}",
            requested.len(),
            executor.rejected().len(),
            begun.elapsed()
        );
        assert_eq!(requested.len(), EXECUTIONS);
        assert_eq!(self.wire.value(open), json!(0), "{states:?}");
        let mut runs: HashMap<String, usize> = HashMap::new();
        for line in lines(&self.ran) {
            *runs.entry(line).or_default() += 1;
        }
        assert_eq!((runs.len(), runs.values().max()), (EXECUTIONS, Some(&1)), "each ran once");
        for execution in requested {
            self.wire.await_completion(execution);
        }
        worker.drain();
    }
}

#[test]
fn a_pool_of_one_loses_nothing_over_ten_restarts_under_the_same_name() {
    Pool::new("stranded_same").outlives_restarts(|_| "only".to_owned());
}

#[test]
fn a_pool_of_one_loses_nothing_over_ten_restarts_under_a_new_name_each_time() {
    let pool = Pool::new("stranded_new");
    pool.outlives_restarts(|round| format!("only-{round}"));
    // What nobody will consume any more is not left to the broker's operators.
    let queues: Vec<_> = pool.site.virtual_host().list("queues");
    let of_workers = queues.iter().filter(|queue| queue.to_string().contains("worker.")).count();
    assert_eq!(of_workers, 0, "{queues:?}");
}

#[test]
fn only_what_another_worker_can_take_is_handed_back() {
    let site = Site::shared("stranded_divided");
    let wire = Wire::listening(&site, &["execution.requested", "execution.completed"]);
    let executor = site.executor();
    let gate = Gate::new(&site, "gate");
    site.action("wait", &gate.wait(), "");
    let labelled = |name: &str, pool: &str| {
        let mut command = site.worker_command(name);
        command.env("ATTUNE__WORKER__LABELS", json!({"pool": pool}).to_string());
        command.env("ATTUNE__WORKER__MAX_CONCURRENT_TASKS", "1");
        let worker = Worker::spawn(&mut command);
        worker.wait_for("the worker takes work");
        worker
    };
    let mut gpu = labelled("gpu", "gpu");
    let number = wire.worker("gpu");
    executor.request("my.wait", &json!({}));
    wire.await_value("SELECT count(*) FROM execution WHERE status = 'running'", &json!(1));
    let anywhere = executor.request("core.noop", &json!({}));
    wire.await_value(&format!("SELECT status FROM execution WHERE id = {anywhere}"), &json!("scheduled"));
    // The executor's own placement is not asked here: what matters is what the row selects.
    let scheduled = wire.schedule(number, "core.noop", &json!({}));
    wire.execute(&format!(
        "UPDATE execution SET worker_selector = '{{\"pool\": \"gpu\"}}' WHERE id = {}",
        scheduled.id
    ));
    let mut here = scheduled.clone();
    here.attempt = wire
        .value(&format!(
            "SELECT to_char(updated AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') FROM execution WHERE id = {}",
            here.id
        ))
        .as_str()
        .expect("a moment")
        .to_owned();
    wire.dispatch(&here);
    let cpu = labelled("cpu", "cpu");
    gpu.signal(Signal::TERM);
    // It goes to the other worker while the first one still drains.
    wire.await_completion(anywhere);
    assert_eq!(
        wire.value(&format!("SELECT worker FROM execution WHERE id = {anywhere}")),
        wire.worker("cpu")
    );
    gate.open(1);
    assert_eq!(gpu.exit_code(), 0);
    let row = wire.row(&format!("SELECT status, worker FROM execution WHERE id = {}", here.id));
    assert_eq!((&row["status"], &row["worker"]), (&json!("scheduled"), &json!(number)));
    assert_eq!(wire.queue(&format!("worker.{number}.executions")), Some((1, 0)), "its dispatch waits");
    assert!(
        !wire.heard().iter().any(|message| message.execution() == Some(here.id)),
        "nobody was asked for it"
    );
    let gpu = labelled("gpu", "gpu");
    wire.await_completion(here.id);
    gpu.drain();
    cpu.drain();
}

#[test]
fn of_two_workers_that_start_together_one_asks_for_what_nobody_has() {
    let site = Site::shared("stranded_once");
    let wire = Wire::listening(&site, &["execution.requested", "execution.completed"]);
    let executor = site.executor();
    // A worker that was there once, and is gone: the executor rejects what only it could have.
    site.worker("gone").drain();
    let rejected: Vec<_> = (0..20).map(|_| executor.request("core.noop", &json!({}))).collect();
    assert!(until(PATIENCE, || executor.rejected().len() == 20));
    // And what it was given stays with a name that never comes back, with a dispatch and without one.
    let number = wire.worker("gone");
    let kept: Vec<_> = (0..20).map(|_| wire.schedule(number, "core.noop", &json!({})).id).collect();
    wire.execute("ALTER TABLE execution DISABLE TRIGGER USER");
    wire.execute("UPDATE execution SET updated = now() - interval '1 minute'");
    wire.execute("ALTER TABLE execution ENABLE TRIGGER USER");
    let workers = std::thread::scope(|scope| {
        let starting = ["one", "two"].map(|name| {
            scope.spawn(|| {
                let mut command = site.worker_command(name);
                let worker = Worker::spawn(&mut command);
                worker.wait_for("the worker takes work");
                worker
            })
        });
        starting.map(|worker| worker.join().expect("a worker"))
    });
    for execution in rejected.iter().chain(&kept) {
        wire.await_completion(*execution);
        let asked = wire.of(*execution).iter().filter(|message| message.is("ExecutionRequested")).count();
        // The first one is the submission's own.
        let submitted = usize::from(rejected.contains(execution));
        assert_eq!(asked, submitted + 1, "{execution} was asked for once more, and once only");
    }
    for worker in workers {
        worker.drain();
    }
}

#[test]
fn a_dispatch_that_is_lost_is_asked_for_again_by_its_own_worker() {
    let site = Site::shared("stranded_dispatch");
    let wire = Wire::new(&site);
    let _executor = site.executor();
    site.worker("w").drain();
    let lost = wire.schedule(wire.worker("w"), "core.noop", &json!({})).id;
    wire.execute("ALTER TABLE execution DISABLE TRIGGER USER");
    wire.execute("UPDATE execution SET updated = now() - interval '1 minute'");
    wire.execute("ALTER TABLE execution ENABLE TRIGGER USER");
    let worker = site.worker("w");
    wire.await_completion(lost);
    assert_eq!(wire.status(lost), "completed");
    worker.drain();
}

#[test]
fn what_waits_for_its_environment_is_handed_back_by_a_worker_that_stops() {
    let (site, gate) = crate::environments::site("stranded_build");
    let wire = Wire::new(&site);
    let executor = site.executor();
    let mut first = site.worker("first");
    let execution = executor.request("my.show", &json!({}));
    crate::environments::begun(&site, 1);
    let begun = Instant::now();
    first.signal(Signal::TERM);
    assert_eq!(first.exit_code(), 0);
    let took = begun.elapsed();
    println!("stranded: a worker that builds an environment stops after {took:.2?}");
    assert!(took < Duration::from_secs(10), "the grace is 30 s; {took:?}");
    // Nobody else can take it now, so it waits for this name, or for the next worker.
    let row = wire.row(&format!("SELECT status, started_at FROM execution WHERE id = {execution}"));
    assert_eq!((&row["status"], &row["started_at"]), (&json!("scheduled"), &json!(null)));
    // The build that was ended may have read a line in its last moment.
    gate.open(2);
    let next = site.worker("first");
    wire.await_completion(execution);
    assert_eq!(
        (wire.status(execution).as_str(), wire.result(execution)["stdout"].as_str()),
        ("completed", Some("first\n"))
    );
    next.drain();
}

#[test]
fn what_waits_for_its_environment_goes_to_another_worker_at_once() {
    let (site, gate) = crate::environments::site("stranded_build_elsewhere");
    let wire = Wire::new(&site);
    let executor = site.executor();
    let mut first = site.worker("first");
    let execution = executor.request("my.show", &json!({}));
    crate::environments::begun(&site, 1);
    let second = site.worker("second");
    first.signal(Signal::TERM);
    wire.await_value(
        &format!("SELECT worker FROM execution WHERE id = {execution} AND status = 'running'"),
        &json!(wire.worker("second")),
    );
    assert_eq!(first.exit_code(), 0);
    gate.open(2);
    wire.await_completion(execution);
    assert_eq!(wire.status(execution), "completed");
    second.drain();
}

#[test]
fn what_is_to_be_cancelled_and_has_not_begun_is_ended_and_not_handed_back() {
    let (site, _gate) = crate::environments::site("stranded_cancelled");
    let wire = Wire::new(&site);
    let mut worker = site.worker("w");
    let execution = wire.hand(wire.worker("w"), "my.show", &json!({}));
    crate::environments::begun(&site, 1);
    // Its message is still on the way when the worker stops.
    wire.execute(&format!("UPDATE execution SET status = 'canceling' WHERE id = {execution}"));
    worker.signal(Signal::TERM);
    assert_eq!(worker.exit_code(), 0);
    assert_eq!(wire.status(execution), "cancelled");
    assert_eq!(wire.story(execution).last().map(String::as_str), Some("Cancelled"));
}

/// The API's cancellation may overwrite a claim, and tells nobody (CONTRACT §11).
#[test]
fn what_is_cancelled_over_its_claim_is_ended() {
    const RACES: usize = 40;
    let site = Site::shared("cancelled_over");
    let wire = Wire::new(&site);
    let pids = site.path("pids");
    site.action("long", &format!("echo $$ >> {}\nexec sleep 1000\n", pids.display()), "");
    let mut command = site.worker_command("w");
    command.env("ATTUNE__WORKER__MAX_CONCURRENT_TASKS", RACES.to_string());
    let worker = Worker::spawn(&mut command);
    worker.wait_for("the worker takes work");
    let number = wire.worker("w");
    let executions: Vec<_> = (0..RACES).map(|_| wire.hand(number, "my.long", &json!({}))).collect();
    assert!(until(PATIENCE, || lines(&pids).len() == RACES));
    wire.execute("UPDATE execution SET status = 'cancelled'");
    let begun = Instant::now();
    let running = || lines(&pids).iter().filter(|pid| is_running(pid.parse().expect("a number"))).count();
    until(PATIENCE, || running() == 0);
    println!(
        "cancelled over its claim: {RACES} races, {} processes run on, after {:.1?}",
        running(),
        begun.elapsed()
    );
    assert_eq!(running(), 0);
    for execution in &executions {
        wire.await_completion(*execution);
        assert_eq!(wire.status(*execution), "cancelled");
        assert_eq!(wire.story(*execution).last().map(String::as_str), Some("Cancelled"));
    }
    worker.drain();
}

#[test]
fn what_was_taken_away_or_removed_is_ended_and_not_told_of() {
    let site = Site::shared("taken_away");
    let wire = Wire::new(&site);
    let pids = site.path("pids");
    site.action("long", &format!("echo $$ >> {}\nexec sleep 1000\n", pids.display()), "");
    let mut command = site.worker_command("w");
    command.env("ATTUNE__WORKER__HEARTBEAT_INTERVAL", "0.5");
    let worker = Worker::spawn(&mut command);
    worker.wait_for("the worker takes work");
    let number = wire.worker("w");
    let ways = [
        "UPDATE execution SET status = 'abandoned' WHERE id =",
        "UPDATE execution SET status = 'requested', worker = NULL, started_at = NULL WHERE id =",
        "UPDATE execution SET started_at = now() - interval '1 hour' WHERE id =",
        "DELETE FROM execution WHERE id =",
    ];
    let executions = ways.map(|_| wire.hand(number, "my.long", &json!({})));
    assert!(until(PATIENCE, || lines(&pids).len() == ways.len()));
    // Later than the look that follows a claim: only the heartbeat's is left.
    until(Duration::from_secs(2), || false);
    for (way, execution) in ways.iter().zip(executions) {
        wire.execute(&format!("{way} {execution}"));
    }
    let is_over = || lines(&pids).iter().all(|pid| !is_running(pid.parse().expect("a number")));
    assert!(until(PATIENCE, is_over), "no process is left");
    let log = worker.drain();
    assert!(log.iter().any(|line| line.contains("ended by somebody else")), "{log:#?}");
    for (way, execution) in ways.iter().zip(executions) {
        let story = wire.story(execution);
        if way.contains("started_at = now()") {
            // It stayed under this worker's name, so that the worker ended it before it was shown as inactive.
            assert_eq!(story, ["scheduled→running", "running→abandoned", "Abandoned"], "{way}");
        } else {
            assert_eq!(story, ["scheduled→running"], "{way}");
        }
    }
}
