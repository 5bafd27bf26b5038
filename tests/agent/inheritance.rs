//! What the program is started with, beside arguments and variables, is not what actions get: signals that are ignored or
//! blocked, and open descriptors.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::init::namespace;
use crate::support::{Plane, Ran, Worker, agent, behind};

/// Ignores and blocks all signals that can be, or those that it is told, opens descriptors, and becomes the rest of its
/// arguments. The kernel is told directly: the C library refuses to ignore what it uses itself.
const STARTER: &str = r#"
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
sigaction, sigprocmask = {"x86_64": (13, 14), "aarch64": (134, 135)}[os.uname().machine]
chosen = [int(one) for one in sys.argv[1].split(",")] if sys.argv[1] != "all" else range(1, 65)
chosen = [one for one in chosen if one not in (9, 19)]
for signal in chosen:
    assert libc.syscall(sigaction, signal, (ctypes.c_ulong * 4)(1), None, 8) == 0, signal
blocked = ctypes.c_ulong(sum(1 << (one - 1) for one in chosen))
assert libc.syscall(sigprocmask, 2, ctypes.byref(blocked), None, 8) == 0
for number in (9, 200):
    os.dup2(os.open("/dev/full", os.O_WRONLY), number, inheritable=True)
os.execvp(sys.argv[2], sys.argv[2:])
"#;

/// What an action tells of its signals, and of its descriptors.
const TELL: [(&str, &str); 2] = [
    ("signals", "exec grep -E 'Sig(Ign|Blk):' /proc/self/status\n"),
    ("descriptors", "exec ls -l /proc/self/fd\n"),
];

fn starter(signals: &str) -> Vec<&str> {
    vec!["python3", "-c", STARTER, signals]
}

#[track_caller]
#[expect(clippy::print_stdout, reason = "what an action sees belongs to the log of the test")]
fn assert_untouched(how: &str, [signals, descriptors]: [String; 2]) {
    println!("{how}:\n{signals}{descriptors}");
    let masks: Vec<_> =
        signals.lines().filter_map(|line| u64::from_str_radix(line.split_once('\t')?.1, 16).ok()).collect();
    assert_eq!(masks, [0, 0], "{how}: an action ignores or blocks a signal: {signals}");
    let open = descriptors.lines().filter(|line| line.contains(" -> ")).count();
    assert_eq!(open, 4, "{how}: three streams, and what lists them: {descriptors}");
    assert!(!descriptors.contains("/dev/full"), "{how}: {descriptors}");
}

fn told_by(plane: &Plane) -> [String; 2] {
    TELL.map(|(name, _)| {
        let result = plane.run(&[&format!("my.{name}")]);
        assert_eq!(result["status"], "completed", "{result}");
        result["stdout"].as_str().expect("text").to_owned()
    })
}

fn telling() -> Plane {
    let plane = Plane::new();
    for (name, script) in TELL {
        plane.action(name, script, "");
    }
    plane
}

/// Ends a command that takes this long: what is tested here used to hang.
fn bounded(command: &Command) -> Command {
    behind(&["timeout", "--kill-after=1", "50"], command)
}

#[test]
fn an_action_of_exec_inherits_no_signal_and_no_descriptor() {
    let plane = Plane::new();
    let told = TELL.map(|(name, script)| {
        let file = plane.file(&format!("{name}.sh"));
        std::fs::write(&file, script).expect("a writable directory");
        let ran = Ran::of(&mut bounded(&behind(&starter("all"), agent().arg("exec").arg(&file))));
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        ran.json()["stdout"].as_str().expect("text").to_owned()
    });
    assert_untouched("exec", told);
}

#[test]
fn an_action_of_a_worker_inherits_no_signal_and_no_descriptor() {
    let plane = telling();
    let mut worker = Worker::start(&mut behind(&starter("all"), &plane.run_command()));
    assert_untouched("run", told_by(&plane));
    worker.signal(rustix::process::Signal::TERM);
    assert_eq!(worker.exit_code(), 0);
}

#[test]
fn an_action_below_process_1_inherits_no_signal_and_no_descriptor() {
    let plane = telling();
    let wrapper = [namespace(), starter("all")].concat();
    let possible = Command::new(wrapper[0]).args(&namespace()[1..]).arg("true").status();
    if !possible.is_ok_and(|status| status.success()) {
        println!("inheritance: this user can make no namespace; not tested");
        return;
    }
    let mut worker = Worker::start(&mut behind(&wrapper, &plane.run_command()));
    assert_untouched("process 1", told_by(&plane));
    let first = crate::support::children(&worker.pid().to_string()).pop().expect("unshare has a child");
    let first = first.parse().ok().and_then(rustix::process::Pid::from_raw).expect("a process id");
    rustix::process::kill_process(first, rustix::process::Signal::TERM).expect("it is there");
    assert_eq!(worker.exit_code(), 0, "process 1 ends with its agent");
}

#[test]
fn exec_ends_at_once_where_its_starter_ignores_the_end_of_children() {
    let begun = Instant::now();
    let command = behind(&starter("17"), agent().args(["exec", "core.echo", "-p", "message=hello"]));
    let ran = Ran::of(&mut bounded(&command));
    assert_eq!((ran.code, ran.json()["stdout"].as_str()), (0, Some("hello\n")), "{}", ran.stderr);
    assert!(begun.elapsed() < Duration::from_secs(15), "it hung: {:?}", begun.elapsed());
}

#[test]
fn what_nohup_starts_survives_its_terminal_and_its_actions_do_not() {
    let plane = telling();
    let worker = Worker::start(&mut behind(&["nohup"], &plane.run_command()));
    worker.signal(rustix::process::Signal::HUP);
    assert_untouched("nohup", told_by(&plane));
    worker.drain();
}
