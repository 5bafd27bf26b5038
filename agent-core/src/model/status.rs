//! The states of a worker and of an execution, spelled as the control plane's enums spell them (CONTRACT §1.2).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! labels {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $label:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum $name {$(
            $(#[$vdoc])*
            #[serde(rename = $label)]
            $variant
        ),+}

        impl $name {
            /// Every state, in the order of the control plane's enum.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The label that the database and the messages use.
            pub const fn as_str(self) -> &'static str {
                match self {$(Self::$variant => $label),+}
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownLabel;

            fn from_str(text: &str) -> Result<Self, UnknownLabel> {
                Self::ALL
                    .iter()
                    .copied()
                    .find(|state| state.as_str() == text)
                    .ok_or_else(|| UnknownLabel { text: text.to_owned(), of: stringify!($name) })
            }
        }
    };
}

/// A label that is not one of the control plane's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a known {of}")]
pub struct UnknownLabel {
    text: String,
    of: &'static str,
}

labels! {
    /// `execution_status_enum`. Note one L in `canceling` and two in `cancelled`.
    ExecutionStatus {
        /// Asked for, and nobody has looked at it.
        Requested = "requested",
        /// The scheduler is looking for a worker.
        Scheduling = "scheduling",
        /// Handed to a worker that has not claimed it yet.
        Scheduled = "scheduled",
        /// Claimed: a process runs, or is about to.
        Running = "running",
        /// Ended well.
        Completed = "completed",
        /// Ended badly.
        Failed = "failed",
        /// Somebody asked to cancel it while it ran.
        Canceling = "canceling",
        /// Ended because somebody asked for it.
        Cancelled = "cancelled",
        /// Ended because it took too long.
        Timeout = "timeout",
        /// Its worker was lost or had to stop before it ended.
        Abandoned = "abandoned",
    }
}

labels! {
    /// `worker_status_enum`.
    WorkerStatus {
        /// Alive, and may be given work.
        Active = "active",
        /// Not there.
        Inactive = "inactive",
        /// Alive, but takes nothing new: what a draining worker is.
        Busy = "busy",
        /// Alive and broken.
        Error = "error",
    }
}

labels! {
    /// `worker_type_enum`.
    WorkerType {
        /// On somebody's machine.
        Local = "local",
        /// On another host.
        Remote = "remote",
        /// In a container.
        Container = "container",
    }
}

impl ExecutionStatus {
    /// Whether this state is final. A final state is never replaced.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled | Self::Timeout | Self::Abandoned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_survive_the_round_trip() {
        for status in ExecutionStatus::ALL {
            assert_eq!(status.as_str().parse::<ExecutionStatus>().unwrap(), *status);
        }
        assert!("canceled".parse::<ExecutionStatus>().is_err());
    }
}
