//! The worker's row (CONTRACT §1.3): what is written, what is left alone, how it moves, how it is kept alive.

use std::time::Duration;

use serde_json::{Value, json};

use crate::site::{Gate, Ran, Site, Worker, golden};
use crate::wire::{Wire, until};

const ROW: &str = "SELECT * FROM worker WHERE name = 'w'";

fn fast(site: &Site) -> Worker {
    let mut command = site.worker_command("w");
    let worker = Worker::spawn(command.env("ATTUNE__WORKER__HEARTBEAT_INTERVAL", "0.2"));
    worker.wait_for("the worker takes work");
    worker
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "text",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[test]
fn a_first_registration_writes_the_row_that_the_control_plane_expects() {
    let site = Site::shared("first");
    let wire = Wire::new(&site);
    let mut command = site.worker_command("w");
    command.env("ATTUNE_WORKER_TYPE", "container").env("ATTUNE__WORKER__MAX_CONCURRENT_TASKS", "7");
    command.env("ATTUNE__WORKER__LABELS", r#"{"pool": "small"}"#);
    command.env(
        "ATTUNE__WORKER__TAINTS",
        r#"[{"key": "gpu", "value": "a", "effect": "prefer_no_schedule"}, {"key": "b"}]"#,
    );
    command.env("ATTUNE__WORKER__CAPABILITIES", r#"{"region": {"name": "north"}}"#);
    let worker = Worker::spawn(&mut command);
    worker.wait_for("the worker takes work");

    let row = wire.row(ROW);
    let expected = golden("worker-row.json");
    for (column, value) in expected.as_object().expect("a row") {
        assert!(row.get(column).is_some(), "there is no column {column}");
        // `meta` is ours to use; the reference leaves it empty.
        if column != "meta" {
            assert_eq!(kind(&row[column]), kind(value), "{column}: {row}");
        }
    }
    assert_eq!(row["worker_type"], "container");
    assert_eq!(row["worker_role"], "action");
    assert_eq!(row["status"], "active");
    assert_eq!(row["runtime"], Value::Null);
    assert_eq!(row["cordoned"], false);
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("a host name");
    assert_eq!(row["host"], host.trim());

    let capabilities = &row["capabilities"];
    for (key, value) in expected["capabilities"].as_object().expect("an object") {
        assert_eq!(kind(&capabilities[key]), kind(value), "{key}: {capabilities}");
    }
    assert_eq!(capabilities["max_concurrent_executions"], 7);
    assert_eq!(capabilities["agent_mode"], true);
    assert_eq!(capabilities["agent_binary_name"], "attune-agent");
    assert_eq!(capabilities["worker_version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(capabilities["agent_binary_version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(capabilities["labels"], json!({"pool": "small"}));
    assert_eq!(
        capabilities["taints"],
        json!([{"key": "gpu", "value": "a", "effect": "prefer_no_schedule"}, {"key": "b", "effect": "no_schedule"}])
    );
    assert_eq!(capabilities["region"], json!({"name": "north"}));
    assert_versions(capabilities);
    worker.drain();
}

#[test]
fn the_row_names_the_host_the_port_and_the_runtime_that_are_configured() {
    let site = Site::shared("described");
    let wire = Wire::new(&site);
    let runtime = wire.value("SELECT id FROM runtime WHERE ref = 'core.shell'").as_i64().expect("a number");
    let described = |host: &str, port: &str, runtime: i64| {
        let mut command = site.worker_command("w");
        command.env("ATTUNE__WORKER__HOST", host).env("ATTUNE__WORKER__PORT", port);
        let worker = Worker::spawn(command.env("ATTUNE__WORKER__RUNTIME_ID", runtime.to_string()));
        worker.wait_for("the worker takes work");
        worker.drain();
        let row = wire.row(ROW);
        json!([row["host"], row["port"], row["runtime"]])
    };
    assert_eq!(described("node-1.example", "9100", runtime), json!(["node-1.example", 9100, runtime]));
    // As in the reference: a later registration changes host and port, and leaves the runtime as it is.
    let another = wire.value(&format!("SELECT id FROM runtime WHERE id <> {runtime} LIMIT 1"));
    let another = another.as_i64().expect("a number");
    assert_eq!(described("node-2.example", "9200", another), json!(["node-2.example", 9200, runtime]));
    site.worker("w").drain();
    let row = wire.row(ROW);
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("a host name");
    let left = json!([row["host"], row["port"], row["runtime"]]);
    assert_eq!(
        left,
        json!([host.trim(), 9200, runtime]),
        "a port that nobody configures may be an operator's"
    );
}

#[test]
fn a_runtime_that_there_is_none_of_is_told_and_leaves_no_row() {
    let site = Site::shared("no_runtime");
    let wire = Wire::new(&site);
    let ran = Ran::of(site.worker_command("w").env("ATTUNE__WORKER__RUNTIME_ID", "987654321"));
    ran.assert_refused(65, "`worker.runtime_id` is 987654321", "the table `runtime`");
    assert_eq!(wire.value("SELECT count(*) FROM worker"), json!(0));
    for (setting, wrong) in [("RUNTIME_ID", "core.shell"), ("PORT", "70000"), ("PORT", "0")] {
        let ran = Ran::of(site.worker_command("w").env(format!("ATTUNE__WORKER__{setting}"), wrong));
        ran.assert_refused(65, &format!("ATTUNE__WORKER__{setting} is `{wrong}`"), "it takes");
    }
}

/// What the scheduler matches versions against says what was found, in the recorded shape.
fn assert_versions(capabilities: &Value) {
    let runtimes: Vec<_> = capabilities["runtimes"].as_array().expect("a list").iter().collect();
    assert!(runtimes.contains(&&json!("shell")), "{capabilities}");
    for runtime in &runtimes {
        let name = runtime.as_str().expect("text");
        assert_eq!(name, name.to_lowercase());
    }
    let interpreters = capabilities["detected_interpreters"].as_array().expect("a list");
    assert!(!interpreters.is_empty());
    for interpreter in interpreters {
        let keys: Vec<_> = interpreter.as_object().expect("an object").keys().collect();
        assert_eq!(keys, ["name", "path", "version"], "{interpreter}");
        assert!(runtimes.contains(&&interpreter["name"]), "{interpreter}");
        assert!(interpreter["path"].as_str().is_some_and(|path| std::path::Path::new(path).exists()));
        if let Some(version) = interpreter["version"].as_str() {
            let name = interpreter["name"].as_str().expect("text");
            let versions = capabilities["runtime_versions"][name].as_array().expect("a list of versions");
            assert!(versions.contains(&json!(version)), "{interpreter}: {versions:?}");
        }
    }
}

#[test]
fn without_labels_taints_and_extras_there_are_no_such_keys() {
    let site = Site::shared("plain");
    let wire = Wire::new(&site);
    let worker = site.worker("w");
    let capabilities = wire.row(ROW)["capabilities"].clone();
    let expected = golden("worker-row.json");
    let mut keys: Vec<_> = capabilities.as_object().expect("an object").keys().cloned().collect();
    let mut wanted: Vec<_> =
        expected["capabilities"].as_object().expect("an object").keys().cloned().collect();
    keys.sort();
    wanted.sort();
    assert_eq!(keys, wanted);
    worker.drain();
}

#[test]
fn a_restart_renews_the_row_and_leaves_what_an_operator_wrote() {
    let site = Site::shared("again");
    let wire = Wire::new(&site);
    site.worker("w").drain();
    let before = wire.row(ROW);
    wire.execute(
        "UPDATE worker SET cordoned = true, cordon_reason = 'repairs', cordoned_at = '2026-01-02T03:04:05Z',
         port = 4711, host = 'elsewhere', capabilities = '{\"runtimes\": [\"cobol\"], \"health\": {}}',
         meta = '{\"rack\": 7, \"agent\": \"stale\"}'",
    );
    let mut command = site.worker_command("w");
    let worker = Worker::spawn(command.env("ATTUNE_WORKER_TYPE", "remote"));
    worker.wait_for("the worker takes work");
    let row = wire.row(ROW);
    for kept in ["id", "name", "worker_role", "runtime", "port", "created"] {
        let wanted = if kept == "port" { &json!(4711) } else { &before[kept] };
        assert_eq!(row[kept], *wanted, "{kept}");
    }
    assert_eq!(row["cordoned"], true);
    assert_eq!(row["cordon_reason"], "repairs");
    assert_eq!(row["cordoned_at"], "2026-01-02T03:04:05+00:00");
    assert_eq!(row["meta"]["rack"], 7);
    assert_eq!(row["meta"]["agent"]["missing_runtimes"], json!([]));
    assert_eq!((&row["worker_type"], &row["host"]), (&json!("remote"), &before["host"]));
    assert_eq!(row["capabilities"], before["capabilities"], "capabilities are written anew, whole");
    worker.drain();
}

#[test]
fn the_row_goes_from_inactive_to_active_to_busy_to_inactive() {
    let site = Site::shared("states");
    let wire = Wire::new(&site);
    let gate = Gate::new(&site, "gate");
    site.action("wait", &gate.wait(), "");
    let mut worker = site.worker("w");
    let execution = wire.hand(wire.worker("w"), "my.wait", &json!({}));
    wire.await_value(&format!("SELECT status FROM execution WHERE id = {execution}"), &json!("running"));
    worker.signal(rustix::process::Signal::TERM);
    worker.wait_for("the worker stops");
    wire.await_value("SELECT status FROM worker", &json!("busy"));
    gate.open(1);
    assert_eq!(worker.exit_code(), 0);
    assert_eq!(wire.status(execution), "completed");
    let states = wire.rows(
        "SELECT coalesce(new_values->>'status', '-') AS status FROM worker_history \
         WHERE operation = 'INSERT' OR new_values ? 'status' ORDER BY time",
    );
    let states: Vec<_> = states.iter().filter_map(|row| row["status"].as_str()).collect();
    assert_eq!(states, ["inactive", "active", "busy", "inactive"]);
}

#[test]
fn the_heartbeat_is_the_servers_clock_dated_back_and_never_in_the_future() {
    let site = Site::shared("beat");
    let wire = Wire::new(&site);
    // The database is asked at every write, so that no value escapes.
    wire.execute(
        "CREATE TABLE beats (age double precision, status text);
         CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
           INSERT INTO attune.beats VALUES (extract(epoch FROM now() - NEW.last_heartbeat), NEW.status); RETURN NEW; END $$;
         CREATE TRIGGER note AFTER INSERT OR UPDATE ON worker FOR EACH ROW EXECUTE FUNCTION note();",
    );
    let worker = fast(&site);
    assert!(until(Duration::from_secs(30), || wire.value("SELECT count(*) FROM beats").as_i64() > Some(5)));
    worker.drain();
    let ages = wire.rows("SELECT age, status FROM beats WHERE age IS NOT NULL");
    assert!(ages.len() > 5, "{ages:?}");
    for beat in &ages {
        assert_eq!(beat["age"].as_f64(), Some(5.0), "{beat}");
    }
}

#[test]
fn a_worker_that_was_written_off_comes_back_by_itself() {
    let site = Site::shared("back");
    let wire = Wire::new(&site);
    let worker = fast(&site);
    wire.execute("UPDATE worker SET status = 'inactive', last_heartbeat = now() - interval '2 minutes'");
    wire.await_value("SELECT status FROM worker", &json!("active"));
    assert_eq!(wire.value("SELECT last_heartbeat > now() - interval '10 seconds' FROM worker"), true);
    // Other states are somebody's decision.
    for kept in ["busy", "error"] {
        wire.execute(&format!(
            "UPDATE worker SET status = '{kept}', last_heartbeat = now() - interval '2 minutes'"
        ));
        wire.await_value("SELECT last_heartbeat > now() - interval '10 seconds' FROM worker", &json!(true));
        assert_eq!(wire.value("SELECT status FROM worker"), kept);
    }
    worker.drain();
}

#[test]
fn the_row_is_removed_and_the_worker_stops_with_a_sentence() {
    let site = Site::shared("removed");
    let wire = Wire::new(&site);
    let mut worker = fast(&site);
    wire.execute("DELETE FROM worker");
    worker.wait_for("was removed");
    assert_eq!(worker.exit_code(), 73);
    assert!(worker.whole_log().iter().any(|line| line.starts_with("  hint: start the worker again")));
}
