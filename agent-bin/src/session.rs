//! What every verb that runs something needs: the configuration, the async runtime, and what the workshop is made of.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use agent_core::Result;
use agent_core::artifacts::Artifacts;
use agent_core::config::{Config, ConfigFile, DirectoriesConfig, Sources};
use agent_core::control_plane::{EnvironmentLeases, Journal};
use agent_core::environment::{Environments, EnvironmentsSetup};
use agent_core::execution::Workshop;
use agent_core::process::Spawner;
use agent_core::secrets::{ChildEnvironment, HiddenVariables, Keyring};
use agent_core::worker::WorkDir;
use tokio::runtime::{Builder, Runtime};

use crate::cli::Common;
use crate::exit::Failure;

/// One run of this program.
pub(crate) struct Session {
    pub(crate) config: Config,
    /// What this process was started with, without what nobody may see.
    variables: Vec<(OsString, OsString)>,
    hidden: HiddenVariables,
    runtime: Runtime,
}

/// How a verb speaks beside its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Voice {
    /// The log is its voice.
    Log,
    /// A log would talk over the answer: only warnings.
    Quiet,
}

/// Where a workshop finds and leaves things.
pub(crate) struct Directories {
    pub(crate) packs: PathBuf,
    pub(crate) artifacts: PathBuf,
    pub(crate) runtime_envs: PathBuf,
    /// Where files go that only this user may read; below the temporary directory where there is none.
    pub(crate) private: Option<PathBuf>,
    /// What actions may write to where they have neither a home nor a temporary directory.
    pub(crate) scratch: PathBuf,
}

impl Session {
    pub(crate) fn new(common: &Common, voice: Voice) -> Result<Self, Failure> {
        let level = (voice == Voice::Quiet).then(|| ("RUST_LOG".into(), "warn".into()));
        let mut variables: Vec<_> = std::env::vars_os().collect();
        // What comes first wins: the command line, the environment, this verb's own default.
        let environment = common.named().into_iter().chain(variables.clone()).chain(level);
        let sources = Sources::read(&common.config_file(), environment)?;
        let config = Config::load(&sources)?;
        // From here on credentials are where they are used, and nowhere else.
        let hidden = HiddenVariables::new(&config.worker.hidden_variables);
        agent_core::process::wipe_variables(|name| hidden.cover(name));
        variables.retain(|(name, _)| !hidden.cover(name));
        if config.worker.allow_dump {
            agent_core::process::allow_dumps();
        }
        agent_core::telemetry::init_logs(&config.log);
        warn_of_files(&sources, voice);
        // The agent waits more than it computes: a second thread would cost more in wake-ups than it could do.
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(Self { config, variables, hidden, runtime })
    }

    pub(crate) fn run<T>(&self, work: impl AsyncFnOnce(&Self) -> T) -> T {
        self.runtime.block_on(work(self))
    }

    /// What executions share; `found` is what they can be run with, `leases` what keeps account of environments.
    pub(crate) fn workshop(
        &self,
        found: Arc<runtime_probe::Report>,
        directories: Directories,
        journal: Arc<Journal>,
        leases: Option<Arc<dyn EnvironmentLeases>>,
    ) -> Result<Workshop, Failure> {
        let environment = ChildEnvironment::new(self.variables.clone(), &self.hidden, &directories.scratch);
        let spawner = Arc::new(Spawner::start(self.config.worker.confinement.clone())?);
        let environments = Environments::new(EnvironmentsSetup {
            envs_dir: directories.runtime_envs.clone(),
            logs_dir: directories.artifacts.join("environments"),
            config: self.config.environments,
            spawner: Arc::clone(&spawner),
            child: environment.clone(),
            leases,
        });
        Ok(Workshop {
            spawner,
            environments,
            interpreters: found,
            private_dir: directories.private.unwrap_or_else(|| environment.temp_dir()),
            environment,
            keyring: Keyring::new(&self.config.security, &self.config.servers)?,
            api_url: None,
            packs_dir: directories.packs,
            remote_packs: None,
            artifacts: Artifacts::local(directories.artifacts),
            runtime_envs_dir: directories.runtime_envs,
            limits: self.config.worker.limits,
            journal,
        })
    }
}

/// Says which configuration is not read that somebody may believe to be.
fn warn_of_files(sources: &Sources, voice: Voice) {
    if let Some(missing) = sources.missing_file() {
        tracing::warn!(file = %missing.display(), "ATTUNE_CONFIG names a configuration file that is not there: the \
            agent does without");
    }
    // A command is run anywhere, and finds files there that have nothing to do with it.
    if voice == Voice::Log {
        for unread in sources.unread_files(Path::new("")) {
            tracing::warn!(file = %unread.display(), hint = "name the one file to be read with --config or ATTUNE_CONFIG",
                "a configuration file in the working directory, which Attune's services would read, is not read");
        }
    }
}

impl Common {
    /// The configuration file, as it is named on the command line, else by the variable.
    pub(crate) fn config_file(&self) -> ConfigFile {
        if let Some(path) = &self.config {
            return ConfigFile::Named(path.clone());
        }
        match std::env::var_os("ATTUNE_CONFIG").filter(|path| !path.is_empty()) {
            Some(path) => ConfigFile::Variable(path.into()),
            None => ConfigFile::None,
        }
    }

    /// The variable that the command line's name for this worker stands for.
    pub(crate) fn named(&self) -> Option<(OsString, OsString)> {
        self.name.clone().map(|name| ("ATTUNE__WORKER__NAME".into(), name.into()))
    }
}

impl Directories {
    /// Where the configuration says.
    pub(crate) fn configured(config: &Config, work_dir: &WorkDir) -> Self {
        let DirectoriesConfig { packs, runtime_envs, artifacts } = config.directories.clone();
        let scratch = config.worker.work_dir.clone();
        Self { packs, artifacts, runtime_envs, private: work_dir.private_dir(), scratch }
    }

    /// Everything below one directory, with `private` for what only this user may read.
    pub(crate) fn below(directory: &Path, private: Option<PathBuf>) -> Self {
        Self {
            private,
            packs: directory.join("packs"),
            artifacts: directory.join("artifacts"),
            runtime_envs: directory.join("runtime_envs"),
            scratch: directory.to_owned(),
        }
    }
}
