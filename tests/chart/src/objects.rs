//! Objects of Kubernetes, and what is asked of them.

use std::collections::BTreeMap;

use serde_json::Value;

/// A rendered object.
#[derive(Debug, Clone, PartialEq)]
pub struct Object(Value);

/// A container, and whether it is one that runs before the others.
#[derive(Debug, Clone, Copy)]
pub struct Container<'o> {
    /// What it is in its pod.
    pub value: &'o Value,
    /// Whether it runs before the others.
    pub is_init: bool,
}

impl Object {
    /// One from what its YAML says.
    pub fn new(value: Value) -> Self {
        Self(value)
    }

    /// All of it.
    pub fn value(&self) -> &Value {
        &self.0
    }

    /// Its kind.
    ///
    /// # Panics
    /// Where it has none.
    pub fn kind(&self) -> &str {
        self.0["kind"].as_str().expect("a kind")
    }

    /// Its name.
    ///
    /// # Panics
    /// Where it has none.
    pub fn name(&self) -> &str {
        self.0["metadata"]["name"].as_str().expect("a name")
    }

    /// The value at a JSON pointer; null where there is none.
    pub fn at(&self, pointer: &str) -> &Value {
        self.0.pointer(pointer).unwrap_or(&Value::Null)
    }

    /// The value of an annotation.
    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.0["metadata"]["annotations"][name].as_str()
    }

    /// The pod that it is, or makes.
    pub fn pod(&self) -> Option<&Value> {
        match self.kind() {
            "Pod" => Some(&self.0),
            "Deployment" | "StatefulSet" | "Job" => Some(&self.0["spec"]["template"]),
            _ => None,
        }
    }

    /// The specification of its pod.
    ///
    /// # Panics
    /// Where it has no pod.
    #[track_caller]
    pub fn pod_spec(&self) -> &Value {
        &self.pod().expect("something with a pod")["spec"]
    }

    /// Which pods it is about: a workload's own, or those that a budget or a policy is for.
    ///
    /// # Panics
    /// Where it has none.
    pub fn selector(&self) -> Option<BTreeMap<String, String>> {
        let spec = &self.0["spec"];
        let labels = match self.kind() {
            "Deployment" | "StatefulSet" | "PodDisruptionBudget" => &spec["selector"]["matchLabels"],
            "NetworkPolicy" => &spec["podSelector"]["matchLabels"],
            "Service" => &spec["selector"],
            _ => return None,
        };
        Some(texts(labels))
    }

    /// All containers of its pod, those first that run first.
    ///
    /// # Panics
    /// Where it has no pod.
    #[track_caller]
    pub fn containers(&self) -> Vec<Container<'_>> {
        let spec = self.pod_spec();
        let of = |field: &str, is_init| {
            let list = spec[field].as_array().map(Vec::as_slice).unwrap_or_default();
            list.iter().map(move |value| Container { value, is_init })
        };
        of("initContainers", true).chain(of("containers", false)).collect()
    }

    /// A container of its pod.
    ///
    /// # Panics
    /// Where there is none.
    #[track_caller]
    pub fn container(&self, name: &str) -> Container<'_> {
        let found = self.containers().into_iter().find(|container| container.name() == name);
        found.unwrap_or_else(|| panic!("{} has no container {name}", self.name()))
    }

    /// A volume of its pod.
    pub fn volume(&self, name: &str) -> Option<&Value> {
        self.pod_spec()["volumes"].as_array()?.iter().find(|volume| volume["name"] == name)
    }
}

impl<'o> Container<'o> {
    /// Its name.
    ///
    /// # Panics
    /// Where it has none.
    pub fn name(&self) -> &'o str {
        self.value["name"].as_str().expect("a name")
    }

    /// Its image.
    ///
    /// # Panics
    /// Where it names none.
    pub fn image(&self) -> &'o str {
        self.value["image"].as_str().expect("an image")
    }

    /// Command and arguments.
    ///
    /// # Panics
    /// Where a word is not text.
    pub fn words(&self) -> Vec<&'o str> {
        let of = |field: &str| self.value[field].as_array().map(Vec::as_slice).unwrap_or_default();
        of("command").iter().chain(of("args")).map(|word| word.as_str().expect("a word")).collect()
    }

    /// The variables that it is given one by one.
    pub fn variables(&self) -> &'o [Value] {
        self.value["env"].as_array().map(Vec::as_slice).unwrap_or_default()
    }

    /// The value of a variable, where it has one of its own.
    pub fn variable(&self, name: &str) -> Option<&'o str> {
        self.variables().iter().find(|variable| variable["name"] == name)?["value"].as_str()
    }

    /// What it mounts.
    pub fn mounts(&self) -> &'o [Value] {
        self.value["volumeMounts"].as_array().map(Vec::as_slice).unwrap_or_default()
    }

    /// The mount of a volume.
    pub fn mount(&self, volume: &str) -> Option<&'o Value> {
        self.mounts().iter().find(|mount| mount["name"] == volume)
    }
}

/// A map of text to text.
///
/// # Panics
/// Where it is not.
#[track_caller]
pub fn texts(value: &Value) -> BTreeMap<String, String> {
    let map = value.as_object().unwrap_or_else(|| panic!("a map, not {value}"));
    map.iter().map(|(key, value)| (key.clone(), value.as_str().expect("text").to_owned())).collect()
}

/// Whether labels are among those that a selector wants.
pub fn selects(selector: &BTreeMap<String, String>, labels: &BTreeMap<String, String>) -> bool {
    selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}
