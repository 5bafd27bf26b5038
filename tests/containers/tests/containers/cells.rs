//! One cell of the matrix: a root, a user, what may be written, and what became of the agent in it.

use std::collections::BTreeSet;
use std::time::Duration;

use container_tests::{Access, Engine, Pod, Root};
use jiff::Timestamp;

use crate::dist;
use crate::packs;
use crate::roots::Kind;
use crate::site::{Site, warnings};

/// What the first interpreter of a runtime is to run.
const ACTIONS: &[(&str, &str)] = &[
    ("awk", "examples.awk_columns"),
    ("elixir", "examples.elixir_slug"),
    ("erlang", "examples.erlang_checksum"),
    ("fish", "examples.fish_letters"),
    ("go", "examples.go_sha256"),
    ("guile", "examples.guile_ratio"),
    ("java", "examples.java_factors"),
    ("lua", "examples.lua_distance"),
    ("node", "examples.node_group"),
    ("perl", "examples.perl_extract"),
    ("php", "examples.php_csv"),
    ("python", "examples.python_words"),
    ("r", "examples.r_summary"),
    ("ruby", "examples.ruby_dates"),
    ("shell", "examples.shell_facts"),
    ("tcl", "examples.tcl_filter"),
];

/// What a container is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Case {
    pub(crate) kind: usize,
    pub(crate) user: &'static str,
    pub(crate) read_only: bool,
    pub(crate) tmp: bool,
}

/// What was seen.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    pub(crate) actions: usize,
    /// The copy, as the init container measures it.
    pub(crate) install: Duration,
    /// From the start of the container, as podman records it, to the line that follows the row's becoming active.
    pub(crate) start: Duration,
    /// To that line from before podman itself was started: all that somebody waits for.
    pub(crate) run: Duration,
}

/// Installs, starts, detects, runs an action in every interpreter, drains.
pub(crate) fn run(
    engine: &'static Engine,
    site: &Site,
    kind: &Kind,
    root: &Root,
    case: Case,
    name: &str,
) -> Cell {
    let mut pod = Pod::new(engine, name).user(case.user);
    let said = dist::install(&mut pod, dist::loader());
    let instance = root.instance(engine);
    let mut container = site.worker(&mut pod, name, &instance);
    if case.read_only {
        container = container.read_only();
    }
    if case.tmp {
        container = container.mount(&pod.volume("tmp"), "/tmp", Access::ReadWrite);
    }
    if let Some(path) = kind.path {
        container = container.variable("PATH", path);
    }
    let mut worker = pod.start(&container);
    let line = worker.wait_for("the worker takes work");
    let started = worker.inspect("json .State.StartedAt");
    assert_eq!(site.status_of(name), "active");
    let offered = site.runtimes_of(name);
    assert_offer(kind, &offered);
    let actions = actions(&site.interpreters_of(name));
    let actions: Vec<&str> = actions.iter().map(String::as_str).collect();
    for ended in site.run(&actions) {
        assert_eq!(ended.status, "completed", "{}: {}", ended.action, ended.result);
        if ended.action == packs::NATIVE {
            assert_user(case.user, &ended.result["stdout"].to_string());
        }
    }
    site.assert_drains(name, &mut worker);
    let log = worker.log();
    let warned = warnings(&log);
    if offered == ["native"] {
        assert!(
            warned.len() == 1 && warned[0].contains("there is no interpreter in this container"),
            "{log}"
        );
    } else {
        assert!(warned.is_empty(), "{log}");
    }
    let active = written_at(&line);
    let started = started.trim_matches('"').parse().expect("a time");
    let begun = Timestamp::try_from(worker.begun()).expect("a time");
    Cell {
        actions: actions.len(),
        install: install_time(&said),
        start: between(started, active),
        run: between(begun, active),
    }
}

/// The runtimes that the kind of image has, and no others where all are known.
fn assert_offer(kind: &Kind, offered: &[String]) {
    let offered: BTreeSet<&str> = offered.iter().map(String::as_str).collect();
    let expected: BTreeSet<&str> = kind.runtimes.iter().copied().collect();
    if kind.exact {
        assert_eq!(offered, expected, "{}", kind.name);
    } else {
        assert!(offered.is_superset(&expected), "{}: {offered:?}", kind.name);
    }
}

/// An action for every interpreter, and the native one.
fn actions(interpreters: &[(String, String)]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let actions = interpreters.iter().map(|(runtime, path)| {
        if !seen.insert(runtime) {
            return packs::action_on(path);
        }
        let found = ACTIONS.iter().find(|(name, _)| name == runtime);
        found.unwrap_or_else(|| panic!("there is no action for {runtime}")).1.to_owned()
    });
    actions.chain([packs::NATIVE.to_owned()]).collect()
}

/// The action ran as the very user.
fn assert_user(user: &str, said: &str) {
    let (uid, gid) = user.split_once(':').unwrap_or((user, "0"));
    assert!(said.contains(&format!("uid={uid}")) && said.contains(&format!("gid={gid}")), "{user}: {said}");
}

/// `… in 12 ms`
fn install_time(said: &str) -> Duration {
    let words: Vec<_> = said.split_whitespace().collect();
    let number = words.iter().rev().nth(1).and_then(|word| word.parse().ok());
    Duration::from_millis(number.unwrap_or_else(|| panic!("no time in {said:?}")))
}

/// When a line of the agent's log was written.
fn written_at(line: &str) -> Timestamp {
    let time = line.split(' ').next().unwrap_or_default();
    time.parse().unwrap_or_else(|error| panic!("{line:?}: {error}"))
}

/// Podman records the start once it has seen it, so a very short time may look like none.
fn between(earlier: Timestamp, later: Timestamp) -> Duration {
    later.duration_since(earlier).try_into().unwrap_or_default()
}
