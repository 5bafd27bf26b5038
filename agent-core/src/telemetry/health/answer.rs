//! Asking and answering: who connects is told one line, and nothing that they send is read. So nobody can keep the
//! worker waiting, and a line that comes is proof that its runtime turns.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use tokio::net::UnixListener;
use tokio::task::JoinHandle;

use super::Health;
use super::address::{Address, left};
use crate::error::{Doing, Result};

/// What a worker that takes work says.
const READY: &str = "ready";

/// No answer is longer.
const LONGEST: usize = 256;

/// After somebody could not be let in: descriptors are short, and come back as executions end.
const PAUSE: Duration = Duration::from_millis(100);

/// A worker that answers. Dropping it ends that.
#[derive(Debug)]
pub struct Serving {
    task: JoinHandle<()>,
    address: Address,
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.task.abort();
        // The next life replaces what stays.
        self.address.remove().ok();
    }
}

/// Answers at `address` on this runtime from now on, which has to hold the lock of the worker that the address is of.
pub fn serve(health: &Health, address: Address) -> Result<Serving> {
    let describe = || "answer whether the worker is alive and ready".to_owned();
    let listener = address.listen().and_then(UnixListener::from_std).doing(describe)?;
    let health = health.clone();
    let task = tokio::spawn(async move {
        loop {
            let answered = match listener.accept().await {
                Ok((stream, _)) => stream.into_std().and_then(|mut stream| {
                    health.0.asked.notify_one();
                    // There is room for it: nothing was written before. Who has left already needs no answer.
                    stream.write(line(&health).as_bytes())
                }),
                Err(error) => Err(error),
            };
            if let Err(error) = answered
                && error.kind() != io::ErrorKind::BrokenPipe
            {
                tracing::debug!(%error, "somebody who asked how the worker is got no answer");
                tokio::time::sleep(PAUSE).await;
            }
        }
    });
    Ok(Serving { task, address })
}

fn line(health: &Health) -> String {
    match health.obstacle() {
        None => format!("{READY}\n"),
        Some(obstacle) => format!("{obstacle}\n"),
    }
}

/// What came of asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The worker takes work.
    Ready,
    /// It is alive and does not; why not.
    NotReady(String),
    /// There is a worker, and it does not answer in time.
    Silent,
    /// There is no worker.
    Nobody,
}

/// Asks the worker that answers at one of these addresses, the likeliest first. Blocks, at most until `deadline`.
pub fn ask(addresses: &[Address], deadline: Instant) -> Answer {
    for address in addresses {
        match ask_one(address, deadline) {
            Ok(line) if line == READY => return Answer::Ready,
            Ok(why) => return Answer::NotReady(why),
            // Full is the queue of one who lets nobody in.
            Err(error) if matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock) => {
                return Answer::Silent;
            }
            // Nothing there, or what a dead worker left.
            Err(_) => {}
        }
    }
    Answer::Nobody
}

/// The line that is told there, without its end.
fn ask_one(address: &Address, deadline: Instant) -> io::Result<String> {
    let mut stream = address.connect(deadline)?;
    let (mut answer, mut length) = ([0; LONGEST], 0);
    loop {
        stream.set_read_timeout(Some(left(deadline)?))?;
        let read = match stream.read(&mut answer[length..]) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        length += read;
        if let Some(line) = answer[..length].strip_suffix(b"\n") {
            return Ok(String::from_utf8_lossy(line).into_owned());
        }
        // It ended in the middle of its answer, or this is no worker.
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::super::{Phase, Server};
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
    }

    /// What is told within a long and within a short time.
    fn asked(address: &Address) -> Answer {
        ask(std::slice::from_ref(address), Instant::now() + PATIENCE)
    }

    fn asked_briefly(address: &Address) -> Answer {
        ask(std::slice::from_ref(address), Instant::now() + Duration::from_millis(200))
    }

    #[test]
    fn who_asks_is_told_how_it_is_now() {
        let directory = tempfile::tempdir().unwrap();
        let deep = directory.path().join("d".repeat(120));
        std::fs::create_dir(&deep).unwrap();
        let long = "n".repeat(240);
        for address in [
            Address::in_directory(directory.path(), "w"),
            // Longer than the kernel takes an address.
            Address::in_directory(&deep, "w"),
            Address::in_directory(&deep, &long),
            Address::without_directory(&format!("{}{long}", deep.display())),
        ] {
            assert_eq!(asked(&address), Answer::Nobody);
            let (health, runtime) = (Health::default(), runtime());
            let context = runtime.enter();
            let serving = serve(&health, address.clone()).unwrap();
            assert!(matches!(asked(&address), Answer::NotReady(why) if why.starts_with("starting")));
            health.enter(Phase::Working);
            assert_eq!(asked(&address), Answer::Ready);
            let _away = health.away(Server::Broker);
            assert!(matches!(asked(&address), Answer::NotReady(why) if why.contains("the broker")));
            drop(serving);
            drop(context);
            runtime.shutdown_timeout(PATIENCE);
            assert_eq!(asked(&address), Answer::Nobody);
        }
    }

    #[test]
    fn names_and_directories_keep_workers_apart() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let addresses = [
            Address::in_directory(one.path(), "a"),
            Address::in_directory(one.path(), "b"),
            Address::in_directory(other.path(), "a"),
            Address::without_directory("a"),
            Address::without_directory("b"),
        ];
        let (health, runtime) = (Health::default(), runtime());
        let _context = runtime.enter();
        for (number, address) in addresses.iter().enumerate() {
            let _serving = serve(&health, address.clone()).unwrap();
            let found: Vec<_> = addresses.iter().map(|one| asked(one) != Answer::Nobody).collect();
            assert_eq!(found.iter().position(|found| *found), Some(number));
            assert_eq!(found.iter().filter(|found| **found).count(), 1);
        }
    }

    #[test]
    fn what_a_dead_worker_left_is_nobody_and_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let address = Address::in_directory(directory.path(), "w");
        drop(address.listen().unwrap());
        assert!(directory.path().join("w.health").exists());
        assert_eq!(asked(&address), Answer::Nobody);
        let runtime = runtime();
        let _context = runtime.enter();
        let _serving = serve(&Health::default(), address.clone()).unwrap();
        assert!(matches!(asked(&address), Answer::NotReady(_)));
    }

    #[test]
    fn a_worker_that_hangs_is_silent_however_many_ask() {
        let directory = tempfile::tempdir().unwrap();
        let address = Address::in_directory(directory.path(), "w");
        // Nobody lets anybody in.
        let _listener = address.listen().unwrap();
        let mut waiting: Vec<UnixStream> = Vec::new();
        let full = loop {
            match address.connect(Instant::now() + Duration::from_millis(200)) {
                Ok(stream) => waiting.push(stream),
                Err(error) => break error,
            }
            assert_eq!(asked_briefly(&address), Answer::Silent);
            assert!(waiting.len() < 100, "it has to be full at some time");
        };
        assert_eq!(full.kind(), io::ErrorKind::WouldBlock, "{full}");
        assert_eq!(asked_briefly(&address), Answer::Silent);
    }

    #[test]
    fn whoever_asks_without_listening_keeps_nobody_waiting() {
        let directory = tempfile::tempdir().unwrap();
        let address = Address::in_directory(directory.path(), "w");
        let runtime = runtime();
        let _context = runtime.enter();
        let _serving = serve(&Health::default(), address.clone()).unwrap();
        let deadline = Instant::now() + PATIENCE;
        let mut idle = Vec::new();
        for _ in 0..100 {
            let mut stream = address.connect(deadline).unwrap();
            // Told to nobody, or to one who does not listen any more.
            stream.write_all(b"GET / HTTP/1.1").ok();
            stream.shutdown(std::net::Shutdown::Read).unwrap();
            idle.push(stream);
        }
        assert!(matches!(asked(&address), Answer::NotReady(_)));
    }
}
