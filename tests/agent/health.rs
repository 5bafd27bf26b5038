//! What a probe is told: in every phase of a worker's life, by a worker that hangs, and where there is none.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::{Gate, Plane, Ran, Worker, agent};

const NOBODY: (i32, &str) = (1, "not alive: no worker named ");

fn health(plane: &Plane, arguments: &[&str]) -> Command {
    let mut command = agent();
    command.arg("health").args(arguments).arg("--embedded").arg(plane.path());
    command
}

/// That a probe says exactly one sentence, which begins so.
#[track_caller]
fn assert_told(probe: &mut Command, (code, beginning): (i32, &str)) {
    let told = Ran::of(probe);
    assert_eq!(told.code, code, "{} {}", told.stdout, told.stderr);
    assert!(told.stdout.starts_with(beginning), "{}", told.stdout);
    assert_eq!((told.stdout.lines().count(), told.stderr.as_str()), (1, ""), "{}", told.stdout);
}

#[test]
fn a_worker_is_alive_until_it_has_ended_and_ready_until_it_drains() {
    let plane = Plane::new();
    assert_told(&mut health(&plane, &["live"]), NOBODY);
    assert_told(&mut health(&plane, &["ready"]), (1, "not ready: no worker named "));
    assert!(!plane.path().exists(), "a probe makes nothing");
    let gate = Gate::new(&plane, "gate");
    plane.action("hang", &format!("{}exec sleep 1000\n", gate.pass()), "");
    let mut worker = plane.worker();
    assert_told(&mut health(&plane, &["live"]), (0, "alive\n"));
    assert_told(&mut health(&plane, &["ready"]), (0, "ready\n"));
    assert_eq!(Ran::of(&mut plane.submit(&["my.hang"])).code, 0);
    gate.wait();
    worker.signal(Signal::TERM);
    worker.wait_for("the worker stops");
    assert_told(&mut health(&plane, &["ready"]), (1, "not ready: draining: "));
    assert_told(&mut health(&plane, &["live"]), (0, "alive\n"));
    worker.signal(Signal::TERM);
    assert_eq!(worker.exit_code(), 0);
    assert_told(&mut health(&plane, &["live"]), NOBODY);
}

#[test]
fn a_worker_that_hangs_is_noticed_in_time() {
    let plane = Plane::new();
    let worker = plane.worker();
    worker.signal(Signal::STOP);
    for what in ["live", "ready"] {
        let begun = Instant::now();
        let told = Ran::of(&mut health(&plane, &[what, "--timeout", "0.3"]));
        assert_eq!(told.code, 1, "{}", told.stdout);
        assert!(told.stdout.ends_with("the worker did not answer within 0.3 s\n"), "{}", told.stdout);
        // A probe's own start is part of it.
        assert!((0.3..5.0).contains(&begun.elapsed().as_secs_f64()), "{:?}", begun.elapsed());
    }
    // However many have given up on it, whoever asks next is told the same, and the last when it goes on.
    for _ in 0..20 {
        assert_eq!(Ran::of(&mut health(&plane, &["live", "--timeout", "0.05"])).code, 1);
    }
    worker.signal(Signal::CONT);
    assert_told(&mut health(&plane, &["ready", "--timeout", "20"]), (0, "ready\n"));
}

#[test]
fn what_a_killed_worker_left_is_no_worker_and_is_replaced() {
    let plane = Plane::new();
    plane.worker().kill();
    assert_told(&mut health(&plane, &["live"]), NOBODY);
    let _worker = plane.worker();
    assert_told(&mut health(&plane, &["ready"]), (0, "ready\n"));
}

#[test]
fn workers_that_share_a_directory_answer_for_themselves() {
    let plane = Plane::new();
    // A name that fits into a file's, and not into a socket's.
    let long = "n".repeat(200);
    let named = |name: &str| Worker::start(plane.run_command().args(["--name", name]));
    let (first, _second) = (named("first"), named(&long));
    for name in ["first", &long] {
        assert_told(&mut health(&plane, &["ready", "--name", name]), (0, "ready\n"));
    }
    assert_told(&mut health(&plane, &["live"]), NOBODY);
    first.kill();
    assert_told(&mut health(&plane, &["live", "--name", "first"]), NOBODY);
    assert_told(&mut health(&plane, &["live", "--name", &long]), (0, "alive\n"));
}

#[test]
fn a_probe_minds_no_configuration_but_where_the_worker_is() {
    let plane = Plane::new();
    let file = plane.file("config.yaml");
    std::fs::write(&file, "worker: {name: configured}\n").unwrap();
    let _worker = Worker::start(plane.run_command().arg("--config").arg(&file));
    let probe = || {
        let mut probe = health(&plane, &["ready"]);
        probe.arg("--config").arg(&file).env("ATTUNE__WORKER__KILL_GRACE", "soon");
        probe
    };
    assert_told(&mut probe(), (0, "ready\n"));
    std::fs::write(&file, "worker: [broken\n").unwrap();
    assert_told(probe().env("ATTUNE_WORKER_NAME", "configured"), (0, "ready\n"));
    Ran::of(&mut health(&plane, &["ready", "--timeout", "never"])).assert_usage("0.001 to 3600");
}

#[test]
fn an_action_that_asks_is_told_the_sentence() {
    let plane = Plane::new();
    let program = env!("CARGO_BIN_EXE_attune-agent");
    let directory = plane.path();
    plane.action("ask", &format!("{program} health ready --embedded {}\n", directory.display()), "");
    let _worker = plane.worker();
    assert_eq!(plane.run(&["my.ask"])["stdout"], "ready\n");
}

/// A worker on servers that are not there, with its directory at `work` and its temporary one at `temporary`.
fn waiting(command: &mut Command, work: &Path, temporary: &Path) {
    let nowhere = "//nobody:nothing@127.0.0.1:1/none";
    command
        .env("ATTUNE__DATABASE__URL", format!("postgres:{nowhere}"))
        .env("ATTUNE__MESSAGE_QUEUE__URL", format!("amqp:{nowhere}"))
        .env("ATTUNE_WORK_DIR", work)
        .env("TMPDIR", temporary);
}

#[test]
fn a_worker_that_waits_for_its_servers_is_alive_and_says_what_it_waits_for() {
    let directory = tempfile::tempdir().unwrap();
    let (work, deep) = (directory.path().join("work"), directory.path().join("d/".repeat(100)));
    std::fs::create_dir_all(&deep).unwrap();
    let nowhere = Path::new("/proc/nowhere");
    for (work, temporary) in [
        (&*work, nowhere),
        (&deep.join("work"), nowhere),
        // No directory can be used but the temporary one; and none at all.
        (nowhere, &*deep),
        (nowhere, nowhere),
    ] {
        let mut run = agent();
        waiting(run.arg("run"), work, temporary);
        let mut worker = Worker::spawn(&mut run);
        worker.wait_for("waiting for the database");
        let probe = |what: &str| {
            let mut probe = agent();
            waiting(probe.args(["health", what]), work, temporary);
            probe
        };
        assert_told(&mut probe("live"), (0, "alive\n"));
        assert_told(&mut probe("ready"), (1, "not ready: connecting to the database\n"));
        let elsewhere = tempfile::tempdir().unwrap();
        let mut stranger = agent();
        waiting(stranger.args(["health", "live", "--name", "w2"]), elsewhere.path(), temporary);
        assert_told(&mut stranger, NOBODY);
        worker.signal(Signal::TERM);
        assert_eq!(worker.exit_code(), 0);
    }
}

#[test]
fn a_probe_starts_fast() {
    let plane = Plane::new();
    let _worker = plane.worker();
    let fastest = (0..20)
        .map(|_| {
            let begun = Instant::now();
            assert_eq!(Ran::of(&mut health(&plane, &["ready"])).code, 0);
            begun.elapsed()
        })
        .min();
    // Of a program that was not optimised: it reads two variables and asks one socket.
    assert!(fastest.is_some_and(|fastest| fastest < Duration::from_millis(100)), "{fastest:?}");
}
