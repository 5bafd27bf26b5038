//! Readiness follows both servers; liveness follows neither.

use std::time::Duration;

use rustix::process::Signal;

use crate::outages::servers;
use crate::site::{PATIENCE, Site, Worker};
use crate::wire::until;

/// A worker that is asked looks at its database within five seconds; this is long enough on a busy machine.
const NOTICED: Duration = Duration::from_secs(25);

/// A probe's answer, and that the worker is alive meanwhile.
fn ready(site: &Site) -> String {
    let live = site.run(&["health", "live", "--name", "w", "--timeout", "20"]);
    assert_eq!((live.code, live.stdout.as_str()), (0, "alive\n"));
    let ready = site.run(&["health", "ready", "--name", "w", "--timeout", "20"]);
    assert_eq!(ready.code == 0, ready.stdout == "ready\n", "{}", ready.stdout);
    ready.stdout
}

#[test]
fn a_worker_is_ready_while_both_servers_are_there() {
    let (mut postgres, mut rabbit) = servers();
    let site = Site::new(postgres.url(), &rabbit.url());
    postgres.stop_now();
    rabbit.stop_now();
    // With a heartbeat far away, it is the probes that make it look.
    let mut command = site.worker_command("w");
    let worker = Worker::spawn(command.env("ATTUNE__WORKER__HEARTBEAT_INTERVAL", "60"));
    worker.wait_for("waiting for the database");
    assert_eq!(ready(&site), "not ready: connecting to the database\n");
    postgres.start_again();
    let broker = "not ready: connecting to the broker, the queue is not consumed\n";
    assert!(until(PATIENCE, || ready(&site) == broker), "{}", ready(&site));
    rabbit.start_again();
    worker.wait_for("the worker takes work");
    assert_eq!(ready(&site), "ready\n");

    rabbit.stop_now();
    assert!(until(PATIENCE, || ready(&site) == broker), "{}", ready(&site));
    rabbit.start_again();
    assert!(until(PATIENCE, || ready(&site) == "ready\n"), "{}", ready(&site));
    postgres.stop_now();
    let database = "not ready: connecting to the database\n";
    assert!(until(NOTICED, || ready(&site) == database), "{}", ready(&site));
    postgres.start_again();
    assert!(until(PATIENCE, || ready(&site) == "ready\n"), "{}", ready(&site));
    worker.drain();
}

#[test]
fn a_worker_that_drains_is_alive_and_not_ready() {
    let site = Site::shared("health_drain");
    let gate = crate::site::Gate::new(&site, "gate");
    let begun = site.path("begun");
    site.action("wait", &format!("echo > {}\n{}", begun.display(), gate.wait()), "");
    let executor = site.executor();
    let mut worker = site.worker("w");
    assert_eq!(ready(&site), "ready\n");
    executor.request("my.wait", &serde_json::json!({}));
    assert!(until(PATIENCE, || begun.exists()));
    worker.signal(Signal::TERM);
    assert!(until(PATIENCE, || ready(&site).starts_with("not ready: draining")), "{}", ready(&site));
    gate.open(1);
    assert_eq!(worker.exit_code(), 0);
    let after = site.run(&["health", "live", "--name", "w"]);
    assert_eq!(after.code, 1, "{}", after.stdout);
}
