//! The system calls that no safe wrapper offers. The only `unsafe` code of the project.

#![expect(
    unsafe_code,
    reason = "fork, wait4, signalfd and the initial environment have no safe interface; each use says why it is sound"
)]

use std::ffi::{CStr, OsStr, c_char};
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
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

/// Overwrites, in place, the values of those variables that this process was started with and that `hidden` names. What
/// the kernel shows of the environment, and a core dump holds, is this very memory; forgetting a variable
/// (`remove_var`) would leave it there.
///
/// The variables stay, as empty ones.
///
/// # Panics
/// When the process has more threads, as another one could be reading the environment.
pub(super) fn wipe_environment(hidden: impl Fn(&OsStr) -> bool) {
    unsafe extern "C" {
        static environ: *const *mut c_char;
    }
    debug_assert_eq!(thread_count(), Some(1), "the environment is changed in a process with several threads");
    // SAFETY: the C library keeps `environ` for the whole life of the process; null means that there is no variable.
    let mut next = unsafe { environ };
    // SAFETY: `environ` is an array of pointers to NUL-terminated text, ended by a null pointer, and is not changed
    // while it is walked: there is no other thread.
    while let Some(entry) = unsafe { next.as_ref() }.copied().filter(|entry| !entry.is_null()) {
        // SAFETY: see above; the text outlives this borrow, which ends before the text is written to.
        let length = unsafe { CStr::from_ptr(entry) }.count_bytes();
        // SAFETY: the text has this many bytes, and belongs to this process: the kernel made it writable memory.
        let text = unsafe { std::slice::from_raw_parts_mut(entry.cast::<u8>(), length) };
        if let Some(equals) = text.iter().position(|byte| *byte == b'=')
            && hidden(OsStr::from_bytes(&text[..equals]))
        {
            text[equals + 1..].fill(0);
        }
        // SAFETY: the entry was not the null pointer that ends the array, so there is another one behind it.
        next = unsafe { next.add(1) };
    }
    // Or the compiler may find that nobody reads what was written.
    std::hint::black_box(next);
}

/// Blocks `SIGCHLD` and returns a descriptor that becomes readable whenever a child has ended.
///
/// A pidfd would do as well for the child itself, and no better: both are events. But only `SIGCHLD` also tells of the
/// children that a subreaper is given.
pub(super) fn child_signal() -> io::Result<OwnedFd> {
    signals(&[libc::SIGCHLD])
}

/// Blocks these signals and returns a descriptor from which they are read.
pub(super) fn signals(numbers: &[libc::c_int]) -> io::Result<OwnedFd> {
    let set = signal_set(numbers);
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

/// A signal that has arrived on a descriptor of [`signals`].
pub(super) struct Arrived {
    pub(super) number: libc::c_int,
    /// The kernel itself sent it, as a terminal's Ctrl-C: every process of the foreground group was sent one.
    pub(super) from_kernel: bool,
}

/// Takes the next signal from a descriptor of [`signals`]; `None` when none is left for now.
pub(super) fn next_signal(from: &File) -> io::Result<Option<Arrived>> {
    let mut info = MaybeUninit::<libc::signalfd_siginfo>::zeroed();
    let size = size_of::<libc::signalfd_siginfo>();
    // SAFETY: the pointer is valid for that many bytes.
    let read = unsafe { libc::read(from.as_raw_fd(), info.as_mut_ptr().cast(), size) };
    if read == -1 {
        let error = io::Error::last_os_error();
        return if error.kind() == io::ErrorKind::WouldBlock { Ok(None) } else { Err(error) };
    }
    // SAFETY: zeroed is a valid record, and the kernel writes whole ones only.
    let info = unsafe { info.assume_init() };
    let number = i32::try_from(info.ssi_signo).map_err(|_| io::ErrorKind::InvalidData)?;
    Ok(Some(Arrived { number, from_kernel: info.ssi_code == libc::SI_KERNEL }))
}

/// Signals are numbered from 1 up to this one.
const LAST_SIGNAL: libc::c_int = 64;

/// Gives every signal that this process ignores its default effect again, but for those to `keep`. An ignored signal
/// survives `exec`, and a handler does not, so this undoes what the process was started with.
pub(super) fn heed_signals(keep: &[libc::c_int]) -> io::Result<()> {
    let fixed = [libc::SIGKILL, libc::SIGSTOP];
    for signal in (1..=LAST_SIGNAL).filter(|one| !fixed.contains(one) && !keep.contains(one)) {
        if signal_action(signal, None)? == libc::SIG_IGN {
            signal_action(signal, Some([libc::SIG_DFL, 0, 0, 0]))?;
        }
    }
    Ok(())
}

/// What the kernel does with a signal, as it was before it is set to `new`.
///
/// The kernel itself is asked: C libraries refuse to speak of those that they keep for themselves, and a starter may have
/// ignored them all the same.
fn signal_action(signal: libc::c_int, new: Option<[usize; 4]>) -> io::Result<usize> {
    // Handler, flags, restorer (not everywhere) and mask: no architecture has more.
    let mut old = [0_usize; 4];
    let new = new.as_ref().map_or(std::ptr::null(), |new| new.as_ptr());
    // SAFETY: both pointers are null or valid for the kernel's record, of which zeros are a valid one, and the only one
    // that is ever set; the size of the mask is the kernel's.
    match unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, new, old.as_mut_ptr(), size_of::<u64>()) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(old[0]),
    }
}

/// Marks every descriptor above standard error to be closed by `exec`.
pub(super) fn close_others_on_exec() {
    const FIRST: libc::c_int = libc::STDERR_FILENO + 1;
    // SAFETY: it takes numbers only, and closes nothing here.
    let marked =
        unsafe { libc::syscall(libc::SYS_close_range, FIRST, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if marked == 0 {
        return;
    }
    // Linux before 5.11, or a filter that does not know the call.
    let listed = std::fs::read_dir("/proc/self/fd").map(|entries| {
        entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect::<Vec<_>>()
    });
    let most = || {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        limit.and_then(|limit| libc::c_int::try_from(limit).ok()).unwrap_or(libc::c_int::MAX).min(1 << 16)
    };
    for descriptor in listed.unwrap_or_else(|_| (FIRST..most()).collect()) {
        if descriptor >= FIRST {
            // SAFETY: it takes numbers only; one that is not open is refused, and is none to mark.
            unsafe { libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) };
        }
    }
}

/// Gives the calling process the signal state that a program expects to be started with: nothing blocked, and nothing
/// ignored (Rust programs ignore `SIGPIPE`).
pub(super) fn reset_signals() -> io::Result<()> {
    unblock_signals()?;
    heed_signals(&[])
}

/// Takes back what [`signals`] has blocked.
pub(super) fn unblock_signals() -> io::Result<()> {
    let set = signal_set(&[]);
    // SAFETY: `set` is initialised; a null old-set pointer is allowed.
    if unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const set, std::ptr::null_mut()) } == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

fn signal_set(signals: &[libc::c_int]) -> libc::sigset_t {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset initialises the set before sigaddset reads it.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for signal in signals {
            libc::sigaddset(set.as_mut_ptr(), *signal);
        }
        set.assume_init()
    }
}

/// What has become of a child.
pub(super) enum Change {
    /// It has ended, and is reaped.
    Ended(Reaped),
    /// It was stopped, and goes on when somebody continues it.
    Stopped(Pid),
}

/// Reaps one child that has ended; `None` when none has, [`io::ErrorKind::NotFound`] when there are no children.
pub(super) fn reap() -> io::Result<Option<Reaped>> {
    Ok(change(libc::WNOHANG)?.map(|change| match change {
        Change::Ended(reaped) => reaped,
        Change::Stopped(_) => unreachable!("nobody has asked for these"),
    }))
}

/// As [`reap`], and tells of children that were stopped, too.
pub(super) fn next_change() -> io::Result<Option<Change>> {
    change(libc::WNOHANG | libc::WUNTRACED)
}

fn change(options: libc::c_int) -> io::Result<Option<Change>> {
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: both pointers are valid for the call.
    let pid = unsafe { libc::wait4(-1, &raw mut status, options, usage.as_mut_ptr()) };
    match pid {
        0 => Ok(None),
        -1 => {
            let error = io::Error::last_os_error();
            if error.raw_os_error() == Some(libc::ECHILD) {
                return Err(io::ErrorKind::NotFound.into());
            }
            Err(error)
        }
        _ if libc::WIFSTOPPED(status) => {
            Ok(Some(Change::Stopped(Pid::from_raw(pid).ok_or_else(io::Error::last_os_error)?)))
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
            Ok(Some(Change::Ended(Reaped { pid, exit, usage: usage_of(&usage) })))
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
