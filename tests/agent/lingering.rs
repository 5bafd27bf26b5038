//! Output after the end of the action's own process: helpers that still hold some of it are heard out, and nobody else is
//! waited for.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Plane, Ran, agent, descendants};

/// What the action prints last goes through a helper that has not printed it when the action ends.
const TEE: &str = "exec > >(tee /dev/null) 2>&1\necho \"LAST LINE\"\nexit 3\n";
const FILTER: &str =
    "exec 2> >(while read -r line; do echo \"[ts] $line\" >&2; done)\necho \"LAST LINE\" >&2\nexit 3\n";
/// The helper's input stays open after its writer's end, for a silent process has it too.
const SHARED: &str = "exec > >(tee /dev/null) 2>&1\nsleep 1000 &\necho \"LAST LINE\"\nexit 3\n";
/// Two helpers, of which the one that prints knows nothing of the action.
const CHAIN: &str = "exec > >(grep LAST | tr a-z A-Z)\necho \"LAST LINE\"\nexit 3\n";
/// Prints only when it has read everything.
const SORT: &str = "exec > >(sort)\necho \"LAST LINE\"\nexit 3\n";

const ALL: [(&str, &str); 5] =
    [("tee", TEE), ("filter", FILTER), ("shared", SHARED), ("chain", CHAIN), ("sort", SORT)];

/// How often: each time that a line is lost it is by chance.
const ROUNDS: usize = 40;

/// A script for `bash`, whatever the runtime's shell is, and the shell action that runs it.
fn bash(plane: &Plane, name: &str, script: &str) -> (PathBuf, String) {
    let file = plane.file(&format!("{name}.bash"));
    std::fs::write(&file, script).expect("a writable directory");
    let action = format!("exec bash {}\n", file.display());
    (file, action)
}

#[track_caller]
fn assert_last_line(name: &str, result: &Value) {
    let printed = [&result["stdout"], &result["error"]].map(|text| text.as_str().unwrap_or_default());
    assert!(
        printed.iter().any(|text| text.ends_with("LAST LINE\n") || text.ends_with("LAST LINE")),
        "{name}: {result}"
    );
    assert_eq!(result["exit_code"], 3, "{name}: {result}");
}

#[test]
fn the_last_line_goes_through_every_helper_of_exec() {
    let plane = Plane::new();
    for (name, script) in ALL {
        let (_, action) = bash(&plane, name, script);
        let file = plane.file(&format!("{name}.sh"));
        std::fs::write(&file, action).expect("a writable directory");
        for _ in 0..ROUNDS {
            assert_last_line(name, &Ran::of(agent().arg("exec").arg(&file)).json());
        }
    }
}

#[test]
fn the_last_line_goes_through_every_helper_of_a_worker() {
    let plane = Plane::new();
    for (name, script) in ALL {
        let (_, action) = bash(&plane, name, script);
        plane.action(name, &action, "");
    }
    let worker = plane.worker();
    for (name, _) in ALL {
        for _ in 0..ROUNDS {
            assert_last_line(name, &plane.run(&[&format!("my.{name}")]));
        }
    }
    worker.await_alone();
}

/// How long `exec` takes with a script for `bash`.
fn exec(plane: &Plane, name: &str, script: &str) -> Duration {
    let (_, action) = bash(plane, name, script);
    let file = plane.file(&format!("{name}.sh"));
    std::fs::write(&file, action).expect("a writable directory");
    let begun = Instant::now();
    let ran = Ran::of(agent().arg("exec").arg(&file));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    begun.elapsed()
}

#[test]
fn what_is_left_behind_in_silence_is_not_waited_for() {
    let plane = Plane::new();
    let python = "python3 -c 'import subprocess; subprocess.Popen([\"true\"]).wait()'\n";
    let silent = [
        ("sleep", "true\n", "sleep 1000 &\n"),
        ("session", "true\n", "setsid sleep 1000 &\n"),
        ("busy", "true\n", "while :; do :; done &\n"),
        // It has the pipe that the parameters came through, as whatever a program starts has.
        ("inherited", python, "python3 -c 'import subprocess; subprocess.Popen([\"sleep\", \"1000\"])'\n"),
        ("pipeline", "true | true\n", "sleep 1000 | cat &\n"),
    ];
    for (name, alone, left) in silent {
        // Others use this machine too. What waits, waits each time; the shortest of some times is compared.
        let mut shortest = [Duration::MAX; 2];
        for _ in 0..40 {
            for (shortest, script) in shortest.iter_mut().zip([alone, left]) {
                *shortest = exec(&plane, name, script).min(*shortest);
            }
            if shortest[1] < shortest[0] + Duration::from_millis(20) {
                break;
            }
        }
        println!("lingering: {name}: {:?} with nothing left, {:?} with something", shortest[0], shortest[1]);
        assert!(shortest[1] < shortest[0] + Duration::from_millis(50), "{name}: {shortest:?}");
    }
}

#[test]
fn a_helper_that_never_ends_is_heard_out_for_a_while() {
    let plane = Plane::new();
    let helpers = [
        // Whatever it has not read, it prints nothing.
        ("silent", "exec > >(sleep 1000)\necho lost\n", 0, 1_500),
        ("endless", "exec > >(while :; do echo again; sleep 0.02; done)\nexit 0\n", 300, 10_000),
    ];
    for (name, script, _, _) in helpers {
        let (_, action) = bash(&plane, name, script);
        plane.action(name, &action, "timeout_seconds: 1\n");
    }
    let worker = plane.worker();
    for (name, _, least, most) in helpers {
        let begun = Instant::now();
        let result = plane.run(&[&format!("my.{name}")]);
        let took = begun.elapsed().as_millis();
        println!("lingering: {name} took {took} ms: {result}");
        assert_eq!(result["reason"], "completed", "its own end came before the time limit: {result}");
        assert!(
            result["duration_ms"].as_u64().is_some_and(|ms| ms < 1_000),
            "its time ends with it: {result}"
        );
        assert!((least..most).contains(&took), "{name}: {took} ms");
    }
    worker.await_alone();
}

#[test]
fn what_is_told_to_end_is_heard_out_too() {
    let plane = Plane::new();
    let script = "exec > >(trap '' TERM; exec tee /dev/null)\ntrap 'echo \"LAST LINE\"; exit 3' TERM\nsleep 1000 &\nwait\n";
    let (_, action) = bash(&plane, "told", script);
    plane.action("told", &action, "timeout_seconds: 1\n");
    let worker = plane.worker();
    let result = plane.run(&["my.told"]);
    assert_eq!(
        (result["reason"].as_str(), result["stdout"].as_str()),
        (Some("timeout"), Some("LAST LINE\n"))
    );
    worker.await_alone();
    assert!(descendants(&worker.pid().to_string()).len() <= 1);
}
