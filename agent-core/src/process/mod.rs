//! How a process is started, watched and ended.
//!
//! Three processes share the work, so that each part can be simple and exact:
//!
//! ```text
//! agent ──(socket, descriptors)──▶ zygote ──fork──▶ supervisor ──fork, exec──▶ the action (own session)
//!   ▲                                                  │  ▲                        │
//!   └───────────── events, one stream an execution ────┘  └── orphans come here ◀──┘
//! ```
//!
//! * The **zygote** is this program started again with an empty environment before any work is taken. It is small,
//!   single-threaded and holds no credential, so that forking it is cheap and safe, and nothing that runs below it can
//!   find the agent's secrets in inherited memory.
//! * One **supervisor** an execution, forked from the zygote, is a *subreaper*: whatever the action starts stays
//!   its descendant, through `setsid`, double forks and cleared environments. When the action's own process ends,
//!   the supervisor ends everything else and only then reports the end. When the agent dies, even by `SIGKILL`, the
//!   stream between them closes and the supervisor ends the action: nothing runs that nobody watches.
//! * The **agent** holds one stream a supervisor and awaits its events; it never polls a process.
//!
//! In a container there is a fourth, **init**, the agent's parent: process 1, which reaps whatever is left to it.
//!
//! All `unsafe` code of the project is in `sys`.

mod cgroup;
mod child;
mod confinement;
mod container;
mod family;
mod hardening;
mod helper;
mod hidden_files;
mod inheritance;
mod init;
mod limits;
mod linger;
mod oom;
mod request;
mod spawner;
mod supervisor;
mod sweep;
mod sys;
mod wire;
mod zygote;

pub use child::{Child, Ended, Usage};
pub(crate) use child::{Heard, read_now};
pub use confinement::Confinement;
pub use container::ContainerLimits;
pub use hardening::{allow_dumps, harden, is_hardened, wipe_variables};
pub use hidden_files::Exposed;
pub use inheritance::disinherit;
pub use init::leave_orphans_to_init;
pub use limits::ProcessLimits;
pub use spawner::{Permit, SpawnError, Spawner};
pub use sys::signal_name;
pub use wire::Job;
pub use zygote::enter_if_asked;
