//! The worker's queues (CONTRACT §2.2, §2.3): declared to the letter, and there before anybody is told to use them.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use test_servers::{Postgres, Rabbit};

use crate::site::{Site, Worker, golden};
use crate::wire::Wire;

/// What was recorded of the workers' own queues, for this worker.
fn of_worker(worker: i64, recorded: &str) -> BTreeSet<String> {
    let listed = golden(recorded);
    let own = listed.as_array().expect("a list").iter().map(Value::to_string);
    // Recorded were the workers 1 and 2; one of them is enough.
    own.filter(|item| item.contains("worker.2."))
        .map(|item| item.replace("worker.2.", &format!("worker.{worker}.")))
        .map(|item| item.replace("worker.2\"", &format!("worker.{worker}\"")))
        .collect()
}

fn kept(item: &Value, keys: &[&str]) -> String {
    let kept: serde_json::Map<_, _> =
        keys.iter().map(|key| ((*key).to_owned(), item[*key].clone())).collect();
    Value::Object(kept).to_string()
}

#[test]
fn queues_exchanges_and_bindings_are_those_of_the_reference_down_to_the_types() {
    let (postgres, rabbit) = std::thread::scope(|scope| {
        let rabbit = scope.spawn(Rabbit::start);
        (Postgres::start(), rabbit.join().expect("a broker"))
    });
    let site = Site::new(postgres.url(), &rabbit.url());
    let wire = Wire::new(&site);
    // Numbers apart from the recorded ones.
    wire.execute("ALTER SEQUENCE worker_id_seq RESTART 40");
    let running = site.worker("w");
    let worker = wire.worker("w");
    assert_eq!(worker, 40);

    let list = |what: &[&str]| -> Vec<Value> {
        let printed = rabbit.ctl(&[&["--formatter", "json"], what].concat());
        serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}"))
    };
    let queues = list(&["list_queues", "name", "durable", "auto_delete", "exclusive", "arguments"]);
    let ours =
        queues.iter().filter(|queue| queue["name"].as_str().is_some_and(|name| name.starts_with("worker.")));
    let keys = ["name", "durable", "auto_delete", "exclusive", "arguments"];
    let ours: BTreeSet<_> = ours.map(|queue| kept(queue, &keys)).collect();
    assert_eq!(ours, of_worker(worker, "queues.json"));
    assert_eq!(ours.len(), 3);

    let bindings = list(&["list_bindings", "source_name", "destination_name", "routing_key", "arguments"]);
    let keys = ["source_name", "destination_name", "routing_key", "arguments"];
    let of = |name: &str, bindings: &[Value]| -> BTreeSet<_> {
        let bound = bindings.iter().filter(|binding| {
            binding["destination_name"].as_str().is_some_and(|destination| destination.starts_with(name))
        });
        bound.map(|binding| kept(binding, &keys)).collect()
    };
    assert_eq!(of("worker.", &bindings), of_worker(worker, "bindings.json"));
    // Ours beyond the reference's: without it, dead dispatches are gone (CONTRACT §2.2).
    let dead = json!({"source_name": "attune.dlx", "destination_name": "attune.dlx.queue",
        "routing_key": "execution.dispatch.worker.40", "arguments": []});
    assert!(of("attune.dlx.queue", &bindings).contains(&dead.to_string()), "{bindings:#?}");

    let exchanges =
        list(&["list_exchanges", "name", "type", "durable", "auto_delete", "internal", "arguments"]);
    let keys = ["name", "type", "durable", "auto_delete"];
    let attune = |list: &[Value]| -> BTreeSet<_> {
        let own =
            list.iter().filter(|one| one["name"].as_str().is_some_and(|name| name.starts_with("attune")));
        own.map(|exchange| kept(exchange, &keys)).collect()
    };
    let recorded = golden("exchanges.json");
    assert_eq!(attune(&exchanges), attune(recorded.as_array().expect("a list")));
    running.drain();
}

#[test]
fn the_queues_take_messages_before_the_row_is_active() {
    let site = Site::shared("before");
    let wire = Wire::new(&site);
    // Whoever makes a row active has to wait for the test.
    wire.execute(
        "CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
           PERFORM pg_advisory_xact_lock(4711); RETURN NEW; END $$;
         CREATE TRIGGER hold BEFORE INSERT OR UPDATE ON worker FOR EACH ROW
           WHEN (NEW.status = 'active') EXECUTE FUNCTION hold();",
    );
    let held = wire.hold(4711);
    let worker = Worker::spawn(&mut site.worker_command("w"));
    wire.await_waiter();
    let row = wire.row("SELECT id, status FROM worker");
    assert_eq!(row["status"], "inactive");
    let number = row["id"].as_i64().expect("a number");
    let queues = site.virtual_host().list("queues");
    let mut names: Vec<_> = queues.iter().filter_map(|queue| queue["name"].as_str()).collect();
    names.retain(|name| name.starts_with("worker."));
    names.sort_unstable();
    assert_eq!(names, ["cancel", "executions", "packs"].map(|queue| format!("worker.{number}.{queue}")));
    let bindings = site.virtual_host().list("bindings");
    for key in [
        format!("execution.dispatch.worker.{number}"),
        format!("execution.cancel.worker.{number}"),
        "pack.registered".to_owned(),
        "pack.deleted".to_owned(),
    ] {
        let bound = |binding: &&Value| {
            binding["routing_key"] == *key
                && binding["destination"].as_str().is_some_and(|to| to.starts_with("worker."))
        };
        assert_eq!(bindings.iter().filter(bound).count(), 1, "{key}");
    }
    // What is dispatched in this very moment runs.
    let execution = wire.hand(number, "core.noop", &json!({}));
    wire.release(held);
    wire.await_completion(execution);
    assert_eq!(wire.status(execution), "completed");
    worker.drain();
}

#[test]
fn a_queue_that_somebody_made_otherwise_is_told_with_a_hint_and_left_alone() {
    let site = Site::shared("other");
    let wire = Wire::new(&site);
    site.worker("w").drain();
    let name = format!("worker.{}.cancel", wire.worker("w"));
    let channel = wire.channel();
    let options = lapin::options::QueueDeclareOptions { durable: true, ..Default::default() };
    let declare = channel.queue_declare(name.as_str().into(), options, lapin::types::FieldTable::default());
    wire.block_on(declare).expect("a queue");
    let ran = crate::site::Ran::of(&mut site.worker_command("w"));
    ran.assert_refused(69, "cannot declare a queue", "with other properties");
    assert!(wire.queue(&name).is_some(), "it is somebody's");
}
