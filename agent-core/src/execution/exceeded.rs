//! Which limit ended an action, where that is certain.

use std::fmt;
use std::time::Duration;

use crate::model::{Exit, OutOfMemory, Reason};
use crate::process::{Ended, ProcessLimits};

/// A limit that an action ran into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exceeded {
    Memory(OutOfMemory),
    /// Seconds of processor time that are allowed.
    Cpu(u64),
    /// Bytes that a file may have.
    FileSize(u64),
}

impl Exceeded {
    /// What the action's end says together with what the kernel counted.
    pub(super) fn by(ended: &Ended, limits: &ProcessLimits) -> Option<Self> {
        if let Some(memory) = ended.out_of_memory {
            return Some(Self::Memory(memory));
        }
        let by = |signal| ended.exit == Exit::Signal(signal);
        // A shell says so of the program that it ran; a program may also say it by itself, hence the evidence.
        let through_shell = |signal| ended.exit == Exit::Code(128 + signal);
        if let Some(seconds) = limits.cpu_seconds {
            let used_up = ended.usage.cpu + Duration::from_secs(1) >= Duration::from_secs(seconds);
            // A process that ignores SIGXCPU is killed a little later.
            let killed = by(libc::SIGKILL) || through_shell(libc::SIGKILL) || through_shell(libc::SIGXCPU);
            if by(libc::SIGXCPU) || killed && used_up {
                return Some(Self::Cpu(seconds));
            }
        }
        limits.file_size.filter(|_| by(libc::SIGXFSZ) || through_shell(libc::SIGXFSZ)).map(Self::FileSize)
    }

    pub(super) const fn reason(self) -> Reason {
        match self {
            Self::Memory(_) => Reason::OutOfMemory,
            Self::Cpu(_) => Reason::CpuLimit,
            Self::FileSize(_) => Reason::FileSizeLimit,
        }
    }
}

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Memory(OutOfMemory { limit: Some(limit), peak }) => {
                write!(f, "the action ran out of memory: limit {}, peak {}", Bytes(limit), Bytes(peak))
            }
            Self::Memory(OutOfMemory { limit: None, peak }) => {
                write!(f, "the action was ended when memory ran out: its peak was {}", Bytes(peak))
            }
            Self::Cpu(seconds) => write!(f, "the action used more than {seconds} s of processor time"),
            Self::FileSize(bytes) => write!(f, "the action wrote a file larger than {}", Bytes(bytes)),
        }
    }
}

/// A size as people read it.
struct Bytes(u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
        let bytes = self.0;
        match UNITS.iter().find(|(size, _)| bytes >= *size) {
            Some((size, unit)) => write!(f, "{}.{} {unit}", bytes / size, bytes % size * 10 / size),
            None => write!(f, "{bytes} bytes"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Usage;

    fn ended(exit: Exit, cpu_seconds: u64) -> Ended {
        let usage = Usage { cpu: Duration::from_secs(cpu_seconds), peak_kib: 1024 };
        Ended { exit, usage, swept: 0, out_of_memory: None, at: tokio::time::Instant::now() }
    }

    #[test]
    fn a_limit_is_named_only_where_it_is_set_and_was_reached() {
        let limits =
            ProcessLimits { cpu_seconds: Some(3), file_size: Some(1 << 20), ..ProcessLimits::default() };
        let by = |exit, cpu| Exceeded::by(&ended(exit, cpu), &limits);
        assert_eq!(by(Exit::Signal(libc::SIGXCPU), 3), Some(Exceeded::Cpu(3)));
        assert_eq!(by(Exit::Signal(libc::SIGKILL), 8), Some(Exceeded::Cpu(3)));
        assert_eq!(by(Exit::Signal(libc::SIGKILL), 1), None, "somebody else sent it");
        assert_eq!(by(Exit::Code(128 + libc::SIGXFSZ), 0), Some(Exceeded::FileSize(1 << 20)));
        assert_eq!(by(Exit::Code(1), 9), None);
        assert_eq!(Exceeded::by(&ended(Exit::Signal(libc::SIGXCPU), 3), &ProcessLimits::default()), None);
    }

    #[test]
    fn sizes_are_readable() {
        let memory = OutOfMemory { limit: Some(64 << 20), peak: (64 << 20) - 1 };
        assert_eq!(
            Exceeded::Memory(memory).to_string(),
            "the action ran out of memory: limit 64.0 MiB, peak 63.9 MiB"
        );
    }
}
