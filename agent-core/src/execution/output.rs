//! What an action's standard output means, in the format that the action declares (CONTRACT §3.9).

use serde_json::Value;

use crate::config::from_yaml;
use crate::model::OutputFormat;

/// Reads `text`; `None` where the format is text or there is nothing to read.
///
/// # Errors
/// A sentence, where the text is not of the format. The action has succeeded all the same: its exit status says so.
pub(super) fn parse(text: &str, format: OutputFormat) -> Result<Option<Value>, String> {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Ok(None);
    }
    match format {
        OutputFormat::Text => Ok(None),
        OutputFormat::Json => json(trimmed).map(Some),
        OutputFormat::Yaml => from_yaml(trimmed)
            .map(Some)
            .map_err(|error| format!("stdout is not YAML: {}", first_line(&error))),
        OutputFormat::Jsonl => jsonl(trimmed).map(Some),
    }
}

/// The whole text, or else its last line: tools print progress before their result.
fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).or_else(|error| {
        let last = text.lines().next_back().unwrap_or_default();
        serde_json::from_str(last)
            .map_err(|_| format!("stdout is not JSON, and neither is its last line: {error}"))
    })
}

/// An array of the lines that are JSON.
fn jsonl(text: &str) -> Result<Value, String> {
    let values: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    if values.is_empty() { Err("no line of stdout is JSON".to_owned()) } else { Ok(Value::Array(values)) }
}

fn first_line(error: &impl ToString) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_is_the_whole_text_or_the_last_line() {
        assert_eq!(parse("{\n\"a\": 1\n}\n", OutputFormat::Json).unwrap(), Some(json!({"a": 1})));
        assert_eq!(parse("working…\n{\"a\": 1}\n", OutputFormat::Json).unwrap(), Some(json!({"a": 1})));
        assert!(parse("oops", OutputFormat::Json).unwrap_err().contains("not JSON"));
        assert_eq!(parse(" \n", OutputFormat::Json).unwrap(), None);
    }

    #[test]
    fn a_plain_word_is_yaml_and_a_broken_list_is_not() {
        assert_eq!(parse("hello", OutputFormat::Yaml).unwrap(), Some(json!("hello")));
        assert_eq!(parse("a:\n  - 1\n", OutputFormat::Yaml).unwrap(), Some(json!({"a": [1]})));
        let error = parse("[1, 2", OutputFormat::Yaml).unwrap_err();
        assert!(!error.contains('\n'), "{error}");
    }

    #[test]
    fn jsonl_keeps_the_lines_that_parse() {
        assert_eq!(
            parse("{\"n\":1}\nnoise\n{\"n\":2}", OutputFormat::Jsonl).unwrap(),
            Some(json!([{"n":1},{"n":2}]))
        );
        assert!(parse("noise", OutputFormat::Jsonl).is_err());
    }

    #[test]
    fn nul_bytes_survive() {
        assert_eq!(parse("\"a\\u0000b\"", OutputFormat::Json).unwrap(), Some(json!("a\0b")));
        assert_eq!(parse("a\0b", OutputFormat::Text).unwrap(), None);
    }
}
