//! A worker as the control plane sees it (CONTRACT §1.3).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{RuntimeId, WorkerType};

/// What a worker says of itself when it registers.
#[derive(Debug, Clone)]
pub struct Registration {
    /// Unique among workers; the row is found again by it.
    pub name: String,
    /// Where it runs.
    pub worker_type: WorkerType,
    /// The runtime that its row names; only a first registration writes it.
    pub runtime: Option<RuntimeId>,
    /// The host's name.
    pub host: String,
    /// The port that its row names.
    pub port: Option<u16>,
    /// What it can do.
    pub capabilities: Capabilities,
    /// Runtimes that it was told to offer and does not have; shown in `meta`.
    pub missing_runtimes: Vec<String>,
}

/// `worker.capabilities` (CONTRACT §1.3.2). The scheduler matches on `runtimes` and `runtime_versions`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Capabilities {
    /// Canonical names of the runtimes that this container can serve.
    pub runtimes: Vec<String>,
    /// How many executions it runs at once.
    pub max_concurrent_executions: usize,
    /// This program's version.
    pub worker_version: String,
    /// Always true: the interpreters were found, not configured.
    pub agent_mode: bool,
    /// This program's name.
    pub agent_binary_name: String,
    /// This program's version.
    pub agent_binary_version: String,
    /// What was found.
    pub detected_interpreters: Vec<DetectedInterpreter>,
    /// Versions by runtime, sorted, each once.
    pub runtime_versions: BTreeMap<String, Vec<String>>,
    /// What placement may select by.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// What placement has to tolerate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taints: Vec<Taint>,
    /// Whatever else the configuration adds.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

/// One entry of `capabilities.taints`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Taint {
    /// What an execution has to tolerate.
    pub key: String,
    /// With this value; absent means any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// What happens to an execution that does not.
    #[serde(default)]
    pub effect: TaintEffect,
}

/// What a taint does to an execution that does not tolerate it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaintEffect {
    /// It is not placed there.
    #[default]
    NoSchedule,
    /// It is rather placed elsewhere.
    PreferNoSchedule,
}

/// One entry of `capabilities.detected_interpreters`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DetectedInterpreter {
    /// Canonical name of the runtime.
    pub name: String,
    /// Where it is.
    pub path: String,
    /// Its version, where it shows one.
    pub version: Option<String>,
}
