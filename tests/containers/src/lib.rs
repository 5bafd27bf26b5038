//! Roots, images, containers and pods of a test's own, as podman and buildah offer them.
//!
//! Nothing is pulled: a [`Root`] is put together from Debian packages that are installed on this machine, as distroless
//! images are, or from single files. A [`Container`] runs in an instance of a root, or in an [`Image`] that was built
//! from one. A [`Pod`] does what a kubelet does: volumes, init containers one after the other, then the rest.
//!
//! [`kubernetes`] runs rendered manifests, pods as they are written.
//!
//! All of it is in a store of this test process (see [`Engine`]), which goes with it, whatever becomes of it. Every call
//! blocks, with a deadline; what fails ends the test with a sentence.

pub mod busybox;
mod container;
mod engine;
mod image;
pub mod kubernetes;
mod packages;
mod pod;
mod ran;
mod root;
mod volume;

pub use container::{Access, Container, Process, Running, Source};
pub use engine::Engine;
pub use image::{Builder, Image};
pub use pod::Pod;
pub use ran::Ran;
pub use root::{Instance, Root};
pub use volume::Volume;

use std::time::Duration;

/// Nothing that is waited for takes longer, even on a busy machine.
pub const PATIENCE: Duration = Duration::from_mins(2);
