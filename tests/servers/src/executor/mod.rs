//! An executor that does what a worker sees of Attune's (CONTRACT §2.9, §11): takes requests one by one, picks a worker,
//! schedules, dispatches, and reads what is announced.
//!
//! Like Attune's it acts on messages alone. A request that no active, uncordoned worker can have is rejected without
//! being queued again: its row stays `requested`, and nobody looks at it until somebody asks for it again.

mod broker;
mod placement;
mod schedule;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lapin::Channel;
use serde_json::{Value, json};
use sqlx::postgres::PgPoolOptions;
use sqlx::types::Json;
use sqlx::{PgPool, Row};
use tokio::sync::watch;

/// Between two tries to reach a server that is away.
const PAUSE: Duration = Duration::from_millis(100);

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
    /// What publishes, while there is a connection.
    publisher: watch::Sender<Option<Channel>>,
    heard: Mutex<Vec<Announcement>>,
    count: watch::Sender<usize>,
    /// Executions whose request was rejected, in the order of the rejections.
    rejected: Mutex<Vec<i64>>,
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
            publisher: watch::Sender::new(None),
            heard: Mutex::default(),
            count: watch::Sender::new(0),
            rejected: Mutex::default(),
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

    /// Asks for an execution as the API does: the row, then the message, until the broker has it.
    pub fn request(&self, action_ref: &str, config: &Value) -> i64 {
        self.block_on(async {
            let row = loop {
                let insert = sqlx::query(
                    "INSERT INTO execution (action, action_ref, config, status) \
                     VALUES ((SELECT id FROM action WHERE ref = $1), $1, $2, 'requested') RETURNING id, action",
                );
                match insert.bind(action_ref).bind(Json(config)).fetch_one(&self.shared.pool).await {
                    Ok(row) => break row,
                    Err(_) => tokio::time::sleep(PAUSE).await,
                }
            };
            let (id, action): (i64, Option<i64>) = (row.get("id"), row.get("action"));
            let payload = json!({
                "execution_id": id, "action_id": action, "action_ref": action_ref, "parent_id": null,
                "enforcement_id": null, "config": config,
            });
            self.shared.publish_at_last("execution.requested", "ExecutionRequested", &payload).await;
            id
        })
    }

    /// The executions whose requests were rejected because no worker was there to take them, in that order.
    pub fn rejected(&self) -> Vec<i64> {
        self.shared.rejected.lock().unwrap_or_else(PoisonError::into_inner).clone()
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

/// What goes wrong belongs to the log of the test.
#[expect(clippy::print_stderr, reason = "the log of a test is its standard error")]
fn say(error: &dyn std::error::Error) {
    eprintln!("executor: {error}");
}
