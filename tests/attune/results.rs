//! What `execution.result` holds (CONTRACT §3.9), and what a workflow reads of it (§11): the top is the reference's and the
//! action's, and nothing of ours stands in between.

use std::collections::BTreeSet;

use agent_core::model::{AGENT, ResultField};
use serde_json::{Value, json};
use test_servers::FileApi;

use crate::site::{Gate, PATIENCE, Site, Worker, golden, lines};
use crate::wire::{Wire, until};

const SECRET: &str = "dev-secret-dev-secret-dev-secret";

/// The keys that the reference's worker writes.
const REFERENCE: &[&str] = &[
    "succeeded",
    "cancelled",
    "exit_code",
    "duration_ms",
    "error",
    "stdout",
    "stderr_log",
    "stdout_truncated",
    "stdout_bytes_truncated",
    "stderr_truncated",
    "stderr_bytes_truncated",
    "data",
    "queue_ack",
];

/// Names that an action may well give to something of its own, and that this agent has ever used.
const NAMES: &[&str] = &[
    "reason",
    "hint",
    "signal",
    "memory",
    "memory_limit_bytes",
    "memory_peak_bytes",
    "limit_bytes",
    "peak_bytes",
    "logs",
    "stdout_log",
    "stdout_base64",
    "stderr_base64",
    "stdout_artifact",
    "stderr_artifact",
    "output_error",
    "warnings",
    "artifact",
    "path",
    "status",
    "execution_id",
    "action_ref",
];

/// What templates read as `result()`: the keys of the data under those of the result, without overwriting.
fn workflow_result_view(result: &Value) -> Value {
    let mut view = result.as_object().expect("an object").clone();
    if let Some(data) = result["data"].as_object() {
        for (key, value) in data {
            view.entry(key.clone()).or_insert_with(|| value.clone());
        }
    }
    view.into()
}

fn at_the_top(result: &Value) -> BTreeSet<&str> {
    result.as_object().expect("an object").keys().map(String::as_str).collect()
}

/// That nothing is at the top of a result but keys of the reference, and one of ours.
fn assert_top(result: &Value) {
    let own: Vec<_> = at_the_top(result).into_iter().filter(|key| !REFERENCE.contains(key)).collect();
    assert_eq!(own, [AGENT], "{result:#}");
}

#[test]
fn a_workflow_reads_what_the_action_returned_whatever_it_is_called() {
    let site = Site::shared("result_view");
    let wire = Wire::new(&site);
    let ours = ResultField::ALL.iter().filter(|field| !field.is_of_reference());
    let of_table = ours.flat_map(|field| field.place().split('.').skip(1).chain([field.shown()]));
    let names: BTreeSet<_> = NAMES.iter().copied().chain(of_table).collect();
    let data: Value = names
        .iter()
        .map(|name| ((*name).to_owned(), json!(format!("the action's {name}"))))
        .collect::<serde_json::Map<_, _>>()
        .into();
    std::fs::write(site.path("my/data.json"), data.to_string()).expect("a writable directory");
    site.action("say", "cat data.json; echo also >&2\n", "output_format: json\n");
    // More than goes into a result as text: then it has the most to say of its own.
    site.action(
        "flood",
        "head -c 2000000 /dev/zero | tr '\\0' x; echo; cat data.json\n",
        "output_format: json\n",
    );
    let worker = site.worker("w");
    let number = wire.worker("w");
    for action in ["my.say", "my.flood"] {
        let result = wire.run(number, action, &json!({}));
        assert_top(&result);
        let view = workflow_result_view(&result);
        for name in &names {
            assert_eq!(view[*name], data[*name], "`result().{name}` of {action}");
        }
        assert_eq!(result[AGENT]["reason"], "completed");
    }
    worker.drain();
}

#[test]
fn what_submit_prints_of_an_execution_is_told_apart_from_what_the_action_returned() {
    let site = Site::shared("result_shown");
    let wire = Wire::new(&site);
    site.action(
        "say",
        "echo '{\"reason\": \"because\", \"hint\": \"mine\", \"signal\": 9}'\n",
        "output_format: json\n",
    );
    let worker = site.worker("w");
    wire.worker("w");
    let ran = site.run(&["submit", "my.say", "--direct", "--wait", "--json"]);
    let shown: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(
        (&shown["reason"], &shown["exit_code"], &shown["status"]),
        (&json!("completed"), &json!(0), &json!("completed"))
    );
    assert_eq!(shown["data"], json!({"reason": "because", "hint": "mine", "signal": 9}));
    let expected =
        ["action_ref", "data", "duration_ms", "execution_id", "exit_code", "reason", "status", "succeeded"];
    assert_eq!(at_the_top(&shown), BTreeSet::from(expected), "{shown}");
    worker.drain();
}

#[test]
fn however_an_execution_ends_its_result_has_the_references_keys_at_the_top() {
    let site = Site::shared("result_top");
    let wire = Wire::new(&site);
    let begun = site.path("begun");
    site.action("text", "echo hello; echo beside >&2\n", "output_format: text\n");
    site.action("binary", "printf '\\377'\n", "output_format: text\n");
    site.action("broken", "echo '{oops'\n", "output_format: json\n");
    site.action("flood", "head -c 2000000 /dev/zero\n", "output_format: text\n");
    site.action("seven", "echo to stdout; echo broken >&2; exit 7\n", "");
    site.action("killed", "kill -SEGV $$\n", "");
    site.action(
        "long",
        &format!("echo $$ >> {}\nexec sleep 1000\n", begun.display()),
        "timeout_seconds: 1\n",
    );
    site.action("patient", &format!("echo $$ >> {}\nexec sleep 1000\n", begun.display()), "");
    site.action("missing", "true\n", "");
    let worker = site.worker("w");
    std::fs::remove_file(site.path("packs/my/actions/missing.sh")).expect("it was registered");
    let number = wire.worker("w");
    let mut reasons = BTreeSet::new();
    for action in ["text", "binary", "broken", "flood", "seven", "killed", "long", "missing"] {
        let result = wire.run(number, &format!("my.{action}"), &json!({}));
        println!("results: {action}: {}", result[AGENT]);
        assert_top(&result);
        reasons.insert(result[AGENT]["reason"].as_str().expect("a reason").to_owned());
    }
    let patient = wire.hand(number, "my.patient", &json!({}));
    assert!(until(PATIENCE, || lines(&begun).len() == 2));
    wire.execute(&format!("UPDATE execution SET status = 'canceling' WHERE id = {patient}"));
    wire.cancel(number, patient);
    wire.await_completion(patient);
    assert_top(&wire.result(patient));
    assert_eq!(wire.result(patient)[AGENT]["reason"], "cancelled");
    let expected = ["completed", "entrypoint_missing", "exit_code", "signal", "timeout"].map(str::to_owned);
    assert_eq!(reasons, BTreeSet::from(expected));
    // What is the reference's is there exactly where the reference writes it.
    for (action, case) in [("seven", "failure-exit-7.json"), ("text", "echo-success.json")] {
        let result = wire.run(number, &format!("my.{action}"), &json!({}));
        let recorded = golden(case);
        let mut expected = at_the_top(&recorded["execution_row"]["result"]);
        expected.extend([AGENT, "stderr_log"]);
        assert_eq!(at_the_top(&result), expected, "{action}");
    }
    worker.drain();
}

#[test]
fn a_path_that_only_the_worker_could_open_is_told_to_nobody() {
    let site = Site::shared("result_paths");
    let wire = Wire::new(&site);
    let api = FileApi::start(SECRET, 64 << 20);
    site.action("talk", "head -c 2000000 /dev/zero | tr '\\0' x; echo err >&2\n", "output_format: text\n");
    site.action("short", "echo hello\n", "output_format: text\n");
    std::fs::write(site.path("my/deps.txt"), "nothing\n").expect("a writable directory");
    std::fs::create_dir_all(site.path("my/runtimes")).expect("a writable directory");
    let definition = json!({
        "ref": "my.broken", "name": "Broken", "aliases": ["shell"],
        "execution_config": {
            "interpreter": {"binary": "/bin/sh", "args": [], "file_extension": ".broken"},
            "environment": {"env_type": "scratch", "create_command": ["mkdir", "{env_dir}"]},
            "dependencies": {"manifest_file": "deps.txt", "install_command": ["false"]},
        }
    });
    std::fs::write(site.path("my/runtimes/broken.yaml"), definition.to_string())
        .expect("a writable directory");
    std::fs::write(site.path("my/actions/unbuilt.broken"), "true\n").expect("a writable directory");
    let manifest = "ref: my.unbuilt\nentrypoint: unbuilt.broken\nruntime: my.broken\n";
    std::fs::write(site.path("my/actions/unbuilt.yaml"), manifest).expect("a writable directory");
    site.action("registered", "true\n", "");

    let on_volume = site.worker("w");
    let number = wire.worker("w");
    let short = wire.run(number, "my.short", &json!({}));
    assert!(!short.to_string().contains(".log"), "all of it is in the result: {short}");
    let talk = wire.run(number, "my.talk", &json!({}));
    let stored = |stream: &str| json!(site.path(&format!("artifacts/my/talk/{stream}/log/v1.txt")));
    assert_eq!(talk["stderr_log"], stored("stderr"));
    assert_eq!(talk[AGENT]["logs"], json!({"stdout": {"path": stored("stdout")}}));
    let unbuilt = wire.run(number, "my.unbuilt", &json!({}));
    let log = unbuilt["stderr_log"].as_str().expect("a log that whoever shares the volume can open");
    assert!(log.starts_with(site.path("artifacts").to_str().expect("text")), "{unbuilt}");
    on_volume.drain();

    let mut command = site.worker_command("w");
    command.env("ATTUNE_API_URL", api.url()).env("ATTUNE__SECURITY__JWT_SECRET", SECRET);
    let remote = Worker::spawn(&mut command);
    remote.wait_for("the worker takes work");
    for action in ["my.short", "my.talk", "my.unbuilt"] {
        let result = wire.run(number, action, &json!({}));
        println!("results: {action}: {}", result[AGENT]);
        assert!(result.get("stderr_log").is_none(), "{result}");
        let own = site.path("").display().to_string();
        let without_error = result.as_object().expect("an object").iter().filter(|(key, _)| *key != "error");
        assert!(without_error.into_iter().all(|(_, value)| !value.to_string().contains(&own)), "{result}");
        let artifact = |stream: &str| json!({"artifact": format!("my.talk.{stream}.log")});
        let logs = json!({"stdout": artifact("stdout"), "stderr": artifact("stderr")});
        assert_eq!(result[AGENT]["logs"], if action == "my.talk" { logs } else { Value::Null });
    }
    remote.drain();
}

#[test]
fn an_outcome_in_the_journal_of_an_earlier_version_is_delivered_in_todays_shape() {
    let site = Site::shared("result_journal");
    let wire = Wire::new(&site);
    let gate = Gate::new(&site, "gate");
    site.action(
        "say",
        &format!("{}echo '{{\"reason\": \"because\"}}'\n", gate.wait()),
        "output_format: json\n",
    );
    let worker = site.worker("w");
    let execution = wire.hand(wire.worker("w"), "my.say", &json!({}));
    wire.await_value(&format!("SELECT status FROM execution WHERE id = {execution}"), &json!("running"));
    let held = wire.lock(execution);
    gate.open(1);
    // It has ended and is in the journal; its row cannot be written.
    wire.await_waiter();
    worker.kill();
    wire.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE datname = current_database() AND wait_event_type = 'Lock'",
    );
    let waiting = "SELECT count(*) FROM pg_stat_activity \
         WHERE datname = current_database() AND wait_event_type = 'Lock'";
    wire.await_value(waiting, &json!(0));
    wire.release(held);
    assert_eq!(wire.status(execution), "running");
    let journal = site.path("work/w.journal");
    let text = std::fs::read_to_string(&journal).expect("a journal");
    let today = "\"_agent\":{\"reason\":\"completed\"}";
    assert!(text.contains(today), "{text}");
    let log = site.path("work/w.private/logs/stdout.log");
    let earlier = format!("\"reason\":\"completed\",\"stdout_log\":\"{}\"", log.display());
    std::fs::write(&journal, text.replace(today, &earlier)).expect("our own file");

    let worker = site.worker("w");
    wire.await_completion(execution);
    let result = wire.result(execution);
    println!("results: {result}");
    assert_top(&result);
    assert_eq!(
        (&result["data"]["reason"], &result[AGENT]),
        (&json!("because"), &json!({"reason": "completed"}))
    );
    assert_eq!(workflow_result_view(&result)["reason"], "because");
    let log = worker.drain();
    assert!(
        log.iter().any(|line| line.contains("an execution has ended") && line.contains("completed")),
        "{log:#?}"
    );
}
