//! `attune-agent doctor --image`: what is wrong with a container is told, and whether a worker can live in it.

use std::process::Command;

use serde_json::Value;

use crate::support::{Ran, agent, mounted};

fn doctor() -> Command {
    let mut command = agent();
    command.args(["doctor", "--image", "--json"]);
    command
}

/// The checks of a healthy image, or of one that is not.
#[track_caller]
fn checks(ran: &Ran, healthy: bool) -> Vec<Value> {
    assert_eq!(ran.code, i32::from(!healthy), "{} {}", ran.stdout, ran.stderr);
    let report = ran.json();
    assert_eq!(report["healthy"], healthy, "{report}");
    let checks = report["checks"].as_array().expect("a list").clone();
    for check in &checks {
        assert!(
            check["verdict"] == "ok" || check["hint"].is_string(),
            "what is not fine has a hint: {check}"
        );
    }
    checks
}

/// The check whose words hold `words`.
#[track_caller]
fn find<'c>(checks: &'c [Value], words: &str) -> &'c Value {
    let found =
        checks.iter().find(|check| check["detail"].as_str().is_some_and(|detail| detail.contains(words)));
    found.unwrap_or_else(|| panic!("nothing says {words:?}: {checks:?}"))
}

#[test]
fn an_image_is_looked_at_without_a_server_and_without_a_configuration() {
    let mut command = doctor();
    command.args(["--config", "/nowhere"]).env("ATTUNE__WORKER__KILL_GRACE", "soon");
    let checks = checks(&Ran::of(&mut command), true);
    for category in ["user", "files", "sandbox", "interpreters"] {
        assert!(checks.iter().any(|check| check["category"] == category), "{category} in {checks:?}");
    }
    find(&checks, "processes can be started");
    let python = find(&checks, "python 3.");
    assert_eq!(python["category"], "interpreters");
    assert!(checks.iter().all(|check| check["category"] != "database"), "{checks:?}");
    let table = Ran::of(agent().args(["doctor", "--image"]));
    assert_eq!(table.code, 0, "{}", table.stderr);
    assert!(table.stdout.contains(" ok "), "{}", table.stdout);
}

#[test]
fn a_bare_container_is_told_what_it_lacks_and_can_do() {
    let program = env!("CARGO_BIN_EXE_attune-agent");
    // A user whom the image does not know, nothing that can be written, little shared memory, no path.
    let mut inside = doctor();
    inside.env("HOME", "/").env("TMPDIR", "/nowhere");
    let user = "--reuid=1000680000 --regid=0 --clear-groups --no-new-privs --bounding-set=-all";
    // The program itself may have been built below a directory that is nobody else's to enter.
    let container = format!(
        "mount -t tmpfs -o size=1m none /dev/shm\nmount -t tmpfs none /mnt\ncp {program} /mnt/attune-agent\n\
         mount -t tmpfs -o ro none /tmp\nshift\n\
         set -- \"$(command -v setpriv)\" {user} /mnt/attune-agent \"$@\"\nexport PATH=relative:/nowhere"
    );
    let Some(ran) = mounted(&container, &inside) else { return };
    let checks = checks(&ran, true);
    for (words, verdict) in [
        ("user 1000680000, who is not in /etc/passwd, group 0", "warning"),
        ("HOME is /, ", "ok"),
        ("no temporary file can be made in /nowhere or /tmp", "warning"),
        ("/dev/shm has 1 MiB", "warning"),
        ("PATH leads to wherever an action happens to be", "warning"),
        ("no capabilities, and no privileges can be gained", "ok"),
        ("processes can be started", "ok"),
    ] {
        assert_eq!(find(&checks, words)["verdict"], verdict, "{words}");
    }
}

#[test]
fn where_nothing_can_be_started_a_worker_cannot_live() {
    let Some(ran) = mounted("mount -t tmpfs none /proc", &doctor()) else { return };
    let checks = checks(&ran, false);
    let failed = find(&checks, "the agent's helper process failed");
    assert_eq!(failed["verdict"], "failed");
    assert!(failed["hint"].as_str().is_some_and(|hint| hint.contains("/proc")), "{failed}");
}
