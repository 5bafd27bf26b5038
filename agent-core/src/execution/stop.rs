//! Being told to stop, by degree.

use tokio::sync::watch;

/// Why an execution is to end before it does by itself, from the mildest to the strongest. A stronger order replaces
/// a milder one; never the other way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// The worker takes no more work: what has not begun is handed back, and what runs is left alone.
    HandBack,
    /// The worker's grace period is over.
    Drain,
    /// The control plane cannot be reached, and by now gives the execution up for lost.
    Fence,
    /// Somebody asked to cancel.
    Cancel,
    /// At once, without asking the process first. Says how, not why: an earlier reason stands.
    Kill,
}

/// Gives the order.
#[derive(Debug, Clone)]
pub struct StopHandle(watch::Sender<Orders>);

/// Awaits the order.
#[derive(Debug, Clone)]
pub struct StopSignal(watch::Receiver<Orders>);

#[derive(Debug, Clone, Copy, Default)]
struct Orders {
    reason: Option<Stop>,
    kill: bool,
}

/// A handle, and the signal that it controls.
pub fn stop_channel() -> (StopHandle, StopSignal) {
    let (sender, receiver) = watch::channel(Orders::default());
    (StopHandle(sender), StopSignal(receiver))
}

impl StopHandle {
    /// Orders the execution to stop.
    pub fn stop(&self, stop: Stop) {
        self.0.send_modify(|orders| match stop {
            Stop::Kill => orders.kill = true,
            reason => orders.reason = orders.reason.max(Some(reason)),
        });
    }
}

impl StopSignal {
    /// The reason given so far.
    pub fn now(&self) -> Option<Stop> {
        self.0.borrow().reason
    }

    /// Awaits a reason not to begin; for ever, when nobody can give one any more.
    pub(crate) async fn ordered(&mut self) -> Stop {
        self.at_least(Stop::HandBack).await
    }

    /// Awaits a reason to end what has begun; for ever, when nobody can give one any more.
    pub(crate) async fn ordered_to_end(&mut self) -> Stop {
        self.at_least(Stop::Drain).await
    }

    async fn at_least(&mut self, least: Stop) -> Stop {
        let given = self.0.wait_for(|orders| orders.reason >= Some(least) || orders.kill).await;
        // Who is to be ended at once without a reason, or for one that is none to end, is ended as in a drain.
        let reason =
            given.map(|orders| orders.reason.filter(|reason| *reason >= least).unwrap_or(Stop::Drain));
        match reason {
            Ok(reason) => reason,
            Err(_) => std::future::pending().await,
        }
    }

    /// Awaits the order to stop at once.
    pub(super) async fn killed(&mut self) {
        let given = self.0.wait_for(|orders| orders.kill).await.map(|_| ());
        if given.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stronger_order_replaces_a_milder_one_only() {
        let (handle, mut signal) = stop_channel();
        handle.stop(Stop::Cancel);
        handle.stop(Stop::Drain);
        assert_eq!(signal.ordered().await, Stop::Cancel);
        handle.stop(Stop::Kill);
        signal.killed().await;
        assert_eq!(signal.now(), Some(Stop::Cancel));
    }

    #[tokio::test]
    async fn what_has_begun_is_not_handed_back() {
        let (handle, mut signal) = stop_channel();
        handle.stop(Stop::HandBack);
        assert_eq!(signal.ordered().await, Stop::HandBack);
        let mut running = signal.clone();
        let ended = tokio::spawn(async move { running.ordered_to_end().await });
        handle.stop(Stop::Drain);
        assert_eq!(ended.await.unwrap(), Stop::Drain);
        assert_eq!(signal.ordered().await, Stop::Drain);
    }
}
