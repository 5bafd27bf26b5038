//! Logs as artifacts on a shared volume (CONTRACT §1.11, §3.10): rows, and files that are complete.

use std::os::unix::fs::MetadataExt;

use serde_json::{Value, json};

use crate::site::{Gate, PATIENCE, Site, Worker};
use crate::wire::{Wire, until};

fn versions(wire: &Wire, execution: i64) -> Vec<Value> {
    wire.rows(&format!(
        "SELECT v.*, a.ref FROM artifact_version v JOIN artifact a ON a.id = v.artifact \
         WHERE v.execution = {execution} ORDER BY a.ref DESC"
    ))
}

#[test]
fn what_an_action_printed_is_one_version_of_one_artifact_a_stream() {
    let site = Site::shared("log_artifacts");
    let wire = Wire::new(&site);
    site.action("talk", "echo out; echo err >&2; echo more\n", "");
    let worker = site.worker("w");
    let number = wire.worker("w");
    let first = wire.hand(number, "my.talk", &json!({}));
    wire.await_completion(first);
    let artifacts = wire.rows("SELECT * FROM artifact ORDER BY ref DESC");
    assert_eq!(artifacts.len(), 2, "{artifacts:#?}");
    for (row, stream, size) in [(&artifacts[0], "stdout", 9), (&artifacts[1], "stderr", 4)] {
        let expected = json!({
            "ref": format!("my.talk.{stream}.log"), "scope": "action", "owner": "my.talk", "type": "file_text",
            "visibility": "private", "name": format!("my.talk {stream}"), "description": null,
            "content_type": "text/plain", "size_bytes": size, "data": null, "retention_policy": "days",
            "retention_limit": 7,
        });
        for (column, value) in expected.as_object().expect("an object") {
            assert_eq!(&row[column], value, "{column} of {stream}");
        }
    }
    // The end was written after them: whoever hears of it finds them.
    let entered = versions(&wire, first);
    assert_eq!(entered.len(), 2);
    for (row, stream, text) in [(&entered[0], "stdout", "out\nmore\n"), (&entered[1], "stderr", "err\n")] {
        let file_path = format!("my/talk/{stream}/log/v1.txt");
        let expected = json!({
            "version": 1, "content_type": "text/plain", "size_bytes": text.len(), "content": null,
            "content_json": null, "file_path": file_path, "created_by": "worker",
            "meta": {"stream": stream, "execution_id": first},
        });
        for (column, value) in expected.as_object().expect("an object") {
            assert_eq!(&row[column], value, "{column} of {stream}");
        }
        let artifacts = site.path("artifacts");
        let stored = artifacts.join(&file_path);
        assert_eq!(std::fs::read_to_string(&stored).expect("a file"), text);
        let live = artifacts.join(format!("execution_{first}/{stream}.log"));
        let (stored, live) = (std::fs::metadata(stored).expect("it"), std::fs::metadata(live).expect("it"));
        assert_eq!(stored.ino(), live.ino(), "one file under two names");
        assert_eq!(stored.mode() & 0o777, 0o664, "for those who share the volume too");
    }
    let stderr = site.path("artifacts/my/talk/stderr/log/v1.txt");
    assert_eq!(wire.result(first)["stderr_log"], json!(stderr));

    let second = wire.hand(number, "my.talk", &json!({}));
    wire.await_completion(second);
    assert_eq!(versions(&wire, second)[0]["file_path"], "my/talk/stdout/log/v2.txt");
    assert_eq!(wire.value("SELECT count(*) FROM artifact"), json!(2));
    worker.drain();
}

#[test]
fn silence_leaves_nothing_behind() {
    let site = Site::shared("log_silence");
    let wire = Wire::new(&site);
    let worker = site.worker("w");
    let execution = wire.hand(wire.worker("w"), "core.noop", &json!({}));
    wire.await_completion(execution);
    assert_eq!(wire.value("SELECT count(*) FROM artifact"), json!(0));
    assert!(!site.path("artifacts").join(format!("execution_{execution}")).exists());
    worker.drain();
}

#[test]
fn a_log_past_its_limit_is_stored_with_head_notice_and_tail() {
    let site = Site::shared("log_limit");
    let wire = Wire::new(&site);
    site.action("flood", "echo first; head -c 300000 /dev/zero | tr '\\0' x; echo; echo last\n", "");
    let mut command = site.worker_command("w");
    let worker = Worker::spawn(command.env("ATTUNE__WORKER__MAX_STDOUT_BYTES", "4096"));
    worker.wait_for("the worker takes work");
    let execution = wire.hand(wire.worker("w"), "my.flood", &json!({}));
    wire.await_completion(execution);
    let row = &versions(&wire, execution)[0];
    let stored = std::fs::read(site.path("artifacts/my/flood/stdout/log/v1.txt")).expect("a file");
    assert_eq!(row["size_bytes"], json!(stored.len()), "the whole file, notice included");
    let text = String::from_utf8(stored).expect("text");
    assert!(text.starts_with("first\nxxx") && text.ends_with("x\nlast\n"), "{} bytes", text.len());
    let dropped = 300_012 - 4096;
    assert!(text.contains(&format!("[OUTPUT TRUNCATED: {dropped} bytes of stdout left out]")));
    assert_eq!(wire.result(execution)["stdout_bytes_truncated"], json!(dropped));
    worker.drain();
}

#[test]
fn a_live_log_can_be_read_while_the_action_runs() {
    let site = Site::shared("log_live");
    let wire = Wire::new(&site);
    let gate = Gate::new(&site, "gate");
    site.action("slow", &format!("echo begun\n{}echo done\n", gate.wait()), "");
    let worker = site.worker("w");
    let execution = wire.hand(wire.worker("w"), "my.slow", &json!({}));
    let live = site.path("artifacts").join(format!("execution_{execution}/stdout.log"));
    let read = || std::fs::read_to_string(&live).unwrap_or_default();
    assert!(until(PATIENCE, || read() == "begun\n"), "{:?}", read());
    assert_eq!(
        wire.value("SELECT count(*) FROM artifact_version"),
        json!(0),
        "it is entered once it is complete"
    );
    gate.open(1);
    wire.await_completion(execution);
    assert_eq!(read(), "begun\ndone\n");
    worker.drain();
}

#[test]
fn workers_that_enter_logs_of_one_action_at_once_make_one_artifact_and_count_on() {
    let site = Site::shared("log_race");
    let wire = Wire::new(&site);
    site.action("shout", "echo \"$ATTUNE_EXEC_ID\"; echo \"$ATTUNE_EXEC_ID\" >&2\n", "");
    let workers: Vec<Worker> = ["a", "b", "c"].into_iter().map(|name| site.worker(name)).collect();
    let numbers: Vec<i64> = ["a", "b", "c"].into_iter().map(|name| wire.worker(name)).collect();
    let executions: Vec<i64> = (0..90).map(|at| wire.hand(numbers[at % 3], "my.shout", &json!({}))).collect();
    for execution in &executions {
        wire.await_completion(*execution);
    }
    assert_eq!(wire.value("SELECT count(*) FROM artifact"), json!(2), "one a stream");
    let counted = "SELECT count(*) = 90 AND min(version) = 1 AND max(version) = 90 AND count(DISTINCT execution) = 90 \
        FROM artifact_version WHERE artifact = (SELECT id FROM artifact WHERE ref = 'my.shout.stdout.log')";
    assert_eq!(wire.value(counted), json!(true));
    // Each file holds what its own execution printed.
    for row in wire.rows("SELECT execution, file_path, size_bytes FROM artifact_version") {
        let text =
            std::fs::read_to_string(site.path("artifacts").join(row["file_path"].as_str().expect("text")));
        let text = text.expect("a file for each version");
        assert_eq!(text, format!("{}\n", row["execution"]));
        assert_eq!(row["size_bytes"], json!(text.len()));
    }
    for worker in workers {
        worker.drain();
    }
}

#[test]
fn an_actions_own_retention_goes_before_the_workers() {
    let site = Site::shared("log_retention");
    let wire = Wire::new(&site);
    site.action("keep", "echo x\n", "");
    site.action("plain", "echo x\n", "");
    wire.execute(
        "UPDATE action SET log_retention_policy = 'versions', log_retention_limit = 2 WHERE ref = 'my.keep'",
    );
    let mut command = site.worker_command("w");
    command.env("ATTUNE__WORKER__EXECUTION_LOG_RETENTION_POLICY", "hours");
    let worker = Worker::spawn(command.env("ATTUNE__WORKER__EXECUTION_LOG_RETENTION_LIMIT", "36"));
    worker.wait_for("the worker takes work");
    let number = wire.worker("w");
    for action in ["my.keep", "my.keep", "my.keep", "my.plain"] {
        wire.await_completion(wire.hand(number, action, &json!({})));
    }
    let retention = |name: &str| {
        wire.value(&format!(
            "SELECT ARRAY[retention_policy::text, retention_limit::text] FROM artifact WHERE ref = '{name}.stdout.log'"
        ))
    };
    assert_eq!(retention("my.keep"), json!(["versions", "2"]));
    assert_eq!(retention("my.plain"), json!(["hours", "36"]));
    let kept = "SELECT array_agg(version ORDER BY version) FROM artifact_version v JOIN artifact a ON a.id = v.artifact \
        WHERE a.ref = 'my.keep.stdout.log'";
    assert_eq!(wire.value(kept), json!([2, 3]));
    // A changed mind shows with the next log.
    wire.execute("UPDATE action SET log_retention_limit = 1 WHERE ref = 'my.keep'");
    wire.await_completion(wire.hand(number, "my.keep", &json!({})));
    assert_eq!((retention("my.keep"), wire.value(kept)), (json!(["versions", "1"]), json!([4])));
    worker.drain();
}

#[test]
fn files_that_an_action_made_itself_are_measured_and_empty_ones_are_no_versions() {
    let site = Site::shared("log_own");
    let wire = Wire::new(&site);
    let gate = Gate::new(&site, "gate");
    let script = "mkdir -p \"$ATTUNE_ARTIFACTS_DIR/own\"; printf 12345 > \"$ATTUNE_ARTIFACTS_DIR/own/full\"\n\
        : > \"$ATTUNE_ARTIFACTS_DIR/own/empty\"\n";
    site.action("make", &format!("{}{script}", gate.wait()), "");
    // The API shows that it shares the directory: what is missing there is missing.
    std::fs::create_dir_all(site.path("artifacts")).expect("a directory of the test's own");
    std::fs::write(site.path("artifacts/.attune-api-sentinel"), "").expect("a directory of the test's own");
    let mut command = site.worker_command("w");
    let worker =
        Worker::spawn(command.env("ATTUNE__SECURITY__JWT_SECRET", "dev-secret-dev-secret-dev-secret"));
    worker.wait_for("the worker takes work");
    let mut scheduled = wire.schedule(wire.worker("w"), "my.make", &json!({}));
    // Only an action with a token can have asked the API for versions.
    let permit = format!(
        "UPDATE execution SET permission_set_refs = ARRAY['core.writer'] WHERE id = {} RETURNING \
         to_char(updated AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') AS attempt",
        scheduled.id
    );
    scheduled.attempt = wire.row(&permit)["attempt"].as_str().expect("a moment").to_owned();
    wire.dispatch(&scheduled);
    wire.await_value(&format!("SELECT status FROM execution WHERE id = {}", scheduled.id), &json!("running"));
    // As the API enters them while the action runs.
    for (number, file) in ["own/full", "own/empty", "own/missing", "../../etc/passwd"].into_iter().enumerate()
    {
        wire.execute(&format!(
            "WITH a AS (INSERT INTO artifact (ref, type) VALUES ('own.{number}', 'file_text') RETURNING id)
             INSERT INTO artifact_version (artifact, version, execution, file_path, created_by)
             SELECT id, 1, {}, '{file}', 'core.writer' FROM a",
            scheduled.id
        ));
    }
    gate.open(1);
    wire.await_completion(scheduled.id);
    let rows = wire.rows(
        "SELECT v.file_path, v.size_bytes, a.size_bytes AS shown FROM artifact_version v \
         JOIN artifact a ON a.id = v.artifact ORDER BY v.id",
    );
    let expected = json!([
        {"file_path": "own/full", "size_bytes": 5, "shown": 5},
        {"file_path": "../../etc/passwd", "size_bytes": null, "shown": null},
    ]);
    assert_eq!(json!(rows), expected, "what leads elsewhere is not looked at");
    worker.drain();
}

#[test]
fn logs_that_cannot_be_entered_do_not_hold_up_the_end() {
    let site = Site::shared("log_locked");
    let wire = Wire::new(&site);
    site.action("talk", "echo out; echo err >&2\n", "");
    let worker = site.worker("w");
    let number = wire.worker("w");
    // Somebody holds the turn of this artifact.
    let holding = wire.value("SELECT hashtextextended('my.talk.stdout.log', 0)").as_i64().expect("a number");
    let turn = wire.hold(holding);
    let execution = wire.hand(number, "my.talk", &json!({}));
    wire.await_completion(execution);
    assert_eq!(wire.status(execution), "completed");
    let live = site.path("artifacts").join(format!("execution_{execution}/stderr.log"));
    assert_eq!(wire.result(execution)["stderr_log"], json!(live), "it can be read all the same");
    wire.release(turn);
    let count = format!("SELECT count(*) FROM artifact_version WHERE execution = {execution}");
    wire.await_value(&count, &json!(2));
    let stored = site.path("artifacts/my/talk/stdout/log/v1.txt");
    assert!(until(PATIENCE, || std::fs::read_to_string(&stored).is_ok_and(|text| text == "out\n")));
    worker.drain();
}
