//! What values a setting takes: in words for people, and as a JSON schema for editors.

use std::fmt;

use serde_json::{Value, json};

/// The values of one setting. Text that says the same is as good as a number or a truth value: variables are text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// Text, of which these words say more.
    Text(&'static str),
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// True or false.
    Flag,
    /// A whole number.
    Whole {
        /// Of what, where it is not a mere number.
        of: &'static str,
        /// The smallest one.
        least: u64,
    },
    /// A time in seconds, also a fraction.
    Seconds,
    /// The number of a port.
    Port,
    /// A number of bytes with a unit.
    Size {
        /// The smallest one.
        least: Option<&'static str>,
    },
    /// A map, of which these words say more.
    Map(&'static str),
    /// A list, of which these words say more.
    List(&'static str),
}

impl Takes {
    /// The JSON schema of such a value in the configuration file, where nothing is as good as no value.
    pub fn schema(self) -> Value {
        match self {
            // People write passwords of digits, and names that are numbers.
            Self::Text(_) => json!({"type": ["string", "number", "null"]}),
            Self::OneOf(words) => {
                let words = words.iter().map(|word| json!(word)).chain([Value::Null]);
                json!({"enum": words.collect::<Vec<_>>()})
            }
            Self::Flag => json!({"enum": [true, false, "true", "false", null]}),
            Self::Whole { least, .. } => {
                json!({"type": ["integer", "string", "null"], "minimum": least, "pattern": "^[0-9]+$"})
            }
            Self::Seconds => {
                let number = "^[0-9]*\\.?[0-9]+$";
                json!({"type": ["number", "string", "null"], "exclusiveMinimum": 0, "pattern": number})
            }
            Self::Port => {
                let number = "^[0-9]+$";
                json!({"type": ["integer", "string", "null"], "minimum": 1, "maximum": 65_535, "pattern": number})
            }
            Self::Size { .. } => {
                let size = "^[0-9]+ *([KkMmGgTt]?[Ii]?[Bb]?)$";
                json!({"type": ["integer", "string", "null"], "minimum": 0, "pattern": size})
            }
            // YAML in a text is read too.
            Self::Map(_) => json!({"type": ["object", "string", "null"]}),
            Self::List(_) => json!({"type": ["array", "string", "null"]}),
        }
    }
}

impl Takes {
    /// What a text of the table is in the configuration file.
    pub(super) fn value(self, text: &str) -> Value {
        match self {
            Self::Text(_) | Self::OneOf(_) => json!(text),
            // A number with a unit stays a text.
            _ => serde_json::from_str(text).unwrap_or_else(|_| json!(text)),
        }
    }
}

impl fmt::Display for Takes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: &str = "also with K, M, G or T behind it";
        match self {
            Self::Text(words) | Self::Map(words) | Self::List(words) => f.write_str(words),
            Self::OneOf(words) => write!(f, "one of {}", words.join(", ")),
            Self::Flag => f.write_str("true or false"),
            Self::Whole { of, least } => write!(f, "{of}, at least {least}"),
            Self::Seconds => f.write_str("seconds, more than 0"),
            Self::Port => f.write_str("a port number"),
            Self::Size { least: Some(least) } => write!(f, "a number of bytes, at least {least}, {UNITS}"),
            Self::Size { least: None } => write!(f, "a number of bytes, {UNITS}"),
        }
    }
}
