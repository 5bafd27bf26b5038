//! Identifiers: every main table of the control plane is keyed by a `bigint`, and mixing them up must not compile.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )+};
}

ids! {
    /// `worker.id`: also names the worker's queues.
    WorkerId,
    /// `execution.id`.
    ExecutionId,
    /// `action.id`.
    ActionId,
    /// `runtime.id`.
    RuntimeId,
    /// `runtime_version.id`.
    RuntimeVersionId,
    /// `pack.id`.
    PackId,
    /// `artifact_version.id`.
    ArtifactVersionId,
}
