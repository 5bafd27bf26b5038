//! The agent as process 1 of a container: signals, zombies, exit codes, and a stop while executions run.

use std::time::Instant;

use container_tests::{Access, Container, Engine, Instance, PATIENCE, Pod, Running, busybox};

use crate::dist::{self, AGENT, AGENT_DIR};
use crate::roots;
use crate::site::Site;

const NAME: &str = "first";

/// Leaves five hundred processes behind.
const ORPHANS: &str = "i=0; while [ $i -lt 500 ]; do (true &); i=$((i + 1)); done; echo $i";

/// What the agent is started with, and how it ends.
struct Start {
    arguments: &'static [&'static str],
    variables: &'static [(&'static str, &'static str)],
    code: i32,
    said: &'static str,
}

const STARTS: &[Start] = &[
    Start { arguments: &["--version"], variables: &[], code: 0, said: "" },
    Start { arguments: &["dance"], variables: &[], code: 2, said: "unrecognized subcommand" },
    Start { arguments: &["run"], variables: &[], code: 2, said: "`database.url` is not set" },
    Start {
        arguments: &["run"],
        variables: &[("ATTUNE__WORKER__HEARTBEAT_INTERVAL", "often")],
        code: 65,
        said: "HEARTBEAT_INTERVAL is `often`",
    },
    Start {
        arguments: &["wait", "queue", "--timeout", "1"],
        variables: &[("ATTUNE__MESSAGE_QUEUE__URL", "amqp://127.0.0.1:1")],
        code: 1,
        said: "not everything is there after 1 s",
    },
];

/// A site, and an instance of a small root with a shell in it.
fn place(test: &str) -> Option<(&'static Engine, Site, Instance)> {
    let engine = Engine::shared()?;
    let instance = busybox::root(engine).instance(engine);
    Some((engine, Site::new(engine, test), instance))
}

/// A worker that takes work.
fn start<'a>(pod: &Pod<'a>, container: &Container<'a>) -> Running<'a> {
    let worker = pod.start(container);
    worker.wait_for("the worker takes work");
    worker
}

#[test]
fn podman_stop_ends_what_runs_within_the_grace_and_the_rows_are_written() {
    let Some((engine, site, instance)) = place("stop") else { return };
    site.action("obeys", "trap 'echo asked; exit 3' TERM\nwhile :; do sleep 1000 & wait; done\n");
    site.action("insists", "trap '' TERM\nwhile :; do sleep 1000; done\n");
    let mut pod = Pod::new(engine, "stop").user("1000");
    dist::install(&mut pod, dist::loader());
    let container = site.worker(&mut pod, NAME, &instance).read_only();
    let container = container
        .variable("ATTUNE__WORKER__SHUTDOWN_TIMEOUT", "4")
        .variable("ATTUNE__WORKER__KILL_GRACE", "1");
    let mut worker = start(&pod, &container);
    let running = ["my.obeys", "my.insists"].map(|action| site.request(action));
    for execution in running {
        site.await_running(execution);
    }
    // Podman would kill it after that, and it would end by SIGKILL.
    assert_eq!(worker.stop(20), 0, "{}", worker.log());
    assert_eq!(site.status_of(NAME), "inactive");
    for execution in running {
        let ended = site.ended(execution);
        assert_eq!(
            (ended.status.as_str(), ended.result["_agent"]["reason"].as_str()),
            ("abandoned", Some("worker_stopped")),
            "{ended:?}"
        );
    }
}

#[test]
fn signals_arrive_and_the_exit_code_tells_how_it_ended() {
    let Some((engine, site, instance)) = place("signals") else { return };
    // What ends a worker in order, and what ends any process that does not know it.
    for (signal, code, status) in [
        ("TERM", 0, "inactive"),
        ("INT", 0, "inactive"),
        ("QUIT", 128 + 3, "active"),
        ("KILL", 128 + 9, "active"),
    ] {
        let mut pod = Pod::new(engine, &format!("signal-{signal}"));
        dist::install(&mut pod, dist::loader());
        let container = site.worker(&mut pod, signal, &instance);
        let mut worker = start(&pod, &container);
        worker.signal(signal);
        assert_eq!(worker.exit_code(), code, "{signal}: {}", worker.log());
        assert_eq!(site.status_of(signal), status, "{signal}");
    }
}

#[test]
fn what_goes_wrong_at_the_start_ends_the_container_with_its_code() {
    let Some(engine) = Engine::shared() else { return };
    let instance = roots::one_program(engine).instance(engine);
    let mut pod = Pod::new(engine, "codes").user("65532");
    dist::install(&mut pod, dist::loader());
    let agent = pod.volume("agent");
    for (number, Start { arguments, variables, code, said }) in STARTS.iter().enumerate() {
        let container = pod.container(&number.to_string(), &instance);
        let container = container.mount(&agent, AGENT_DIR, Access::ReadOnly).read_only();
        let container =
            variables.iter().fold(container, |container, (name, value)| container.variable(name, value));
        let ran = container.command(&[&[AGENT], *arguments].concat()).run();
        assert_eq!(ran.code, *code, "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(said), "{arguments:?}: {}", ran.stderr);
    }
}

#[test]
fn orphans_of_actions_and_of_visitors_are_reaped() {
    let Some((engine, site, instance)) = place("orphans") else { return };
    site.action("orphans", ORPHANS);
    let mut pod = Pod::new(engine, "orphans").user("1000680000:0");
    dist::install(&mut pod, dist::loader());
    let container = site.worker(&mut pod, NAME, &instance);
    let mut worker = start(&pod, &container);
    let ended = site.run(&["my.orphans"]).pop().expect("one was asked for");
    assert_eq!((ended.status.as_str(), ended.result["stdout"].as_str()), ("completed", Some("500\n")));
    // A kubelet asks it this way.
    for question in ["live", "ready"] {
        worker.exec(&[AGENT, "health", question]);
    }
    // As `kubectl exec` does it: these come to process 1 itself.
    assert_eq!(worker.exec(&["/bin/sh", "-c", ORPHANS]).stdout, "500\n");
    let deadline = Instant::now() + PATIENCE;
    loop {
        let left = worker.processes();
        // Process 1, the agent, and its helper.
        if left.len() == 3 {
            assert!(left.iter().all(|process| process.state != 'Z'), "{left:?}");
            break;
        }
        assert!(Instant::now() < deadline, "{left:?}");
        // Reaping is somebody else's event: all that can be seen of it from here is that there are fewer.
        std::thread::yield_now();
    }
    site.assert_drains(NAME, &mut worker);
}
