//! The fields of a pod that are obeyed.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::probe::Probe;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PodSpec {
    #[serde(default)]
    pub(super) security_context: PodSecurity,
    #[serde(default)]
    pub(super) init_containers: Vec<ContainerSpec>,
    pub(super) containers: Vec<ContainerSpec>,
    #[serde(default)]
    pub(super) volumes: Vec<VolumeSpec>,
    #[serde(default = "thirty")]
    pub(super) termination_grace_period_seconds: u32,
}

fn thirty() -> u32 {
    30
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PodSecurity {
    pub(super) run_as_non_root: Option<bool>,
    pub(super) run_as_user: Option<u32>,
    pub(super) run_as_group: Option<u32>,
    pub(super) fs_group: Option<u32>,
    pub(super) fs_group_change_policy: Option<ChangePolicy>,
    pub(super) seccomp_profile: Option<SeccompProfile>,
}

/// When a volume's files are given to `fsGroup`.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
pub(super) enum ChangePolicy {
    #[default]
    Always,
    OnRootMismatch,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SeccompProfile {
    #[serde(rename = "type")]
    pub(super) kind: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ContainerSpec {
    pub(super) name: String,
    pub(super) image: String,
    pub(super) command: Option<Vec<String>>,
    pub(super) args: Option<Vec<String>>,
    #[serde(default)]
    pub(super) security_context: ContainerSecurity,
    #[serde(default)]
    pub(super) env: Vec<Variable>,
    #[serde(default)]
    pub(super) env_from: Vec<VariableSource>,
    #[serde(default)]
    pub(super) volume_mounts: Vec<VolumeMount>,
    pub(super) startup_probe: Option<Probe>,
    pub(super) liveness_probe: Option<Probe>,
    pub(super) readiness_probe: Option<Probe>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ContainerSecurity {
    pub(super) allow_privilege_escalation: Option<bool>,
    #[serde(default)]
    pub(super) read_only_root_filesystem: bool,
    #[serde(default)]
    pub(super) capabilities: Capabilities,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Capabilities {
    #[serde(default)]
    pub(super) drop: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) value: Option<String>,
    pub(super) value_from: Option<ValueFrom>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) enum ValueFrom {
    #[serde(rename = "fieldRef", rename_all = "camelCase")]
    Field { field_path: String },
    #[serde(rename = "secretKeyRef")]
    Secret(Key),
    #[serde(rename = "configMapKeyRef")]
    ConfigMap(Key),
}

/// One key of a secret or `ConfigMap`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Key {
    pub(super) name: String,
    pub(super) key: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) enum VariableSource {
    #[serde(rename = "secretRef")]
    Secret(Named),
    #[serde(rename = "configMapRef")]
    ConfigMap(Named),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Named {
    pub(super) name: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct VolumeMount {
    pub(super) name: String,
    pub(super) mount_path: String,
    pub(super) sub_path: Option<String>,
    #[serde(default)]
    pub(super) read_only: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct VolumeSpec {
    pub(super) name: String,
    /// The one field beside the name; serde refuses any other.
    #[serde(flatten)]
    pub(super) source: VolumeSource,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) enum VolumeSource {
    #[serde(rename_all = "camelCase")]
    EmptyDir {
        #[serde(default)]
        medium: String,
        size_limit: Option<String>,
    },
    ConfigMap(Files),
    #[serde(rename_all = "camelCase")]
    Secret {
        secret_name: String,
    },
    #[serde(rename_all = "camelCase")]
    Projected {
        default_mode: Option<u32>,
        sources: Vec<Projection>,
    },
    #[serde(rename_all = "camelCase")]
    PersistentVolumeClaim {
        claim_name: String,
    },
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) enum Projection {
    Secret(Files),
    ConfigMap(Files),
}

/// Keys of a secret or `ConfigMap` as files: all by their own names, or those that are listed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Files {
    pub(super) name: String,
    pub(super) items: Option<Vec<Item>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Item {
    pub(super) key: String,
    pub(super) path: String,
}

/// What a secret or a `ConfigMap` holds, decoded.
pub(super) type Held = BTreeMap<String, String>;
