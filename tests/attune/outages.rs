//! Servers that are away: what ends meanwhile is written and announced when they are back, and nobody runs on for ever.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use test_servers::{Announcement, Executor, Postgres, Rabbit};

use crate::site::{Gate, PATIENCE, Site, Worker, is_running, lines};
use crate::wire::until;

const EXECUTIONS: usize = 6;

/// Servers of a test's own, a worker on them, and executions that wait to be told to end.
struct Outage {
    // Dropped first, so that neither misses its servers.
    worker: Worker,
    executor: Executor,
    gates: Vec<Gate>,
    executions: Vec<i64>,
    site: Site,
    postgres: Postgres,
    rabbit: Rabbit,
}

pub(crate) fn servers() -> (Postgres, Rabbit) {
    std::thread::scope(|scope| {
        let rabbit = scope.spawn(Rabbit::start);
        (Postgres::options().durable(true).start(), rabbit.join().expect("a broker"))
    })
}

impl Outage {
    fn new(environment: &[(&str, &str)]) -> Self {
        let (postgres, rabbit) = servers();
        let site = Site::new(postgres.url(), &rabbit.url());
        let ended = site.path("ended");
        let gates: Vec<_> =
            (0..EXECUTIONS).map(|number| Gate::new(&site, &format!("gate{number}"))).collect();
        for (number, gate) in gates.iter().enumerate() {
            let begun = site.path("begun");
            let script =
                format!("echo $$ >> {}\n{}echo $$ >> {}\n", begun.display(), gate.wait(), ended.display());
            site.action(&format!("wait{number}"), &script, "");
        }
        let executor = site.executor();
        let mut command = site.worker_command("w");
        command.env("ATTUNE__WORKER__HEARTBEAT_INTERVAL", "0.5");
        let worker = Worker::spawn(command.envs(environment.iter().copied()));
        worker.wait_for("the worker takes work");
        let executions: Vec<_> =
            (0..EXECUTIONS).map(|number| executor.request(&format!("my.wait{number}"), &json!({}))).collect();
        let outage = Self { worker, executor, gates, executions, site, postgres, rabbit };
        assert!(until(PATIENCE, || lines(&outage.site.path("begun")).len() == EXECUTIONS));
        outage
    }

    /// Lets executions end one after the other, backwards, and returns them in that order.
    fn end_all(&self) -> Vec<i64> {
        let mut order = Vec::new();
        for (number, gate) in self.gates.iter().enumerate().rev() {
            gate.open(1);
            order.push(self.executions[number]);
            let pid =
                || lines(&self.site.path("ended")).get(order.len() - 1).and_then(|pid| pid.parse().ok());
            assert!(until(PATIENCE, || pid().is_some_and(|pid| !is_running(pid))), "an execution ends");
        }
        order
    }

    fn completed(&self) -> Vec<i64> {
        completed(&self.executor.heard())
    }

    fn rows(&self, column: &str) -> Vec<Value> {
        let query = sqlx::AssertSqlSafe(format!("SELECT to_jsonb({column}) FROM execution ORDER BY id"));
        self.executor.block_on(async {
            sqlx::query_scalar(query).fetch_all(self.executor.pool()).await.expect("a query")
        })
    }

    /// That every end is told, and returns them in the order in which they were.
    #[expect(clippy::print_stdout, reason = "what a test has measured is part of what it says")]
    fn await_all(&self) -> Vec<i64> {
        let back = Instant::now();
        self.executor.await_heard(PATIENCE, |heard| completed(heard).len() == EXECUTIONS);
        println!("outages: all completions had come {:.1?} after the server was back", back.elapsed());
        assert_eq!(self.rows("status"), vec![json!("completed"); EXECUTIONS]);
        self.completed()
    }
}

/// The executions whose completion has come, each once, in the order in which they came.
fn completed(heard: &[Announcement]) -> Vec<i64> {
    let mut completed = Vec::new();
    for heard in heard.iter().filter(|heard| heard.message_type == "ExecutionCompleted") {
        let execution = heard.payload["execution_id"].as_i64().expect("an execution");
        if !completed.contains(&execution) {
            completed.push(execution);
        }
    }
    completed
}

fn pause(how_long: Duration) {
    // Time itself is what is waited for here.
    assert!(!until(how_long, || false));
}

fn broker_away(how_long: Duration) {
    let mut outage = Outage::new(&[]);
    outage.rabbit.stop_now();
    outage.worker.wait_for("waiting for the broker at 127.0.0.1:");
    let order = outage.end_all();
    // Rows do not wait for the broker.
    assert!(until(PATIENCE, || outage.rows("status") == vec![json!("completed"); EXECUTIONS]));
    pause(how_long);
    assert!(outage.completed().is_empty());
    outage.rabbit.start_again();
    assert_eq!(outage.await_all(), order);
    assert_goes_on(&outage);
    outage.worker.drain();
}

fn database_away(how_long: Duration) {
    let mut outage = Outage::new(&[]);
    outage.postgres.stop_now();
    let order = outage.end_all();
    outage.worker.wait_for("could not be written and is kept until it can be");
    pause(how_long);
    assert!(outage.completed().is_empty(), "nothing is announced that is not written");
    outage.postgres.start_again();
    assert_eq!(outage.await_all(), order, "what could not be written is written in the order of the ends");
    assert_goes_on(&outage);
    outage.worker.drain();
}

fn assert_goes_on(outage: &Outage) {
    let execution = outage.executor.request("core.noop", &json!({}));
    assert!(outage.executor.await_heard(PATIENCE, |heard| completed(heard).contains(&execution)));
}

#[test]
fn what_ends_while_the_broker_is_away_is_announced_in_order_when_it_is_back() {
    broker_away(Duration::from_secs(3));
}

#[test]
#[ignore = "takes four minutes"]
fn what_ends_while_the_broker_is_away_for_three_minutes_is_announced_in_order() {
    broker_away(Duration::from_mins(3));
}

#[test]
fn what_ends_while_the_database_is_away_is_written_and_announced_when_it_is_back() {
    database_away(Duration::from_secs(3));
}

#[test]
#[ignore = "takes two minutes"]
fn what_ends_while_the_database_is_away_for_a_minute_is_written_and_announced() {
    database_away(Duration::from_mins(1));
}

#[test]
fn a_worker_that_is_cut_off_ends_what_it_runs_and_says_so_when_it_can() {
    let mut outage =
        Outage::new(&[("ATTUNE__WORKER__FENCING_TIMEOUT", "3"), ("ATTUNE__WORKER__KILL_GRACE", "1")]);
    let pids: Vec<u32> =
        lines(&outage.site.path("begun")).iter().map(|pid| pid.parse().expect("a number")).collect();
    outage.postgres.stop_now();
    let begun = Instant::now();
    outage.worker.wait_for("the worker is cut off from its database for too long");
    assert!(until(PATIENCE, || pids.iter().all(|pid| !is_running(*pid))), "no process is left");
    let fenced = begun.elapsed();
    println!("outages: everything had ended {fenced:.1?} after the database went");
    // The last heartbeat was up to one period before.
    assert!((Duration::from_secs(2)..Duration::from_secs(6)).contains(&fenced), "{fenced:?}");
    assert!(lines(&outage.site.path("ended")).is_empty());
    outage.postgres.start_again();
    assert!(outage.executor.await_heard(PATIENCE, |heard| completed(heard).len() == EXECUTIONS));
    assert_eq!(outage.rows("status"), vec![json!("abandoned"); EXECUTIONS]);
    assert_eq!(outage.rows("result->'_agent'->'reason'"), vec![json!("worker_cut_off"); EXECUTIONS]);
    assert_goes_on(&outage);
    outage.worker.drain();
}

#[test]
fn a_worker_that_starts_before_its_servers_says_what_it_waits_for_and_then_works() {
    let (mut postgres, mut rabbit) = servers();
    let site = Site::new(postgres.url(), &rabbit.url());
    postgres.stop_now();
    rabbit.stop_now();
    let worker = Worker::spawn(&mut site.worker_command("w"));
    let both = [format!("127.0.0.1:{}", postgres.port()), format!("127.0.0.1:{}", rabbit.port())];
    // In either order.
    let says = |what: &str| worker.log().iter().any(|line| line.contains(what));
    let database = format!("waiting for the database at {}", both[0]);
    let broker = format!("waiting for the broker at {}", both[1]);
    assert!(until(PATIENCE, || says(&database) && says(&broker)), "{:?}", worker.log());
    postgres.start_again();
    worker.wait_for(&format!("the database at {} is there", both[0]));
    rabbit.start_again();
    worker.wait_for("the worker takes work");
    let executor = site.executor();
    let execution = executor.request("core.noop", &json!({}));
    assert!(executor.await_heard(PATIENCE, |heard| {
        heard.iter().any(|heard| {
            heard.message_type == "ExecutionCompleted" && heard.payload["execution_id"] == execution
        })
    }));
    let log = worker.drain().join("\n");
    assert!(log.contains(&format!("the broker at {} is there", both[1])), "{log}");
    // User and password stand together in both URLs.
    assert!(!log.contains("attune:attune") && !log.contains("guest:guest"), "{log}");
}

#[test]
fn a_worker_that_is_told_to_stop_while_it_waits_for_its_servers_stops() {
    let site =
        Site::empty("postgres://nobody:nothing@127.0.0.1:1/none", "amqp://nobody:nothing@127.0.0.1:1/none");
    let mut worker = Worker::spawn(&mut site.worker_command("w"));
    worker.wait_for("waiting for ");
    let begun = Instant::now();
    worker.signal(rustix::process::Signal::TERM);
    assert_eq!(worker.exit_code(), 0);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}
