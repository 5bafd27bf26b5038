//! Which workers are alive: each holds a lock on a file of its own for as long as it lives, so that even `SIGKILL`
//! tells everybody at once, without a heartbeat to wait for.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::process::{Flock, FlockType, fcntl_getlk};

use crate::error::{Doing, Error, ErrorKind, Result};

/// Where the locks are.
#[derive(Debug, Clone)]
pub(super) struct Liveness {
    directory: PathBuf,
}

/// A worker's life: the lock is held until this is dropped or the process ends.
#[derive(Debug)]
pub(super) struct Life {
    _lock: File,
}

/// Waits until no other process is opening the control plane in `directory`, and keeps others waiting until what is
/// returned is dropped. Opening takes milliseconds, and the kernel lets go for who dies meanwhile.
pub(super) async fn alone(directory: PathBuf) -> Result<File> {
    let lock = move || {
        let path = directory.join("opening.lock");
        let describe = || format!("lock {}", path.display());
        std::fs::create_dir_all(&directory).doing(|| format!("create {}", directory.display()))?;
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).doing(describe)?;
        file.lock().doing(describe)?;
        Ok(file)
    };
    let locked = tokio::task::spawn_blocking(lock).await;
    locked.unwrap_or_else(|error| Err(Error::new(ErrorKind::System, "cannot wait for a lock").because(error)))
}

impl Liveness {
    pub(super) fn open(directory: &Path) -> Result<Self> {
        std::fs::create_dir_all(directory).doing(|| format!("create {}", directory.display()))?;
        Ok(Self { directory: directory.to_owned() })
    }

    /// Begins this worker's life, unless a live process has the same name.
    pub(super) fn begin(&self, worker: &str) -> Result<Life> {
        let path = self.path(worker);
        let describe = || format!("lock {}", path.display());
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&path).doing(describe)?;
        match fcntl_lock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Life { _lock: lock }),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::ACCESS) => Err(Error::new(
                ErrorKind::Conflict,
                format!("a worker named `{worker}` is running here already"),
            )
            .hint("give this one another name with `--name`, or stop the other")),
            Err(error) => Err(error).doing(describe),
        }
    }

    /// Whether another process lives under this name. Asking disturbs nobody.
    pub(super) fn is_alive(&self, worker: &str) -> Result<bool> {
        let path = self.path(worker);
        let describe = || format!("look at {}", path.display());
        let file = match OpenOptions::new().write(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error).doing(describe),
        };
        let question = Flock::from(FlockType::WriteLock);
        fcntl_getlk(&file, &question).map(|holder| holder.is_some()).doing(describe)
    }

    /// Names are free text; file names are not.
    fn path(&self, worker: &str) -> PathBuf {
        use std::fmt::Write as _;
        let mut name = String::new();
        for byte in worker.bytes() {
            if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') {
                name.push(byte.into());
            } else {
                // Writing to a String cannot fail.
                write!(name, "%{byte:02x}").expect("a String takes all that is written");
            }
        }
        self.directory.join(format!("{name}.lock"))
    }
}
