//! An action: one thing to run, as its pack describes it (CONTRACT §1.6).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ActionId, PackRef, Ref, RuntimeId, Schema};

/// How an action receives its parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ParameterDelivery {
    /// On standard input, which is then closed.
    #[default]
    Stdin,
    /// In a file of mode 0400 that `ATTUNE_PARAMETER_FILE` names.
    File,
}

/// How parameters are written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ParameterFormat {
    /// One compact line.
    #[default]
    Json,
    /// A YAML document.
    Yaml,
    /// Sorted lines `key='value'`.
    Dotenv,
}

/// How an action's standard output becomes `result.data`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputFormat {
    /// Not at all: it stays text.
    #[default]
    Text,
    /// One JSON document, or a JSON document on the last line.
    Json,
    /// One YAML document.
    Yaml,
    /// One JSON document a line, gathered in an array.
    Jsonl,
}

impl ParameterDelivery {
    /// The label used in the database and in `ATTUNE_PARAMETER_DELIVERY`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stdin => "stdin",
            Self::File => "file",
        }
    }
}

impl ParameterFormat {
    /// The label used in the database and in `ATTUNE_PARAMETER_FORMAT`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Yaml => "yaml",
            Self::Dotenv => "dotenv",
        }
    }
}

impl OutputFormat {
    /// The label used in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
            Self::Yaml => "yaml",
            Self::Jsonl => "jsonl",
        }
    }
}

/// The columns of `action` that a worker needs.
#[derive(Debug, Clone)]
pub struct Action {
    /// `action.id`; `None` where an action runs without a control plane's row.
    pub id: Option<ActionId>,
    /// `pack.name`.
    pub reference: Ref,
    /// The pack that the entry point is in.
    pub pack: PackRef,
    /// A file below the pack's `actions/` directory, or code.
    pub entrypoint: String,
    /// What runs the entry point; `None` means: whichever runtime claims the file's extension.
    pub runtime: Option<RuntimeId>,
    /// What parameters it takes.
    pub parameters: Schema,
    /// How it receives them.
    pub delivery: ParameterDelivery,
    /// How they are written.
    pub format: ParameterFormat,
    /// How its output is read.
    pub output: OutputFormat,
    /// Its own time limit in seconds, where it has one.
    pub timeout_seconds: Option<u32>,
    /// Whether the entry point is code rather than a file.
    pub is_adhoc: bool,
    /// Which versions of its runtime will do.
    pub version_constraint: Option<String>,
    /// Other runtimes that the worker must have, with a constraint or `*` each.
    pub required_runtimes: BTreeMap<String, String>,
}

#[cfg(test)]
impl Action {
    /// `mine.a`, as simple as an action can be.
    pub(crate) fn simple(entrypoint: &str) -> Self {
        Self {
            id: None,
            reference: "mine.a".parse().unwrap(),
            pack: "mine".parse().unwrap(),
            entrypoint: entrypoint.to_owned(),
            runtime: None,
            parameters: Schema::default(),
            delivery: ParameterDelivery::default(),
            format: ParameterFormat::default(),
            output: OutputFormat::default(),
            timeout_seconds: None,
            is_adhoc: false,
            version_constraint: None,
            required_runtimes: BTreeMap::new(),
        }
    }
}
