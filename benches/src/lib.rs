//! What the benches measure against, and the directories they measure in.
//!
//! A figure means something only beside another one of the same run: so the way a runtime is usually
//! found (`which`, then `--version`, one after the other) is here too, as the thing to be faster than.

pub mod chart;
pub mod delivery;
pub mod serial;

use std::os::unix::fs::symlink;
use std::path::PathBuf;

use runtime_probe::{Ask, Interpreter, Options, probe};
use tempfile::TempDir;

/// The eight runtimes that the reference agent looks for.
pub const EIGHT: [&str; 8] = ["shell", "python", "node", "ruby", "go", "java", "r", "perl"];

/// One interpreter of each runtime this machine has, the preferred one.
///
/// # Panics
///
/// When the machine cannot be probed at all.
pub fn installed() -> Vec<Interpreter> {
    let report = probe(&Options::fast().ask(Ask::Never)).expect("this machine can be probed");
    let mut preferred: Vec<Interpreter> = Vec::new();
    for interpreter in report.runtimes {
        if preferred.iter().all(|other| other.name != interpreter.name) {
            preferred.push(interpreter);
        }
    }
    preferred
}

/// Directories to search: `directories` of them with `entries` files each, and links to the first `count`
/// interpreters of this machine in the last one.
///
/// # Panics
///
/// When the temporary directory cannot be filled.
pub fn search_path(directories: usize, entries: usize, count: usize) -> (TempDir, Options) {
    let base = tempfile::tempdir().expect("a temporary directory");
    let places: Vec<PathBuf> =
        (0..directories.max(1)).map(|index| base.path().join(format!("bin{index}"))).collect();
    for place in &places {
        std::fs::create_dir(place).expect("a directory");
        for entry in 0..entries {
            std::fs::write(place.join(format!("program-{entry}")), b"").expect("a file");
        }
    }
    let last = places.last().expect("there is one at least");
    for interpreter in installed().iter().take(count) {
        symlink(&interpreter.path, last.join(&interpreter.found_as)).expect("a link");
    }
    let path = std::env::join_paths(&places).expect("no colon in a temporary path");
    (base, Options::fast().path(path).off_path(false).ask(Ask::Never))
}
