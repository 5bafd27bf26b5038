//! Why a server does not do as it is told.

use std::fmt;
use std::future::Future;

/// A sentence for whoever reads why the test failed.
#[derive(Debug)]
pub(crate) struct Failure(String);

pub(crate) type Result<T = ()> = std::result::Result<T, Failure>;

impl Failure {
    pub(crate) fn new(sentence: impl Into<String>) -> Self {
        Self(sentence.into())
    }
}

/// What ends the test where there is no value, at the place where the test asked for it.
pub(crate) trait OrEnd<T> {
    fn or_end(self) -> T;
}

impl<T, E: fmt::Display> OrEnd<T> for std::result::Result<T, E> {
    #[track_caller]
    fn or_end(self) -> T {
        match self {
            Ok(value) => value,
            Err(failure) => panic!("{failure}"),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Says what was being done when something failed.
pub(crate) trait Doing<T> {
    /// `doing` completes "cannot …".
    fn doing(self, doing: &str) -> Result<T>;
}

impl<T, E: fmt::Display> Doing<T> for std::result::Result<T, E> {
    fn doing(self, doing: &str) -> Result<T> {
        self.map_err(|error| Failure::new(format!("cannot {doing}: {error}")))
    }
}

/// Awaits `future` on a thread of its own, so that asynchronous callers may block for it as others do.
pub(crate) fn block_on<T: Send>(future: impl Future<Output = Result<T>> + Send) -> Result<T> {
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.doing("make an asynchronous runtime")?.block_on(future)
    };
    std::thread::scope(|scope| scope.spawn(run).join().expect("a future that does not panic"))
}
