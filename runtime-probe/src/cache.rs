//! The last answer, and everything it depended on.
//!
//! A cached report is as good as a new one or it is not used: it is kept together with every look that
//! was taken at the file system (what was there, or that nothing was), and all of them are taken again,
//! one `stat` each, before it is believed. What cannot be seen that way is not kept: answers that were
//! asked for, interpreters whose fate hangs on mounts or emulators, files that changed a moment ago.

use std::collections::BTreeMap;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{Access, AtFlags, Stat};
use serde::{Deserialize, Serialize};

use crate::options::{Mode, Options};
use crate::report::{Report, Runnable};
use crate::tree::Tree;

/// A cache that was written by another version of this crate is not read.
const FORMAT: &str = concat!("runtime-probe ", env!("CARGO_PKG_VERSION"), " 1");
/// A larger file is not one of ours.
const LIMIT: u64 = 16 * 1024 * 1024;
/// File times advance in steps of some milliseconds; a change this recent could go unnoticed.
const SETTLED_NS: i64 = 2_000_000_000;

/// One look at the file system, and what was there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Watch {
    path: PathBuf,
    seen: Option<Stamp>,
}

/// What tells whether a file is still the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    device: u64,
    inode: u64,
    size: i64,
    modified_ns: i64,
    changed_ns: i64,
}

impl Watch {
    pub(crate) fn new(path: &Path, stat: Option<&Stat>) -> Self {
        Self { path: path.to_owned(), seen: stat.map(Stamp::of) }
    }
}

impl Stamp {
    fn of(stat: &Stat) -> Self {
        // An overlay is a new anonymous device at every mount, although nothing in it changed.
        let is_anonymous = rustix::fs::major(stat.st_dev) == 0;
        let nanoseconds = |seconds: i64, rest: u64| {
            seconds.saturating_mul(1_000_000_000).saturating_add(i64::try_from(rest).unwrap_or(0))
        };
        Self {
            device: if is_anonymous { 0 } else { stat.st_dev },
            inode: stat.st_ino,
            size: stat.st_size,
            modified_ns: nanoseconds(stat.st_mtime, stat.st_mtime_nsec),
            changed_ns: nanoseconds(stat.st_ctime, stat.st_ctime_nsec),
        }
    }
}

/// What the cache file holds.
#[derive(Serialize, Deserialize)]
struct Kept {
    format: String,
    question: Question,
    watches: Vec<Watch>,
    report: Report,
}

/// Everything but files that decides an answer.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Question {
    path: String,
    root: Option<PathBuf>,
    hints: Option<PathBuf>,
    only: Option<Vec<String>>,
    off_path: bool,
    ask: crate::Ask,
    user: (u32, u32),
    machine: String,
    variables: BTreeMap<String, String>,
}

impl Question {
    fn of(options: &Options) -> Self {
        Self {
            path: options.search_path().to_string_lossy().into_owned(),
            root: options.root.clone(),
            hints: options.hints.clone(),
            only: options.only.clone(),
            off_path: options.off_path,
            ask: options.ask,
            user: (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw()),
            machine: std::env::consts::ARCH.to_owned(),
            variables: steering_variables(options),
        }
    }
}

/// The variables that may steer an answer: some more than do, because a miss is only slow.
fn steering_variables(options: &Options) -> BTreeMap<String, String> {
    let steers = |name: &str| {
        let endings = ["HOME", "_ROOT", "_DIR", "_VERSION", "_PREFIX", "_ENV", "_INSTALL"];
        endings.iter().any(|ending| name.ends_with(ending))
    };
    let all: Box<dyn Iterator<Item = (String, std::ffi::OsString)>> = match &options.variables {
        Some(variables) => Box::new(variables.clone().into_iter()),
        None if options.root.is_some() => Box::new(std::iter::empty()),
        None => {
            Box::new(std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value))))
        }
    };
    all.filter(|(name, _)| steers(name))
        .map(|(name, value)| (name, value.to_string_lossy().into_owned()))
        .collect()
}

/// The kept report, if it still is the answer.
pub(crate) fn recall(file: &Path, options: &Options) -> Option<Report> {
    if options.mode != Mode::Fast || std::fs::metadata(file).ok()?.len() > LIMIT {
        return None;
    }
    let kept: Kept = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
    if kept.format != FORMAT || kept.question != Question::of(options) {
        return None;
    }
    let tree = Tree::new(options.root.as_deref(), false).ok()?;
    let holds = kept.watches.iter().all(|watch| tree.stat(&watch.path).as_ref().map(Stamp::of) == watch.seen);
    // A mount may have become `noexec` without any file changing.
    let can_run = || {
        options.root.is_some()
            || kept.report.runtimes.iter().all(|interpreter| {
                let path: &Path = &interpreter.real;
                rustix::fs::accessat(rustix::fs::CWD, path, Access::EXEC_OK, AtFlags::EACCESS).is_ok()
            })
    };
    (holds && can_run()).then_some(Report { cached: true, ..kept.report })
}

/// Keeps a report, if all it depended on was seen; says what went wrong where it cannot be written.
pub(crate) fn keep(
    file: &Path,
    options: &Options,
    watches: Vec<Watch>,
    report: &Report,
) -> Result<(), std::io::Error> {
    if report.mode != Mode::Fast || report.spawned > 0 || hangs_on_more_than_files(report) {
        return Ok(());
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_nanos());
    let horizon = i64::try_from(now).unwrap_or(i64::MAX) - SETTLED_NS;
    let mut unique = BTreeMap::new();
    for Watch { path, seen } in watches {
        let is_settled = seen.is_none_or(|seen| seen.modified_ns.max(seen.changed_ns) < horizon);
        let first = *unique.entry(path).or_insert(seen);
        if !is_settled || first != seen {
            return Ok(());
        }
    }
    let watches = unique.into_iter().map(|(path, seen)| Watch { path, seen }).collect();
    let kept =
        Kept { format: FORMAT.to_owned(), question: Question::of(options), watches, report: report.clone() };
    write(file, &serde_json::to_vec(&kept)?)
}

fn hangs_on_more_than_files(report: &Report) -> bool {
    use crate::Reason;
    report.runtimes.iter().any(|interpreter| interpreter.runnable != Runnable::Likely)
        || report.rejected.iter().any(|rejected| {
            matches!(
                rejected.reason,
                Reason::NoExecMount
                    | Reason::NotExecutable
                    | Reason::WrongArchitecture { .. }
                    | Reason::Unreadable { .. }
            )
        })
}

/// Replaces the file in one step, so that a reader sees the old one or the new one.
fn write(file: &Path, text: &[u8]) -> Result<(), std::io::Error> {
    let directory = file.parent().unwrap_or(Path::new("."));
    std::fs::DirBuilder::new().recursive(true).mode(0o755).create(directory)?;
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let new = file.with_file_name(name);
    std::fs::write(&new, text)?;
    std::fs::rename(&new, file).inspect_err(|_| {
        // The error that counts is the rename's.
        let _ = std::fs::remove_file(&new);
    })
}
