//! Waiting for a server: for as long as it takes, saying what for when it begins, when the reason changes, and once a
//! while.

use std::time::Duration;

use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::error::Error;

/// How often the same thing is said again.
const REMINDER: Duration = Duration::from_secs(30);

/// One time of waiting.
#[derive(Debug)]
pub(super) struct Waiting {
    what: String,
    backoff: Backoff,
    begun: Instant,
    said: Option<(String, Instant)>,
}

impl Waiting {
    /// Begins to wait for `what`, a noun with its address.
    pub(super) fn new(what: String) -> Self {
        Self { what, backoff: Backoff::default(), begun: Instant::now(), said: None }
    }

    /// It is not there: says so where that is news, and pauses.
    pub(super) async fn failed(&mut self, error: &Error) {
        let reason = error.to_string();
        let is_news = self.said.as_ref().is_none_or(|(said, at)| *said != reason || at.elapsed() >= REMINDER);
        if is_news {
            tracing::warn!(error = reason, hint = error.hint_text(), "waiting for {}", self.what);
            self.said = Some((reason, Instant::now()));
        }
        tokio::time::sleep(self.backoff.next()).await;
    }

    /// It is there.
    pub(super) fn over(self) {
        if self.said.is_some() {
            tracing::info!(waited_s = self.begun.elapsed().as_secs_f64(), "{} is there", self.what);
        }
    }
}
