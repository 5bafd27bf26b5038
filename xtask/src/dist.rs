//! `cargo xtask dist`: the static programs that are shipped, for both architectures, on one machine.
//!
//! The same commit and the same Rust give the same bytes, wherever they are built: the C compiler is one version, Rust
//! links with its own linker, and no path of the machine gets in.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::elf::Elf;
use crate::python;
use crate::step::{self, Failure, Result};

/// What is built.
struct Platform {
    /// As images name it, and the directory below `dist/`.
    architecture: &'static str,
    /// As Rust names it.
    target: &'static str,
    /// What links it: a script beside the C compiler's, or Rust's own linker where that is `None`.
    linker: Option<&'static str>,
}

const PLATFORMS: [Platform; 2] = [
    Platform { architecture: "amd64", target: "x86_64-unknown-linux-musl", linker: None },
    Platform { architecture: "arm64", target: "aarch64-unknown-linux-musl", linker: Some("static-pie-lld") },
];

/// The C compiler, from Python's registry: it compiles SQLite and `ring` for either target without a sysroot.
const COMPILER: [&str; 2] = ["ziglang", "0.17.1"];

/// The linker is Rust's own; these make the program smaller. Functions of the same code are one; what has to be moved to
/// where it is loaded is a bitmap, not 24 bytes for each pointer; and nothing is kept for unwinding, which never happens.
const LINKER: [&str; 4] = ["--icf=all", "--pack-dyn-relocs=relr", "--no-eh-frame-hdr", ".cargo/left-out.ld"];

const PROGRAM: &str = "attune-agent";

/// Builds for every architecture, or for those that are named, into `dist/`.
pub(crate) fn build(architectures: &[&str]) -> Result {
    let known: Vec<&str> = PLATFORMS.iter().map(|platform| platform.architecture).collect();
    if let Some(unknown) = architectures.iter().find(|architecture| !known.contains(architecture)) {
        return Err(Failure::new(format!("`{unknown}` is not built; {} are", known.join(" and "))));
    }
    let tools = Tools::prepare()?;
    for platform in &PLATFORMS {
        if architectures.is_empty() || architectures.contains(&platform.architecture) {
            let place = step::workspace().join("dist").join(platform.architecture);
            tools.build(platform, step::workspace(), &step::target_directory()?, &place)?;
            describe(&place.join(PROGRAM))?;
        }
    }
    Ok(())
}

/// Builds this commit a second time, in another directory and from nothing, and compares.
pub(crate) fn reproduce() -> Result {
    let again = step::target_directory()?.join("dist-again");
    if again.exists() {
        fs::remove_dir_all(&again).map_err(|error| cannot("remove", &again, &error))?;
    }
    let clone = again.join("a/clone/with/another/path");
    step::run(Command::new("git").args(["clone", "--quiet"]).arg(step::workspace()).arg(&clone))?;
    let tools = Tools::prepare()?;
    for platform in &PLATFORMS {
        let place = again.join(platform.architecture);
        tools.build(platform, &clone, &again.join("target"), &place)?;
        let [ours, theirs] = [step::workspace().join("dist").join(platform.architecture), place];
        let same = read(&ours.join(PROGRAM))? == read(&theirs.join(PROGRAM))?;
        if !same {
            return Err(Failure::new(format!(
                "{} and {} differ: either this commit is not reproducible, or `cargo xtask dist` was run on another",
                ours.join(PROGRAM).display(),
                theirs.join(PROGRAM).display()
            )));
        }
        println!("{}: the same bytes", platform.architecture);
    }
    fs::remove_dir_all(&again).map_err(|error| cannot("remove", &again, &error))
}

/// What compiles and links for a machine that is not this one.
struct Tools {
    zig: PathBuf,
    cache: PathBuf,
    linker: PathBuf,
}

impl Tools {
    fn prepare() -> Result<Self> {
        let sysroot = step::read(Command::new("rustc").args(["--print", "sysroot"]))?;
        let sysroot = Path::new(sysroot.trim());
        for Platform { target, .. } in &PLATFORMS {
            if !sysroot.join("lib/rustlib").join(target).join("lib").is_dir() {
                step::run(Command::new("rustup").args(["target", "add", target]))?;
            }
        }
        let host = step::read(Command::new("rustc").args(["--print", "host-tuple"]))?;
        let linker = sysroot.join("lib/rustlib").join(host.trim()).join("bin/rust-lld");
        let place = step::target_directory()?.join("dist-tools");
        Ok(Self { zig: compiler(&place)?, cache: place.join("cache"), linker })
    }

    /// Builds `workspace` for one platform and puts the program into `place`.
    fn build(&self, platform: &Platform, workspace: &Path, target_directory: &Path, place: &Path) -> Result {
        let Platform { target, linker, .. } = platform;
        let scripts = workspace.join(".cargo");
        let home = std::env::var_os("CARGO_HOME").map_or_else(home_cargo, PathBuf::from);
        let mut flags: Vec<String> = LINKER.iter().map(|argument| format!("-Clink-arg={argument}")).collect();
        if linker.is_some() {
            flags.extend(["-Clinker-flavor=ld.lld", "-Crelocation-model=pic"].map(str::to_owned));
        }
        flags.push(format!("--remap-path-prefix={}=/dependencies", home.display()));
        flags.push(format!("--remap-path-prefix={}=/attune-agent", workspace.display()));
        let upper = target.to_uppercase().replace('-', "_");
        let lower = target.replace('-', "_");
        let mut cargo = step::cargo(&["build", "--profile", "dist", "--locked", "-p", "agent-bin"]);
        cargo
            .current_dir(workspace)
            .args(["--target", target, "--target-dir"])
            .arg(target_directory)
            .env(
                format!("CARGO_TARGET_{upper}_LINKER"),
                linker.map_or(self.linker.clone(), |script| scripts.join(script)),
            )
            .env("LLD", &self.linker)
            .env(format!("CARGO_TARGET_{upper}_RUSTFLAGS"), flags.join(" "))
            .env(format!("CC_{lower}"), scripts.join("zig-cc"))
            .env(format!("AR_{lower}"), scripts.join("zig-ar"))
            .env("ZIG", &self.zig)
            .env("ZIG_GLOBAL_CACHE_DIR", &self.cache)
            .env("ZIG_LOCAL_CACHE_DIR", &self.cache)
            .env_remove("RUSTFLAGS");
        step::run(&mut cargo)?;
        fs::create_dir_all(place).map_err(|error| cannot("make", place, &error))?;
        let built = target_directory.join(target).join("dist").join(PROGRAM);
        fs::copy(&built, place.join(PROGRAM)).map_err(|error| cannot("copy", &built, &error))?;
        Ok(())
    }
}

/// Where the C compiler is; it is fetched where it is not there yet.
fn compiler(place: &Path) -> Result<PathBuf> {
    let python = place.join("bin/python");
    // Another version's compiler would make other bytes.
    let script = "import importlib.metadata, sys, ziglang\n\
                  assert importlib.metadata.version(sys.argv[1]) == sys.argv[2]\n\
                  print(ziglang.__path__[0])";
    let find = || {
        let directory = step::read(Command::new(&python).args(["-c", script]).args(COMPILER))?;
        Ok::<_, Failure>(Path::new(directory.trim()).join("zig"))
    };
    if let Ok(zig) = find() {
        return Ok(zig);
    }
    python::install(place, &[&COMPILER.join("==")])?;
    find()
}

/// Says what was built, and fails where it is not what any container can run.
fn describe(program: &Path) -> Result {
    let bytes = read(program)?;
    let wrong = |sentence: &str| Failure::new(format!("{} {sentence}", program.display()));
    let elf = Elf::parse(&bytes).ok_or_else(|| wrong("is not an ELF file"))?;
    if elf.has_interpreter {
        return Err(wrong("needs a dynamic loader, which an image need not have"));
    }
    if !elf.is_position_independent {
        return Err(wrong("is loaded at a fixed address"));
    }
    if elf.has_symbols {
        return Err(wrong("is not stripped"));
    }
    println!(
        "{}: static, position-independent, stripped, {:.2} MB",
        program.display(),
        megabytes(bytes.len())
    );
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "two digits are printed")]
fn megabytes(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| cannot("read", path, &error))
}

fn cannot(verb: &str, path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("cannot {verb} {}: {error}", path.display()))
}

/// Where cargo keeps the sources of dependencies, when it is not told.
fn home_cargo() -> PathBuf {
    PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cargo")
}
