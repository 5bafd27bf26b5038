//! The table of settings. Help, documentation and checks are made from it.

use super::takes::Takes;

/// One thing that may be configured.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Its place in the configuration file, with dots.
    pub key: &'static str,
    /// A plain variable that sets it too.
    pub plain_variable: Option<&'static str>,
    /// Its value where nobody sets it.
    pub default: Option<&'static str>,
    /// What values it takes.
    pub takes: Takes,
    /// What it is for.
    pub about: &'static str,
}

/// Every setting that this agent reads.
pub const SETTINGS: &[Setting] = &[
    Setting {
        key: "worker.name",
        plain_variable: Some("ATTUNE_WORKER_NAME"),
        default: None,
        takes: Takes::Text("text that is not empty"),
        about: "Unique name of this worker; `worker-<hostname>` where it is not set.",
    },
    Setting {
        key: "worker.worker_type",
        plain_variable: Some("ATTUNE_WORKER_TYPE"),
        default: Some("local"),
        takes: Takes::OneOf(&["local", "remote", "container"]),
        about: "Where this worker runs, as the control plane shows it.",
    },
    Setting {
        key: "worker.runtime_id",
        plain_variable: None,
        default: None,
        takes: Takes::Whole { of: "the number of a row of the table `runtime`", least: 1 },
        about: "A runtime that the control plane shows this worker with, written when the worker first registers. What the worker offers does not depend on it.",
    },
    Setting {
        key: "worker.host",
        plain_variable: None,
        default: None,
        takes: Takes::Text("text that is not empty"),
        about: "The host that the control plane shows this worker on; the host name where it is not set.",
    },
    Setting {
        key: "worker.port",
        plain_variable: None,
        default: None,
        takes: Takes::Port,
        about: "A port that the control plane shows beside the host; what stands in the worker's row where it is not set. The worker listens on none.",
    },
    Setting {
        key: "worker.runtimes",
        plain_variable: Some("ATTUNE_WORKER_RUNTIMES"),
        default: None,
        takes: Takes::Text("names of runtimes, separated by commas"),
        about: "Which runtimes this worker offers, of those that it has; all of them where it is not set.",
    },
    Setting {
        key: "worker.labels",
        plain_variable: None,
        default: None,
        takes: Takes::Map("a map of text to text, neither of them empty"),
        about: "What placement may select this worker by.",
    },
    Setting {
        key: "worker.taints",
        plain_variable: None,
        default: None,
        takes: Takes::List("a list of {key, value, effect}, the effect no_schedule or prefer_no_schedule"),
        about: "What an execution has to tolerate to be placed here.",
    },
    Setting {
        key: "worker.capabilities",
        plain_variable: None,
        default: None,
        takes: Takes::Map("a map"),
        about: "Further keys of the worker's capabilities.",
    },
    Setting {
        key: "worker.max_concurrent_tasks",
        plain_variable: None,
        default: Some("10"),
        takes: Takes::Whole { of: "a whole number", least: 1 },
        about: "How many executions run at once.",
    },
    Setting {
        key: "worker.heartbeat_interval",
        plain_variable: None,
        default: Some("30"),
        takes: Takes::Seconds,
        about: "How often the worker's row says that it lives.",
    },
    Setting {
        key: "worker.fencing_timeout",
        plain_variable: None,
        default: Some("80"),
        takes: Takes::Seconds,
        about: "How long the worker goes on without its database before it stops its executions. The control plane gives a worker up 90 s after its last heartbeat, which is dated back by 5 s.",
    },
    Setting {
        key: "worker.work_dir",
        plain_variable: Some("ATTUNE_WORK_DIR"),
        default: Some("/opt/attune/work"),
        takes: Takes::Text("a directory"),
        about: "Where the worker keeps what it could not deliver yet, in a directory of its own there where others can write there too; below the temporary directory where this one cannot be used.",
    },
    Setting {
        key: "worker.task_timeout",
        plain_variable: None,
        default: Some("300"),
        takes: Takes::Seconds,
        about: "Time limit of an action that has none of its own.",
    },
    Setting {
        key: "worker.shutdown_timeout",
        plain_variable: None,
        default: Some("30"),
        takes: Takes::Seconds,
        about: "How long running executions may take to end once the worker is told to stop.",
    },
    Setting {
        key: "worker.kill_grace",
        plain_variable: None,
        default: Some("5"),
        takes: Takes::Seconds,
        about: "Between asking a process to end (SIGTERM) and ending it (SIGKILL).",
    },
    Setting {
        key: "worker.limits.memory",
        plain_variable: None,
        default: None,
        takes: Takes::Size { least: Some("1M") },
        about: "How much memory the processes of an execution may use together, in a cgroup of their own; where none can be made, how much each of them may allocate. What the container allows where it is not set.",
    },
    Setting {
        key: "worker.limits.processes",
        plain_variable: None,
        default: None,
        takes: Takes::Whole { of: "a whole number", least: 1 },
        about: "How many processes and threads an execution may have at a time. Needs a cgroup that the worker may write: the kernel has no other such limit that others of the same user do not count in.",
    },
    Setting {
        key: "worker.limits.cpu_seconds",
        plain_variable: None,
        default: None,
        takes: Takes::Whole { of: "whole seconds", least: 1 },
        about: "How much processor time each process of an execution may use. It is sent SIGXCPU then, and killed 5 s later.",
    },
    Setting {
        key: "worker.limits.open_files",
        plain_variable: None,
        default: None,
        takes: Takes::Whole { of: "a whole number", least: 16 },
        about: "How many files each process of an execution may have open.",
    },
    Setting {
        key: "worker.limits.file_size",
        plain_variable: None,
        default: None,
        takes: Takes::Size { least: None },
        about: "How large a file may become that an action writes.",
    },
    Setting {
        key: "worker.limits.core_size",
        plain_variable: None,
        default: Some("0"),
        takes: Takes::Size { least: None },
        about: "How large a core dump of an action may be. It holds what the action knew, its secrets too.",
    },
    Setting {
        key: "worker.no_new_privileges",
        plain_variable: None,
        default: Some("true"),
        takes: Takes::Flag,
        about: "Actions gain no privileges: setuid programs such as sudo do not work in them, and they lose CAP_SYS_PTRACE and CAP_PERFMON, with which they could read the agent's memory.",
    },
    Setting {
        key: "worker.hidden_variables",
        plain_variable: None,
        default: None,
        takes: Takes::Text("names, separated by commas, each also the beginning of names with * behind it"),
        about: "Further variables of the container that actions do not see. Those that configure Attune and hold its credentials are hidden in any case.",
    },
    Setting {
        key: "worker.hide_credential_files",
        plain_variable: None,
        default: Some("true"),
        takes: Takes::Flag,
        about: "Actions cannot read the files that the worker was given credentials in. Needs Linux 5.13 with Landlock; without it the worker warns. While such a file is hidden, an action can neither mount file systems nor read what is newly made in the very directories that lead to the file.",
    },
    Setting {
        key: "worker.allow_dump",
        plain_variable: Some("ATTUNE_ALLOW_DUMP"),
        default: Some("false"),
        takes: Takes::Flag,
        about: "Lets debuggers of the same user, and core dumps, see the agent's memory, and with it every credential. Actions can see it too then.",
    },
    Setting {
        key: "worker.max_stdout_bytes",
        plain_variable: None,
        default: Some("10485760"),
        takes: Takes::Whole { of: "a number of bytes", least: 1024 },
        about: "How much of an action's standard output is kept; head and tail beyond that.",
    },
    Setting {
        key: "worker.max_stderr_bytes",
        plain_variable: None,
        default: Some("10485760"),
        takes: Takes::Whole { of: "a number of bytes", least: 1024 },
        about: "How much of an action's standard error is kept; head and tail beyond that.",
    },
    Setting {
        key: "worker.execution_log_retention_policy",
        plain_variable: None,
        default: Some("days"),
        takes: Takes::OneOf(&["versions", "days", "hours", "minutes"]),
        about: "What logs of executions are kept by, where their action does not say.",
    },
    Setting {
        key: "worker.execution_log_retention_limit",
        plain_variable: None,
        default: Some("7"),
        takes: Takes::Whole { of: "a whole number", least: 1 },
        about: "How many versions, days, hours or minutes that are.",
    },
    Setting {
        key: "database.url",
        plain_variable: None,
        default: None,
        takes: Takes::Text("postgres://user:password@host:port/database, and ?sslmode=verify-full for TLS"),
        about: "The control plane's database.",
    },
    Setting {
        key: "database.host",
        plain_variable: None,
        default: None,
        takes: Takes::Text("a host name or address"),
        about: "The host of the database, instead of the one in `database.url`.",
    },
    Setting {
        key: "database.port",
        plain_variable: None,
        default: None,
        takes: Takes::Port,
        about: "The port of the database, instead of the one in `database.url`.",
    },
    Setting {
        key: "database.user",
        plain_variable: None,
        default: None,
        takes: Takes::Text("text that is not empty"),
        about: "Who connects to the database, instead of the user in `database.url`.",
    },
    Setting {
        key: "database.password",
        plain_variable: None,
        default: None,
        takes: Takes::Text("text, as it is: nothing in it has to be escaped"),
        about: "The password for the database, instead of the one in `database.url`.",
    },
    Setting {
        key: "database.name",
        plain_variable: None,
        default: None,
        takes: Takes::Text("text that is not empty"),
        about: "The database name of the database, instead of the one in `database.url`.",
    },
    Setting {
        key: "database.schema",
        plain_variable: None,
        default: Some("attune"),
        takes: Takes::Text("letters, digits and underscores, at most 63"),
        about: "The schema that the control plane's tables are in.",
    },
    Setting {
        key: "database.ca_file",
        plain_variable: None,
        default: None,
        takes: Takes::Text("a file of certificates in PEM"),
        about: "Whom to trust for the database's TLS, beside the roots that are built in.",
    },
    Setting {
        key: "database.max_connections",
        plain_variable: None,
        default: Some("5"),
        takes: Takes::Whole { of: "a whole number", least: 2 },
        about: "How many connections to the database at most; no more than 5 are ever used.",
    },
    Setting {
        key: "message_queue.url",
        plain_variable: None,
        default: None,
        takes: Takes::Text("amqp://user:password@host:port/vhost, or amqps:// for TLS"),
        about: "The control plane's broker.",
    },
    Setting {
        key: "message_queue.host",
        plain_variable: None,
        default: None,
        takes: Takes::Text("a host name or address"),
        about: "The host of the broker, instead of the one in `message_queue.url`.",
    },
    Setting {
        key: "message_queue.port",
        plain_variable: None,
        default: None,
        takes: Takes::Port,
        about: "The port of the broker, instead of the one in `message_queue.url`.",
    },
    Setting {
        key: "message_queue.user",
        plain_variable: None,
        default: None,
        takes: Takes::Text("text that is not empty"),
        about: "Who connects to the broker, instead of the user in `message_queue.url`.",
    },
    Setting {
        key: "message_queue.password",
        plain_variable: None,
        default: None,
        takes: Takes::Text("text, as it is: nothing in it has to be escaped"),
        about: "The password for the broker, instead of the one in `message_queue.url`.",
    },
    Setting {
        key: "message_queue.vhost",
        plain_variable: None,
        default: None,
        takes: Takes::Text("text that is not empty"),
        about: "The virtual host of the broker, instead of the one in `message_queue.url`.",
    },
    Setting {
        key: "message_queue.ca_file",
        plain_variable: None,
        default: None,
        takes: Takes::Text("a file of certificates in PEM"),
        about: "Whom to trust for the broker's TLS, beside the roots that are built in.",
    },
    Setting {
        key: "security.encryption_key",
        plain_variable: None,
        default: None,
        takes: Takes::Text("text of at least 32 characters, the same as the control plane's other services"),
        about: "What secret parameters, keys and secret results are encrypted with in the database.",
    },
    Setting {
        key: "security.jwt_secret",
        plain_variable: None,
        default: None,
        takes: Takes::Text("text, the same as the control plane's API"),
        about: "What the tokens of executions are signed with. There is no default: without it, an execution that is to have a token fails.",
    },
    Setting {
        key: "security.enable_auth",
        plain_variable: None,
        default: None,
        takes: Takes::Flag,
        about: "Whether the API asks for tokens. If true, the worker does not start without `security.jwt_secret`; if false, executions do without a token where there is no secret.",
    },
    Setting {
        key: "api.url",
        plain_variable: Some("ATTUNE_API_URL"),
        default: None,
        takes: Takes::Text("a URL that begins with http:// or https://"),
        about: "Where actions reach the control plane's API; `http://<server.host>:<server.port>` where it is not set.",
    },
    Setting {
        key: "server.host",
        plain_variable: None,
        default: Some("0.0.0.0"),
        takes: Takes::Text("a host name or an address; 0.0.0.0 and [::] are this machine"),
        about: "Where the API listens: only for `api.url`.",
    },
    Setting {
        key: "server.port",
        plain_variable: None,
        default: Some("8080"),
        takes: Takes::Port,
        about: "Where the API listens: only for `api.url`.",
    },
    Setting {
        key: "packs_base_dir",
        plain_variable: None,
        default: Some("/opt/attune/packs"),
        takes: Takes::Text("a directory"),
        about: "Where packs are.",
    },
    Setting {
        key: "runtime_envs_dir",
        plain_variable: None,
        default: Some("/opt/attune/runtime_envs"),
        takes: Takes::Text("a directory"),
        about: "Where environments with dependencies are.",
    },
    Setting {
        key: "environments.build_timeout",
        plain_variable: None,
        default: Some("600"),
        takes: Takes::Seconds,
        about: "Time limit for building an environment with a pack's dependencies.",
    },
    Setting {
        key: "environments.retention",
        plain_variable: None,
        default: Some("86400"),
        takes: Takes::Seconds,
        about: "How long an environment is kept that nothing uses any more.",
    },
    Setting {
        key: "artifacts_dir",
        plain_variable: None,
        default: Some("/opt/attune/artifacts"),
        takes: Takes::Text("a directory"),
        about: "Where logs and artifacts go. Where it cannot be written, and the API does not share it, actions get a directory below `worker.work_dir` for their own.",
    },
    Setting {
        key: "artifacts.transport",
        plain_variable: None,
        default: Some("auto"),
        takes: Takes::OneOf(&["volume", "api", "auto"]),
        about: "How logs and artifacts reach the API: over a volume that it shares, or sent to `api.url`. By itself, the worker sends them where `api.url` and `security.jwt_secret` are set and `artifacts_dir` does not hold the API's file `.attune-api-sentinel`, which it looks for with each file.",
    },
    Setting {
        key: "api.ca_file",
        plain_variable: None,
        default: None,
        takes: Takes::Text("a file of certificates in PEM"),
        about: "Whom to trust for the API's TLS, beside the roots that are built in.",
    },
    Setting {
        key: "log.level",
        plain_variable: Some("RUST_LOG"),
        default: Some("info"),
        takes: Takes::Text(
            "one of trace (debug in what is shipped), debug, info, warn, error, or a filter such as info,agent_core=debug",
        ),
        about: "What is logged.",
    },
    Setting {
        key: "log.format",
        plain_variable: None,
        default: Some("text"),
        takes: Takes::OneOf(&["text", "json"]),
        about: "How it is logged.",
    },
];

/// Those that are credentials or hold one. Each may also stand in a file, which the variable with `_FILE` behind its name,
/// or the key with `_file`, names; and none is repeated in an error.
pub const CREDENTIALS: &[&str] = &[
    "database.url",
    "database.password",
    "message_queue.url",
    "message_queue.password",
    "security.jwt_secret",
    "security.encryption_key",
];

impl Setting {
    /// Whether it is a credential, or holds one.
    pub fn is_credential(&self) -> bool {
        CREDENTIALS.contains(&self.key)
    }

    /// The variables that set it, the strongest first.
    pub fn variables(&self) -> Vec<String> {
        let structured = format!("ATTUNE__{}", self.key.replace('.', "__").to_ascii_uppercase());
        std::iter::once(structured).chain(self.plain_variable.map(str::to_owned)).collect()
    }

    /// The variable that names the file it stands in, where it may stand in one.
    pub fn file_variable(&self) -> Option<String> {
        self.is_credential().then(|| format!("{}_FILE", self.variables()[0]))
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
