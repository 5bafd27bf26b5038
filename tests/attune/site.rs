//! A place with its own database, virtual host, packs and workers.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use test_servers::{Executor, ExecutorOptions};

/// Nothing that a test waits for takes longer, even on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// Servers, packs and directories of one test.
pub(crate) struct Site {
    directory: tempfile::TempDir,
    pub(crate) database: String,
    pub(crate) amqp: String,
}

impl Site {
    /// A site on these servers, with the control plane's tables and the core pack.
    pub(crate) fn new(database: &str, amqp: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let site = Self { directory, database: database.to_owned(), amqp: amqp.to_owned() };
        site.expect(&["migrate"]);
        let core = concat!(env!("CARGO_MANIFEST_DIR"), "/../packs/core");
        site.expect(&["pack", "register", core]);
        std::fs::create_dir_all(site.path("my/actions")).expect("a writable directory");
        std::fs::write(site.path("my/pack.yaml"), "ref: my\nlabel: Test\nversion: 0.1.0\n")
            .expect("a writable directory");
        site
    }

    /// A path below the site's own directory.
    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.directory.path().join(below)
    }

    /// The built binary, configured for this site.
    pub(crate) fn agent(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_attune-agent"));
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("ATTUNE"))
        {
            command.env_remove(name);
        }
        command
            .env_remove("RUST_LOG")
            .env("ATTUNE__DATABASE__URL", &self.database)
            .env("ATTUNE__MESSAGE_QUEUE__URL", &self.amqp)
            .env("ATTUNE__PACKS_BASE_DIR", self.path("packs"))
            .env("ATTUNE__ARTIFACTS_DIR", self.path("artifacts"))
            .env("ATTUNE__RUNTIME_ENVS_DIR", self.path("envs"))
            .env("ATTUNE_WORK_DIR", self.path("work"))
            .stdin(Stdio::null());
        command
    }

    /// Runs a command that has to work; returns what it printed.
    pub(crate) fn expect(&self, arguments: &[&str]) -> String {
        let output = self.agent().args(arguments).output().expect("the agent starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// Adds the shell action `my.<name>`, with further lines for its manifest, and registers the pack.
    pub(crate) fn action(&self, name: &str, script: &str, manifest: &str) {
        let entry = self.path(&format!("my/actions/{name}.sh"));
        std::fs::write(&entry, format!("#!/bin/sh\n{script}")).expect("a writable directory");
        std::fs::set_permissions(&entry, std::fs::Permissions::from_mode(0o755)).expect("an own file");
        let text = format!("ref: my.{name}\nentrypoint: {name}.sh\nruntime: core.shell\n{manifest}");
        std::fs::write(self.path(&format!("my/actions/{name}.yaml")), text).expect("a writable directory");
        let pack = self.path("my");
        self.expect(&["pack", "register", pack.to_str().expect("a path that is text")]);
    }

    /// The command that starts the worker of this name.
    pub(crate) fn worker_command(&self, name: &str) -> Command {
        let mut command = self.agent();
        command.args(["run", "--name", name]);
        command
    }

    /// A worker that takes work by the time this returns.
    pub(crate) fn worker(&self, name: &str) -> Worker {
        let worker = Worker::spawn(&mut self.worker_command(name));
        worker.wait_for("the worker takes work");
        worker
    }

    /// An executor for this site.
    pub(crate) fn executor(&self) -> Executor {
        Executor::start(&self.database, &self.amqp, ExecutorOptions::default())
    }
}

/// A worker process. Dropping it ends it.
pub(crate) struct Worker {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Worker {
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
        let deadline = Instant::now() + PATIENCE;
        let mut seen = Vec::new();
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) if line.contains(text) => return line,
                Ok(line) => seen.push(line),
                Err(error) => panic!("waiting for {text:?}: {error}; the log was:\n{}", seen.join("\n")),
            }
        }
    }

    /// What was logged and not read yet.
    pub(crate) fn log(&self) -> Vec<String> {
        self.lines.try_iter().collect()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw);
        rustix::process::kill_process(pid.expect("a process id"), signal).expect("the worker is there");
    }

    /// Ends it as the kernel would; returns what it had logged once it is gone.
    pub(crate) fn kill(mut self) -> Vec<String> {
        self.child.kill().expect("the worker is there");
        self.child.wait().expect("the worker is ours");
        self.lines.iter().collect()
    }

    /// Lets it end what it has taken; returns what it had logged once it is gone.
    pub(crate) fn drain(mut self) -> Vec<String> {
        self.signal(Signal::TERM);
        assert_eq!(self.exit_code(), 0);
        self.lines.iter().collect()
    }

    /// Awaits its end.
    pub(crate) fn exit_code(&mut self) -> i32 {
        self.child.wait().expect("the worker is ours").code().unwrap_or(-1)
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

/// The lines of a file; none where there is no file.
pub(crate) fn lines(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}
