//! The variables that an action sees.

use std::ffi::OsString;
use std::path::Path;

use super::Workshop;
use crate::config::Secret;
use crate::model::{Runtime, WorkOrder};

/// The action's whole environment (CONTRACT §3.7): the image's own, the contract's, the runtime's, the submission's.
pub(super) fn of(
    order: &WorkOrder,
    runtime: Option<&Runtime>,
    workshop: &Workshop,
    pack_dir: &Path,
    token: Option<&Secret>,
) -> Vec<(OsString, OsString)> {
    let mut env = workshop.environment.variables();
    let mut set = |name: &str, value: OsString| {
        env.retain(|(present, _)| present != name);
        env.push((name.into(), value));
    };
    let action = &order.action;
    set("ATTUNE_EXEC_ID", order.execution.to_string().into());
    set("ATTUNE_ACTION", action.reference.as_str().into());
    set("ATTUNE_PACK_REF", action.pack.as_str().into());
    set("ATTUNE_ARTIFACTS_DIR", workshop.artifacts_dir.clone().into());
    set("ATTUNE_RUNTIME_ENVS_DIR", workshop.runtime_envs_dir.clone().into());
    set("ATTUNE_PARAMETER_DELIVERY", action.delivery.as_str().into());
    set("ATTUNE_PARAMETER_FORMAT", action.format.as_str().into());
    if let Some(url) = &workshop.api_url {
        set("ATTUNE_API_URL", url.into());
    }
    if let Some(token) = token {
        set("ATTUNE_API_TOKEN", token.expose().into());
    }
    if let Some(cause) = &order.origin.cause {
        set("ATTUNE_RULE", cause.rule.clone().into());
        set("ATTUNE_TRIGGER", cause.trigger.clone().into());
    }
    if let Some(context) = order.parameters.get("context").and_then(serde_json::Value::as_object) {
        for (key, value) in context {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            set(&format!("ATTUNE_CONTEXT_{}", key.to_uppercase()), text.into());
        }
    }
    if let Some(runtime) = runtime {
        let env_dir = workshop.runtime_envs_dir.join(action.pack.as_str()).join(runtime.name.to_lowercase());
        let expand = |template: &str| {
            template
                .replace("{pack_dir}", &pack_dir.to_string_lossy())
                .replace("{env_dir}", &env_dir.to_string_lossy())
                .replace("{interpreter}", &runtime.config.interpreter.binary)
        };
        for (name, variable) in &runtime.config.env_vars {
            set(name, variable.resolve(None, expand).into());
        }
    }
    for (name, value) in &order.env_vars {
        set(name, value.into());
    }
    env
}
