//! What bounds the container as a whole, as far as its control groups can be seen from here.

use super::cgroup::{self, Group, Version};

/// The limits of the container that this process is in; `None` where there is none, or none that shows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ContainerLimits {
    /// The version of the control groups.
    pub version: Option<u8>,
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Processes and threads.
    pub processes: Option<u64>,
    /// Processors' worth of time.
    pub cpus: Option<f64>,
}

impl ContainerLimits {
    /// Reads them.
    pub fn read() -> Self {
        let [memory, pids, cpu] = ["memory", "pids", "cpu"].map(cgroup::find);
        let version = [&memory, &pids, &cpu].into_iter().flatten().next().map(|group| match group.version {
            Version::V1 => 1,
            Version::V2 => 2,
        });
        Self {
            version,
            memory: memory.as_ref().and_then(Group::memory_limit),
            // Where there is no limit stands a word.
            processes: pids.and_then(|group| group.number("pids.max")),
            cpus: cpu.as_ref().and_then(cpus),
        }
    }
}

fn cpus(group: &Group) -> Option<f64> {
    let (quota, period) = match group.version {
        Version::V1 => (group.text("cpu.cfs_quota_us")?, group.text("cpu.cfs_period_us")?),
        Version::V2 => {
            let text = group.text("cpu.max")?;
            let (quota, period) = text.trim().split_once(' ')?;
            (quota.to_owned(), period.to_owned())
        }
    };
    share(&quota, &period)
}

/// Version 1 says "no limit" with a negative quota, version 2 with a word.
fn share(quota: &str, period: &str) -> Option<f64> {
    let (quota, period): (u32, u32) = (quota.trim().parse().ok()?, period.trim().parse().ok()?);
    (period > 0).then(|| f64::from(quota) / f64::from(period))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_a_share_of_a_period() {
        assert_eq!(share("150000\n", "100000\n"), Some(1.5));
        assert_eq!(share("-1", "100000"), None);
        assert_eq!(share("max", "100000"), None);
        assert_eq!(share("1", "0"), None);
    }
}
