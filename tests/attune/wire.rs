//! A test's own eyes and hands: rows by SQL, messages by a queue of its own, dispatches as the executor sends them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use lapin::options::{
    BasicConsumeOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions,
    QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, ExchangeKind};
use serde_json::{Value, json};
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, PgPool, Postgres, Transaction};
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::site::{PATIENCE, Site};

pub(crate) const EXECUTIONS: &str = "attune.executions";
pub(crate) const EVENTS: &str = "attune.events";

/// A message as it came over the wire.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) key: String,
    pub(crate) properties: BasicProperties,
    /// Its body; null where that is not JSON.
    pub(crate) body: Value,
}

impl Message {
    pub(crate) fn is(&self, message_type: &str) -> bool {
        self.body["message_type"] == message_type
    }

    pub(crate) fn execution(&self) -> Option<i64> {
        self.body["payload"]["execution_id"].as_i64()
    }
}

/// An execution that is scheduled for a worker.
#[derive(Debug, Clone)]
pub(crate) struct Scheduled {
    pub(crate) id: i64,
    pub(crate) worker: i64,
    pub(crate) action: String,
    /// `execution.updated` when it was scheduled.
    pub(crate) attempt: String,
    /// What the dispatch carries as parameters.
    pub(crate) config: Value,
}

impl Scheduled {
    /// The payload of its dispatch.
    pub(crate) fn payload(&self) -> Value {
        json!({
            "execution_id": self.id, "worker_id": self.worker, "action_ref": self.action,
            "config": self.config, "scheduled_attempt_updated_at": self.attempt,
        })
    }
}

/// Connections of a test to the servers of its site.
pub(crate) struct Wire {
    runtime: Option<Runtime>,
    pool: PgPool,
    channel: Channel,
    /// Kept, because its channels end with it.
    connection: Connection,
    heard: Arc<Mutex<Vec<Message>>>,
    count: watch::Receiver<usize>,
}

impl Wire {
    /// Listens to what workers announce.
    pub(crate) fn new(site: &Site) -> Self {
        Self::listening(site, &["execution.status.changed", "execution.completed"])
    }

    /// Listens to the messages on `attune.executions` with these keys.
    pub(crate) fn listening(site: &Site, keys: &[&str]) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let heard: Arc<Mutex<Vec<Message>>> = Arc::default();
        let (sender, count) = watch::channel(0);
        let (pool, connection, channel) = runtime.block_on(async {
            let connection = Connection::connect(&site.amqp, ConnectionProperties::default()).await;
            let connection = connection.expect("a broker");
            let channel = connection.create_channel().await.expect("a channel");
            channel.confirm_select(ConfirmSelectOptions::default()).await.expect("confirms");
            listen(&channel, keys, Arc::clone(&heard), sender).await.expect("a queue of the test's own");
            (pool(&site.database), connection, channel)
        });
        Self { runtime: Some(runtime), pool, channel, connection, heard, count }
    }

    pub(crate) fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.as_ref().expect("it is there until dropped").block_on(future)
    }

    // Rows.

    /// The rows of a query, each as an object.
    pub(crate) fn rows(&self, query: &str) -> Vec<Value> {
        let query = AssertSqlSafe(format!("WITH q AS ({query}) SELECT to_jsonb(q) FROM q"));
        self.block_on(async { sqlx::query_scalar(query).fetch_all(&self.pool).await.expect("a query") })
    }

    /// The only row of a query.
    pub(crate) fn row(&self, query: &str) -> Value {
        let mut rows = self.rows(query);
        assert_eq!(rows.len(), 1, "{query}: {rows:?}");
        rows.remove(0)
    }

    /// The only value of a query.
    pub(crate) fn value(&self, query: &str) -> Value {
        let query = AssertSqlSafe(format!("SELECT to_jsonb(({query}))"));
        let value: Option<Value> =
            self.block_on(async { sqlx::query_scalar(query).fetch_one(&self.pool).await.expect("a query") });
        value.unwrap_or_default()
    }

    pub(crate) fn execute(&self, statements: &str) {
        let statements = AssertSqlSafe(statements.to_owned());
        self.block_on(async { sqlx::raw_sql(statements).execute(&self.pool).await.expect("statements") });
    }

    /// Looks again and again: rows that a worker writes by itself ring no bell.
    pub(crate) fn await_value(&self, query: &str, wanted: &Value) {
        let mut seen = Value::Null;
        let came = until(PATIENCE, || {
            seen = self.value(query);
            seen == *wanted
        });
        assert!(came, "{query}: {seen} instead of {wanted}");
    }

    /// A transaction that has locked the row of an execution, so that nobody can write it.
    pub(crate) fn lock(&self, execution: i64) -> Transaction<'static, Postgres> {
        self.block_on(async {
            let mut transaction = self.pool.begin().await.expect("a transaction");
            let lock = sqlx::query("SELECT FROM execution WHERE id = $1 FOR UPDATE").bind(execution);
            lock.execute(&mut *transaction).await.expect("a lock");
            transaction
        })
    }

    /// A transaction that cancels an execution, as the API does before a worker has claimed it, and is not over.
    pub(crate) fn cancelling(&self, execution: i64) -> Transaction<'static, Postgres> {
        self.block_on(async {
            let mut transaction = self.pool.begin().await.expect("a transaction");
            let cancel =
                sqlx::query("UPDATE execution SET status = 'cancelled' WHERE id = $1").bind(execution);
            cancel.execute(&mut *transaction).await.expect("a row");
            transaction
        })
    }

    /// A transaction that holds an advisory lock, at which a trigger of the test's own waits.
    pub(crate) fn hold(&self, number: i64) -> Transaction<'static, Postgres> {
        self.block_on(async {
            let mut transaction = self.pool.begin().await.expect("a transaction");
            let lock = sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(number);
            lock.execute(&mut *transaction).await.expect("a lock");
            transaction
        })
    }

    /// Ends a transaction, and with it its locks.
    pub(crate) fn release(&self, transaction: Transaction<'static, Postgres>) {
        self.block_on(transaction.rollback()).expect("a database");
    }

    /// Awaits that somebody waits for a lock in this database.
    pub(crate) fn await_waiter(&self) {
        self.await_waiters(1);
    }

    /// Awaits that as many wait for a lock in this database.
    pub(crate) fn await_waiters(&self, count: usize) {
        let waiting = format!(
            "SELECT count(*) >= {count} FROM pg_stat_activity \
             WHERE datname = current_database() AND wait_event_type = 'Lock'"
        );
        self.await_value(&waiting, &json!(true));
    }

    pub(crate) fn worker(&self, name: &str) -> i64 {
        self.value(&format!("SELECT id FROM worker WHERE name = '{name}'")).as_i64().expect("a worker's row")
    }

    pub(crate) fn status(&self, execution: i64) -> String {
        let status = self.value(&format!("SELECT status FROM execution WHERE id = {execution}"));
        status.as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn result(&self, execution: i64) -> Value {
        self.value(&format!("SELECT result FROM execution WHERE id = {execution}"))
    }

    // Messages.

    /// Everything that was heard so far.
    pub(crate) fn heard(&self) -> Vec<Message> {
        locked(&self.heard).clone()
    }

    /// What was heard of one execution, in order.
    pub(crate) fn of(&self, execution: i64) -> Vec<Message> {
        self.heard().into_iter().filter(|message| message.execution() == Some(execution)).collect()
    }

    /// What was heard of one execution, in order and in short: the new state of a change, the state of a completion.
    pub(crate) fn story(&self, execution: i64) -> Vec<String> {
        let short = |message: &Message| {
            let payload = &message.body["payload"];
            let text = |key: &str| payload[key].as_str().unwrap_or_default().to_owned();
            if message.is("ExecutionStatusChanged") {
                format!("{}→{}", text("previous_status"), text("new_status"))
            } else {
                text("status")
            }
        };
        self.of(execution).iter().map(short).collect()
    }

    /// Awaits the first message that fits.
    pub(crate) fn await_message(&self, what: &str, fits: impl Fn(&Message) -> bool) -> Message {
        let mut count = self.count.clone();
        let waiting = async {
            loop {
                count.mark_unchanged();
                if let Some(message) = locked(&self.heard).iter().find(|message| fits(message)) {
                    return message.clone();
                }
                count.changed().await.expect("the test's consumer is there");
            }
        };
        let came = self.block_on(async { tokio::time::timeout(PATIENCE, waiting).await });
        came.unwrap_or_else(|_| panic!("no {what} came; heard: {:#?}", self.heard()))
    }

    pub(crate) fn await_completion(&self, execution: i64) -> Message {
        self.await_message(&format!("completion of {execution}"), |message| {
            message.is("ExecutionCompleted") && message.execution() == Some(execution)
        })
    }

    /// Sends bytes and awaits that the broker has them.
    pub(crate) fn publish(&self, exchange: &str, key: &str, body: &[u8]) {
        let properties =
            BasicProperties::default().with_delivery_mode(2).with_content_type("application/json".into());
        let options = BasicPublishOptions::default();
        let sent = self.block_on(async {
            let sent =
                self.channel.basic_publish(exchange.into(), key.into(), options, body, properties).await;
            sent.expect("a channel").await.expect("a confirm")
        });
        assert!(sent.is_ack(), "the broker has the message");
    }

    /// Sends an envelope with this payload, as another service would.
    pub(crate) fn send(&self, exchange: &str, key: &str, message_type: &str, payload: &Value) {
        self.publish(exchange, key, envelope(message_type, payload).to_string().as_bytes());
    }

    /// A row that the executor has scheduled for this worker.
    pub(crate) fn schedule(&self, worker: i64, action: &str, config: &Value) -> Scheduled {
        let insert = format!(
            "INSERT INTO execution (action, action_ref, config, worker, status) \
             VALUES ((SELECT id FROM action WHERE ref = '{action}'), '{action}', '{}', {worker}, 'scheduled') \
             RETURNING id, to_char(updated AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') AS attempt",
            config.to_string().replace('\'', "''")
        );
        let row = self.row(&insert);
        Scheduled {
            id: row["id"].as_i64().expect("a number"),
            worker,
            action: action.to_owned(),
            attempt: row["attempt"].as_str().expect("a moment").to_owned(),
            config: config.clone(),
        }
    }

    /// Sends the dispatch of what is scheduled.
    pub(crate) fn dispatch(&self, scheduled: &Scheduled) {
        let key = format!("execution.dispatch.worker.{}", scheduled.worker);
        self.send(EXECUTIONS, &key, "ExecutionRequested", &scheduled.payload());
    }

    /// Schedules and dispatches; returns the execution.
    pub(crate) fn hand(&self, worker: i64, action: &str, config: &Value) -> i64 {
        let scheduled = self.schedule(worker, action, config);
        self.dispatch(&scheduled);
        scheduled.id
    }

    /// Hands an action to the worker and awaits its end; returns the result.
    pub(crate) fn run(&self, worker: i64, action: &str, config: &Value) -> Value {
        let execution = self.hand(worker, action, config);
        self.await_completion(execution);
        self.result(execution)
    }

    /// Sends a cancel message.
    pub(crate) fn cancel(&self, worker: i64, execution: i64) {
        let payload = json!({"execution_id": execution, "worker_id": worker});
        self.send(
            EXECUTIONS,
            &format!("execution.cancel.worker.{worker}"),
            "ExecutionCancelRequested",
            &payload,
        );
    }

    /// Takes a message out of a queue.
    pub(crate) fn take(&self, queue: &str) -> Option<(String, Vec<u8>)> {
        self.block_on(async {
            let channel = self.connection.create_channel().await.expect("a channel");
            let got = channel.basic_get(queue.into(), BasicGetOptions { no_ack: true }).await;
            got.expect("a queue")
                .map(|message| (message.delivery.routing_key.to_string(), message.delivery.data))
        })
    }

    /// Takes a message out of a queue as soon as there is one.
    pub(crate) fn await_take(&self, queue: &str) -> (String, Vec<u8>) {
        let mut taken = None;
        until(PATIENCE, || {
            taken = self.take(queue);
            taken.is_some()
        });
        taken.unwrap_or_else(|| panic!("nothing came to {queue}"))
    }

    /// How many messages and consumers a queue has; `None` where there is no such queue.
    pub(crate) fn queue(&self, name: &str) -> Option<(u32, u32)> {
        self.block_on(async {
            // A queue that is not there costs the channel.
            let channel = self.connection.create_channel().await.expect("a channel");
            let passive = QueueDeclareOptions { passive: true, ..Default::default() };
            let declared = channel.queue_declare(name.into(), passive, FieldTable::default()).await.ok()?;
            Some((declared.message_count(), declared.consumer_count()))
        })
    }

    /// A channel for whatever else a test does.
    pub(crate) fn channel(&self) -> Channel {
        self.block_on(async { self.connection.create_channel().await.expect("a channel") })
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A message as another service of the control plane sends it.
pub(crate) fn envelope(message_type: &str, payload: &Value) -> Value {
    let id = uuid();
    json!({
        "message_id": id, "correlation_id": id, "message_type": message_type, "version": "1.0",
        "timestamp": "2026-01-02T03:04:05.678901234Z",
        "headers": {"retry_count": 0, "source_service": "executor"}, "payload": payload,
    })
}

/// Looks again and again, for what is written by processes and servers that tell nobody; whether it came.
pub(crate) fn until(patience: Duration, mut done: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + patience;
    let (_sender, never) = std::sync::mpsc::channel::<()>();
    loop {
        if done() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        never.recv_timeout(Duration::from_millis(20)).ok();
    }
}

fn uuid() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/uuid").expect("a kernel").trim().to_owned()
}

fn locked(heard: &Mutex<Vec<Message>>) -> MutexGuard<'_, Vec<Message>> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}

fn pool(database: &str) -> PgPool {
    let options = PgPoolOptions::new().max_connections(4).after_connect(|connection, _| {
        Box::pin(async move {
            sqlx::query("SET search_path TO attune, public").execute(connection).await?;
            Ok(())
        })
    });
    options.connect_lazy(database).expect("a database URL")
}

async fn listen(
    channel: &Channel,
    keys: &[&str],
    heard: Arc<Mutex<Vec<Message>>>,
    count: watch::Sender<usize>,
) -> Result<(), lapin::Error> {
    let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
    for exchange in [EXECUTIONS, EVENTS] {
        channel
            .exchange_declare(exchange.into(), ExchangeKind::Topic, durable, FieldTable::default())
            .await?;
    }
    let own = QueueDeclareOptions { exclusive: true, auto_delete: true, ..Default::default() };
    let queue = channel.queue_declare("".into(), own, FieldTable::default()).await?;
    for key in keys {
        let options = QueueBindOptions::default();
        let name = queue.name().clone();
        channel.queue_bind(name, EXECUTIONS.into(), (*key).into(), options, FieldTable::default()).await?;
    }
    let options = BasicConsumeOptions { no_ack: true, ..Default::default() };
    let name = queue.name().clone();
    let mut consumer = channel.basic_consume(name, "".into(), options, FieldTable::default()).await?;
    tokio::spawn(async move {
        while let Some(Ok(delivery)) = consumer.next().await {
            let body = serde_json::from_slice(&delivery.data).unwrap_or_default();
            let (key, properties) = (delivery.routing_key.to_string(), delivery.properties);
            let mut heard = locked(&heard);
            heard.push(Message { key, properties, body });
            count.send_replace(heard.len());
        }
    });
    Ok(())
}
