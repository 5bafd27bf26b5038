//! What an Attune worker is and does.
//!
//! A reader should guess the room from the question:
//!
//! | question | room |
//! | --- | --- |
//! | what may be configured, and from where? | [`config`] |
//! | what do we know about the world? | [`model`] |
//! | what is in a pack? | [`packs`] |
//! | where do logs and other files go? | [`artifacts`] |
//! | how do we speak to the API of Attune? | [`api`] |
//! | what do we ask of a control plane, and who answers? | [`control_plane`] |
//! | how does a worker live and die? | [`worker`] |
//! | how does one execution live and die? | [`execution`] |
//! | how is a process run, watched and ended? | [`process`] (the only `unsafe`) |
//! | what must not leak? | [`secrets`] |
//! | whom do we trust over TLS? | `tls` |
//! | how does anyone see it? | [`telemetry`] |

pub mod api;
pub mod artifacts;
pub mod config;
pub mod control_plane;
pub mod environment;
pub mod execution;
pub mod model;
pub mod packs;
pub mod process;
pub mod secrets;
pub mod telemetry;
pub mod worker;

mod backoff;
mod error;
mod tls;
mod volume;

pub use error::{Error, ErrorKind, Result};

/// This program's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
