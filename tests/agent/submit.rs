use crate::support::{Plane, Ran};

#[test]
fn a_result_is_json_with_data() {
    let plane = Plane::new();
    let _worker = plane.worker();
    let ran = Ran::of(
        plane
            .submit(&["examples.python_words", "--param", "name=Ada", "--wait", "--json"])
            .env("LC_ALL", "C"),
    );
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(ran.json()["data"]["greeting"], "Hello, Ada!");
    assert_eq!(ran.json()["status"], "completed");
    assert_eq!(ran.json()["succeeded"], true);
    assert_eq!(ran.json()["exit_code"], 0);
}

#[test]
fn a_failing_action_is_exit_1_with_the_reason() {
    let plane = Plane::new();
    plane.action("three", "echo first >&2; echo why >&2; exit 3", "");
    let _worker = plane.worker();
    let ran = Ran::of(&mut plane.submit(&["my.three", "--wait"]));
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("failed") && ran.stderr.contains("exit_code"), "{}", ran.stderr);
    assert!(ran.stderr.contains("first\nwhy"), "{}", ran.stderr);
    let result = plane.run(&["my.three"]);
    assert_eq!((result["reason"].as_str(), result["exit_code"].as_i64()), (Some("exit_code"), Some(3)));
    let log = result["stderr_log"].as_str().expect("where the log is");
    assert_eq!(std::fs::read_to_string(log).unwrap(), "first\nwhy\n");
}

#[test]
fn wrong_questions_are_exit_2_with_a_sentence_and_a_hint() {
    let plane = Plane::new();
    plane.action(
        "needs",
        "cat",
        "parameters:\n  name: {type: string, required: true, description: whom to greet}\n",
    );
    let refused = |args: &[&str], sentence, hint| {
        Ran::of(&mut plane.submit(args)).assert_refused(2, sentence, hint);
    };
    refused(&["my.neds"], "there is no action `my.neds`", "did you mean `my.needs`?");
    refused(
        &["my.needs"],
        "the required parameter `name` is missing",
        "add `--param name=…` (whom to greet)",
    );
    refused(&["my.needs", "-p", "nmae=x"], "there is no parameter `nmae`", "it takes: name");
    refused(&["core.sleep", "-p", "seconds=soon"], "takes a whole number", "for example 42");
    refused(&["my.needs", "-p", "name"], "`name` has no `=`", "--param name=value");
    assert!(plane.query("SELECT id FROM execution").is_empty(), "nothing was submitted");
}

#[test]
fn submitting_before_a_worker_runs_loses_nothing() {
    let plane = Plane::new();
    let ran = Ran::of(&mut plane.submit(&["core.echo", "-p", "message=early"]));
    assert_eq!(ran.code, 0);
    assert!(ran.stderr.contains("no worker is running"), "{}", ran.stderr);
    let worker = plane.worker();
    // Submitted later, taken later: by then the first has been taken.
    plane.run(&["core.noop"]);
    worker.drain();
    assert_eq!(plane.query("SELECT status FROM execution WHERE id = 1"), [["completed"]]);
}

#[test]
fn a_submission_wakes_the_worker_without_a_poll() {
    let plane = Plane::new();
    let mut command = plane.run_command();
    // With a heartbeat an hour away nothing in the worker ticks: only the submission itself can wake it.
    let _worker = crate::support::Worker::start(command.env("ATTUNE__WORKER__HEARTBEAT_INTERVAL", "3600"));
    for _ in 0..5 {
        assert_eq!(plane.run(&["core.noop"])["status"], "completed");
    }
}

#[test]
fn the_history_tells_the_control_planes_story() {
    let plane = Plane::new();
    let _worker = plane.worker();
    plane.run(&["core.noop"]);
    let history = plane.query("SELECT old_status, new_status FROM execution_history ORDER BY rowid");
    assert_eq!(
        history,
        [["", "requested"], ["requested", "scheduled"], ["scheduled", "running"], ["running", "completed"]]
    );
    let row =
        plane.query("SELECT status, worker_role, json_extract(capabilities, '$.agent_mode') FROM worker");
    assert_eq!(row, [["active", "action", "1"]]);
}

#[test]
fn variables_reach_the_action_and_the_agents_own_do_not() {
    let plane = Plane::new();
    plane.action("environ", "env", "");
    let mut command = plane.run_command();
    command
        .env("ATTUNE__SECURITY__JWT_SECRET", "hush-hush")
        .env("DB_PASSWORD", "hush-hush")
        .env("JAVA_HOME", "/opt/j");
    let worker = crate::support::Worker::start(&mut command);
    let result = plane.run(&["my.environ", "--env", "COLOUR=blue"]);
    let env = result["stdout"].as_str().unwrap();
    for expected in [
        "COLOUR=blue",
        "JAVA_HOME=/opt/j",
        "ATTUNE_EXEC_ID=1",
        "ATTUNE_ACTION=my.environ",
        "ATTUNE_PACK_REF=my",
    ] {
        assert!(env.lines().any(|line| line == expected), "{expected} in {env}");
    }
    assert!(!env.contains("hush-hush"), "{env}");
    // Neither does the process that the action was forked from have anything to inherit.
    drop(worker);
}
