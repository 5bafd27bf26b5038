//! Where secrets are in JSON: places as JSON pointers (RFC 6901), and the marker that stands there instead
//! (CONTRACT §3.8).

use serde_json::{Map, Value, json};

use crate::model::Parameters;

/// A place that is not there: an index beyond an array, or a name below something that has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is no such place")]
pub struct NoPlace;

/// What stands where a secret was taken out.
pub fn marker() -> Value {
    json!({"$attune_secret": true, "redacted": true})
}

/// The places that a schema declares secret, whether it is flat (`{"name": {"secret": true}}`) or a JSON schema of an
/// object. What is below a secret is part of it; items of arrays have no places.
pub fn secret_places(schema: &Value) -> Vec<String> {
    let mut places = Vec::new();
    let properties = schema.get("properties").and_then(Value::as_object);
    let nodes = match properties {
        Some(properties) if schema.get("type").and_then(Value::as_str) == Some("object") => Some(properties),
        _ => schema.as_object(),
    };
    if let Some(nodes) = nodes {
        gather(nodes, "", &mut places);
    }
    places
}

fn gather(nodes: &Map<String, Value>, below: &str, places: &mut Vec<String>) {
    for (name, node) in nodes {
        let place = format!("{below}/{}", name.replace('~', "~0").replace('/', "~1"));
        if node.get("secret").and_then(Value::as_bool) == Some(true) {
            places.push(place);
        } else if let Some(properties) = node.get("properties").and_then(Value::as_object) {
            gather(properties, &place, places);
        }
    }
}

/// The value at `place`.
pub fn at<'p>(parameters: &'p Parameters, place: &str) -> Option<&'p Value> {
    let path = place.strip_prefix('/')?;
    let (first, below) = path.split_at(path.find('/').unwrap_or(path.len()));
    parameters.get(&first.replace("~1", "/").replace("~0", "~"))?.pointer(below)
}

/// Takes the value at `place` out of `data` and leaves the marker; `None` where there is nothing, or the marker already.
pub fn take(data: &mut Value, place: &str) -> Option<Value> {
    let found = data.pointer_mut(place)?;
    let marker = marker();
    (*found != marker).then(|| std::mem::replace(found, marker))
}

/// Puts `value` at `place`. Objects on the way are made where they are missing; arrays are never made longer.
pub fn put(parameters: &mut Parameters, place: &str, value: Value) -> Result<(), NoPlace> {
    let path = place.strip_prefix('/').ok_or(NoPlace)?;
    let mut names = path.split('/').map(|name| name.replace("~1", "/").replace("~0", "~"));
    let first = names.next().ok_or(NoPlace)?;
    let mut target = parameters.entry(first).or_insert(Value::Null);
    for name in names {
        if target.is_null() {
            *target = Value::Object(Map::new());
        }
        target = match target {
            Value::Object(fields) => fields.entry(name).or_insert(Value::Null),
            Value::Array(items) => {
                let index: usize = name.parse().map_err(|_| NoPlace)?;
                items.get_mut(index).ok_or(NoPlace)?
            }
            _ => return Err(NoPlace),
        };
    }
    *target = value;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flat_schemas_and_json_schemas_declare_the_same_places() {
        let fields = json!({
            "token": {"type": "string", "secret": true},
            "a/b~c": {"type": "string", "secret": true},
            "plain": {"type": "string", "secret": false},
            "login": {"type": "object", "properties": {"user": {}, "password": {"secret": true}}},
            "whole": {"secret": true, "properties": {"inner": {"secret": true}}},
            "list": {"type": "array", "items": {"secret": true}},
        });
        let expected = ["/token", "/a~1b~0c", "/login/password", "/whole"];
        assert_eq!(secret_places(&fields), expected);
        assert_eq!(secret_places(&json!({"type": "object", "properties": fields})), expected);
        assert_eq!(secret_places(&json!(["secret"])), [""; 0]);
    }

    #[test]
    fn what_is_taken_leaves_the_marker_once() {
        let mut data = json!({"login": {"password": "s3cr3t", "user": "ada"}});
        assert_eq!(take(&mut data, "/login/password"), Some(json!("s3cr3t")));
        assert_eq!(data, json!({"login": {"password": marker(), "user": "ada"}}));
        assert_eq!(take(&mut data, "/login/password"), None);
        assert_eq!(take(&mut data, "/nothing/here"), None);
    }

    #[test]
    fn objects_are_made_on_the_way_and_arrays_are_not_made_longer() {
        let mut parameters: Parameters =
            serde_json::from_value(json!({"a": [{"k": marker()}], "n": 7, "null": null})).unwrap();
        let mut put = |place: &str, value: Value| put(&mut parameters, place, value);
        assert_eq!(put("/a/0/k", json!("one")), Ok(()));
        assert_eq!(put("/new/deep~1er", json!("two")), Ok(()));
        assert_eq!(put("/null/x", json!("three")), Ok(()));
        for nowhere in ["", "a", "/a/1/k", "/a/x", "/n/x"] {
            assert_eq!(put(nowhere, json!("no")), Err(NoPlace), "{nowhere}");
        }
        let expected =
            json!({"a": [{"k": "one"}], "n": 7, "null": {"x": "three"}, "new": {"deep/er": "two"}});
        assert_eq!(at(&parameters, "/a/0/k"), Some(&json!("one")));
        assert_eq!(at(&parameters, "/new/deep~1er"), Some(&json!("two")));
        assert_eq!(at(&parameters, "/n"), Some(&json!(7)));
        assert_eq!((at(&parameters, "/n/x"), at(&parameters, "")), (None, None));
        assert_eq!(Value::Object(parameters), expected);
    }
}
