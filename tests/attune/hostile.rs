//! Messages that nobody should send: put aside, and nothing else happens.

use serde_json::{Value, json};

use crate::site::{PATIENCE, Site, Worker};
use crate::wire::{EVENTS, EXECUTIONS, Wire, envelope, until};

/// Bodies that are no message at all.
fn garbage() -> Vec<Vec<u8>> {
    let deep = |open: &str, close: &str, depth: usize| [open.repeat(depth), close.repeat(depth)].concat();
    let mut bodies: Vec<Vec<u8>> = [
        "",
        " ",
        "\0",
        "nonsense",
        "{",
        "{\"message_type\"",
        "null",
        "true",
        "42",
        "-1e999",
        "\"text\"",
        "[]",
        "[{}]",
        "{}",
        "{\"message_type\": \"ExecutionRequested\"}",
        "{\"payload\": {}}",
        "\u{feff}{}",
        "{\"message_type\": \"ExecutionRequested\", \"payload\": {}} {}",
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect();
    bodies.push(vec![0xff, 0xfe, 0x00, 0xc3]);
    bodies.push(b"{\"message_type\": \"Execution\xffRequested\", \"payload\": {}}".to_vec());
    bodies.push(deep("[", "]", 200_000).into_bytes());
    bodies.push(deep("{\"a\":", "}", 200_000).into_bytes());
    let nested = deep("[", "]", 100_000);
    bodies.push(format!("{{\"message_type\": \"ExecutionRequested\", \"payload\": {nested}}}").into_bytes());
    bodies.push((0..4096_u32).map(|byte| (byte.wrapping_mul(2_654_435_761) >> 24) as u8).collect());
    bodies
}

/// Every field of a good message in turn as everything that it should not be.
fn mistyped(message_type: &str, good: &Value, required: &[&str]) -> Vec<Vec<u8>> {
    let wrong =
        [json!(null), json!(true), json!(1.5), json!([]), json!({}), json!("x"), json!(u64::MAX), json!("-")];
    let mut bodies = Vec::new();
    for field in required {
        let right = &good[*field];
        for wrong in &wrong {
            if std::mem::discriminant(wrong) == std::mem::discriminant(right) && !right.is_number() {
                continue;
            }
            let mut payload = good.clone();
            payload[*field] = wrong.clone();
            bodies.push(envelope(message_type, &payload).to_string().into_bytes());
        }
        let mut payload = good.clone();
        payload.as_object_mut().expect("an object").remove(*field);
        bodies.push(envelope(message_type, &payload).to_string().into_bytes());
    }
    for wrong in &wrong {
        if !wrong.is_object() {
            bodies.push(envelope(message_type, wrong).to_string().into_bytes());
        }
        if !wrong.is_string() {
            let mut body = envelope(message_type, good);
            body["message_type"] = wrong.clone();
            bodies.push(body.to_string().into_bytes());
        }
    }
    bodies
}

/// A message with what nobody needs, in every wrong way: it is a good one all the same.
fn careless(good: &Value) -> Value {
    let mut body = envelope("ExecutionRequested", good);
    body["message_id"] = json!([1]);
    body["correlation_id"] = json!(null);
    body["version"] = json!({"major": 99});
    body["timestamp"] = json!("yesterday");
    body["headers"] = json!("none");
    body["payload"]["surprise"] = json!({"deep": [1, {"er": null}]});
    body
}

fn assert_unshaken(wire: &Wire, number: i64) {
    let execution = wire.hand(number, "core.noop", &json!({}));
    wire.await_completion(execution);
    assert_eq!(wire.status(execution), "completed");
    for queue in ["executions", "packs", "cancel"] {
        let name = format!("worker.{number}.{queue}");
        let consumed = until(PATIENCE, || wire.queue(&name) == Some((0, 1)));
        assert!(consumed, "{name}: {:?}", wire.queue(&name));
    }
}

fn assert_calm(log: &[String]) {
    for line in log {
        assert!(!line.contains("panic") && !line.contains("ERROR"), "{line}");
        assert!(!line.contains("is made again"), "a bad message does not cost the connection: {line}");
        assert!(line.len() < 2000, "a log line is a sentence: {line}");
    }
}

#[test]
fn bad_messages_on_the_queue_of_executions_end_as_dead_letters_and_nothing_else_happens() {
    let site = Site::shared("hostile");
    let wire = Wire::new(&site);
    let worker = site.worker("w");
    let number = wire.worker("w");
    let key = format!("execution.dispatch.worker.{number}");
    let good = json!({"execution_id": 1, "worker_id": number, "action_ref": "core.noop",
        "scheduled_attempt_updated_at": "2026-01-02T03:04:05Z"});
    let mut bodies = garbage();
    bodies.extend(mistyped("ExecutionRequested", &good, &["execution_id", "worker_id", "action_ref"]));
    let mut payload = good.clone();
    payload["scheduled_attempt_updated_at"] = json!("yesterday");
    bodies.push(envelope("ExecutionRequested", &payload).to_string().into_bytes());
    for unknown in ["SomethingNew", "executionrequested", "ExecutionCompleted", ""] {
        bodies.push(envelope(unknown, &good).to_string().into_bytes());
    }
    for other in ["ExecutionCancelRequested", "PackRegistered"] {
        let payload = json!({"execution_id": 1, "worker_id": number, "pack_ref": "a"});
        bodies.push(envelope(other, &payload).to_string().into_bytes());
    }
    for body in &bodies {
        wire.publish(EXECUTIONS, &key, body);
    }
    assert_unshaken(&wire, number);
    println!("hostile: {} bad messages", bodies.len());
    for body in &bodies {
        let (dead, letter) = wire.await_take("attune.dlx.queue");
        assert_eq!(dead, key);
        assert!(letter == *body, "{}", String::from_utf8_lossy(&letter[..letter.len().min(200)]));
    }
    assert!(wire.take("attune.dlx.queue").is_none());

    // What nobody reads may be anything.
    let scheduled = wire.schedule(number, "core.noop", &json!({}));
    wire.publish(EXECUTIONS, &key, careless(&scheduled.payload()).to_string().as_bytes());
    wire.await_completion(scheduled.id);
    assert_calm(&worker.drain());
}

#[test]
fn bad_messages_on_the_other_queues_are_taken_off_them_and_nothing_else_happens() {
    let site = Site::shared("hostile_others");
    let wire = Wire::new(&site);
    let worker = site.worker("w");
    let number = wire.worker("w");
    let cancel = json!({"execution_id": 1, "worker_id": number});
    let registered = json!({"pack_id": 1, "pack_ref": "a", "version": "1", "runtime_names": ["python"]});
    let mut cancels = garbage();
    cancels.extend(mistyped("ExecutionCancelRequested", &cancel, &["execution_id", "worker_id"]));
    cancels.push(
        envelope("ExecutionCancelRequested", &json!({"execution_id": 1, "worker_id": number + 1}))
            .to_string()
            .into_bytes(),
    );
    cancels.push(envelope("SomethingNew", &cancel).to_string().into_bytes());
    let mut packs = garbage();
    packs.extend(mistyped("PackRegistered", &registered, &["pack_ref"]));
    packs.extend(mistyped("PackDeleted", &registered, &["pack_ref"]));
    packs.push(
        envelope("PackRegistered", &json!({"pack_ref": "a", "runtime_names": [1]})).to_string().into_bytes(),
    );
    for body in &cancels {
        wire.publish(EXECUTIONS, &format!("execution.cancel.worker.{number}"), body);
    }
    for body in &packs {
        wire.publish(EVENTS, "pack.registered", body);
        wire.publish(EVENTS, "pack.deleted", body);
    }
    assert_unshaken(&wire, number);
    wire.send(EVENTS, "pack.registered", "PackRegistered", &registered);
    worker.wait_for("a pack was registered");
    assert_calm(&worker.drain());
}

/// The most memory that the process has ever had, in MiB.
fn peak(worker: &Worker) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", worker.pid())).expect("a process");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("its peak");
    line.split_whitespace().nth(1).and_then(|size| size.parse::<u64>().ok()).expect("a size") / 1024
}

#[test]
fn a_message_of_100_mb_is_put_aside_at_a_bounded_cost() {
    let site = Site::shared("huge");
    let wire = Wire::new(&site);
    let worker = site.worker("w");
    let number = wire.worker("w");
    assert_unshaken(&wire, number);
    let before = peak(&worker);
    let key = format!("execution.dispatch.worker.{number}");
    let size = 100_000_000;
    let payload = json!({"execution_id": 1, "worker_id": number, "action_ref": "a".repeat(size)});
    wire.publish(EXECUTIONS, &key, envelope("ExecutionRequested", &payload).to_string().as_bytes());
    assert_unshaken(&wire, number);
    let after = peak(&worker);
    println!(
        "hostile: a message of 100 MB raised the peak of the resident memory from {before} to {after} MiB"
    );
    // The client library holds the message while it collects its frames; nothing of ours copies it.
    assert!(after < before + 250, "{before} MiB before, {after} MiB after");
    let (dead, letter) = wire.await_take("attune.dlx.queue");
    assert_eq!((dead, letter.len() > size), (key, true));
    assert_calm(&worker.drain());
}
