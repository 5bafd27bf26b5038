//! An executor that does what a worker sees of Attune's: takes requests, picks a worker, schedules, dispatches, and
//! reads what is announced. It is table-driven, so a message that is lost on the way costs it nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
    ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, ExchangeKind};
use serde_json::{Value, json};
use sqlx::postgres::PgPoolOptions;
use sqlx::types::Json;
use sqlx::{PgPool, Row};
use tokio::sync::{Notify, watch};

/// Between two tries to reach a server that is away.
const PAUSE: Duration = Duration::from_millis(100);

/// However sure messages are, the table is looked at again after this long.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

const EXCHANGE: &str = "attune.executions";

/// How the executor behaves.
#[derive(Debug, Clone, Copy, Default)]
pub struct ExecutorOptions {
    /// Every so many dispatches, one is sent twice.
    pub duplicate_every: Option<u32>,
    /// It schedules nothing, but hears what is announced: executions are placed by whoever asks for them.
    pub only_listens: bool,
}

/// A message as a follower received it.
#[derive(Debug, Clone)]
pub struct Announcement {
    /// `ExecutionStatusChanged` or `ExecutionCompleted`.
    pub message_type: String,
    /// Its payload.
    pub payload: Value,
}

/// A running executor. Dropping it ends it.
#[derive(Debug)]
pub struct Executor {
    shared: Arc<Shared>,
    runtime: Option<tokio::runtime::Runtime>,
}

#[derive(Debug)]
struct Shared {
    pool: PgPool,
    amqp: String,
    options: ExecutorOptions,
    requested: Notify,
    heard: Mutex<Vec<Announcement>>,
    count: watch::Sender<usize>,
    dispatched: Mutex<u32>,
    /// What is scheduled and whose dispatch is not confirmed: a session may end at any point.
    in_flight: Mutex<Option<i64>>,
}

impl Executor {
    /// Starts it on these servers, in the schema `attune`.
    ///
    /// # Panics
    /// Where the broker does not answer within a minute.
    pub fn start(database: &str, amqp: &str, options: ExecutorOptions) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime for the executor");
        let _inside = runtime.enter();
        let pool = PgPoolOptions::new()
            .max_connections(3)
            .acquire_timeout(Duration::from_secs(5))
            .after_connect(|connection, _| {
                Box::pin(async move {
                    sqlx::query("SET search_path TO attune, public").execute(connection).await?;
                    Ok(())
                })
            })
            .connect_lazy(database)
            .expect("a database URL");
        let shared = Arc::new(Shared {
            pool,
            amqp: amqp.to_owned(),
            options,
            requested: Notify::new(),
            heard: Mutex::default(),
            count: watch::Sender::new(0),
            dispatched: Mutex::default(),
            in_flight: Mutex::default(),
        });
        let (ready, is_ready) = std::sync::mpsc::channel();
        runtime.spawn(Arc::clone(&shared).run(ready));
        is_ready.recv_timeout(Duration::from_mins(1)).expect("a broker for the executor");
        Self { shared, runtime: Some(runtime) }
    }

    /// Runs something of the test's own on the executor's connections.
    ///
    /// # Panics
    /// Inside the async runtime.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.as_ref().expect("it is there until dropped").block_on(future)
    }

    /// Its pool, for a test's own queries.
    pub fn pool(&self) -> &PgPool {
        &self.shared.pool
    }

    /// Asks for an execution as the API does: the row, then the executor is woken.
    pub fn request(&self, action_ref: &str, config: &Value) -> i64 {
        let id = self.block_on(async {
            loop {
                let insert = sqlx::query_scalar(
                    "INSERT INTO execution (action, action_ref, config, status) \
                     VALUES ((SELECT id FROM action WHERE ref = $1), $1, $2, 'requested') RETURNING id",
                );
                match insert.bind(action_ref).bind(Json(config)).fetch_one(&self.shared.pool).await {
                    Ok(id) => break id,
                    Err(_) => tokio::time::sleep(PAUSE).await,
                }
            }
        });
        self.shared.requested.notify_one();
        id
    }

    /// Everything that was announced so far.
    pub fn heard(&self) -> Vec<Announcement> {
        self.shared.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Completions by execution, each with how many there were.
    pub fn completions(&self) -> HashMap<i64, usize> {
        let mut counts = HashMap::new();
        for announcement in self.heard().iter().filter(|heard| heard.message_type == "ExecutionCompleted") {
            *counts.entry(announcement.payload["execution_id"].as_i64().unwrap_or(-1)).or_default() += 1;
        }
        counts
    }

    /// Awaits that `done` holds for what was announced; true where it does within `patience`.
    ///
    /// # Panics
    /// Inside the async runtime.
    pub fn await_heard(&self, patience: Duration, done: impl Fn(&[Announcement]) -> bool) -> bool {
        self.block_on(async {
            let mut count = self.shared.count.subscribe();
            let waiting = async {
                while !done(&self.shared.heard.lock().unwrap_or_else(PoisonError::into_inner)) {
                    count.changed().await.expect("the executor is there");
                }
            };
            tokio::time::timeout(patience, waiting).await.is_ok()
        })
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Shared {
    async fn run(self: Arc<Self>, ready: std::sync::mpsc::Sender<()>) {
        loop {
            match self.session(&ready).await {
                Ok(()) => return,
                // The chaos that the tests make is expected here; what matters is asserted on the rows.
                Err(error) => say(&error),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn session(self: &Arc<Self>, ready: &std::sync::mpsc::Sender<()>) -> Result<(), lapin::Error> {
        let connection = Connection::connect(&self.amqp, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        declare(&channel).await?;
        let mut consumers = Vec::new();
        for queue in QUEUES {
            let consuming = connection.create_channel().await?;
            consuming.basic_qos(100, BasicQosOptions::default()).await?;
            let options = BasicConsumeOptions::default();
            let consumer =
                consuming.basic_consume(queue.name.into(), "".into(), options, FieldTable::default());
            consumers.push(Arc::clone(self).listen(consumer.await?));
        }
        ready.send(()).ok();
        self.take_back_unconfirmed().await;
        tokio::select! {
            heard = futures_util::future::select_all(consumers.into_iter().map(Box::pin)) => heard.0,
            scheduled = self.schedule_for_ever(&channel), if !self.options.only_listens => scheduled,
        }
    }

    async fn listen(self: Arc<Self>, mut consumer: lapin::Consumer) -> Result<(), lapin::Error> {
        while let Some(delivery) = consumer.next().await {
            let delivery = delivery?;
            let body: Value = serde_json::from_slice(&delivery.data).unwrap_or_default();
            let message_type = body["message_type"].as_str().unwrap_or_default().to_owned();
            if message_type == "ExecutionRequested" {
                self.requested.notify_one();
            } else {
                let announcement = Announcement { message_type, payload: body["payload"].clone() };
                let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
                heard.push(announcement);
                self.count.send_replace(heard.len());
            }
            delivery.ack(BasicAckOptions::default()).await?;
        }
        Err(std::io::Error::other("a consumer ended").into())
    }

    async fn schedule_for_ever(&self, channel: &Channel) -> Result<(), lapin::Error> {
        loop {
            match self.schedule_all(channel).await {
                Ok(()) => {}
                Err(Failure::Broker(error)) => return Err(error),
                Err(Failure::Database(error)) => {
                    say(&error);
                    self.take_back_unconfirmed().await;
                    tokio::time::sleep(PAUSE).await;
                }
            }
            tokio::time::timeout(LOOK_AGAIN, self.requested.notified()).await.ok();
        }
    }

    /// Schedules whatever is requested, oldest first, for the workers in turn.
    async fn schedule_all(&self, channel: &Channel) -> Result<(), Failure> {
        let requested: Vec<i64> =
            sqlx::query_scalar("SELECT id FROM execution WHERE status = 'requested' ORDER BY id")
                .fetch_all(&self.pool)
                .await?;
        for execution in requested {
            let workers: Vec<i64> = sqlx::query_scalar(
                "SELECT id FROM worker WHERE worker_role = 'action' AND status = 'active' AND NOT cordoned \
                 AND last_heartbeat > now() - interval '90 seconds' ORDER BY id",
            )
            .fetch_all(&self.pool)
            .await?;
            if workers.is_empty() {
                return Ok(());
            }
            let turn = *self.dispatched.lock().unwrap_or_else(PoisonError::into_inner);
            self.schedule(channel, execution, workers[turn as usize % workers.len()]).await?;
        }
        Ok(())
    }

    async fn schedule(&self, channel: &Channel, execution: i64, worker: i64) -> Result<(), Failure> {
        // Before the statement: its answer may be lost.
        *self.in_flight.lock().unwrap_or_else(PoisonError::into_inner) = Some(execution);
        let row = sqlx::query(
            "UPDATE execution SET status = 'scheduled', worker = $2 WHERE id = $1 AND status = 'requested' \
             RETURNING action_ref, config, to_char(updated AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') \
             AS attempt",
        )
        .bind(execution)
        .bind(worker)
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = row else { return Ok(()) };
        let config: Option<Json<Value>> = row.try_get("config")?;
        let payload = json!({
            "execution_id": execution,
            "worker_id": worker,
            "action_ref": row.try_get::<String, _>("action_ref")?,
            "config": config.map(|Json(config)| config),
            "scheduled_attempt_updated_at": row.try_get::<String, _>("attempt")?,
        });
        let key = format!("execution.dispatch.worker.{worker}");
        let number = {
            let mut dispatched = self.dispatched.lock().unwrap_or_else(PoisonError::into_inner);
            *dispatched += 1;
            *dispatched
        };
        let twice = self.options.duplicate_every.is_some_and(|every| number.is_multiple_of(every));
        for _ in 0..=u8::from(twice) {
            publish(channel, &key, "ExecutionRequested", &payload).await.map_err(Failure::Broker)?;
        }
        *self.in_flight.lock().unwrap_or_else(PoisonError::into_inner) = None;
        Ok(())
    }

    /// As the executor does: what could not be dispatched is requested again. It may have arrived all the same.
    async fn take_back_unconfirmed(&self) {
        let unconfirmed = *self.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(execution) = unconfirmed else { return };
        let back =
            "UPDATE execution SET status = 'requested', worker = NULL WHERE id = $1 AND status = 'scheduled'";
        while sqlx::query(back).bind(execution).execute(&self.pool).await.is_err() {
            tokio::time::sleep(PAUSE).await;
        }
        *self.in_flight.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// What goes wrong belongs to the log of the test.
#[expect(clippy::print_stderr, reason = "the log of a test is its standard error")]
fn say(error: &dyn std::error::Error) {
    eprintln!("executor: {error}");
}

/// What may go wrong while scheduling.
enum Failure {
    Database(sqlx::Error),
    Broker(lapin::Error),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

struct Queue {
    name: &'static str,
    key: &'static str,
}

const QUEUES: [Queue; 3] = [
    Queue { name: "attune.execution.requests.queue", key: "execution.requested" },
    Queue { name: "attune.execution.status.queue", key: "execution.status.changed" },
    Queue { name: "attune.execution.completed.queue", key: "execution.completed" },
];

async fn declare(channel: &Channel) -> Result<(), lapin::Error> {
    let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
    for (name, kind) in [(EXCHANGE, ExchangeKind::Topic), ("attune.dlx", ExchangeKind::Direct)] {
        channel.exchange_declare(name.into(), kind, durable, FieldTable::default()).await?;
    }
    for queue in QUEUES {
        let mut arguments = FieldTable::default();
        arguments.insert("x-dead-letter-exchange".into(), AMQPValue::LongString("attune.dlx".into()));
        let durable = QueueDeclareOptions { durable: true, ..Default::default() };
        channel.queue_declare(queue.name.into(), durable, arguments).await?;
        let options = QueueBindOptions::default();
        channel
            .queue_bind(queue.name.into(), EXCHANGE.into(), queue.key.into(), options, FieldTable::default())
            .await?;
    }
    Ok(())
}

async fn publish(
    channel: &Channel,
    key: &str,
    message_type: &str,
    payload: &Value,
) -> Result<(), lapin::Error> {
    let id = uuid::Uuid::new_v4().to_string();
    let body = json!({
        "message_id": id, "correlation_id": id, "message_type": message_type, "version": "1.0",
        "timestamp": "2026-01-02T03:04:05Z", "headers": {"retry_count": 0, "source_service": "executor"},
        "payload": payload,
    });
    let properties = BasicProperties::default()
        .with_delivery_mode(2)
        .with_content_type("application/json".into())
        .with_message_id(id.as_str().into());
    let options = BasicPublishOptions::default();
    let body = body.to_string();
    let confirm =
        channel.basic_publish(EXCHANGE.into(), key.into(), options, body.as_bytes(), properties).await?;
    if confirm.await?.is_ack() { Ok(()) } else { Err(std::io::Error::other("a dispatch was refused").into()) }
}
