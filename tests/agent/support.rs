//! A control plane in a temporary directory, workers on it, and packs made by the test.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;
use sqlx::sqlite::SqliteRow;
use sqlx::{Column, Connection, Row, SqliteConnection};

/// Nothing that a test waits for takes longer, even on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// The built binary.
pub(crate) fn agent() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_attune-agent"));
    // What configures the agent outside must not configure it here.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("ATTUNE")) {
        command.env_remove(name);
    }
    command.env_remove("RUST_LOG").stdin(Stdio::null());
    command
}

/// A command as another program starts it, with the same environment.
pub(crate) fn behind(wrapper: &[&str], command: &Command) -> Command {
    let mut wrapped = Command::new(wrapper[0]);
    wrapped.args(&wrapper[1..]).arg(command.get_program()).args(command.get_args()).stdin(Stdio::null());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => wrapped.env(name, value),
            None => wrapped.env_remove(name),
        };
    }
    wrapped
}

/// Runs `command` in a mount namespace of its own, where `mount` has been carried out; `None` where this user cannot.
pub(crate) fn mounted(mount: &str, command: &Command) -> Option<Ran> {
    let wrapper = ["unshare", "--mount", "sh", "-ec", &format!("{mount}\nexec \"$@\""), "sh"];
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    Some(Ran::of(&mut behind(&wrapper, command)))
}

/// What a command printed and how it ended.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn of(command: &mut Command) -> Self {
        Self::from(command.output().expect("the agent starts"))
    }

    /// Standard output as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: stdout {:?}, stderr {:?}", self.stdout, self.stderr))
    }

    /// That it failed with this code, with one sentence that holds `sentence` and a hint that holds `hint`.
    pub(crate) fn assert_refused(&self, code: i32, sentence: &str, hint: &str) {
        let lines = self.assert_error(code, sentence, 2);
        assert!(lines[1].starts_with("  hint: ") && lines[1].contains(hint), "{}", self.stderr);
    }

    /// That it failed with this code and one sentence that says all there is to say.
    pub(crate) fn assert_refused_without_hint(&self, code: i32, sentence: &str) {
        self.assert_error(code, sentence, 1);
    }

    /// That the command line was refused, with words that hold `sentence`.
    pub(crate) fn assert_usage(&self, sentence: &str) {
        assert_eq!(self.code, 2, "{}", self.stderr);
        assert!(self.stderr.contains(sentence), "{}", self.stderr);
    }

    fn assert_error(&self, code: i32, sentence: &str, count: usize) -> Vec<&str> {
        let lines: Vec<_> = self.stderr.lines().collect();
        assert_eq!(self.code, code, "{}", self.stderr);
        assert_eq!(lines.len(), count, "one sentence, one hint: {}", self.stderr);
        assert!(lines[0].starts_with("error: ") && lines[0].contains(sentence), "{}", self.stderr);
        lines
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }
}

/// A control plane with a pack `my` of the test's own actions.
pub(crate) struct Plane {
    directory: tempfile::TempDir,
}

impl Plane {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        std::fs::create_dir_all(directory.path().join("my/actions")).expect("a writable directory");
        std::fs::write(directory.path().join("my/pack.yaml"), "ref: my\nlabel: Test\nversion: 0.1.0\n")
            .expect("a writable directory");
        Self { directory }
    }

    /// The control plane's directory.
    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("plane")
    }

    /// Where the worker's files are that nobody else may read.
    pub(crate) fn private_dir(&self) -> PathBuf {
        let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        self.path().join(format!("journals/worker-{name}.private"))
    }

    /// A file that lives as long as the control plane.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Adds the shell action `t.<name>`, with further lines for its manifest, and registers the pack.
    pub(crate) fn action(&self, name: &str, script: &str, manifest: &str) -> &Self {
        self.write(name, script, &format!("runtime: core.shell\n{manifest}"));
        let registered = self.register(&self.file("my"));
        assert_eq!(registered.code, 0, "{}", registered.stderr);
        self
    }

    /// Writes an action and its manifest without registering them.
    pub(crate) fn write(&self, name: &str, script: &str, manifest: &str) {
        let actions = self.directory.path().join("my/actions");
        let entry = actions.join(format!("{name}.sh"));
        std::fs::write(&entry, format!("#!/bin/sh\n{script}")).expect("a writable directory");
        std::fs::set_permissions(&entry, std::fs::Permissions::from_mode(0o755)).expect("an own file");
        let text = format!("ref: my.{name}\nentrypoint: {name}.sh\n{manifest}");
        std::fs::write(actions.join(format!("{name}.yaml")), text).expect("a writable directory");
    }

    pub(crate) fn register(&self, pack: &Path) -> Ran {
        Ran::of(agent().args(["pack", "register"]).arg(pack).arg("--embedded").arg(self.path()))
    }

    /// The command `submit ACTION … --embedded DIR`.
    pub(crate) fn submit(&self, args: &[&str]) -> Command {
        let mut command = agent();
        command.arg("submit").args(args).arg("--embedded").arg(self.path());
        command
    }

    /// Submits, waits for the end, and returns the result.
    pub(crate) fn run(&self, args: &[&str]) -> Value {
        Ran::of(self.submit(args).args(["--wait", "--json"])).json()
    }

    /// The command `run --embedded DIR`.
    pub(crate) fn run_command(&self) -> Command {
        let mut command = agent();
        command.arg("run").arg("--embedded").arg(self.path());
        command
    }

    /// A worker that takes work by the time this returns.
    pub(crate) fn worker(&self) -> Worker {
        Worker::start(&mut self.run_command())
    }

    /// The rows of a query, each value as text, null as the empty text.
    pub(crate) fn query(&self, sql: &'static str) -> Vec<Vec<String>> {
        self.try_query(sql).expect("a query that is not refused")
    }

    /// The rows of a query, or why it was refused.
    pub(crate) fn try_query(&self, sql: &'static str) -> Result<Vec<Vec<String>>, sqlx::Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let url = format!("sqlite://{}/control-plane.db", self.path().display());
        runtime.block_on(async {
            let mut connection = SqliteConnection::connect(&url).await.expect("the control plane's database");
            let rows = sqlx::query(sql).fetch_all(&mut connection).await?;
            let values = |row| (0..SqliteRow::len(row)).map(|column| text(row, column)).collect();
            Ok(rows.iter().map(values).collect())
        })
    }
}

fn text(row: &SqliteRow, column: usize) -> String {
    row.try_get::<Option<String>, _>(column)
        .map(Option::unwrap_or_default)
        .or_else(|_| row.try_get::<i64, _>(column).map(|number| number.to_string()))
        .unwrap_or_else(|error| panic!("column {}: {error}", row.column(column).name()))
}

/// A worker process. Dropping it ends it.
pub(crate) struct Worker {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Worker {
    pub(crate) fn start(command: &mut Command) -> Self {
        let worker = Self::spawn(command);
        worker.wait_for("the worker takes work");
        worker
    }

    /// Starts it; it may not take work yet.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child =
            command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().expect("the agent starts");
        let stderr = BufReader::new(child.stderr.take().expect("a pipe"));
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    /// Reads the log until a line holds `text`; returns that line.
    pub(crate) fn wait_for(&self, text: &str) -> String {
        let mut seen = Vec::new();
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(text) => return line,
                Ok(line) => seen.push(line),
                Err(error) => panic!("waiting for {text:?}: {error}; the log was:\n{}", seen.join("\n")),
            }
        }
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a process id")
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(self.pid()).expect("a process id");
        rustix::process::kill_process(pid, signal).expect("the worker is there");
    }

    /// Ends it as the kernel would, and returns when it is gone.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("the worker is there");
        self.child.wait().expect("the worker is ours");
    }

    /// Lets it end what it has taken, and returns when it has.
    pub(crate) fn drain(mut self) {
        self.signal(rustix::process::Signal::TERM);
        assert_eq!(self.exit_code(), 0);
    }

    /// Awaits its end.
    pub(crate) fn exit_code(&mut self) -> i32 {
        self.child.wait().expect("the worker is ours").code().unwrap_or(-1)
    }

    /// Awaits that it has its helper process and no other: a supervisor is on its way out when its report arrives.
    pub(crate) fn await_alone(&self) {
        let own = self.pid().to_string();
        let deadline = std::time::Instant::now() + PATIENCE;
        loop {
            let helpers = children(&own);
            let others: Vec<_> = helpers.iter().flat_map(|helper| descendants(helper)).collect();
            if others.is_empty() {
                return assert_eq!(helpers.len(), 1, "the agent has one helper process: {helpers:?}");
            }
            assert!(std::time::Instant::now() < deadline, "these stay: {others:?}");
            for other in others {
                await_end(&other);
            }
        }
    }

    /// Peak resident memory so far, in KiB.
    pub(crate) fn peak_kib(&self) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("the worker is there");
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a kernel that counts");
        line.split_ascii_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            self.child.kill().ok();
            self.child.wait().ok();
        }
    }
}

/// How an action tells the test that it has come so far: a named pipe that it writes a line to.
pub(crate) struct Gate {
    path: PathBuf,
    lines: mpsc::Receiver<String>,
}

impl Gate {
    pub(crate) fn new(plane: &Plane, name: &str) -> Self {
        let path = plane.file(name);
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RWXU).expect("a named pipe");
        let (sender, lines) = mpsc::channel();
        // Opened for writing too, so that the end of one writer is not the end of all.
        let pipe = std::fs::OpenOptions::new().read(true).write(true).open(&path).expect("the named pipe");
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { path, lines }
    }

    /// The named pipe.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Shell code that passes it with `$$`.
    pub(crate) fn pass(&self) -> String {
        format!("echo $$ > {}\n", self.path.display())
    }

    /// Awaits the next line.
    pub(crate) fn wait(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("the action comes so far")
    }
}

/// Whether a process is there and has not ended (a zombie has).
pub(crate) fn lives(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}

/// The children of a process, zombies too.
pub(crate) fn children(pid: &str) -> Vec<String> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    children.split_ascii_whitespace().map(str::to_owned).collect()
}

/// All that descends from a process, zombies too.
pub(crate) fn descendants(pid: &str) -> Vec<String> {
    let children = children(pid);
    let further = children.iter().flat_map(|child| descendants(child));
    further.chain(children.clone()).collect()
}

/// Awaits the end of a process that is not ours.
pub(crate) fn await_end(pid: &str) {
    let raw = pid.trim().parse().ok().and_then(rustix::process::Pid::from_raw).expect("a process id");
    let Ok(handle) = rustix::process::pidfd_open(raw, rustix::process::PidfdFlags::empty()) else { return };
    let mut waited = [rustix::event::PollFd::new(&handle, rustix::event::PollFlags::IN)];
    let patience = rustix::event::Timespec { tv_sec: 60, tv_nsec: 0 };
    let ready = rustix::event::poll(&mut waited, Some(&patience)).expect("a pollable handle");
    assert!(ready == 1, "process {pid} does not end");
}

/// Everything that a pipe holds until it is closed.
pub(crate) fn read_all(mut from: impl Read) -> String {
    let mut text = String::new();
    from.read_to_string(&mut text).expect("text");
    text
}
