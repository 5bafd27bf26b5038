//! What the container's runtime and the kernel allow.

use agent_core::process::{Confinement, ContainerLimits, Spawner};

use super::check::Check;
use super::files::bytes;

const CATEGORY: &str = "sandbox";

pub(super) fn checks() -> Vec<Check> {
    // Without it nothing can be started, which is told below.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mut checks = vec![processes(), privileges(&status)];
    checks.extend(seccomp(&status));
    checks.push(limits(&ContainerLimits::read()));
    checks
}

/// A worker starts everything through a helper process.
fn processes() -> Check {
    match Spawner::start(Confinement::default()) {
        Ok(_ends_here) => Check::fine(CATEGORY, "processes can be started"),
        Err(error) => {
            let hint = if std::path::Path::new("/proc/self/exe").exists() {
                "see what the container's seccomp profile and limit on processes refuse"
            } else {
                "there is no /proc; every container runtime mounts one"
            };
            Check::broken(CATEGORY, error.to_string(), Some(hint.to_owned()))
        }
    }
}

fn privileges(status: &str) -> Check {
    let capabilities = field(status, "CapEff").and_then(|mask| u64::from_str_radix(mask, 16).ok());
    let held = match capabilities {
        None => "capabilities cannot be told".to_owned(),
        Some(0) => "no capabilities".to_owned(),
        Some(mask) => format!("{} capabilities", mask.count_ones()),
    };
    match field(status, "NoNewPrivs") {
        Some("1") => Check::fine(CATEGORY, format!("{held}, and no privileges can be gained")),
        _ => Check::fine(CATEGORY, format!("{held}, and privileges can be gained, but not by actions")).hint(
            "`allowPrivilegeEscalation: false` and `capabilities: {drop: [ALL]}` are enough for a worker",
        ),
    }
}

/// `None` where the kernel does not say.
fn seccomp(status: &str) -> Option<Check> {
    Some(match field(status, "Seccomp")? {
        "0" => Check::fine(CATEGORY, "system calls are not filtered")
            .hint("`seccompProfile: {type: RuntimeDefault}` is enough for a worker"),
        _ => Check::fine(CATEGORY, "system calls are filtered (seccomp)"),
    })
}

fn limits(limits: &ContainerLimits) -> Check {
    let Some(version) = limits.version else {
        return Check::fine(CATEGORY, "control groups cannot be seen")
            .hint("whether an action ran out of memory can then not be told");
    };
    let told = [
        limits.memory.map(|memory| format!("memory {}", bytes(memory))),
        limits.cpus.map(|cpus| format!("{cpus} processors")),
        limits.processes.map(|processes| format!("{processes} processes")),
    ];
    let told: Vec<_> = told.into_iter().flatten().collect();
    if told.is_empty() {
        return Check::fine(CATEGORY, format!("control groups of version {version} set no limits"))
            .hint("`resources.limits` keep one container from taking the whole machine");
    }
    Check::fine(CATEGORY, format!("control groups of version {version}: {}", told.join(", ")))
}

/// A field of `/proc/self/status`.
fn field<'s>(status: &'s str, name: &str) -> Option<&'s str> {
    status.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_known_by_its_whole_name() {
        let status = "Seccomp_filters:\t3\nSeccomp:\t2\nCapEff:\t00000000a80425fb\nNoNewPrivs:\t1\n";
        assert_eq!(field(status, "Seccomp"), Some("2"));
        assert_eq!(field(status, "Cap"), None);
        assert!(format!("{:?}", privileges(status)).contains("14 capabilities, and no privileges"));
    }

    #[test]
    fn limits_are_told_where_there_are_any() {
        let some =
            ContainerLimits { version: Some(2), memory: Some(512 << 20), processes: None, cpus: Some(0.5) };
        assert!(format!("{:?}", limits(&some)).contains("version 2: memory 512 MiB, 0.5 processors"));
        let none = ContainerLimits { version: Some(1), ..ContainerLimits::default() };
        assert!(format!("{:?}", limits(&none)).contains("set no limits"));
        assert!(format!("{:?}", limits(&ContainerLimits::default())).contains("cannot be seen"));
    }
}
