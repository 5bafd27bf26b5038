//! A container: what it runs in, as whom, with what; and one that runs.

use std::cell::RefCell;
use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime};

use crate::{Engine, Image, Instance, PATIENCE, Ran, Volume};

/// The most that a container lives which is not run to its end: as long as the test that has it.
const LIFE: Duration = Duration::from_mins(15);

/// What a container's root file system is.
#[derive(Clone, Debug)]
pub enum Source {
    /// An image of the store, with the user, variables and command that it names.
    Image(String),
    /// A directory.
    Rootfs(PathBuf),
}

impl From<&Image> for Source {
    fn from(image: &Image) -> Self {
        Self::Image(image.name().to_owned())
    }
}

impl From<&Instance> for Source {
    fn from(instance: &Instance) -> Self {
        Self::Rootfs(instance.path().to_owned())
    }
}

/// What a container may do with a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Look.
    ReadOnly,
    /// Write, too.
    ReadWrite,
}

/// How a container is to be.
#[derive(Clone, Debug)]
pub struct Container<'a> {
    engine: &'a Engine,
    name: String,
    source: Source,
    network: String,
    entrypoint: Option<String>,
    arguments: Vec<String>,
    options: Vec<OsString>,
    variables: String,
}

impl<'a> Container<'a> {
    /// One that runs what its image says, on the machine's network: servers on loopback are the test's own.
    pub fn new(engine: &'a Engine, name: &str, source: impl Into<Source>) -> Self {
        let container = Self {
            engine,
            name: name.to_owned(),
            source: source.into(),
            network: "host".to_owned(),
            entrypoint: None,
            arguments: Vec::new(),
            options: Vec::new(),
            variables: String::new(),
        };
        // A kubelet adds no line for the user to the image's users; podman would.
        container.option("--passwd=false").option("--pull=never")
    }

    /// Puts it on another network, as podman calls it.
    #[must_use]
    pub fn network(self, network: &str) -> Self {
        Self { network: network.to_owned(), ..self }
    }

    /// `runAsUser`, as `user` or `user:group`.
    #[must_use]
    pub fn user(self, user: &str) -> Self {
        self.option("--user").option(user)
    }

    /// `readOnlyRootFilesystem`. Nothing is writable then but volumes.
    #[must_use]
    pub fn read_only(self) -> Self {
        self.option("--read-only").option("--read-only-tmpfs=false")
    }

    /// Mounts a volume.
    #[must_use]
    pub fn mount(self, volume: &Volume, at: &str, access: Access) -> Self {
        let mode = if access == Access::ReadOnly { "ro" } else { "rw" };
        self.option("--volume").option(format!("{}:{at}:{mode}", volume.path().display()))
    }

    /// Mounts an image, as an image volume.
    #[must_use]
    pub fn mount_image(self, image: &Image, at: &str) -> Self {
        self.option("--mount").option(format!("type=image,source={},destination={at}", image.name()))
    }

    /// Sets a variable. Its value is on no command line.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push_str(&format!("{name}={value}\n"));
        self
    }

    /// `command` and `args`: replaces what the image starts.
    #[must_use]
    pub fn command(mut self, words: &[&str]) -> Self {
        self.entrypoint = Some(words[0].to_owned());
        self.arguments(&words[1..])
    }

    /// `args`: what the image starts is given these.
    #[must_use]
    pub fn arguments(mut self, words: &[&str]) -> Self {
        self.arguments = words.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// One more option of `podman run`.
    #[must_use]
    pub fn option(mut self, option: impl Into<OsString>) -> Self {
        self.options.push(option.into());
        self
    }

    /// Runs it to its end.
    #[track_caller]
    pub fn run(&self) -> Ran {
        Ran::of(&mut self.podman_run(PATIENCE))
    }

    /// Starts it.
    ///
    /// # Panics
    /// Where there is no podman.
    #[track_caller]
    pub fn start(&self) -> Running<'a> {
        let begun = SystemTime::now();
        let mut child = self.podman_run(LIFE);
        let mut child = child.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("podman starts");
        let stderr = BufReader::new(child.stderr.take().expect("a pipe"));
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Running {
            engine: self.engine,
            name: self.name.clone(),
            begun,
            child,
            lines,
            seen: RefCell::default(),
        }
    }

    fn podman_run(&self, at_most: Duration) -> Command {
        let variables = self.engine.path("variables");
        std::fs::write(&variables, &self.variables).expect("an own file");
        let mut podman = self.engine.podman_for(at_most);
        podman.args(["run", "--rm", "--name", &self.name, "--network", &self.network, "--env-file"]);
        podman.arg(variables).args(&self.options);
        // Of a directory, all words are the command: there is nothing that it could replace.
        match (&self.source, &self.entrypoint) {
            (Source::Image(name), Some(program)) => {
                podman.arg("--entrypoint").arg(format!("[\"{program}\"]")).arg(name)
            }
            (Source::Image(name), None) => podman.arg(name),
            (Source::Rootfs(path), Some(program)) => podman.arg("--rootfs").arg(path).arg(program),
            (Source::Rootfs(path), None) => podman.arg("--rootfs").arg(path),
        };
        podman.args(&self.arguments);
        podman
    }
}

/// A process of a container, as it is seen from outside.
#[derive(Clone, Debug)]
pub struct Process {
    /// Its number outside.
    pub pid: u32,
    /// Its state, as `/proc` has it: `Z` for a zombie.
    pub state: char,
    /// The name of its program.
    pub name: String,
}

impl Process {
    fn read(pid: u32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name may hold anything; the state follows its last parenthesis.
        let (name, rest) = stat.rsplit_once(") ")?;
        let name = name.split_once('(')?.1.to_owned();
        Some(Self { pid, state: rest.chars().next()?, name })
    }
}

/// A container that runs, or has ended. Dropping it ends it.
#[derive(Debug)]
pub struct Running<'a> {
    engine: &'a Engine,
    name: String,
    /// Before podman was started.
    begun: SystemTime,
    /// `podman run`, which ends with it and as it does.
    child: Child,
    lines: mpsc::Receiver<String>,
    seen: RefCell<Vec<String>>,
}

impl Running<'_> {
    /// When podman was asked to start it.
    pub fn begun(&self) -> SystemTime {
        self.begun
    }

    /// Reads what it says until a line holds `text`; returns that line.
    ///
    /// # Panics
    /// Where it ends before, or takes too long.
    #[track_caller]
    pub fn wait_for(&self, text: &str) -> String {
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
                Err(error) => {
                    panic!("{}: waiting for {text:?}: {error}; it said:\n{}", self.name, seen.join("\n"))
                }
            }
        }
    }

    /// Reads what it says for so long.
    ///
    /// # Panics
    /// Where it ends before.
    #[track_caller]
    pub fn expect_life(&self, duration: Duration) {
        let deadline = Instant::now() + duration;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => self.seen.borrow_mut().push(line),
                Err(RecvTimeoutError::Timeout) => return,
                Err(RecvTimeoutError::Disconnected) => panic!("{} has ended: {}", self.name, self.said()),
            }
        }
    }

    /// What it has said so far.
    pub fn said(&self) -> String {
        let mut seen = self.seen.borrow_mut();
        seen.extend(self.lines.try_iter());
        seen.join("\n")
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A field of `podman inspect`, as a Go template names it.
    #[track_caller]
    pub fn inspect(&self, field: &str) -> String {
        let format = format!("{{{{{field}}}}}");
        let printed = self.engine.expect(&["container", "inspect", "--format", &format, &self.name]);
        printed.trim().to_owned()
    }

    /// The number that its first process has outside.
    ///
    /// # Panics
    /// Where it has none.
    #[track_caller]
    pub fn first_process(&self) -> u32 {
        self.inspect(".State.Pid").parse().expect("a process id")
    }

    /// Runs a program beside what runs in it, as a visitor does.
    #[track_caller]
    pub fn exec(&self, words: &[&str]) -> Ran {
        self.try_exec(words, PATIENCE).expect_success()
    }

    /// The same for so long at most, whatever comes of it.
    #[track_caller]
    pub fn try_exec(&self, words: &[&str], at_most: Duration) -> Ran {
        Ran::of(self.engine.podman_for(at_most).args(["exec", &self.name]).args(words))
    }

    /// Every process in it, zombies too.
    ///
    /// # Panics
    /// Where it has none.
    #[track_caller]
    pub fn processes(&self) -> Vec<Process> {
        let first = self.first_process();
        let space = |pid: u32| std::fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
        let own = space(first);
        let entries = std::fs::read_dir("/proc").expect("a list of processes").flatten();
        let all = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        all.filter(|pid| space(*pid) == own).filter_map(Process::read).collect()
    }

    /// Sends its first process a signal.
    #[track_caller]
    pub fn signal(&self, signal: &str) {
        self.engine.expect(&["kill", "--signal", signal, &self.name]);
    }

    /// `podman stop`: SIGTERM, and SIGKILL after so many seconds. Returns its exit code.
    #[track_caller]
    pub fn stop(&mut self, seconds: u32) -> i32 {
        self.engine.expect(&["stop", "--time", &seconds.to_string(), &self.name]);
        self.exit_code()
    }

    /// Awaits its end.
    ///
    /// # Panics
    /// Where it is not ours.
    pub fn exit_code(&mut self) -> i32 {
        self.child.wait().expect("podman is ours").code().unwrap_or(-1)
    }

    /// Everything that it has said; to be asked once it has ended.
    pub fn log(&self) -> String {
        let mut seen = self.seen.borrow_mut();
        seen.extend(self.lines.iter());
        seen.join("\n")
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            let mut remove = self.engine.podman();
            // With the engine's end it ends in any case.
            remove.args(["rm", "--force", "--time", "0", &self.name]).stdout(Stdio::null()).status().ok();
            self.child.wait().ok();
        }
    }
}
