//! What an environment is made from, and what tells it from every other one.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use runtime_probe::Libc;

use super::check;
use crate::model::{
    DependenciesConfig, EnvVar, EnvironmentConfig, PackRef, Runtime, RuntimeId, RuntimeVersion,
    RuntimeVersionId,
};

/// What one pack needs for one runtime in this container.
#[derive(Debug, Clone)]
pub struct EnvironmentSpec {
    /// The pack.
    pub pack: PackRef,
    /// Where it is; nothing is ever written there.
    pub pack_dir: PathBuf,
    /// The runtime's row.
    pub runtime: RuntimeId,
    /// For example `core.python`.
    pub runtime_ref: String,
    /// For example `Node.js`.
    pub runtime_name: String,
    /// The declared version that was chosen, where the runtime declares any: its row, where there is one, and its text.
    pub version: Option<(Option<RuntimeVersionId>, String)>,
    /// What makes the environment.
    pub environment: EnvironmentConfig,
    /// What goes into it.
    pub dependencies: Option<DependenciesConfig>,
    /// The runtime's variables that say where the environment is: the tools that build it need them too.
    pub variables: BTreeMap<String, EnvVar>,
    /// What it is made with.
    pub interpreter: BaseInterpreter,
}

/// The interpreter of this container that an environment is made with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseInterpreter {
    /// As the runtime's definition names it: commands that begin with this name mean `path`.
    pub binary: String,
    /// The one that was chosen.
    pub path: PathBuf,
    /// Its exact version, where it is known.
    pub version: Option<String>,
    /// What it is built for, as `uname -m` says it.
    pub arch: Option<String>,
    /// The C library it needs.
    pub libc: Option<Libc>,
}

impl EnvironmentSpec {
    /// What `pack` needs for `runtime` in this declared version of it, with `interpreter`. `None` where it needs nothing:
    /// the runtime has no environments, or the pack has nothing to put into one.
    pub fn of(
        pack: &PackRef,
        pack_dir: &Path,
        runtime: &Runtime,
        version: Option<&RuntimeVersion>,
        interpreter: BaseInterpreter,
    ) -> Option<Self> {
        let config = version.map_or(&runtime.config, |version| &version.config);
        let environment = config.environment.as_ref().filter(|environment| !environment.is_none())?;
        let wanted = match &config.dependencies {
            Some(dependencies) => manifest_in(pack_dir, dependencies).is_some_and(|file| file.is_file()),
            None => !environment.create_command.is_empty(),
        };
        wanted.then(|| Self {
            pack: pack.clone(),
            pack_dir: pack_dir.to_owned(),
            runtime: runtime.id,
            runtime_ref: runtime.reference.clone(),
            runtime_name: runtime.name.clone(),
            version: version.map(|version| (version.id, version.version.clone())),
            environment: environment.clone(),
            dependencies: config.dependencies.clone(),
            variables: config
                .env_vars
                .iter()
                .filter(|(_, variable)| variable.template().contains("{env_dir}"))
                .map(|(name, variable)| (name.clone(), variable.clone()))
                .collect(),
            interpreter,
        })
    }

    /// The pack's manifest, where dependencies are declared and its name stays inside the pack.
    pub(super) fn manifest(&self) -> Option<PathBuf> {
        manifest_in(&self.pack_dir, self.dependencies.as_ref()?)
    }

    /// Whether the environment would hold nothing: its manifest is there and plainly asks for nothing. Reads it.
    pub fn asks_for_nothing(&self) -> bool {
        let manifest = self.manifest().and_then(|manifest| std::fs::read_to_string(manifest).ok());
        manifest.is_some_and(|manifest| check::asks_for_nothing(&self.environment.env_type, &manifest))
    }

    /// Files of the pack beside the manifest that decide what is installed. Each may be absent.
    pub(super) fn lock_files(&self) -> &'static [&'static str] {
        match self.environment.env_type.as_str() {
            "node_modules" => {
                &["package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "pnpm-lock.yaml", ".npmrc"]
            }
            "gem_home" => &["Gemfile.lock"],
            "gopath" => &["go.sum"],
            "local_lib" => &["cpanfile.snapshot"],
            _ => &[],
        }
    }

    /// The directory's name without the checksum: where the control plane's other workers put theirs
    /// (`name`, `name-version`), and behind it what must never be shared. `libc` is the C library with its release.
    pub(super) fn prefix(&self, libc: &str) -> String {
        let mut parts = vec![self.runtime_name.to_lowercase()];
        let exact = self.interpreter.version.as_deref().unwrap_or("unknown");
        if let Some((_, declared)) = &self.version
            && exact
                .strip_prefix(declared.as_str())
                .is_none_or(|rest| !rest.is_empty() && !rest.starts_with('.'))
        {
            parts.push(declared.clone());
        }
        parts.push(exact.to_owned());
        parts.push(self.interpreter.arch.as_deref().unwrap_or(std::env::consts::ARCH).to_owned());
        parts.push(libc.to_owned());
        let harmless = |c: char| if c.is_ascii_alphanumeric() || "._-+".contains(c) { c } else { '_' };
        parts.join("-").chars().map(harmless).collect()
    }

    /// `template` with its placeholders replaced, for an environment in `env_dir`.
    pub(super) fn expand(&self, template: &str, env_dir: &Path, interpreter: &Path) -> String {
        let text = template
            .replace("{pack_dir}", &self.pack_dir.to_string_lossy())
            .replace("{env_dir}", &env_dir.to_string_lossy())
            .replace("{interpreter}", &interpreter.to_string_lossy());
        match self.manifest() {
            Some(manifest) => text.replace("{manifest_path}", &manifest.to_string_lossy()),
            None => text,
        }
    }

    /// The interpreter inside the environment in `env_dir`, where the definition has one.
    pub(super) fn inner_interpreter(&self, env_dir: &Path) -> Option<PathBuf> {
        let template = self.environment.interpreter_path.as_deref().filter(|path| !path.is_empty())?;
        Some(PathBuf::from(self.expand(template, env_dir, &self.interpreter.path)))
    }
}

fn manifest_in(pack_dir: &Path, dependencies: &DependenciesConfig) -> Option<PathBuf> {
    let relative = Path::new(&dependencies.manifest_file);
    let inside = relative.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    (inside && !dependencies.manifest_file.is_empty()).then(|| pack_dir.join(relative))
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;

    /// A virtual environment for the pack `mine` in `pack_dir`.
    pub(in crate::environment) fn spec(pack_dir: &Path) -> EnvironmentSpec {
        let config = json!({
            "environment": {"env_type": "virtualenv", "create_command": ["python3", "-m", "venv", "{env_dir}"],
                "interpreter_path": "{env_dir}/bin/python3"},
            "dependencies": {"manifest_file": "requirements.txt",
                "install_command": ["{interpreter}", "-m", "pip", "install", "-r", "{manifest_path}"]},
            "env_vars": {"PYTHONPATH": "{pack_dir}/lib", "WHERE": "{env_dir}"}});
        std::fs::write(pack_dir.join("requirements.txt"), "six\n").unwrap();
        made_of(&config, pack_dir).unwrap()
    }

    fn made_of(config: &serde_json::Value, pack_dir: &Path) -> Option<EnvironmentSpec> {
        let config: crate::model::ExecutionConfig = serde_json::from_value(config.clone()).unwrap();
        let runtime = Runtime {
            id: RuntimeId(1),
            reference: "core.python".to_owned(),
            name: "Python".to_owned(),
            aliases: Vec::new(),
            config,
            versions: Vec::new(),
        };
        let interpreter = BaseInterpreter {
            binary: "python3".to_owned(),
            path: PathBuf::from("/usr/bin/python3"),
            version: Some("3.12.4".to_owned()),
            arch: Some("x86_64".to_owned()),
            libc: Some(Libc::Glibc),
        };
        EnvironmentSpec::of(&"mine".parse().unwrap(), pack_dir, &runtime, None, interpreter)
    }

    #[test]
    fn nothing_is_needed_without_something_to_install() {
        let pack = tempfile::tempdir().unwrap();
        let with_manifest = json!({"environment": {"env_type": "virtualenv", "create_command": ["x"]},
            "dependencies": {"manifest_file": "requirements.txt"}});
        assert!(made_of(&with_manifest, pack.path()).is_none());
        std::fs::write(pack.path().join("requirements.txt"), "").unwrap();
        assert!(made_of(&with_manifest, pack.path()).is_some());
        let outside = json!({"environment": {"env_type": "virtualenv"},
            "dependencies": {"manifest_file": "../../etc/passwd"}});
        assert!(made_of(&outside, pack.path()).is_none());
        let switched_off = json!({"environment": {"env_type": "none", "create_command": ["x"]}});
        assert!(made_of(&switched_off, pack.path()).is_none());
        let alone = json!({"environment": {"env_type": "scratch", "create_command": ["x"]}});
        assert!(made_of(&alone, pack.path()).is_some());
        assert!(made_of(&json!({}), pack.path()).is_none());
    }

    #[test]
    fn the_name_tells_images_apart_and_never_equals_that_of_another_agent() {
        let pack = tempfile::tempdir().unwrap();
        let mut spec = spec(pack.path());
        assert_eq!(spec.prefix("glibc2.36"), "python-3.12.4-x86_64-glibc2.36");
        let declared = |text: &str| Some((None, text.to_owned()));
        spec.version = declared("3.12");
        assert_eq!(spec.prefix("musl"), "python-3.12.4-x86_64-musl");
        spec.version = declared("3.1");
        assert_eq!(spec.prefix("musl"), "python-3.1-3.12.4-x86_64-musl");
        spec.runtime_name = "Node.js / x".to_owned();
        assert!(spec.prefix("musl").starts_with("node.js___x-"));
    }

    #[test]
    fn templates_are_replaced_and_what_is_unknown_stays() {
        let pack = tempfile::tempdir().unwrap();
        let spec = spec(pack.path());
        let text = spec.expand(
            "{interpreter} {manifest_path} {env_dir} {action_file}",
            Path::new("/e"),
            Path::new("/i"),
        );
        assert_eq!(text, format!("/i {}/requirements.txt /e {{action_file}}", pack.path().display()));
        assert_eq!(spec.inner_interpreter(Path::new("/e")), Some(PathBuf::from("/e/bin/python3")));
        assert_eq!(spec.variables.keys().collect::<Vec<_>>(), ["WHERE"]);
    }
}
