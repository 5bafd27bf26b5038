//! Which example each interpreter runs.

use std::path::{Path, PathBuf};

use agent_core::model::{ExecutionConfig, canonical_name};
use agent_core::packs::{ActionManifest, Pack, RuntimeManifest};
use runtime_probe::{Interpreter, Report};
use serde_json::json;

use crate::exit::Failure;

/// The examples, chosen for the interpreters of one report and in its order.
pub(super) struct Examples {
    directory: PathBuf,
    chosen: Vec<Option<Example>>,
}

/// What one interpreter is to run.
enum Example {
    /// The example as it stands: its runtime resolves to this very interpreter.
    AsIs(ActionManifest),
    /// The example in the pack `demo`, under a name and a runtime that are this interpreter's alone.
    Pinned { name: String, language: String, action: ActionManifest, config: Box<ExecutionConfig> },
}

impl Examples {
    /// Chooses from the pack `examples` below `packs_dir`.
    pub(super) fn choose(packs_dir: &Path, found: &Report) -> Result<Self, Failure> {
        let directory = packs_dir.join("examples");
        let examples = Pack::read(&directory)?;
        let core = Pack::read(&packs_dir.join("core"))?;
        let runtimes: Vec<_> = core.runtimes.iter().chain(&examples.runtimes).collect();
        let choose = |(number, interpreter): (usize, &Interpreter)| {
            let (action, runtime) = example_for(interpreter, &examples.actions, &runtimes)?;
            let preferred =
                found.preferred(&interpreter.name).is_some_and(|first| first.path == interpreter.path);
            Some(if preferred {
                Example::AsIs(action.clone())
            } else {
                let mut config = runtime.execution_config.clone();
                config.interpreter.binary = interpreter.path.display().to_string();
                let name = format!("{}_{number}", action.reference.name());
                Example::Pinned {
                    name,
                    language: interpreter.name.clone(),
                    action: action.clone(),
                    config: Box::new(config),
                }
            })
        };
        let chosen = found.runtimes.iter().enumerate().map(choose).collect();
        Ok(Self { directory, chosen })
    }

    /// What each interpreter is to run, by reference.
    pub(super) fn action_refs(&self) -> impl Iterator<Item = Option<String>> {
        self.chosen.iter().map(|example| {
            Some(match example.as_ref()? {
                Example::AsIs(action) => action.reference.to_string(),
                Example::Pinned { name, .. } => format!("demo.{name}"),
            })
        })
    }

    /// Writes the pack `demo` below `scratch`: an action and a runtime for each pinned example. Returns its directory.
    pub(super) fn write_pack(&self, scratch: &Path) -> Result<PathBuf, Failure> {
        let directory = scratch.join("demo");
        let (actions, runtimes) = (directory.join("actions"), directory.join("runtimes"));
        std::fs::create_dir_all(&actions)?;
        std::fs::create_dir_all(&runtimes)?;
        std::fs::write(directory.join("pack.yaml"), "ref: demo\nlabel: Demo\nversion: 0.1.0\n")?;
        // Examples may lean on their pack's library.
        std::os::unix::fs::symlink(self.directory.join("lib"), directory.join("lib"))?;
        for example in self.chosen.iter().flatten() {
            let Example::Pinned { name, language, action, config } = example else { continue };
            let reference = format!("demo.{name}");
            let runtime =
                json!({"ref": reference, "name": name, "aliases": [language], "execution_config": config});
            let manifest = json!({
                "ref": reference,
                "runtime": reference,
                "entrypoint": action.entrypoint,
                "parameter_delivery": action.parameter_delivery,
                "parameter_format": action.parameter_format,
                "output_format": action.output_format,
                "parameters": action.parameters,
            });
            // JSON is YAML.
            std::fs::write(runtimes.join(format!("{name}.yaml")), runtime.to_string())?;
            std::fs::write(actions.join(format!("{name}.yaml")), manifest.to_string())?;
            let source = self.directory.join("actions").join(&action.entrypoint);
            std::fs::copy(source, actions.join(&action.entrypoint))?;
        }
        Ok(directory)
    }
}

/// The example whose runtime is this interpreter's, and that runtime. What greets is meant to be shown; others of the
/// pack fail or stream on purpose.
fn example_for<'a>(
    interpreter: &Interpreter,
    actions: &'a [ActionManifest],
    runtimes: &[&'a RuntimeManifest],
) -> Option<(&'a ActionManifest, &'a RuntimeManifest)> {
    actions.iter().filter(|action| action.output.0.contains_key("greeting")).find_map(|action| {
        let named =
            |runtime: &&&RuntimeManifest| action.runtime.as_deref() == Some(runtime.reference.as_str());
        let runtime = runtimes.iter().find(named)?;
        let fits = runtime.aliases.iter().any(|alias| canonical_name(alias) == interpreter.name);
        fits.then_some((action, *runtime))
    })
}
