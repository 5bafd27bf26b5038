//! The machine that the tests run on: which interpreters and servers it lacks, and how it gets them.
//!
//! A C compiler needs no mention: nothing is linked without one, this program neither (see `.cargo/cc`).

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::step::{self, Result};

/// A Debian package that some test is about.
struct Package {
    name: &'static str,
    /// The program that says it is there, wherever it came from; with arguments where it says so by running.
    program: &'static str,
    /// What is not tested without it.
    serves: &'static str,
}

const PACKAGES: &[Package] = &[
    Package { name: "bash", program: "bash", serves: "core.shell, and the tests' own actions" },
    Package { name: "buildah", program: "buildah", serves: "the loader image" },
    Package {
        name: "busybox-static",
        program: "busybox",
        serves: "core.shell and examples.awk in small images",
    },
    Package { name: "cpanminus", program: "cpanm", serves: "environments of core.perl" },
    Package { name: "dash", program: "dash", serves: "core.shell as Debian's /bin/sh" },
    Package { name: "default-jdk-headless", program: "javac", serves: "core.java" },
    Package { name: "elixir", program: "elixir", serves: "examples.elixir" },
    Package { name: "erlang-base", program: "escript", serves: "examples.erlang" },
    Package { name: "fish", program: "fish", serves: "examples.fish" },
    Package { name: "gawk", program: "gawk", serves: "examples.awk as GNU has it" },
    Package { name: "golang-go", program: "go", serves: "core.go" },
    Package { name: "guile-3.0", program: "guile", serves: "examples.guile" },
    Package { name: "ksh", program: "ksh93", serves: "core.shell as a Korn shell" },
    Package { name: "lua5.1", program: "lua5.1", serves: "examples.lua without integers" },
    Package { name: "lua5.4", program: "lua5.4", serves: "examples.lua as it is today" },
    Package { name: "luajit", program: "luajit", serves: "examples.lua as LuaJIT" },
    Package { name: "make", program: "make", serves: "environments of core.perl" },
    Package { name: "mawk", program: "mawk", serves: "examples.awk as Debian's /usr/bin/awk" },
    Package { name: "mksh", program: "mksh", serves: "core.shell as Android's /bin/sh" },
    Package { name: "nodejs", program: "node", serves: "core.nodejs" },
    Package { name: "npm", program: "npm", serves: "environments of core.nodejs" },
    Package { name: "perl", program: "perl", serves: "core.perl" },
    Package { name: "php-cli", program: "php", serves: "examples.php" },
    Package { name: "podman", program: "podman", serves: "containers" },
    // Of servers, the tests start their own; one that the installation starts is nobody's.
    Package { name: "postgresql", program: "initdb", serves: "the control plane's database" },
    Package { name: "python3", program: "python3", serves: "core.python, and the tests' own actions" },
    // It adds no program, but what a virtual environment gets its pip from.
    Package {
        name: "python3-venv",
        program: "python3 -m ensurepip --version",
        serves: "environments of core.python",
    },
    Package {
        name: "qemu-user-static",
        program: "qemu-aarch64-static",
        serves: "the program for arm64 on another machine",
    },
    Package { name: "r-base-core", program: "Rscript", serves: "core.r" },
    Package { name: "rabbitmq-server", program: "rabbitmq-server", serves: "the control plane's messages" },
    Package { name: "ruby", program: "ruby", serves: "core.ruby" },
    Package { name: "ruby-bundler", program: "bundle", serves: "environments of core.ruby" },
    // The runtime of containers that works with every kernel's control groups; podman alone would bring another.
    Package { name: "runc", program: "runc", serves: "containers" },
    Package { name: "shellcheck", program: "shellcheck", serves: "the project's own scripts" },
    Package { name: "tcl", program: "tclsh", serves: "examples.tcl" },
    Package { name: "zsh", program: "zsh", serves: "core.shell as macOS has it" },
];

/// Installs what is missing where that is possible, and says what is missing where it is not. Either way the tests go
/// on: an interpreter that is not there is a row less, not a failure, and of a server that is not there the tests that
/// want it say so.
pub(crate) fn prepare() {
    provide(|_| true);
}

/// Likewise, only what virtual environments of Python take.
pub(crate) fn prepare_python() {
    provide(|package| package.name.starts_with("python3"));
}

fn provide(wanted: impl Fn(&Package) -> bool) {
    let wanted = PACKAGES.iter().filter(|package| wanted(package));
    let missing: Vec<&Package> = wanted.filter(|package| !is_there(package.program)).collect();
    if missing.is_empty() {
        return;
    }
    let names: Vec<&str> = missing.iter().map(|package| package.name).collect();
    if !(is_root() && is_there("apt-get")) {
        eprintln!(
            "note: not everything is tested without more packages: \
             sudo apt-get install -y --no-install-recommends {}",
            names.join(" ")
        );
        return;
    }
    eprintln!("installing what the tests run:");
    for Package { name, serves, .. } in &missing {
        eprintln!("  {name:<21} for {serves}");
    }
    if let Err(failure) = install(&names) {
        eprintln!("note: not everything is tested: {failure}");
    }
}

fn install(names: &[&str]) -> Result {
    step::run(&mut apt_get(&["update", "-qq"]))?;
    step::run(apt_get(&["install", "-y", "-qq", "--no-install-recommends"]).args(names))
}

/// Asks nothing, waits for another installation to end, and prints only what went wrong.
fn apt_get(arguments: &[&str]) -> Command {
    let mut apt_get = Command::new("apt-get");
    apt_get
        .args(arguments)
        .args(["-o", "DPkg::Lock::Timeout=300"])
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    apt_get
}

/// Whether a program of this name is on the path, or where Debian keeps what is not for everybody. One with arguments has
/// to work with them.
fn is_there(program: &str) -> bool {
    if let Some((program, arguments)) = program.split_once(' ') {
        let mut command = Command::new(program);
        command.args(arguments.split(' ')).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        return command.status().is_ok_and(|status| status.success());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).chain(server_directories()).any(|directory| {
        std::fs::metadata(directory.join(program))
            .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
    })
}

/// The directories of servers' own programs: of every version of PostgreSQL, and of RabbitMQ.
fn server_directories() -> impl Iterator<Item = PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    versions.map(|version| version.path().join("bin")).chain([PathBuf::from("/usr/lib/rabbitmq/bin")])
}

/// Whether this process is root's: its own directory in `/proc` belongs to the user it runs as.
pub(crate) fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}
