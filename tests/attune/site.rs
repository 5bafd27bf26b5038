//! A place with its own database, virtual host, packs and workers.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use test_servers::{Executor, ExecutorOptions, Servers, VirtualHost};

/// Nothing that a test waits for takes longer, even on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// Servers, packs and directories of one test.
pub(crate) struct Site {
    directory: tempfile::TempDir,
    pub(crate) database: String,
    pub(crate) amqp: String,
    virtual_host: Option<VirtualHost>,
}

impl Site {
    /// A site on the servers that tests share, with a database and a virtual host of its own.
    pub(crate) fn shared(test: &str) -> Self {
        let servers = Servers::shared();
        let virtual_host = servers.virtual_host(test);
        let site = Self::new(&servers.database(test), virtual_host.url());
        Self { virtual_host: Some(virtual_host), ..site }
    }

    /// What the broker's operators see of this site.
    pub(crate) fn virtual_host(&self) -> &VirtualHost {
        self.virtual_host.as_ref().expect("a site on shared servers")
    }

    /// A site on these servers, with the control plane's tables and the core pack.
    pub(crate) fn new(database: &str, amqp: &str) -> Self {
        let site = Self::empty(database, amqp);
        site.expect(&["migrate"]);
        let core = concat!(env!("CARGO_MANIFEST_DIR"), "/../packs/core");
        site.expect(&["pack", "register", core]);
        std::fs::create_dir_all(site.path("my/actions")).expect("a writable directory");
        std::fs::write(site.path("my/pack.yaml"), "ref: my\nlabel: Test\nversion: 0.1.0\n")
            .expect("a writable directory");
        site
    }

    /// A site on these servers, with nothing in them.
    pub(crate) fn empty(database: &str, amqp: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        Self { directory, database: database.to_owned(), amqp: amqp.to_owned(), virtual_host: None }
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

    /// Runs a command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.agent().args(arguments))
    }

    /// Runs a command that has to work; returns what it printed.
    pub(crate) fn expect(&self, arguments: &[&str]) -> String {
        let ran = self.run(arguments);
        assert_eq!(ran.code, 0, "{arguments:?}: {}", ran.stderr);
        ran.stdout
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

/// What a command printed and how it ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn of(command: &mut Command) -> Self {
        let output = command.output().expect("the agent starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }

    /// That it failed with this code, and told why in one sentence that holds `sentence` and a hint that holds `hint`.
    #[track_caller]
    pub(crate) fn assert_refused(&self, code: i32, sentence: &str, hint: &str) {
        assert_eq!(self.code, code, "{}", self.stderr);
        let said: Vec<_> = self.stderr.lines().skip_while(|line| !line.starts_with("error: ")).collect();
        assert_eq!(said.len(), 2, "one sentence, one hint: {}", self.stderr);
        assert!(said[0].contains(sentence), "{}", self.stderr);
        assert!(said[1].starts_with("  hint: ") && said[1].contains(hint), "{}", self.stderr);
    }
}

/// A worker process. Dropping it ends it.
pub(crate) struct Worker {
    child: Child,
    lines: mpsc::Receiver<String>,
    /// What was read of the log so far.
    seen: RefCell<Vec<String>>,
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
        Self { child, lines, seen: RefCell::default() }
    }

    /// Reads the log until a line holds `text`; returns that line.
    pub(crate) fn wait_for(&self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let line = self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now()));
            let mut seen = self.seen.borrow_mut();
            match line {
                Ok(line) => {
                    seen.push(line.clone());
                    if line.contains(text) {
                        return line;
                    }
                }
                Err(error) => panic!("waiting for {text:?}: {error}; the log was:\n{}", seen.join("\n")),
            }
        }
    }

    /// Everything that was logged so far.
    pub(crate) fn log(&self) -> Vec<String> {
        let mut seen = self.seen.borrow_mut();
        seen.extend(self.lines.try_iter());
        seen.clone()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw);
        rustix::process::kill_process(pid.expect("a process id"), signal).expect("the worker is there");
    }

    /// Ends it as the kernel would; returns everything that it had logged once it is gone.
    pub(crate) fn kill(mut self) -> Vec<String> {
        self.child.kill().expect("the worker is there");
        self.child.wait().expect("the worker is ours");
        self.whole_log()
    }

    /// Lets it end what it has taken; returns everything that it had logged once it is gone.
    pub(crate) fn drain(mut self) -> Vec<String> {
        self.signal(Signal::TERM);
        assert_eq!(self.exit_code(), 0);
        self.whole_log()
    }

    /// Everything that was logged until the end.
    pub(crate) fn whole_log(&self) -> Vec<String> {
        let mut seen = self.seen.borrow_mut();
        seen.extend(self.lines.iter());
        seen.clone()
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("the worker is ours").is_some()
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

/// A named pipe at which actions wait until the test lets them pass.
pub(crate) struct Gate {
    path: PathBuf,
    pipe: std::fs::File,
}

impl Gate {
    pub(crate) fn new(site: &Site, name: &str) -> Self {
        let path = site.path(name);
        let mode = rustix::fs::Mode::from_raw_mode(0o666);
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0)
            .expect("a named pipe");
        // With both ends held here, nobody waits for the other end and nobody sees an end of file.
        let pipe = std::fs::OpenOptions::new().read(true).write(true).open(&path).expect("a named pipe");
        Self { path, pipe }
    }

    /// What a script says to wait here.
    pub(crate) fn wait(&self) -> String {
        format!("read -r _ < {}\n", self.path.display())
    }

    /// Lets so many pass, whether they are here already or not.
    pub(crate) fn open(&self, count: usize) {
        (&self.pipe).write_all("\n".repeat(count).as_bytes()).expect("room in the pipe");
    }
}

/// Whether there is a process of this number that still runs.
pub(crate) fn is_running(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name may hold anything; the state follows its last parenthesis. A zombie has ended.
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// What was recorded of the reference.
pub(crate) fn golden(name: &str) -> serde_json::Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).expect("JSON")
}

/// The lines of a file; none where there is no file.
pub(crate) fn lines(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}
