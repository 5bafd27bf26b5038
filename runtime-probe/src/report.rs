//! What a probe found: the types of the report and of its JSON.
//!
//! The JSON is stable: fields are added, never renamed or removed. `docs/runtime-probe.md` lists them.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize, Serializer};

use crate::capabilities::{Capabilities, Gpu};
use crate::environment::Environment;
use crate::options::Mode;
use crate::reason::Reason;

/// Everything one probe found.
///
/// Runtimes come in the catalogue's order, and of each runtime the preferred interpreter first.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// How versions were found out.
    pub mode: Mode,
    /// How long it took, in microseconds.
    pub elapsed_us: u64,
    /// How many processes were started.
    pub spawned: u32,
    /// Whether the answer was remembered from an earlier probe and is still true.
    pub cached: bool,
    /// The interpreters that can be used.
    pub runtimes: Vec<Interpreter>,
    /// What looks like an interpreter and cannot be used.
    pub rejected: Vec<Rejected>,
    /// What the reader should know about the search itself.
    pub warnings: Vec<String>,
    /// Graphics processors that programs here can see.
    pub gpus: Vec<Gpu>,
}

impl Report {
    /// The interpreter to use for a runtime, by name or alias: the first on `PATH` under the
    /// runtime's best name.
    ///
    /// ```
    /// # fn main() -> Result<(), runtime_probe::Error> {
    /// use runtime_probe::{Options, probe};
    ///
    /// let report = probe(&Options::default())?;
    /// if let Some(python) = report.preferred("python3") {
    ///     println!("{} is Python {:?}", python.path.display(), python.version);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn preferred(&self, runtime: &str) -> Option<&Interpreter> {
        let name = crate::catalogue::canonical(runtime).unwrap_or(runtime);
        self.runtimes.iter().find(|interpreter| interpreter.name == name)
    }

    /// All interpreters of a runtime, by name or alias, the preferred one first.
    pub fn all<'r>(&'r self, runtime: &'r str) -> impl Iterator<Item = &'r Interpreter> {
        let name = crate::catalogue::canonical(runtime).unwrap_or(runtime);
        self.runtimes.iter().filter(move |interpreter| interpreter.name == name)
    }
}

/// A program that can run a runtime's files.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Interpreter {
    /// The canonical runtime: `python`, `shell`, `node`.
    pub name: String,
    /// What to run: an absolute path, as seen in the root that was probed. For a version manager's
    /// shim it is the interpreter the shim would choose.
    pub path: PathBuf,
    /// The name it was found under: `python3.12`, `dash`, `busybox`.
    pub found_as: String,
    /// What must stand before a script: `["sh"]` for a bare busybox, `["run"]` for go.
    pub args: Vec<String>,
    /// Its version, if it shows one.
    pub version: Option<String>,
    /// How we know.
    pub evidence: Evidence,
    /// How sure we are.
    pub confidence: Confidence,
    /// Which implementation it is: `cpython`, `dash`, `busybox`.
    pub implementation: String,
    /// The file behind all links.
    pub real: PathBuf,
    /// Every name that leads to this same file, best first.
    pub names: Vec<String>,
    /// Whether a directory of `PATH` leads to it.
    pub on_path: bool,
    /// The version manager, if its shim led here.
    pub via: Option<Cow<'static, str>>,
    /// The architecture it is built for, as `uname -m` names it; `None` for a script.
    pub arch: Option<Cow<'static, str>>,
    /// The C library it needs.
    pub libc: Option<Libc>,
    /// Whether it would start here, as far as one can see without trying.
    pub runnable: Runnable,
    /// The environment it belongs to: a venv, a conda prefix …
    pub environment: Option<Environment>,
    /// What else it brings, that decides what can be built with it.
    pub capabilities: Capabilities,
}

/// How a version became known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The kind of evidence.
    pub kind: EvidenceKind,
    /// The file it was read from.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub file: Option<PathBuf>,
    /// The symbol, the text or the question.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub what: Option<String>,
}

impl Evidence {
    pub(crate) const fn none() -> Self {
        Self { kind: EvidenceKind::None, file: None, what: None }
    }

    pub(crate) fn read(kind: EvidenceKind, file: &Path, what: impl Into<String>) -> Self {
        Self { kind, file: Some(file.to_owned()), what: Some(what.into()) }
    }
}

/// The kinds of evidence, from best to none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EvidenceKind {
    /// A data symbol that the program or its library exports.
    Symbol,
    /// A constant in the program or its library.
    Text,
    /// The program's own answer.
    Answer,
    /// A file that is shipped with it.
    File,
    /// A file or directory name.
    Name,
    /// The hints file says so.
    Hint,
    /// There is none.
    None,
}

impl EvidenceKind {
    /// Its name in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Symbol => "symbol",
            Self::Text => "text",
            Self::Answer => "answer",
            Self::File => "file",
            Self::Name => "name",
            Self::Hint => "hint",
            Self::None => "none",
        }
    }

    /// How sure evidence of this kind makes us.
    pub const fn confidence(self) -> Confidence {
        match self {
            Self::Symbol | Self::Text | Self::Answer => Confidence::Exact,
            Self::File => Confidence::Strong,
            Self::Name | Self::Hint => Confidence::Weak,
            Self::None => Confidence::None,
        }
    }
}

/// How sure we are of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// No version is known.
    None,
    /// A name or somebody else says so.
    Weak,
    /// A file that was installed together with the program says so.
    Strong,
    /// The object that runs says so itself.
    Exact,
}

impl Confidence {
    /// Its name in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Weak => "weak",
            Self::Strong => "strong",
            Self::Exact => "exact",
        }
    }
}

/// The C library a program needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Libc {
    /// The GNU C library.
    Glibc,
    /// musl.
    Musl,
    /// None at all: the program is static.
    Static,
    /// Another one.
    Other,
}

impl Libc {
    /// Its name in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Glibc => "glibc",
            Self::Musl => "musl",
            Self::Static => "static",
            Self::Other => "other",
        }
    }
}

/// Whether a program would start here. Without starting it nobody can promise more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Runnable {
    /// It did start, or nothing speaks against it.
    Likely,
    /// It cannot.
    No,
    /// Something speaks against it, but an emulator may help; or it belongs to another root.
    Unknown,
}

impl Runnable {
    /// Its name in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Likely => "likely",
            Self::No => "no",
            Self::Unknown => "unknown",
        }
    }
}

/// Something that looks like an interpreter and cannot be used.
#[derive(Debug, Clone, Deserialize)]
pub struct Rejected {
    /// The runtime it looks like.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// Why it cannot be used.
    #[serde(flatten)]
    pub reason: Reason,
}

impl Serialize for Rejected {
    /// The reason's code and its particulars, and the sentence for people as `detail`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Shown<'r> {
            name: &'r str,
            path: &'r Path,
            #[serde(flatten)]
            reason: &'r Reason,
            detail: String,
        }
        let Self { name, path, reason } = self;
        Shown { name, path, reason, detail: reason.to_string() }.serialize(serializer)
    }
}
