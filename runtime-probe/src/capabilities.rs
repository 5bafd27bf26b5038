//! What an interpreter brings beside its version: what decides whether an environment can be built.
//!
//! Each fact stands alone. `python -m venv` exists in slim images where `ensurepip` does not, and only
//! the second makes the first useful; a JRE is a `java` of the same version that cannot compile.

use std::path::Path;

use serde::Serialize;

use crate::tree::Tree;

/// What an interpreter brings. A field is absent where it means nothing for that runtime.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Capabilities {
    /// Python: the `venv` module.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub venv: Option<bool>,
    /// Python: `ensurepip`, without which `python -m venv` makes an environment without pip.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ensurepip: Option<bool>,
    /// Python: pip itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pip: Option<bool>,
    /// Python: the distribution forbids installing outside an environment (PEP 668).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub externally_managed: Option<bool>,
    /// Node: npm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub npm: Option<bool>,
    /// Java: the compiler, so this is a JDK and not only a JRE.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub javac: Option<bool>,
    /// Ruby: the `gem` command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gem: Option<bool>,
    /// Ruby: Bundler.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bundle: Option<bool>,
    /// Go: the compiler and linker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub toolchain: Option<bool>,
    /// .NET: an SDK and not only a runtime.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sdk: Option<bool>,
    /// .NET: every installed runtime version; the interpreter serves them all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub side_by_side: Vec<String>,
    /// BusyBox: the commands that are linked to it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub applets: Vec<String>,
}

/// A graphics processor that programs here can see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Gpu {
    /// Who makes it: `nvidia`, `amd`.
    pub vendor: &'static str,
    /// The device nodes.
    pub devices: Vec<String>,
    /// The kernel driver's version.
    pub driver: Option<String>,
}

/// The graphics processors whose device nodes are there.
pub(crate) fn gpus(tree: &Tree) -> Vec<Gpu> {
    let mut found = Vec::new();
    if tree.exists(Path::new("/dev/nvidiactl")) {
        let mut devices = device_names(tree, "/dev", "nvidia");
        devices.retain(|name| {
            name["/dev/nvidia".len()..]
                .bytes()
                .all(|byte| byte.is_ascii_digit())
        });
        let driver = tree
            .read(Path::new("/proc/driver/nvidia/version"), 512)
            .and_then(|text| {
                crate::version::Mark::after("Module  ")
                    .find(&text)
                    .map(str::to_owned)
            });
        found.push(Gpu {
            vendor: "nvidia",
            devices,
            driver,
        });
    }
    if tree.exists(Path::new("/dev/kfd")) {
        let driver = tree
            .read(Path::new("/sys/module/amdgpu/version"), 64)
            .and_then(|text| crate::version::read(&text).map(str::to_owned));
        found.push(Gpu {
            vendor: "amd",
            devices: device_names(tree, "/dev/dri", "renderD"),
            driver,
        });
    }
    found
}

fn device_names(tree: &Tree, directory: &str, prefix: &str) -> Vec<String> {
    let mut devices: Vec<String> = tree
        .names(Path::new(directory))
        .iter()
        .filter_map(|name| name.to_str())
        .filter(|name| name.starts_with(prefix) && name.len() > prefix.len())
        .map(|name| format!("{directory}/{name}"))
        .collect();
    devices.sort();
    devices
}
