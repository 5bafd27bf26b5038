//! The broker's names: exchanges, queues, keys (CONTRACT §2.2, §2.3, §2.6). Every service declares them alike; a
//! declaration that differs in one argument is refused by the broker.

use lapin::ExchangeKind;
use lapin::types::{AMQPValue, FieldTable};

use crate::model::WorkerId;

/// An exchange that every service declares.
pub(super) struct Exchange {
    pub(super) name: &'static str,
    pub(super) kind: ExchangeKind,
}

pub(super) const EVENTS: &str = "attune.events";
pub(super) const EXECUTIONS: &str = "attune.executions";
pub(super) const DEAD_LETTERS: &str = "attune.dlx";

/// All of them; durable, none deleted by itself.
pub(super) const EXCHANGES: [Exchange; 4] = [
    Exchange { name: EVENTS, kind: ExchangeKind::Topic },
    Exchange { name: EXECUTIONS, kind: ExchangeKind::Topic },
    Exchange { name: "attune.notifications", kind: ExchangeKind::Fanout },
    Exchange { name: DEAD_LETTERS, kind: ExchangeKind::Direct },
];

/// Where dead letters end; durable, without arguments.
pub(super) const DEAD_LETTER_QUEUE: &str = "attune.dlx.queue";

/// Where requests wait for an executor, which declares it (CONTRACT §2.4).
pub(super) const REQUEST_QUEUE: &str = "attune.execution.requests.queue";

pub(super) const EXECUTION_REQUESTED: &str = "execution.requested";
pub(super) const STATUS_CHANGED: &str = "execution.status.changed";
pub(super) const COMPLETED: &str = "execution.completed";
const PACK_KEYS: &[&str] = &["pack.registered", "pack.deleted"];

/// A dispatch that nobody takes within this many milliseconds is a dead letter.
const DISPATCH_TTL_MS: i32 = 300_000;

/// What a queue of a worker is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Executions,
    Packs,
    Cancel,
}

/// One of a worker's three queues: durable, neither exclusive nor deleted by itself.
#[derive(Debug, Clone)]
pub(super) struct WorkerQueue {
    pub(super) role: Role,
    pub(super) name: String,
    /// The consumer that the reference calls by this name too.
    pub(super) consumer_tag: String,
    pub(super) exchange: &'static str,
    pub(super) keys: Vec<String>,
    pub(super) arguments: FieldTable,
}

/// The key that hands an execution to this worker.
pub(super) fn dispatch_key(worker: WorkerId) -> String {
    format!("execution.dispatch.worker.{worker}")
}

/// The queues of `worker`.
pub(super) fn worker_queues(worker: WorkerId) -> [WorkerQueue; 3] {
    let queue = |role, suffix: &str, tag: &str, exchange, keys| {
        let mut arguments = FieldTable::default();
        arguments.insert("x-dead-letter-exchange".into(), AMQPValue::LongString(DEAD_LETTERS.into()));
        if role == Role::Executions {
            arguments.insert("x-message-ttl".into(), AMQPValue::LongInt(DISPATCH_TTL_MS));
        }
        WorkerQueue {
            role,
            name: format!("worker.{worker}.{suffix}"),
            consumer_tag: format!("worker-{worker}{tag}"),
            exchange,
            keys,
            arguments,
        }
    };
    let packs = PACK_KEYS.iter().map(|key| (*key).to_owned()).collect();
    [
        queue(Role::Executions, "executions", "", EXECUTIONS, vec![dispatch_key(worker)]),
        queue(Role::Packs, "packs", "-packs", EVENTS, packs),
        queue(
            Role::Cancel,
            "cancel",
            "-cancel",
            EXECUTIONS,
            vec![format!("execution.cancel.worker.{worker}")],
        ),
    ]
}
