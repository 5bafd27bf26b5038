//! What the worker says (CONTRACT §2.5, §2.8): every message byte for byte as the reference's, in the right order, and
//! nothing before the row says it too.

use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::site::{Gate, Site, golden, lines};
use crate::wire::{Message, Wire, until};

const KEYS: &[&str] = &["execution.status.changed", "execution.completed", "execution.requested"];

/// What was recorded from the reference's worker.
fn recorded(case: &str) -> Vec<Value> {
    let case = golden(case);
    let messages = case["messages"].as_array().expect("messages").iter();
    messages.filter(|message| message["body"]["headers"]["source_service"] == "worker").cloned().collect()
}

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

/// That `heard` is shaped as `recorded` is: keys, types of values, and AMQP properties.
fn assert_shaped(heard: &Message, recorded: &Value) {
    assert_eq!(heard.key, recorded["routing_key"]);
    let wanted = &recorded["body"];
    assert_eq!(keys(&heard.body), keys(wanted));
    assert_eq!(keys(&heard.body["headers"]), keys(&wanted["headers"]));
    assert_eq!(heard.body["headers"], json!({"retry_count": 0, "source_service": "worker"}));
    assert_eq!(heard.body["version"], "1.0");
    assert_eq!(heard.body["message_type"], wanted["message_type"]);
    let (payload, wanted) = (&heard.body["payload"], &wanted["payload"]);
    assert_eq!(keys(payload), keys(wanted));
    if wanted.get("result").is_some() {
        assert_result(&payload["result"], &wanted["result"]);
    }
    for (key, value) in wanted.as_object().expect("an object") {
        assert_eq!(std::mem::discriminant(&payload[key]), std::mem::discriminant(value), "{key}: {payload}");
    }
    for (moment, holder) in [("timestamp", &heard.body), ("changed_at", payload), ("completed_at", payload)] {
        let Some(text) = holder[moment].as_str() else { continue };
        assert!(text.len() >= 20 && text.as_bytes()[10] == b'T' && text.ends_with('Z'), "{moment}: {text}");
    }
    assert_properties(heard);
}

/// That a result has the reference's keys, of the same types, and beyond them nothing but our own one. Which texts there
/// are depends on what the action has printed.
fn assert_result(result: &Value, recorded: &Value) {
    let printed = ["stdout", "stderr_log"];
    let rest = |value: &Value| -> BTreeSet<String> {
        keys(value).into_iter().filter(|key| !printed.contains(key)).map(str::to_owned).collect()
    };
    let mut expected = rest(recorded);
    expected.insert("_agent".to_owned());
    assert_eq!(rest(result), expected);
    for key in keys(result).intersection(&keys(recorded)) {
        let (ours, theirs) = (&result[*key], &recorded[*key]);
        assert_eq!(std::mem::discriminant(ours), std::mem::discriminant(theirs), "{key}: {result}");
    }
}

fn assert_properties(heard: &Message) {
    let properties = &heard.properties;
    let id = heard.body["message_id"].as_str().expect("an identity");
    assert_eq!(id.len(), 36);
    assert_eq!(heard.body["correlation_id"], id);
    let text = |value: &Option<lapin::types::ShortString>| value.as_ref().map(ToString::to_string);
    assert_eq!(text(properties.message_id()).as_deref(), Some(id));
    assert_eq!(text(properties.correlation_id()).as_deref(), Some(id));
    assert_eq!(text(properties.content_type()).as_deref(), Some("application/json"));
    assert_eq!(*properties.delivery_mode(), Some(2));
    assert!(properties.headers().is_none(), "{properties:?}");
    for absent in [
        properties.content_encoding(),
        properties.reply_to(),
        properties.expiration(),
        properties.kind(),
        properties.user_id(),
        properties.app_id(),
        properties.cluster_id(),
    ] {
        assert!(absent.is_none(), "{properties:?}");
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs();
    let sent = properties.timestamp().expect("a moment in seconds");
    assert!((now - 60..=now + 5).contains(&sent), "{sent} at {now}");
}

/// That everything heard of one execution is shaped as what was recorded, in the same order.
fn assert_case(wire: &Wire, execution: i64, case: &str) {
    let (heard, recorded) = (wire.of(execution), recorded(case));
    assert_eq!(heard.len(), recorded.len(), "{heard:#?}");
    for (heard, recorded) in heard.iter().zip(&recorded) {
        assert_shaped(heard, recorded);
    }
    let ids: BTreeSet<_> = heard.iter().map(|heard| heard.body["message_id"].to_string()).collect();
    assert_eq!(ids.len(), heard.len(), "every message has an identity of its own");
}

/// That the completion says what the row says.
fn assert_completion(wire: &Wire, execution: i64, status: &str) {
    let completion = wire.await_completion(execution);
    let row = wire.row(&format!("SELECT * FROM execution WHERE id = {execution}"));
    let payload = &completion.body["payload"];
    assert_eq!(row["status"], status.to_lowercase());
    assert_eq!(payload["status"], status);
    assert_eq!(payload["result"], row["result"]);
    assert_eq!(payload["action_ref"], row["action_ref"]);
    assert_eq!(payload["action_id"], if row["action"].is_null() { json!(0) } else { row["action"].clone() });
    assert_eq!(row["worker"], wire.value("SELECT id FROM worker"));
    assert!(row["started_at"].is_string());
}

#[test]
fn a_success_is_told_as_the_reference_tells_it() {
    let site = Site::shared("success");
    let wire = Wire::listening(&site, KEYS);
    let worker = site.worker("w");
    let execution = wire.hand(wire.worker("w"), "core.echo", &json!({"message": "hello"}));
    assert_completion(&wire, execution, "Completed");
    assert_case(&wire, execution, "echo-success.json");
    assert_eq!(wire.story(execution), ["scheduled→running", "running→completed", "Completed"]);
    let result = wire.result(execution);
    assert_eq!(result["stdout"], "hello\n");
    let reference = golden("echo-success.json");
    for key in keys(&reference["execution_row"]["result"]) {
        assert!(result.get(key).is_some(), "{key} of the reference's result: {result}");
    }
    worker.drain();
}

#[test]
fn a_failure_is_told_as_failed() {
    let site = Site::shared("failure");
    let wire = Wire::listening(&site, KEYS);
    site.action("seven", "echo broken >&2\nexit 7\n", "");
    let worker = site.worker("w");
    let execution = wire.hand(wire.worker("w"), "my.seven", &json!({}));
    assert_completion(&wire, execution, "Failed");
    assert_case(&wire, execution, "failure-exit-7.json");
    assert_eq!(wire.story(execution), ["scheduled→running", "running→failed", "Failed"]);
    let result = wire.result(execution);
    assert_eq!((&result["exit_code"], &result["succeeded"]), (&json!(7), &json!(false)));
    assert!(result["error"].as_str().is_some_and(|error| error.contains("broken")), "{result}");
    worker.drain();
}

#[test]
fn a_timeout_is_told_as_a_timeout() {
    let site = Site::shared("timeout");
    let wire = Wire::listening(&site, KEYS);
    site.action("long", "exec sleep 1000\n", "timeout_seconds: 1\n");
    let worker = site.worker("w");
    let execution = wire.hand(wire.worker("w"), "my.long", &json!({}));
    assert_completion(&wire, execution, "Timeout");
    assert_case(&wire, execution, "failure-exit-7.json");
    assert_eq!(wire.story(execution), ["scheduled→running", "running→timeout", "Timeout"]);
    worker.drain();
}

#[test]
fn a_cancellation_is_told_as_the_reference_tells_it() {
    let site = Site::shared("cancelled");
    let wire = Wire::listening(&site, KEYS);
    let begun = site.path("begun");
    site.action("long", &format!("echo $$ >> {}\nexec sleep 1000\n", begun.display()), "");
    let worker = site.worker("w");
    let number = wire.worker("w");
    let execution = wire.hand(number, "my.long", &json!({}));
    assert!(until(crate::site::PATIENCE, || lines(&begun).len() == 1));
    // As the API does it: the row, then the message.
    wire.execute(&format!("UPDATE execution SET status = 'canceling' WHERE id = {execution}"));
    wire.cancel(number, execution);
    assert_completion(&wire, execution, "Cancelled");
    assert_case(&wire, execution, "cancel-while-running.json");
    assert_eq!(wire.story(execution), ["scheduled→running", "canceling→cancelled", "Cancelled"]);
    let result = wire.result(execution);
    assert_eq!((&result["cancelled"], &result["succeeded"]), (&json!(true), &json!(false)));
    worker.drain();
}

#[test]
fn an_action_whose_row_is_gone_is_number_0() {
    let site = Site::shared("gone");
    let wire = Wire::listening(&site, KEYS);
    let gate = Gate::new(&site, "gate");
    site.action("wait", &gate.wait(), "");
    let worker = site.worker("w");
    let number = wire.worker("w");
    // One whose action goes while it runs keeps the number that it had.
    let running = wire.hand(number, "my.wait", &json!({}));
    wire.await_value(&format!("SELECT status FROM execution WHERE id = {running}"), &json!("running"));
    let action = wire.value("SELECT id FROM action WHERE ref = 'my.wait'");
    wire.execute("DELETE FROM action");
    let late = wire.hand(number, "my.wait", &json!({}));
    assert_completion(&wire, late, "Failed");
    assert_eq!(wire.await_completion(late).body["payload"]["action_id"], 0);
    assert_eq!(wire.result(late)["_agent"]["reason"], "action_missing");
    gate.open(1);
    assert_eq!(wire.await_completion(running).body["payload"]["action_id"], action);
    worker.drain();
}

#[test]
fn nothing_is_announced_before_the_row_says_it() {
    let site = Site::shared("order");
    let wire = Wire::listening(&site, KEYS);
    let gate = Gate::new(&site, "gate");
    site.action("wait", &gate.wait(), "");
    let worker = site.worker("w");
    let number = wire.worker("w");
    let execution = wire.hand(number, "my.wait", &json!({}));
    wire.await_value(&format!("SELECT status FROM execution WHERE id = {execution}"), &json!("running"));
    let held = wire.lock(execution);
    gate.open(1);
    // It has ended, and cannot be written.
    wire.await_waiter();
    // Messages keep their order: one of another execution that is behind shows that none is on its way.
    let other = wire.hand(number, "core.noop", &json!({}));
    wire.await_completion(other);
    assert_eq!(wire.story(execution), ["scheduled→running"]);
    wire.release(held);
    wire.await_completion(execution);
    assert_eq!(wire.story(execution), ["scheduled→running", "running→completed", "Completed"]);
    worker.drain();
}

#[test]
fn the_claim_is_in_the_row_before_running_is_announced() {
    let site = Site::shared("claim_order");
    let wire = Wire::listening(&site, KEYS);
    let worker = site.worker("w");
    let number = wire.worker("w");
    let scheduled = wire.schedule(number, "core.noop", &json!({}));
    let held = wire.lock(scheduled.id);
    wire.dispatch(&scheduled);
    wire.await_waiter();
    let other = wire.hand(number, "core.noop", &json!({}));
    wire.await_completion(other);
    assert!(wire.story(scheduled.id).is_empty());
    wire.release(held);
    wire.await_completion(scheduled.id);
    assert_eq!(wire.story(scheduled.id), ["scheduled→running", "running→completed", "Completed"]);
    worker.drain();
}
