use rustix::process::Signal;

use crate::support::{Gate, Plane, Ran, Worker, await_end};

#[test]
fn sigterm_lets_running_executions_end_and_hands_the_rest_back() {
    let plane = Plane::new();
    let gate = Gate::new(&plane, "gate");
    plane.action("second", &format!("{}sleep 1\necho done\n", gate.pass()), "");
    let mut command = plane.run_command();
    let mut worker = Worker::start(command.env("ATTUNE__WORKER__MAX_CONCURRENT_TASKS", "2"));
    for _ in 0..6 {
        assert_eq!(Ran::of(&mut plane.submit(&["my.second"])).code, 0);
    }
    gate.wait();
    gate.wait();
    worker.signal(Signal::TERM);
    worker.wait_for("the worker stops");
    // Its row follows in a moment; what runs takes a second.
    let mut status = plane.query("SELECT status FROM worker");
    while status == [["active"]] {
        status = plane.query("SELECT status FROM worker");
    }
    assert_eq!(status, [["busy"]], "it is alive, and takes nothing");
    assert_eq!(worker.exit_code(), 0);
    let counts = plane.query("SELECT status, count(*) FROM execution GROUP BY status ORDER BY status");
    assert_eq!(counts, [["completed", "2"], ["requested", "4"]]);
    assert_eq!(plane.query("SELECT status FROM worker"), [["inactive"]]);
}

#[test]
fn what_does_not_end_within_the_grace_is_ended_and_says_so() {
    let plane = Plane::new();
    let gate = Gate::new(&plane, "gate");
    plane.action("hang", &format!("{}exec sleep 1000\n", gate.pass()), "");
    let mut command = plane.run_command();
    let mut worker = Worker::start(command.env("ATTUNE__WORKER__SHUTDOWN_TIMEOUT", "0.5"));
    assert_eq!(Ran::of(&mut plane.submit(&["my.hang"])).code, 0);
    let action = gate.wait();
    worker.signal(Signal::TERM);
    assert_eq!(worker.exit_code(), 0);
    await_end(&action);
    let rows = plane.query("SELECT status, json_extract(result, '$._agent.reason') FROM execution");
    assert_eq!(rows, [["abandoned", "worker_stopped"]]);
}

#[test]
fn a_second_sigterm_hurries() {
    let plane = Plane::new();
    let gate = Gate::new(&plane, "gate");
    plane.action("hang", &format!("{}exec sleep 1000\n", gate.pass()), "");
    let mut command = plane.run_command();
    let mut worker = Worker::start(command.env("ATTUNE__WORKER__SHUTDOWN_TIMEOUT", "3600"));
    assert_eq!(Ran::of(&mut plane.submit(&["my.hang"])).code, 0);
    gate.wait();
    worker.signal(Signal::TERM);
    worker.wait_for("the worker stops");
    worker.signal(Signal::TERM);
    assert_eq!(worker.exit_code(), 0);
    assert_eq!(plane.query("SELECT status FROM execution"), [["abandoned"]]);
}
