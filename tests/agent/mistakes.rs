use crate::support::{Plane, Ran, agent};

#[test]
fn an_entry_point_outside_its_pack_is_refused() {
    let plane = Plane::new();
    plane.write("outside", "", "runtime: core.shell\n");
    std::fs::write(
        plane.file("my/actions/outside.yaml"),
        "ref: my.outside\nruntime: core.shell\nentrypoint: ../../../../../../etc/passwd\n",
    )
    .unwrap();
    plane.action("fine", "", "");
    let _worker = plane.worker();
    let result = plane.run(&["my.outside"]);
    assert_eq!(
        (result["status"].as_str(), result["reason"].as_str()),
        (Some("failed"), Some("entrypoint_outside_pack"))
    );
    assert!(result["error"].as_str().unwrap().contains("leads out of its pack"), "{result}");
    assert!(result["hint"].as_str().unwrap().contains("actions/"), "{result}");
    assert_eq!(plane.run(&["my.fine"])["status"], "completed", "the worker goes on");
}

#[test]
fn a_runtime_without_its_interpreter_says_so() {
    let plane = Plane::new();
    std::fs::create_dir_all(plane.file("my/runtimes")).unwrap();
    std::fs::write(
        plane.file("my/runtimes/cobol.yaml"),
        "ref: my.cobol\nname: COBOL\naliases: [cobol]\nexecution_config: {interpreter: {binary: cobc, args: [-x]}}\n",
    )
    .unwrap();
    plane.write("old", "", "runtime: my.cobol\n");
    plane.action("fine", "", "");
    let _worker = plane.worker();
    let result = plane.run(&["my.old"]);
    assert_eq!(
        (result["status"].as_str(), result["reason"].as_str()),
        (Some("failed"), Some("no_compatible_worker"))
    );
    assert!(result["error"].as_str().unwrap().contains("my.old needs the runtime my.cobol"), "{result}");
    assert!(result["hint"].as_str().unwrap().contains("attune-agent probe"), "{result}");
    // Without a scheduler in between, the plan itself says what is missing.
    let here =
        Ran::of(agent().args(["exec", "my.old", "--packs-dir"]).arg(plane.path().join("packs"))).json();
    assert_eq!(here["reason"], "interpreter_missing");
    assert!(here["error"].as_str().unwrap().contains("my.cobol needs `cobc`"), "{here}");
    assert_eq!(plane.run(&["my.fine"])["status"], "completed", "the worker goes on");
}

#[test]
fn an_unreadable_pack_is_refused_and_what_was_there_stays() {
    let plane = Plane::new();
    plane.action("fine", "echo one", "");
    std::fs::write(plane.file("my/pack.yaml"), "ref: my\nversion: [1\n").unwrap();
    plane.register(&plane.file("my")).assert_refused(65, "my/pack.yaml:", "mend the file");
    plane.register(&plane.file("nothing")).assert_refused(65, "holds no pack.yaml", "pack.yaml");
    // A worker warns of it and serves what it knows.
    std::fs::write(plane.path().join("packs/my/pack.yaml"), "ref: [my\n").unwrap();
    let _worker = plane.worker();
    assert_eq!(plane.run(&["my.fine"])["stdout"], "one\n");
}

#[test]
fn a_database_of_another_version_or_program_is_refused_and_not_touched() {
    for (sql, sentence, hint) in [
        ("PRAGMA user_version = 99", "has schema version 99, and this agent knows", "newer agent"),
        ("PRAGMA application_id = 7", "is a database of another program", "another directory"),
    ] {
        let plane = Plane::new();
        assert_eq!(Ran::of(&mut plane.submit(&["core.noop"])).code, 0);
        plane.query(sql);
        for command in [&mut plane.run_command(), &mut plane.submit(&["core.noop"])] {
            Ran::of(command).assert_refused(65, sentence, hint);
        }
        assert_eq!(plane.query("SELECT count(*) FROM execution"), [["1"]], "nothing is lost");
    }
    let plane = Plane::new();
    std::fs::create_dir_all(plane.path()).unwrap();
    let garbage = "this is no database, but it is somebody's only copy of it".repeat(50);
    std::fs::write(plane.path().join("control-plane.db"), &garbage).unwrap();
    Ran::of(&mut plane.run_command()).assert_refused(71, "file is not a database", "no SQLite database");
    assert_eq!(std::fs::read_to_string(plane.path().join("control-plane.db")).unwrap(), garbage);
}

#[test]
fn a_configuration_that_cannot_be_right_is_refused_with_its_place() {
    let plane = Plane::new();
    let file = plane.file("config.yaml");
    std::fs::write(&file, "worker:\n  max_concurrent_tasks: many\n").unwrap();
    Ran::of(plane.run_command().arg("--config").arg(&file)).assert_refused(
        65,
        "`worker.max_concurrent_tasks` in ",
        "it takes a whole number, at least 1",
    );
    Ran::of(plane.run_command().env("ATTUNE__WORKER__KILL_GRACE", "soon")).assert_refused(
        65,
        "KILL_GRACE is `soon`",
        "seconds",
    );
    Ran::of(agent().arg("run")).assert_refused(2, "no control plane is named", "--embedded DIR");
}
