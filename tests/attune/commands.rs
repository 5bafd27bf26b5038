//! The verbs for people, on real servers: `migrate`, `wait`, `submit`.

use serde_json::json;
use test_servers::Servers;

use crate::site::{PATIENCE, Ran, Site, Worker};
use crate::wire::Wire;

/// A site with nothing in its database.
fn empty(test: &str) -> Site {
    let servers = Servers::shared();
    Site::empty(&servers.database(test), servers.virtual_host(test).url())
}

#[test]
fn migrate_makes_the_tables_once_and_can_be_repeated() {
    let site = empty("migrate");
    let wire = Wire::new(&site);
    assert!(site.expect(&["migrate"]).contains("the tables are made in the schema `attune`"));
    wire.execute("INSERT INTO pack (ref, label, version) VALUES ('kept', 'Kept', '1.0.0')");
    assert!(site.expect(&["migrate"]).contains("the tables are there already"));
    assert_eq!(wire.value("SELECT count(*) FROM pack"), 1);
}

#[test]
fn two_that_migrate_at_once_both_succeed() {
    let site = empty("migrate_race");
    let codes = std::thread::scope(|scope| {
        let both = [scope.spawn(|| site.run(&["migrate"])), scope.spawn(|| site.run(&["migrate"]))];
        both.map(|one| one.join().expect("a command").code)
    });
    assert_eq!(codes, [0, 0]);
}

#[test]
fn migrate_refuses_a_schema_with_somebody_elses_tables_and_touches_nothing() {
    let site = empty("migrate_foreign");
    let wire = Wire::new(&site);
    wire.execute("CREATE SCHEMA attune; CREATE TABLE attune.execution (id bigint); INSERT INTO attune.execution VALUES (7)");
    let ran = site.run(&["migrate"]);
    ran.assert_refused(
        73,
        "the schema `attune` holds 1 tables that this agent did not make",
        "its own migrations",
    );
    assert_eq!(
        wire.value("SELECT string_agg(tablename, ',') FROM pg_tables WHERE schemaname = 'attune'"),
        "execution"
    );
    assert_eq!(wire.value("SELECT count(*) FROM execution"), 1);
    // Elsewhere in the same database there is room.
    let mut elsewhere = site.agent();
    let ran = Ran::of(elsewhere.arg("migrate").env("ATTUNE__DATABASE__SCHEMA", "other"));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
}

#[test]
fn doctor_misses_no_packs_where_they_come_from_the_api() {
    let site = Site::shared("doctor_packs");
    std::fs::create_dir_all(site.path("none")).expect("an own directory");
    let checked = |settings: &[(&str, &str)]| {
        let mut command = site.agent();
        command.args(["doctor", "--json"]).env("ATTUNE__PACKS_BASE_DIR", site.path("none"));
        let ran = Ran::of(command.envs(settings.iter().copied()));
        let told: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON");
        let packs =
            |check: &&serde_json::Value| check["detail"].as_str().is_some_and(|it| it.contains("pack"));
        let check =
            told["checks"].as_array().expect("checks").iter().find(packs).expect("one of packs").clone();
        (ran.code, check)
    };
    let url = ("ATTUNE_API_URL", "http://127.0.0.1:1");
    let secret = ("ATTUNE__SECURITY__JWT_SECRET", "jwt-secret-that-is-long-enough-for-all");
    let (code, check) = checked(&[url, secret]);
    assert_eq!(check["verdict"], "ok", "{check}");
    assert_eq!(check["detail"], "packs come from the API at http://127.0.0.1:1");
    assert_eq!(code, 0, "nothing else is wrong");
    // A worker asks for none without the secret; nor where the API fills the directory itself, and has not yet.
    let (code, check) = checked(&[url]);
    assert_eq!((code, &check["verdict"]), (1, &json!("failed")), "{check}");
    assert!(check["hint"].as_str().is_some_and(|hint| hint.contains("JWT_SECRET")), "{check}");
    std::fs::write(site.path("none/.attune-packs-sentinel"), "{}").expect("an own directory");
    let (code, check) = checked(&[url, secret]);
    assert_eq!((code, &check["verdict"]), (1, &json!("failed")), "{check}");
    assert!(check["hint"].as_str().is_some_and(|hint| hint.contains("mount the packs")), "{check}");
}

#[test]
fn wait_returns_at_once_for_what_is_there_and_fails_in_time_for_what_is_not() {
    let site = Site::shared("wait");
    for what in ["database", "schema", "queue", "packs", "all"] {
        assert_eq!(site.run(&["wait", what, "--timeout", "30"]).code, 0, "{what}");
    }
    let absent = empty("wait_absent");
    let nowhere = |site: &Site| {
        let mut command = site.agent();
        command.env("ATTUNE__MESSAGE_QUEUE__URL", "amqp://nobody:nothing@127.0.0.1:1/none");
        command
    };
    for (what, says) in [
        ("schema", "does not hold Attune's tables"),
        ("queue", "waiting for the broker at 127.0.0.1:1"),
        ("packs", "waiting for the core pack"),
        ("all", "waiting for the core pack"),
    ] {
        let begun = std::time::Instant::now();
        let ran = Ran::of(nowhere(&absent).args(["wait", what, "--timeout", "1"]));
        assert_eq!(ran.code, 1, "{what}: {}", ran.stderr);
        assert!(ran.stderr.contains(says), "{what}: {}", ran.stderr);
        assert!(ran.stderr.ends_with("error: not everything is there after 1 s\n"), "{what}: {}", ran.stderr);
        assert!(begun.elapsed().as_secs() < 10, "{what}");
    }
}

#[test]
fn wait_for_the_database_asks_for_no_table() {
    let site = empty("wait_database");
    assert_eq!(site.run(&["wait", "database", "--timeout", "30"]).code, 0);
    let mut command = site.agent();
    command.env("ATTUNE__DATABASE__URL", "postgres://nobody:nothing@127.0.0.1:1/none");
    let ran = Ran::of(command.args(["wait", "database", "--timeout", "1"]));
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("waiting for the database at 127.0.0.1:1"), "{}", ran.stderr);
}

#[test]
fn wait_ends_as_soon_as_the_tables_are_there() {
    let site = empty("wait_schema");
    let mut command = site.agent();
    let mut waiting = Worker::spawn(command.args(["wait", "schema"]));
    waiting.wait_for("does not hold Attune's tables");
    site.expect(&["migrate"]);
    assert_eq!(waiting.exit_code(), 0);
    assert!(waiting.whole_log().iter().any(|line| line.contains(" is there")));
}

#[test]
fn submit_without_an_executor_says_so_and_names_the_way_without_one() {
    let site = Site::shared("submit_alone");
    let wire = Wire::new(&site);
    let ran = site.run(&["submit", "core.noop"]);
    ran.assert_refused(69, "is requested, and no executor listens", "`--direct`");
    assert_eq!(
        wire.row("SELECT status, action_ref FROM execution"),
        json!({"status": "requested", "action_ref": "core.noop"})
    );
    // Nor without a worker: what nobody can take ends, with its reason.
    let ran = site.run(&["submit", "core.noop", "--direct"]);
    ran.assert_refused(69, "no worker that takes work can run core.noop", "start a worker");
    let failed = wire
        .row("SELECT status, result->'_agent'->>'reason' AS reason FROM execution ORDER BY id DESC LIMIT 1");
    assert_eq!(failed, json!({"status": "failed", "reason": "no_compatible_worker"}));
}

#[test]
fn submit_direct_runs_an_action_from_end_to_end() {
    let site = Site::shared("submit_direct");
    let wire = Wire::listening(&site, &["execution.dispatch.#", "execution.completed"]);
    let worker = site.worker("w");
    let ran =
        site.run(&["submit", "core.echo", "-p", "message=over the wire", "--direct", "--wait", "--json"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let result: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(result["stdout"], "over the wire\n");
    let execution = result["execution_id"].as_i64().expect("a number");
    assert_eq!(wire.status(execution), "completed");
    // What it sends is what an executor would.
    let dispatch = wire.await_message("dispatch", |message| message.execution() == Some(execution));
    assert_eq!(dispatch.key, format!("execution.dispatch.worker.{}", wire.worker("w")));
    let golden = crate::site::golden("echo-success.json");
    let recorded = &golden["messages"][1]["body"];
    let keys = |value: &serde_json::Value| {
        value.as_object().expect("an object").keys().cloned().collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(keys(&dispatch.body), keys(recorded));
    assert_eq!(keys(&dispatch.body["payload"]), keys(&recorded["payload"]));

    let ran = site.run(&["submit", "core.fail", "--direct", "--wait"]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    worker.drain();
}

#[test]
fn submit_goes_through_the_executor_where_there_is_one() {
    let site = Site::shared("submit_executor");
    let wire = Wire::listening(&site, &["execution.requested"]);
    let executor = site.executor();
    let worker = site.worker("w");
    let ran = site.run(&["submit", "core.echo", "-p", "message=asked", "--wait", "--json"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let request = wire.await_message("request", |message| message.is("ExecutionRequested"));
    let golden = crate::site::golden("echo-success.json");
    for (key, value) in golden["messages"][0]["body"]["payload"].as_object().expect("an object") {
        let said = &request.body["payload"][key];
        assert_eq!(std::mem::discriminant(said), std::mem::discriminant(value), "{key}: {said}");
    }
    let execution = request.execution().expect("a number");
    assert!(
        executor.await_heard(PATIENCE, |heard| heard
            .iter()
            .any(|heard| heard.payload["execution_id"] == execution))
    );
    worker.drain();
}

#[test]
fn an_unknown_action_is_refused_with_what_comes_close() {
    let site = Site::shared("submit_unknown");
    let wire = Wire::new(&site);
    for direct in [&["submit", "core.ecko"][..], &["submit", "core.ecko", "--direct"]] {
        site.run(direct).assert_refused(2, "core.ecko", "core.echo");
    }
    assert_eq!(wire.value("SELECT count(*) FROM execution"), 0);
}

#[test]
fn packs_that_are_built_in_need_no_directory_and_leave_nothing_beside_them() {
    let site = empty("builtin");
    site.expect(&["migrate"]);
    let said = site.expect(&["pack", "register", "--builtin", "core", "--builtin", "examples"]);
    assert!(said.contains("pack core ") && said.contains("pack examples "), "{said}");
    assert!(site.path("packs/core/pack.yaml").is_file());
    let mut names: Vec<_> = std::fs::read_dir(site.path("packs"))
        .expect("the packs")
        .map(|entry| entry.expect("a name").file_name().into_string().expect("text"))
        .collect();
    names.sort();
    assert_eq!(names, ["core", "examples"]);
    // Again, as a job does that is restarted.
    site.expect(&["pack", "register", "--builtin", "core"]);
    let ran = site.run(&["pack", "register", "--builtin", "cor"]);
    ran.assert_refused(2, "no pack called `cor` is built in", "there are core, examples");
    assert_eq!(site.run(&["pack", "register"]).code, 2);
}

#[test]
fn a_submission_selects_workers_by_label() {
    let site = Site::shared("select");
    let wire = Wire::new(&site);
    let labelled = |name: &str, pool: &str| {
        let mut command = site.worker_command(name);
        command.env("ATTUNE__WORKER__LABELS", format!(r#"{{"pool":"{pool}","release":"r"}}"#));
        let work = site.path(&format!("work-{name}"));
        let worker = Worker::spawn(command.env("ATTUNE_WORK_DIR", work));
        worker.wait_for("the worker takes work");
        worker
    };
    let _workers = [labelled("first", "a"), labelled("second", "b")];
    let submit = |pool: &str| {
        let pool = format!("pool={pool}");
        site.run(&["submit", "core.noop", "--direct", "--wait", "--select", &pool, "--select", "release=r"])
    };
    for pool in ["b", "a", "b", "b", "a", "a"] {
        let ran = submit(pool);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
    }
    let placed = "SELECT string_agg(worker.name, ',' ORDER BY execution.id) FROM execution \
        JOIN worker ON worker.id = execution.worker";
    assert_eq!(wire.value(placed), "second,first,second,second,first,first");
    submit("c").assert_refused(69, "no worker that takes work can run core.noop", "start a worker");
    let ran = site.run(&["submit", "core.noop", "--direct", "--select", "pool"]);
    ran.assert_refused(2, "`pool` has no `=`", "--select label=value");
}
