//! What brings the program to people: the workflows that check and publish it, and the system in `compose.yaml`. What
//! is asserted is what they mean.

mod compose;
mod tool;
mod workflows;

use std::path::{Path, PathBuf};

use serde_json::Value;

/// A file of the project.
fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// A file of the project, as text and as YAML with its anchors resolved.
fn yaml(path: &str) -> (String, Value) {
    let text = std::fs::read_to_string(project(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    let document = serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"));
    (text, document)
}

/// The entries of a map, which has some.
fn entries(map: &Value) -> impl Iterator<Item = (&String, &Value)> {
    let map = map.as_object().unwrap_or_else(|| panic!("not a map: {map}"));
    assert!(!map.is_empty());
    map.iter()
}

/// The items of a list, which has some.
fn items(list: &Value) -> &[Value] {
    let list = list.as_array().unwrap_or_else(|| panic!("not a list: {list}"));
    assert!(!list.is_empty());
    list
}
