//! The variables of a container.

use std::collections::BTreeMap;

use super::cluster::Objects;
use super::manifest::{ContainerSpec, ValueFrom, VariableSource};

/// Whole secrets and `ConfigMap`s first, then what is given one by one, which goes before.
pub(super) fn of(container: &ContainerSpec, pod: &str, objects: &Objects) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    for source in &container.env_from {
        variables.extend(match source {
            VariableSource::Secret(secret) => objects.secret(&secret.name).clone(),
            VariableSource::ConfigMap(map) => objects.config_map(&map.name).clone(),
        });
    }
    for variable in &container.env {
        let value = match (&variable.value, &variable.value_from) {
            (value, None) => value.clone().unwrap_or_default(),
            (None, Some(source)) => from(source, pod, objects),
            (Some(_), Some(_)) => panic!("{pod}: {} has two values", variable.name),
        };
        assert!(!value.contains("$("), "{pod}: {}: references are not expanded here", variable.name);
        variables.insert(variable.name.clone(), value);
    }
    variables
}

fn from(source: &ValueFrom, pod: &str, objects: &Objects) -> String {
    match source {
        ValueFrom::Field { field_path } if field_path == "metadata.name" => pod.to_owned(),
        ValueFrom::Field { field_path } => panic!("{pod}: {field_path} is not known here"),
        ValueFrom::Secret(key) => objects.secret(&key.name)[&key.key].clone(),
        ValueFrom::ConfigMap(key) => objects.config_map(&key.name)[&key.key].clone(),
    }
}
