//! Processes that are stopped: an action's own, and those that watch over it, which an action can stop, as it has their
//! user. Deadlines hold all the same, and nothing is left.

use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Gate, Plane, Ran, Worker, await_end, children, lives};

/// Whom an action stops, and how often: the process that supervises it, the one above that, both.
const ATTACKS: [(&str, &str); 5] = [
    ("supervisor", "kill -STOP $PPID\n"),
    ("zygote", "kill -STOP $zygote\n"),
    ("supervisor again and again", "while :; do kill -STOP $PPID; done &\n"),
    ("zygote again and again", "while :; do kill -STOP $zygote; done &\n"),
    ("both again and again", "while :; do kill -STOP $zygote $PPID; done &\n"),
];

/// The longest that an end may take: asking, the grace, and asking others in turn.
const BOUND: Duration = Duration::from_secs(20);

/// What ends an execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Timeout,
    Cancellation,
    Drain,
    Kill,
}

/// Tells its numbers, stops what is above it, and stays.
fn hostile(gate: &Gate, attack: &str) -> String {
    format!(
        "read -r _ _ _ zygote _ < /proc/$PPID/stat\necho begun\nsetsid sleep 1000 & a=$!\nsleep 1000 & b=$!\n{attack}\
         echo $$ $a $b $! > {}\nwhile :; do sleep 1000; done\n",
        gate.path().display()
    )
}

fn worker(plane: &Plane) -> Worker {
    let mut command = plane.run_command();
    command.env("ATTUNE__WORKER__KILL_GRACE", "0.5").env("ATTUNE__WORKER__SHUTDOWN_TIMEOUT", "1");
    Worker::start(&mut command)
}

#[track_caller]
#[expect(clippy::print_stdout, reason = "how long it took belongs to the log of the test")]
fn assert_gone(what: &str, pids: &str, begun: Instant) {
    let took = begun.elapsed();
    println!("stopped: {what}: {took:?}");
    assert!(took < BOUND, "{what}: {took:?}");
    let left: Vec<_> = pids.split_ascii_whitespace().filter(|pid| lives(pid)).collect();
    assert!(left.is_empty(), "{what}: {left:?} of {pids} live on");
}

fn reason(result: &Value) -> &str {
    result["reason"].as_str().unwrap_or_default()
}

fn attack(attack: &str, script: &str, end: End) {
    let what = format!("{attack}, {end:?}");
    let plane = Plane::new();
    let gate = Gate::new(&plane, "gate");
    let limit = if end == End::Timeout { "timeout_seconds: 1\n" } else { "" };
    plane.action("hostile", &hostile(&gate, script), limit);
    let mut worker = worker(&plane);
    let mut command = plane.submit(&["my.hostile", "--wait", "--json"]);
    let waiting = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the agent starts");
    let pids = gate.wait();
    let begun = Instant::now();
    let result =
        |waiting: std::process::Child| Ran::from(waiting.wait_with_output().expect("it ends")).json();
    match end {
        End::Timeout => assert_eq!(reason(&result(waiting)), "timeout", "{what}"),
        End::Cancellation => {
            let pid = rustix::process::Pid::from_child(&waiting);
            rustix::process::kill_process(pid, Signal::INT).expect("it waits");
            assert_eq!(reason(&result(waiting)), "cancelled", "{what}");
        }
        End::Drain => {
            worker.signal(Signal::TERM);
            assert_eq!(worker.exit_code(), 0, "{what}");
            let result = result(waiting);
            assert_eq!(
                (reason(&result), result["stdout"].as_str()),
                ("worker_stopped", Some("begun\n")),
                "{what}"
            );
            return assert_gone(&what, &pids, begun);
        }
        End::Kill => {
            let helpers = children(&worker.pid().to_string()).join(" ");
            worker.kill();
            format!("{helpers} {pids}").split_ascii_whitespace().for_each(await_end);
            let (mut waiting, pids) = (waiting, format!("{helpers} {pids}"));
            waiting.kill().expect("it waits for ever");
            waiting.wait().expect("it is ours");
            return assert_gone(&what, &pids, begun);
        }
    }
    assert_gone(&what, &pids, begun);
    assert_eq!(plane.run(&["core.noop"])["status"], "completed", "{what}: the worker goes on");
    worker.await_alone();
}

#[test]
fn a_time_limit_holds_whoever_is_stopped() {
    for (name, script) in ATTACKS {
        attack(name, script, End::Timeout);
    }
}

#[test]
fn a_cancellation_holds_whoever_is_stopped() {
    for (name, script) in ATTACKS {
        attack(name, script, End::Cancellation);
    }
}

#[test]
fn a_drain_holds_whoever_is_stopped() {
    for (name, script) in ATTACKS {
        attack(name, script, End::Drain);
    }
}

#[test]
fn nothing_outlives_its_agent_whoever_is_stopped() {
    // Whoever stops the zygote and all supervisors faster than the kernel continues them once is ended by nobody but
    // process 1: with it ends its container.
    ATTACKS[..4].iter().for_each(|(name, script)| attack(name, script, End::Kill));
}

#[test]
fn an_end_is_seen_though_the_supervisor_was_stopped() {
    let plane = Plane::new();
    plane.action("quick", "kill -STOP $PPID\necho done\nexit 3\n", "");
    let worker = worker(&plane);
    let result = plane.run(&["my.quick"]);
    assert_eq!((reason(&result), result["exit_code"].as_i64()), ("exit_code", Some(3)), "{result}");
    worker.await_alone();
}

#[test]
fn a_stopped_action_hears_that_it_is_to_end() {
    let plane = Plane::new();
    plane.action(
        "itself",
        "trap 'echo told; exit 3' TERM\nkill -STOP $$\necho went on\n",
        "timeout_seconds: 1\n",
    );
    // One that was stopped in the same group, and one in a group of its own, for which its parent waits.
    plane.action(
        "others",
        "sh -c 'trap \"echo told; exit\" TERM; kill -STOP $$; :' &\n\
         python3 -c 'import os, signal\nos.setsid()\nos.kill(os.getpid(), signal.SIGSTOP)\nprint(\"resumed\")' &\n\
         trap 'wait; echo both; exit 3' TERM\nwait\n",
        "timeout_seconds: 2\n",
    );
    let worker = worker(&plane);
    let itself = plane.run(&["my.itself"]);
    assert_eq!((reason(&itself), itself["stdout"].as_str()), ("timeout", Some("told\n")), "{itself}");
    let others = plane.run(&["my.others"]);
    let mut lines: Vec<_> = others["stdout"].as_str().unwrap_or_default().lines().collect();
    lines.sort_unstable();
    assert_eq!(
        (reason(&others), lines.as_slice()),
        ("timeout", &["both", "resumed", "told"][..]),
        "{others}"
    );
    worker.await_alone();
}

/// Holds processes as a debugger does: they neither run nor can be continued. Ends with this.
struct Debugger(std::process::Child);

impl Debugger {
    /// `None` where this user may not.
    #[expect(clippy::print_stdout, reason = "what is not tested is part of what a test says")]
    fn hold(pids: &[&str]) -> Option<Self> {
        let script = "import ctypes, os, sys, time\nlibc = ctypes.CDLL(None)\n\
                      for pid in map(int, sys.argv[1:]):\n    assert libc.ptrace(16, pid, None, None) == 0\n    os.waitpid(pid, 0x40000000)\n\
                      print('held', flush=True)\ntime.sleep(1000)\n";
        let mut command = std::process::Command::new("python3");
        command.args(["-c", script]).args(pids).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("python3 is there");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("a pipe");
        std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line).expect("text");
        let held = Self(child);
        if line.is_empty() {
            println!("stopped: this user may hold nothing; not tested");
            return None;
        }
        Some(held)
    }
}

impl Drop for Debugger {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// A worker with an action that runs, and the numbers of the zygote, the supervisor, and what the action is.
fn running(plane: &Plane, manifest: &str) -> (Worker, std::process::Child, [String; 3]) {
    let gate = Gate::new(plane, "gate");
    plane.action("long", &hostile(&gate, ""), manifest);
    let worker = worker(plane);
    let mut command = plane.submit(&["my.long", "--wait", "--json"]);
    let waiting = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the agent starts");
    let pids = gate.wait();
    let zygote = children(&worker.pid().to_string()).remove(0);
    let supervisor = children(&zygote).remove(0);
    (worker, waiting, [zygote, supervisor, pids])
}

#[test]
fn a_time_limit_holds_though_the_supervisor_hangs() {
    let plane = Plane::new();
    let (worker, waiting, [_, supervisor, pids]) = running(&plane, "timeout_seconds: 1\n");
    let begun = Instant::now();
    let Some(_debugger) = Debugger::hold(&[&supervisor]) else { return };
    let result = Ran::from(waiting.wait_with_output().expect("it ends")).json();
    assert_eq!((reason(&result), result["stdout"].as_str()), ("timeout", Some("begun\n")), "{result}");
    assert_eq!(result["signal"], "SIGKILL", "{result}");
    assert_gone("supervisor hangs", &format!("{supervisor} {pids}"), begun);
    assert_eq!(plane.run(&["core.noop"])["status"], "completed");
    drop(worker);
}

#[test]
fn a_time_limit_holds_though_everything_between_hangs_and_the_worker_goes_on() {
    let plane = Plane::new();
    let (worker, waiting, [zygote, supervisor, pids]) = running(&plane, "timeout_seconds: 1\n");
    let begun = Instant::now();
    let Some(_debugger) = Debugger::hold(&[&zygote, &supervisor]) else { return };
    let result = Ran::from(waiting.wait_with_output().expect("it ends")).json();
    assert_eq!((reason(&result), result["stdout"].as_str()), ("timeout", Some("begun\n")), "{result}");
    assert_gone("both hang", &format!("{zygote} {supervisor} {pids}"), begun);
    assert_eq!(plane.run(&["core.noop"])["status"], "completed");
    drop(worker);
}

#[test]
fn a_helper_process_that_hangs_is_replaced() {
    let plane = Plane::new();
    let (worker, waiting, [zygote, supervisor, pids]) = running(&plane, "");
    let begun = Instant::now();
    let Some(_debugger) = Debugger::hold(&[&zygote]) else { return };
    assert_eq!(reason(&plane.run(&["core.noop"])), "agent_error");
    let result = Ran::from(waiting.wait_with_output().expect("it ends")).json();
    assert_eq!(reason(&result), "agent_error", "{result}");
    assert_gone("zygote hangs", &format!("{zygote} {supervisor} {pids}"), begun);
    assert_eq!(plane.run(&["core.noop"])["status"], "completed");
    drop(worker);
}

#[test]
fn a_supervisor_that_hangs_does_not_outlive_its_agent() {
    let plane = Plane::new();
    let (worker, mut waiting, [zygote, supervisor, pids]) = running(&plane, "");
    let Some(_debugger) = Debugger::hold(&[&supervisor]) else { return };
    let begun = Instant::now();
    worker.kill();
    await_end(&zygote);
    waiting.kill().expect("it waits for ever");
    waiting.wait().expect("it is ours");
    assert_gone("supervisor hangs, agent killed", &format!("{zygote} {supervisor} {pids}"), begun);
}
