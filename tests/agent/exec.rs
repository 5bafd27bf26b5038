use std::io::{BufRead, BufReader};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Plane, Ran, agent, await_end};

#[test]
fn an_action_runs_without_any_control_plane() {
    let ran = Ran::of(agent().args(["exec", "core.echo", "--param", "message=hello there"]));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(ran.json()["stdout"], "hello there\n");
    assert_eq!(ran.json()["status"], "completed");
    assert_eq!(ran.stderr, "hello there\n", "live output goes to standard error");
}

#[test]
fn a_file_runs_by_its_extension_with_any_parameter() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("shout.py");
    std::fs::write(&file, "import json, sys\nprint(json.load(sys.stdin)['word'].upper())\n").unwrap();
    let ran = Ran::of(agent().arg("exec").arg(&file).args(["--param", "word=loud"]));
    assert_eq!((ran.code, ran.json()["stdout"].as_str()), (0, Some("LOUD\n")), "{}", ran.stderr);
}

#[test]
fn failure_is_exit_1_and_a_wrong_question_exit_2() {
    let failed = Ran::of(agent().args(["exec", "core.fail", "--param", "message=no"]));
    assert_eq!((failed.code, failed.json()["reason"].as_str()), (1, Some("exit_code")));
    Ran::of(agent().args(["exec", "core.ehco"])).assert_refused(
        2,
        "there is no action",
        "did you mean `core.echo`?",
    );
    Ran::of(agent().args(["exec", "./nothing.py"])).assert_refused(2, "there is no file", "pack.name");
}

#[test]
fn exec_and_a_worker_agree() {
    let plane = Plane::new();
    let _worker = plane.worker();
    let by_worker = plane.run(&["examples.python_words", "-p", "name=Ada"]);
    let here = Ran::of(agent().args(["exec", "examples.python_words", "-p", "name=Ada"])).json();
    for field in ["status", "reason", "exit_code", "data", "succeeded"] {
        assert_eq!(by_worker[field], here[field], "{field}");
    }
}

#[test]
fn ctrl_c_ends_the_action_and_tells_what_it_printed() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("hang.sh");
    std::fs::write(&file, "echo $$\nsleep 1000 &\nwait\n").unwrap();
    let mut command = agent();
    let mut running =
        command.arg("exec").arg(&file).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut action = String::new();
    BufReader::new(running.stderr.as_mut().unwrap()).read_line(&mut action).unwrap();
    kill_process(Pid::from_child(&running), Signal::INT).unwrap();
    let ran = Ran::from(running.wait_with_output().unwrap());
    assert_eq!((ran.code, ran.json()["status"].as_str()), (1, Some("cancelled")));
    assert_eq!(ran.json()["stdout"], action);
    await_end(action.trim());
}

#[test]
fn nothing_is_left_behind() {
    let scratch = tempfile::tempdir().unwrap();
    let ran = Ran::of(agent().args(["exec", "core.noop"]).env("TMPDIR", scratch.path()));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
}
