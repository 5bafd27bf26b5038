//! Parameter schemas: the flat form `{"name": {"type": …, "required": …, "default": …}}` that packs use.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Parameters;

/// What parameters an action takes, by name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Schema(pub BTreeMap<String, ParameterSpec>);

/// One parameter.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ParameterSpec {
    /// What values it takes; absent means any.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<ParameterType>,
    /// What it is for, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whether a submission without it is refused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
    /// What it is where the submission leaves it out, or says null.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// Whether its value must never be shown.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub secret: bool,
    /// Keys of the control plane that a worker does not interpret.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

/// JSON's types, by the names that schemas use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ParameterType {
    /// Text.
    String,
    /// A whole number.
    Integer,
    /// Any number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// A list.
    Array,
    /// A map.
    Object,
}

/// Parameters that do not fit the schema. Each message is a sentence; `hint` says what would fit.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ParameterError {
    /// A required parameter was left out.
    #[error("the required parameter `{name}` is missing")]
    Missing {
        /// Its name.
        name: String,
        /// Its description in the schema.
        description: Option<String>,
    },
    /// A parameter that the action does not take.
    #[error("there is no parameter `{name}`")]
    Unknown {
        /// The name given.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// A value of another type.
    #[error("the parameter `{name}` takes {} and was given `{given}`", .expected.article())]
    WrongType {
        /// Its name.
        name: String,
        /// What the schema asks for.
        expected: ParameterType,
        /// What was given, shortened.
        given: String,
    },
}

impl ParameterError {
    /// What would fit.
    pub fn hint(&self) -> String {
        match self {
            Self::Missing { name, description: Some(text) } => format!("add `--param {name}=…` ({text})"),
            Self::Missing { name, description: None } => format!("add `--param {name}=…`"),
            Self::Unknown { known, .. } if known.is_empty() => "this action takes no parameters".to_owned(),
            Self::Unknown { known, .. } => format!("it takes: {}", known.join(", ")),
            Self::WrongType { expected, .. } => format!("for example {}", expected.example()),
        }
    }
}

impl ParameterType {
    const fn article(self) -> &'static str {
        match self {
            Self::String => "text",
            Self::Integer => "a whole number",
            Self::Number => "a number",
            Self::Boolean => "true or false",
            Self::Array => "a JSON array",
            Self::Object => "a JSON object",
        }
    }

    const fn example(self) -> &'static str {
        match self {
            Self::String => "hello",
            Self::Integer => "42",
            Self::Number => "2.5",
            Self::Boolean => "true",
            Self::Array => "'[1, 2]'",
            Self::Object => "'{\"a\": 1}'",
        }
    }

    fn accepts(self, value: &Value) -> bool {
        match self {
            Self::String => value.is_string(),
            Self::Integer => value.is_i64() || value.is_u64(),
            Self::Number => value.is_number(),
            Self::Boolean => value.is_boolean(),
            Self::Array => value.is_array(),
            Self::Object => value.is_object(),
        }
    }

    /// Reads command-line text as this type.
    fn parse(self, text: &str) -> Option<Value> {
        match self {
            Self::String => Some(Value::String(text.to_owned())),
            _ => serde_json::from_str(text).ok().filter(|value| self.accepts(value)),
        }
    }
}

impl Schema {
    /// Reads `key=value` text from a command line as the type that the schema declares; text where it declares none.
    pub fn parse(&self, name: &str, text: &str) -> Result<Value, ParameterError> {
        let spec = self.0.get(name).ok_or_else(|| self.unknown(name))?;
        match spec.kind {
            None => Ok(Value::String(text.to_owned())),
            Some(kind) => kind.parse(text).ok_or_else(|| wrong_type(name, kind, text)),
        }
    }

    /// Checks that `parameters` fit: nothing unknown, nothing of another type, nothing required left out.
    pub fn check(&self, parameters: &Parameters) -> Result<(), ParameterError> {
        for (name, value) in parameters {
            let spec = self.0.get(name).ok_or_else(|| self.unknown(name))?;
            if let Some(kind) = spec.kind
                && !value.is_null()
                && !kind.accepts(value)
            {
                return Err(wrong_type(name, kind, &value.to_string()));
            }
        }
        for (name, spec) in &self.0 {
            let given = parameters.get(name).is_some_and(|value| !value.is_null());
            if spec.required && spec.default.is_none() && !given {
                return Err(ParameterError::Missing {
                    name: name.clone(),
                    description: spec.description.clone(),
                });
            }
        }
        Ok(())
    }

    /// Adds the default of each parameter that is missing or null (CONTRACT §2.7).
    pub fn fill_defaults(&self, parameters: &mut Parameters) {
        for (name, spec) in &self.0 {
            if let Some(default) = &spec.default
                && parameters.get(name).is_none_or(Value::is_null)
            {
                parameters.insert(name.clone(), default.clone());
            }
        }
    }

    fn unknown(&self, name: &str) -> ParameterError {
        ParameterError::Unknown { name: name.to_owned(), known: self.0.keys().cloned().collect() }
    }
}

fn wrong_type(name: &str, expected: ParameterType, given: &str) -> ParameterError {
    const SHOWN: usize = 60;
    let mut shown: String = given.chars().take(SHOWN).collect();
    if shown.len() < given.len() {
        shown.push('…');
    }
    ParameterError::WrongType { name: name.to_owned(), expected, given: shown }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> Schema {
        serde_json::from_value(json!({
            "name": {"type": "string", "required": true, "description": "whom to greet"},
            "times": {"type": "integer", "default": 1},
            "any": {}
        }))
        .unwrap()
    }

    fn parameters(value: Value) -> Parameters {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn text_is_read_as_the_declared_type() {
        assert_eq!(schema().parse("times", "3").unwrap(), json!(3));
        assert_eq!(schema().parse("name", "3").unwrap(), json!("3"));
        assert_eq!(schema().parse("any", "3").unwrap(), json!("3"));
        let error = schema().parse("times", "three").unwrap_err();
        assert_eq!(error.to_string(), "the parameter `times` takes a whole number and was given `three`");
        assert_eq!(error.hint(), "for example 42");
    }

    #[test]
    fn missing_and_unknown_parameters_are_named() {
        let missing = schema().check(&parameters(json!({"times": 2}))).unwrap_err();
        assert_eq!(missing.to_string(), "the required parameter `name` is missing");
        assert!(missing.hint().contains("whom to greet"));
        let unknown = schema().check(&parameters(json!({"name": "a", "tmies": 2}))).unwrap_err();
        assert_eq!(unknown.hint(), "it takes: any, name, times");
    }

    #[test]
    fn defaults_fill_what_is_missing_or_null() {
        let mut given = parameters(json!({"name": "a", "times": null}));
        schema().fill_defaults(&mut given);
        assert_eq!(given["times"], json!(1));
    }
}
