//! Full mode: interpreters that hang, flood, fail, or answer in odd places.

mod support;

use std::path::Path;
use std::time::{Duration, Instant};

use runtime_probe::{Ask, EvidenceKind, Mode, Options, Report, Runnable, Verdict, compare, probe};
use support::Root;

/// Interpreters here are shell scripts; a machine that builds Rust has a shell.
fn has_shell() -> bool {
    Path::new("/bin/sh").exists()
}

fn full(root: &Root) -> Options {
    Options { mode: Mode::Full, ..root.here("/bin") }
}

fn only(report: &Report) -> &runtime_probe::Interpreter {
    assert_eq!(report.runtimes.len(), 1, "{}", report.table());
    &report.runtimes[0]
}

#[test]
fn the_answer_may_be_on_either_stream() {
    if !has_shell() {
        return;
    }
    for (name, script, expected) in [
        ("python2", "echo 'Python 2.7.18' >&2", "2.7.18"),
        ("lua5.1", "echo 'Lua 5.1.5  Copyright' >&2", "5.1.5"),
        ("ksh93", "echo '  version         sh (AT&T Research) 93u+m/1.0.4 2022-10-22' >&2; exit 2", "1.0.4"),
        (
            "java",
            "[ $1 = -version ] && { echo 'Picked up JAVA_TOOL_OPTIONS: -Dx=1.2.3'; echo 'openjdk version \"1.8.0_392\"'; } >&2",
            "1.8.0_392",
        ),
        ("tclsh", "read line; [ \"$line\" = 'puts [info patchlevel]' ] && echo 8.6.13", "8.6.13"),
        (
            "go",
            "[ $GOTOOLCHAIN = local ] && [ $PWD = / ] && echo 'go version go1.22rc1 linux/amd64'",
            "1.22rc1",
        ),
        ("fish", "[ $LC_ALL = C ] && echo 'fish, version 3.6.0'", "3.6.0"),
    ] {
        let root = Root::new();
        root.program(&format!("/bin/{name}"), format!("#!/bin/sh\n{script}\n").as_bytes());
        let report = probe(&full(&root)).unwrap();
        assert_eq!(only(&report).version.as_deref(), Some(expected), "{name}");
        assert_eq!(only(&report).evidence.kind, EvidenceKind::Answer);
    }
}

#[test]
fn a_failing_program_has_no_version_whatever_it_prints() {
    if !has_shell() {
        return;
    }
    let root = Root::new();
    root.program(
        "/bin/python3",
        b"#!/bin/sh\necho 'pyenv: python3: command not found'; echo 'Python 3.9.18'; exit 127\n",
    );
    root.program("/bin/node", b"#!/bin/sh\nkill -SEGV $$\n");
    let report = probe(&full(&root)).unwrap();
    assert!(report.runtimes.is_empty(), "{}", report.table());
    let codes: Vec<&str> = report.rejected.iter().map(|rejected| rejected.reason.code()).collect();
    assert_eq!(codes, ["failed", "failed"]);
}

#[test]
fn hanging_interpreters_share_one_deadline_and_leave_nothing_behind() {
    if !has_shell() {
        return;
    }
    let root = Root::new();
    let marker = root.host("/alive");
    for name in ["python3", "node", "ruby", "perl", "php", "lua", "bun", "deno", "julia", "guile"] {
        let script =
            format!("#!/bin/sh\n(/bin/sleep 1; echo still >> {}) &\n/bin/sleep 1000\n", marker.display());
        root.program(&format!("/bin/{name}"), script.as_bytes());
    }
    let start = Instant::now();
    let report = probe(&full(&root).deadline(Duration::from_millis(400))).unwrap();
    // Ten deadlines one after the other would be four seconds; the bound has room for a busy machine.
    assert!(start.elapsed() < Duration::from_millis(3900), "{:?}", start.elapsed());
    assert_eq!(report.runtimes.len(), 10, "slow is not absent");
    assert!(report.runtimes.iter().all(|slow| slow.version.is_none() && slow.runnable == Runnable::Unknown));
    assert_eq!(report.warnings.len(), 10);
    std::thread::park_timeout(Duration::from_millis(1500));
    assert!(!marker.exists(), "the whole group was ended with its leader");
}

#[test]
fn a_grandchild_that_holds_the_output_is_not_waited_for() {
    if !has_shell() {
        return;
    }
    let root = Root::new();
    root.program("/bin/python3", b"#!/bin/sh\n/bin/sleep 30 &\necho 'Python 3.12.1'\n");
    let start = Instant::now();
    let report = probe(&full(&root).deadline(Duration::from_secs(20))).unwrap();
    assert_eq!(only(&report).version.as_deref(), Some("3.12.1"));
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

#[test]
fn a_flood_is_bounded() {
    if !has_shell() {
        return;
    }
    let root = Root::new();
    root.program(
        "/bin/python3",
        b"#!/bin/sh\nwhile :; do echo yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy; done\n",
    );
    let start = Instant::now();
    let report = probe(&full(&root).deadline(Duration::from_mins(1))).unwrap();
    assert_eq!(only(&report).version, None);
    assert!(start.elapsed() < Duration::from_secs(30), "it was ended for its flood, not at its deadline");
}

#[test]
fn the_callers_environment_and_terminal_are_kept_from_it() {
    if !has_shell() {
        return;
    }
    let root = Root::new();
    let script = "#!/bin/sh\n[ -z \"$CARGO_MANIFEST_DIR\" ] && [ ! -t 0 ] && [ ! -t 1 ] && ! read x && echo 'Python 3.12.1'\n";
    root.program("/bin/python3", script.as_bytes());
    assert_eq!(only(&probe(&full(&root)).unwrap()).version.as_deref(), Some("3.12.1"));
}

#[test]
fn fast_mode_asks_only_whom_it_must_and_only_if_it_may() {
    if !has_shell() {
        return;
    }
    let root = Root::new();
    root.program("/bin/fish", b"#!/bin/sh\necho 'fish, version 4.0.1'\n");
    root.program("/bin/elixir", b"#!/bin/sh\nELIXIR_VERSION=1.18.1\nexit 1\n");
    let report = probe(&root.here("/bin").ask(Ask::WhenUnknown)).unwrap();
    assert_eq!(report.spawned, 1, "the fish, and not the elixir");
    assert_eq!(report.preferred("fish").unwrap().version.as_deref(), Some("4.0.1"));
    assert_eq!(report.preferred("elixir").unwrap().version.as_deref(), Some("1.18.1"));
    assert_eq!(probe(&root.here("/bin")).unwrap().spawned, 0);
}

#[test]
fn a_contradiction_is_the_only_disagreement() {
    if !has_shell() {
        return;
    }
    let root = Root::new();
    root.program("/bin/elixir", b"#!/bin/sh\nELIXIR_VERSION=1.18.1\necho 1.18.1\n");
    root.program("/bin/fish", b"#!/bin/sh\necho 'fish, version 4.0.1'\n");
    let comparison = compare(&root.here("/bin")).unwrap();
    let verdicts: Vec<Verdict> = comparison.rows.iter().map(|row| row.verdict).collect();
    assert_eq!((comparison.agrees, verdicts), (true, vec![Verdict::Equal, Verdict::OnlyAsked]));
    root.program("/bin/elixir", b"#!/bin/sh\nELIXIR_VERSION=1.18.1\necho 1.18.2\n");
    assert!(!compare(&root.here("/bin")).unwrap().agrees);
}
