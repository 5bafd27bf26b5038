//! What a worker says it can do, from what the probe found and what it was told to offer (CONTRACT §1.3.2, §4.2).

use std::collections::BTreeMap;

use runtime_probe::Report;

use crate::VERSION;
use crate::config::WorkerConfig;
use crate::model::{Capabilities, DetectedInterpreter, canonical_name};

/// The name under which the control plane knows this program.
const BINARY_NAME: &str = "attune-agent";

/// What runs itself needs no interpreter.
const NATIVE: &str = "native";

/// What a worker offers, and what it was told to offer and cannot.
#[derive(Debug, Clone)]
pub struct Offer {
    /// What it can do.
    pub capabilities: Capabilities,
    /// Canonical names of the runtimes that were asked for and are not here.
    pub missing: Vec<String>,
}

/// Canonical names of the runtimes that a container with these interpreters has.
pub fn available(found: &Report) -> Vec<String> {
    let mut runtimes: Vec<String> = Vec::new();
    for interpreter in &found.runtimes {
        if !runtimes.contains(&interpreter.name) {
            runtimes.push(interpreter.name.clone());
        }
    }
    runtimes.push(NATIVE.to_owned());
    runtimes
}

/// The offer of a worker in a container with these interpreters. Told to offer certain runtimes, it offers those of them
/// that are there; by whichever of a runtime's names they were asked for.
pub fn capabilities(found: &Report, config: &WorkerConfig) -> Offer {
    let mut runtimes = available(found);
    let mut missing = Vec::new();
    if let Some(wanted) = &config.runtimes {
        // Two names of one runtime, `bash` and `sh`, are one offer.
        let mut offered = Vec::new();
        for name in wanted.iter().map(|name| canonical_name(name)) {
            let list = if runtimes.contains(&name) { &mut offered } else { &mut missing };
            if !list.contains(&name) {
                list.push(name);
            }
        }
        runtimes = offered;
    }
    let offered = || found.runtimes.iter().filter(|interpreter| runtimes.contains(&interpreter.name));
    let detected_interpreters = offered()
        .map(|interpreter| DetectedInterpreter {
            name: interpreter.name.clone(),
            path: interpreter.path.display().to_string(),
            version: interpreter.version.clone(),
        })
        .collect();
    let mut runtime_versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for interpreter in offered() {
        let Some(version) = &interpreter.version else { continue };
        let known = runtime_versions.entry(interpreter.name.clone()).or_default();
        if !known.contains(version) {
            known.push(version.clone());
            known.sort();
        }
    }
    let capabilities = Capabilities {
        runtimes: runtimes.clone(),
        max_concurrent_executions: config.max_concurrent,
        worker_version: VERSION.to_owned(),
        agent_mode: true,
        agent_binary_name: BINARY_NAME.to_owned(),
        agent_binary_version: VERSION.to_owned(),
        detected_interpreters,
        runtime_versions,
        labels: config.labels.clone(),
        taints: config.taints.clone(),
        other: config.capabilities.clone(),
    };
    Offer { capabilities, missing }
}
