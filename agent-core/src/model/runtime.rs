//! A runtime: a language that the control plane knows, and how to run a file of it (CONTRACT §1.4, §3.2).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{RuntimeId, RuntimeVersionId};

/// One row of `runtime`.
#[derive(Debug, Clone)]
pub struct Runtime {
    /// `runtime.id`.
    pub id: RuntimeId,
    /// For example `core.python`.
    pub reference: String,
    /// What people call it, for example `Node.js`.
    pub name: String,
    /// Lower-case names by which actions may ask for it.
    pub aliases: Vec<String>,
    /// How it runs a file.
    pub config: ExecutionConfig,
    /// Versions that are run in a way of their own.
    pub versions: Vec<RuntimeVersion>,
}

/// One row of `runtime_version` (CONTRACT §1.5). Its `available` is what some worker found in its own image, so it is not
/// heeded: the probe knows what this image has.
#[derive(Debug, Clone)]
pub struct RuntimeVersion {
    /// `runtime_version.id`; `None` where there is no row.
    pub id: Option<RuntimeVersionId>,
    /// For example `3.12`.
    pub version: String,
    /// How it runs a file: complete, not a difference to the runtime's.
    pub config: ExecutionConfig,
    /// Whether it is taken where an action does not care.
    pub is_default: bool,
}

/// `runtime.execution_config`. What cannot be read falls back to the default, as the control plane does.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExecutionConfig {
    /// What runs a file; an empty binary means: the file runs itself.
    pub interpreter: InterpreterConfig,
    /// How code that is not in a file is run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inline_execution: Option<InlineStrategy>,
    /// How an environment with dependencies is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<EnvironmentConfig>,
    /// Where dependencies are listed, and how they are installed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dependencies: Option<DependenciesConfig>,
    /// Variables that every action of this runtime is given.
    pub env_vars: BTreeMap<String, EnvVar>,
}

/// The program before the file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct InterpreterConfig {
    /// A name to look up, or a path.
    pub binary: String,
    /// Arguments before the file.
    pub args: Vec<String>,
    /// With its dot, for example `.py`.
    pub file_extension: Option<String>,
}

/// `execution_config.environment`: the place that holds what a pack depends on. Its texts are templates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvironmentConfig {
    /// `virtualenv`, `node_modules`, `gem_home` …; `none` switches it off.
    pub env_type: String,
    /// Its name where it is kept inside the pack.
    #[serde(default = "default_dir_name")]
    pub dir_name: String,
    /// What makes it: a program and its arguments.
    #[serde(default)]
    pub create_command: Vec<String>,
    /// The interpreter inside it, where it has one.
    #[serde(default)]
    pub interpreter_path: Option<String>,
}

/// `execution_config.dependencies`: where a pack says what it needs, and how that is installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DependenciesConfig {
    /// A file of the pack.
    pub manifest_file: String,
    /// What installs it: a program and its arguments, which are templates.
    #[serde(default)]
    pub install_command: Vec<String>,
}

/// `execution_config.inline_execution`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct InlineStrategy {
    /// How the interpreter is given the code.
    pub strategy: InlineDelivery,
    /// Extension of the temporary file.
    pub extension: Option<String>,
    /// Whether parameters become shell variables.
    pub inject_shell_helpers: bool,
}

/// How an interpreter is given code that is not in a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InlineDelivery {
    /// As an argument.
    #[default]
    Direct,
    /// In a file that only this user can read, and that is removed afterwards.
    TempFile,
}

/// One entry of `execution_config.env_vars`: text, or text with an operation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum EnvVar {
    /// Set to this.
    Set(String),
    /// Combined with what is there.
    Combine {
        /// The value, with placeholders.
        value: String,
        /// How it is combined.
        #[serde(default)]
        operation: EnvOperation,
        /// Between the two.
        #[serde(default = "colon")]
        separator: String,
    },
}

/// How a variable is combined with the value that is there already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EnvOperation {
    /// It is replaced.
    #[default]
    Set,
    /// The new value goes first.
    Prepend,
    /// The new value goes last.
    Append,
}

impl EnvironmentConfig {
    /// Whether it asks for anything.
    pub fn is_none(&self) -> bool {
        self.env_type.eq_ignore_ascii_case("none")
    }
}

impl EnvVar {
    /// Its text before placeholders are replaced.
    pub fn template(&self) -> &str {
        match self {
            Self::Set(value) | Self::Combine { value, .. } => value,
        }
    }
}

fn default_dir_name() -> String {
    ".venv".to_owned()
}

fn colon() -> String {
    ":".to_owned()
}

/// The one name for all the spellings of a runtime: `nodejs` and `node.js` are `node` (CONTRACT §3.1). A name that
/// is not known is only lower-cased.
pub fn canonical_name(name: &str) -> String {
    let name = name.trim().to_lowercase();
    match name.as_str() {
        // Not an interpreter, so the probe's catalogue does not have it.
        "native" | "builtin" | "standalone" => "native".to_owned(),
        _ => runtime_probe::catalogue::canonical(&name).map_or(name, str::to_owned),
    }
}

impl Runtime {
    /// The canonical name, by the first alias that has one; the last part of the reference otherwise.
    pub fn canonical(&self) -> String {
        let last = self.reference.rsplit('.').next().unwrap_or(&self.reference);
        canonical_name(self.aliases.first().map_or(last, String::as_str))
    }

    /// Whether `name`, in any spelling, means this runtime.
    pub fn answers_to(&self, name: &str) -> bool {
        self.reference.eq_ignore_ascii_case(name)
            || self.name.eq_ignore_ascii_case(name)
            || self.aliases.iter().any(|alias| canonical_name(alias) == canonical_name(name))
    }

    /// Whether an action of this runtime is a program that runs itself.
    pub fn is_native(&self) -> bool {
        self.config.interpreter.binary.is_empty()
    }
}

impl EnvVar {
    /// The value after combining with `present`; empty sides are dropped together with the separator.
    pub fn resolve(&self, present: Option<&str>, expand: impl Fn(&str) -> String) -> String {
        match self {
            Self::Set(value) => expand(value),
            Self::Combine { value, operation, separator } => {
                let value = expand(value);
                let present = present.unwrap_or_default();
                match operation {
                    EnvOperation::Set => value,
                    _ if present.is_empty() => value,
                    _ if value.is_empty() => present.to_owned(),
                    EnvOperation::Prepend => format!("{value}{separator}{present}"),
                    EnvOperation::Append => format!("{present}{separator}{value}"),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_contracts_aliases_are_known() {
        for (spelling, canonical) in [
            ("node.js", "node"),
            ("NodeJS", "node"),
            ("python3", "python"),
            ("bash", "shell"),
            ("sh", "shell"),
            ("standalone", "native"),
            ("rb", "ruby"),
            ("golang", "go"),
            ("jdk", "java"),
            ("openjdk", "java"),
            ("perl5", "perl"),
            ("rscript", "r"),
            ("cobol", "cobol"),
        ] {
            assert_eq!(canonical_name(spelling), canonical, "{spelling}");
        }
    }

    #[test]
    fn variables_are_combined_without_stray_separators() {
        let prepend: EnvVar =
            serde_json::from_value(json!({"value": "{pack_dir}/lib", "operation": "prepend"})).unwrap();
        let expand = |text: &str| text.replace("{pack_dir}", "/p");
        assert_eq!(prepend.resolve(Some("/old"), expand), "/p/lib:/old");
        assert_eq!(prepend.resolve(None, expand), "/p/lib");
        assert_eq!(EnvVar::Set("{pack_dir}".to_owned()).resolve(Some("/old"), expand), "/p");
    }
}
