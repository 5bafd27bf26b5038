//! Objects of Kubernetes, and what is asked of them.

use std::collections::BTreeMap;

use serde_json::Value;

/// A rendered object.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Object(Value);

/// A container, and whether it is one that runs before the others.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Container<'o> {
    pub(crate) value: &'o Value,
    pub(crate) is_init: bool,
}

impl Object {
    pub(crate) fn new(value: Value) -> Self {
        Self(value)
    }

    pub(crate) fn value(&self) -> &Value {
        &self.0
    }

    pub(crate) fn kind(&self) -> &str {
        self.0["kind"].as_str().expect("a kind")
    }

    pub(crate) fn name(&self) -> &str {
        self.0["metadata"]["name"].as_str().expect("a name")
    }

    /// The value at a JSON pointer; null where there is none.
    pub(crate) fn at(&self, pointer: &str) -> &Value {
        self.0.pointer(pointer).unwrap_or(&Value::Null)
    }

    pub(crate) fn annotation(&self, name: &str) -> Option<&str> {
        self.0["metadata"]["annotations"][name].as_str()
    }

    /// The pod that it is, or makes.
    pub(crate) fn pod(&self) -> Option<&Value> {
        match self.kind() {
            "Pod" => Some(&self.0),
            "Deployment" | "StatefulSet" | "Job" => Some(&self.0["spec"]["template"]),
            _ => None,
        }
    }

    #[track_caller]
    pub(crate) fn pod_spec(&self) -> &Value {
        &self.pod().expect("something with a pod")["spec"]
    }

    /// Which pods it is about: a workload's own, or those that a budget or a policy is for.
    pub(crate) fn selector(&self) -> Option<BTreeMap<String, String>> {
        let spec = &self.0["spec"];
        let labels = match self.kind() {
            "Deployment" | "StatefulSet" | "PodDisruptionBudget" => &spec["selector"]["matchLabels"],
            "NetworkPolicy" => &spec["podSelector"]["matchLabels"],
            "Service" => &spec["selector"],
            _ => return None,
        };
        Some(texts(labels))
    }

    #[track_caller]
    pub(crate) fn containers(&self) -> Vec<Container<'_>> {
        let spec = self.pod_spec();
        let of = |field: &str, is_init| {
            let list = spec[field].as_array().map(Vec::as_slice).unwrap_or_default();
            list.iter().map(move |value| Container { value, is_init })
        };
        of("initContainers", true).chain(of("containers", false)).collect()
    }

    #[track_caller]
    pub(crate) fn container(&self, name: &str) -> Container<'_> {
        let found = self.containers().into_iter().find(|container| container.name() == name);
        found.unwrap_or_else(|| panic!("{} has no container {name}", self.name()))
    }

    /// A volume of its pod.
    pub(crate) fn volume(&self, name: &str) -> Option<&Value> {
        self.pod_spec()["volumes"].as_array()?.iter().find(|volume| volume["name"] == name)
    }
}

impl<'o> Container<'o> {
    pub(crate) fn name(&self) -> &'o str {
        self.value["name"].as_str().expect("a name")
    }

    pub(crate) fn image(&self) -> &'o str {
        self.value["image"].as_str().expect("an image")
    }

    /// Command and arguments.
    pub(crate) fn words(&self) -> Vec<&'o str> {
        let of = |field: &str| self.value[field].as_array().map(Vec::as_slice).unwrap_or_default();
        of("command").iter().chain(of("args")).map(|word| word.as_str().expect("a word")).collect()
    }

    pub(crate) fn variables(&self) -> &'o [Value] {
        self.value["env"].as_array().map(Vec::as_slice).unwrap_or_default()
    }

    /// The value of a variable, where it has one of its own.
    pub(crate) fn variable(&self, name: &str) -> Option<&'o str> {
        self.variables().iter().find(|variable| variable["name"] == name)?["value"].as_str()
    }

    pub(crate) fn mounts(&self) -> &'o [Value] {
        self.value["volumeMounts"].as_array().map(Vec::as_slice).unwrap_or_default()
    }

    /// The mount of a volume.
    pub(crate) fn mount(&self, volume: &str) -> Option<&'o Value> {
        self.mounts().iter().find(|mount| mount["name"] == volume)
    }
}

/// A map of text to text.
#[track_caller]
pub(crate) fn texts(value: &Value) -> BTreeMap<String, String> {
    let map = value.as_object().unwrap_or_else(|| panic!("a map, not {value}"));
    map.iter().map(|(key, value)| (key.clone(), value.as_str().expect("text").to_owned())).collect()
}

/// Whether labels are among those that a selector wants.
pub(crate) fn selects(selector: &BTreeMap<String, String>, labels: &BTreeMap<String, String>) -> bool {
    selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}
