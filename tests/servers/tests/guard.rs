//! Nothing of a server is left when the process that started it is gone, however it went.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags};

/// The process ids of all descendants of `of`.
fn descendants(of: u32) -> BTreeSet<u32> {
    let mut found = BTreeSet::from([of]);
    loop {
        let known = found.len();
        for entry in std::fs::read_dir("/proc").expect("a process file system").flatten() {
            let Ok(id) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
            // Gone since it was listed, perhaps.
            let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
            let parent =
                stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)?.parse().ok());
            if parent.is_some_and(|parent: u32| found.contains(&parent)) {
                found.insert(id);
            }
        }
        if found.len() == known {
            found.remove(&of);
            return found;
        }
    }
}

fn command_line(id: u32) -> Vec<String> {
    let line = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
    line.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

/// The directories that servers have been given.
fn directories(of: &BTreeSet<u32>) -> BTreeSet<PathBuf> {
    let words = of.iter().flat_map(|id| command_line(*id));
    let named = words.filter(|word| word.starts_with('/')).map(PathBuf::from);
    let below = |path: PathBuf| {
        let found = path
            .ancestors()
            .find(|at| at.file_name().is_some_and(|name| name.to_string_lossy().starts_with("attune-test-")));
        found.map(PathBuf::from)
    };
    named.filter_map(below).collect()
}

/// Runs until its servers are up.
fn holder() -> Child {
    let mut holder = Command::new(env!("CARGO_BIN_EXE_test-servers"));
    holder.env_remove("DATABASE_URL").env_remove("AMQP_URL").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut holder = holder.spawn().expect("a program of this package");
    let lines = BufReader::new(holder.stdout.take().expect("a pipe")).lines();
    let names: Vec<String> = lines
        .take(2)
        .map(|line| line.expect("text").split('=').next().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(names, ["DATABASE_URL", "AMQP_URL"]);
    holder
}

#[test]
fn servers_end_with_a_process_that_is_killed() {
    let mut holder = holder();
    let all = descendants(holder.id());
    let directories = directories(&all);
    assert_eq!(directories.len(), 2, "{directories:?}");
    let runs = |program: &str| all.iter().any(|id| command_line(*id)[0].ends_with(program));
    assert!(["/postgres", "beam.smp", "epmd"].into_iter().all(runs), "all servers are found among {all:?}");
    let watched = all.iter().filter_map(|id| {
        let pid = Pid::from_raw(i32::try_from(*id).ok()?)?;
        rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok()
    });
    let watched: Vec<_> = watched.collect();

    holder.kill().expect("the process is there");
    holder.wait().expect("the process is ours");
    for process in &watched {
        let patience = Timespec { tv_sec: 60, tv_nsec: 0 };
        let mut polled = [PollFd::new(process, PollFlags::IN)];
        let ended = rustix::event::poll(&mut polled, Some(&patience)).expect("a pollable handle");
        assert_eq!(ended, 1, "a server, or what it started, is left of {all:?}");
    }
    for directory in &directories {
        assert!(!directory.exists(), "{} is left", directory.display());
    }
}
