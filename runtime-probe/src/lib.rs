//! Which language interpreters does this container have, in which versions, and how do we know?
//!
//! [`probe`] answers in two ways. **Fast** mode reads the file system and starts nothing: a version is an
//! exported symbol, a constant, a release file. **Full** mode asks every interpreter itself, several at
//! once, each with a deadline. Both see through links, alternatives, version managers' shims and virtual
//! environments, and both say for every answer how it is known and for every refusal why.
//!
//! ```
//! # fn main() -> Result<(), runtime_probe::Error> {
//! use runtime_probe::{Options, probe};
//!
//! let report = probe(&Options::default())?;
//! for interpreter in &report.runtimes {
//!     println!("{} {:?} {}", interpreter.name, interpreter.version, interpreter.path.display());
//! }
//! print!("{}", report.table());
//! # Ok(())
//! # }
//! ```
//!
//! The crate has no async runtime and no `unsafe`. It never waits for a program longer than told, never
//! trusts a file it reads, and never changes the system it looks at.

mod ask;
mod cache;
mod capabilities;
pub mod catalogue;
#[cfg(feature = "cli")]
pub mod command;
mod compare;
mod elf;
mod environment;
mod error;
mod evidence;
#[doc(hidden)]
pub mod fuzzing;
mod hints;
mod libc;
mod options;
mod pages;
mod probe;
mod program;
mod reason;
mod report;
mod search;
mod shims;
mod survey;
mod table;
mod tree;
pub mod version;

pub use capabilities::{Applets, Capabilities, Gpu};
pub use compare::{Compared, Comparison, Verdict, compare};
pub use environment::{Environment, EnvironmentKind};
pub use error::Error;
pub use libc::glibc_release;
pub use options::{Ask, Mode, Options};
pub use probe::probe;
pub use reason::Reason;
pub use report::{Confidence, Evidence, EvidenceKind, Interpreter, Libc, Rejected, Report, Runnable};
pub use table::Table;
