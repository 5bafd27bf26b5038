//! How long to wait before something that failed is tried again.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use tokio::time::Instant;

use crate::error::{ErrorKind, Result};

const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(5);

/// Pauses that double up to a limit, each shortened by up to a half at random, so that a fleet which lost its server at
/// the same moment does not come back at the same moment.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The pause after one more failure.
    pub(crate) fn next(&mut self) -> Duration {
        let full = FIRST.saturating_mul(1 << self.failures.min(16)).min(LONGEST);
        self.failures += 1;
        // A hasher's random keys are randomness enough, and need no generator of their own.
        let random = RandomState::new().hash_one(self.failures) % 1024;
        full.mul_f64(1.0 - f64::from(u16::try_from(random).unwrap_or(0)) / 2048.0)
    }

    /// It worked: the next failure is the first one again.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

/// Repeats `attempt` while the control plane cannot be reached.
pub(crate) async fn until_available<T, F: Future<Output = Result<T>>>(
    what: &str,
    mut attempt: impl FnMut() -> F,
) -> Result<T> {
    let mut backoff = Backoff::default();
    loop {
        match attempt().await {
            Err(error) if error.kind() == ErrorKind::Unavailable => {
                let pause = backoff.next();
                tracing::warn!(%error, retry_ms = pause.as_millis(), "{what} and is tried again");
                tokio::time::sleep(pause).await;
            }
            done => return done,
        }
    }
}

/// Pauses until a moment that is known beforehand.
#[expect(clippy::disallowed_methods, reason = "what is awaited here is the time itself, not an event")]
pub(crate) async fn pause_until(moment: Instant) {
    tokio::time::sleep_until(moment).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_and_are_never_nothing() {
        let mut backoff = Backoff::default();
        let pauses: Vec<_> = (0..40).map(|_| backoff.next()).collect();
        assert!(pauses[0] <= FIRST && pauses[0] >= FIRST / 2);
        assert!(pauses.iter().all(|pause| *pause >= FIRST / 2 && *pause <= LONGEST));
        assert!(pauses[39] >= LONGEST / 2);
        backoff.reset();
        assert!(backoff.next() <= FIRST);
    }
}
