//! The control plane's clock, as far as this process knows it.

use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;

/// Tells the control plane's time from the machine's, and never the same moment twice: claims are told apart by it.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    /// The control plane's time less the machine's, in microseconds.
    offset: AtomicI64,
    last: AtomicI64,
}

impl Clock {
    /// Learns that the control plane's clock shows `theirs` at about this moment.
    pub(crate) fn set(&self, theirs: Timestamp) {
        let offset = theirs.as_microsecond() - Timestamp::now().as_microsecond();
        self.offset.store(offset, Ordering::Relaxed);
    }

    /// How far the machine's clock is behind the control plane's, in microseconds.
    pub(crate) fn offset_us(&self) -> i64 {
        self.offset.load(Ordering::Relaxed)
    }

    /// A moment after every other that was ever returned.
    pub(crate) fn moment(&self) -> Timestamp {
        let now = Timestamp::now().as_microsecond() + self.offset_us();
        let before = self
            .last
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(now.max(last + 1)))
            .unwrap_or_else(|last| last);
        Timestamp::from_microsecond(now.max(before + 1)).unwrap_or(Timestamp::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_moment_comes_twice_even_when_the_clock_goes_back() {
        let clock = Clock::default();
        let first = clock.moment();
        clock.set(Timestamp::from_microsecond(first.as_microsecond() - 60_000_000).unwrap());
        let later: Vec<_> = (0..1000).map(|_| clock.moment()).collect();
        assert!(later[0] > first && later.is_sorted_by(|a, b| a < b));
    }
}
