//! What the claim returns beside the action: on whose behalf it runs, and what of it is secret (CONTRACT §1.9, §1.10,
//! §3.6). All of it comes with the claim's one round trip.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::Value;
use sqlx::postgres::PgRow;

use super::rows;
use crate::error::Result;
use crate::model::{Origin, Parameters, Ref, Sealed, SealedKey};
use crate::secrets::secret_places;

/// Columns of an execution that was claimed, in a statement that has it as `c` and its action as `a`.
///
/// Keys are those of the system, of the pack and of the action, in this order. A schema without a secret in it stays where it
/// is.
pub(super) const SEALED: &str = "c.executor, c.permission_set_refs,
   CASE WHEN c.workflow_task IS NOT NULL THEN (SELECT p.action_ref FROM execution p WHERE p.id = c.parent) END
     AS workflow_action,
   CASE WHEN c.enforcement IS NOT NULL THEN (
     SELECT jsonb_build_object('rule_ref', f.rule_ref, 'trigger_ref', f.trigger_ref)
     FROM enforcement f WHERE f.id = c.enforcement) END AS cause,
   CASE WHEN strpos(a.param_schema::text, '\"secret\"') > 0 THEN a.param_schema END AS param_schema,
   CASE WHEN strpos(a.out_schema::text, '\"secret\"') > 0 THEN a.out_schema END AS out_schema,
   CASE WHEN c.id IS NOT NULL THEN (
     SELECT jsonb_agg(jsonb_build_object('json_path', s.json_path, 'value', s.encrypted_value,
       'key_hash', s.encryption_key_hash) ORDER BY s.json_path)
     FROM execution_secret_value s WHERE s.entity_type = 'execution_config' AND s.entity_id = c.id) END
     AS sealed_parameters,
   CASE WHEN a.id IS NOT NULL THEN (
     SELECT jsonb_agg(jsonb_build_object('ref', k.ref, 'name', k.name, 'encrypted', k.encrypted, 'value', k.value,
       'key_hash', k.encryption_key_hash,
       'declared', coalesce(a.param_schema ? k.name OR a.param_schema -> 'properties' ? k.name, false))
       ORDER BY k.owner_type, k.name)
     FROM key k WHERE k.owner_type = 'system' OR (k.owner_type = 'pack' AND k.owner_pack = a.pack)
       OR (k.owner_type = 'action' AND k.owner_action = a.id)) END AS keys";

/// Writes secrets of a result beside the row that the statement has `written`: not at all where that was not written.
/// Places, sources and ciphertexts are its parameters 6 to 8.
///
/// `encryption_key_hash` stays empty, which all readers take: it is the very number that is the key, for everybody to see
/// who may read the table.
pub(super) const KEEP_OUTPUTS: &str = "kept AS (
     INSERT INTO execution_secret_value
       (entity_type, entity_id, json_path, source_kind, source_ref, encrypted_value)
     SELECT 'execution_result', w.id, o.json_path, 'parameter_schema', o.source_ref, to_jsonb(o.ciphertext)
     FROM written w, unnest($6::text[], $7::text[], $8::text[]) AS o (json_path, source_ref, ciphertext)
     ON CONFLICT (entity_type, entity_id, json_path) DO UPDATE SET source_kind = excluded.source_kind,
       source_ref = excluded.source_ref, encrypted_value = excluded.encrypted_value, encryption_key_hash = NULL)";

/// Reads the columns of [`SEALED`] that say who is behind an execution.
pub(super) fn origin(row: &PgRow) -> Result<Origin> {
    let workflow_action: Option<&str> = rows::get(row, "workflow_action")?;
    let cause = rows::json(row, "cause")?.map(serde_json::from_value).transpose();
    Ok(Origin {
        identity: rows::get(row, "executor")?,
        permission_sets: rows::get::<Option<_>>(row, "permission_set_refs")?.unwrap_or_default(),
        workflow_action: workflow_action
            .map(str::parse::<Ref>)
            .transpose()
            .map_err(|error| rows::corrupt("workflow_action", error))?,
        cause: cause.map_err(|error| rows::corrupt("cause", error))?,
    })
}

/// Reads the columns of [`SEALED`] that are secret. Keys that `own`, the execution's own parameters, have a value for are
/// left out: what somebody asked for by name is not replaced by what happens to be called the same.
pub(super) fn sealed(row: &PgRow, own: &Parameters) -> Result<Sealed> {
    let keys: Vec<SealedKey> = list(row, "keys")?;
    // The last of a name is the one that counts, whether or not it can be opened.
    let keys: BTreeMap<String, SealedKey> = keys
        .into_iter()
        .filter(|key| own.get(&key.name).is_none_or(Value::is_null))
        .map(|key| (key.name.clone(), key))
        .collect();
    Ok(Sealed {
        parameters: list(row, "sealed_parameters")?,
        keys: keys.into_values().collect(),
        inputs: places(row, "param_schema")?,
        outputs: places(row, "out_schema")?,
    })
}

fn places(row: &PgRow, schema: &str) -> Result<Vec<String>> {
    Ok(rows::json(row, schema)?.as_ref().map(secret_places).unwrap_or_default())
}

fn list<T: DeserializeOwned>(row: &PgRow, column: &str) -> Result<Vec<T>> {
    let list = rows::json(row, column)?.map(serde_json::from_value).transpose();
    Ok(list.map_err(|error| rows::corrupt(column, error))?.unwrap_or_default())
}
