//! The catalogue: every runtime this crate knows, as one table of data.
//!
//! A [`Runtime`] is a language the world asks for (`python`); a [`Program`] is one implementation of
//! it (`cpython`, `pypy`): the names it goes by on `PATH`, how to ask it for its version, and where its
//! version can be read without asking. Adding a runtime is adding one entry in [`all`] and a fixture
//! that shows it.

mod languages;
mod shells;
mod systems;

use crate::version::Mark;

/// A language runtime.
#[derive(Debug)]
pub struct Runtime {
    /// The canonical name, lower-case: `python`, `node`, `shell`.
    pub name: &'static str,
    /// How people write it: `Python`, `Node.js`.
    pub title: &'static str,
    /// Other names that mean this runtime.
    pub aliases: &'static [&'static str],
    /// The extension of its source files, with the dot.
    pub extension: &'static str,
    /// Its implementations, preferred first.
    pub programs: &'static [Program],
}

/// One implementation of a runtime.
#[derive(Debug)]
pub struct Program {
    /// What it calls itself: `cpython`, `bash`.
    pub implementation: &'static str,
    /// The names it goes by, preferred first.
    pub names: &'static [&'static str],
    /// Names that carry a version (`python3.12`).
    pub versioned: &'static [Versioned],
    /// What must stand before a script: `["run"]` for `go`.
    pub args: &'static [&'static str],
    /// How to ask it, first the question it most likely answers. Empty: it cannot be asked.
    pub questions: &'static [Question],
    /// Where its version shows itself, best evidence first.
    pub clues: &'static [Clue],
    /// Whether it is usually started by a script. Elsewhere a script is somebody's wrapper, and the files
    /// beside a wrapper say nothing about what it wraps.
    pub scripted: bool,
    /// Whether fast mode asks it where it shows no version. A process is not worth every version.
    pub worth_asking: bool,
}

impl Program {
    /// A program without names, questions or clues; entries start from it.
    pub(crate) const fn new(implementation: &'static str, names: &'static [&'static str]) -> Self {
        Self {
            implementation,
            names,
            versioned: &[],
            args: &[],
            questions: &[],
            clues: &[],
            scripted: false,
            worth_asking: true,
        }
    }

    /// Whether its names are launchers of one installation, which has one version.
    pub(crate) const fn is_launcher(&self) -> bool {
        self.scripted && self.versioned.is_empty()
    }
}

/// A family of names that differ in a version: a prefix, then digits and dots (`python3.13t` too).
#[derive(Debug, Clone, Copy)]
pub struct Versioned {
    /// What the name starts with.
    pub prefix: &'static str,
    /// The versions to try where looking names up is cheaper than reading a huge directory. Where the
    /// directory is read, every version is found, these or not.
    pub known: &'static [&'static str],
}

impl Versioned {
    pub(crate) const fn new(prefix: &'static str, known: &'static [&'static str]) -> Self {
        Self { prefix, known }
    }

    /// Whether `name` is of this family.
    pub(crate) fn matches(&self, name: &[u8]) -> bool {
        let Some(version) = name.strip_prefix(self.prefix.as_bytes()) else {
            return false;
        };
        let version = version.strip_suffix(b"t").unwrap_or(version);
        version.first().is_some_and(u8::is_ascii_digit)
            && version.last().is_some_and(u8::is_ascii_digit)
            && version.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.')
    }
}

/// One way to ask a program for its version.
#[derive(Debug, Clone, Copy)]
pub struct Question {
    /// Its arguments.
    pub args: &'static [&'static str],
    /// What to write to its standard input; otherwise it reads `/dev/null`.
    pub input: &'static str,
    /// Where the version stands in what it prints, on either stream.
    pub marks: &'static [Mark],
    /// Whether an answer counts although the program exits with a failure.
    pub any_exit: bool,
    /// The program to put it to, where that is another one in the same directory.
    pub through: &'static str,
    /// Milliseconds it usually takes: the slowest are asked first.
    pub cost: u16,
}

impl Question {
    pub(crate) const fn new(args: &'static [&'static str], marks: &'static [Mark]) -> Self {
        Self { args, input: "", marks, any_exit: false, through: "", cost: 1 }
    }

    pub(crate) const fn cost(self, cost: u16) -> Self {
        Self { cost, ..self }
    }

    pub(crate) const fn any_exit(self) -> Self {
        Self { any_exit: true, ..self }
    }

    pub(crate) const fn through(self, through: &'static str) -> Self {
        Self { through, ..self }
    }

    pub(crate) const fn input(self, input: &'static str) -> Self {
        Self { input, ..self }
    }

    /// The version in `output`, if this question is answered there.
    pub(crate) fn answer<'o>(&self, output: &'o [u8]) -> Option<&'o str> {
        self.marks.iter().find_map(|mark| mark.find(output))
    }
}

/// One place where a version can be read without running anything.
///
/// Paths may start with `{prefix}` (the directory above the real program's directory: `/usr` for
/// `/usr/bin/go`) or `{dir}` (the real program's directory).
#[derive(Debug, Clone, Copy)]
pub enum Clue {
    /// A data symbol that the program, or the library it needs, exports.
    Symbol {
        /// The symbol.
        name: &'static str,
        /// What is stored there.
        form: Form,
        /// The start of the library's name; empty when only the program can have it.
        library: &'static str,
    },
    /// A string among the constants of the program or of the library it needs.
    Text {
        /// Where the version stands, in one of these ways.
        marks: &'static [Mark],
        /// The start of the library's name; empty when only the program can have it.
        library: &'static str,
        /// Where in the file to look.
        span: Span,
    },
    /// A text file that is shipped with the program.
    File {
        /// The file.
        path: &'static str,
        /// Where in it the version stands.
        mark: Mark,
    },
    /// A directory whose entries are named after versions; the greatest counts.
    Entries {
        /// The directory.
        path: &'static str,
        /// What an entry's name must look like.
        mark: Mark,
    },
    /// The real program's own path.
    RealPath(Mark),
    /// The script itself: some launchers carry their version.
    Script(Mark),
    /// Evidence with rules of its own.
    Own(Reader),
}

impl Clue {
    pub(crate) const fn text(marks: &'static [Mark]) -> Self {
        Self::Text { marks, library: "", span: Span::Constants }
    }

    pub(crate) const fn library_text(library: &'static str, marks: &'static [Mark]) -> Self {
        Self::Text { marks, library, span: Span::Constants }
    }

    pub(crate) const fn file(path: &'static str, mark: Mark) -> Self {
        Self::File { path, mark }
    }
}

/// What an exported symbol holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A NUL-terminated string that contains the version.
    Text(Mark),
    /// CPython's `PY_VERSION_HEX`, four bytes.
    PythonHex,
    /// One byte each of three symbols: this one and the two named.
    Bytes(&'static str, &'static str),
}

/// How much of a file is looked through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// Its constants, at most 4 MiB of them.
    Constants,
    /// Its constants and its writable data, at most 64 MiB: programs that carry a whole engine.
    Everything,
}

/// Evidence that no table entry can express.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// What `Py_GetVersion` returns.
    PythonFunction,
    /// What `napi_get_node_version` returns.
    NodeFunction,
    /// `CPython`'s version string, whose minor must agree with a name.
    PythonText,
    /// `build-details.json` and `patchlevel.h` of the minor that the real name carries.
    PythonFiles,
    /// The home that R's launch script names, and the base package in it.
    RHome,
    /// What the linker notes in every Go program.
    GoBuildInfo,
    /// `start_erl.data`, then `OTP_VERSION` of that release.
    ErlangRelease,
}

/// All runtimes, in the order in which they are reported.
pub fn all() -> &'static [Runtime] {
    TABLE
}

/// The table is put together from three files only because one would be too long to read.
pub(crate) const TABLE: &[Runtime] = &[
    shells::SHELL,
    languages::PYTHON,
    languages::NODE,
    languages::DENO,
    languages::BUN,
    languages::RUBY,
    systems::GO,
    systems::JAVA,
    languages::R,
    languages::PERL,
    languages::PHP,
    languages::LUA,
    languages::TCL,
    systems::POWERSHELL,
    systems::DOTNET,
    systems::ERLANG,
    systems::ELIXIR,
    languages::JULIA,
    languages::GUILE,
    systems::GROOVY,
    systems::KOTLIN,
    systems::SCALA,
    systems::HASKELL,
    systems::OCAML,
    systems::SWIFT,
    shells::AWK,
    shells::FISH,
    systems::MONO,
    systems::SBCL,
];

/// The runtime called `name` (canonically).
pub fn get(name: &str) -> Option<&'static Runtime> {
    TABLE.iter().find(|runtime| runtime.name == name)
}

/// The canonical name for an alias, whatever its case: `NodeJS` is `node`, `bash` is `shell`.
///
/// `None` for a name the catalogue does not know.
///
/// ```
/// use runtime_probe::catalogue::canonical;
/// assert_eq!(canonical("Node.js"), Some("node"));
/// assert_eq!(canonical("bash"), Some("shell"));
/// assert_eq!(canonical("cobol"), None);
/// ```
pub fn canonical(alias: &str) -> Option<&'static str> {
    let alias = alias.trim();
    let is = |name: &&str| name.eq_ignore_ascii_case(alias);
    TABLE
        .iter()
        .find(|runtime| is(&runtime.name) || runtime.aliases.iter().any(is))
        .map(|runtime| runtime.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unambiguous() {
        let mut runtimes = BTreeSet::new();
        let mut programs = BTreeSet::new();
        for runtime in all() {
            assert!(runtimes.insert(runtime.name), "{} twice", runtime.name);
            assert!(runtime.extension.starts_with('.'), "{}", runtime.name);
            for alias in runtime.aliases {
                assert!(runtimes.insert(alias), "{alias} means two runtimes");
            }
            for program in runtime.programs {
                for name in program.names {
                    assert!(programs.insert(*name), "{name} is two programs");
                }
            }
        }
    }

    #[test]
    fn every_program_shows_its_version_somehow() {
        for program in all().iter().flat_map(|runtime| runtime.programs) {
            let silent = ["dash", "ash"].contains(&program.implementation);
            let shows = !program.clues.is_empty() || !program.questions.is_empty();
            assert!(shows || silent, "{}", program.implementation);
        }
    }

    #[test]
    fn the_reference_aliases_are_known() {
        for (canonical_name, aliases) in [
            ("node", ["node", "nodejs", "node.js"].as_slice()),
            ("python", &["python", "python3"]),
            ("shell", &["shell", "bash", "sh"]),
            ("ruby", &["ruby", "rb"]),
            ("go", &["go", "golang"]),
            ("java", &["java", "jdk", "openjdk"]),
            ("perl", &["perl", "perl5"]),
            ("r", &["r", "rscript"]),
        ] {
            for alias in aliases {
                assert_eq!(canonical(alias), Some(canonical_name), "{alias}");
                assert_eq!(canonical(&alias.to_uppercase()), Some(canonical_name), "{alias}");
            }
        }
    }

    #[test]
    fn versioned_names() {
        let python = Versioned::new("python", &[]);
        for (name, expected) in [
            ("python3.12", true),
            ("python2", true),
            ("python3.13t", true),
            ("python3.12-config", false),
            ("python", false),
            ("python3.", false),
            ("pythonw", false),
        ] {
            assert_eq!(python.matches(name.as_bytes()), expected, "{name}");
        }
    }
}
