//! Packs: directories of actions and runtimes, as people write them.
//!
//! ```text
//! PACK/pack.yaml           ref, label, version
//! PACK/runtimes/*.yaml     how files of a language are run
//! PACK/actions/*.yaml      what can be run, and with which parameters
//! PACK/actions/*           the entry points
//! ```

mod archive;
mod builtin;
mod install;
mod library;
mod manifest;
mod remote;

pub use builtin::{builtin_runtimes, install_builtin, write_builtin};
pub use install::install_pack;
pub use library::{Library, check_parameters, pack_directories, resolve_runtime, unknown_action};
pub use manifest::{ActionManifest, Pack, PackManifest, RuntimeManifest, RuntimeVersionManifest};
pub use remote::RemotePacks;
