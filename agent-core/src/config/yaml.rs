//! YAML that people wrote: read, or refused in one line that says where.

use std::path::Path;

use serde::de::DeserializeOwned;

use crate::error::{Error, ErrorKind, Result};

/// Reads `text`, which came from `path`.
pub fn parse_yaml<T: DeserializeOwned>(text: &str, path: &Path) -> Result<T> {
    from_yaml(text).map_err(|error| {
        let place = error.location().map_or_else(String::new, |at| format!(":{}:{}", at.line(), at.column()));
        let text = error.to_string();
        let message = text.lines().next().unwrap_or_default().trim();
        Error::new(ErrorKind::Invalid, format!("{}{place} cannot be read: {message}", path.display()))
            .hint("mend the file; nothing of it was used")
    })
}

/// Reads YAML as version 1.2 has it: `y` and `no` are text. Errors are one line.
pub(crate) fn from_yaml<T: DeserializeOwned>(text: &str) -> Result<T, serde_saphyr::Error> {
    let options = serde_saphyr::options! { with_snippet: false, strict_booleans: true };
    serde_saphyr::from_str_with_options(text, options)
}
