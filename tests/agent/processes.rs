use crate::support::{Plane, lives};

/// Reads the process ids that an action printed, one a line.
fn pids(result: &serde_json::Value) -> Vec<String> {
    result["stdout"].as_str().expect("text").lines().map(str::to_owned).collect()
}

#[test]
fn a_background_process_neither_holds_the_execution_nor_outlives_it() {
    let plane = Plane::new();
    plane.action("background", "sleep 1000 &\necho $!\n", "");
    let _worker = plane.worker();
    let result = plane.run(&["my.background"]);
    assert_eq!(result["status"], "completed");
    assert!(result["duration_ms"].as_u64().unwrap() < 30_000, "it was not waited for: {result}");
    assert!(pids(&result).iter().all(|pid| !lives(pid)), "{result}");
}

#[test]
fn a_new_session_a_double_fork_and_an_empty_environment_are_no_way_out() {
    let plane = Plane::new();
    plane.action(
        "escape",
        "out=$(mktemp)\n\
         env -i setsid sh -c \"(sh -c 'echo \\$\\$ >> $out; exec sleep 1000' > /dev/null 2>&1 < /dev/null &) ; \
         echo \\$\\$ >> $out; exec sleep 1000\" > /dev/null 2>&1 < /dev/null &\n\
         while [ \"$(wc -l < $out)\" -lt 2 ]; do :; done\n\
         cat $out; rm $out\n",
        "",
    );
    let _worker = plane.worker();
    let result = plane.run(&["my.escape"]);
    assert_eq!(result["status"], "completed", "{result}");
    let escaped = pids(&result);
    assert_eq!(escaped.len(), 2, "{result}");
    assert!(escaped.iter().all(|pid| !lives(pid)), "{result}");
}

#[test]
fn executions_that_run_at_once_do_not_end_each_other() {
    let plane = Plane::new();
    plane.action("short", "sleep 1000 &\nexit 0\n", "");
    plane.action("long", "setsid sleep 1 &\nwait\necho done\n", "");
    let _worker = plane.worker();
    let long =
        plane.submit(&["my.long", "--wait", "--json"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    for _ in 0..10 {
        assert_eq!(plane.run(&["my.short"])["status"], "completed");
    }
    let long = crate::support::Ran::from(long.wait_with_output().unwrap()).json();
    assert_eq!((long["status"].as_str(), long["stdout"].as_str()), (Some("completed"), Some("done\n")));
}

#[test]
fn an_action_past_its_time_limit_ends_as_timeout() {
    let plane = Plane::new();
    plane.action("slow", "echo begun\nsleep 1000 &\necho $! >&2\nwait\n", "timeout_seconds: 1\n");
    plane.action(
        "stubborn",
        "trap '' TERM\necho begun\nwhile :; do sleep 1000; done\n",
        "timeout_seconds: 1\n",
    );
    let mut command = plane.run_command();
    let _worker = crate::support::Worker::start(command.env("ATTUNE__WORKER__KILL_GRACE", "0.3"));
    let slow = plane.run(&["my.slow"]);
    assert_eq!((slow["status"].as_str(), slow["reason"].as_str()), (Some("timeout"), Some("timeout")));
    assert_eq!(slow["error"], "timed out after 1 s and was ended");
    assert_eq!((slow["signal"].as_str(), slow["exit_code"].as_i64()), (Some("SIGTERM"), Some(-1)));
    assert_eq!(slow["stdout"], "begun\n", "what it printed so far is kept");
    let stubborn = plane.run(&["my.stubborn"]);
    assert_eq!(
        (stubborn["status"].as_str(), stubborn["signal"].as_str()),
        (Some("timeout"), Some("SIGKILL"))
    );
}

#[test]
fn an_end_by_a_signal_is_reported_as_that_signal() {
    let plane = Plane::new();
    plane.action("segv", "kill -SEGV $$\n", "");
    let _worker = plane.worker();
    let result = plane.run(&["my.segv"]);
    assert_eq!((result["status"].as_str(), result["reason"].as_str()), (Some("failed"), Some("signal")));
    assert_eq!(result["signal"], "SIGSEGV");
}

#[test]
fn a_thousand_orphans_leave_no_zombie() {
    let plane = Plane::new();
    plane.action("orphans", "i=0\nwhile [ $i -lt 1000 ]; do (true &); i=$((i + 1)); done\n", "");
    let worker = plane.worker();
    assert_eq!(plane.run(&["my.orphans"])["status"], "completed");
    worker.await_alone();
}
