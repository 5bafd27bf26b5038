//! A worker that shares no volume with the API: logs go to it, packs come from it (CONTRACT §3.10).

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde_json::{Value, json};
use test_servers::FileApi;

use crate::site::{Gate, PATIENCE, Ran, Site, Worker};
use crate::wire::{EVENTS, Wire, until};

const SECRET: &str = "dev-secret-dev-secret-dev-secret";
const LARGEST: usize = 64 << 20;

/// A worker that reaches the API at this URL.
fn worker(site: &Site, api: &FileApi, settings: &[(&str, &str)]) -> Worker {
    let mut command = site.worker_command("w");
    command.env("ATTUNE_API_URL", api.url()).env("ATTUNE__SECURITY__JWT_SECRET", SECRET);
    command.envs(settings.iter().copied());
    let worker = Worker::spawn(&mut command);
    worker.wait_for("the worker takes work");
    worker
}

/// Everything below the site's own directory of artifacts.
fn local_files(site: &Site) -> Vec<PathBuf> {
    let entries =
        std::fs::read_dir(site.path("artifacts")).map(|entries| entries.flatten().collect::<Vec<_>>());
    entries.unwrap_or_default().iter().map(std::fs::DirEntry::path).collect()
}

fn text(api: &FileApi, path: &str) -> Option<String> {
    api.file(path).map(|bytes| String::from_utf8(bytes).expect("text"))
}

#[test]
fn logs_go_to_the_api_while_the_action_runs_and_are_stored_there() {
    let site = Site::shared("api_logs");
    let wire = Wire::new(&site);
    let api = FileApi::start(SECRET, LARGEST);
    let gate = Gate::new(&site, "gate");
    site.action("slow", &format!("echo begun; echo err >&2\n{}echo done\n", gate.wait()), "");
    let worker = worker(&site, &api, &[]);
    let number = wire.worker("w");
    let execution = wire.hand(number, "my.slow", &json!({}));
    let live = format!("execution_{execution}/stdout.log");
    assert!(until(PATIENCE, || text(&api, &live).as_deref() == Some("begun\n")), "while it runs");
    gate.open(1);
    wire.await_completion(execution);
    // All of it is there by the time that the end is told.
    assert_eq!(text(&api, &live).as_deref(), Some("begun\ndone\n"));
    assert_eq!(text(&api, "my/slow/stdout/log/v1.txt").as_deref(), Some("begun\ndone\n"));
    assert_eq!(text(&api, "my/slow/stderr/log/v1.txt").as_deref(), Some("err\n"));
    // There is no file here that anybody could open: the artifact is named, and no path.
    let result = wire.result(execution);
    assert_eq!(result["_agent"]["logs"], json!({"stderr": {"artifact": "my.slow.stderr.log"}}), "{result}");
    assert!(result.get("stderr_log").is_none(), "{result}");
    assert_eq!(wire.value("SELECT count(*) FROM artifact WHERE ref = 'my.slow.stderr.log'"), json!(1));
    assert_eq!(
        wire.value("SELECT array_agg(size_bytes ORDER BY size_bytes) FROM artifact_version"),
        json!([4, 11])
    );
    assert!(local_files(&site).is_empty(), "{:?}", local_files(&site));
    let waiting = site.path("work/w.private/logs");
    let left = std::fs::read_dir(&waiting).map(Iterator::count).unwrap_or_default();
    assert_eq!(left, 0, "what was sent does not stay");

    let requests = api.requests();
    assert!(requests.iter().all(|request| request.status < 300), "{requests:#?}");
    let claims = requests[0].claims.as_ref().expect("a token");
    let login = claims["login"].as_str().expect("text");
    assert!(login.strip_prefix("worker:worker-").is_some_and(|id| id.len() == 36), "{login}");
    assert_eq!(
        (&claims["sub"], &claims["token_type"], &claims["scope"], &claims["metadata"]),
        (&json!("1"), &json!("worker"), &json!("internal_files"), &json!({"worker_id": number}))
    );
    let log = worker.drain().join("\n");
    assert!(!log.contains(SECRET) && !log.contains("Bearer"), "{log}");
}

#[test]
fn an_api_that_is_away_for_a_while_costs_nothing() {
    let site = Site::shared("api_away");
    let wire = Wire::new(&site);
    let mut api = FileApi::start(SECRET, LARGEST);
    let gate = Gate::new(&site, "gate");
    // More than one request carries, in lines that tell their order.
    let script = format!("echo begun\n{}seq 1 300000\n{}echo done\n", gate.wait(), gate.wait());
    site.action("much", &script, "");
    let worker = worker(&site, &api, &[]);
    let execution = wire.hand(wire.worker("w"), "my.much", &json!({}));
    let live = format!("execution_{execution}/stdout.log");
    assert!(until(PATIENCE, || text(&api, &live).is_some()));
    api.stop();
    gate.open(1);
    worker.wait_for("a file could not be sent to the API and is sent again");
    // It comes back, and its first answers are lost on the way: what was appended must not be appended again.
    api.lose_answers(2);
    api.resume();
    gate.open(1);
    wire.await_completion(execution);
    assert_eq!(wire.status(execution), "completed");
    let lines: Vec<String> = (1..=300_000).map(|number: u32| number.to_string()).collect();
    let expected = format!("begun\n{}\ndone\n", lines.join("\n"));
    let stored = "my/much/stdout/log/v1.txt";
    let arrived =
        || [&live, stored].iter().all(|path| text(&api, path).as_deref() == Some(expected.as_str()));
    assert!(until(PATIENCE, arrived), "{:?}", text(&api, &live).map(|text| text.len()));
    assert!(
        api.requests().iter().any(|request| request.method == "HEAD"),
        "it was asked how far it had come"
    );
    worker.drain();
}

#[test]
fn a_token_that_is_not_taken_any_more_is_renewed() {
    let site = Site::shared("api_token");
    let wire = Wire::new(&site);
    let api = FileApi::start(SECRET, LARGEST);
    site.action("talk", "echo out\n", "");
    let worker = worker(&site, &api, &[]);
    let number = wire.worker("w");
    wire.await_completion(wire.hand(number, "my.talk", &json!({})));
    // A token is as old as its second: the next one is told apart by that.
    let issued = |claims: &Value| claims["iat"].as_i64().expect("a moment");
    let first = issued(api.requests()[0].claims.as_ref().expect("a token"));
    api.revoke();
    wire.await_value(&format!("SELECT floor(extract(epoch FROM clock_timestamp())) > {first}"), &json!(true));
    wire.await_completion(wire.hand(number, "my.talk", &json!({})));
    assert_eq!(text(&api, "my/talk/stdout/log/v2.txt").as_deref(), Some("out\n"));
    let requests = api.requests();
    assert_eq!(requests.iter().filter(|request| request.status == 401).count(), 1, "{requests:#?}");
    let last = requests.last().and_then(|request| request.claims.as_ref()).expect("a token");
    assert!(issued(last) > first);
    worker.drain();
}

#[test]
fn a_log_that_the_api_does_not_take_is_told_and_changes_nothing_else() {
    let site = Site::shared("api_large");
    let wire = Wire::new(&site);
    let api = FileApi::start(SECRET, 100);
    site.action("large", "head -c 1000 /dev/zero | tr '\\0' x\n", "");
    let worker = worker(&site, &api, &[]);
    let execution = wire.hand(wire.worker("w"), "my.large", &json!({}));
    wire.await_completion(execution);
    assert_eq!(wire.status(execution), "completed");
    assert_eq!(wire.result(execution)["stdout"], "x".repeat(1000));
    assert_eq!(wire.value("SELECT count(*) FROM artifact_version"), json!(0), "a version has a file");
    let log = worker.drain().join("\n");
    let told = log.lines().find(|line| line.contains("a log could not be stored")).expect("a warning");
    assert!(told.contains("413") && told.contains("artifacts.max_upload_size"), "{told}");
}

#[test]
fn a_volume_is_used_as_soon_as_the_api_shows_that_it_shares_it() {
    let site = Site::shared("api_late");
    let wire = Wire::new(&site);
    let api = FileApi::start(SECRET, LARGEST);
    site.action("talk", "echo out\n", "");
    let worker = worker(&site, &api, &[]);
    let number = wire.worker("w");
    wire.await_completion(wire.hand(number, "my.talk", &json!({})));
    assert_eq!(text(&api, "my/talk/stdout/log/v1.txt").as_deref(), Some("out\n"));
    std::fs::create_dir_all(site.path("artifacts")).expect("a directory of the test's own");
    std::fs::write(site.path("artifacts/.attune-api-sentinel"), "").expect("a directory of the test's own");
    wire.await_completion(wire.hand(number, "my.talk", &json!({})));
    assert_eq!(api.file("my/talk/stdout/log/v2.txt"), None);
    let stored = std::fs::read_to_string(site.path("artifacts/my/talk/stdout/log/v2.txt"));
    assert_eq!(stored.expect("a file on the volume"), "out\n");
    worker.drain();
}

#[test]
fn the_api_is_reached_over_tls_by_its_authority() {
    let site = Site::shared("api_tls");
    let wire = Wire::new(&site);
    let api = FileApi::start_with_tls(SECRET, LARGEST);
    site.action("talk", "echo sealed\n", "");
    let authority = api.authority().and_then(|path| path.to_str()).expect("a file");
    let worker = worker(&site, &api, &[("ATTUNE__API__CA_FILE", authority)]);
    wire.await_completion(wire.hand(wire.worker("w"), "my.talk", &json!({})));
    assert_eq!(text(&api, "my/talk/stdout/log/v1.txt").as_deref(), Some("sealed\n"));
    worker.drain();
}

#[test]
fn sending_needs_a_secret_and_says_so() {
    let site = Site::shared("api_secret");
    let mut command = site.worker_command("w");
    let ran = Ran::of(command.env("ATTUNE__ARTIFACTS__TRANSPORT", "api"));
    ran.assert_refused(65, "`security.jwt_secret`, which signs the worker's token, is not set", "JWT_SECRET");
    let mut command = site.worker_command("w");
    let ran = Ran::of(command.env("ATTUNE__ARTIFACTS__TRANSPORT", "pigeon"));
    ran.assert_refused(65, "`pigeon`", "one of volume, api, auto");
}

/// A site whose packs are at the API and nowhere else; `my.talk` is the action in them.
fn packs_at_api(test: &str, script: &str) -> (Site, Wire, FileApi) {
    let site = Site::shared(test);
    let wire = Wire::new(&site);
    let api = FileApi::start(SECRET, LARGEST);
    site.action("talk", script, "");
    give_packs_to(&api, &site);
    (site, wire, api)
}

/// Moves the packs that are registered to the API, so that the worker has none.
fn give_packs_to(api: &FileApi, site: &Site) {
    std::fs::remove_dir(api.packs()).expect("an empty directory");
    let moved = std::process::Command::new("cp").arg("-a").arg(site.path("packs")).arg(api.packs()).status();
    assert!(moved.expect("cp").success());
    std::fs::remove_dir_all(site.path("packs")).expect("a directory of the test's own");
}

#[test]
fn packs_come_from_the_api_and_follow_its_news() {
    let (site, wire, api) = packs_at_api("api_packs", "echo old\n");
    let worker = worker(&site, &api, &[]);
    let number = wire.worker("w");
    assert!(site.path("packs/core/pack.yaml").is_file(), "before it takes work, every pack is there");
    let first = wire.hand(number, "my.talk", &json!({}));
    wire.await_completion(first);
    assert_eq!(wire.result(first)["stdout"], "old\n");

    std::fs::write(api.packs().join("my/actions/talk.sh"), "#!/bin/sh\necho new\n").expect("a pack");
    let news = json!({"pack_id": 2, "pack_ref": "my", "version": "0.2.0", "runtime_names": ["shell"]});
    wire.send(EVENTS, "pack.registered", "PackRegistered", &news);
    worker.wait_for("a pack was registered");
    worker.wait_for("a pack was fetched from the API");
    let second = wire.hand(number, "my.talk", &json!({}));
    wire.await_completion(second);
    assert_eq!(wire.result(second)["stdout"], "new\n");

    // Whatever was missed is fetched when it is needed.
    std::fs::remove_dir_all(site.path("packs/my")).expect("a pack");
    let third = wire.hand(number, "my.talk", &json!({}));
    wire.await_completion(third);
    assert_eq!(wire.result(third)["stdout"], "new\n");

    wire.send(EVENTS, "pack.deleted", "PackDeleted", &json!({"pack_id": 2, "pack_ref": "my"}));
    assert!(until(PATIENCE, || !site.path("packs/my").exists()));
    let hidden = || {
        let entries = std::fs::read_dir(site.path("packs")).expect("a directory").flatten();
        entries.filter(|it| it.file_name().as_encoded_bytes().starts_with(b".")).count()
    };
    assert!(until(PATIENCE, || hidden() == 0), "nothing is left of downloads and removals");
    worker.drain();
}

#[test]
fn where_packs_cannot_be_written_they_are_kept_in_the_workers_own_directory() {
    let (site, wire, api) = packs_at_api("api_readonly", "echo \"$PWD\"\n");
    // Nobody can create anything there, root included.
    let mut command = site.worker_command("w");
    command.env("ATTUNE_API_URL", api.url()).env("ATTUNE__SECURITY__JWT_SECRET", SECRET);
    let worker = Worker::spawn(command.env("ATTUNE__PACKS_BASE_DIR", "/proc/packs"));
    let told = worker.wait_for("packs from the API are kept in another directory");
    assert!(told.contains("/proc/packs"), "{told}");
    worker.wait_for("the worker takes work");
    let execution = wire.hand(wire.worker("w"), "my.talk", &json!({}));
    wire.await_completion(execution);
    let directory = site.path("work/w.private/packs/my");
    assert_eq!(wire.result(execution)["stdout"], json!(format!("{}\n", directory.display())));
    worker.drain();
}

#[test]
fn a_hostile_archive_is_refused_and_told() {
    let (site, wire, api) = packs_at_api("api_hostile", "echo x\n");
    std::os::unix::fs::symlink("/etc", api.packs().join("my/lib")).expect("a link");
    let worker = worker(&site, &api, &[]);
    let execution = wire.hand(wire.worker("w"), "my.talk", &json!({}));
    wire.await_completion(execution);
    assert_eq!(wire.status(execution), "failed");
    assert_eq!(wire.result(execution)["_agent"]["reason"], "pack_missing");
    assert!(!site.path("packs/my").exists());
    assert!(site.path("packs/core/pack.yaml").is_file(), "the others are there");
    let log = worker.drain().join("\n");
    assert!(log.contains("holds `my/lib`, a link to `/etc`"), "{log}");
}

#[test]
fn packs_on_a_volume_are_left_alone() {
    let site = Site::shared("api_packs_volume");
    let wire = Wire::new(&site);
    let api = FileApi::start(SECRET, LARGEST);
    site.action("talk", "echo x\n", "");
    std::fs::write(site.path("packs/.attune-packs-sentinel"), "").expect("a directory of the test's own");
    let mode = std::fs::metadata(site.path("packs/my")).expect("a pack").permissions().mode();
    let worker = worker(&site, &api, &[]);
    let news = json!({"pack_id": 2, "pack_ref": "my", "version": "0.2.0", "runtime_names": ["shell"]});
    wire.send(EVENTS, "pack.registered", "PackRegistered", &news);
    wire.send(EVENTS, "pack.deleted", "PackDeleted", &json!({"pack_id": 2, "pack_ref": "my"}));
    worker.wait_for("a pack was deleted");
    wire.await_completion(wire.hand(wire.worker("w"), "my.talk", &json!({})));
    assert_eq!(std::fs::metadata(site.path("packs/my")).expect("a pack").permissions().mode(), mode);
    assert!(api.requests().iter().all(|request| !request.path.contains("/packs/")), "{:#?}", api.requests());
    worker.drain();
}
