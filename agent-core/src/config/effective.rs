//! What is configured, and where each value comes from. Credentials are never repeated.

use super::settings::SETTINGS;
use super::{Setting, Sources};
use crate::error::Result;

/// A setting as it is in force.
#[derive(Debug, Clone)]
pub struct Effective {
    /// Which.
    pub setting: &'static Setting,
    /// What it is.
    pub value: Shown,
    /// The variable or the place in the file that sets it; `None` where nobody does.
    pub from: Option<String>,
}

/// What is shown of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// All of it.
    Text(String),
    /// There is one, and it is a credential.
    Hidden,
    /// There is none.
    Unset,
}

impl Sources {
    /// Every setting, in the order of the table, before it is checked.
    ///
    /// # Errors
    /// Where a setting is set twice, or a file that holds a credential cannot be read.
    pub fn effective(&self) -> Result<Vec<Effective>> {
        SETTINGS.iter().map(|setting| self.effective_one(setting)).collect()
    }

    fn effective_one(&self, setting: &'static Setting) -> Result<Effective> {
        if let Some((text, place)) = self.find(setting)? {
            let value = if setting.is_credential() { Shown::Hidden } else { Shown::Text(text) };
            return Ok(Effective { setting, value, from: Some(place) });
        }
        if let Some((prefix, keys)) = self.by_keys(setting) {
            let value = Shown::Text(serde_json::Value::Object(keys).to_string());
            return Ok(Effective { setting, value, from: Some(format!("{prefix}…")) });
        }
        let value = setting.default.map_or(Shown::Unset, |default| Shown::Text(default.to_owned()));
        Ok(Effective { setting, value, from: None })
    }
}
