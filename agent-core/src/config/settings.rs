//! The table of settings. Help, documentation and checks are made from it.

/// One thing that may be configured.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Its place in the configuration file, with dots.
    pub key: &'static str,
    /// A plain variable that sets it too.
    pub plain_variable: Option<&'static str>,
    /// Its value where nobody sets it.
    pub default: Option<&'static str>,
    /// What values it takes, in words and with the unit.
    pub takes: &'static str,
    /// What it is for.
    pub about: &'static str,
}

/// Every setting that this agent reads.
pub const SETTINGS: &[Setting] = &[
    Setting {
        key: "worker.name",
        plain_variable: Some("ATTUNE_WORKER_NAME"),
        default: None,
        takes: "text that is not empty",
        about: "Unique name of this worker; `worker-<hostname>` where it is not set.",
    },
    Setting {
        key: "worker.worker_type",
        plain_variable: Some("ATTUNE_WORKER_TYPE"),
        default: Some("local"),
        takes: "one of local, remote, container",
        about: "Where this worker runs, as the control plane shows it.",
    },
    Setting {
        key: "worker.runtimes",
        plain_variable: Some("ATTUNE_WORKER_RUNTIMES"),
        default: None,
        takes: "names of runtimes, separated by commas",
        about: "Which runtimes this worker offers, of those that it has; all of them where it is not set.",
    },
    Setting {
        key: "worker.labels",
        plain_variable: None,
        default: None,
        takes: "a map of text to text, neither of them empty",
        about: "What placement may select this worker by.",
    },
    Setting {
        key: "worker.taints",
        plain_variable: None,
        default: None,
        takes: "a list of {key, value, effect}, the effect no_schedule or prefer_no_schedule",
        about: "What an execution has to tolerate to be placed here.",
    },
    Setting {
        key: "worker.capabilities",
        plain_variable: None,
        default: None,
        takes: "a map",
        about: "Further keys of the worker's capabilities.",
    },
    Setting {
        key: "worker.max_concurrent_tasks",
        plain_variable: None,
        default: Some("10"),
        takes: "a whole number, at least 1",
        about: "How many executions run at once.",
    },
    Setting {
        key: "worker.heartbeat_interval",
        plain_variable: None,
        default: Some("30"),
        takes: "seconds, more than 0",
        about: "How often the worker's row says that it lives.",
    },
    Setting {
        key: "worker.fencing_timeout",
        plain_variable: None,
        default: Some("80"),
        takes: "seconds, more than 0",
        about: "How long the worker goes on without its database before it stops its executions. The control plane gives a worker up 90 s after its last heartbeat, which is dated back by 5 s.",
    },
    Setting {
        key: "worker.work_dir",
        plain_variable: Some("ATTUNE_WORK_DIR"),
        default: Some("/opt/attune/work"),
        takes: "a directory",
        about: "Where the worker keeps what it could not deliver yet; below the temporary directory where this one cannot be used.",
    },
    Setting {
        key: "worker.task_timeout",
        plain_variable: None,
        default: Some("300"),
        takes: "seconds, more than 0",
        about: "Time limit of an action that has none of its own.",
    },
    Setting {
        key: "worker.shutdown_timeout",
        plain_variable: None,
        default: Some("30"),
        takes: "seconds, more than 0",
        about: "How long running executions may take to end once the worker is told to stop.",
    },
    Setting {
        key: "worker.kill_grace",
        plain_variable: None,
        default: Some("5"),
        takes: "seconds, more than 0",
        about: "Between asking a process to end (SIGTERM) and ending it (SIGKILL).",
    },
    Setting {
        key: "worker.max_stdout_bytes",
        plain_variable: None,
        default: Some("10485760"),
        takes: "a number of bytes, at least 1024",
        about: "How much of an action's standard output is kept; head and tail beyond that.",
    },
    Setting {
        key: "worker.max_stderr_bytes",
        plain_variable: None,
        default: Some("10485760"),
        takes: "a number of bytes, at least 1024",
        about: "How much of an action's standard error is kept; head and tail beyond that.",
    },
    Setting {
        key: "worker.execution_log_retention_policy",
        plain_variable: None,
        default: Some("days"),
        takes: "one of versions, days, hours, minutes",
        about: "What logs of executions are kept by, where their action does not say.",
    },
    Setting {
        key: "worker.execution_log_retention_limit",
        plain_variable: None,
        default: Some("7"),
        takes: "a whole number, at least 1",
        about: "How many versions, days, hours or minutes that are.",
    },
    Setting {
        key: "database.url",
        plain_variable: None,
        default: None,
        takes: "postgres://user:password@host:port/database, and ?sslmode=verify-full for TLS",
        about: "The control plane's database.",
    },
    Setting {
        key: "database.schema",
        plain_variable: None,
        default: Some("attune"),
        takes: "letters, digits and underscores, at most 63",
        about: "The schema that the control plane's tables are in.",
    },
    Setting {
        key: "database.ca_file",
        plain_variable: None,
        default: None,
        takes: "a file of certificates in PEM",
        about: "Whom to trust for the database's TLS, beside the roots that are built in.",
    },
    Setting {
        key: "database.max_connections",
        plain_variable: None,
        default: Some("5"),
        takes: "a whole number, at least 2",
        about: "How many connections to the database at most; no more than 5 are ever used.",
    },
    Setting {
        key: "message_queue.url",
        plain_variable: None,
        default: None,
        takes: "amqp://user:password@host:port/vhost, or amqps:// for TLS",
        about: "The control plane's broker.",
    },
    Setting {
        key: "message_queue.ca_file",
        plain_variable: None,
        default: None,
        takes: "a file of certificates in PEM",
        about: "Whom to trust for the broker's TLS, beside the roots that are built in.",
    },
    Setting {
        key: "security.encryption_key",
        plain_variable: None,
        default: None,
        takes: "text of at least 32 characters, the same as the control plane's other services",
        about: "What secret parameters, keys and secret results are encrypted with in the database.",
    },
    Setting {
        key: "security.jwt_secret",
        plain_variable: None,
        default: None,
        takes: "text, the same as the control plane's API",
        about: "What the tokens of executions are signed with. There is no default: without it, an execution that is to have a token fails.",
    },
    Setting {
        key: "security.enable_auth",
        plain_variable: None,
        default: None,
        takes: "true or false",
        about: "Whether the API asks for tokens. If true, the worker does not start without `security.jwt_secret`; if false, executions do without a token where there is no secret.",
    },
    Setting {
        key: "api.url",
        plain_variable: Some("ATTUNE_API_URL"),
        default: None,
        takes: "a URL that begins with http:// or https://",
        about: "Where actions reach the control plane's API; `http://<server.host>:<server.port>` where it is not set.",
    },
    Setting {
        key: "server.host",
        plain_variable: None,
        default: Some("0.0.0.0"),
        takes: "a host name or an address; 0.0.0.0 and [::] are this machine",
        about: "Where the API listens: only for `api.url`.",
    },
    Setting {
        key: "server.port",
        plain_variable: None,
        default: Some("8080"),
        takes: "a port",
        about: "Where the API listens: only for `api.url`.",
    },
    Setting {
        key: "packs_base_dir",
        plain_variable: None,
        default: Some("/opt/attune/packs"),
        takes: "a directory",
        about: "Where packs are.",
    },
    Setting {
        key: "runtime_envs_dir",
        plain_variable: None,
        default: Some("/opt/attune/runtime_envs"),
        takes: "a directory",
        about: "Where environments with dependencies are.",
    },
    Setting {
        key: "artifacts_dir",
        plain_variable: None,
        default: Some("/opt/attune/artifacts"),
        takes: "a directory",
        about: "Where logs and artifacts go.",
    },
    Setting {
        key: "artifacts.transport",
        plain_variable: None,
        default: Some("auto"),
        takes: "one of volume, api, auto",
        about: "How logs and artifacts reach the API: over a volume that it shares, or sent to `api.url`. By itself, the worker sends them where `api.url` and `security.jwt_secret` are set and `artifacts_dir` does not hold the API's file `.attune-api-sentinel`, which it looks for with each log.",
    },
    Setting {
        key: "api.ca_file",
        plain_variable: None,
        default: None,
        takes: "a file of certificates in PEM",
        about: "Whom to trust for the API's TLS, beside the roots that are built in.",
    },
    Setting {
        key: "log.level",
        plain_variable: Some("RUST_LOG"),
        default: Some("info"),
        takes: "one of trace, debug, info, warn, error, or a filter such as info,agent_core=debug",
        about: "What is logged.",
    },
    Setting {
        key: "log.format",
        plain_variable: None,
        default: Some("text"),
        takes: "text or json",
        about: "How it is logged.",
    },
];

impl Setting {
    /// The variables that set it, the strongest first.
    pub fn variables(&self) -> Vec<String> {
        let structured = format!("ATTUNE__{}", self.key.replace('.', "__").to_ascii_uppercase());
        std::iter::once(structured).chain(self.plain_variable.map(str::to_owned)).collect()
    }
}

/// The row with this key.
///
/// # Panics
/// When there is none: a key is always a literal of this crate.
pub(super) fn setting(key: &str) -> &'static Setting {
    SETTINGS
        .iter()
        .find(|setting| setting.key == key)
        .unwrap_or_else(|| panic!("`{key}` is not in the table of settings"))
}
