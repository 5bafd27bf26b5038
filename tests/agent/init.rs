//! The agent as the first process of a container: of a namespace of processes, which is what makes a process one.

use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{PATIENCE, Plane, Worker, behind, children, descendants, lives};

/// What makes the worker process 1. An ordinary user needs a namespace of users, too.
pub(crate) fn namespace() -> Vec<&'static str> {
    let mut wrapper = vec!["unshare"];
    if !rustix::process::geteuid().is_root() {
        wrapper.extend(["--user", "--map-root-user"]);
    }
    wrapper.extend(["--pid", "--fork", "--mount-proc", "--kill-child"]);
    wrapper
}

/// A worker that is process 1, and its number out here. `None` where this user may make no namespace.
#[expect(clippy::print_stdout, reason = "what is not tested is part of what a test says")]
fn container(plane: &Plane) -> Option<(Worker, String)> {
    let wrapper = namespace();
    if !Command::new(wrapper[0]).args(&wrapper[1..]).arg("true").status().is_ok_and(|status| status.success())
    {
        println!("init: this user can make no namespace; not tested");
        return None;
    }
    let worker = Worker::start(&mut behind(&wrapper, &plane.run_command()));
    let first = children(&worker.pid().to_string()).pop().expect("unshare has a child");
    Some((worker, first))
}

/// Awaits that process 1 has the agent, and that its helper process, and that nothing else is left, zombies included.
fn await_no_others(first: &str) {
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let family = descendants(first);
        if family.len() <= 2 {
            return assert!(family.iter().all(|pid| lives(pid)), "{family:?}");
        }
        assert!(std::time::Instant::now() < deadline, "{} processes stay", family.len());
        // Reaping is somebody else's event: all that can be seen of it from here is that there are fewer.
        std::thread::yield_now();
    }
}

#[test]
fn ten_thousand_double_forks_under_process_1_leave_no_zombie() {
    let plane = Plane::new();
    plane.action("orphans", "i=0\nwhile [ $i -lt 10000 ]; do (true &); i=$((i + 1)); done\necho $i\n", "");
    let Some((mut worker, first)) = container(&plane) else { return };
    let result = plane.run(&["my.orphans"]);
    assert_eq!(
        (result["status"].as_str(), result["stdout"].as_str()),
        (Some("completed"), Some("10000\n")),
        "{result}"
    );
    await_no_others(&first);
    // SIGTERM goes to process 1, and through it.
    let first: i32 = first.parse().expect("a process id");
    kill_process(Pid::from_raw(first).expect("a process id"), Signal::TERM).expect("it is there");
    assert_eq!(worker.exit_code(), 0);
}

#[test]
fn what_enters_the_container_and_lets_go_is_reaped() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let plane = Plane::new();
    let Some((_worker, first)) = container(&plane) else { return };
    // As `kubectl exec` does it; each of these ends long after its parent.
    let script = "i=0; while [ $i -lt 1000 ]; do (sleep 0.2 &); i=$((i + 1)); done; exec sleep 0.5";
    let entered =
        Command::new("nsenter").args(["--target", &first, "--pid", "--mount", "sh", "-c", script]).status();
    assert!(entered.expect("nsenter is there").success());
    await_no_others(&first);
}

#[test]
fn the_end_of_the_agent_is_the_end_of_process_1() {
    let plane = Plane::new();
    let Some((mut worker, first)) = container(&plane) else { return };
    let agent: i32 = children(&first).pop().expect("the agent").parse().expect("a process id");
    kill_process(Pid::from_raw(agent).expect("a process id"), Signal::KILL).expect("it is there");
    assert_eq!(worker.exit_code(), 128 + Signal::KILL.as_raw());
}
