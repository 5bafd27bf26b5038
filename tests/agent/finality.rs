use crate::support::{Gate, Plane, Ran};

#[test]
fn a_terminal_state_is_never_replaced_whoever_tries() {
    let plane = Plane::new();
    let _worker = plane.worker();
    plane.run(&["core.noop"]);
    for sql in [
        "UPDATE execution SET status = 'running' WHERE id = 1",
        "UPDATE execution SET status = 'failed' WHERE id = 1",
        "UPDATE execution SET result = '{}' WHERE id = 1",
    ] {
        let error = plane.try_query(sql).expect_err(sql).to_string();
        assert!(error.contains("a terminal state is final"), "{error}");
    }
    assert_eq!(plane.query("SELECT status FROM execution"), [["completed"]]);
}

#[test]
fn a_late_outcome_is_dropped_and_logged() {
    let plane = Plane::new();
    let gate = Gate::new(&plane, "gate");
    let go = plane.file("go");
    rustix::fs::mkfifoat(rustix::fs::CWD, &go, rustix::fs::Mode::RWXU).unwrap();
    plane.action("slow", &format!("{}read line < {}\n", gate.pass(), go.display()), "");
    let worker = plane.worker();
    assert_eq!(Ran::of(&mut plane.submit(&["my.slow"])).code, 0);
    gate.wait();
    // The control plane has given this worker up, and said so, while the action still runs.
    plane.query(
        "UPDATE execution SET status = 'abandoned', result = '{\"reason\":\"elsewhere\"}' WHERE id = 1",
    );
    drop(std::fs::OpenOptions::new().write(true).open(&go).unwrap());
    let line = worker.wait_for("its late outcome is dropped");
    assert!(line.contains("WARN") && line.contains("found=\"abandoned\""), "{line}");
    let row = plane.query("SELECT status, json_extract(result, '$.reason') FROM execution");
    assert_eq!(row, [["abandoned", "elsewhere"]]);
}
