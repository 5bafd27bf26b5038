//! What the YAML files of a pack say.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::{Doing, Error, ErrorKind, Result};
use crate::model::{ExecutionConfig, OutputFormat, PackRef, ParameterDelivery, ParameterFormat, Ref, Schema};

/// A manifest larger than this is not one.
const MANIFEST_LIMIT: u64 = 1 << 20;

/// A pack, read whole.
#[derive(Debug, Clone)]
pub struct Pack {
    /// Where it is.
    pub directory: PathBuf,
    /// What `pack.yaml` says.
    pub manifest: PackManifest,
    /// Its runtimes, by file name.
    pub runtimes: Vec<RuntimeManifest>,
    /// Its actions, by file name.
    pub actions: Vec<ActionManifest>,
}

/// `pack.yaml`.
#[derive(Debug, Clone, Deserialize)]
pub struct PackManifest {
    /// Also the name of its directory.
    #[serde(rename = "ref")]
    pub reference: PackRef,
    /// For people.
    #[serde(default)]
    pub label: String,
    /// For people, longer.
    pub description: Option<String>,
    /// A semantic version.
    pub version: String,
}

/// `runtimes/*.yaml` (CONTRACT §1.4).
#[derive(Debug, Clone, Deserialize)]
pub struct RuntimeManifest {
    /// For example `core.python`.
    #[serde(rename = "ref")]
    pub reference: Ref,
    /// For people, for example `Python`.
    pub name: String,
    /// Lower-case names by which actions may ask for it.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// For people.
    pub description: Option<String>,
    /// How to verify that it is there; kept for the control plane.
    #[serde(default)]
    pub distributions: Value,
    /// How it runs a file.
    #[serde(default)]
    pub execution_config: ExecutionConfig,
    /// Versions with a configuration of their own.
    #[serde(default)]
    pub versions: Vec<RuntimeVersionManifest>,
}

/// One entry of a runtime's `versions` (CONTRACT §1.5).
#[derive(Debug, Clone, Deserialize)]
pub struct RuntimeVersionManifest {
    /// For example `3.12`.
    pub version: String,
    /// Whether it is taken where an action does not care.
    #[serde(default)]
    pub is_default: bool,
    /// Complete, not a difference.
    #[serde(default)]
    pub execution_config: ExecutionConfig,
    /// How to verify that it is there.
    #[serde(default)]
    pub distributions: Value,
}

/// `actions/*.yaml` (CONTRACT §1.6).
#[derive(Debug, Clone, Deserialize)]
pub struct ActionManifest {
    /// `pack.name`.
    #[serde(rename = "ref")]
    pub reference: Ref,
    /// For people.
    #[serde(default)]
    pub label: String,
    /// For people, longer.
    pub description: Option<String>,
    /// A path below `actions/`.
    #[serde(alias = "entry_point")]
    pub entrypoint: String,
    /// A runtime by reference, name or alias; absent means: whichever claims the entry point's extension.
    pub runtime: Option<String>,
    /// Which versions of it will do.
    pub runtime_version_constraint: Option<String>,
    /// Other runtimes that the worker must have.
    #[serde(default)]
    pub required_worker_runtimes: BTreeMap<String, String>,
    /// How it receives parameters.
    #[serde(default)]
    pub parameter_delivery: ParameterDelivery,
    /// How they are written.
    #[serde(default)]
    pub parameter_format: ParameterFormat,
    /// How its output is read.
    #[serde(default)]
    pub output_format: OutputFormat,
    /// Its time limit.
    pub timeout_seconds: Option<u32>,
    /// What parameters it takes.
    #[serde(default, alias = "param_schema")]
    pub parameters: Schema,
    /// What its data holds.
    #[serde(default, alias = "out_schema")]
    pub output: Schema,
}

impl Pack {
    /// Reads the pack in `directory`. Every mistake names its file, its line where there is one, and what would be
    /// right.
    pub fn read(directory: &Path) -> Result<Self> {
        let path = directory.join("pack.yaml");
        if !path.is_file() {
            return Err(Error::new(
                ErrorKind::Invalid,
                format!("{} holds no pack.yaml", directory.display()),
            )
            .hint("a pack is a directory with pack.yaml, actions/ and optionally runtimes/"));
        }
        let manifest: PackManifest = read_yaml(&path)?;
        let runtimes: Vec<RuntimeManifest> = read_all(&directory.join("runtimes"))?;
        let actions: Vec<ActionManifest> = read_all(&directory.join("actions"))?;
        let references = runtimes.iter().map(|r| &r.reference).chain(actions.iter().map(|a| &a.reference));
        for reference in references {
            if reference.pack() != manifest.reference {
                return Err(Error::new(
                    ErrorKind::Invalid,
                    format!("{reference} is in the directory of the pack {}", manifest.reference),
                )
                .hint(format!("its ref has to start with `{}.`", manifest.reference)));
            }
        }
        Ok(Self { directory: directory.to_owned(), manifest, runtimes, actions })
    }
}

fn read_all<T: DeserializeOwned>(directory: &Path) -> Result<Vec<T>> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).doing(|| format!("list {}", directory.display())),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.doing(|| format!("list {}", directory.display()))?.path();
        if path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
            paths.push(path);
        }
    }
    paths.sort();
    paths.iter().map(|path| read_yaml(path)).collect()
}

fn read_yaml<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let describe = || format!("read {}", path.display());
    let size = std::fs::metadata(path).doing(describe)?.len();
    if size > MANIFEST_LIMIT {
        return Err(Error::new(ErrorKind::Invalid, format!("{} has {size} bytes", path.display()))
            .hint(format!("a manifest has at most {MANIFEST_LIMIT} bytes")));
    }
    let text = std::fs::read_to_string(path).doing(describe)?;
    crate::config::parse_yaml(&text, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pack(files: &[(&str, &str)]) -> (tempfile::TempDir, Result<Pack>) {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = directory.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let read = Pack::read(directory.path());
        (directory, read)
    }

    const MANIFEST: (&str, &str) = ("pack.yaml", "ref: mine\nlabel: Mine\nversion: 0.1.0\n");

    #[test]
    fn an_action_needs_little() {
        let (_directory, read) = pack(&[MANIFEST, ("actions/a.yaml", "ref: mine.a\nentrypoint: a.sh\n")]);
        let action = &read.unwrap().actions[0];
        assert_eq!(action.entrypoint, "a.sh");
        assert_eq!(action.parameter_format, ParameterFormat::Json);
    }

    #[test]
    fn a_mistake_is_one_line_with_file_and_line() {
        let (_directory, read) = pack(&[("pack.yaml", "ref: mine\nversion: [0.1\n")]);
        let error = read.unwrap_err();
        assert!(error.to_string().contains("pack.yaml:"), "{error}");
        assert!(!error.to_string().contains('\n'), "{error}");
        assert!(error.hint_text().is_some());
    }

    #[test]
    fn a_foreign_ref_is_refused() {
        let (_directory, read) = pack(&[MANIFEST, ("actions/a.yaml", "ref: other.a\nentrypoint: a.sh\n")]);
        assert!(read.unwrap_err().to_string().contains("other.a"));
    }
}
