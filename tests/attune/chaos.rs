//! Everything that can break, breaks, while executions run; then everything is counted.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde_json::json;
use sqlx::Row;
use test_servers::{Executor, ExecutorOptions, Postgres, Rabbit};

use crate::site::{Site, Worker, lines};

const EXECUTIONS: usize = 2_000;
const KILLS: usize = 20;
const RESTARTS: usize = 5;
const DUPLICATES: u32 = 10;

/// After the last blow, everything has to be over within this.
const PATIENCE: Duration = Duration::from_mins(5);

/// What hits, in turn.
#[derive(Debug, Clone, Copy)]
enum Blow {
    Kill,
    Broker,
    Database,
    Connections,
}

#[test]
fn nothing_is_lost_and_nothing_runs_twice_whatever_breaks() {
    let mut postgres = Postgres::options().durable(true).start();
    let mut rabbit = Rabbit::start();
    let site = Site::new(postgres.url(), &rabbit.url());
    // Each run appends a line before it does anything else, so that a second run cannot hide.
    let ran = site.path("ran");
    let script =
        format!("read -r line\necho \"$ATTUNE_EXEC_ID\" >> {}\nsleep 0.0$((RANDOM % 10))\n", ran.display());
    site.action("chaos", &script, "");
    let options = ExecutorOptions { duplicate_every: Some(DUPLICATES), only_listens: false };
    let executor = Executor::start(&site.database, &site.amqp, options);
    let begun = Instant::now();
    let mut worker = Some(worker(&site));
    let blows = blows();
    let mut submitted = 0;
    for (number, blow) in blows.iter().enumerate() {
        let until = EXECUTIONS * (number + 1) / (blows.len() + 1);
        while submitted < until {
            executor.request("my.chaos", &json!({"number": submitted}));
            submitted += 1;
        }
        // Somewhere in the middle of what was just asked for.
        let reached = until.saturating_sub(20);
        wait_until(PATIENCE, || lines(&ran).len() + 60 > reached);
        strike(*blow, &site, &mut worker, &mut postgres, &mut rabbit);
    }
    while submitted < EXECUTIONS {
        executor.request("my.chaos", &json!({"number": submitted}));
        submitted += 1;
    }
    let counts = settle(&executor, &ran);
    println!(
        "chaos: {EXECUTIONS} executions, {KILLS} kills, {RESTARTS} broker restarts, {RESTARTS} database restarts, \
         {} connection cuts, every {DUPLICATES}th dispatch twice, {:.1} s\n{counts:#?}",
        blows.iter().filter(|blow| matches!(blow, Blow::Connections)).count(),
        begun.elapsed().as_secs_f64(),
    );
    assert_eq!(counts.lost, 0, "no execution is left in a state that is not final");
    assert_eq!(counts.run_twice, 0, "no process is started twice");
    assert_eq!(counts.terminal_changed, 0, "no terminal state is replaced");
    assert_eq!(counts.without_completion, 0, "every execution has a completion message");
    assert_eq!(counts.completed_without_run, 0, "what is completed has run");
    worker.take().expect("a worker").drain();
}

fn worker(site: &Site) -> Worker {
    let mut command = site.worker_command("chaos");
    command.env("ATTUNE__WORKER__HEARTBEAT_INTERVAL", "1").env("ATTUNE__WORKER__MAX_CONCURRENT_TASKS", "20");
    Worker::spawn(&mut command)
}

/// All blows, those of each kind spread over the whole run.
fn blows() -> Vec<Blow> {
    let mut blows = Vec::new();
    for round in 0..RESTARTS {
        blows.extend([Blow::Kill; KILLS / RESTARTS / 2]);
        blows.extend([Blow::Broker, Blow::Connections]);
        blows.extend([Blow::Kill; KILLS / RESTARTS - KILLS / RESTARTS / 2]);
        blows.push(Blow::Database);
        if round % 2 == 0 {
            blows.push(Blow::Connections);
        }
    }
    blows
}

fn strike(
    blow: Blow,
    site: &Site,
    running: &mut Option<Worker>,
    postgres: &mut Postgres,
    rabbit: &mut Rabbit,
) {
    match blow {
        Blow::Kill => {
            if let Some(worker) = running.take() {
                worker.kill();
            }
            *running = Some(worker(site));
        }
        Blow::Broker => {
            rabbit.stop();
            rabbit.start_again();
        }
        Blow::Database => {
            postgres.stop_now();
            postgres.start_again();
        }
        Blow::Connections => rabbit.close_connections(),
    }
}

/// What is counted in the end.
#[derive(Debug, Default)]
#[expect(dead_code, reason = "every count is printed")]
struct Counts {
    lost: usize,
    run_twice: usize,
    terminal_changed: usize,
    without_completion: usize,
    completed_without_run: usize,
    states: HashMap<String, i64>,
    processes: usize,
    completion_messages: usize,
}

fn settle(executor: &Executor, ran: &std::path::Path) -> Counts {
    let terminal = "SELECT count(*) FROM execution \
        WHERE status IN ('completed', 'failed', 'cancelled', 'timeout', 'abandoned')";
    wait_until(PATIENCE, || count(executor, terminal) == i64::try_from(EXECUTIONS).ok());
    executor.await_heard(Duration::from_mins(1), |heard| {
        let mut done: Vec<_> = heard
            .iter()
            .filter(|heard| heard.message_type == "ExecutionCompleted")
            .filter_map(|heard| heard.payload["execution_id"].as_i64())
            .collect();
        done.sort_unstable();
        done.dedup();
        done.len() == EXECUTIONS
    });
    let mut runs: HashMap<i64, usize> = HashMap::new();
    for line in lines(ran) {
        *runs.entry(line.trim().parse().expect("an execution's number")).or_default() += 1;
    }
    let rows = executor.block_on(async {
        sqlx::query("SELECT id, status::text FROM execution")
            .fetch_all(executor.pool())
            .await
            .expect("a query")
    });
    let completions = executor.completions();
    let mut counts = Counts {
        processes: runs.values().sum(),
        run_twice: runs.values().filter(|count| **count > 1).count(),
        completion_messages: completions.values().sum(),
        ..Counts::default()
    };
    for row in &rows {
        let (id, status): (i64, String) = (row.get(0), row.get(1));
        if ["requested", "scheduling", "scheduled", "running", "canceling"].contains(&status.as_str()) {
            counts.lost += 1;
        }
        counts.completed_without_run += usize::from(status == "completed" && !runs.contains_key(&id));
        counts.without_completion += usize::from(!completions.contains_key(&id));
        *counts.states.entry(status).or_default() += 1;
    }
    let changed = "SELECT count(*) FROM execution_history WHERE operation = 'UPDATE' AND old_values->>'status' IN \
        ('completed', 'failed', 'cancelled', 'timeout', 'abandoned') AND new_values->>'status' IS NOT NULL";
    counts.terminal_changed =
        count(executor, changed).and_then(|count| usize::try_from(count).ok()).expect("a count");
    counts
}

fn count(executor: &Executor, sql: &'static str) -> Option<i64> {
    executor.block_on(async { sqlx::query_scalar(sql).fetch_one(executor.pool()).await.ok() })
}

/// Looks again and again: what is awaited is written by processes and servers that tell nobody.
fn wait_until(patience: Duration, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + patience;
    let (_sender, never) = std::sync::mpsc::channel::<()>();
    while !done() && Instant::now() < deadline {
        never.recv_timeout(Duration::from_millis(20)).ok();
    }
}
