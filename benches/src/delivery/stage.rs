//! The servers, and what is done to them: rows are scheduled and dispatched here, as an executor would.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Channel};
use serde_json::{Value, json};
use sqlx::Row;
use sqlx::postgres::PgListener;
use test_servers::{Executor, ExecutorOptions, Postgres, Rabbit};

/// The table is looked at rarely enough not to disturb what is measured.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// After this long, the server's counters hold everything.
const COUNTED: Duration = Duration::from_secs(2);

/// The name of the one worker.
const WORKER: &str = "bench";

/// Servers with their durability on, the pack of the benches, and a channel to dispatch over.
pub struct Stage {
    agent: PathBuf,
    directory: tempfile::TempDir,
    postgres: Postgres,
    rabbit: Rabbit,
    executor: Executor,
}

/// A connection that dispatches, and one that hears how states change.
#[derive(Debug)]
pub struct Hand {
    channel: Channel,
    _connection: lapin::Connection,
    listener: PgListener,
    worker: i64,
}

impl Stage {
    /// Sets everything up for the program `agent`.
    ///
    /// # Panics
    /// Where a server or the program does not work.
    pub fn new(agent: &Path) -> Self {
        let (postgres, rabbit) = (Postgres::options().durable(true).start(), Rabbit::start());
        let directory = tempfile::tempdir().expect("a temporary directory");
        let executor = Executor::start(postgres.url(), &rabbit.url(), ExecutorOptions::default());
        let stage = Self { agent: agent.to_owned(), directory, postgres, rabbit, executor };
        stage.write_pack();
        let core = concat!(env!("CARGO_MANIFEST_DIR"), "/../packs/core");
        let own = stage.path("bench").display().to_string();
        for arguments in [&["migrate"][..], &["pack", "register", core], &["pack", "register", &own]] {
            let output = stage.command().args(arguments).output().expect("the agent");
            assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
        stage
    }

    fn write_pack(&self) {
        let actions = self.path("bench/actions");
        std::fs::create_dir_all(&actions).expect("a writable directory");
        let write =
            |name: &str, text: &str| std::fs::write(actions.join(name), text).expect("a writable directory");
        for (name, script) in [
            ("noop", "#!/bin/bash\n"),
            ("print", "#!/bin/bash\necho a line\n"),
            ("rest", "#!/bin/bash\nexec sleep 60\n"),
        ] {
            write(&format!("{name}.sh"), script);
            write(
                &format!("{name}.yaml"),
                &format!("ref: bench.{name}\nentrypoint: {name}.sh\nruntime: core.shell\n"),
            );
        }
        std::fs::write(self.path("bench/pack.yaml"), "ref: bench\nlabel: Bench\nversion: 0.1.0\n")
            .expect("a file");
    }

    /// A path below the stage's own directory.
    pub fn path(&self, below: &str) -> PathBuf {
        self.directory.path().join(below)
    }

    /// The script that the action `bench.noop` runs.
    pub fn noop(&self) -> PathBuf {
        self.path("packs/bench/actions/noop.sh")
    }

    /// The program, configured for this stage.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.agent);
        command
            .env("ATTUNE__DATABASE__URL", self.postgres.url())
            .env("ATTUNE__MESSAGE_QUEUE__URL", self.rabbit.url())
            .env("ATTUNE__PACKS_BASE_DIR", self.path("packs"))
            .env("ATTUNE__ARTIFACTS_DIR", self.path("artifacts"))
            .env("ATTUNE_WORK_DIR", self.path("work"));
        command
    }

    /// The worker, with room for so many executions.
    pub fn worker(&self, room: usize) -> Command {
        let mut command = self.command();
        command.args(["run", "--name", WORKER]).env("ATTUNE__WORKER__MAX_CONCURRENT_TASKS", room.to_string());
        command
    }

    /// Runs something on the stage's connections.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.executor.block_on(future)
    }

    /// One number from the database.
    ///
    /// # Panics
    /// Where the statement does not give one.
    pub async fn number(&self, sql: &'static str) -> f64 {
        sqlx::query_scalar(sql).fetch_one(self.executor.pool()).await.expect("a number")
    }

    /// Somebody to dispatch to the worker, which has registered by now.
    ///
    /// # Panics
    /// Where a server does not answer.
    pub async fn hand(&self) -> Hand {
        let properties = lapin::ConnectionProperties::default();
        let connection =
            lapin::Connection::connect(&self.rabbit.url(), properties).await.expect("the broker");
        let channel = connection.create_channel().await.expect("a channel");
        channel.confirm_select(ConfirmSelectOptions::default()).await.expect("confirms");
        let mut listener = PgListener::connect(self.postgres.url()).await.expect("the database");
        listener.listen("execution_status_changed").await.expect("notifications");
        let worker = sqlx::query_scalar("SELECT id FROM worker WHERE name = $1")
            .bind(WORKER)
            .fetch_one(self.executor.pool())
            .await
            .expect("a registered worker");
        Hand { channel, _connection: connection, listener, worker }
    }

    /// Makes `count` rows that are scheduled for the worker; returns what is to be sent for each.
    ///
    /// # Panics
    /// Where the database refuses.
    pub async fn schedule(&self, hand: &Hand, action: &str, count: i32) -> Vec<Value> {
        let rows = sqlx::query(
            "INSERT INTO execution (action, action_ref, config, status, worker) \
             SELECT a.id, a.ref, '{}', 'scheduled', $1 FROM action a, generate_series(1, $3) WHERE a.ref = $2 \
             RETURNING id, to_char(updated AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') AS attempt",
        )
        .bind(hand.worker)
        .bind(action)
        .bind(count)
        .fetch_all(self.executor.pool())
        .await
        .expect("rows");
        let dispatch = |row: &sqlx::postgres::PgRow| {
            json!({"execution_id": row.get::<i64, _>("id"), "worker_id": hand.worker, "action_ref": action,
                "config": {}, "scheduled_attempt_updated_at": row.get::<String, _>("attempt")})
        };
        rows.iter().map(dispatch).collect()
    }

    /// Transactions of the database so far, once the server has counted those that are over.
    pub async fn transactions(&self) -> f64 {
        // Each of its processes adds what it did to the counters at most once a second.
        pause(COUNTED).await;
        let sql = "SELECT (xact_commit + xact_rollback)::float8 FROM pg_stat_database \
            WHERE datname = current_database()";
        self.number(sql).await
    }

    /// How many of them are this stage's own, and the executor's, while it waits for so long.
    pub fn own_transactions(&self, waited: Duration) -> f64 {
        (waited + COUNTED).as_secs_f64() * (1.0 / LOOK_AGAIN.as_secs_f64() + 2.0)
    }

    /// Awaits that every execution of the stage has ended.
    pub async fn all_ended(&self) {
        let open = "SELECT count(*)::float8 FROM execution WHERE status IN ('scheduled', 'running')";
        while self.number(open).await > 0.0 {
            pause(LOOK_AGAIN).await;
        }
    }
}

async fn pause(how_long: Duration) {
    tokio::time::sleep(how_long).await;
}

impl Hand {
    /// Sends dispatches, and returns when the broker has them.
    ///
    /// # Panics
    /// Where the broker refuses.
    pub async fn dispatch(&self, dispatches: &[Value]) {
        let mut confirms = Vec::with_capacity(dispatches.len());
        for dispatch in dispatches {
            let body = json!({"message_id": "00000000-0000-4000-8000-000000000000", "message_type": "ExecutionRequested",
                "version": "1.0", "timestamp": "2026-01-02T03:04:05Z",
                "headers": {"retry_count": 0, "source_service": "executor"}, "payload": dispatch})
            .to_string();
            let key = format!("execution.dispatch.worker.{}", self.worker);
            let properties = BasicProperties::default().with_delivery_mode(2);
            let options = BasicPublishOptions::default();
            let sent = self.channel.basic_publish(
                "attune.executions".into(),
                key.into(),
                options,
                body.as_bytes(),
                properties,
            );
            confirms.push(sent.await.expect("a broker"));
        }
        for confirm in confirms {
            assert!(confirm.await.expect("a broker").is_ack());
        }
    }

    /// Awaits that an execution has reached a final state.
    ///
    /// # Panics
    /// Where the database goes away.
    pub async fn ended(&mut self, execution: i64) {
        loop {
            let notified = self.listener.recv().await.expect("a notification");
            let payload: Value = serde_json::from_str(notified.payload()).unwrap_or_default();
            if payload["id"] == execution && payload["status"] != "running" {
                return;
            }
        }
    }
}
