//! What may be configured, and from where.
//!
//! Every setting is one row of [`SETTINGS`]. Its value comes from the environment (`ATTUNE__SECTION__KEY`), else from
//! the configuration file, else from its default. Settings of the control plane's other services may stand beside
//! them and are left alone.

mod settings;
mod yaml;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use serde_json::Value;

pub use settings::{SETTINGS, Setting};
pub(crate) use yaml::from_yaml;
pub use yaml::parse_yaml;

use crate::error::{Doing, Error, ErrorKind, Result};
use crate::execution::Limits;
use crate::model::WorkerType;

/// A configuration file larger than this is not one.
const FILE_LIMIT: u64 = 1 << 20;

/// The settings of this process, each checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// `worker.*`
    pub worker: WorkerConfig,
    /// `log.*`
    pub log: LogConfig,
}

/// How this worker works.
#[derive(Debug, Clone)]
pub struct WorkerConfig {
    /// Unique among workers.
    pub name: String,
    /// Where it runs.
    pub worker_type: WorkerType,
    /// How many executions at once, at least one.
    pub max_concurrent: usize,
    /// How often the row says that the worker lives.
    pub heartbeat: Duration,
    /// How long running executions may take to end once the worker is told to stop.
    pub shutdown_timeout: Duration,
    /// What bounds each execution.
    pub limits: Limits,
}

/// How this process logs.
#[derive(Debug, Clone)]
pub struct LogConfig {
    /// A filter as `RUST_LOG` takes it; often just a level.
    pub filter: String,
    /// `json` instead of text.
    pub json: bool,
}

/// Where settings come from, before they are checked.
#[derive(Debug, Default)]
pub struct Sources {
    file: Option<(PathBuf, Value)>,
    environment: Vec<(String, String)>,
}

impl Sources {
    /// Reads the configuration file, where one is named, and takes the variables that are ours.
    ///
    /// An empty file is an empty configuration: charts mount one. A file that was named and is not there is an error.
    pub fn read(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self> {
        let file = file.map(|path| Ok::<_, Error>((path.to_owned(), read_file(path)?))).transpose()?;
        let environment = environment
            .into_iter()
            .filter_map(|(name, value)| {
                Some((name.into_string().ok()?.to_ascii_uppercase(), value.into_string().ok()?))
            })
            .collect();
        Ok(Self { file, environment })
    }

    /// The text of a setting and where it stands; `None` where nobody set it.
    fn find(&self, setting: &Setting) -> Option<(String, String)> {
        let variables = setting.variables();
        let from_environment = variables.iter().find_map(|variable| {
            let (name, value) =
                self.environment.iter().find(|(name, value)| name == variable && !value.is_empty())?;
            Some((value.trim().to_owned(), name.clone()))
        });
        from_environment.or_else(|| {
            let (path, document) = self.file.as_ref()?;
            let value = setting.key.split('.').try_fold(document, |value, part| value.get(part))?;
            let text = match value {
                Value::Null => return None,
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            Some((text, format!("`{}` in {}", setting.key, path.display())))
        })
    }

    fn get<T: FromStr>(&self, key: &str, check: impl Fn(&T) -> bool) -> Result<Option<T>> {
        let setting = settings::setting(key);
        let Some((text, place)) = self.find(setting) else {
            return Ok(setting.default.and_then(|text| text.parse().ok()));
        };
        match text.parse() {
            Ok(value) if check(&value) => Ok(Some(value)),
            _ => Err(Error::new(ErrorKind::Invalid, format!("{place} is `{text}`"))
                .hint(format!("it takes {}", setting.takes))),
        }
    }

    fn required<T: FromStr>(&self, key: &str, check: impl Fn(&T) -> bool) -> Result<T> {
        self.get(key, check)?.ok_or_else(|| {
            Error::new(ErrorKind::Invalid, format!("`{key}` has neither a value nor a default"))
        })
    }

    fn seconds(&self, key: &str) -> Result<Duration> {
        let seconds: f64 = self.required(key, |seconds: &f64| (0.001..=31_536_000.0).contains(seconds))?;
        Ok(Duration::from_secs_f64(seconds))
    }
}

impl Config {
    /// Checks every setting.
    pub fn load(sources: &Sources) -> Result<Self> {
        let positive = |count: &usize| *count > 0;
        Ok(Self {
            worker: WorkerConfig {
                name: match sources.get("worker.name", |name: &String| !name.trim().is_empty())? {
                    Some(name) => name,
                    None => format!("worker-{}", hostname()),
                },
                worker_type: sources.required("worker.worker_type", |_: &WorkerType| true)?,
                max_concurrent: sources.required("worker.max_concurrent_tasks", positive)?,
                heartbeat: sources.seconds("worker.heartbeat_interval")?,
                shutdown_timeout: sources.seconds("worker.shutdown_timeout")?,
                limits: Limits {
                    timeout: sources.seconds("worker.task_timeout")?,
                    kill_grace: sources.seconds("worker.kill_grace")?,
                    stdout_bytes: sources
                        .required("worker.max_stdout_bytes", |bytes: &usize| *bytes >= 1024)?,
                    stderr_bytes: sources
                        .required("worker.max_stderr_bytes", |bytes: &usize| *bytes >= 1024)?,
                },
            },
            log: LogConfig {
                filter: sources.required("log.level", |level: &String| {
                    level.parse::<tracing_subscriber::filter::Targets>().is_ok()
                })?,
                json: sources
                    .required("log.format", |format: &String| format == "json" || format == "text")?
                    == "json",
            },
        })
    }
}

/// The host's name, as containers know it; the kernel always has one.
pub fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn load(file: Option<&str>, environment: &[(&str, &str)]) -> Result<Config> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.yaml");
        if let Some(text) = file {
            std::fs::write(&path, text).unwrap();
        }
        let environment = environment.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        Config::load(&Sources::read(file.map(|_| path.as_path()), environment)?)
    }

    #[test]
    fn the_environment_goes_before_the_file_and_the_file_before_the_default() {
        let file = "worker: {max_concurrent_tasks: 3, task_timeout: 7}\ndatabase: {url: ignored}\n";
        let config = load(Some(file), &[("ATTUNE__WORKER__MAX_CONCURRENT_TASKS", "5")]).unwrap();
        assert_eq!(config.worker.max_concurrent, 5);
        assert_eq!(config.worker.limits.timeout, Duration::from_secs(7));
        assert_eq!(config.worker.heartbeat, Duration::from_secs(30));
    }

    #[test]
    fn an_empty_file_is_an_empty_configuration() {
        assert!(load(Some(" \n"), &[]).is_ok());
    }

    #[test]
    fn a_wrong_value_names_its_place_and_what_would_be_right() {
        let error = load(Some("worker:\n  max_concurrent_tasks: many\n"), &[]).unwrap_err();
        assert!(error.to_string().contains("`worker.max_concurrent_tasks` in "), "{error}");
        assert_eq!(error.hint_text(), Some("it takes a whole number, at least 1"));
        let error = load(None, &[("ATTUNE__WORKER__TASK_TIMEOUT", "-1")]).unwrap_err();
        assert!(error.to_string().starts_with("ATTUNE__WORKER__TASK_TIMEOUT is `-1`"), "{error}");
    }

    #[test]
    fn every_default_is_acceptable() {
        load(None, &[]).unwrap();
    }
}
