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
