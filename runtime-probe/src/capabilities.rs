//! What an interpreter brings beside its version: what decides whether an environment can be built.
//!
//! Each fact stands alone. `python -m venv` exists in slim images where `ensurepip` does not, and only
//! the second makes the first useful; a JRE is a `java` of the same version that cannot compile.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::environment::EnvironmentKind;
use crate::report::Interpreter;
use crate::tree::Tree;
use crate::version;

/// What an interpreter brings. A field is absent where it means nothing for that runtime.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
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
    #[serde(skip_serializing_if = "Applets::is_empty")]
    pub applets: Applets,
}

/// The commands that a BusyBox is, sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applets {
    /// One after the other, each with a line end: there are hundreds of them.
    lines: String,
}

impl Applets {
    /// Their names.
    ///
    /// ```
    /// use runtime_probe::Applets;
    ///
    /// let applets: Applets = ["ash", "cat"].into_iter().collect();
    /// assert_eq!(applets.iter().collect::<Vec<_>>(), ["ash", "cat"]);
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.lines.lines()
    }

    /// The names in a table where each ends with a zero: all at once, because there are hundreds.
    pub(crate) fn from_table(names: &str) -> Self {
        let lines = names.bytes().map(|byte| if byte == 0 { b'\n' } else { byte }).collect();
        let mut lines = String::from_utf8(lines).unwrap_or_default();
        if !lines.is_empty() && !lines.ends_with('\n') {
            lines.push('\n');
        }
        Self { lines }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }
}

impl<'n> FromIterator<&'n str> for Applets {
    fn from_iter<I: IntoIterator<Item = &'n str>>(names: I) -> Self {
        let mut lines = String::new();
        for name in names {
            lines.push_str(name);
            lines.push('\n');
        }
        Self { lines }
    }
}

impl Serialize for Applets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for Applets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let names = Vec::<String>::deserialize(deserializer)?;
        Ok(names.iter().map(String::as_str).collect())
    }
}

/// A graphics processor that programs here can see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gpu {
    /// Who makes it: `nvidia`, `amd`.
    pub vendor: Cow<'static, str>,
    /// The device nodes.
    pub devices: Vec<String>,
    /// The kernel driver's version.
    pub driver: Option<String>,
}

/// What `interpreter` brings, but for what is inside its own file.
pub(crate) fn of(tree: &Tree, interpreter: &Interpreter) -> Capabilities {
    let real = &interpreter.real;
    let (Some(directory), Some(prefix)) = (real.parent(), real.parent().and_then(Path::parent)) else {
        return Capabilities::default();
    };
    // A command may stand beside the link that was found or beside the real program.
    let link = interpreter.path.parent().filter(|link| link.as_os_str() != directory.as_os_str());
    let sibling = |name: &str| {
        tree.exists(&directory.join(name)) || link.is_some_and(|link| tree.exists(&link.join(name)))
    };
    let mut found = Capabilities::default();
    match interpreter.name.as_str() {
        "python" => python(tree, interpreter, prefix, &mut found),
        "node" => {
            let npm = prefix.join("lib/node_modules/npm/package.json");
            found.npm = Some(tree.exists(&npm) || sibling("npm"));
        }
        "java" => found.javac = Some(sibling("javac")),
        "ruby" => {
            found.gem = Some(sibling("gem"));
            found.bundle = Some(sibling("bundle"));
        }
        "go" => found.toolchain = Some(tree.exists(&prefix.join("pkg/tool"))),
        "dotnet" => {
            found.sdk = Some(tree.exists(&directory.join("sdk")));
            let names = tree.names(&directory.join("shared/Microsoft.NETCore.App"));
            found.side_by_side = names.iter().filter_map(|name| name.to_str().map(str::to_owned)).collect();
            found.side_by_side.sort_by(|left, right| version::compare(left, right));
        }
        _ => {}
    }
    found
}

fn python(tree: &Tree, interpreter: &Interpreter, prefix: &Path, found: &mut Capabilities) {
    let Some(minor) = minor(interpreter) else { return };
    let library = |base: &Path, lib: &str| base.join(format!("{lib}/python{minor}"));
    let standard = ["lib", "lib64"].map(|lib| library(prefix, lib));
    let standard = standard.into_iter().find_map(|standard| {
        let venv = tree.exists(&standard.join("venv/__init__.py"));
        (venv || tree.exists(&standard.join("os.py"))).then_some((standard, venv))
    });
    let Some((standard, venv)) = standard else { return };
    let has = |path: PathBuf| Some(tree.exists(&path));
    found.venv = Some(venv);
    found.ensurepip = has(standard.join("ensurepip/__init__.py"));
    let venv =
        interpreter.environment.as_ref().filter(|environment| environment.kind == EnvironmentKind::Venv);
    if let Some(venv) = venv {
        found.pip = has(library(&venv.prefix, "lib").join("site-packages/pip"));
        found.externally_managed = Some(false);
        return;
    }
    // Debian keeps its own packages apart from those that pip installs.
    let places = [standard.join("site-packages/pip"), prefix.join("lib/python3/dist-packages/pip")];
    found.pip = Some(places.iter().any(|place| tree.exists(place)));
    found.externally_managed = has(standard.join("EXTERNALLY-MANAGED"));
}

/// `3.11`: from the version, or from a name where there is none.
fn minor(interpreter: &Interpreter) -> Option<String> {
    let name = interpreter.real.file_name()?.to_str()?.trim_start_matches(|c: char| !c.is_ascii_digit());
    let version = interpreter.version.as_deref().unwrap_or(name);
    let mut numbers = version::numbers(version);
    Some(format!("{}.{}", numbers.next()?, numbers.next()?))
}

/// The graphics processors whose device nodes are there.
pub(crate) fn gpus(tree: &Tree) -> Vec<Gpu> {
    let mut found = Vec::new();
    if tree.exists(Path::new("/dev/nvidiactl")) {
        let mut devices = device_names(tree, "/dev", "nvidia");
        devices.retain(|name| name["/dev/nvidia".len()..].bytes().all(|byte| byte.is_ascii_digit()));
        let driver = tree
            .read(Path::new("/proc/driver/nvidia/version"), 512)
            .and_then(|text| crate::version::Mark::after("Module  ").find(&text).map(str::to_owned));
        found.push(Gpu { vendor: "nvidia".into(), devices, driver });
    }
    if tree.exists(Path::new("/dev/kfd")) {
        let driver = tree
            .read(Path::new("/sys/module/amdgpu/version"), 64)
            .and_then(|text| crate::version::read(&text).map(str::to_owned));
        found.push(Gpu { vendor: "amd".into(), devices: device_names(tree, "/dev/dri", "renderD"), driver });
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
