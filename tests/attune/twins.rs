//! Two workers of one name: the second is refused, and the first does not notice.

use futures_util::StreamExt;
use lapin::options::{BasicConsumeOptions, BasicRejectOptions};
use lapin::types::FieldTable;
use serde_json::json;

use crate::site::{Ran, Site, Worker};
use crate::wire::Wire;

/// That the worker of this name is what it was, and works.
fn assert_undisturbed(wire: &Wire, worker: &Worker) {
    assert_eq!(wire.value("SELECT status FROM worker WHERE name = 'w'"), "active");
    let execution = wire.hand(wire.worker("w"), "core.noop", &json!({}));
    wire.await_completion(execution);
    assert_eq!(wire.status(execution), "completed");
    let log = worker.log().join("\n");
    assert!(!log.contains(" WARN ") && !log.contains("ERROR"), "{log}");
}

#[test]
fn a_twin_on_the_same_host_is_refused_at_once() {
    let site = Site::shared("twin_here");
    let wire = Wire::new(&site);
    let worker = site.worker("w");
    let before = wire.row("SELECT id, capabilities, meta, host FROM worker");
    let twin = Ran::of(&mut site.worker_command("w"));
    twin.assert_refused(73, "a worker named `w` is running here already", "a name of its own");
    assert_eq!(twin.stderr.lines().count(), 2, "{}", twin.stderr);
    assert_eq!(wire.row("SELECT id, capabilities, meta, host FROM worker"), before);
    assert_undisturbed(&wire, &worker);
    worker.drain();
}

#[test]
fn a_twin_on_another_host_is_refused_and_the_first_goes_on() {
    let site = Site::shared("twin_there");
    let wire = Wire::new(&site);
    let worker = site.worker("w");
    let before = wire.row("SELECT id, capabilities, meta, worker_type FROM worker");
    let mut command = site.worker_command("w");
    command.env("ATTUNE_WORK_DIR", site.path("elsewhere")).env("ATTUNE_WORKER_TYPE", "remote");
    let begun = std::time::Instant::now();
    let twin = Ran::of(&mut command);
    println!("twins: the second was refused after {:.1?}", begun.elapsed());
    twin.assert_refused(73, "a worker named `w` is alive already (worker ", "a name of its own");
    assert!(twin.stderr.contains(", host ") && twin.stderr.contains("last heartbeat "), "{}", twin.stderr);
    assert_eq!(wire.row("SELECT id, capabilities, meta, worker_type FROM worker"), before);
    assert_undisturbed(&wire, &worker);
    worker.drain();
}

#[test]
fn a_consumer_of_another_program_counts_as_a_twin() {
    let site = Site::shared("twin_other");
    let wire = Wire::new(&site);
    site.worker("w").kill();
    let number = wire.worker("w");
    let queue = format!("worker.{number}.executions");
    // The reference's own worker, say: it holds no lock in the database, and consumes.
    let channel = wire.channel();
    let consuming = channel.basic_consume(
        queue.as_str().into(),
        "worker".into(),
        BasicConsumeOptions::default(),
        FieldTable::default(),
    );
    let mut consumer = wire.block_on(consuming).expect("a queue that the first life left");
    let twin = Ran::of(&mut site.worker_command("w"));
    twin.assert_refused(73, "a worker named `w` is alive already", "a name of its own");
    // It is delivered what it was before.
    let execution = wire.hand(number, "core.noop", &json!({}));
    let delivered = wire.block_on(async {
        let delivered = consumer.next().await.expect("a consumer").expect("a delivery");
        delivered.acker.reject(BasicRejectOptions { requeue: true }).await.expect("a channel");
        delivered.data
    });
    assert!(String::from_utf8_lossy(&delivered).contains(&format!("\"execution_id\":{execution}")));
    // Once it is gone, the name is free, and what it left is done.
    wire.block_on(channel.close(200, "goodbye".into())).expect("a channel");
    let worker = site.worker("w");
    wire.await_completion(execution);
    assert_eq!(wire.status(execution), "completed");
    worker.drain();
}

#[test]
fn the_name_of_a_sensor_is_refused_and_its_row_left_alone() {
    let site = Site::shared("twin_sensor");
    let wire = Wire::new(&site);
    wire.execute("INSERT INTO worker (name, worker_type, worker_role, status) VALUES ('w', 'local', 'sensor', 'active')");
    let before = wire.row("SELECT * FROM worker");
    let ran = Ran::of(&mut site.worker_command("w"));
    ran.assert_refused(73, "the name `w` belongs to a sensor worker", "another name");
    assert_eq!(wire.row("SELECT * FROM worker"), before);
}

#[test]
fn of_two_that_start_at_once_one_works() {
    let site = Site::shared("twin_race");
    let wire = Wire::new(&site);
    let start = |directory: &str| {
        let mut command = site.worker_command("w");
        Worker::spawn(command.env("ATTUNE_WORK_DIR", site.path(directory)))
    };
    let workers = [start("one"), start("two")];
    let mut codes = workers
        .map(|mut worker| {
            wire.await_value("SELECT count(*) FROM worker WHERE status = 'active'", &json!(1));
            std::thread::spawn(move || {
                // The one that works is told to stop once the other is refused.
                let lost = crate::wire::until(std::time::Duration::from_secs(20), || worker.has_ended());
                if !lost {
                    worker.signal(rustix::process::Signal::TERM);
                }
                worker.exit_code()
            })
        })
        .map(|thread| thread.join().expect("an exit code"));
    codes.sort_unstable();
    assert_eq!(codes, [0, 73]);
    assert_eq!(wire.value("SELECT count(*) FROM worker"), 1);
}
