//! The configuration file as a JSON schema, made from the table of settings.

use serde_json::{Map, Value, json};

use super::SETTINGS;

/// The schema. It says nothing about what other services of the control plane may have beside these settings.
pub fn schema() -> Value {
    let mut properties = Map::new();
    for setting in SETTINGS {
        let mut schema = setting.takes.schema();
        schema["description"] = json!(format!("{} It takes {}.", setting.about, setting.takes));
        if let Some(default) = setting.default {
            schema["default"] = setting.takes.value(default);
        }
        put(&mut properties, setting.key, schema);
        if setting.is_credential() {
            let description =
                format!("A file that holds the value of `{}`, instead of the value itself.", setting.key);
            let file = json!({"type": ["string", "null"], "description": description});
            put(&mut properties, &format!("{}_file", setting.key), file);
        }
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The configuration file of attune-agent",
        "type": ["object", "null"],
        "properties": properties,
    })
}

/// Puts a schema where its key, with dots, says.
fn put(properties: &mut Map<String, Value>, key: &str, schema: Value) {
    let Some((section, rest)) = key.split_once('.') else {
        properties.insert(key.to_owned(), schema);
        return;
    };
    let section =
        properties.entry(section).or_insert_with(|| json!({"type": ["object", "null"], "properties": {}}));
    if let Some(inner) = section["properties"].as_object_mut() {
        put(inner, rest, schema);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_where_the_file_has_it() {
        let schema = schema();
        for setting in SETTINGS {
            let path = format!("/properties/{}", setting.key.replace('.', "/properties/"));
            let found = schema.pointer(&path).unwrap_or_else(|| panic!("{} is not there", setting.key));
            assert!(found["description"].as_str().unwrap().contains(&setting.takes.to_string()), "{found}");
            assert!(found.get("enum").is_some() || found.get("type").is_some(), "{found}");
        }
        let limits = &schema["properties"]["worker"]["properties"]["limits"];
        assert_eq!(limits["properties"]["processes"]["minimum"], 1);
        assert_eq!(schema["properties"]["database"]["properties"]["password_file"]["type"][0], "string");
        assert_eq!(schema["properties"]["log"]["properties"]["format"]["default"], "text");
    }
}
