//! The tables that the agent makes for people without Attune are those that it finds at people with Attune.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};
use sqlx::postgres::PgListener;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};
use test_servers::Postgres;

const SCHEMA: &str = include_str!("../src/control_plane/attune/schema.sql");

/// Nothing that a test awaits takes longer.
const PATIENCE: Duration = Duration::from_mins(1);

const FOREIGN: &str = "leads to a table that no agent touches";
const OTHERS: &str = "belongs to tables that no agent touches";

/// What the recorded database has, and ours has not, and why.
const ABSENT: &[(&str, &str)] = &[
    ("action.action_workflow_def_fkey", FOREIGN),
    ("execution.execution_executor_fkey", FOREIGN),
    ("execution.execution_workflow_def_fkey", FOREIGN),
    ("key.key_owner_identity_fkey", FOREIGN),
    ("key.key_owner_sensor_fkey", FOREIGN),
    ("pack.fk_pack_installed_by", FOREIGN),
    ("worker.worker_cordoned_by_fkey", FOREIGN),
    ("audit_category_enum", OTHERS),
    ("audit_outcome_enum", OTHERS),
    ("inquiry_status_enum", OTHERS),
    ("notification_status_enum", OTHERS),
    ("policy_method_enum", OTHERS),
    ("sensor_process_status_enum", OTHERS),
    ("work_queue_batch_mode_enum", OTHERS),
    ("work_queue_dispatch_status_enum", OTHERS),
    ("work_queue_item_status_enum", OTHERS),
    ("work_queue_update_strategy_enum", OTHERS),
];

/// What ours has, and the record has not, and why.
const ADDED: &[(&str, &str)] = &[
    ("enforcement.enforcement_pkey", "executions refer to it; the record holds no constraint of this table"),
    ("execution_history", "a plain table here and a TimescaleDB one there, which was not recorded"),
    ("worker_history", "a plain table here and a TimescaleDB one there, which was not recorded"),
];

/// By a name that says what it is of, everything that the database says about it.
type Facts = BTreeMap<String, String>;

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("an answer in time")
}

async fn execute(connection: &mut PgConnection, script: &str) {
    let done = soon(sqlx::raw_sql(AssertSqlSafe(script.to_owned())).execute(connection)).await;
    done.unwrap_or_else(|error| panic!("{error} of {script}"));
}

async fn value(connection: &mut PgConnection, query: &str) -> Value {
    let query = AssertSqlSafe(format!("SELECT to_jsonb(answer) FROM ({query}) AS answer"));
    soon(sqlx::query_scalar(query).fetch_one(connection)).await.expect("one row")
}

/// A connection to a new database, which has the tables in the schema `name`.
async fn database(name: &str) -> (String, PgConnection) {
    let url = Postgres::shared().create_for("schema");
    let mut connection = soon(PgConnection::connect(&url)).await.expect("a database");
    apply(&mut connection, name).await;
    (url, connection)
}

async fn apply(connection: &mut PgConnection, name: &str) {
    execute(connection, &format!("CREATE SCHEMA {name}; SET search_path TO {name}, public")).await;
    execute(connection, &format!("BEGIN; {SCHEMA} COMMIT")).await;
}

/// The records of a file as PostgreSQL writes them, without the first, which names the columns.
fn records(text: &str) -> Vec<Vec<String>> {
    text.lines().skip(1).map(record).collect()
}

/// The fields of one line: those with a comma or a quote are quoted, with quotes doubled.
fn record(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        let field = fields.last_mut().expect("at least one");
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => field.extend(characters.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            other => field.push(other),
        }
    }
    fields
}

async fn rows(connection: &mut PgConnection, query: &'static str) -> Vec<Vec<String>> {
    let rows = soon(sqlx::query(query).fetch_all(connection)).await.expect("a query that is not refused");
    let text = |row: &sqlx::postgres::PgRow, column| row.get::<Option<String>, _>(column).unwrap_or_default();
    rows.iter().map(|row| (0..row.len()).map(|column| text(row, column)).collect()).collect()
}

/// Facts of all records, named by their first `key` fields.
fn facts(records: Vec<Vec<String>>, key: usize) -> Facts {
    let mut facts = Facts::new();
    for record in records {
        let fact = facts.entry(record[..key].join(".")).or_default();
        fact.push_str(&record[key..].join(" | "));
        fact.push('\n');
    }
    facts
}

/// That what is in both is the same, and that what is in one alone is explained.
fn assert_same(recorded: &Facts, ours: &Facts) {
    assert!(!recorded.is_empty() && !ours.is_empty());
    let only = |these: &Facts, those: &Facts| {
        these.keys().filter(|name| !those.contains_key(*name)).cloned().collect::<BTreeSet<_>>()
    };
    let explained = |table: &[(&str, &str)], names: &Facts| {
        let listed = table.iter().map(|(name, _)| (*name).to_owned());
        listed.filter(|name| names.contains_key(name)).collect::<BTreeSet<_>>()
    };
    assert_eq!(only(recorded, ours), explained(ABSENT, recorded), "the record has more");
    assert_eq!(only(ours, recorded), explained(ADDED, ours), "ours has more");
    for (name, fact) in ours.iter().filter(|(name, _)| recorded.contains_key(*name)) {
        assert_eq!(fact, &recorded[name], "{name}");
    }
}

#[tokio::test]
async fn columns_are_the_recorded_ones() {
    let (_, mut connection) = database("attune").await;
    let ours = rows(
        &mut connection,
        "SELECT table_name::text, ordinal_position::text, column_name::text, udt_name::text, is_nullable::text,
                column_default::text
         FROM information_schema.columns WHERE table_schema = current_schema() ORDER BY 1, columns.ordinal_position",
    )
    .await;
    assert_same(&facts(records(include_str!("../../tests/golden/columns.csv")), 1), &facts(ours, 1));
}

#[tokio::test]
async fn enumerations_are_the_recorded_ones() {
    let (_, mut connection) = database("attune").await;
    let ours = rows(
        &mut connection,
        "SELECT typname::text, row_number() OVER (PARTITION BY typname ORDER BY enumsortorder)::text, enumlabel::text
         FROM pg_enum JOIN pg_type ON pg_type.oid = enumtypid
         WHERE typnamespace = current_schema()::regnamespace ORDER BY typname, enumsortorder",
    )
    .await;
    assert_same(&facts(records(include_str!("../../tests/golden/enums.csv")), 1), &facts(ours, 1));
}

#[tokio::test]
async fn constraints_are_the_recorded_ones() {
    let (_, mut connection) = database("attune").await;
    let ours = rows(
        &mut connection,
        "SELECT conrelid::regclass::text, conname::text, pg_get_constraintdef(oid)
         FROM pg_constraint WHERE connamespace = current_schema()::regnamespace AND contype <> 't'",
    )
    .await;
    assert_same(&facts(records(include_str!("../../tests/golden/constraints.csv")), 2), &facts(ours, 2));
}

/// Every explanation is of something that is in the record, or in ours.
#[tokio::test]
async fn no_difference_is_explained_that_is_not_there() {
    let (_, mut connection) = database("attune").await;
    let recorded = [
        facts(records(include_str!("../../tests/golden/columns.csv")), 1),
        facts(records(include_str!("../../tests/golden/enums.csv")), 1),
        facts(records(include_str!("../../tests/golden/constraints.csv")), 2),
    ];
    for (name, why) in ABSENT {
        assert!(
            recorded.iter().any(|facts| facts.contains_key(*name)),
            "{name} ({why}) is not in the record"
        );
    }
    let ours = rows(
        &mut connection,
        "SELECT table_name::text FROM information_schema.tables WHERE table_schema = current_schema()
         UNION SELECT conrelid::regclass || '.' || conname FROM pg_constraint
         WHERE connamespace = current_schema()::regnamespace",
    )
    .await;
    for (name, why) in ADDED {
        assert!(ours.iter().any(|row| row[0] == *name), "{name} ({why}) is not in ours");
    }
}

#[tokio::test]
async fn the_schema_may_have_any_name_and_writers_any_search_path() {
    let (_, mut connection) = database("first").await;
    apply(&mut connection, "second").await;
    execute(
        &mut connection,
        "SET search_path TO public;
         INSERT INTO first.worker (name, worker_type, worker_role) VALUES ('w', 'local', 'action');
         INSERT INTO first.execution (action_ref, result) VALUES ('core.echo', '{}');
         UPDATE first.execution SET status = 'failed'",
    )
    .await;
    let counts = value(
        &mut connection,
        "SELECT (SELECT count(*) FROM first.execution_history) AS first,
                (SELECT count(*) FROM second.execution_history) AS second",
    )
    .await;
    assert_eq!(counts, json!({"first": 2, "second": 0}));
}

#[tokio::test]
async fn the_database_says_when_a_row_was_updated() {
    let (_, mut connection) = database("attune").await;
    let tables = rows(
        &mut connection,
        "SELECT table_name::text FROM information_schema.columns
         WHERE table_schema = current_schema() AND column_name = 'updated' AND NOT EXISTS (
             SELECT FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid
             WHERE tgrelid = table_name::regclass AND proname = 'set_updated')",
    )
    .await;
    assert!(tables.is_empty(), "no trigger on {tables:?}");
    execute(
        &mut connection,
        "INSERT INTO pack (ref, label, version) VALUES ('core', 'Core', '1.0.0');
         UPDATE pack SET updated = '2001-01-01'",
    )
    .await;
    let recent =
        value(&mut connection, "SELECT updated > now() - interval '1 hour' AS recent FROM pack").await;
    assert_eq!(recent, json!({"recent": true}));
}

#[tokio::test]
async fn history_holds_changes_and_no_heartbeats() {
    let (_, mut connection) = database("attune").await;
    execute(
        &mut connection,
        "INSERT INTO worker (name, worker_type, worker_role) VALUES ('w', 'local', 'action');
         UPDATE worker SET last_heartbeat = now();
         UPDATE worker SET last_heartbeat = now(), status = 'busy';
         DELETE FROM worker",
    )
    .await;
    let history =
        "SELECT jsonb_agg(jsonb_build_array(operation, entity_ref, changed_fields, old_values -> 'status',
                   new_values -> 'status')) AS all FROM worker_history";
    let expected = json!({"all": [
        ["INSERT", "w", [], null, "active"],
        ["UPDATE", "w", ["status"], "active", "busy"],
        ["DELETE", "w", [], "busy", null],
    ]});
    assert_eq!(value(&mut connection, history).await, expected);

    execute(
        &mut connection,
        "INSERT INTO execution (action_ref) VALUES ('core.echo');
         UPDATE execution SET status = 'completed', result = '{\"secret\": 1}'",
    )
    .await;
    let history = "SELECT changed_fields, new_values FROM execution_history WHERE operation = 'UPDATE'";
    let update = value(&mut connection, history).await;
    assert_eq!(update["changed_fields"], json!(["result", "status"]));
    assert_eq!(update["new_values"]["status"], "completed");
    assert_eq!(update["new_values"]["result"]["size"], 13);
    assert!(!update.to_string().contains("secret"), "{update}");
}

async fn notification(listener: &mut PgListener) -> (String, Value) {
    let heard = soon(listener.recv()).await.expect("a notification");
    (heard.channel().to_owned(), serde_json::from_str(heard.payload()).expect("JSON"))
}

#[tokio::test]
async fn who_listens_hears_of_executions() {
    let (url, mut connection) = database("attune").await;
    let mut listener = soon(PgListener::connect(&url)).await.expect("a database");
    soon(listener.listen_all(["execution_created", "execution_status_changed"])).await.expect("channels");
    execute(
        &mut connection,
        "INSERT INTO enforcement (rule_ref, trigger_ref, payload) VALUES ('core.rule', 'core.timer', '{}');
         INSERT INTO execution (action_ref, enforcement, workflow_task) VALUES ('core.echo', 1, '{\"task_name\": \"t\"}');
         UPDATE execution SET retry_count = 1;
         UPDATE execution SET status = 'scheduled', workflow_task = to_jsonb(repeat('long', 3000))",
    )
    .await;
    let (channel, created) = notification(&mut listener).await;
    assert_eq!(channel, "execution_created");
    let names: BTreeSet<&str> = created.as_object().expect("an object").keys().map(String::as_str).collect();
    let expected = "action_id action_ref created enforcement entity_id entity_type id parent rule_ref started_at status \
                    trigger_ref updated workflow_task";
    assert_eq!(names, expected.split(' ').collect());
    assert_eq!(created["rule_ref"], "core.rule");
    assert_eq!(created["workflow_task"], json!({"task_name": "t"}));

    // The next is the change of status: a change of anything else is not told.
    let (channel, changed) = notification(&mut listener).await;
    assert_eq!(channel, "execution_status_changed");
    assert_eq!((&changed["old_status"], &changed["status"]), (&json!("requested"), &json!("scheduled")));
    assert_eq!(changed.get("workflow_task"), None, "too long to be told");
}

#[tokio::test]
async fn an_artifact_keeps_as_many_versions_as_it_may() {
    let (_, mut connection) = database("attune").await;
    execute(
        &mut connection,
        "INSERT INTO artifact (ref, type, retention_limit) VALUES ('a', 'file_text', 2);
         INSERT INTO artifact_version (artifact, version, size_bytes) VALUES (1, 1, 10);
         INSERT INTO artifact_version (artifact, version, size_bytes) VALUES (1, 2, 20);
         INSERT INTO artifact_version (artifact, version, size_bytes) VALUES (1, 3, 30)",
    )
    .await;
    let kept =
        "SELECT size_bytes, (SELECT jsonb_agg(version ORDER BY version) FROM artifact_version) AS versions
                FROM artifact";
    assert_eq!(value(&mut connection, kept).await, json!({"size_bytes": 30, "versions": [2, 3]}));
}

#[tokio::test]
async fn an_environment_and_a_key_are_named_by_what_they_belong_to() {
    let (_, mut connection) = database("attune").await;
    execute(
        &mut connection,
        "INSERT INTO pack (ref, label, version) VALUES ('core', 'Core', '1.0.0');
         INSERT INTO runtime (ref, name, distributions) VALUES ('core.shell', 'Shell', '{}');
         INSERT INTO runtime_version (runtime, runtime_ref, version) VALUES (1, 'core.shell', '5.2');
         INSERT INTO pack_environment (pack, pack_ref, runtime, runtime_ref, runtime_version, env_path)
             VALUES (1, 'core', 1, 'core.shell', NULL, '/e'), (1, 'core', 1, 'core.shell', 1, '/v');
         INSERT INTO key (ref, owner_type, owner_pack, name, encrypted, value)
             VALUES ('core.k', 'pack', 1, 'k', false, '1')",
    )
    .await;
    let named = "SELECT jsonb_agg(env_key ORDER BY env_key) AS environments, (SELECT owner FROM key) AS owner
                 FROM pack_environment";
    let expected = json!({"environments": ["base:1:1", "version:1:1:1"], "owner": "1"});
    assert_eq!(value(&mut connection, named).await, expected);
}
