//! A worker process, seen from outside.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

/// Nothing that is measured takes longer.
const PATIENCE: Duration = Duration::from_mins(5);

/// A running worker. Dropping it ends it.
#[derive(Debug)]
pub struct Agent {
    child: Child,
    lines: mpsc::Receiver<(Instant, String)>,
    started: Instant,
}

/// Processor time used so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cpu {
    /// The agent's own.
    pub agent: Duration,
    /// That of the helper process that forks, without what it forked.
    pub zygote: Duration,
    /// That of the supervisors and of everything that ran below them.
    pub below: Duration,
}

impl Agent {
    /// Starts it.
    ///
    /// # Panics
    /// Where it cannot be started.
    pub fn start(command: &mut Command) -> Self {
        let started = Instant::now();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the agent");
        let log = BufReader::new(child.stderr.take().expect("a pipe"));
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in log.lines().map_while(Result::ok) {
                if sender.send((Instant::now(), line)).is_err() {
                    return;
                }
            }
        });
        Self { child, lines, started }
    }

    /// How long after its start it logged a line that holds `text`.
    ///
    /// # Panics
    /// Where it never does.
    pub fn logged(&self, text: &str) -> Duration {
        loop {
            let (at, line) = self.lines.recv_timeout(PATIENCE).expect("the agent goes on");
            if line.contains(text) {
                return at - self.started;
            }
        }
    }

    /// Processor time so far.
    pub fn cpu(&self) -> Cpu {
        let agent = self.child.id();
        let (own, _) = times(agent);
        let zygote = children(agent).into_iter().next();
        let (forking, below) = zygote.map_or((0, 0), times);
        Cpu { agent: ticks(own), zygote: ticks(forking), below: ticks(below) }
    }

    /// Resident memory now, in KiB: of the agent, and of it with every process that is its own.
    pub fn resident_kib(&self) -> (u64, u64) {
        let agent = self.child.id();
        let own = resident(agent);
        let mut all = own;
        for zygote in children(agent) {
            all += resident(zygote);
        }
        (own, all)
    }

    /// Tells it to stop and awaits its end.
    ///
    /// # Panics
    /// Where it does not end well.
    pub fn stop(mut self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process id");
        rustix::process::kill_process(pid, Signal::TERM).expect("the agent is there");
        assert!(self.child.wait().expect("the agent is ours").success());
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// User and system time of a process, and of its children that it has waited for, in ticks.
fn times(pid: u32) -> (u64, u64) {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<u64> = stat
        .rsplit_once(')')
        .map(|(_, rest)| rest.split_ascii_whitespace().map(|field| field.parse().unwrap_or(0)).collect())
        .unwrap_or_default();
    // After the name: state is field 3 of proc(5), utime 14, stime 15, cutime 16, cstime 17.
    let field = |number: usize| fields.get(number - 3).copied().unwrap_or(0);
    (field(14) + field(15), field(16) + field(17))
}

fn ticks(count: u64) -> Duration {
    Duration::from_secs(count) / u32::try_from(rustix::param::clock_ticks_per_second()).unwrap_or(100)
}

fn children(pid: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect()
}

fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    line.split_ascii_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap_or(0)
}
