//! Publishing: letters in the order in which they were handed over, each until the broker has confirmed it.
//!
//! One task owns the order. It sends ahead of the confirms, up to a window; when the connection breaks, everything that
//! was not confirmed is sent again on the next one, in the same order and with the same message ids.

use std::collections::VecDeque;
use std::time::Duration;

use lapin::BasicProperties;
use lapin::options::BasicPublishOptions;
use lapin::{Confirmation, PublisherConfirm};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};

use super::broker::{Broker, Link};
use super::messages::Letter;
use crate::backoff::Backoff;

/// Letters that are sent and not confirmed.
const WINDOW: usize = 256;

/// A confirm that takes longer will not come on this connection. A broker that blocks publishers takes its time.
const CONFIRM_PATIENCE: Duration = Duration::from_mins(1);

const PERSISTENT: u8 = 2;

/// What became of a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivered {
    /// The broker has it, in at least one queue.
    Queued,
    /// The broker has it, and nobody has a queue for it.
    Unroutable,
}

/// Hands letters over.
#[derive(Debug, Clone)]
pub(super) struct Publisher(mpsc::UnboundedSender<Parcel>);

/// A letter, and who wants to know.
#[derive(Debug)]
struct Parcel {
    letter: Letter,
    done: oneshot::Sender<Delivered>,
}

impl Publisher {
    /// Starts the task that publishes over `broker`, for as long as somebody holds the publisher.
    pub(super) fn start(broker: Broker) -> Self {
        let (sender, inbox) = mpsc::unbounded_channel();
        tokio::spawn(run(broker, inbox));
        Self(sender)
    }

    /// Queues a letter behind all earlier ones.
    pub(super) fn post(&self, letter: Letter) -> oneshot::Receiver<Delivered> {
        let (done, delivered) = oneshot::channel();
        // Where the task is gone, dropping the sender says so.
        self.0.send(Parcel { letter, done }).ok();
        delivered
    }
}

async fn run(broker: Broker, mut inbox: mpsc::UnboundedReceiver<Parcel>) {
    let mut unconfirmed = VecDeque::new();
    let mut backoff = Backoff::default();
    loop {
        let Ok(link) = broker.link().await else { return };
        let before = unconfirmed.len();
        match session(&link, &mut unconfirmed, &mut inbox).await {
            Ended::NobodyLeft => return,
            Ended::Broken(reason) => {
                if !unconfirmed.is_empty() {
                    tracing::warn!(
                        reason,
                        unconfirmed = unconfirmed.len(),
                        "messages are kept until they can be sent"
                    );
                }
                link.broken.cancel();
                if unconfirmed.len() < before || before == 0 {
                    backoff.reset();
                }
                tokio::time::sleep(backoff.next()).await;
            }
        }
    }
}

/// Why a connection is used no further.
enum Ended {
    Broken(String),
    NobodyLeft,
}

async fn session(
    link: &Link,
    unconfirmed: &mut VecDeque<Parcel>,
    inbox: &mut mpsc::UnboundedReceiver<Parcel>,
) -> Ended {
    let mut confirms: VecDeque<(Instant, PublisherConfirm)> = VecDeque::new();
    for parcel in unconfirmed.iter() {
        match send(link, &parcel.letter).await {
            Ok(confirm) => confirms.push_back((Instant::now(), confirm)),
            Err(error) => return Ended::Broken(error),
        }
    }
    loop {
        tokio::select! {
            biased;
            () = link.broken.cancelled() => return Ended::Broken("the connection broke".to_owned()),
            confirmation = first(&mut confirms), if !confirms.is_empty() => {
                let delivered = match confirmation {
                    Ok(Confirmation::Ack(None) | Confirmation::NotRequested) => Delivered::Queued,
                    Ok(Confirmation::Ack(Some(_))) => Delivered::Unroutable,
                    Ok(Confirmation::Nack(_)) => return Ended::Broken("the broker refused a message".to_owned()),
                    Err(error) => return Ended::Broken(error),
                };
                confirms.pop_front();
                if let Some(parcel) = unconfirmed.pop_front() {
                    if delivered == Delivered::Unroutable {
                        tracing::debug!(key = parcel.letter.key, "nobody has a queue for a message");
                    }
                    // Who does not want to know any more need not be told.
                    parcel.done.send(delivered).ok();
                }
            }
            parcel = inbox.recv(), if confirms.len() < WINDOW => {
                let Some(parcel) = parcel else { return Ended::NobodyLeft };
                let sent = send(link, &parcel.letter).await;
                unconfirmed.push_back(parcel);
                match sent {
                    Ok(confirm) => confirms.push_back((Instant::now(), confirm)),
                    Err(error) => return Ended::Broken(error),
                }
            }
        }
    }
}

async fn first(confirms: &mut VecDeque<(Instant, PublisherConfirm)>) -> Result<Confirmation, String> {
    let Some((sent, confirm)) = confirms.front_mut() else { return std::future::pending().await };
    match timeout_at(*sent + CONFIRM_PATIENCE, confirm).await {
        Ok(confirmation) => confirmation.map_err(|error| error.to_string()),
        Err(_) => Err(format!("the broker has not confirmed a message for {} s", CONFIRM_PATIENCE.as_secs())),
    }
}

/// Mandatory, so that a letter that nobody has a queue for is told from one that arrived.
async fn send(link: &Link, letter: &Letter) -> Result<PublisherConfirm, String> {
    let properties = BasicProperties::default()
        .with_delivery_mode(PERSISTENT)
        .with_content_type("application/json".into())
        .with_message_id(letter.message_id.as_str().into())
        .with_correlation_id(letter.message_id.as_str().into())
        .with_timestamp(letter.timestamp);
    let options = BasicPublishOptions { mandatory: true, ..Default::default() };
    let publishing = link.publisher.basic_publish(
        letter.exchange.into(),
        letter.key.as_str().into(),
        options,
        &letter.body,
        properties,
    );
    match timeout(CONFIRM_PATIENCE, publishing).await {
        Ok(sent) => sent.map_err(|error| error.to_string()),
        Err(_) => Err("the broker takes no messages".to_owned()),
    }
}
