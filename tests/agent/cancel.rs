use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Gate, Plane, Ran, Worker, await_end, read_all};

fn interrupt(child: &std::process::Child) {
    kill_process(Pid::from_child(child), Signal::INT).expect("it waits");
}

#[test]
fn ctrl_c_asks_to_cancel_and_waits_for_the_end() {
    let plane = Plane::new();
    let gate = Gate::new(&plane, "gate");
    plane.action("hang", &format!("echo begun\n{}exec sleep 1000\n", gate.pass()), "");
    let _worker = plane.worker();
    let waiting = plane
        .submit(&["my.hang", "--wait", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let action = gate.wait();
    interrupt(&waiting);
    let ran = Ran::from(waiting.wait_with_output().unwrap());
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("asking to cancel"), "{}", ran.stderr);
    let result = ran.json();
    assert_eq!(
        (result["status"].as_str(), result["reason"].as_str()),
        (Some("cancelled"), Some("cancelled"))
    );
    assert_eq!((result["cancelled"].as_bool(), result["stdout"].as_str()), (Some(true), Some("begun\n")));
    await_end(&action);
}

#[test]
fn a_second_ctrl_c_stops_waiting_and_the_cancellation_goes_on() {
    let plane = Plane::new();
    let gate = Gate::new(&plane, "gate");
    let asked = Gate::new(&plane, "asked");
    plane.action(
        "stubborn",
        &format!("trap '{}' TERM\n{}while :; do sleep 0.1; done\n", asked.pass().trim(), gate.pass()),
        "",
    );
    let mut command = plane.run_command();
    let worker = Worker::start(command.env("ATTUNE__WORKER__KILL_GRACE", "3"));
    let mut waiting = plane
        .submit(&["my.stubborn", "--wait", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    gate.wait();
    interrupt(&waiting);
    asked.wait();
    interrupt(&waiting);
    assert_eq!(waiting.wait().unwrap().code(), Some(130));
    assert!(read_all(waiting.stderr.take().unwrap()).contains("goes on without being watched"));
    worker.wait_for("cancelled");
    assert_eq!(plane.query("SELECT status FROM execution"), [["cancelled"]]);
}

#[test]
fn what_waits_for_a_worker_is_cancelled_at_once() {
    let plane = Plane::new();
    let mut command = plane.submit(&["core.noop", "--wait", "--json"]);
    let mut waiting = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // It says that there is no worker when it has submitted and before it waits.
    let mut first = String::new();
    let mut stderr = std::io::BufReader::new(waiting.stderr.take().unwrap());
    std::io::BufRead::read_line(&mut stderr, &mut first).unwrap();
    assert!(first.contains("no worker is running"), "{first}");
    interrupt(&waiting);
    let ran = Ran::from(waiting.wait_with_output().unwrap());
    assert_eq!((ran.code, ran.json()["reason"].as_str()), (1, Some("cancelled_before_start")));
}
