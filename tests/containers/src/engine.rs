//! Podman and buildah, with a store that is this test process's own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::{Resource, getrlimit};

use crate::{PATIENCE, Ran};

/// Where the store is: on a file system that overlays may lie on, and mostly the one that Debian's packages are on too, so
/// that their files are linked and not copied.
const PLACE: &str = "/var/tmp";

/// The most that a container is given of what it cannot use up anyway. Podman's own default is more than some machines
/// allow even to root.
const MOST: u64 = 16_384;

/// Programs without which nothing is tested, and the packages that bring them.
const NEEDED: &[(&str, &str)] = &[("podman", "podman"), ("buildah", "buildah"), ("runc", "runc")];

static SHARED: LazyLock<Engine> = LazyLock::new(Engine::start);

/// Podman and buildah, configured for this test process alone: what is in the store of the machine's user is neither
/// used nor seen.
#[derive(Debug)]
pub struct Engine {
    directory: PathBuf,
    count: AtomicU32,
    /// Ends everything when the pipe to it closes.
    _guard: Child,
}

impl Engine {
    /// The engine of this test process. `None`, with a sentence on standard output, for whoever may not have containers
    /// of such different users: everybody but root.
    ///
    /// # Panics
    /// Where a program is missing.
    #[expect(clippy::print_stdout, reason = "what is not tested is part of what a test says")]
    pub fn shared() -> Option<&'static Self> {
        if !rustix::process::geteuid().is_root() {
            println!("only root can run containers as any user in any root; not tested");
            return None;
        }
        Some(&SHARED)
    }

    fn start() -> Self {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let is_there =
            |program: &&str| std::env::split_paths(&path).any(|directory| directory.join(program).is_file());
        for (program, package) in NEEDED {
            assert!(
                is_there(program),
                "`{program}` is not installed; on Debian, this installs it: \
                 sudo apt-get install -y --no-install-recommends {package}"
            );
        }
        let directory = tempfile::Builder::new().prefix("attune-containers-").tempdir_in(PLACE);
        // From here on it is the guard's to remove.
        let directory = directory.expect("a temporary directory").keep();
        std::fs::write(directory.join("containers.conf"), containers_conf(&directory)).expect("an own file");
        std::fs::write(directory.join("storage.conf"), storage_conf(&directory)).expect("an own file");
        let mut guard = Command::new("/bin/sh");
        guard.args(["-c", include_str!("guard.sh"), "guard"]).arg(&directory);
        configure(&mut guard, &directory);
        // What interrupts the test must not interrupt it.
        std::os::unix::process::CommandExt::process_group(&mut guard, 0);
        let guard = guard.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("/bin/sh starts");
        Self { directory, count: AtomicU32::new(0), _guard: guard }
    }

    /// `podman` on this store.
    pub fn podman(&self) -> Command {
        self.command("podman")
    }

    /// `podman` on this store, for so long at most.
    pub(crate) fn podman_for(&self, at_most: Duration) -> Command {
        self.command_for("podman", at_most)
    }

    /// `buildah` on this store.
    pub fn buildah(&self) -> Command {
        self.command("buildah")
    }

    /// Runs `podman` with these arguments to an end that has to be a good one; returns what it printed.
    #[track_caller]
    pub fn expect(&self, arguments: &[&str]) -> String {
        Ran::of(self.podman().args(arguments)).expect_success().stdout
    }

    /// A path that nobody else uses, below the directory that goes with this process.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        self.directory.join(format!("{name}.{number}"))
    }

    fn command(&self, program: &str) -> Command {
        self.command_for(program, PATIENCE)
    }

    fn command_for(&self, program: &str, at_most: Duration) -> Command {
        let mut command = Command::new("timeout");
        command.args(["--kill-after=5", &at_most.as_secs().to_string(), program]).stdin(Stdio::null());
        configure(&mut command, &self.directory);
        command
    }
}

fn configure(command: &mut Command, directory: &Path) {
    command
        .env("CONTAINERS_CONF", directory.join("containers.conf"))
        .env("CONTAINERS_STORAGE_CONF", directory.join("storage.conf"))
        .env_remove("CONTAINER_HOST");
}

/// Without systemd, and without anything that the machine's own configuration may say.
fn containers_conf(directory: &Path) -> String {
    let most = |resource| getrlimit(resource).maximum.unwrap_or(MOST).min(MOST);
    let (files, processes) = (most(Resource::Nofile), most(Resource::Nproc));
    format!(
        "\
[containers]
default_ulimits = [\"nofile={files}:{files}\", \"nproc={processes}:{processes}\"]
log_driver = \"none\"
[engine]
cgroup_manager = \"cgroupfs\"
events_logger = \"file\"
runtime = \"runc\"
tmp_dir = \"{directory}/tmp\"
",
        directory = directory.display()
    )
}

fn storage_conf(directory: &Path) -> String {
    format!(
        "\
[storage]
driver = \"overlay\"
graphroot = \"{directory}/store\"
runroot = \"{directory}/run\"
",
        directory = directory.display()
    )
}
