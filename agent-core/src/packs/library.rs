//! Packs in memory: what is in a directory of packs, and how it fits together.

use std::path::Path;

use super::{ActionManifest, Pack, RuntimeVersionManifest};
use crate::error::{Doing, Error, ErrorKind, Result};
use crate::model::{
    Action, ExecutionId, Origin, Parameters, Runtime, RuntimeId, RuntimeVersion, Sealed, WorkOrder,
};

/// Every pack below one directory.
#[derive(Debug)]
pub struct Library {
    runtimes: Vec<Runtime>,
    actions: Vec<ActionManifest>,
}

impl Library {
    /// Reads all packs below `packs_dir`.
    pub fn read(packs_dir: &Path) -> Result<Self> {
        let mut runtimes = Vec::new();
        let mut actions = Vec::new();
        for directory in pack_directories(packs_dir)? {
            let pack = Pack::read(&directory)?;
            runtimes.extend(pack.runtimes);
            actions.extend(pack.actions);
        }
        let runtimes = (1..)
            .zip(runtimes)
            .map(|(id, manifest)| Runtime {
                id: RuntimeId(id),
                reference: manifest.reference.to_string(),
                name: manifest.name,
                aliases: manifest.aliases,
                config: manifest.execution_config,
                versions: manifest.versions.into_iter().map(version).collect(),
            })
            .collect();
        Ok(Self { runtimes, actions })
    }

    /// The action of this name, or an error that names what comes close.
    pub fn action(&self, reference: &str) -> Result<Action> {
        let manifest =
            self.actions.iter().find(|action| action.reference.as_str() == reference).ok_or_else(|| {
                let known: Vec<_> = self.actions.iter().map(|action| action.reference.to_string()).collect();
                unknown_action(reference, &known)
            })?;
        Ok(Action {
            id: None,
            pack: manifest.reference.pack(),
            reference: manifest.reference.clone(),
            entrypoint: manifest.entrypoint.clone(),
            runtime: resolve_runtime(manifest, &self.runtimes)?,
            parameters: manifest.parameters.clone(),
            delivery: manifest.parameter_delivery,
            format: manifest.parameter_format,
            output: manifest.output_format,
            timeout_seconds: manifest.timeout_seconds,
            is_adhoc: false,
            version_constraint: manifest.runtime_version_constraint.clone(),
            required_runtimes: manifest.required_worker_runtimes.clone(),
        })
    }

    /// What a worker would be told to do for `action` with these parameters.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] when the parameters do not fit.
    pub fn work_order(&self, action: Action, mut parameters: Parameters) -> Result<WorkOrder> {
        check_parameters(&action, &parameters)?;
        action.parameters.fill_defaults(&mut parameters);
        Ok(WorkOrder {
            execution: ExecutionId(0),
            action,
            file: None,
            runtimes: self.runtimes.clone(),
            parameters,
            env_vars: Vec::new(),
            task_timeout_seconds: None,
            origin: Origin::default(),
            sealed: Sealed::default(),
        })
    }
}

fn version(manifest: RuntimeVersionManifest) -> RuntimeVersion {
    let RuntimeVersionManifest { version, is_default, execution_config, distributions: _ } = manifest;
    RuntimeVersion { id: None, version, config: execution_config, is_default }
}

/// The directories of all packs below `packs_dir`, the core pack first: other packs' actions refer to its runtimes. A
/// hidden directory is somebody's unfinished copy.
pub fn pack_directories(packs_dir: &Path) -> Result<Vec<std::path::PathBuf>> {
    let describe = || format!("list {}", packs_dir.display());
    let mut directories = Vec::new();
    for entry in std::fs::read_dir(packs_dir).doing(describe)? {
        let path = entry.doing(describe)?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && path.is_dir() {
            directories.push(path);
        }
    }
    directories.sort_by_key(|path| (!path.ends_with("core"), path.clone()));
    Ok(directories)
}

/// The runtime that an action asks for, among those that are known.
pub fn resolve_runtime(action: &ActionManifest, runtimes: &[Runtime]) -> Result<Option<RuntimeId>> {
    let Some(asked) = &action.runtime else {
        return Ok(None);
    };
    // An exact reference goes before an alias, which several runtimes may share.
    let exact = runtimes.iter().find(|runtime| runtime.reference == *asked);
    let found = exact.or_else(|| runtimes.iter().find(|runtime| runtime.answers_to(asked)));
    found.map(|runtime| Some(runtime.id)).ok_or_else(|| {
        let known: Vec<_> = runtimes.iter().map(|runtime| runtime.reference.as_str()).collect();
        Error::new(ErrorKind::Invalid, format!("{} asks for an unknown runtime `{asked}`", action.reference))
            .hint(format!("there are: {}", known.join(", ")))
    })
}

/// Checks that parameters fit an action.
pub fn check_parameters(action: &Action, parameters: &Parameters) -> Result<()> {
    action.parameters.check(parameters).map_err(|error| {
        let hint = error.hint();
        Error::new(ErrorKind::Usage, format!("{}: {error}", action.reference)).hint(hint)
    })
}

/// The error for an action that is not there, with the likeliest one that is.
pub fn unknown_action(reference: &str, known: &[String]) -> Error {
    let closest = known.iter().max_by_key(|name| similarity(name, reference));
    let hint = match closest {
        Some(name) if similarity(name, reference) * 2 >= reference.len() => format!("did you mean `{name}`?"),
        _ if known.is_empty() => "no pack is registered: see `attune-agent pack register --help`".to_owned(),
        _ => format!("there are: {}", known.join(", ")),
    };
    Error::new(ErrorKind::Usage, format!("there is no action `{reference}`")).hint(hint)
}

/// Length of what two names share at their beginning and at their end.
fn similarity(a: &str, b: &str) -> usize {
    let shorter = a.len().min(b.len());
    let front = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    let back = a.bytes().rev().zip(b.bytes().rev()).take_while(|(a, b)| a == b).count();
    (front + back).min(shorter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_is_answered_with_what_was_meant() {
        let known = ["core.echo".to_owned(), "core.sleep".to_owned(), "examples.fails".to_owned()];
        assert_eq!(unknown_action("core.ehco", &known).hint_text(), Some("did you mean `core.echo`?"));
        assert!(unknown_action("zzz", &known).hint_text().unwrap().starts_with("there are: core.echo"));
    }
}
