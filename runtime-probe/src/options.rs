//! What to probe, and how.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How versions are found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Read them from the file system; start nothing (but see [`Ask`]).
    #[default]
    Fast,
    /// Ask every interpreter itself, several at once, each with a deadline.
    Full,
}

impl Mode {
    /// Its name in JSON and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Full => "full",
        }
    }
}

/// Whether fast mode may start an interpreter that shows no version by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ask {
    /// Never: such an interpreter is reported without a version.
    Never,
    /// Only that one interpreter, when there is no evidence or only weak evidence.
    #[default]
    WhenUnknown,
}

/// What to probe, and how. [`Options::default`] is fast mode on this very system.
///
/// ```
/// use std::time::Duration;
/// use runtime_probe::{Ask, Mode, Options};
///
/// let options = Options { ask: Ask::Never, ..Options::default() };
/// assert_eq!(options.mode, Mode::Fast);
///
/// let options = Options::full().deadline(Duration::from_millis(500)).only(["python", "node"]);
/// assert_eq!(options.mode, Mode::Full);
/// ```
#[derive(Debug, Clone)]
pub struct Options {
    /// Read or ask.
    pub mode: Mode,
    /// The `PATH` to search; `None` is the process's own, or with a root the usual directories.
    pub path: Option<OsString>,
    /// Another root file system, for instance an unpacked image. It is not entered: symbolic links in
    /// it are followed inside it, nothing in it is run, and any architecture will do.
    pub root: Option<PathBuf>,
    /// How long one interpreter may take to answer, from the moment it is started.
    pub deadline: Duration,
    /// Whether fast mode may ask at all.
    pub ask: Ask,
    /// A hints file; `None` is `/.attune-runtime.yaml` (under the root), if there is one.
    pub hints: Option<PathBuf>,
    /// Only these runtimes, by name or alias; `None` is all of them.
    pub only: Option<Vec<String>>,
    /// Also look where interpreters are installed without being on `PATH`: `/usr/local/go/bin`, the
    /// versions of pyenv, `JAVA_HOME` … They are reported with `on_path: false`.
    pub off_path: bool,
    /// The environment variables that steer version managers (`PYENV_VERSION`, `JAVA_HOME`, `HOME` …);
    /// `None` is the process's own, or with a root none at all.
    pub variables: Option<BTreeMap<String, OsString>>,
    /// A file that remembers the last answer and what it depended on; `None` remembers nothing. Only
    /// answers that were read, not asked for, are kept.
    pub cache: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            mode: Mode::Fast,
            path: None,
            root: None,
            deadline: Duration::from_secs(2),
            ask: Ask::WhenUnknown,
            hints: None,
            only: None,
            off_path: true,
            variables: None,
            cache: None,
        }
    }
}

impl Options {
    /// Fast mode: [`Options::default`] by its name.
    pub fn fast() -> Self {
        Self::default()
    }

    /// Full mode.
    pub fn full() -> Self {
        Self::default().mode(Mode::Full)
    }

    /// Sets [`Options::mode`].
    #[must_use]
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// Sets [`Options::path`].
    #[must_use]
    pub fn path(mut self, path: impl Into<OsString>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// Sets [`Options::root`].
    #[must_use]
    pub fn root(mut self, root: impl Into<PathBuf>) -> Self {
        self.root = Some(root.into());
        self
    }

    /// Sets [`Options::deadline`].
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Sets [`Options::ask`].
    #[must_use]
    pub fn ask(mut self, ask: Ask) -> Self {
        self.ask = ask;
        self
    }

    /// Sets [`Options::hints`].
    #[must_use]
    pub fn hints(mut self, hints: impl Into<PathBuf>) -> Self {
        self.hints = Some(hints.into());
        self
    }

    /// Sets [`Options::only`].
    #[must_use]
    pub fn only(mut self, runtimes: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.only = Some(runtimes.into_iter().map(Into::into).collect());
        self
    }

    /// Sets [`Options::off_path`].
    #[must_use]
    pub fn off_path(mut self, off_path: bool) -> Self {
        self.off_path = off_path;
        self
    }

    /// Sets [`Options::variables`].
    #[must_use]
    pub fn variables(
        mut self,
        variables: impl IntoIterator<Item = (impl Into<String>, impl Into<OsString>)>,
    ) -> Self {
        self.variables =
            Some(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect());
        self
    }

    /// Sets [`Options::cache`].
    #[must_use]
    pub fn cache(mut self, cache: impl Into<PathBuf>) -> Self {
        self.cache = Some(cache.into());
        self
    }

    /// The value of a variable, where variables count.
    pub(crate) fn variable(&self, name: &str) -> Option<OsString> {
        match &self.variables {
            Some(variables) => variables.get(name).cloned(),
            None if self.root.is_some() => None,
            None => std::env::var_os(name),
        }
        .filter(|value| !value.is_empty())
    }

    /// The directories to search, as they are written.
    pub(crate) fn search_path(&self) -> OsString {
        let own = || {
            if self.root.is_some() { None } else { std::env::var_os("PATH") }
        };
        self.path.clone().or_else(own).unwrap_or_else(|| OsStr::new(USUAL_PATH).to_owned())
    }
}

/// What a shell assumes when nobody set `PATH`.
const USUAL_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
