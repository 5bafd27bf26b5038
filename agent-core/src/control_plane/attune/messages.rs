//! Messages as bytes: what the control plane sends us is read with suspicion, what we send is written to the letter
//! (CONTRACT §2.5, §2.7, §2.8).

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::topology;
use crate::control_plane::Notice;
use crate::model::{Attempt, Dispatch, Event, ExecutionId, ExecutionStatus, Parameters, WorkerId};

/// A message that is longer is nobody's: it is put aside unread.
const LONGEST: usize = 16 << 20;

/// What we call ourselves in the messages that we send.
const SOURCE: &str = "worker";

/// A message that was read.
#[derive(Debug, Clone, PartialEq)]
pub enum Incoming {
    /// `ExecutionRequested`: run this.
    Dispatch(Dispatch),
    /// Anything else that a worker should know, and the worker that it is for, where it is for one.
    Notice(Notice, Option<WorkerId>),
    /// A message of a type that is not for workers.
    Other(String),
}

/// Why a message cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// It is longer than any message is.
    #[error("it has {0} bytes, and no message has more than {LONGEST}")]
    TooLong(usize),
    /// It is not JSON, or not of the shape that its type has.
    #[error("{0}")]
    Malformed(#[from] serde_json::Error),
    /// Its attempt is no moment.
    #[error("`scheduled_attempt_updated_at` is no moment: {0}")]
    Attempt(#[source] jiff::Error),
}

#[derive(Deserialize)]
struct Envelope {
    message_type: String,
    payload: Value,
}

#[derive(Deserialize)]
struct DispatchPayload {
    execution_id: ExecutionId,
    worker_id: WorkerId,
    action_ref: String,
    #[serde(default)]
    config: Value,
    #[serde(default)]
    scheduled_attempt_updated_at: Option<String>,
}

#[derive(Deserialize)]
struct CancelPayload {
    execution_id: ExecutionId,
    worker_id: WorkerId,
}

#[derive(Deserialize)]
struct PackPayload {
    pack_ref: String,
    #[serde(default)]
    runtime_names: Vec<String>,
}

/// Reads a message. What it says beside what we need is ignored, as is its version.
///
/// # Errors
/// Where it is not a message, or not of the shape that its type has.
pub fn read(body: &[u8]) -> Result<Incoming, Unreadable> {
    if body.len() > LONGEST {
        return Err(Unreadable::TooLong(body.len()));
    }
    let Envelope { message_type, payload } = serde_json::from_slice(body)?;
    Ok(match message_type.as_str() {
        "ExecutionRequested" => Incoming::Dispatch(dispatch(payload)?),
        "ExecutionCancelRequested" => {
            let CancelPayload { execution_id, worker_id } = serde_json::from_value(payload)?;
            Incoming::Notice(Notice::Cancel(execution_id), Some(worker_id))
        }
        "PackRegistered" => {
            let PackPayload { pack_ref, runtime_names } = serde_json::from_value(payload)?;
            Incoming::Notice(Notice::PackRegistered { pack: pack_ref, runtimes: runtime_names }, None)
        }
        "PackDeleted" => {
            let PackPayload { pack_ref, .. } = serde_json::from_value(payload)?;
            Incoming::Notice(Notice::PackDeleted { pack: pack_ref }, None)
        }
        _ => Incoming::Other(message_type),
    })
}

fn dispatch(payload: Value) -> Result<Dispatch, Unreadable> {
    let payload: DispatchPayload = serde_json::from_value(payload)?;
    let attempt = payload.scheduled_attempt_updated_at.map(|text| {
        let moment: Timestamp = text.parse().map_err(Unreadable::Attempt)?;
        Ok::<_, Unreadable>(Attempt(moment.to_string()))
    });
    Ok(Dispatch {
        execution_id: payload.execution_id,
        worker_id: payload.worker_id,
        action_ref: payload.action_ref,
        // The control plane ignores parameters that are not named, and so do we.
        config: match payload.config {
            Value::Object(parameters) => Some(parameters),
            _ => None,
        },
        scheduled_attempt_updated_at: attempt.transpose()?,
    })
}

/// A message on its way out.
#[derive(Debug, Clone, PartialEq)]
pub struct Letter {
    /// Where it is sent.
    pub exchange: &'static str,
    /// The routing key.
    pub key: String,
    /// The envelope's identity, which the AMQP properties repeat. A message that is sent again keeps it.
    pub message_id: String,
    /// Seconds since 1970, for the AMQP properties.
    pub timestamp: u64,
    /// The envelope.
    pub body: Vec<u8>,
}

impl Letter {
    fn new(exchange: &'static str, key: String, message_type: &str, now: Timestamp, payload: &Value) -> Self {
        let message_id = Uuid::new_v4().to_string();
        let envelope = json!({
            "message_id": message_id,
            "correlation_id": message_id,
            "message_type": message_type,
            "version": "1.0",
            "timestamp": now,
            "headers": {"retry_count": 0, "source_service": SOURCE},
            "payload": payload,
        });
        Self {
            exchange,
            key,
            message_id,
            timestamp: u64::try_from(now.as_second()).unwrap_or(0),
            body: envelope.to_string().into_bytes(),
        }
    }

    /// What followers of an execution are told, at this moment of the control plane's clock.
    pub fn event(event: &Event, now: Timestamp) -> Self {
        match event {
            Event::StatusChanged { execution, action_ref, previous, new } => {
                let payload = json!({
                    "execution_id": execution,
                    "action_ref": action_ref,
                    "previous_status": previous,
                    "new_status": new,
                    "changed_at": now,
                });
                let key = topology::STATUS_CHANGED.to_owned();
                Self::new(topology::EXECUTIONS, key, "ExecutionStatusChanged", now, &payload)
            }
            Event::Completed { execution, action, action_ref, status, result } => {
                let payload = json!({
                    "execution_id": execution,
                    // Required, so an action that is gone is 0, as the executor itself has it.
                    "action_id": action.map_or(0, |action| action.0),
                    "action_ref": action_ref,
                    "status": pascal_case(*status),
                    "result": result,
                    "completed_at": now,
                });
                let key = topology::COMPLETED.to_owned();
                Self::new(topology::EXECUTIONS, key, "ExecutionCompleted", now, &payload)
            }
        }
    }

    /// Asks the executor for an execution.
    pub fn request(request: &ExecutionRequest, now: Timestamp) -> Self {
        let payload = json!({
            "execution_id": request.execution,
            "action_id": request.action,
            "action_ref": request.action_ref,
            "parent_id": request.parent,
            "enforcement_id": request.enforcement,
            "config": request.config,
        });
        let key = topology::EXECUTION_REQUESTED.to_owned();
        Self::new(topology::EXECUTIONS, key, "ExecutionRequested", now, &payload)
    }

    /// Hands an execution to a worker, as the executor would.
    pub fn dispatch(dispatch: &Dispatch, now: Timestamp) -> Self {
        let key = topology::dispatch_key(dispatch.worker_id);
        Self::new(topology::EXECUTIONS, key, "ExecutionRequested", now, &json!(dispatch))
    }

    /// Asks a worker to cancel an execution, as the API would.
    pub fn cancel(execution: ExecutionId, worker: WorkerId, now: Timestamp) -> Self {
        let payload = json!({"execution_id": execution, "worker_id": worker});
        let key = format!("execution.cancel.worker.{worker}");
        Self::new(topology::EXECUTIONS, key, "ExecutionCancelRequested", now, &payload)
    }
}

/// The payload of a request for an execution (CONTRACT §9).
#[derive(Debug, Clone, PartialEq)]
pub struct ExecutionRequest {
    /// Which execution.
    pub execution: ExecutionId,
    /// The action's row.
    pub action: Option<i64>,
    /// What is to run.
    pub action_ref: String,
    /// The execution that asked for it.
    pub parent: Option<i64>,
    /// The enforcement that asked for it.
    pub enforcement: Option<i64>,
    /// Its parameters.
    pub config: Option<Parameters>,
}

/// How `ExecutionCompleted` spells a state.
const fn pascal_case(status: ExecutionStatus) -> &'static str {
    match status {
        ExecutionStatus::Requested => "Requested",
        ExecutionStatus::Scheduling => "Scheduling",
        ExecutionStatus::Scheduled => "Scheduled",
        ExecutionStatus::Running => "Running",
        ExecutionStatus::Completed => "Completed",
        ExecutionStatus::Failed => "Failed",
        ExecutionStatus::Canceling => "Canceling",
        ExecutionStatus::Cancelled => "Cancelled",
        ExecutionStatus::Timeout => "Timeout",
        ExecutionStatus::Abandoned => "Abandoned",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn envelope(message_type: &str, payload: &Value) -> Vec<u8> {
        json!({"message_type": message_type, "timestamp": "2026-01-02T03:04:05Z", "payload": payload})
            .to_string()
            .into_bytes()
    }

    fn dispatch_with(
        change: impl FnOnce(&mut serde_json::Map<String, Value>),
    ) -> Result<Incoming, Unreadable> {
        let mut payload = json!({"execution_id": 42, "worker_id": 7, "action_ref": "core.echo",
            "config": {"message": "hi"}, "scheduled_attempt_updated_at": "2026-01-02T03:04:04.123456Z"});
        change(payload.as_object_mut().unwrap());
        read(&envelope("ExecutionRequested", &payload))
    }

    #[test]
    fn a_dispatch_is_read() {
        let Incoming::Dispatch(dispatch) = dispatch_with(|_| ()).unwrap() else { panic!("a dispatch") };
        assert_eq!((dispatch.execution_id, dispatch.worker_id), (ExecutionId(42), WorkerId(7)));
        assert_eq!(dispatch.config.unwrap()["message"], "hi");
        assert_eq!(dispatch.scheduled_attempt_updated_at.unwrap().as_str(), "2026-01-02T03:04:04.123456Z");
    }

    #[test]
    fn what_a_dispatch_can_do_without_may_be_missing_or_odd() {
        for odd in [Value::Null, json!(3), json!("text"), json!([1])] {
            let read = dispatch_with(|payload| {
                payload.insert("config".into(), odd);
                payload.remove("scheduled_attempt_updated_at");
                payload.insert("unknown".into(), json!({"x": 1}));
            });
            assert!(matches!(read, Ok(Incoming::Dispatch(Dispatch { config: None, .. }))));
        }
    }

    #[test]
    fn wrong_types_in_any_field_that_counts_are_unreadable() {
        for field in ["execution_id", "worker_id", "action_ref", "scheduled_attempt_updated_at"] {
            for wrong in [json!(true), json!([]), json!({}), json!(1.5), json!("12")] {
                if field == "action_ref" && wrong.is_string() {
                    continue;
                }
                let read = dispatch_with(|payload| {
                    payload.insert(field.into(), wrong.clone());
                });
                assert!(read.is_err(), "{field} = {wrong}: {read:?}");
            }
        }
    }

    #[test]
    fn another_offset_is_the_same_moment() {
        let read = dispatch_with(|payload| {
            payload.insert("scheduled_attempt_updated_at".into(), json!("2026-01-02T04:04:04.123456+01:00"));
        });
        let Ok(Incoming::Dispatch(dispatch)) = read else { panic!("a dispatch") };
        assert_eq!(dispatch.scheduled_attempt_updated_at.unwrap().as_str(), "2026-01-02T03:04:04.123456Z");
    }

    #[test]
    fn a_type_that_is_not_for_workers_is_named() {
        let read = read(&envelope("RuleCreated", &json!({}))).unwrap();
        assert_eq!(read, Incoming::Other("RuleCreated".to_owned()));
    }

    #[test]
    fn a_message_beyond_all_measure_is_not_even_read() {
        assert!(matches!(read(&vec![b'['; LONGEST + 1]), Err(Unreadable::TooLong(_))));
        // Nesting costs no stack.
        assert!(matches!(read(&vec![b'['; 1 << 20]), Err(Unreadable::Malformed(_))));
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,12}".prop_map(Value::from),
            Just(json!("2026-01-02T03:04:05Z")),
        ];
        leaf.prop_recursive(3, 24, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                proptest::collection::hash_map("[a-z_]{1,12}", inner, 0..6)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(&bytes);
        }

        #[test]
        fn no_value_in_any_field_is_too_strange(
            message_type in prop_oneof![
                Just(json!("ExecutionRequested")), Just(json!("ExecutionCancelRequested")),
                Just(json!("PackRegistered")), Just(json!("PackDeleted")), any_json(),
            ],
            fields in proptest::collection::hash_map(
                prop_oneof![Just("execution_id"), Just("worker_id"), Just("action_ref"), Just("config"),
                    Just("scheduled_attempt_updated_at"), Just("pack_ref"), Just("runtime_names")],
                any_json(), 0..7),
        ) {
            let payload: serde_json::Map<String, Value> =
                fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            let body = json!({"message_type": message_type, "payload": payload}).to_string();
            let _ = read(body.as_bytes());
        }
    }
}
