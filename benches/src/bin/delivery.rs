//! The figures of delivery, in one run, each beside what it is measured against: start to consuming, latency, executions
//! a second, processor time and round trips for each, memory.
//!
//! `cargo build --profile dist -p agent-bin --target x86_64-unknown-linux-musl && cargo run --release -p attune-benches
//! --bin delivery -- --agent target/x86_64-unknown-linux-musl/dist/attune-agent`

#![expect(clippy::print_stdout, reason = "printing figures is what it is for")]

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use attune_benches::delivery::process::Agent;
use attune_benches::delivery::stage::{Hand, Stage};

/// How many executions run at once where throughput is measured.
const ROOM: usize = 10;
const EXECUTIONS: i32 = 3_000;
const ROUNDS: usize = 5;
const STARTS: usize = 15;
const SINGLE: usize = 200;
const RUNNING: usize = 100;

/// The executions that throughput is measured on; those before were for warming up.
const RATE: &str = "SELECT count(*) / extract(epoch FROM max(updated) - min(started_at))::float8 FROM \
    (SELECT updated, started_at FROM execution ORDER BY id DESC LIMIT 3000) last";

const CONNECTIONS: &str =
    "SELECT count(*)::float8 FROM pg_stat_activity WHERE application_name = 'attune-agent'";

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (Some("--agent"), Some(agent)) = (arguments.next().as_deref(), arguments.next().map(PathBuf::from))
    else {
        println!("usage: delivery --agent PATH");
        std::process::exit(2)
    };
    let stage = Stage::new(&agent);
    starts(&stage);
    latency(&stage);
    let raw = raw_loop(&stage);
    let best = (0..ROUNDS).map(|_| throughput(&stage, "bench.noop")).fold(0.0, f64::max);
    println!("executions/s against the raw loop, best round      {:8.2}", best / raw);
    // What it costs that an action prints: a live log, and a version of an artifact.
    println!("the same, of an action that prints a line:");
    throughput(&stage, "bench.print");
    memory(&stage);
}

/// From exec to the first line that says it takes work, with both servers up.
fn starts(stage: &Stage) {
    let mut times: Vec<Duration> = (0..STARTS)
        .map(|_| {
            let worker = Agent::start(&mut stage.worker(ROOM));
            let taken = worker.logged("the worker takes work");
            worker.stop();
            taken
        })
        .collect();
    times.sort();
    show("process start to consuming", &times);
}

/// One at a time: from the publish to the row that says how it ended.
fn latency(stage: &Stage) {
    let worker = Agent::start(&mut stage.worker(ROOM));
    worker.logged("the worker takes work");
    let mut times: Vec<Duration> = stage.block_on(async {
        let mut hand = stage.hand().await;
        let mut times = Vec::new();
        for _ in 0..SINGLE {
            let dispatches = stage.schedule(&hand, "bench.noop", 1).await;
            let id = dispatches[0]["execution_id"].as_i64().expect("a number");
            let begun = Instant::now();
            let sending = hand.dispatch(&dispatches);
            sending.await;
            hand.ended(id).await;
            times.push(begun.elapsed());
        }
        times
    });
    times.sort();
    show("publish to terminal row, one at a time", &times);
    worker.stop();
}

/// What a worker cannot beat: the same script, started and awaited, one after the other.
fn raw_loop(stage: &Stage) -> f64 {
    let noop = stage.noop();
    let count = 1000;
    let begun = Instant::now();
    for _ in 0..count {
        let mut command = Command::new("/bin/bash");
        command.arg(&noop).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        assert!(command.status().expect("bash").success());
    }
    let rate = f64::from(count) / begun.elapsed().as_secs_f64();
    println!("raw loop of `bash noop.sh`                         {rate:8.0} /s");
    rate
}

/// As many as it can: all are dispatched before the worker starts to consume.
fn throughput(stage: &Stage, action: &str) -> f64 {
    let worker = Agent::start(&mut stage.worker(ROOM));
    worker.logged("the worker takes work");
    let (rate, per, connections) = stage.block_on(async {
        let hand: Hand = stage.hand().await;
        let warm = stage.schedule(&hand, action, 200).await;
        hand.dispatch(&warm).await;
        stage.all_ended().await;
        let dispatches = stage.schedule(&hand, action, EXECUTIONS).await;
        let (before, cpu) = (stage.transactions().await, worker.cpu());
        let begun = Instant::now();
        hand.dispatch(&dispatches).await;
        stage.all_ended().await;
        let looks = stage.own_transactions(begun.elapsed());
        let (after, connections) = (worker.cpu(), stage.number(CONNECTIONS).await);
        let transactions = stage.transactions().await - before - looks;
        let each = |duration: Duration| duration.as_secs_f64() * 1e3 / f64::from(EXECUTIONS);
        let per = [
            each(after.agent.saturating_sub(cpu.agent)),
            each(after.zygote.saturating_sub(cpu.zygote)),
            each(after.below.saturating_sub(cpu.below)),
            transactions / f64::from(EXECUTIONS),
        ];
        (stage.number(RATE).await, per, connections)
    });
    let [agent, zygote, below, transactions] = per;
    println!("executions/s, {ROOM} at once                           {rate:8.0} /s");
    println!(
        "  each: agent {agent:.2} ms CPU, its forking helper {zygote:.2} ms, supervisors and bash {below:.2} ms; \
         {transactions:.2} transactions; {connections} connections"
    );
    worker.stop();
    rate
}

/// Resident memory of a worker that does nothing, and of one that watches many.
fn memory(stage: &Stage) {
    let mut command = stage.worker(RUNNING);
    let worker = Agent::start(command.env("ATTUNE__WORKER__SHUTDOWN_TIMEOUT", "1"));
    worker.logged("the worker takes work");
    let (own, all) = worker.resident_kib();
    println!("resident, idle                                     {own:8} KiB, with its helper {all} KiB");
    stage.block_on(async {
        let hand = stage.hand().await;
        let dispatches =
            stage.schedule(&hand, "bench.rest", i32::try_from(RUNNING).expect("a small number")).await;
        hand.dispatch(&dispatches).await;
        let running = "SELECT count(*)::float8 FROM execution WHERE status = 'running'";
        while stage.number(running).await < 100.0 {}
    });
    let (own, all) = worker.resident_kib();
    println!(
        "resident, {RUNNING} running                              {own:8} KiB, with its helper {all} KiB"
    );
    worker.stop();
}

fn show(label: &str, sorted: &[Duration]) {
    let ms = |duration: Duration| duration.as_secs_f64() * 1e3;
    println!(
        "{label:50} min {:7.2}  median {:7.2}  p95 {:7.2} ms",
        ms(sorted[0]),
        ms(sorted[sorted.len() / 2]),
        ms(sorted[sorted.len() * 95 / 100])
    );
}
