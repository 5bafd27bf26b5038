//! What may be configured, and from where.
//!
//! Every setting is one row of [`SETTINGS`]. Its value comes from the environment (`ATTUNE__SECTION__KEY`), else from
//! the configuration file, else from its default. A credential may also stand in a file that either names. Settings of the control plane's other services may stand beside
//! them and are left alone.

mod effective;
mod schema;
mod secret;
mod server_url;
mod settings;
mod size;
mod sources;
mod takes;
mod yaml;

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

pub use effective::{Effective, Shown};
pub use schema::schema;
pub use secret::Secret;
pub(crate) use server_url::percent_encoded;
pub use settings::{CREDENTIALS, SETTINGS, Setting};
pub use sources::{ConfigFile, Sources};
pub use takes::Takes;
pub(crate) use yaml::from_yaml;
pub use yaml::parse_yaml;

use crate::artifacts::TransportChoice;
use crate::error::{Error, ErrorKind, Result};
use crate::execution::Limits;
use crate::model::{Retention, RetentionPolicy, RuntimeId, Taint, WorkerType};
use crate::process::{Confinement, ProcessLimits};
use server_url::{NoHost, ServerUrl};
use size::Size;

/// The settings of this process, each checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// `worker.*`
    pub worker: WorkerConfig,
    /// `database.*` and `message_queue.*`, where they are set.
    pub servers: ServersConfig,
    /// Where packs, environments and artifacts are.
    pub directories: DirectoriesConfig,
    /// `security.*`
    pub security: SecurityConfig,
    /// Where actions reach the control plane's API.
    pub api_url: String,
    /// How files reach the API.
    pub transport: TransportConfig,
    /// `environments.*`
    pub environments: EnvironmentsConfig,
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
    /// The runtime that its row names.
    pub runtime: Option<RuntimeId>,
    /// The host that its row names.
    pub host: String,
    /// The port that its row names.
    pub port: Option<u16>,
    /// The runtimes to offer, of those that are there; `None` is all.
    pub runtimes: Option<Vec<String>>,
    /// What placement may select it by.
    pub labels: BTreeMap<String, String>,
    /// What placement has to tolerate.
    pub taints: Vec<Taint>,
    /// Further keys of its capabilities.
    pub capabilities: serde_json::Map<String, Value>,
    /// How many executions at once, at least one.
    pub max_concurrent: usize,
    /// How often the row says that the worker lives.
    pub heartbeat: Duration,
    /// How long running executions may take to end once the worker is told to stop.
    pub shutdown_timeout: Duration,
    /// How long it goes on without its database before it stops its executions.
    pub fencing_timeout: Duration,
    /// Where it keeps what it could not deliver yet.
    pub work_dir: PathBuf,
    /// What bounds each execution.
    pub limits: Limits,
    /// How long logs are kept, where their action does not say.
    pub log_retention: Retention,
    /// What else confines actions.
    pub confinement: Confinement,
    /// Further variables that actions do not see.
    pub hidden_variables: Vec<String>,
    /// Whether others of the same user may see this process's memory.
    pub allow_dump: bool,
}

/// How to reach the control plane's servers.
#[derive(Debug, Clone)]
pub struct ServersConfig {
    /// PostgreSQL, with its credentials: never to be logged.
    pub database_url: Option<Secret>,
    /// The schema of the control plane's tables.
    pub schema: String,
    /// Certificates to trust beside the built-in roots.
    pub database_ca: Option<PathBuf>,
    /// Connections at most.
    pub database_connections: u32,
    /// RabbitMQ, with its credentials: never to be logged.
    pub broker_url: Option<Secret>,
    /// Certificates to trust beside the built-in roots.
    pub broker_ca: Option<PathBuf>,
}

/// What is shared with the control plane's other services.
#[derive(Debug, Clone, Default)]
pub struct SecurityConfig {
    /// What secrets are encrypted with in the database.
    pub encryption_key: Option<Secret>,
    /// What the tokens of executions are signed with.
    pub jwt_secret: Option<Secret>,
    /// Whether the API asks for tokens; `None` where nobody says.
    pub enable_auth: Option<bool>,
}

impl SecurityConfig {
    /// Checks that there is what a worker of a control plane that asks for tokens needs.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] where tokens are asked for by name and there is nothing to sign them with.
    pub fn check_tokens(&self) -> Result<()> {
        if self.enable_auth == Some(true) && self.jwt_secret.is_none() {
            let hint = "set ATTUNE__SECURITY__JWT_SECRET to the secret of the control plane's API";
            return Err(Error::new(
                ErrorKind::Usage,
                "`security.enable_auth` is true, and `security.jwt_secret`, which signs the tokens of executions, is \
                 not set",
            )
            .hint(hint));
        }
        Ok(())
    }
}

/// Where things are that workers share.
#[derive(Debug, Clone)]
pub struct DirectoriesConfig {
    /// One directory a pack.
    pub packs: PathBuf,
    /// Environments with dependencies.
    pub runtime_envs: PathBuf,
    /// Logs and artifacts.
    pub artifacts: PathBuf,
}

/// How files and packs come to the API and from it, where no volume is shared.
#[derive(Debug, Clone)]
pub struct TransportConfig {
    /// Over what.
    pub choice: TransportChoice,
    /// Whether somebody has said where the API is.
    pub api_is_named: bool,
    /// Certificates to trust beside the built-in roots.
    pub ca_file: Option<PathBuf>,
}

/// How environments with dependencies are built and kept.
#[derive(Debug, Clone, Copy)]
pub struct EnvironmentsConfig {
    /// How long one build may take.
    pub build_timeout: Duration,
    /// How long an environment is kept that nothing uses.
    pub retention: Duration,
}

/// How this process logs.
#[derive(Debug, Clone)]
pub struct LogConfig {
    /// A filter as `RUST_LOG` takes it; often just a level.
    pub filter: String,
    /// `json` instead of text.
    pub json: bool,
}

impl Sources {
    /// The worker's name.
    fn worker_name(&self) -> Result<String> {
        let named = self.get("worker.name", |name: &String| !name.trim().is_empty())?;
        Ok(named.unwrap_or_else(|| format!("worker-{}", hostname())))
    }

    /// The worker's name and its directory, whatever else is configured: enough to find a worker that runs.
    pub fn whereabouts(&self) -> Result<(String, PathBuf)> {
        Ok((self.worker_name()?, self.directory("worker.work_dir")?))
    }

    fn labels(&self) -> Result<BTreeMap<String, String>> {
        let labels: BTreeMap<String, String> = self.structure("worker.labels")?;
        if labels.iter().any(|(key, value)| key.trim().is_empty() || value.trim().is_empty()) {
            let setting = settings::setting("worker.labels");
            return Err(Error::new(ErrorKind::Invalid, "a label of `worker.labels` is empty")
                .hint(format!("it takes {}", setting.takes)));
        }
        Ok(labels)
    }

    fn servers(&self) -> Result<ServersConfig> {
        let schema_like = |schema: &String| {
            (1..=63).contains(&schema.len()) && schema.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        };
        Ok(ServersConfig {
            database_url: self.server_url("database", "postgres", "name")?,
            schema: self.required("database.schema", schema_like)?,
            database_ca: self.get("database.ca_file", |_: &PathBuf| true)?,
            database_connections: self.required("database.max_connections", |count: &u32| *count >= 2)?,
            broker_url: self.server_url("message_queue", "amqp", "vhost")?,
            broker_ca: self.get("message_queue.ca_file", |_: &PathBuf| true)?,
        })
    }

    fn security(&self) -> Result<SecurityConfig> {
        // A text of any length is taken here, so that no error has to show it.
        let any = |_: &String| true;
        Ok(SecurityConfig {
            encryption_key: self.get("security.encryption_key", any)?.map(Secret::from),
            jwt_secret: self.get("security.jwt_secret", any)?.map(Secret::from),
            enable_auth: self.get("security.enable_auth", |_: &bool| true)?,
        })
    }

    /// The URL as it is set, else where the server listens, as seen from this machine.
    fn api_url(&self) -> Result<String> {
        if let Some(url) =
            self.get("api.url", |url: &String| url.starts_with("http://") || url.starts_with("https://"))?
        {
            return Ok(url);
        }
        let host: String = self.required("server.host", |host: &String| !host.trim().is_empty())?;
        let port: u16 = self.required("server.port", |_: &u16| true)?;
        let host = if ["0.0.0.0", "[::]", "::"].contains(&host.as_str()) { "127.0.0.1" } else { &host };
        Ok(format!("http://{host}:{port}"))
    }

    /// The URL of a server, with those of its parts that are set by themselves; `name` is the key of what the server has
    /// many of.
    fn server_url(&self, section: &str, scheme: &'static str, name: &str) -> Result<Option<Secret>> {
        // What is wrong with a URL is told where it is used, without its password.
        let part = |key: &str| self.get(&format!("{section}.{key}"), |_: &String| true);
        let parts = ServerUrl {
            scheme,
            url: part("url")?.map(Secret::from),
            host: part("host")?,
            port: self.get(&format!("{section}.port"), |port: &u16| *port > 0)?,
            user: part("user")?,
            password: part("password")?.map(Secret::from),
            name: part(name)?,
        };
        parts.assemble().map_err(|NoHost| {
            Error::new(ErrorKind::Invalid, format!("neither `{section}.url` nor `{section}.host` is set"))
                .hint(format!("the other parts of `{section}` belong to one of them"))
        })
    }

    fn process_limits(&self) -> Result<ProcessLimits> {
        let size = |key: &str, least: u64| {
            let size: Option<Size> = self.get(key, |size: &Size| size.bytes() >= least)?;
            Ok::<_, Error>(size.map(Size::bytes))
        };
        let count = |key: &str, least: u64| self.get(key, |count: &u64| *count >= least);
        Ok(ProcessLimits {
            memory: size("worker.limits.memory", 1 << 20)?,
            processes: count("worker.limits.processes", 1)?,
            cpu_seconds: count("worker.limits.cpu_seconds", 1)?,
            open_files: count("worker.limits.open_files", 16)?,
            file_size: size("worker.limits.file_size", 0)?,
            core_size: size("worker.limits.core_size", 0)?.unwrap_or(0),
        })
    }

    fn confinement(&self, limits: ProcessLimits) -> Result<Confinement> {
        let hide = self.required("worker.hide_credential_files", |_: &bool| true)?;
        Ok(Confinement {
            limits,
            no_new_privileges: self.required("worker.no_new_privileges", |_: &bool| true)?,
            hidden_files: if hide { self.credential_files() } else { Vec::new() },
        })
    }
}

impl Config {
    /// Checks every setting.
    pub fn load(sources: &Sources) -> Result<Self> {
        let positive = |count: &usize| *count > 0;
        let process_limits = sources.process_limits()?;
        Ok(Self {
            servers: sources.servers()?,
            security: sources.security()?,
            api_url: sources.api_url()?,
            transport: TransportConfig {
                choice: sources.required("artifacts.transport", |_: &TransportChoice| true)?,
                api_is_named: sources.get("api.url", |_: &String| true)?.is_some(),
                ca_file: sources.get("api.ca_file", |_: &PathBuf| true)?,
            },
            directories: DirectoriesConfig {
                packs: sources.directory("packs_base_dir")?,
                runtime_envs: sources.directory("runtime_envs_dir")?,
                artifacts: sources.directory("artifacts_dir")?,
            },
            environments: EnvironmentsConfig {
                build_timeout: sources.seconds("environments.build_timeout")?,
                retention: sources.seconds("environments.retention")?,
            },
            worker: WorkerConfig {
                name: sources.worker_name()?,
                worker_type: sources.required("worker.worker_type", |_: &WorkerType| true)?,
                runtime: sources.get("worker.runtime_id", |id: &i64| *id > 0)?.map(RuntimeId),
                host: sources
                    .get("worker.host", |host: &String| !host.trim().is_empty())?
                    .unwrap_or_else(hostname),
                port: sources.get("worker.port", |port: &u16| *port > 0)?,
                runtimes: sources.list("worker.runtimes")?,
                labels: sources.labels()?,
                taints: sources.structure("worker.taints")?,
                capabilities: sources.structure("worker.capabilities")?,
                max_concurrent: sources.required("worker.max_concurrent_tasks", positive)?,
                heartbeat: sources.seconds("worker.heartbeat_interval")?,
                shutdown_timeout: sources.seconds("worker.shutdown_timeout")?,
                fencing_timeout: sources.seconds("worker.fencing_timeout")?,
                work_dir: sources.directory("worker.work_dir")?,
                log_retention: Retention {
                    policy: sources
                        .required("worker.execution_log_retention_policy", |_: &RetentionPolicy| true)?,
                    limit: sources
                        .required("worker.execution_log_retention_limit", |limit: &NonZeroU32| {
                            i32::try_from(limit.get()).is_ok()
                        })?,
                },
                limits: Limits {
                    timeout: sources.seconds("worker.task_timeout")?,
                    kill_grace: sources.seconds("worker.kill_grace")?,
                    stdout_bytes: sources
                        .required("worker.max_stdout_bytes", |bytes: &usize| *bytes >= 1024)?,
                    stderr_bytes: sources
                        .required("worker.max_stderr_bytes", |bytes: &usize| *bytes >= 1024)?,
                    process: process_limits,
                },
                confinement: sources.confinement(process_limits)?,
                hidden_variables: sources.list("worker.hidden_variables")?.unwrap_or_default(),
                allow_dump: sources.required("worker.allow_dump", |_: &bool| true)?,
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn load(file: Option<&str>, environment: &[(&str, &str)]) -> Result<Config> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.yaml");
        if let Some(text) = file {
            std::fs::write(&path, text).unwrap();
        }
        let environment = environment.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        let file = file.map_or(ConfigFile::None, |_| ConfigFile::Named(path));
        Config::load(&Sources::read(&file, environment)?)
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
    fn a_file_that_a_variable_names_may_be_missing_and_one_that_was_asked_for_may_not() {
        let read = |file: ConfigFile| Sources::read(&file, []);
        let sources = read(ConfigFile::Variable("/nowhere/config.yaml".into())).unwrap();
        assert_eq!(sources.missing_file(), Some(Path::new("/nowhere/config.yaml")));
        assert!(Config::load(&sources).is_ok());
        assert!(read(ConfigFile::Named("/nowhere/config.yaml".into())).is_err());
        // One that is there and cannot be read is no file that is missing.
        assert!(read(ConfigFile::Variable("/proc".into())).is_err());
    }

    #[test]
    fn a_file_of_an_environment_is_not_read_and_found_to_be_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        std::fs::write(path("config.yaml"), "worker: {task_timeout: 7}\n").unwrap();
        std::fs::write(path("config.production.yaml"), "worker: {task_timeout: 8}\n").unwrap();
        let sources = |environment: &str| {
            let variable = ("ATTUNE__ENVIRONMENT".into(), environment.into());
            Sources::read(&ConfigFile::Named(path("config.yaml")), [variable]).unwrap()
        };
        let production = sources("production");
        assert_eq!(Config::load(&production).unwrap().worker.limits.timeout, Duration::from_secs(7));
        assert_eq!(production.unread_files(directory.path()), [path("config.production.yaml")]);
        assert!(sources("").unread_files(directory.path()).is_empty(), "there is none for development");
        std::fs::write(path("config.development.yaml"), "").unwrap();
        assert_eq!(sources("").unread_files(directory.path()), [path("config.development.yaml")]);
        let without = Sources::read(&ConfigFile::None, []).unwrap();
        let unread = without.unread_files(directory.path());
        assert_eq!(unread, [path("config.yaml"), path("config.development.yaml")]);
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
    fn the_api_is_where_it_is_said_to_be_or_where_the_server_listens() {
        let url = |environment: &[(&str, &str)]| load(None, environment).map(|config| config.api_url);
        assert_eq!(url(&[]).unwrap(), "http://127.0.0.1:8080");
        let server = [("ATTUNE__SERVER__HOST", "api.example"), ("ATTUNE__SERVER__PORT", "80")];
        assert_eq!(url(&server).unwrap(), "http://api.example:80");
        assert_eq!(url(&[("ATTUNE_API_URL", "https://api.example/")]).unwrap(), "https://api.example/");
        assert!(url(&[("ATTUNE_API_URL", "api.example")]).is_err());
    }

    #[test]
    fn tokens_that_are_asked_for_need_a_secret() {
        let check = |environment: &[(&str, &str)]| load(None, environment).unwrap().security.check_tokens();
        let asked = ("ATTUNE__SECURITY__ENABLE_AUTH", "true");
        assert!(check(&[]).is_ok());
        let error = check(&[asked]).unwrap_err();
        assert!(error.to_string().contains("`security.jwt_secret`"), "{error}");
        assert!(check(&[asked, ("ATTUNE__SECURITY__JWT_SECRET", "s")]).is_ok());
    }

    #[test]
    fn a_credential_may_stand_in_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("password");
        std::fs::write(&path, "p@ss:w/rd\n").unwrap();
        let path = path.to_str().unwrap();
        let url = ("ATTUNE__DATABASE__URL", "postgres://me@db/attune");
        let file = ("ATTUNE__DATABASE__PASSWORD_FILE", path);
        let config = load(None, &[url, file]).unwrap();
        assert_eq!(config.servers.database_url.unwrap().expose(), "postgres://me:p%40ss%3Aw%2Frd@db/attune");
        assert_eq!(config.worker.confinement.hidden_files, [Path::new(path)]);
        let error = load(None, &[url, file, ("ATTUNE__DATABASE__PASSWORD", "x")]).unwrap_err();
        assert!(error.to_string().contains("both"), "{error}");
        let config = load(Some(&format!("database: {{url_file: {path}}}\n")), &[]).unwrap();
        assert_eq!(config.servers.database_url.unwrap().expose(), "p@ss:w/rd");
        let error = load(None, &[("ATTUNE__DATABASE__URL_FILE", "/nowhere")]).unwrap_err();
        assert!(error.to_string().contains("ATTUNE__DATABASE__URL_FILE"), "{error}");
    }

    #[test]
    fn a_configuration_file_is_hidden_where_it_holds_a_credential() {
        let hidden = |file: &str| load(Some(file), &[]).unwrap().worker.confinement.hidden_files.len();
        assert_eq!(hidden("worker: {name: x}\n"), 0);
        assert_eq!(hidden("database: {url: postgres://me:secret@db/attune}\n"), 1);
    }

    #[test]
    fn every_default_is_acceptable() {
        load(None, &[]).unwrap();
    }
}
