//! The system calls that no safe wrapper offers. The only `unsafe` code of the project.

#![expect(
    unsafe_code,
    reason = "fork, wait4 and signalfd have no safe interface; each use says why it is sound"
)]

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{FromRawFd, OwnedFd};
use std::time::Duration;

use rustix::process::Pid;

use super::child::Usage;
use crate::model::Exit;

/// Which side of a fork this is.
pub(super) enum Fork {
    /// The one that called.
    Parent(Pid),
    /// The new one.
    Child,
}

/// A child that has ended and been reaped.
pub(super) struct Reaped {
    pub(super) pid: Pid,
    pub(super) exit: Exit,
    pub(super) usage: Usage,
}

/// Forks a process that has one thread.
///
/// # Panics
/// When the process has more threads: the child would inherit locks that nobody can release.
pub(super) fn fork_single_threaded() -> io::Result<Fork> {
    debug_assert_eq!(thread_count(), Some(1), "fork in a process with several threads");
    // SAFETY: the zygote and its supervisors never start a thread, so the child is a complete copy: no lock is
    // held by a thread that does not exist there, and every Rust function may be called in it.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Fork::Child),
        pid => Ok(Fork::Parent(Pid::from_raw(pid).ok_or_else(io::Error::last_os_error)?)),
    }
}

fn thread_count() -> Option<usize> {
    // Without /proc the question cannot be answered; the callers are single-threaded by construction.
    std::fs::read_dir("/proc/self/task").ok().map(Iterator::count)
}

/// Blocks `SIGCHLD` and returns a descriptor that becomes readable whenever a child has ended.
pub(super) fn child_signal() -> io::Result<OwnedFd> {
    let set = signal_set(libc::SIGCHLD);
    // SAFETY: `set` is initialised; a null old-set pointer is allowed.
    if unsafe { libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) } == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: `set` is initialised, and -1 asks for a new descriptor.
    let fd = unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
    if fd == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just given us this descriptor, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Gives the calling process the signal state that a program expects to be started with: nothing blocked, and
/// `SIGPIPE` fatal (Rust programs ignore it, and an ignored signal survives `exec`).
pub(super) fn reset_signals() -> io::Result<()> {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset initialises the set; the other arguments are constants or null.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        if libc::sigprocmask(libc::SIG_SETMASK, set.as_ptr(), std::ptr::null_mut()) == -1
            || libc::signal(libc::SIGPIPE, libc::SIG_DFL) == libc::SIG_ERR
        {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

fn signal_set(signal: libc::c_int) -> libc::sigset_t {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset initialises the set before sigaddset reads it.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), signal);
        set.assume_init()
    }
}

/// Reaps one child that has ended; `None` when none has, [`io::ErrorKind::NotFound`] when there are no children.
pub(super) fn reap() -> io::Result<Option<Reaped>> {
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: both pointers are valid for the call; WNOHANG never blocks.
    let pid = unsafe { libc::wait4(-1, &raw mut status, libc::WNOHANG, usage.as_mut_ptr()) };
    match pid {
        0 => Ok(None),
        -1 => {
            let error = io::Error::last_os_error();
            if error.raw_os_error() == Some(libc::ECHILD) {
                return Err(io::ErrorKind::NotFound.into());
            }
            Err(error)
        }
        _ => {
            // SAFETY: zeroed is a valid rusage, and wait4 has filled it.
            let usage = unsafe { usage.assume_init() };
            let exit = if libc::WIFSIGNALED(status) {
                Exit::Signal(libc::WTERMSIG(status))
            } else {
                Exit::Code(libc::WEXITSTATUS(status))
            };
            let pid = Pid::from_raw(pid).ok_or_else(io::Error::last_os_error)?;
            Ok(Some(Reaped { pid, exit, usage: usage_of(&usage) }))
        }
    }
}

fn usage_of(usage: &libc::rusage) -> Usage {
    let micros = |time: libc::timeval| {
        u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000 + u64::try_from(time.tv_usec).unwrap_or(0)
    };
    Usage {
        cpu: Duration::from_micros(micros(usage.ru_utime) + micros(usage.ru_stime)),
        peak_kib: u64::try_from(usage.ru_maxrss).unwrap_or(0),
    }
}

/// Ends the calling process without running destructors or exit handlers, which belong to the process it was forked
/// from.
pub(super) fn exit_now(status: i32) -> ! {
    // SAFETY: _exit takes any status and does not return.
    unsafe { libc::_exit(status) }
}

/// The name of a signal, for example `SIGTERM`.
pub fn signal_name(signal: i32) -> String {
    const NAMES: &[(i32, &str)] = &[
        (libc::SIGHUP, "SIGHUP"),
        (libc::SIGINT, "SIGINT"),
        (libc::SIGQUIT, "SIGQUIT"),
        (libc::SIGILL, "SIGILL"),
        (libc::SIGTRAP, "SIGTRAP"),
        (libc::SIGABRT, "SIGABRT"),
        (libc::SIGBUS, "SIGBUS"),
        (libc::SIGFPE, "SIGFPE"),
        (libc::SIGKILL, "SIGKILL"),
        (libc::SIGUSR1, "SIGUSR1"),
        (libc::SIGSEGV, "SIGSEGV"),
        (libc::SIGUSR2, "SIGUSR2"),
        (libc::SIGPIPE, "SIGPIPE"),
        (libc::SIGALRM, "SIGALRM"),
        (libc::SIGTERM, "SIGTERM"),
        (libc::SIGXCPU, "SIGXCPU"),
        (libc::SIGXFSZ, "SIGXFSZ"),
        (libc::SIGSYS, "SIGSYS"),
    ];
    NAMES
        .iter()
        .find(|(number, _)| *number == signal)
        .map_or_else(|| format!("signal {signal}"), |(_, name)| (*name).to_owned())
}
