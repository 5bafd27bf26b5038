//! Why an execution ended as it did: one table of stable codes, from which results, help and docs are made.

use serde::Serialize;

use super::ExecutionStatus;

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $status:ident, $meaning:literal, $hint:expr;)+) => {
        /// A stable code for every way in which an execution can end.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Reason {$(
            #[doc = $meaning]
            $variant
        ),+}

        impl Reason {
            /// Every reason, as documented.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The code in [`super::ResultField::Reason`]: never renamed, never used for anything else.
            pub const fn code(self) -> &'static str {
                match self {$(Self::$variant => $code),+}
            }

            /// The state that an execution which ended for this reason is in.
            pub const fn status(self) -> ExecutionStatus {
                match self {$(Self::$variant => ExecutionStatus::$status),+}
            }

            /// What the code says, for the reference page.
            pub const fn meaning(self) -> &'static str {
                match self {$(Self::$variant => $meaning),+}
            }

            /// What the user can do about it, where there is something.
            pub const fn hint(self) -> Option<&'static str> {
                match self {$(Self::$variant => $hint),+}
            }
        }
    };
}

reasons! {
    Completed = "completed", Completed,
        "The action exited with status 0.",
        None;
    ExitCode = "exit_code", Failed,
        "The action exited with a status other than 0.",
        None;
    Signal = "signal", Failed,
        "The action was ended by a signal that this worker did not send.",
        Some("somebody sent it; or the kernel did, where a SIGKILL ends what uses too much memory and its counts cannot be read");
    OutOfMemory = "out_of_memory", Failed,
        "The kernel ended the action because it used more memory than it may.",
        Some("raise `worker.limits.memory` or the container's memory limit, or let the action use less");
    CpuLimit = "cpu_limit", Failed,
        "The action used more processor time than `worker.limits.cpu_seconds` allows and was ended.",
        Some("raise `worker.limits.cpu_seconds`, or make the action faster");
    FileSizeLimit = "file_size_limit", Failed,
        "The action wrote a file larger than `worker.limits.file_size` allows and was ended.",
        Some("raise `worker.limits.file_size`, or write smaller files");
    InterpreterMissing = "interpreter_missing", Failed,
        "The action's runtime needs an interpreter that this container does not have.",
        Some("`attune-agent probe` lists what this container has");
    RuntimeVersionMissing = "runtime_version_missing", Failed,
        "No interpreter in this container satisfies the action's version constraint.",
        Some("`attune-agent probe` lists what this container has");
    RequiredRuntimeMissing = "required_runtime_missing", Failed,
        "The action requires another runtime beside its own, and this container does not have it.",
        Some("`attune-agent probe` lists what this container has");
    ConstraintInvalid = "constraint_invalid", Failed,
        "A version constraint of the action cannot be read.",
        None;
    EntrypointMissing = "entrypoint_missing", Failed,
        "The action's entry point is not in its pack.",
        Some("the entry point is a file name below the pack's `actions/` directory");
    EntrypointOutsidePack = "entrypoint_outside_pack", Failed,
        "The action's entry point leads out of its pack's `actions/` directory.",
        Some("an entry point is a path below `actions/`, without `..` and without links that lead out");
    PackMissing = "pack_missing", Failed,
        "The action's pack is not on this worker.",
        Some("check that the packs directory is mounted where the worker looks for it");
    ActionMissing = "action_missing", Failed,
        "The action was deleted after the execution was asked for.",
        Some("register its pack again, or submit another action");
    ParametersInvalid = "parameters_invalid", Failed,
        "The parameters cannot be handed over in the format that the action declares.",
        None;
    SecretUnavailable = "secret_unavailable", Failed,
        "A secret that the execution needs cannot be decrypted, or one that it returns cannot be kept; nothing was started.",
        Some("`security.encryption_key` has to be the same for this worker as for the control plane's other services");
    TokenUnavailable = "token_unavailable", Failed,
        "The execution is to have a token for the API, and this worker has nothing to sign it with; nothing was started.",
        Some("set `security.jwt_secret` to the secret of the control plane's API");
    EnvironmentFailed = "environment_failed", Failed,
        "The environment with the pack's dependencies could not be built, so the action was not started.",
        Some("what the build printed is in the log that `stderr_log` names; under Attune its end is in `pack_environment.install_log`");
    EnvironmentTimeout = "environment_timeout", Failed,
        "Building the environment with the pack's dependencies took longer than its time limit.",
        Some("raise `environments.build_timeout`, or depend on less; what the build printed is in the log that `stderr_log` names");
    SpawnFailed = "spawn_failed", Failed,
        "The operating system refused to start the process.",
        None;
    NoCompatibleWorker = "no_compatible_worker", Failed,
        "No live worker offers the runtime that the action needs.",
        Some("start a worker in an image that has this runtime; `attune-agent probe` lists what an image has");
    AgentError = "agent_error", Failed,
        "The worker itself failed while it handled the execution.",
        Some("the worker's log has the details");
    Timeout = "timeout", Timeout,
        "The action ran longer than its time limit and was ended.",
        Some("raise `timeout_seconds` in the action, or make it faster");
    Cancelled = "cancelled", Cancelled,
        "Somebody asked to cancel the execution while it ran.",
        None;
    CancelledBeforeStart = "cancelled_before_start", Cancelled,
        "Somebody asked to cancel the execution before it started.",
        None;
    WorkerLost = "worker_lost", Abandoned,
        "The worker died while the execution ran: how far the action came is not known.",
        Some("submit it again if it is safe to run twice");
    WorkerCutOff = "worker_cut_off", Abandoned,
        "The worker could not reach its database for longer than the control plane waits for it, and ended the action \
         itself, so that it could not run beside another attempt.",
        Some("submit it again if it is safe to run twice; `worker.fencing_timeout` says how long a worker waits");
    WorkerStopped = "worker_stopped", Abandoned,
        "The worker was told to stop, and the action was still running when the grace period ended.",
        Some("raise `worker.shutdown_timeout` above what the action needs, or submit it again");
}

impl Serialize for Reason {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn codes_are_unique_and_every_reason_is_final() {
        let codes: HashSet<_> = Reason::ALL.iter().map(|reason| reason.code()).collect();
        assert_eq!(codes.len(), Reason::ALL.len());
        assert!(Reason::ALL.iter().all(|reason| reason.status().is_terminal()));
    }
}
