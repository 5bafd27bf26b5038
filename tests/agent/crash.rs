use rustix::process::Signal;

use crate::support::{Gate, Plane, Ran, await_end};

#[test]
fn what_ran_when_the_worker_was_killed_is_abandoned_and_what_was_queued_runs() {
    let plane = Plane::new();
    let gate = Gate::new(&plane, "gate");
    plane.action("hang", &format!("{}exec sleep 1000\n", gate.pass()), "");
    let mut command = plane.run_command();
    let worker = crate::support::Worker::start(command.env("ATTUNE__WORKER__MAX_CONCURRENT_TASKS", "5"));
    for _ in 0..5 {
        assert_eq!(Ran::of(&mut plane.submit(&["my.hang"])).code, 0);
    }
    let actions: Vec<_> = (0..5).map(|_| gate.wait()).collect();
    for _ in 0..3 {
        assert_eq!(Ran::of(&mut plane.submit(&["core.noop"])).code, 0);
    }
    worker.kill();
    // Nothing runs that nobody watches: the actions end with the agent.
    for pid in &actions {
        await_end(pid);
    }
    let next = plane.worker();
    // Taken last: by then every other has been taken.
    plane.run(&["core.noop"]);
    next.drain();
    let rows = plane.query(
        "SELECT status, json_extract(result, '$._agent.reason'), count(*), min(json_extract(result, '$.error')) \
         FROM execution GROUP BY 1, 2 ORDER BY 1",
    );
    assert_eq!(
        rows,
        [
            ["abandoned", "worker_lost", "5", "the worker died while the action ran"],
            ["completed", "completed", "4", ""]
        ]
    );
}

#[test]
fn another_worker_settles_what_a_dead_one_left() {
    let plane = Plane::new();
    let gate = Gate::new(&plane, "gate");
    plane.action("hang", &format!("{}exec sleep 1000\n", gate.pass()), "");
    let mut first = plane.run_command();
    let first = crate::support::Worker::start(first.args(["--name", "first"]));
    let waiting =
        plane.submit(&["my.hang", "--wait", "--json"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    gate.wait();
    first.kill();
    let mut second = plane.run_command();
    let _second = crate::support::Worker::start(second.args(["--name", "second"]));
    let ran = Ran::from(waiting.wait_with_output().unwrap());
    assert_eq!((ran.code, ran.json()["status"].as_str()), (1, Some("abandoned")));
    assert_eq!(plane.query("SELECT status FROM worker WHERE name = 'first'"), [["inactive"]]);
}

#[test]
fn a_worker_with_a_live_twin_is_refused() {
    let plane = Plane::new();
    let worker = plane.worker();
    Ran::of(&mut plane.run_command()).assert_refused(73, "is running here already", "--name");
    assert_eq!(plane.run(&["core.noop"])["status"], "completed", "the first one goes on");
    drop(worker);
}

#[test]
fn a_killed_helper_process_costs_one_execution_at_most() {
    let plane = Plane::new();
    let gate = Gate::new(&plane, "gate");
    plane.action("hang", &format!("{}exec sleep 1000\n", gate.pass()), "");
    let worker = plane.worker();
    assert_eq!(Ran::of(&mut plane.submit(&["my.hang"])).code, 0);
    let action = gate.wait();
    let child_of = |pid: &str| {
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        children.split_ascii_whitespace().next().unwrap().to_owned()
    };
    let kill = |pid: &str| {
        let pid = rustix::process::Pid::from_raw(pid.parse().unwrap()).unwrap();
        rustix::process::kill_process(pid, Signal::KILL).unwrap();
    };
    // The supervisor first: its action becomes the zygote's, which ends it.
    let zygote = child_of(&worker.pid().to_string());
    kill(&child_of(&zygote));
    await_end(&action);
    worker.wait_for("agent_error");
    // Then the zygote itself: the next execution has a new one.
    kill(&zygote);
    await_end(&zygote);
    assert_eq!(plane.run(&["core.noop"])["status"], "completed");
}
