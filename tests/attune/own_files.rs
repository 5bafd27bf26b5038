//! Files that actions make themselves, as versions that they have asked the API for (CONTRACT §1.11, §3.10): without a
//! shared volume they are sent, and nothing is removed.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use test_servers::FileApi;

use crate::site::{Gate, PATIENCE, Site, Worker};
use crate::wire::{Wire, until};

const SECRET: &str = "dev-secret-dev-secret-dev-secret";
const LARGEST: usize = 64 << 20;

/// Where the API keeps files: nobody else sees it.
fn store(api: &FileApi) -> PathBuf {
    api.packs().with_file_name("files")
}

fn command(site: &Site, api: &FileApi) -> Command {
    let mut command = site.worker_command("w");
    command.env("ATTUNE_API_URL", api.url()).env("ATTUNE__SECURITY__JWT_SECRET", SECRET);
    command
}

fn started(command: &mut Command) -> Worker {
    let worker = Worker::spawn(command);
    worker.wait_for("the worker takes work");
    worker
}

/// An execution of `my.make` that has a token and has begun.
fn begin(wire: &Wire, worker: i64) -> i64 {
    let mut scheduled = wire.schedule(worker, "my.make", &json!({}));
    // Only an action with a token can ask the API for versions.
    let permit = format!(
        "UPDATE execution SET permission_set_refs = ARRAY['core.writer'] WHERE id = {} RETURNING \
         to_char(updated AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') AS attempt",
        scheduled.id
    );
    wire.row(&permit)["attempt"].as_str().expect("a moment").clone_into(&mut scheduled.attempt);
    wire.dispatch(&scheduled);
    wire.await_value(&format!("SELECT status FROM execution WHERE id = {}", scheduled.id), &json!("running"));
    scheduled.id
}

/// Enters a version as the API does when the action asks it for one.
fn allocate(wire: &Wire, execution: i64, file: &str) {
    wire.execute(&format!(
        "WITH a AS (INSERT INTO artifact (ref, type) VALUES ('own.made', 'file_binary') RETURNING id)
         INSERT INTO artifact_version (artifact, version, execution, file_path, created_by)
         SELECT id, 1, {execution}, '{}', 'core.writer' FROM a",
        file.replace('\'', "''")
    ));
}

/// Every version, and how large it is said to be, there and by its artifact.
fn sizes(wire: &Wire) -> Value {
    json!(wire.rows(
        "SELECT v.file_path, v.size_bytes, a.size_bytes AS shown FROM artifact_version v \
         JOIN artifact a ON a.id = v.artifact WHERE v.created_by = 'core.writer' ORDER BY v.id",
    ))
}

fn sized(file: &str, size: impl Into<Value>) -> Value {
    let size = size.into();
    json!({"file_path": file, "size_bytes": size, "shown": size})
}

/// Writes `text` to the file `own/made`.
fn make(text: &str) -> String {
    format!("mkdir -p \"$ATTUNE_ARTIFACTS_DIR/own\"; printf '{text}' > \"$ATTUNE_ARTIFACTS_DIR/own/made\"\n")
}

fn await_arrival(api: &FileApi, wire: &Wire, file: &str, text: &str) {
    let arrived = || api.file(file).as_deref() == Some(text.as_bytes());
    assert!(until(PATIENCE, arrived), "{:?}", api.file(file));
    assert!(until(PATIENCE, || sizes(wire) == json!([sized(file, text.len())])), "{}", sizes(wire));
}

#[test]
fn what_an_action_made_arrives_whole_and_is_measured_and_nothing_is_removed() {
    let site = Site::shared("own_sent");
    let wire = Wire::new(&site);
    let api = FileApi::start(SECRET, LARGEST);
    let gate = Gate::new(&site, "gate");
    let large: Vec<u8> = (0..3_500_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    std::fs::write(site.path("large"), &large).expect("a directory of the test's own");
    std::fs::write(site.path("outside"), "not an artifact").expect("a directory of the test's own");
    let odd = "own/ä %2e #?&+;\n' \\";
    let script = format!(
        "cd \"$ATTUNE_ARTIFACTS_DIR\"; mkdir own; cp {large} own/large; : > own/empty; printf odd > {odd}\n\
         ln -s {outside} own/link; ln -s {root} elsewhere; mkfifo own/pipe; mkdir own/directory\n{gate}exit 3\n",
        large = site.path("large").display(),
        odd = format_args!("\"$(printf 'own/ä %%2e #?&+;\\n\\047 \\\\')\""),
        outside = site.path("outside").display(),
        root = site.path("").display(),
        gate = gate.wait(),
    );
    site.action("make", &script, "");
    let worker = started(&mut command(&site, &api));
    let execution = begin(&wire, wire.worker("w"));
    std::fs::create_dir_all(store(&api).join("own")).expect("a directory of the API's own");
    std::fs::write(store(&api).join("own/uploaded"), "by itself").expect("a directory of the API's own");
    let left_alone = ["own/link", "elsewhere/outside", "own/pipe", "own/directory", "own/missing", "../up"];
    for file in ["own/large", "own/empty", odd, "own/uploaded"].into_iter().chain(left_alone) {
        allocate(&wire, execution, file);
    }
    gate.open(1);
    wire.await_completion(execution);
    assert_eq!(wire.status(execution), "failed");
    // All of it is there by the time that the end is told, though the action has failed.
    assert_eq!(api.file("own/large").as_deref(), Some(large.as_slice()));
    assert_eq!(api.file("own/empty").as_deref(), Some(&[][..]));
    assert_eq!(api.file(odd).as_deref(), Some(&b"odd"[..]));
    let sent =
        [sized("own/large", large.len()), sized("own/empty", 0), sized(odd, 3), sized("own/uploaded", 9)];
    let kept = left_alone.map(|file| sized(file, Value::Null));
    assert_eq!(sizes(&wire), json!([&sent[..], &kept[..]].concat()), "no row is removed");
    for file in left_alone {
        assert_eq!(api.file(file), None, "{file}");
    }
    let log = worker.drain();
    for file in ["own/link", "elsewhere/outside", "own/pipe", "own/directory"] {
        assert!(log.iter().any(|line| line.contains("WARN") && line.contains(file)), "{file}: {log:#?}");
    }
    // What has arrived does not fill this machine; what has not is still here.
    let own = site.path("artifacts/own");
    assert!(!own.join("large").exists() && !own.join("empty").exists() && own.join("pipe").exists());
}

#[test]
fn files_reach_an_api_that_was_away_when_the_action_ended() {
    let site = Site::shared("own_away");
    let wire = Wire::new(&site);
    let mut api = FileApi::start(SECRET, LARGEST);
    let gate = Gate::new(&site, "gate");
    site.action("make", &format!("{}{}", make("made"), gate.wait()), "");
    let worker = started(&mut command(&site, &api));
    let execution = begin(&wire, wire.worker("w"));
    allocate(&wire, execution, "own/made");
    api.stop();
    gate.open(1);
    // The end does not wait for it.
    wire.await_completion(execution);
    assert_eq!(wire.status(execution), "completed");
    assert_eq!(sizes(&wire), json!([sized("own/made", Value::Null)]));
    api.lose_answers(2);
    api.resume();
    await_arrival(&api, &wire, "own/made", "made");
    worker.drain();
}

#[test]
fn files_that_a_killed_worker_owed_are_sent_by_its_next_life() {
    let site = Site::shared("own_killed");
    let wire = Wire::new(&site);
    let mut api = FileApi::start(SECRET, LARGEST);
    let gate = Gate::new(&site, "gate");
    site.action("make", &format!("{}{}", make("made"), gate.wait()), "");
    let worker = started(&mut command(&site, &api));
    let execution = begin(&wire, wire.worker("w"));
    allocate(&wire, execution, "own/made");
    api.stop();
    gate.open(1);
    wire.await_completion(execution);
    worker.kill();
    api.resume();
    let worker = started(&mut command(&site, &api));
    await_arrival(&api, &wire, "own/made", "made");
    let log = worker.drain().join("\n");
    assert!(!log.contains("not everything could be delivered"), "{log}");
    // Nothing is owed any more.
    let asked = api.requests().len();
    started(&mut command(&site, &api)).drain();
    assert_eq!(api.requests().iter().skip(asked).filter(|it| it.path.contains("/files/")).count(), 0);
}

#[test]
fn what_an_action_had_made_when_its_worker_was_killed_is_sent_by_the_next_life() {
    let site = Site::shared("own_lost");
    let wire = Wire::new(&site);
    let api = FileApi::start(SECRET, LARGEST);
    let gate = Gate::new(&site, "gate");
    site.action("make", &format!("{}{}", make("part"), gate.wait()), "");
    let worker = started(&mut command(&site, &api));
    let execution = begin(&wire, wire.worker("w"));
    let made = site.path("artifacts/own/made");
    assert!(until(PATIENCE, || std::fs::read(&made).is_ok_and(|text| text == b"part")));
    allocate(&wire, execution, "own/made");
    worker.kill();
    // The executor has noticed before the next life begins: that one has nothing to settle.
    wire.execute(&format!("UPDATE execution SET status = 'abandoned' WHERE id = {execution}"));
    let worker = started(&mut command(&site, &api));
    await_arrival(&api, &wire, "own/made", "part");
    worker.drain();
}

#[test]
fn an_action_that_is_ended_leaves_its_files_all_the_same() {
    let site = Site::shared("own_ended");
    let wire = Wire::new(&site);
    let api = FileApi::start(SECRET, LARGEST);
    let gate = Gate::new(&site, "gate");
    site.action("make", &format!("{}{}", make("some"), gate.wait()), "timeout_seconds: 2\n");
    let worker = started(&mut command(&site, &api));
    let number = wire.worker("w");
    let execution = begin(&wire, number);
    allocate(&wire, execution, "own/made");
    wire.await_completion(execution);
    assert_eq!(wire.status(execution), "timeout");
    await_arrival(&api, &wire, "own/made", "some");

    wire.execute("DELETE FROM artifact");
    std::fs::remove_file(store(&api).join("own/made")).expect("a file of the API's own");
    wire.execute("UPDATE action SET timeout_seconds = NULL WHERE ref = 'my.make'");
    let execution = begin(&wire, number);
    allocate(&wire, execution, "own/made");
    let made = site.path("artifacts/own/made");
    assert!(until(PATIENCE, || std::fs::read(&made).is_ok_and(|text| text == b"some")));
    wire.cancel(number, execution);
    wire.await_completion(execution);
    assert_eq!(wire.status(execution), "cancelled");
    await_arrival(&api, &wire, "own/made", "some");
    worker.drain();
}

#[test]
fn an_action_can_write_where_the_configured_directory_cannot_be() {
    let site = Site::shared("own_unwritable");
    let wire = Wire::new(&site);
    let api = FileApi::start(SECRET, LARGEST);
    let gate = Gate::new(&site, "gate");
    site.action("make", &format!("set -e\n{}{}", make("made"), gate.wait()), "");
    // Nobody can create anything there, root included.
    let mut command = command(&site, &api);
    let worker = Worker::spawn(command.env("ATTUNE__ARTIFACTS_DIR", "/proc/artifacts"));
    let told = worker.wait_for("actions write artifacts to another directory");
    assert!(told.contains("/proc/artifacts"), "{told}");
    worker.wait_for("the worker takes work");
    let execution = begin(&wire, wire.worker("w"));
    allocate(&wire, execution, "own/made");
    gate.open(1);
    wire.await_completion(execution);
    assert_eq!(wire.status(execution), "completed", "{}", wire.result(execution));
    await_arrival(&api, &wire, "own/made", "made");
    worker.drain();
}

#[test]
fn a_file_that_the_api_does_not_take_stays_and_is_told() {
    let site = Site::shared("own_large");
    let wire = Wire::new(&site);
    let api = FileApi::start(SECRET, 3);
    let gate = Gate::new(&site, "gate");
    let second = make("ok").replace("own/made", "own/second");
    site.action("make", &format!("{}{second}{}", make("too large"), gate.wait()), "");
    let worker = started(&mut command(&site, &api));
    let execution = begin(&wire, wire.worker("w"));
    allocate(&wire, execution, "own/made");
    allocate(&wire, execution, "own/second");
    gate.open(1);
    wire.await_completion(execution);
    // One that is refused is in no other's way.
    assert_eq!(sizes(&wire), json!([sized("own/made", Value::Null), sized("own/second", 2)]));
    assert_eq!(api.file("own/second").as_deref(), Some(&b"ok"[..]));
    assert_eq!(read(&site.path("artifacts/own/made")), "too large");
    let log = worker.drain().join("\n");
    let told = log.lines().find(|line| line.contains("own/made")).expect("a warning");
    assert!(told.contains("413") && told.contains("artifacts.max_upload_size"), "{told}");
}

#[test]
fn a_directory_that_the_api_turns_out_to_share_is_not_sent_over_itself() {
    for shown in [true, false] {
        let site = Site::shared("own_same");
        let wire = Wire::new(&site);
        let api = FileApi::start(SECRET, LARGEST);
        let gate = Gate::new(&site, "gate");
        let large: Vec<u8> = (0..2_500_000_u32).map(|at| (at % 251) as u8).collect();
        std::fs::write(site.path("large"), &large).expect("a directory of the test's own");
        let copy = format!(
            "mkdir -p $ATTUNE_ARTIFACTS_DIR/own; cp {} $ATTUNE_ARTIFACTS_DIR/own/made\n",
            site.path("large").display()
        );
        site.action("make", &format!("{copy}{}", gate.wait()), "");
        std::os::unix::fs::symlink(store(&api), site.path("artifacts")).expect("a link");
        if shown {
            std::fs::write(store(&api).join(".attune-api-sentinel"), "").expect("a file of the API's own");
        }
        let worker = started(command(&site, &api).env("ATTUNE__ARTIFACTS__TRANSPORT", "api"));
        let execution = begin(&wire, wire.worker("w"));
        allocate(&wire, execution, "own/made");
        gate.open(1);
        wire.await_completion(execution);
        assert_eq!(sizes(&wire), json!([sized("own/made", large.len())]));
        assert!(api.file("own/made").as_deref() == Some(large.as_slice()), "the only copy is whole");
        worker.drain();
    }
}

#[test]
fn what_nobody_can_know_is_not_removed() {
    let site = Site::shared("own_unknown");
    let wire = Wire::new(&site);
    let gate = Gate::new(&site, "gate");
    site.action("make", &format!("{}{}", make("made"), gate.wait()), "");
    // Nobody says where the API is, and the directory does not show that the API shares it.
    let worker = started(site.worker_command("w").env("ATTUNE__SECURITY__JWT_SECRET", SECRET));
    let execution = begin(&wire, wire.worker("w"));
    allocate(&wire, execution, "own/made");
    allocate(&wire, execution, "own/missing");
    gate.open(1);
    wire.await_completion(execution);
    assert_eq!(sizes(&wire), json!([sized("own/made", 4), sized("own/missing", Value::Null)]));
    let log = worker.drain().join("\n");
    assert!(log.contains("nothing shows that the API sees the files"), "{log}");
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).expect("a file")
}
