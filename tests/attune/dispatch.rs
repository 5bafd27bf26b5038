//! What the worker is told (CONTRACT §2.7): dispatches with their defaults, cancellations, and news of packs.

use serde_json::{Value, json};

use crate::site::{Gate, PATIENCE, Site, is_running, lines};
use crate::wire::{EVENTS, Wire, until};

#[test]
fn the_rows_parameters_go_over_the_dispatchs_defaults() {
    let site = Site::shared("defaults");
    let wire = Wire::new(&site);
    site.action("show", "cat\n", "output_format: json\n");
    let worker = site.worker("w");
    let number = wire.worker("w");
    // The executor fills in defaults in the message alone.
    let row = json!({"own": "row", "null": null, "nested": {"a": 1}});
    let mut scheduled = wire.schedule(number, "my.show", &row);
    scheduled.config = json!({"own": "dispatch", "default": [1, 2], "null": "default", "nested": {"b": 2}});
    wire.dispatch(&scheduled);
    wire.await_completion(scheduled.id);
    let expected = json!({"own": "row", "default": [1, 2], "null": "default", "nested": {"a": 1}});
    assert_eq!(wire.result(scheduled.id)["data"], expected);

    for (row, dispatch, expected) in [
        (json!({"a": 1}), Value::Null, json!({"a": 1})),
        (Value::Null, json!({"a": 1}), json!({"a": 1})),
        (Value::Null, Value::Null, json!({})),
        (json!({"a": null}), Value::Null, json!({})),
        (json!([1]), json!("text"), json!({})),
    ] {
        let mut scheduled = wire.schedule(number, "my.show", &row);
        scheduled.config = dispatch;
        wire.dispatch(&scheduled);
        wire.await_completion(scheduled.id);
        assert_eq!(wire.result(scheduled.id)["data"], expected, "{row} over {}", scheduled.config);
    }
    worker.drain();
}

#[test]
fn variables_of_the_row_are_in_the_actions_environment() {
    let site = Site::shared("variables");
    let wire = Wire::new(&site);
    site.action("show", "echo \"$COLOUR $COUNT\"\n", "");
    let worker = site.worker("w");
    let mut scheduled = wire.schedule(wire.worker("w"), "my.show", &json!({}));
    let change = format!(
        "UPDATE execution SET env_vars = '{{\"COLOUR\": \"red\", \"COUNT\": 3}}' WHERE id = {} RETURNING \
         to_char(updated AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') AS attempt",
        scheduled.id
    );
    scheduled.attempt = wire.row(&change)["attempt"].as_str().expect("a moment").to_owned();
    wire.dispatch(&scheduled);
    wire.await_completion(scheduled.id);
    assert_eq!(wire.result(scheduled.id)["stdout"], "red 3\n");
    worker.drain();
}

#[test]
fn the_last_line_goes_through_a_helper_that_outlives_its_action() {
    let site = Site::shared("helpers");
    let wire = Wire::new(&site);
    for (name, helper) in [
        ("tee", "exec > >(tee /dev/null) 2>&1\n"),
        ("filter", "exec > >(while read -r line; do echo \"$line\"; done)\n"),
    ] {
        let file = site.path(&format!("{name}.bash"));
        std::fs::write(&file, format!("{helper}echo \"LAST LINE\"\nexit 3\n")).expect("a writable directory");
        site.action(name, &format!("exec bash {}\n", file.display()), "");
    }
    let worker = site.worker("w");
    let number = wire.worker("w");
    let handed: Vec<_> = (0..200)
        .map(|round| wire.hand(number, if round % 2 == 0 { "my.tee" } else { "my.filter" }, &json!({})))
        .collect();
    for execution in handed {
        wire.await_completion(execution);
        assert_eq!(wire.result(execution)["stdout"], "LAST LINE\n");
    }
    worker.drain();
}

#[test]
fn a_cancellation_ends_the_whole_process_tree() {
    let site = Site::shared("cancel_tree");
    let wire = Wire::new(&site);
    let pids = site.path("pids");
    let script = format!("sleep 1000 &\necho $! $$ >> {}\nexec sleep 1000\n", pids.display());
    site.action("long", &script, "");
    let worker = site.worker("w");
    let number = wire.worker("w");
    let execution = wire.hand(number, "my.long", &json!({}));
    assert!(until(PATIENCE, || lines(&pids).len() == 1));
    // The message alone is enough: the row may be `running` still.
    wire.cancel(number, execution);
    wire.await_completion(execution);
    assert_eq!(wire.story(execution), ["scheduled→running", "running→cancelled", "Cancelled"]);
    let started: Vec<u32> = lines(&pids)[0].split(' ').map(|pid| pid.parse().expect("a number")).collect();
    assert_eq!(started.len(), 2);
    assert!(started.iter().all(|pid| !is_running(*pid)), "no process is left");
    worker.drain();
}

#[test]
fn what_was_cancelled_before_it_was_claimed_is_announced_and_does_not_run() {
    let site = Site::shared("cancel_before");
    let wire = Wire::new(&site);
    let ran = site.path("ran");
    site.action("count", &format!("echo run >> {}\n", ran.display()), "");
    let worker = site.worker("w");
    let number = wire.worker("w");
    let scheduled = wire.schedule(number, "my.count", &json!({}));
    // As the API does it: by the row alone.
    wire.execute(&format!("UPDATE execution SET status = 'cancelled' WHERE id = {}", scheduled.id));
    wire.dispatch(&scheduled);
    let completion = wire.await_completion(scheduled.id);
    assert_eq!(completion.body["payload"]["status"], "Cancelled");
    assert_eq!(
        completion.body["payload"]["action_id"],
        wire.value("SELECT id FROM action WHERE ref = 'my.count'")
    );
    assert_eq!(completion.body["payload"]["result"], wire.result(scheduled.id));
    assert_eq!(wire.story(scheduled.id), ["scheduled→cancelled", "Cancelled"]);
    assert_eq!(wire.status(scheduled.id), "cancelled");
    assert!(lines(&ran).is_empty());
    worker.drain();
}

#[test]
fn a_cancellation_of_an_unknown_execution_is_acknowledged_and_forgotten() {
    let site = Site::shared("cancel_unknown");
    let wire = Wire::new(&site);
    let worker = site.worker("w");
    let number = wire.worker("w");
    // The number of an execution that is yet to come: it must not be cancelled by what came before it.
    let next = wire.value("SELECT nextval('execution_id_seq')").as_i64().expect("a number") + 1;
    wire.cancel(number, next);
    wire.cancel(number, 4_000_000_000);
    let queue = format!("worker.{number}.cancel");
    assert!(until(PATIENCE, || wire.queue(&queue).is_some_and(|(messages, _)| messages == 0)));
    let execution = wire.hand(number, "core.noop", &json!({}));
    assert_eq!(execution, next);
    wire.await_completion(execution);
    assert_eq!(wire.status(execution), "completed");
    worker.drain();
}

#[test]
fn news_of_packs_is_acknowledged_and_holds_nothing_up() {
    let site = Site::shared("packs");
    let wire = Wire::new(&site);
    let gate = Gate::new(&site, "gate");
    site.action("wait", &gate.wait(), "");
    let worker = site.worker("w");
    let number = wire.worker("w");
    let running = wire.hand(number, "my.wait", &json!({}));
    let registered =
        json!({"pack_id": 1, "pack_ref": "shiny", "version": "1.0.0", "runtime_names": ["python"]});
    for _ in 0..20 {
        wire.send(EVENTS, "pack.registered", "PackRegistered", &registered);
    }
    wire.send(EVENTS, "pack.deleted", "PackDeleted", &json!({"pack_id": 1, "pack_ref": "dull"}));
    // What else comes there is nobody's to do anything about.
    wire.send(EVENTS, "pack.registered", "RuleCreated", &json!({"rule_id": 1}));
    wire.send(EVENTS, "pack.registered", "SomethingNew", &json!({}));
    wire.send(
        EVENTS,
        "pack.registered",
        "ExecutionRequested",
        &json!({"execution_id": 1, "worker_id": number, "action_ref": "my.wait"}),
    );
    let other = wire.hand(number, "core.noop", &json!({}));
    wire.await_completion(other);
    worker.wait_for("a pack was registered");
    worker.wait_for("a pack was deleted");
    let queue = format!("worker.{number}.packs");
    assert!(until(PATIENCE, || wire.queue(&queue) == Some((0, 1))), "{:?}", wire.queue(&queue));
    gate.open(1);
    wire.await_completion(running);
    assert_eq!(wire.status(running), "completed");
    let log = worker.drain();
    assert_eq!(log.iter().filter(|line| line.contains("a pack was registered")).count(), 20);
}
