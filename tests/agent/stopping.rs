//! Timeout, cancellation and drain: each leaves no process, and says what it was, by which signal, and what had been
//! printed.

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Gate, Plane, Ran, Worker, lives};

/// Prints, starts processes that hide, tells their numbers, and hangs.
fn hang(gate: &Gate, trap: &str) -> String {
    format!(
        "{trap}echo begun\necho aside >&2\nsetsid sleep 1000 & a=$!\n(setsid sh -c 'trap \"\" TERM; sleep 1000' &)\n\
         sleep 1000 & b=$!\necho $$ $a $b > {}\nwhile :; do wait; done\n",
        gate.path().display()
    )
}

struct Expected {
    status: &'static str,
    reason: &'static str,
    signal: &'static str,
}

#[track_caller]
fn assert_ended(pids: &str, result: &Value, expected: &Expected) {
    let text = |key: &str| result[key].as_str().unwrap_or_default();
    assert_eq!(text("reason"), expected.reason, "{result}");
    assert_eq!(text("signal"), expected.signal, "{result}");
    assert_eq!(result["exit_code"], -1, "{result}");
    assert_eq!(result["succeeded"], false, "{result}");
    assert_eq!(text("stdout"), "begun\n", "{result}");
    let log = std::fs::read_to_string(text("stderr_log")).expect("a log");
    assert!(log.contains("aside"), "{log}");
    assert!(pids.split_ascii_whitespace().all(|pid| !lives(pid)), "{pids}");
}

fn worker(plane: &Plane) -> Worker {
    let mut command = plane.run_command();
    command.env("ATTUNE__WORKER__KILL_GRACE", "0.5").env("ATTUNE__WORKER__SHUTDOWN_TIMEOUT", "0.5");
    Worker::start(&mut command)
}

/// As `by` ends what hangs, mildly and by force.
fn ended_by(by: impl Fn(&Plane, &Worker, &Gate) -> (String, Value), expected: &Expected) {
    for (trap, signal) in [("", "SIGTERM"), ("trap '' TERM\n", "SIGKILL")] {
        let plane = Plane::new();
        let gate = Gate::new(&plane, "gate");
        let limit = if expected.reason == "timeout" { "timeout_seconds: 1\n" } else { "" };
        plane.action("hang", &hang(&gate, trap), limit);
        let worker = worker(&plane);
        let (pids, result) = by(&plane, &worker, &gate);
        assert_ended(&pids, &result, &Expected { signal, ..*expected });
        if expected.reason != "worker_stopped" {
            worker.await_alone();
        }
        let rows = plane.query("SELECT status FROM execution");
        assert_eq!(rows, [[expected.status]]);
    }
}

#[test]
fn a_timeout_leaves_nothing_and_says_so() {
    ended_by(
        |plane, _, gate| {
            let result = plane.run(&["my.hang"]);
            (gate.wait(), result)
        },
        &Expected { status: "timeout", reason: "timeout", signal: "" },
    );
}

#[test]
fn a_cancellation_leaves_nothing_and_says_so() {
    ended_by(
        |plane, _, gate| {
            let mut command = plane.submit(&["my.hang", "--wait", "--json"]);
            let waiting =
                command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn();
            let waiting = waiting.expect("the agent starts");
            let pids = gate.wait();
            let pid = rustix::process::Pid::from_child(&waiting);
            rustix::process::kill_process(pid, Signal::INT).expect("it waits");
            (pids, Ran::from(waiting.wait_with_output().expect("it ends")).json())
        },
        &Expected { status: "cancelled", reason: "cancelled", signal: "" },
    );
}

#[test]
fn a_drain_leaves_nothing_and_says_so() {
    ended_by(
        |plane, worker, gate| {
            assert_eq!(Ran::of(&mut plane.submit(&["my.hang"])).code, 0);
            let pids = gate.wait();
            worker.signal(Signal::TERM);
            worker.wait_for("an execution has ended");
            crate::support::await_end(&worker.pid().to_string());
            let result = plane.query("SELECT result FROM execution").remove(0).remove(0);
            let result: Value = serde_json::from_str(&result).expect("JSON");
            (pids, agent_core::model::shown_result(&result).into())
        },
        &Expected { status: "abandoned", reason: "worker_stopped", signal: "" },
    );
}
