//! The variables that an action sees.

use std::ffi::OsString;
use std::path::Path;

use super::Workshop;
use super::choice::Choice;
use super::plan::Opened;
use crate::model::WorkOrder;

type Variables = Vec<(OsString, OsString)>;

/// The action's whole environment (CONTRACT §3.7): the image's own, the contract's, the runtime's, the submission's.
pub(super) fn of(
    order: &WorkOrder,
    choice: &Choice<'_>,
    workshop: &Workshop,
    pack_dir: Option<&Path>,
    opened: &Opened,
) -> Variables {
    let (environment, token) = (opened.environment.as_ref(), opened.unsealed.token.as_ref());
    let mut env = workshop.environment.variables();
    let action = &order.action;
    set(&mut env, "ATTUNE_EXEC_ID", order.execution.to_string().into());
    set(&mut env, "ATTUNE_ACTION", action.reference.as_str().into());
    set(&mut env, "ATTUNE_PACK_REF", action.pack.as_str().into());
    set(&mut env, "ATTUNE_ARTIFACTS_DIR", opened.artifacts_dir.clone().into());
    set(&mut env, "ATTUNE_RUNTIME_ENVS_DIR", workshop.runtime_envs_dir.clone().into());
    set(&mut env, "ATTUNE_PARAMETER_DELIVERY", action.delivery.as_str().into());
    set(&mut env, "ATTUNE_PARAMETER_FORMAT", action.format.as_str().into());
    if let Some(url) = &workshop.api_url {
        set(&mut env, "ATTUNE_API_URL", url.into());
    }
    if let Some(token) = token {
        set(&mut env, "ATTUNE_API_TOKEN", token.expose().into());
    }
    if let Some(cause) = &order.origin.cause {
        set(&mut env, "ATTUNE_RULE", cause.rule.clone().into());
        set(&mut env, "ATTUNE_TRIGGER", cause.trigger.clone().into());
    }
    if let Some(context) = order.parameters.get("context").and_then(serde_json::Value::as_object) {
        for (key, value) in context {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            set(&mut env, &format!("ATTUNE_CONTEXT_{}", key.to_uppercase()), text.into());
        }
    }
    if choice.runtime.is_some() {
        let pack_dir = pack_dir.unwrap_or(Path::new("")).to_string_lossy();
        let interpreter = choice.program.as_deref().unwrap_or(Path::new("")).to_string_lossy();
        let config = choice.config();
        let manifest = config.dependencies.as_ref().map(|dependencies| &dependencies.manifest_file);
        let expand = |template: &str| {
            let mut text = template.replace("{pack_dir}", &pack_dir).replace("{interpreter}", &interpreter);
            if let Some(environment) = environment {
                text = text.replace("{env_dir}", &environment.directory.to_string_lossy());
            }
            match manifest {
                Some(name) => text.replace("{manifest_path}", &format!("{pack_dir}/{name}")),
                None => text,
            }
        };
        for (name, variable) in &config.env_vars {
            // What says where the environment is says nothing where there is none.
            if environment.is_none() && variable.template().contains("{env_dir}") {
                continue;
            }
            // The image's own value is one to combine with, too.
            let present = env.iter().find(|(present, _)| present == name.as_str());
            let present = present.and_then(|(_, value)| value.to_str()).map(str::to_owned);
            set(&mut env, name, variable.resolve(present.as_deref(), expand).into());
        }
    }
    for (name, value) in &order.env_vars {
        set(&mut env, name, value.into());
    }
    env
}

fn set(env: &mut Variables, name: &str, value: OsString) {
    env.retain(|(present, _)| present != name);
    env.push((name.into(), value));
}
