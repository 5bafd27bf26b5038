//! Where a worker is asked: a socket in its working directory.
//!
//! Not a port: those of a pod are its owner's, and two workers on a machine would want the same. Not a name without a
//! file either, where there is a directory: such names belong to the network namespace, which pods may share, while a
//! directory belongs to one container and one user.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ring::digest::{SHA256, digest};
use rustix::fs::{Mode, OFlags};
use rustix::net::sockopt::{Timeout, set_socket_timeout, socket_peercred};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with,
};

/// So many who ask may wait at once; one more is told that the worker is busy.
const BACKLOG: i32 = 16;

/// A longer file name might not fit into an address, of which the kernel takes 107 bytes.
const LONGEST_NAME: usize = 80;

/// Where one worker answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address(Place);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    File {
        directory: PathBuf,
        name: String,
    },
    /// Where there is no directory that can be written.
    Nameless(Vec<u8>),
}

impl Address {
    /// In a directory that the worker `name`, one path component, shares with no other of this name.
    pub fn in_directory(directory: &Path, name: &str) -> Self {
        let name = if name.len() <= LONGEST_NAME { name.to_owned() } else { checksum(name) };
        Self(Place::File { directory: directory.to_owned(), name: format!("{name}.health") })
    }

    /// Without a directory: a name that only this container and this user make.
    pub fn without_directory(name: &str) -> Self {
        // The mount namespace is the container; a namespace that cannot be told is everybody's.
        let container = std::fs::read_link("/proc/self/ns/mnt").unwrap_or_default();
        let user = rustix::process::geteuid().as_raw();
        let whole = format!("{}/{user}/{name}", container.display());
        Self(Place::Nameless(format!("attune-agent/{}", checksum(&whole)).into_bytes()))
    }

    /// Begins to listen; what a dead worker left there is replaced. Only one who holds the worker's lock may do that.
    pub(super) fn listen(&self) -> io::Result<UnixListener> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        self.remove()?;
        self.with(|address| Ok(bind(&socket, address)?))?;
        if let Place::File { directory, name } = &self.0 {
            std::fs::set_permissions(directory.join(name), PermissionsExt::from_mode(0o600))?;
        }
        listen(&socket, BACKLOG)?;
        Ok(socket.into())
    }

    /// Connects to a worker of this user.
    pub(super) fn connect(&self, deadline: Instant) -> io::Result<UnixStream> {
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        // A worker that hangs accepts nobody, and once its queue is full the kernel waits.
        set_socket_timeout(&socket, Timeout::Send, Some(left(deadline)?))?;
        self.with(|address| Ok(connect(&socket, address)?))?;
        if socket_peercred(&socket)?.uid != rustix::process::geteuid() {
            return Err(io::Error::new(io::ErrorKind::ConnectionRefused, "somebody else answers"));
        }
        set_socket_timeout(&socket, Timeout::Recv, Some(left(deadline)?))?;
        Ok(socket.into())
    }

    /// Removes the file; nothing where there is none.
    pub(super) fn remove(&self) -> io::Result<()> {
        let Place::File { directory, name } = &self.0 else { return Ok(()) };
        match std::fs::remove_file(directory.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Uses the address as the kernel takes it, however long the directory's path is.
    fn with<T>(&self, using: impl FnOnce(&SocketAddrUnix) -> io::Result<T>) -> io::Result<T> {
        match &self.0 {
            Place::Nameless(name) => using(&SocketAddrUnix::new_abstract_name(name)?),
            Place::File { directory, name } => {
                let directory = open(directory)?;
                let path = format!("/proc/self/fd/{}/{name}", directory.as_fd().as_raw_fd());
                using(&SocketAddrUnix::new(path.as_str())?)
            }
        }
    }
}

fn open(directory: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(directory, flags, Mode::empty())?)
}

/// How long until then; a moment that has passed is an error.
pub(super) fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

fn checksum(text: &str) -> String {
    digest(&SHA256, text.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
