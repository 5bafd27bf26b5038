//! What a process gets from whoever starts it, beside arguments and variables: signals that are ignored or blocked, and
//! open descriptors. None of it is meant for what runs here.
//!
//! A shell that ignores `SIGCHLD` would have the kernel reap the action before anybody learns how it ended; one that
//! ignores `SIGTERM` would make an action that cannot be asked to end; and a descriptor that holds a lock would hold it in
//! every action.

use super::sys;

/// Undoes what this process was started with. To be called first in `main`: nothing has a handler or a descriptor of
/// its own yet.
///
/// The process itself goes on ignoring `SIGPIPE`, which Rust's runtime has it do, and `SIGHUP`, where whoever started it
/// says so: that is what `nohup` is for. What it starts heeds both.
pub fn disinherit() {
    // Neither can fail with these arguments, and whoever runs this has no log yet.
    sys::unblock_signals().ok();
    sys::heed_signals(&[libc::SIGPIPE, libc::SIGHUP]).ok();
    sys::close_others_on_exec();
}
