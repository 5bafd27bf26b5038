//! Where settings come from, and how each is found and read.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::settings::{SETTINGS, Setting};
use super::takes::Takes;
use super::yaml::parse_yaml;
use super::{secret, settings, yaml};
use crate::error::{Doing, Error, ErrorKind, Result};

/// A configuration file larger than this is not one.
const FILE_LIMIT: u64 = 1 << 20;

/// The configuration file, and who names it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ConfigFile {
    /// Nobody.
    #[default]
    None,
    /// Whoever started this process, who wants to be told where it is not there.
    Named(PathBuf),
    /// The variable `ATTUNE_CONFIG`. Images and charts set it for every container, and the control plane's other services
    /// do without the file where it is not there.
    Variable(PathBuf),
}

/// Where settings come from, before they are checked.
#[derive(Debug, Default)]
pub struct Sources {
    file: Option<(PathBuf, Value)>,
    missing: Option<PathBuf>,
    environment: Vec<(String, String)>,
}

impl Sources {
    /// Reads the configuration file, where one is named, and takes the variables that are ours.
    ///
    /// An empty file is an empty configuration: charts mount one. A file that was named and is not there is an error, but
    /// for one that a variable names.
    pub fn read(
        file: &ConfigFile,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self> {
        let (file, missing) = match file {
            ConfigFile::None => (None, None),
            ConfigFile::Variable(path) if is_missing(path) => (None, Some(path.clone())),
            ConfigFile::Named(path) | ConfigFile::Variable(path) => {
                (Some((path.clone(), read_file(path)?)), None)
            }
        };
        let environment = environment
            .into_iter()
            .filter_map(|(name, value)| {
                Some((name.into_string().ok()?.to_ascii_uppercase(), value.into_string().ok()?))
            })
            .collect();
        Ok(Self { file, missing, environment })
    }

    /// The file that a variable names and that is not there.
    pub fn missing_file(&self) -> Option<&Path> {
        self.missing.as_deref()
    }

    /// Files in `directory` that the control plane's other services would read in our place, were it where they are
    /// started, and that are not read here: one file is all there is to look at.
    pub fn unread_files(&self, directory: &Path) -> Vec<PathBuf> {
        let environment = self.variable("ATTUNE__ENVIRONMENT");
        let environment = environment.map_or_else(|| "development".to_owned(), |(name, _)| name);
        let read = self.file.as_ref().and_then(|(path, _)| path.canonicalize().ok());
        // Where a file is named, theirs would be that one too.
        let common = (self.file.is_none() && self.missing.is_none()).then(|| "config.yaml".to_owned());
        let names = common.into_iter().chain([format!("config.{environment}.yaml")]);
        let paths = names.map(|name| directory.join(name)).filter(|path| path.is_file());
        paths.filter(|path| read.is_none() || path.canonicalize().ok() != read).collect()
    }

    /// The text of a setting and where it stands; `None` where nobody set it.
    pub(super) fn find(&self, setting: &Setting) -> Result<Option<(String, String)>> {
        let by_value = setting.variables().iter().find_map(|name| self.variable(name));
        let by_file = setting.file_variable().and_then(|name| self.variable(&name));
        match (by_value, by_file) {
            (Some((_, value)), Some((_, file))) => {
                Err(Error::new(ErrorKind::Invalid, format!("both {value} and {file} are set"))
                    .hint("set the one or the other"))
            }
            (Some(found), None) => Ok(Some(found)),
            (None, Some((path, name))) => secret::read_file(Path::new(&path), &name).map(Some),
            (None, None) => self.find_in_file(setting),
        }
    }

    /// A variable that is not empty, and its name.
    fn variable(&self, wanted: &str) -> Option<(String, String)> {
        let (name, value) =
            self.environment.iter().find(|(name, value)| name == wanted && !value.is_empty())?;
        Some((value.trim().to_owned(), name.clone()))
    }

    fn find_in_file(&self, setting: &Setting) -> Result<Option<(String, String)>> {
        let key = setting.key;
        if let Some(found) = self.entry(key) {
            return Ok(Some(found));
        }
        let by_file = setting.is_credential().then(|| self.entry(&format!("{key}_file"))).flatten();
        by_file.map(|(path, place)| secret::read_file(Path::new(&path), &place)).transpose()
    }

    /// What stands under this key in the configuration file, and where that is.
    fn entry(&self, key: &str) -> Option<(String, String)> {
        let (path, document) = self.file.as_ref()?;
        let value = key.split('.').try_fold(document, |value, part| value.get(part))?;
        let text = match value {
            Value::Null => return None,
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        Some((text, format!("`{key}` in {}", path.display())))
    }

    /// The files that credentials were read from.
    pub(super) fn credential_files(&self) -> Vec<PathBuf> {
        let credentials = SETTINGS.iter().filter(|setting| setting.is_credential());
        let (mut files, mut in_configuration) = (Vec::new(), false);
        for setting in credentials {
            let named = setting.file_variable().and_then(|name| self.variable(&name));
            let named = named.or_else(|| self.entry(&format!("{}_file", setting.key)));
            files.extend(named.map(|(path, _)| PathBuf::from(path)));
            in_configuration |= self.entry(setting.key).is_some();
        }
        files.extend(self.file.as_ref().filter(|_| in_configuration).map(|(path, _)| path.clone()));
        files
    }

    pub(super) fn get<T: FromStr>(&self, key: &str, check: impl Fn(&T) -> bool) -> Result<Option<T>> {
        let setting = settings::setting(key);
        let Some((text, place)) = self.find(setting)? else {
            return Ok(setting.default.and_then(|text| text.parse().ok()));
        };
        match text.parse() {
            Ok(value) if check(&value) => Ok(Some(value)),
            _ => {
                let shown =
                    if setting.is_credential() { "not usable".to_owned() } else { format!("`{text}`") };
                Err(Error::new(ErrorKind::Invalid, format!("{place} is {shown}"))
                    .hint(format!("it takes {}", setting.takes)))
            }
        }
    }

    /// A setting that has a structure: written down as YAML in a variable or in the file, and for a map also one variable
    /// a key (`ATTUNE__WORKER__LABELS__POOL`).
    pub(super) fn structure<T: DeserializeOwned + Default>(&self, key: &str) -> Result<T> {
        let setting = settings::setting(key);
        let wrong = |place: &str, text: &str| {
            Error::new(ErrorKind::Invalid, format!("{place} is `{text}`"))
                .hint(format!("it takes {}", setting.takes))
        };
        if let Some((text, place)) = self.find(setting)? {
            return yaml::from_yaml(&text).map_err(|_| wrong(&place, &text));
        }
        let Some((prefix, keys)) = self.by_keys(setting) else { return Ok(T::default()) };
        let keys = Value::Object(keys);
        serde_json::from_value(keys.clone()).map_err(|_| wrong(&format!("{prefix}…"), &keys.to_string()))
    }

    /// The keys of a map that have a variable each, and how the variables begin; `None` where there is none.
    pub(super) fn by_keys(&self, setting: &Setting) -> Option<(String, serde_json::Map<String, Value>)> {
        if !matches!(setting.takes, Takes::Map(_) | Takes::List(_)) {
            return None;
        }
        let prefix = format!("{}__", setting.variables()[0]);
        let keys: serde_json::Map<String, Value> = self
            .environment
            .iter()
            .filter_map(|(name, value)| {
                let key = name.strip_prefix(&prefix)?.to_ascii_lowercase();
                Some((key, Value::String(value.trim().to_owned())))
            })
            .collect();
        (!keys.is_empty()).then_some((prefix, keys))
    }

    pub(super) fn directory(&self, key: &str) -> Result<PathBuf> {
        self.required(key, |path: &PathBuf| !path.as_os_str().is_empty())
    }

    /// Names separated by commas.
    pub(super) fn list(&self, key: &str) -> Result<Option<Vec<String>>> {
        let text: Option<String> = self.get(key, |_| true)?;
        let names = |text: String| {
            text.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
        };
        Ok(text.map(names))
    }

    pub(super) fn required<T: FromStr>(&self, key: &str, check: impl Fn(&T) -> bool) -> Result<T> {
        self.get(key, check)?.ok_or_else(|| {
            Error::new(ErrorKind::Invalid, format!("`{key}` has neither a value nor a default"))
        })
    }

    pub(super) fn seconds(&self, key: &str) -> Result<Duration> {
        let seconds: f64 = self.required(key, |seconds: &f64| (0.001..=31_536_000.0).contains(seconds))?;
        Ok(Duration::from_secs_f64(seconds))
    }
}

/// Whether there is nothing at all; whatever else keeps it from being read is an error.
fn is_missing(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
}

fn read_file(path: &Path) -> Result<Value> {
    let describe = || format!("read the configuration file {}", path.display());
    let size = std::fs::metadata(path).doing(describe)?.len();
    if size > FILE_LIMIT {
        return Err(Error::new(ErrorKind::Invalid, format!("{} has {size} bytes", path.display()))
            .hint(format!("a configuration file has at most {FILE_LIMIT} bytes")));
    }
    let text = std::fs::read_to_string(path).doing(describe)?;
    if text.trim().is_empty() { Ok(Value::Null) } else { parse_yaml(&text, path) }
}
