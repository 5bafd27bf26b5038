//! Environments across workers (CONTRACT §1.12): one lease, one build, rows that tell; built ahead, and removed with care.

use std::path::PathBuf;

use serde_json::json;

use crate::mixed_pack::{Came, MixedPack};
use crate::site::{Gate, PATIENCE, Site, lines};
use crate::wire::{EVENTS, Wire, until};

const ROW: &str = "SELECT * FROM pack_environment";

/// A site whose pack `my` has a runtime with environments of its own: the install command counts, waits at the gate, and
/// copies the manifest.
pub(crate) fn site(name: &str) -> (Site, Gate) {
    let site = Site::shared(name);
    let gate = Gate::new(&site, "go");
    let install = format!(
        "set -e\necho begun >> {}\n{}cp deps.txt \"$1/installed\"\necho \"all of it is there\"\n! grep -q broken deps.txt\n",
        site.path("begun").display(),
        gate.wait()
    );
    std::fs::create_dir_all(site.path("my/runtimes")).expect("a writable directory");
    std::fs::write(site.path("my/install"), install).expect("a writable directory");
    std::fs::write(site.path("my/deps.txt"), "first\n").expect("a writable directory");
    let definition = json!({
        "ref": "my.copy", "name": "Copy", "aliases": ["shell"],
        "execution_config": {
            "interpreter": {"binary": "/bin/sh", "args": [], "file_extension": ".copy"},
            "environment": {"env_type": "scratch", "create_command": ["mkdir", "{env_dir}"]},
            "dependencies": {"manifest_file": "deps.txt",
                "install_command": ["/bin/sh", "{pack_dir}/install", "{env_dir}"]},
            "env_vars": {"WHERE": "{env_dir}"}
        }
    });
    std::fs::write(site.path("my/runtimes/copy.yaml"), definition.to_string()).expect("a writable directory");
    action(&site, "show", "cat \"$WHERE/installed\"\n");
    (site, gate)
}

fn action(site: &Site, name: &str, script: &str) {
    std::fs::write(site.path(&format!("my/actions/{name}.copy")), script).expect("a writable directory");
    let text = format!("ref: my.{name}\nentrypoint: {name}.copy\nruntime: my.copy\n");
    std::fs::write(site.path(&format!("my/actions/{name}.yaml")), text).expect("a writable directory");
    let pack = site.path("my");
    site.expect(&["pack", "register", pack.to_str().expect("a path that is text")]);
}

/// Awaits that so many builds have begun.
pub(crate) fn begun(site: &Site, count: usize) {
    let begun = until(PATIENCE, || lines(&site.path("begun")).len() == count);
    assert!(begun, "{:?}", lines(&site.path("begun")));
}

/// Directories of builds.
fn builds(site: &Site) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(site.path("envs/my")).into_iter().flatten();
    let paths = entries.map(|entry| entry.expect("a readable directory").path());
    paths.filter(|path| path.is_dir() && !path.is_symlink()).collect()
}

#[test]
fn two_workers_build_once_and_the_row_tells_how_far_it_is() {
    let (site, gate) = site("environment_once");
    let wire = Wire::new(&site);
    let (builder, waiter) = (site.worker("builder"), site.worker("waiter"));
    let first = wire.hand(wire.worker("builder"), "my.show", &json!({}));
    begun(&site, 1);
    let row = wire.row(ROW);
    assert_eq!(row["status"], "installing", "{row:#}");
    assert_eq!(row["claimed_by_worker"], json!(wire.worker("builder")), "{row:#}");
    assert_eq!(
        wire.value("SELECT claim_expires_at > now() + interval '200 seconds' FROM pack_environment"),
        json!(true)
    );
    assert_eq!((&row["pack_ref"], &row["runtime_ref"]), (&json!("my"), &json!("my.copy")));
    let second = wire.hand(wire.worker("waiter"), "my.show", &json!({}));
    waiter.wait_for("waiting for another process that builds the same environment");
    gate.open(1);
    for execution in [first, second] {
        wire.await_completion(execution);
        assert_eq!(wire.result(execution)["stdout"], "first\n", "{}", wire.result(execution));
    }
    let row = wire.row(ROW);
    assert_eq!((row["status"].as_str(), &row["claimed_by_worker"]), (Some("ready"), &json!(null)), "{row:#}");
    assert!(row["install_log"].as_str().is_some_and(|log| log.contains("all of it is there")), "{row:#}");
    assert!(!row["installed_at"].is_null() && row["install_error"].is_null(), "{row:#}");
    let path = PathBuf::from(row["env_path"].as_str().expect("a path"));
    assert!(path.join("installed").is_file(), "{row:#}");
    assert_eq!((lines(&site.path("begun")).len(), builds(&site).len()), (1, 1));
    builder.drain();
    waiter.drain();
}

#[test]
fn the_lease_of_a_builder_that_was_killed_passes_to_whoever_waits() {
    let (site, gate) = site("environment_killed");
    let wire = Wire::new(&site);
    let (builder, waiter) = (site.worker("builder"), site.worker("waiter"));
    wire.hand(wire.worker("builder"), "my.show", &json!({}));
    begun(&site, 1);
    let second = wire.hand(wire.worker("waiter"), "my.show", &json!({}));
    waiter.wait_for("waiting for another process");
    builder.kill();
    begun(&site, 2);
    assert_eq!(wire.row(ROW)["claimed_by_worker"], json!(wire.worker("waiter")));
    gate.open(2);
    wire.await_completion(second);
    assert_eq!(wire.result(second)["stdout"], "first\n");
    assert_eq!(wire.row(ROW)["status"], "ready");
    waiter.drain();
}

#[test]
fn a_lease_for_another_image_or_volume_keeps_nobody_waiting() {
    let (site, gate) = site("environment_elsewhere");
    let wire = Wire::new(&site);
    gate.open(1);
    let worker = site.worker("w");
    // Somebody on another volume is at it.
    wire.execute(
        "INSERT INTO pack_environment (pack, pack_ref, runtime, runtime_ref, env_path, status, claim_expires_at, metadata) \
         SELECT p.id, p.ref, r.id, r.ref, '/elsewhere', 'installing', now() + interval '5 minutes', \
           '{\"agent\": {\"holder\": \"x\", \"path\": \"/elsewhere\", \"volume\": \"y\"}}' \
         FROM pack p, runtime r WHERE p.ref = 'my' AND r.ref = 'my.copy'",
    );
    let execution = wire.hand(wire.worker("w"), "my.show", &json!({}));
    wire.await_completion(execution);
    assert_eq!(wire.result(execution)["stdout"], "first\n");
    let row = wire.row(ROW);
    assert_eq!(
        (&row["status"], &row["env_path"]),
        (&json!("installing"), &json!("/elsewhere")),
        "it is theirs"
    );
    let noted = row["metadata"]["environments"].as_object().expect("an object");
    assert!(noted.values().all(|facts| facts["status"] == "ready") && noted.len() == 1, "{row:#}");
    worker.drain();
}

#[test]
fn a_failure_is_in_the_row_and_in_the_execution() {
    let (site, gate) = site("environment_failed");
    let wire = Wire::new(&site);
    std::fs::write(site.path("my/deps.txt"), "broken\n").expect("a writable directory");
    action(&site, "show", "cat \"$WHERE/installed\"\n");
    gate.open(1);
    let worker = site.worker("w");
    let execution = wire.hand(wire.worker("w"), "my.show", &json!({}));
    wire.await_completion(execution);
    assert_eq!(wire.result(execution)["_agent"]["reason"], "environment_failed");
    let row = wire.row(ROW);
    assert_eq!((&row["status"], &row["claim_expires_at"]), (&json!("failed"), &json!(null)), "{row:#}");
    assert!(
        row["install_error"].as_str().is_some_and(|error| error.contains("exited with status 1")),
        "{row:#}"
    );
    worker.drain();
}

#[test]
fn a_registered_pack_is_prepared_and_a_deleted_one_cleared_once_nobody_uses_it() {
    let (site, gate) = site("environment_ahead");
    let wire = Wire::new(&site);
    let hold = Gate::new(&site, "hold");
    action(
        &site,
        "late",
        &format!("echo ran >> {}\n{}cat \"$WHERE/installed\"\n", site.path("ran").display(), hold.wait()),
    );
    let worker = site.worker("w");
    let number = wire.worker("w");
    let news = json!({"pack_id": 1, "pack_ref": "my", "version": "0.1.0", "runtime_names": ["shell"]});
    wire.send(EVENTS, "pack.registered", "PackRegistered", &news);
    begun(&site, 1);
    // Whatever is being built, the worker hears and does other things.
    let other = wire.hand(number, "core.noop", &json!({}));
    wire.await_completion(other);
    gate.open(1);
    worker.wait_for("an environment is ready");
    let late = wire.hand(number, "my.late", &json!({}));
    assert!(until(PATIENCE, || lines(&site.path("ran")).len() == 1));
    wire.send(EVENTS, "pack.deleted", "PackDeleted", &json!({"pack_id": 1, "pack_ref": "my"}));
    worker.wait_for("a pack was deleted");
    hold.open(1);
    wire.await_completion(late);
    assert_eq!(wire.result(late)["stdout"], "first\n", "it was used, so it stayed");
    assert!(until(PATIENCE, || !site.path("envs/my").exists()), "{:?}", builds(&site));
    assert_eq!(lines(&site.path("begun")).len(), 1);
    worker.drain();
}

#[test]
fn what_is_broken_for_one_runtime_of_a_pack_is_nothing_to_the_others() {
    let site = Site::shared("environment_mixed");
    let wire = Wire::new(&site);
    let directory = site.path("mixed");
    let pack = MixedPack::write(&directory);
    let worker = site.worker("w");
    let number = wire.worker("w");
    let register = || {
        site.expect(&["pack", "register", directory.to_str().expect("a path that is text")]);
        // Every environment is begun ahead of time, too; executions come while that goes on, and after it has failed.
        let news = json!({"pack_id": 2, "pack_ref": "mixed", "version": "0.1.0", "runtime_names": ["shell"]});
        wire.send(EVENTS, "pack.registered", "PackRegistered", &news);
    };
    pack.assert_apart(register, |action| {
        let result = wire.run(number, action, &json!({}));
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        Came {
            reason: text(&result["_agent"]["reason"]),
            stdout: text(&result["stdout"]),
            error: text(&result["error"]),
        }
    });
    worker.drain();
}
