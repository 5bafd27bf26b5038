//! Many workers on servers with the limits that they have by default.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;
use test_servers::{Postgres, Rabbit};

use crate::site::{Site, Worker};
use crate::wire::{Wire, until};

const WORKERS: usize = 40;
const EXECUTIONS: usize = 1_600;

/// PostgreSQL's own default.
const CONNECTIONS: u16 = 100;

/// A machine of two cores has a lot to do with so many processes.
const PATIENCE: Duration = Duration::from_mins(5);

#[test]
fn forty_workers_starve_nobody_on_a_hundred_connections() {
    let postgres = Postgres::options().connections(CONNECTIONS).start();
    let rabbit = Rabbit::start();
    let site = Site::new(postgres.url(), &rabbit.url());
    site.action("short", "sleep 0.1\n", "");
    let wire = Wire::new(&site);
    let executor = site.executor();
    let mut workers: Vec<Worker> = (0..WORKERS)
        .map(|number| {
            let mut command = site.worker_command(&format!("w{number}"));
            command.env("ATTUNE__WORKER__MAX_CONCURRENT_TASKS", (EXECUTIONS / WORKERS).to_string());
            Worker::spawn(&mut command)
        })
        .collect();
    for worker in &workers {
        worker.wait_for("the worker takes work");
    }
    let begun = Instant::now();
    for _ in 0..EXECUTIONS {
        executor.request("my.short", &json!({}));
    }
    let open = "SELECT count(*) FROM execution WHERE status <> 'completed'";
    until(PATIENCE, || wire.value(open) == json!(0));
    let states = wire.rows("SELECT status, count(*) FROM execution GROUP BY status");
    println!("fleet: {EXECUTIONS} executions on {WORKERS} workers in {:.1?}; {states:?}", begun.elapsed());
    assert_eq!(wire.value(open), json!(0), "{states:?}");

    // A worker that has nothing to do keeps the connection that says who it is, and no other.
    let of_workers = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'attune-agent' AND datname = current_database()";
    assert!(
        until(Duration::from_secs(30), || wire.value(of_workers) == json!(WORKERS)),
        "{} connections",
        wire.value(of_workers)
    );

    for _ in 0..EXECUTIONS / 4 {
        executor.request("my.short", &json!({}));
    }
    for worker in &workers {
        worker.signal(Signal::TERM);
    }
    for worker in &mut workers {
        assert_eq!(worker.exit_code(), 0);
    }
    assert_eq!(wire.value("SELECT count(*) FROM worker WHERE status <> 'inactive'"), json!(0));
    let owed = "SELECT count(*) FROM execution WHERE status IN ('running', 'canceling')";
    assert_eq!(wire.value(owed), json!(0), "an inactive worker owes nothing");
    // What was given to nobody, or kept, is taken by the next worker, whatever it is called.
    let next = site.worker("next");
    until(PATIENCE, || wire.value(open) == json!(0));
    assert_eq!(wire.value(open), json!(0));
    next.drain();
}
