//! From deliveries to dispatches and notices: read, judged, and put where the worker takes them.

use futures_util::StreamExt;
use lapin::Acker;
use lapin::message::Delivery as Raw;
use lapin::options::{BasicAckOptions, BasicCancelOptions, BasicNackOptions};
use lapin::{Channel, Consumer};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::messages::{self, Incoming};
use super::topology::Role;
use crate::control_plane::{Delivery, Notice};
use crate::error::{Error, ErrorKind, Result};
use crate::model::WorkerId;

/// What acknowledges a dispatch, on the connection that delivered it.
#[derive(Debug)]
pub struct Receipt(Acker);

impl Receipt {
    pub(super) const fn of(acker: Acker) -> Self {
        Self(acker)
    }

    /// It is dealt with.
    pub(super) async fn ack(self) -> Result<()> {
        done(self.0.ack(BasicAckOptions::default()).await)
    }

    /// It stays in the queue, for whoever consumes it next.
    pub(super) async fn requeue(self) -> Result<()> {
        done(self.0.nack(BasicNackOptions { requeue: true, multiple: false }).await)
    }

    /// It is a dead letter.
    pub(super) async fn reject(self) -> Result<()> {
        done(self.0.nack(BasicNackOptions { requeue: false, multiple: false }).await)
    }
}

fn done(acknowledged: lapin::Result<bool>) -> Result<()> {
    match acknowledged {
        Ok(true) => Ok(()),
        Ok(false) => Err(Error::new(ErrorKind::Unavailable, "its connection is gone; it is delivered again")),
        Err(error) => Err(Error::new(ErrorKind::Unavailable, "its connection broke; it is delivered again")
            .because(error.to_string())),
    }
}

/// Where deliveries go. The broker bounds how many dispatches wait there: it delivers no more than the prefetch before
/// some are acknowledged.
#[derive(Debug, Clone)]
pub(super) struct Inbox {
    dispatches: mpsc::UnboundedSender<Delivery<Receipt>>,
    notices: mpsc::Sender<Notice>,
    /// No more executions are wanted.
    closed: CancellationToken,
    /// Every execution that was on its way when it was closed has arrived.
    drained: CancellationToken,
    /// Nothing is wanted any more.
    left: CancellationToken,
}

/// What is taken from an inbox: dispatches and notices, apart, so that neither waits for the other.
pub(super) type Arrivals = (mpsc::UnboundedReceiver<Delivery<Receipt>>, mpsc::Receiver<Notice>);

impl Inbox {
    pub(super) fn new() -> (Self, Arrivals) {
        let (dispatches, from_dispatches) = mpsc::unbounded_channel();
        // Notices are acknowledged once they are in here, so they are few enough to be kept.
        let (notices, from_notices) = mpsc::channel(1024);
        let [closed, drained, left] = std::array::from_fn(|_| CancellationToken::new());
        let inbox = Self { dispatches, notices, closed, drained, left };
        (inbox, (from_dispatches, from_notices))
    }

    /// Asks for no more executions; returns once those that were on their way have arrived.
    pub(super) async fn close_executions(&self) {
        self.closed.cancel();
        self.drained.cancelled().await;
    }

    /// Asks for nothing any more.
    pub(super) fn leave(&self) {
        self.left.cancel();
    }
}

/// Forwards what `consumer` is delivered until its connection breaks. The channel lives as long as this does.
pub(super) async fn forward(
    mut consumer: Consumer,
    channel: Channel,
    inbox: Inbox,
    worker: WorkerId,
    role: Role,
    broken: CancellationToken,
) {
    let takes_executions = role == Role::Executions;
    let mut closing = false;
    loop {
        let delivered = tokio::select! {
            biased;
            () = broken.cancelled() => return,
            () = inbox.left.cancelled() => return,
            () = inbox.closed.cancelled(), if takes_executions && !closing => {
                closing = true;
                let cancelled = channel.basic_cancel(consumer.tag(), BasicCancelOptions::default()).await;
                if cancelled.is_err() {
                    return broken.cancel();
                }
                continue;
            }
            delivered = consumer.next() => delivered,
        };
        let handled = match delivered {
            Some(Ok(delivery)) => handle(delivery, &inbox, worker, role).await,
            Some(Err(error)) => {
                Err(Error::new(ErrorKind::Unavailable, "deliveries ended").because(error.to_string()))
            }
            None if closing => {
                inbox.drained.cancel();
                // What has arrived can be acknowledged as long as the channel is there.
                broken.cancelled().await;
                return;
            }
            None => Err(Error::new(ErrorKind::Unavailable, "the broker cancelled the consumer")),
        };
        if let Err(error) = handled {
            tracing::warn!(%error, "the connection to the broker is made again");
            return broken.cancel();
        }
    }
}

/// Puts one delivery where it belongs; what belongs nowhere is a dead letter.
async fn handle(delivery: Raw, inbox: &Inbox, worker: WorkerId, role: Role) -> Result<()> {
    let receipt = Receipt(delivery.acker);
    let read = match messages::read(&delivery.data) {
        Ok(read) => read,
        Err(error) => {
            tracing::warn!(queue = ?role, key = %delivery.routing_key, %error,
                "a message that cannot be read is put aside");
            return receipt.reject().await;
        }
    };
    match (role, read) {
        (Role::Executions, Incoming::Dispatch(dispatch)) if dispatch.worker_id == worker => {
            // Nobody to take it means that the worker is gone, and the message goes back with the connection.
            inbox.dispatches.send(Delivery { dispatch, receipt }).ok();
            Ok(())
        }
        (Role::Executions, Incoming::Dispatch(dispatch)) => {
            tracing::warn!(
                execution = dispatch.execution_id.0,
                "a dispatch for worker {} came to worker {worker} \
                and is put aside",
                dispatch.worker_id
            );
            receipt.reject().await
        }
        (Role::Cancel, Incoming::Notice(notice, Some(whose))) if whose == worker => {
            inbox.notices.send(notice).await.ok();
            receipt.ack().await
        }
        (Role::Packs, Incoming::Notice(notice, None)) => {
            inbox.notices.send(notice).await.ok();
            receipt.ack().await
        }
        (Role::Packs, other) => {
            tracing::warn!(message = ?kind(&other), "a message that is not about packs is ignored");
            receipt.ack().await
        }
        (_, other) => {
            tracing::warn!(queue = ?role, message = ?kind(&other), "a message that does not belong here is put aside");
            receipt.reject().await
        }
    }
}

fn kind(incoming: &Incoming) -> String {
    match incoming {
        Incoming::Dispatch(dispatch) => dispatch.to_string(),
        Incoming::Notice(notice, _) => format!("{notice:?}"),
        Incoming::Other(message_type) => message_type.clone(),
    }
}
