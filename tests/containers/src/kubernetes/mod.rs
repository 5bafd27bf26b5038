//! Rendered manifests, run in podman as a kubelet runs them.
//!
//! A [`Cluster`] takes objects as they are and runs their pods: init containers one after the other, then the containers;
//! volumes with the owners and modes that a kubelet gives them; variables from secrets; the probes at their own times. Of a
//! pod, every field is either obeyed, or named in `translation` with why it is not, or refused: no field of a chart that
//! is tested here can be passed over in silence.
//!
//! | question | room |
//! | --- | --- |
//! | where is podman told something else than the manifest says? | `translation` |
//! | which images stand in for those that cannot be pulled? | `images` |
//! | what is there beside pods: services, secrets, claims? | `cluster` |
//! | which fields does a pod have? | `manifest` |
//! | how does a pod live and end? | `pod` |
//! | what is a volume made of, and whose is it? | `volumes` |
//! | which variables does a container have? | `variables` |
//! | when is a container ready? | `probe` |

mod cluster;
mod images;
mod manifest;
mod network;
mod pod;
mod probe;
mod translation;
mod variables;
mod volumes;

pub use cluster::Cluster;
pub use images::StandIn;
pub use pod::{Condition, RunningPod};
