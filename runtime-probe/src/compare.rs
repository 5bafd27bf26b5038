//! Both modes on the same system, row by row: is what we read what they say?

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::Error;
use crate::options::{Ask, Mode, Options};
use crate::report::{Interpreter, Report};

/// What both modes found.
#[derive(Debug, Clone, Serialize)]
pub struct Comparison {
    /// Whether no version differs.
    pub agrees: bool,
    /// One row for each interpreter that either mode found.
    pub rows: Vec<Compared>,
    /// What fast mode took, in microseconds.
    pub fast_us: u64,
    /// What full mode took, in microseconds.
    pub full_us: u64,
    /// How many processes full mode started.
    pub spawned: u32,
}

/// One interpreter, as both modes see it.
#[derive(Debug, Clone, Serialize)]
pub struct Compared {
    /// The runtime.
    pub name: String,
    /// What to run.
    pub path: PathBuf,
    /// The version fast mode read.
    pub fast: Option<String>,
    /// The version the interpreter said.
    pub full: Option<String>,
    /// What that means.
    pub verdict: Verdict,
    /// Why one of them is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// What the two versions of a row mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Both say the same.
    Equal,
    /// Neither knows a version: there is none to know, as with dash.
    Neither,
    /// It shows no version, but says one.
    OnlyAsked,
    /// It shows a version, but does not say it: it failed, or is slow.
    OnlyRead,
    /// They contradict each other. The only verdict that is an error.
    Different,
}

impl Verdict {
    /// Its name in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "equal",
            Self::Neither => "neither",
            Self::OnlyAsked => "only-asked",
            Self::OnlyRead => "only-read",
            Self::Different => "different",
        }
    }

    fn of(fast: Option<&str>, full: Option<&str>) -> Self {
        match (fast, full) {
            (Some(fast), Some(full)) if fast == full => Self::Equal,
            (Some(_), Some(_)) => Self::Different,
            (Some(_), None) => Self::OnlyRead,
            (None, Some(_)) => Self::OnlyAsked,
            (None, None) => Self::Neither,
        }
    }
}

/// Probes in both modes and puts the answers side by side. Fast mode asks nobody here.
///
/// # Errors
///
/// Those of [`probe`](crate::probe()); under another root nothing can be asked, so nothing compared.
pub fn compare(options: &Options) -> Result<Comparison, Error> {
    let fast = Options { mode: Mode::Fast, ask: Ask::Never, cache: None, ..options.clone() };
    let full = Options { mode: Mode::Full, cache: None, ..options.clone() };
    let full = crate::probe(&full)?;
    Ok(Comparison::new(&crate::probe(&fast)?, &full))
}

impl Comparison {
    /// Puts two reports of the same system side by side.
    pub fn new(fast: &Report, full: &Report) -> Self {
        let mut asked: BTreeMap<(&str, &Path), &Interpreter> = full.runtimes.iter().map(keyed).collect();
        let mut rows: Vec<Compared> = Vec::with_capacity(fast.runtimes.len());
        for interpreter in &fast.runtimes {
            let other = asked.remove(&key(interpreter));
            let note = match other {
                Some(_) => None,
                None => Some(missing_in(full, interpreter)),
            };
            rows.push(row(interpreter, Some(interpreter), other, note));
        }
        for interpreter in asked.into_values() {
            rows.push(row(interpreter, None, Some(interpreter), Some("fast mode did not find it".into())));
        }
        let agrees = rows.iter().all(|row| row.verdict != Verdict::Different);
        Self { agrees, rows, fast_us: fast.elapsed_us, full_us: full.elapsed_us, spawned: full.spawned }
    }
}

fn key(interpreter: &Interpreter) -> (&str, &Path) {
    (&interpreter.name, &interpreter.path)
}

fn keyed(interpreter: &Interpreter) -> ((&str, &Path), &Interpreter) {
    (key(interpreter), interpreter)
}

fn row(
    interpreter: &Interpreter,
    fast: Option<&Interpreter>,
    full: Option<&Interpreter>,
    note: Option<String>,
) -> Compared {
    let version = |side: Option<&Interpreter>| side.and_then(|interpreter| interpreter.version.clone());
    let (fast, full) = (version(fast), version(full));
    Compared {
        name: interpreter.name.clone(),
        path: interpreter.path.clone(),
        verdict: Verdict::of(fast.as_deref(), full.as_deref()),
        fast,
        full,
        note,
    }
}

/// Why full mode does not have an interpreter that fast mode has.
fn missing_in(full: &Report, interpreter: &Interpreter) -> String {
    let rejected = full.rejected.iter().find(|rejected| rejected.path == interpreter.path);
    match rejected {
        Some(rejected) => rejected.reason.to_string(),
        None => "full mode did not find it".to_owned(),
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows = vec![["RUNTIME", "READ", "SAID", "VERDICT", "PATH"].map(str::to_owned)];
        for row in &self.rows {
            let version = |version: &Option<String>| version.clone().unwrap_or_else(|| "-".into());
            let mut path = row.path.display().to_string();
            if let Some(note) = &row.note {
                path = format!("{path} ({note})");
            }
            let verdict = row.verdict.as_str().to_owned();
            rows.push([row.name.clone(), version(&row.fast), version(&row.full), verdict, path]);
        }
        crate::table::lines(f, &rows)?;
        let milliseconds = |us: u64| format!("{}.{:03} ms", us / 1000, us % 1000);
        writeln!(
            f,
            "{}: fast mode took {} and started nothing, full mode {} and {} processes",
            if self.agrees { "no version differs" } else { "VERSIONS DIFFER" },
            milliseconds(self.fast_us),
            milliseconds(self.full_us),
            self.spawned,
        )
    }
}
