//! Parameters as an action receives them (CONTRACT §3.6).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

use crate::model::{ParameterFormat, Parameters};

/// Writes parameters down in this format, ending with one line feed.
///
/// # Errors
/// A sentence, where the format cannot hold them.
pub(super) fn render(parameters: &Parameters, format: ParameterFormat) -> Result<Vec<u8>, String> {
    let mut text = match format {
        ParameterFormat::Json => serde_json::to_string(parameters).map_err(|error| error.to_string())?,
        ParameterFormat::Yaml => serde_saphyr::to_string(parameters).map_err(|error| error.to_string())?,
        ParameterFormat::Dotenv => dotenv(parameters)?,
    };
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text.into_bytes())
}

/// Sorted lines `key='value'`: nested objects are flattened with dots, arrays are JSON, null is empty, a single quote
/// is `'\''`, and line feeds stay as they are between the quotes.
fn dotenv(parameters: &Parameters) -> Result<String, String> {
    let mut flat = BTreeMap::new();
    flatten("", parameters, &mut flat);
    let mut text = String::new();
    for (key, value) in flat {
        if value.contains('\0') {
            return Err(format!("the parameter `{key}` holds a NUL byte, which dotenv cannot carry"));
        }
        // Writing to a String cannot fail.
        let written = writeln!(text, "{key}='{}'", value.replace('\'', r"'\''"));
        debug_assert!(written.is_ok());
    }
    Ok(text)
}

fn flatten(prefix: &str, parameters: &Parameters, flat: &mut BTreeMap<String, String>) {
    for (key, value) in parameters {
        let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            Value::Object(inner) => flatten(&key, inner, flat),
            Value::Null => drop(flat.insert(key, String::new())),
            Value::String(text) => drop(flat.insert(key, text.clone())),
            Value::Bool(_) | Value::Number(_) | Value::Array(_) => drop(flat.insert(key, value.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rendered(value: Value, format: ParameterFormat) -> String {
        let parameters: Parameters = serde_json::from_value(value).unwrap();
        String::from_utf8(render(&parameters, format).unwrap()).unwrap()
    }

    #[test]
    fn json_is_one_line_even_when_empty() {
        assert_eq!(rendered(json!({}), ParameterFormat::Json), "{}\n");
        assert_eq!(rendered(json!({"a": "x\ny"}), ParameterFormat::Json), "{\"a\":\"x\\ny\"}\n");
    }

    #[test]
    fn dotenv_is_sorted_flat_and_quoted() {
        let value =
            json!({"z": 1, "a": {"b": true, "empty": {}, "c": {"d": null}}, "l": [1, "x"], "q": "it's\n2"});
        let expected = "a.b='true'\na.c.d=''\nl='[1,\"x\"]'\nq='it'\\''s\n2'\nz='1'\n";
        assert_eq!(rendered(value, ParameterFormat::Dotenv), expected);
        assert_eq!(rendered(json!({}), ParameterFormat::Dotenv), "\n");
    }

    #[test]
    fn yaml_reads_back_as_what_it_was() {
        let value =
            json!({"name": "Ada", "n": [1, 2.5, null, true], "text": "a: b\n- c", "deep": {"no": "no"}});
        let text = rendered(value.clone(), ParameterFormat::Yaml);
        assert_eq!(serde_saphyr::from_str::<Value>(&text).unwrap(), value);
        assert_eq!(
            serde_saphyr::from_str::<Value>(&rendered(json!({}), ParameterFormat::Yaml)).unwrap(),
            json!({})
        );
    }
}
