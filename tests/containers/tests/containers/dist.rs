//! What is shipped: the static programs, and the image that carries them.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use container_tests::{Access, Engine, Image, Pod, Ran};

/// Where the agent is in a worker's container.
pub(crate) const AGENT: &str = "/opt/attune/agent/attune-agent";

/// Where the volume with the agent is mounted.
pub(crate) const AGENT_DIR: &str = "/opt/attune/agent";

/// What the header of a program for an architecture has in `e_machine` (elf(5)).
const MACHINES: [(&str, u16); 2] = [("amd64", 62), ("arm64", 183)];

/// This machine's architecture, as images call it.
pub(crate) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => panic!("the agent is not built for {other}"),
    }
}

/// The directory with a directory for each architecture.
pub(crate) fn directory() -> PathBuf {
    let given = std::env::var_os("ATTUNE_AGENT_DIST").map(PathBuf::from);
    given.unwrap_or_else(|| workspace().join("dist"))
}

/// The static program for an architecture.
///
/// # Panics
/// Where it has not been built.
pub(crate) fn agent(architecture: &str) -> PathBuf {
    let program = directory().join(architecture).join("attune-agent");
    assert!(program.is_file(), "{} is not there: `cargo xtask dist` makes it", program.display());
    let mut header = [0; 20];
    let read = File::open(&program).and_then(|mut file| file.read_exact(&mut header));
    read.unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    let (_, machine) = MACHINES.iter().find(|(name, _)| *name == architecture).expect("it is built for two");
    assert_eq!(header[18..], machine.to_le_bytes(), "{} is for another machine", program.display());
    program
}

pub(crate) fn containerfile() -> PathBuf {
    workspace().join("loader-image/Containerfile")
}

/// The loader image for this machine.
///
/// # Panics
/// Where there is no engine, or the program has not been built.
pub(crate) fn loader() -> &'static Image {
    static LOADER: LazyLock<Image> = LazyLock::new(|| {
        let engine = Engine::shared().expect("whoever asks has an engine");
        agent(architecture());
        let text = std::fs::read_to_string(containerfile()).expect("the project is complete");
        Image::build(engine, "loader", &text, &directory())
    });
    &LOADER
}

/// Gives the agent to the pod, by an init container from `loader`; returns what that said.
#[track_caller]
pub(crate) fn install(pod: &mut Pod<'_>, loader: &Image) -> String {
    let agent = pod.volume("agent");
    let init = pod.container("install", loader).mount(&agent, AGENT_DIR, Access::ReadWrite);
    pod.init(&init.read_only()).stdout
}

/// A command of the agent outside of any container.
pub(crate) fn outside(arguments: &[&str], variables: &[(&str, &str)]) -> Ran {
    let mut command = std::process::Command::new(agent(architecture()));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("ATTUNE")) {
        command.env_remove(name);
    }
    Ran::of(command.args(arguments).env_remove("RUST_LOG").envs(variables.iter().copied()))
}

pub(crate) fn workspace() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}
