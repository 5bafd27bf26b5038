//! What a worker says it can do, from what the probe found (CONTRACT §1.3.2).

use std::collections::BTreeMap;

use runtime_probe::Report;

use crate::VERSION;
use crate::model::{Capabilities, DetectedInterpreter};

/// The name under which the control plane knows this program.
const BINARY_NAME: &str = "attune-agent";

/// The capabilities of a worker in a container with these interpreters.
pub fn capabilities(found: &Report, max_concurrent: usize) -> Capabilities {
    let mut runtimes: Vec<String> = Vec::new();
    let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for interpreter in &found.runtimes {
        if !runtimes.contains(&interpreter.name) {
            runtimes.push(interpreter.name.clone());
        }
        if let Some(version) = &interpreter.version {
            let known = versions.entry(interpreter.name.clone()).or_default();
            if !known.contains(version) {
                known.push(version.clone());
                known.sort();
            }
        }
    }
    // What runs itself needs no interpreter.
    runtimes.push("native".to_owned());
    Capabilities {
        runtimes,
        max_concurrent_executions: max_concurrent,
        worker_version: VERSION.to_owned(),
        agent_mode: true,
        agent_binary_name: BINARY_NAME.to_owned(),
        agent_binary_version: VERSION.to_owned(),
        detected_interpreters: found
            .runtimes
            .iter()
            .map(|interpreter| DetectedInterpreter {
                name: interpreter.name.clone(),
                path: interpreter.path.display().to_string(),
                version: interpreter.version.clone(),
            })
            .collect(),
        runtime_versions: versions,
    }
}
