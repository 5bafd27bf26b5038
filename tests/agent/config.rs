//! `attune-agent config`: what is configured, where it comes from, and what may be.

use std::process::Command;

use serde_json::Value;

use crate::support::{Ran, agent};

const MARK: &str = "hush-hush";

/// The row of a setting.
#[track_caller]
fn row<'r>(rows: &'r Value, setting: &str) -> &'r Value {
    let rows = rows.as_array().expect("a list");
    rows.iter().find(|row| row["setting"] == setting).unwrap_or_else(|| panic!("no {setting}"))
}

fn show(directory: &tempfile::TempDir) -> Command {
    let file = directory.path().join("config.yaml");
    let text = format!(
        "worker: {{task_timeout: 7, kill_grace: 3}}\ndatabase: {{url: 'postgres://u:{MARK}@db/attune'}}\n"
    );
    std::fs::write(&file, text).expect("a writable directory");
    let password = directory.path().join("password");
    std::fs::write(&password, MARK).expect("a writable directory");
    let mut command = agent();
    command.args(["config", "show", "--config"]).arg(file);
    command
        .env("ATTUNE__WORKER__KILL_GRACE", "4")
        .env("ATTUNE_WORKER_RUNTIMES", "python,shell")
        .env("ATTUNE__WORKER__LABELS__POOL", "gpu")
        .env("ATTUNE__SECURITY__JWT_SECRET", MARK)
        .env("ATTUNE__MESSAGE_QUEUE__PASSWORD_FILE", password)
        .env("ATTUNE__MESSAGE_QUEUE__HOST", "mq");
    command
}

#[test]
fn every_setting_says_where_it_comes_from_and_no_credential_is_shown() {
    let directory = tempfile::tempdir().unwrap();
    let shown = Ran::of(show(&directory).args(["--json", "--name", "here"]));
    assert_eq!(shown.code, 0, "{}", shown.stderr);
    assert!(!shown.stdout.contains(MARK), "{}", shown.stdout);
    let rows = shown.json();
    for (setting, value, from) in [
        ("worker.name", "here", "--name"),
        ("worker.kill_grace", "4", "ATTUNE__WORKER__KILL_GRACE"),
        ("worker.runtimes", "python,shell", "ATTUNE_WORKER_RUNTIMES"),
        ("worker.labels", "{\"pool\":\"gpu\"}", "ATTUNE__WORKER__LABELS__…"),
        ("worker.heartbeat_interval", "30", "default"),
    ] {
        let row = row(&rows, setting);
        assert_eq!((row["value"].as_str(), row["from"].as_str()), (Some(value), Some(from)), "{row}");
        assert_eq!(row["set"], from != "default", "{row}");
    }
    let by_file = row(&rows, "worker.task_timeout");
    assert_eq!(by_file["value"], "7");
    assert!(
        by_file["from"].as_str().is_some_and(|from| from.starts_with("`worker.task_timeout` in ")),
        "{by_file}"
    );
    for credential in ["database.url", "security.jwt_secret", "message_queue.password"] {
        let row = row(&rows, credential);
        assert_eq!((&row["value"], &row["set"]), (&Value::Null, &Value::Bool(true)), "{row}");
    }
    assert_eq!(row(&rows, "security.encryption_key")["set"], false);
    let table = Ran::of(&mut show(&directory)).stdout;
    assert!(table.contains("(set)") && table.contains("(not set)") && !table.contains(MARK), "{table}");
}

#[test]
fn what_is_wrong_is_shown_and_told() {
    let directory = tempfile::tempdir().unwrap();
    let shown = Ran::of(show(&directory).env("ATTUNE__WORKER__KILL_GRACE", "soon"));
    shown.assert_refused(65, "ATTUNE__WORKER__KILL_GRACE is `soon`", "seconds");
    assert!(shown.stdout.contains("soon"), "{}", shown.stdout);
}

#[test]
fn the_schema_knows_every_setting_and_every_default_is_among_its_values() {
    let rows = Ran::of(agent().args(["config", "show", "--json"])).json();
    let schema = Ran::of(agent().args(["config", "schema"])).json();
    for row in rows.as_array().expect("a list") {
        let key = row["setting"].as_str().expect("a key");
        let pointer = format!("/properties/{}", key.replace('.', "/properties/"));
        let property = schema.pointer(&pointer).unwrap_or_else(|| panic!("{key} is not in the schema"));
        if let (Some(default), Some(values)) = (property.get("default"), property["enum"].as_array()) {
            assert!(values.contains(default), "{property}");
        }
    }
    let tasks = &schema["properties"]["worker"]["properties"]["max_concurrent_tasks"];
    assert_eq!((&tasks["minimum"], &tasks["default"]), (&1.into(), &10.into()));
}

#[test]
fn a_file_that_only_a_variable_names_need_not_be_there() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("config.yaml");
    let name = missing.to_str().expect("text");
    let ran = Ran::of(agent().args(["exec", "core.noop"]).env("ATTUNE_CONFIG", &missing));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let told = ran.stderr.lines().find(|line| line.contains(name)).expect("a warning");
    assert!(
        told.contains("WARN") && told.contains("ATTUNE_CONFIG names a configuration file that is not there")
    );
    let shown = Ran::of(agent().args(["config", "show", "--json"]).env("ATTUNE_CONFIG", &missing));
    assert!(shown.code == 0 && shown.stderr.contains(name), "{}", shown.stderr);
    // Whoever writes a name on the command line means that file.
    let ran = Ran::of(agent().args(["exec", "core.noop", "--config"]).arg(&missing));
    assert_eq!(ran.code, 71, "{}", ran.stderr);
    assert!(ran.stderr.contains(&format!("cannot read the configuration file {name}")), "{}", ran.stderr);
    // The command line goes before the variable, and the variable's file is read where it is there.
    std::fs::write(&missing, "worker: {task_timeout: 7}\n").unwrap();
    let set = Ran::of(agent().args(["config", "show", "--json"]).env("ATTUNE_CONFIG", &missing));
    assert_eq!(row(&set.json(), "worker.task_timeout")["value"], "7");
    let other = directory.path().join("other.yaml");
    std::fs::write(&other, "").unwrap();
    let mut both = agent();
    both.args(["config", "show", "--json", "--config"]).arg(&other).env("ATTUNE_CONFIG", "/nowhere");
    assert_eq!(row(&Ran::of(&mut both).json(), "worker.task_timeout")["value"], "300");
}

#[test]
fn a_worker_tells_of_files_that_it_does_not_read() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["config.yaml", "config.production.yaml", "config.development.yaml"] {
        std::fs::write(directory.path().join(name), "worker: {task_timeout: 7}\n").unwrap();
    }
    let warned = |command: &mut Command, name: &str| {
        let ran = Ran::of(command.current_dir(directory.path()).env("ATTUNE__ENVIRONMENT", "production"));
        ran.stderr.lines().any(|line| line.contains("is not read") && line.contains(name))
    };
    // It ends at once: no control plane is named.
    for (name, is_told) in
        [("config.production.yaml", true), ("config.yaml", true), ("config.development.yaml", false)]
    {
        assert_eq!(warned(agent().arg("run"), name), is_told, "{name}");
    }
    assert!(!warned(agent().args(["run", "--config", "config.yaml"]), "config.yaml"));
    assert!(!warned(agent().args(["exec", "core.noop"]), "config.production.yaml"), "it is run anywhere");
}
