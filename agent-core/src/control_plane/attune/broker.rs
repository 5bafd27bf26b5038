//! The connection to RabbitMQ: made, watched, and made again with all that hung on it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use lapin::options::{
    BasicConsumeOptions, BasicGetOptions, BasicQosOptions, ConfirmSelectOptions, ExchangeDeclareOptions,
    QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::tcp::AsyncTcpStream;
use lapin::types::FieldTable;
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{Channel, Connection, ConnectionProperties, Consumer};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::broker_stream::{ClientRuntime, Dialer};
use super::consumer::{self, Inbox, Receipt};
use super::messages::{self, Incoming};
use super::required;
use super::topology::{self, Role, WorkerQueue};
use super::waiting::Waiting;
use crate::config::ServersConfig;
use crate::control_plane::Delivery;
use crate::error::{Error, ErrorKind, Result};
use crate::model::WorkerId;
use crate::telemetry::health::{Health, Server};
use crate::tls::Authorities;

/// A step of connecting that takes longer will not end.
const STEP_PATIENCE: Duration = Duration::from_secs(10);

/// How often both sides say that they are there; half as long as the broker takes to notice that one is not.
const HEARTBEAT_S: u16 = 10;

/// The broker closed the channel because of what was asked.
const PRECONDITION_FAILED: u16 = 406;
const ACCESS_REFUSED: u16 = 403;
const NOT_FOUND: u16 = 404;

/// RabbitMQ, as one worker or one command uses it. Cloning is cheap.
#[derive(Debug, Clone)]
pub(super) struct Broker {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    uri: AMQPUri,
    dialer: Dialer,
    address: String,
    name: String,
    /// The connection, while there is one.
    link: watch::Sender<Option<Arc<Link>>>,
    /// What is consumed on each connection that is made.
    subscription: watch::Sender<Option<Subscription>>,
    inbox: Inbox,
    closed: CancellationToken,
}

/// What a worker consumes.
#[derive(Debug, Clone, Copy)]
struct Subscription {
    worker: WorkerId,
    prefetch: u16,
    /// Whether it still takes executions.
    executions: bool,
}

/// What a queue holds ready, and how many consume it.
#[derive(Debug, Clone, Copy)]
struct Waits {
    messages: u32,
    consumers: u32,
}

/// One connection. Whatever goes wrong with it ends it whole: everything that hung on it is made again on the next.
#[derive(Debug)]
pub(super) struct Link {
    connection: Connection,
    /// In confirm mode.
    pub(super) publisher: Channel,
    pub(super) broken: CancellationToken,
}

impl Link {
    /// A channel for something that may close it.
    pub(super) async fn channel(&self) -> Result<Channel> {
        step("open a channel", self.connection.create_channel()).await
    }
}

impl Broker {
    /// Prepares to connect; nothing is connected yet. `name` is what the broker's operators see.
    pub(super) fn new(servers: &ServersConfig, name: &str, inbox: Inbox) -> Result<Self> {
        let url = required(servers.broker_url.as_ref(), "message_queue.url", "ATTUNE__MESSAGE_QUEUE__URL")?;
        // The parser repeats the URL, which holds a password, so what is wrong with it is told without its words.
        let mut uri: AMQPUri = url.expose().parse().map_err(|_: String| {
            Error::new(ErrorKind::Invalid, "`message_queue.url` is not an AMQP URL")
                .hint("it has the form amqp://user:password@host:port/vhost, or amqps:// for TLS")
        })?;
        uri.query.heartbeat.get_or_insert(HEARTBEAT_S);
        let authorities =
            Authorities { file: servers.broker_ca.as_deref(), setting: "message_queue.ca_file" };
        let address = format!("{}:{}", uri.authority.host, uri.authority.port);
        let shared = Shared {
            uri,
            dialer: Dialer::new(authorities.connector()?),
            address,
            name: name.to_owned(),
            link: watch::Sender::new(None),
            subscription: watch::Sender::new(None),
            inbox,
            closed: CancellationToken::new(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Keeps a connection from now on, until it is closed. `health` is told while there is none.
    pub(super) fn keep(&self, health: &Health) -> JoinHandle<()> {
        let (broker, health) = (self.clone(), health.clone());
        let mut away = Some(health.away(Server::Broker));
        tokio::spawn(async move {
            let keeping = async {
                loop {
                    let link = Arc::new(broker.connect().await);
                    broker.shared.link.send_replace(Some(Arc::clone(&link)));
                    away = None;
                    link.broken.cancelled().await;
                    away = Some(health.away(Server::Broker));
                    broker.shared.link.send_replace(None);
                    // It may be half alive; closing it makes the broker deliver elsewhere what it had delivered here.
                    timeout(STEP_PATIENCE, link.connection.close(200, "reconnecting".into())).await.ok();
                }
            };
            tokio::select! {
                () = keeping => {}
                () = broker.shared.closed.cancelled() => {}
            }
            if let Some(link) = broker.shared.link.send_replace(None) {
                link.broken.cancel();
                // The broker notices by itself where it cannot be told.
                timeout(STEP_PATIENCE, link.connection.close(200, "goodbye".into())).await.ok();
            }
        })
    }

    /// Connects once, and says goodbye.
    pub(super) async fn try_once(&self) -> Result<()> {
        let link = self.try_connect().await?;
        link.broken.cancel();
        step("say goodbye", link.connection.close(200, "goodbye".into())).await
    }

    /// Ends the connection.
    pub(super) fn close(&self) {
        self.shared.closed.cancel();
    }

    /// The connection, as soon as there is one.
    pub(super) async fn link(&self) -> Result<Arc<Link>> {
        let mut links = self.shared.link.subscribe();
        let link = tokio::select! {
            link = links.wait_for(Option::is_some) => link.ok().and_then(|link| link.clone()),
            () = self.shared.closed.cancelled() => None,
        };
        link.ok_or_else(closed)
    }

    /// The connection, if there is one now.
    pub(super) fn link_now(&self) -> Option<Arc<Link>> {
        self.shared.link.borrow().clone()
    }

    /// Connects, waiting for the broker for as long as that takes.
    async fn connect(&self) -> Link {
        let mut waiting = Waiting::new(format!("the broker at {}", self.shared.address));
        loop {
            match self.try_connect().await {
                Ok(link) => {
                    waiting.over();
                    return link;
                }
                Err(error) => waiting.failed(&error).await,
            }
        }
    }

    async fn try_connect(&self) -> Result<Link> {
        let Shared { uri, dialer, name, .. } = &*self.shared;
        let properties = ConnectionProperties::default().with_connection_name(name.as_str().into());
        let dialer = dialer.clone();
        let dial = async move |uri: AMQPUri, _| Ok(AsyncTcpStream::Plain(dialer.dial(&uri).await?));
        let connecting =
            Connection::connector(uri.clone(), ClientRuntime::current().into(), dial, properties);
        let connection = step("connect", connecting).await.map_err(|error| match uri.scheme {
            AMQPScheme::AMQPS => error.hint("amqps:// trusts the built-in roots and `message_queue.ca_file`"),
            AMQPScheme::AMQP => error,
        })?;
        let publisher = step("open a channel", connection.create_channel()).await?;
        declare_exchanges(&publisher).await?;
        step("declare the exchanges", publisher.confirm_select(ConfirmSelectOptions::default())).await?;
        let link = Link { connection, publisher, broken: CancellationToken::new() };
        link.watch();
        let subscription = *self.shared.subscription.borrow();
        if let Some(subscription) = subscription {
            self.consume(&link, subscription).await?;
        }
        Ok(link)
    }

    /// Declares the worker's queues and consumes them, on this connection and on every later one.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] where somebody else consumes them.
    pub(super) async fn subscribe(&self, worker: WorkerId, prefetch: u16) -> Result<()> {
        let link = self.link().await?;
        let subscription = Subscription { worker, prefetch, executions: true };
        if let Err(error) = self.consume(&link, subscription).await {
            // Half of it may be there.
            link.broken.cancel();
            return Err(error);
        }
        self.shared.subscription.send_replace(Some(subscription));
        Ok(())
    }

    /// Takes no more executions, on this connection and on every later one. Returns once those that were on their way
    /// have arrived, or cannot arrive any more.
    pub(super) async fn unsubscribe_executions(&self) {
        self.shared.subscription.send_modify(|subscription| {
            if let Some(subscription) = subscription {
                subscription.executions = false;
            }
        });
        let Some(link) = self.link_now() else { return };
        tokio::select! {
            () = self.shared.inbox.close_executions() => {}
            () = link.broken.cancelled() => {}
        }
    }

    /// Every dispatch that waits in the worker's queue of executions. What is none is put aside.
    pub(super) async fn fetch_all(
        &self,
        worker: WorkerId,
        channel: &Channel,
    ) -> Result<Vec<Delivery<Receipt>>> {
        let [executions, ..] = topology::worker_queues(worker);
        let mut deliveries = Vec::new();
        loop {
            let options = BasicGetOptions::default();
            let got =
                step("empty a queue", channel.basic_get(executions.name.as_str().into(), options)).await?;
            let Some(message) = got else { return Ok(deliveries) };
            let receipt = Receipt::of(message.delivery.acker);
            match messages::read(&message.delivery.data) {
                Ok(Incoming::Dispatch(dispatch)) => deliveries.push(Delivery { dispatch, receipt }),
                _ => receipt.reject().await?,
            }
        }
    }

    /// Whether no dispatch waits in the queue of a worker that consumes it.
    pub(super) async fn has_no_dispatch(&self, worker: WorkerId) -> Result<bool> {
        let [executions, ..] = topology::worker_queues(worker);
        Ok(self.waiting_in(&executions.name).await?.is_none_or(|waiting| waiting.messages == 0))
    }

    /// Whether no request waits for an executor; true also where there is no executor at all.
    pub(super) async fn has_no_request(&self) -> Result<bool> {
        let waiting = self.waiting_in(topology::REQUEST_QUEUE).await?;
        Ok(waiting.is_none_or(|waiting| waiting.messages == 0))
    }

    /// What waits in a queue, and for how many consumers; `None` where there is no such queue.
    async fn waiting_in(&self, queue: &str) -> Result<Option<Waits>> {
        let link = self.link().await?;
        // A queue that is not there costs the channel.
        let channel = link.channel().await?;
        let passive = QueueDeclareOptions { passive: true, ..Default::default() };
        let declared =
            timeout(STEP_PATIENCE, channel.queue_declare(queue.into(), passive, FieldTable::default()));
        match declared.await {
            Ok(Ok(queue)) => {
                step("close a channel", channel.close(200, "done".into())).await?;
                Ok(Some(Waits { messages: queue.message_count(), consumers: queue.consumer_count() }))
            }
            Ok(Err(error)) if code(&error) == Some(NOT_FOUND) => Ok(None),
            Ok(Err(error)) => Err(refused("look at a queue", &error)),
            Err(_) => Err(Error::new(
                ErrorKind::Unavailable,
                format!("cannot look at the queue {queue}: the broker does not answer"),
            )),
        }
    }

    /// Removes the queues of a worker that is gone, with what is in them, unless somebody consumes them.
    pub(super) async fn remove_unused(&self, worker: WorkerId) -> Result<()> {
        for queue in topology::worker_queues(worker) {
            if self.waiting_in(&queue.name).await?.is_some_and(|waits| waits.consumers == 0) {
                let channel = self.link().await?.channel().await?;
                let options = QueueDeleteOptions::default();
                step("remove a queue", channel.queue_delete(queue.name.as_str().into(), options)).await?;
                unbind_dead_letters(&channel, &queue).await?;
            }
        }
        Ok(())
    }

    /// Removes the worker's queues, as far as they are empty, and consumes nothing any more.
    pub(super) async fn remove_queues(&self, worker: WorkerId) -> Result<()> {
        self.shared.subscription.send_replace(None);
        self.shared.inbox.leave();
        let Some(link) = self.link_now() else { return Ok(()) };
        for queue in topology::worker_queues(worker) {
            // One that is not empty is refused, which costs the channel.
            let channel = link.channel().await?;
            let options = QueueDeleteOptions { if_empty: true, ..Default::default() };
            match step("remove a queue", channel.queue_delete(queue.name.as_str().into(), options)).await {
                Ok(_) => {}
                Err(error) => tracing::warn!(queue = queue.name, %error, "a queue is left behind"),
            }
            unbind_dead_letters(&link.channel().await?, &queue).await?;
        }
        Ok(())
    }

    /// How many consumers the worker's queue of executions has. Declares it, so that it is there.
    pub(super) async fn consumers(&self, worker: WorkerId) -> Result<u32> {
        let link = self.link().await?;
        let channel = link.channel().await?;
        let [executions, ..] = topology::worker_queues(worker);
        let queue = declare_queue(&channel, &executions).await?;
        step("close a channel", channel.close(200, "done".into())).await?;
        Ok(queue.consumer_count())
    }

    /// The three queues at once: each step is a round trip.
    async fn consume(&self, link: &Link, subscription: Subscription) -> Result<()> {
        let queues = topology::worker_queues(subscription.worker);
        let consuming = queues.into_iter().map(|queue| self.consume_queue(link, subscription, queue));
        futures_util::future::try_join_all(consuming).await.map(|_| ())
    }

    async fn consume_queue(&self, link: &Link, subscription: Subscription, queue: WorkerQueue) -> Result<()> {
        let channel = link.channel().await?;
        declare_queue(&channel, &queue).await?;
        if queue.role == Role::Executions && !subscription.executions {
            return Ok(());
        }
        let consumer = start_consumer(&channel, &queue, subscription.prefetch).await?;
        let (inbox, broken) = (self.shared.inbox.clone(), link.broken.clone());
        tokio::spawn(consumer::forward(consumer, channel, inbox, subscription.worker, queue.role, broken));
        Ok(())
    }
}

impl Link {
    /// Says that the connection is broken as soon as it is.
    fn watch(&self) {
        let mut events = self.connection.events_listener();
        let broken = self.broken.clone();
        tokio::spawn(async move {
            loop {
                let event = tokio::select! {
                    biased;
                    () = broken.cancelled() => return,
                    event = events.next() => event,
                };
                match event {
                    Some(lapin::Event::ConnectionBlocked(reason)) => {
                        tracing::warn!(reason, "the broker takes no messages for now; they are kept");
                    }
                    Some(lapin::Event::ConnectionUnblocked) => {
                        tracing::info!("the broker takes messages again");
                    }
                    Some(lapin::Event::Error(error)) => {
                        tracing::warn!(%error, "the connection to the broker broke");
                        return broken.cancel();
                    }
                    None => return broken.cancel(),
                    Some(_) => {}
                }
            }
        });
    }
}

/// Without waiting for answers: the next step that has one tells of a refusal too, because a refusal closes the channel.
async fn declare_exchanges(channel: &Channel) -> Result<()> {
    let durable = ExchangeDeclareOptions { durable: true, nowait: true, ..Default::default() };
    for exchange in topology::EXCHANGES {
        let declared =
            channel.exchange_declare(exchange.name.into(), exchange.kind, durable, FieldTable::default());
        step("declare the exchanges", declared).await?;
    }
    Ok(())
}

/// Declares a worker's queue, its bindings, and for dispatches where they go when they are dead: the exchange for dead
/// letters is direct, so without a binding of its own key a dispatch that expires would be gone. Only the queue itself
/// is waited for; the next step that has an answer tells of a refusal.
async fn declare_queue(channel: &Channel, queue: &WorkerQueue) -> Result<lapin::Queue> {
    let durable = QueueDeclareOptions { durable: true, ..Default::default() };
    let name = queue.name.as_str();
    let declared =
        step("declare a queue", channel.queue_declare(name.into(), durable, queue.arguments.clone())).await?;
    for key in &queue.keys {
        bind(channel, name, queue.exchange, key).await?;
    }
    if queue.role == Role::Executions {
        let dead = topology::DEAD_LETTER_QUEUE;
        let declared = QueueDeclareOptions { nowait: true, ..durable };
        step("declare a queue", channel.queue_declare(dead.into(), declared, FieldTable::default())).await?;
        for key in &queue.keys {
            bind(channel, dead, topology::DEAD_LETTERS, key).await?;
        }
    }
    Ok(declared)
}

/// Undoes for dead letters what [`declare_queue`] does.
async fn unbind_dead_letters(channel: &Channel, queue: &WorkerQueue) -> Result<()> {
    for key in queue.keys.iter().filter(|_| queue.role == Role::Executions) {
        let (dead, exchange) = (topology::DEAD_LETTER_QUEUE.into(), topology::DEAD_LETTERS.into());
        let unbound = channel.queue_unbind(dead, exchange, key.as_str().into(), FieldTable::default());
        step("unbind a queue", unbound).await?;
    }
    Ok(())
}

async fn bind(channel: &Channel, queue: &str, exchange: &str, key: &str) -> Result<()> {
    let options = QueueBindOptions { nowait: true };
    let bound = channel.queue_bind(queue.into(), exchange.into(), key.into(), options, FieldTable::default());
    step("bind a queue", bound).await
}

/// Executions are consumed by one consumer alone: the broker itself refuses a second one.
async fn start_consumer(channel: &Channel, queue: &WorkerQueue, prefetch: u16) -> Result<Consumer> {
    let prefetch = match queue.role {
        Role::Executions => prefetch,
        Role::Packs => 5,
        Role::Cancel => 10,
    };
    step("limit deliveries", channel.basic_qos(prefetch, BasicQosOptions::default())).await?;
    let exclusive = queue.role == Role::Executions;
    let options = BasicConsumeOptions { exclusive, ..Default::default() };
    let (name, tag) = (queue.name.as_str().into(), queue.consumer_tag.as_str().into());
    step("consume a queue", channel.basic_consume(name, tag, options, FieldTable::default())).await
}

/// Awaits a step for as long as one may take.
pub(super) async fn step<T>(doing: &str, step: impl Future<Output = lapin::Result<T>>) -> Result<T> {
    match timeout(STEP_PATIENCE, step).await {
        Ok(done) => done.map_err(|error| refused(doing, &error)),
        Err(_) => {
            Err(Error::new(ErrorKind::Unavailable, format!("cannot {doing}: the broker does not answer")))
        }
    }
}

/// What is said once this process itself has ended the connection.
pub(super) fn closed() -> Error {
    Error::new(ErrorKind::Unavailable, "the connection to the broker was closed")
}

/// The number by which the broker refuses something.
fn code(error: &lapin::Error) -> Option<u16> {
    match error.kind() {
        lapin::ErrorKind::ProtocolError(error) => Some(error.get_id()),
        _ => None,
    }
}

/// What the broker, or the way to it, has against a step.
fn refused(doing: &str, error: &lapin::Error) -> Error {
    let message = format!("cannot {doing}");
    match code(error) {
        Some(PRECONDITION_FAILED) => Error::new(ErrorKind::ControlPlane, message).because(error.to_string()).hint(
            "it is there already with other properties; remove it, or let the service that made it go first",
        ),
        Some(ACCESS_REFUSED) if doing == "consume a queue" => {
            Error::new(ErrorKind::Conflict, message).because(error.to_string())
        }
        _ => Error::new(ErrorKind::Unavailable, message).because(error.to_string()),
    }
}
