//! Control groups: where all processes of an execution are counted, limited and ended together.
//!
//! Both versions are spoken, because containers meet both. A group can only be made where the worker may write its own
//! one: as root outside of a container, in a service with `Delegate=yes`, in a container that was given its group.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::limits::ProcessLimits;
use crate::model::OutOfMemory;

/// The group that the agent moves to in version 2, where a group has either processes or groups below it that limit.
const AGENT_GROUP: &str = "attune-agent";

/// How the names of executions' groups begin; the supervisor's process id follows.
const EXECUTION_PREFIX: &str = "attune-execution-";

/// Where groups for executions can be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Cgroups {
    /// One hierarchy for everything.
    V2 { directory: PathBuf },
    /// One hierarchy a resource, as far as it is there.
    V1 { memory: Option<PathBuf>, pids: Option<PathBuf> },
}

/// A group of this process, and where its file system is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) directory: PathBuf,
    pub(super) version: Version,
}

/// How a hierarchy speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    V1,
    V2,
}

/// The groups of one execution. They are removed when it has ended.
#[derive(Debug)]
pub(super) struct Cage {
    version: Version,
    memory: Option<PathBuf>,
    pids: Option<PathBuf>,
}

impl Cgroups {
    /// Finds where groups with these limits can be made, and prepares that. `None` is nowhere.
    pub(super) fn prepare(limits: &ProcessLimits) -> Option<Self> {
        let wanted = [("memory", limits.memory.is_some()), ("pids", limits.processes.is_some())];
        let wanted: Vec<&str> =
            wanted.into_iter().filter_map(|(name, wanted)| wanted.then_some(name)).collect();
        let found = find("memory").or_else(|| find("pids"))?;
        let cgroups = match found.version {
            Version::V2 => {
                let prepared = prepare_v2(&found.directory, &wanted);
                if let Err(error) = prepared {
                    tracing::debug!(%error, directory = %found.directory.display(),
                        "no groups can be made for executions");
                    return None;
                }
                Self::V2 { directory: found.directory }
            }
            Version::V1 => {
                let place = |name| find(name).map(|group| group.directory).filter(|place| is_writable(place));
                let place = |name| wanted.contains(&name).then(|| place(name)).flatten();
                let (memory, pids) = (place("memory"), place("pids"));
                if memory.is_none() && pids.is_none() {
                    return None;
                }
                Self::V1 { memory, pids }
            }
        };
        cgroups.directories().for_each(remove_left_over);
        Some(cgroups)
    }

    fn directories(&self) -> impl Iterator<Item = &Path> {
        let (first, second) = match self {
            Self::V2 { directory } => (Some(directory), None),
            Self::V1 { memory, pids } => (memory.as_ref(), pids.as_ref()),
        };
        first.into_iter().chain(second).map(PathBuf::as_path)
    }

    /// Whether an execution's memory is counted in a group.
    pub(super) fn limit_memory(&self) -> bool {
        !matches!(self, Self::V1 { memory: None, .. })
    }

    /// Whether an execution's processes are counted in a group.
    pub(super) fn limit_processes(&self) -> bool {
        !matches!(self, Self::V1 { pids: None, .. })
    }

    /// Makes the groups of one execution, which the supervisor with this process id looks after.
    pub(super) fn cage(&self, supervisor: i32, limits: &ProcessLimits) -> io::Result<Cage> {
        let cage = self.cage_of(supervisor);
        cage.make(limits).inspect_err(|_| cage.remove())?;
        Ok(cage)
    }

    /// Where the groups of that execution are, once they are made.
    pub(super) fn cage_of(&self, supervisor: i32) -> Cage {
        let name = format!("{EXECUTION_PREFIX}{supervisor}");
        let below = |directory: &PathBuf| directory.join(&name);
        match self {
            Self::V2 { directory } => {
                let directory = below(directory);
                Cage { version: Version::V2, memory: Some(directory.clone()), pids: Some(directory) }
            }
            Self::V1 { memory, pids } => {
                let (memory, pids) = (memory.as_ref().map(below), pids.as_ref().map(below));
                Cage { version: Version::V1, memory, pids }
            }
        }
    }
}

/// Whether groups can be made below this one, found out by making one.
fn is_writable(directory: &Path) -> bool {
    let probe = directory.join(format!("attune-probe-{}", std::process::id()));
    fs::create_dir(&probe).and_then(|()| fs::remove_dir(&probe)).is_ok()
}

/// Removes groups whose supervisor was killed from outside. One that still holds a process stays: it cannot be removed.
fn remove_left_over(directory: &Path) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let supervisor = name.to_str().and_then(|name| name.strip_prefix(EXECUTION_PREFIX));
        if supervisor.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            fs::remove_dir(entry.path()).ok();
        }
    }
}

/// Moves this process out of the way and switches the controllers on.
fn prepare_v2(directory: &Path, wanted: &[&str]) -> io::Result<()> {
    let switches = directory.join("cgroup.subtree_control");
    let on = fs::read_to_string(&switches)?;
    let missing: Vec<String> = wanted
        .iter()
        .filter(|name| !on.split_ascii_whitespace().any(|one| one == **name))
        .map(|name| format!("+{name}"))
        .collect();
    // The root of all groups may have both processes and limits below it, and says so by having no type.
    if directory.join("cgroup.type").exists() {
        let own = directory.join(AGENT_GROUP);
        match fs::create_dir(&own) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let parent = rustix::process::getppid().filter(|parent| {
            // The process that reaps for this one; anybody else's group is none of ours.
            fs::read_to_string(format!("/proc/{parent}/comm"))
                .is_ok_and(|name| name.trim() == super::init::NAME)
        });
        for pid in [Some(rustix::process::getpid()), parent].into_iter().flatten() {
            fs::write(own.join("cgroup.procs"), pid.as_raw_pid().to_string())?;
        }
    }
    if missing.is_empty() { Ok(()) } else { fs::write(&switches, missing.join(" ")) }
}

impl Cage {
    fn make(&self, limits: &ProcessLimits) -> io::Result<()> {
        for directory in self.directories() {
            fs::create_dir(directory)?;
        }
        if let (Some(directory), Some(limit)) = (&self.memory, limits.memory) {
            let set = |file: &str, value: u64| fs::write(directory.join(file), value.to_string());
            match self.version {
                Version::V2 => {
                    set("memory.max", limit)?;
                    // One process of an execution is of no use without the others.
                    set("memory.oom.group", 1)?;
                    // Where there is no swap there is no such file either.
                    unless_missing(set("memory.swap.max", 0))?;
                }
                Version::V1 => {
                    set("memory.limit_in_bytes", limit)?;
                    unless_missing(set("memory.memsw.limit_in_bytes", limit))?;
                }
            }
        }
        if let (Some(directory), Some(limit)) = (&self.pids, limits.processes) {
            fs::write(directory.join("pids.max"), limit.to_string())?;
        }
        Ok(())
    }

    pub(super) fn exists(&self) -> bool {
        self.directories().any(|directory| directory.exists())
    }

    /// Each directory once.
    fn directories(&self) -> impl Iterator<Item = &PathBuf> {
        let pids = self.pids.as_ref().filter(|pids| self.memory.as_ref() != Some(pids));
        self.memory.iter().chain(pids)
    }

    /// Moves the calling process in, before it becomes the action: nothing that it starts can be outside.
    pub(super) fn enter(&self) -> io::Result<()> {
        self.directories().try_for_each(|directory| fs::write(directory.join("cgroup.procs"), "0"))
    }

    /// Lets nothing in it fork any more and ends all of it, where the kernel can do that at once.
    pub(super) fn kill(&self) {
        // Where one of these is missing (cgroup.kill is of Linux 5.14), ending one by one has to do.
        if let Some(pids) = &self.pids {
            fs::write(pids.join("pids.max"), "0").ok();
        }
        if self.version == Version::V2 {
            self.directories().for_each(|directory| {
                fs::write(directory.join("cgroup.kill"), "1").ok();
            });
        }
    }

    /// What the kernel says about memory: `None` where it ended nothing.
    pub(super) fn out_of_memory(&self) -> Option<OutOfMemory> {
        let group = Group { directory: self.memory.clone()?, version: self.version };
        if group.oom_kills()? == 0 {
            return None;
        }
        Some(OutOfMemory { limit: group.memory_limit(), peak: group.memory_peak().unwrap_or(0) })
    }

    /// Removes the groups, in which nothing may be left.
    pub(super) fn remove(&self) {
        for directory in self.directories() {
            // What cannot be removed has a process that cannot be ended. It costs nothing but its name.
            fs::remove_dir(directory).ok();
        }
    }
}

impl Group {
    /// How often the kernel has ended one of its processes for want of memory.
    pub(super) fn oom_kills(&self) -> Option<u64> {
        oom_kills_in(&fs::read_to_string(self.events()).ok()?)
    }

    /// The file that holds [`Self::oom_kills`].
    pub(super) fn events(&self) -> PathBuf {
        self.directory.join(match self.version {
            Version::V1 => "memory.oom_control",
            Version::V2 => "memory.events",
        })
    }

    /// Bytes that it may use.
    pub(super) fn memory_limit(&self) -> Option<u64> {
        let limit = self.number(match self.version {
            Version::V1 => "memory.limit_in_bytes",
            Version::V2 => "memory.max",
        })?;
        // Version 1 says "no limit" with the largest number of pages there is.
        (limit < u64::MAX / 4).then_some(limit)
    }

    /// Bytes that it used at most.
    fn memory_peak(&self) -> Option<u64> {
        self.number(match self.version {
            Version::V1 => "memory.max_usage_in_bytes",
            // Of Linux 5.19.
            Version::V2 => "memory.peak",
        })
    }

    /// The number that one of its files holds.
    pub(super) fn number(&self, file: &str) -> Option<u64> {
        self.text(file)?.trim().parse().ok()
    }

    /// What one of its files holds.
    pub(super) fn text(&self, file: &str) -> Option<String> {
        fs::read_to_string(self.directory.join(file)).ok()
    }
}

/// The count of processes ended for want of memory in the text of [`Group::events`].
pub(super) fn oom_kills_in(text: &str) -> Option<u64> {
    counter(text, "oom_kill")
}

/// The number that stands behind `name` in lines of names and numbers.
fn counter(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

/// The group of this process that counts a resource, as far as it can be seen from here.
pub(super) fn find(controller: &str) -> Option<Group> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let group = locate(controller, &groups, &mounts)?;
    // In version 2 a hierarchy is there whatever it counts.
    let counts = match group.version {
        Version::V1 => true,
        Version::V2 => fs::read_to_string(group.directory.join("cgroup.controllers"))
            .is_ok_and(|names| names.split_ascii_whitespace().any(|name| name == controller)),
    };
    counts.then_some(group)
}

/// Finds the directory from `/proc/self/cgroup` and `/proc/self/mountinfo`.
fn locate(controller: &str, groups: &str, mounts: &str) -> Option<Group> {
    let paths = groups.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        Some((fields.next()?, fields.next()?))
    });
    let of_v1 = |names: &str| names.split(',').any(|name| name == controller);
    let (path, version) =
        paths.clone().find(|(names, _)| of_v1(names)).map(|(_, path)| (path, Version::V1)).or_else(|| {
            paths.clone().find(|(names, _)| names.is_empty()).map(|(_, path)| (path, Version::V2))
        })?;
    mounts.lines().find_map(|line| {
        let (place, kind) = line.split_once(" - ")?;
        let mut place = place.split(' ').skip(3);
        let (root, mounted) = (place.next()?, place.next()?);
        let mut kind = kind.split(' ');
        let (fs, _, options) = (kind.next()?, kind.next()?, kind.next()?);
        let fits = match version {
            Version::V1 => fs == "cgroup" && options.split(',').any(|option| option == controller),
            Version::V2 => fs == "cgroup2",
        };
        // A container sees its own group as the root, by a mount or by a namespace.
        let below = Path::new(path).strip_prefix(root).ok()?;
        fits.then(|| Group { directory: Path::new(mounted).join(below), version })
    })
}

fn unless_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1_MOUNT: &str =
        "30 25 0:26 /docker/ab /sys/fs/cgroup/memory ro,nosuid - cgroup cgroup rw,memory\n";
    const V2_MOUNT: &str = "31 25 0:27 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup rw,nsdelegate\n";

    #[test]
    fn a_group_is_found_where_its_hierarchy_is_mounted() {
        let found =
            locate("memory", "4:memory:/docker/ab/c\n0::/\n", &format!("{V2_MOUNT}{V1_MOUNT}")).unwrap();
        assert_eq!(found.directory, Path::new("/sys/fs/cgroup/memory/c"));
        assert_eq!(found.version, Version::V1);
        let found = locate("memory", "0::/system.slice/a.service\n", V2_MOUNT).unwrap();
        assert_eq!(found.directory, Path::new("/sys/fs/cgroup/system.slice/a.service"));
        assert_eq!(found.version, Version::V2);
    }

    #[test]
    fn a_group_that_cannot_be_seen_is_none() {
        assert_eq!(locate("memory", "4:memory:/elsewhere\n", V1_MOUNT), None);
        assert_eq!(locate("memory", "", V2_MOUNT), None);
        assert_eq!(locate("memory", "0::/a\n", ""), None);
    }

    #[test]
    fn a_counter_is_read_by_its_whole_name() {
        let events = "low 0\nmax 7\noom 2\noom_kill 3\noom_group_kill 1\n";
        assert_eq!(counter(events, "oom_kill"), Some(3));
        assert_eq!(counter(events, "oom"), Some(2));
        assert_eq!(counter("oom_kill_disable 0\nunder_oom 0\noom_kill 5\n", "oom_kill"), Some(5));
        assert_eq!(counter("", "oom_kill"), None);
    }
}
