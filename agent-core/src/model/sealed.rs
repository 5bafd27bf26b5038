//! What the control plane keeps of an execution beside its row: on whose behalf it runs, and what of it is secret.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Ref;

/// On whose behalf an execution runs, and what asked for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// `execution.executor`: the identity that it runs for.
    pub identity: Option<i64>,
    /// `execution.permission_set_refs`: what its token permits. Where there are none, there is no token.
    pub permission_sets: Vec<String>,
    /// The action of the workflow that it is a task of.
    pub workflow_action: Option<Ref>,
    /// The rule and the trigger that asked for it.
    pub cause: Option<Cause>,
}

/// What made a rule ask for an execution.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Cause {
    /// `enforcement.rule_ref`.
    #[serde(rename = "rule_ref")]
    pub rule: String,
    /// `enforcement.trigger_ref`.
    #[serde(rename = "trigger_ref")]
    pub trigger: String,
}

/// What of an execution is secret, as the control plane keeps it.
#[derive(Debug, Clone, Default)]
pub struct Sealed {
    /// Values that were taken out of the parameters, each with its place.
    pub parameters: Vec<SealedParameter>,
    /// Keys that the action is given, at most one of a name.
    pub keys: Vec<SealedKey>,
    /// Places in the parameters that the schema declares secret, wherever their values come from.
    pub inputs: Vec<String>,
    /// Places in `result.data` whose values are secret, as JSON pointers (RFC 6901).
    pub outputs: Vec<String>,
}

/// A row of `execution_secret_value` (CONTRACT §1.9).
#[derive(Debug, Clone, Deserialize)]
pub struct SealedParameter {
    /// Its place in the parameters, as a JSON pointer.
    pub json_path: String,
    /// The value.
    #[serde(flatten)]
    pub envelope: Envelope,
}

/// A row of `key` (CONTRACT §1.10).
#[derive(Debug, Clone, Deserialize)]
pub struct SealedKey {
    /// `key.ref`.
    #[serde(rename = "ref")]
    pub reference: String,
    /// `key.name`: the parameter that it becomes.
    pub name: String,
    /// Whether the value is encrypted; otherwise it stands there as it is.
    pub encrypted: bool,
    /// Whether the action's schema has a parameter of this name.
    pub declared: bool,
    /// The value.
    #[serde(flatten)]
    pub envelope: Envelope,
}

/// A value as it is stored, and which key it was encrypted with where that is said.
#[derive(Clone, Deserialize)]
pub struct Envelope {
    /// What is stored: for an encrypted value a string in base64.
    pub value: Value,
    /// `encryption_key_hash`.
    pub key_hash: Option<String>,
}

/// A secret of a result, as it goes into `execution_secret_value`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedOutput {
    /// Its place in `result.data`, as a JSON pointer.
    pub path: String,
    /// Its value, encrypted, in base64.
    pub ciphertext: String,
}

impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}
