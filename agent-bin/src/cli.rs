//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

const VERSION: &str =
    concat!(env!("CARGO_PKG_VERSION"), " (commit ", env!("ATTUNE_COMMIT"), ", ", env!("ATTUNE_TARGET"), ")");

const AFTER_HELP: &str = "\
Exit codes:
  0    it worked
  1    what was asked for failed: an execution, a check, an agreement
  2    it was asked for wrongly: unknown action, missing parameter, unknown option
  65   a file that somebody wrote cannot be used: configuration, pack, database
  69   the control plane refused or cannot be reached
  70   the agent itself failed
  71   the operating system refused
  73   something else holds what is needed: a worker's name
  130  stopped waiting because of Ctrl-C";

/// The universal worker of the Attune automation platform: it finds the interpreters that this container has,
/// takes executions, runs them and reports.
///
/// `attune-agent` alone is `attune-agent run`.
#[derive(Debug, Parser)]
#[command(name = "attune-agent", version = VERSION, after_help = AFTER_HELP, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) common: Common,

    /// Print the interpreters found, then `ATTUNE_WORKER_RUNTIMES=…`, and exit; needs nothing
    #[arg(long)]
    pub(crate) detect_only: bool,

    #[command(subcommand)]
    pub(crate) verb: Option<Verb>,
}

/// What every verb takes.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// Configuration file; an empty one is fine [env: `ATTUNE_CONFIG`, whose file need not be there]
    #[arg(short, long, global = true, value_name = "PATH")]
    pub(crate) config: Option<PathBuf>,

    /// Unique name of this worker [default: `worker-` and the host name]
    #[arg(short, long, global = true, value_name = "NAME")]
    pub(crate) name: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Be a worker until told to stop
    Run(RunArgs),
    /// Show the whole system at work: one example action in every interpreter found
    Demo,
    /// Run one action, or one file, here and now exactly as a worker would
    Exec(ExecArgs),
    /// Ask a control plane for an execution
    Submit(SubmitArgs),
    /// Tell which interpreters this container has, and how we know
    Probe(runtime_probe::command::Arguments),
    /// Bring packs into a control plane
    Pack(PackArgs),
    /// Check everything that a worker needs, and say what to do about what is missing
    Doctor(DoctorArgs),
    /// Ask the worker that runs here whether it is alive, or ready: a probe for images without a shell
    Health(HealthArgs),
    /// Block until what a worker needs is there, saying once a while what is missing
    Wait(WaitArgs),
    /// Show what is configured, and what may be
    Config(ConfigArgs),
    /// Create the control plane's tables where there is no Attune
    Migrate,
    /// Copy this program to DIR/attune-agent, for another container to start
    Install(InstallArgs),
    /// List every reason for which an execution can end
    Reasons,
}

#[derive(Debug, Default, Args)]
pub(crate) struct RunArgs {
    /// Use the control plane in DIR, one SQLite file, which is created where there is none [default: PostgreSQL and
    /// RabbitMQ, as configured]
    #[arg(long, value_name = "DIR")]
    pub(crate) embedded: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ParameterArgs {
    /// A parameter, read as the type that the action declares; may be given again
    #[arg(short, long = "param", value_name = "KEY=VALUE")]
    pub(crate) params: Vec<String>,

    /// A JSON or YAML file with parameters, or `-` for standard input; `--param` goes before it
    #[arg(long, value_name = "FILE")]
    pub(crate) params_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ExecArgs {
    /// An action (`pack.name`), or a file whose extension a runtime claims
    #[arg(value_name = "ACTION|FILE")]
    pub(crate) target: String,

    #[command(flatten)]
    pub(crate) parameters: ParameterArgs,

    /// Where packs are [default: the built-in ones]
    #[arg(long, value_name = "DIR")]
    pub(crate) packs_dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct SubmitArgs {
    /// The action to run, `pack.name`
    pub(crate) action: String,

    #[command(flatten)]
    pub(crate) parameters: ParameterArgs,

    /// A variable in the action's environment; may be given again
    #[arg(long = "env", value_name = "NAME=VALUE")]
    pub(crate) env_vars: Vec<String>,

    /// Only on workers with this label; may be given again, for workers with all of them
    #[arg(long = "select", value_name = "LABEL=VALUE", conflicts_with = "embedded")]
    pub(crate) labels: Vec<String>,

    /// The control plane in DIR, one SQLite file [default: PostgreSQL and RabbitMQ, as configured]
    #[arg(long, value_name = "DIR")]
    pub(crate) embedded: Option<PathBuf>,

    /// Pick a worker and hand the execution to it, without Attune's executor
    #[arg(long, conflicts_with = "embedded")]
    pub(crate) direct: bool,

    /// Wait for the end and tell what came of it; Ctrl-C asks to cancel, a second one stops waiting
    #[arg(long)]
    pub(crate) wait: bool,

    /// Print JSON on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Check only what the image and the container bring; needs no server and no configuration
    #[arg(long)]
    pub(crate) image: bool,

    /// Print JSON on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct HealthArgs {
    /// What to ask
    #[arg(value_enum)]
    pub(crate) what: HealthOf,

    /// How long the worker may take to answer
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    pub(crate) timeout: Duration,

    /// The worker was started with `run --embedded DIR`
    #[arg(long, value_name = "DIR")]
    pub(crate) embedded: Option<PathBuf>,
}

/// What a worker can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum HealthOf {
    /// Whether it runs and answers; no server has a say in it
    Live,
    /// Whether it takes work: active, consuming its queue, connected to both servers, and not draining
    Ready,
}

/// A time of more than nothing, and of less than an hour.
fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|seconds| (0.001..=3600.0).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| "a number of seconds from 0.001 to 3600".to_owned())
}

#[derive(Debug, Args)]
pub(crate) struct WaitArgs {
    /// What to wait for
    #[arg(value_enum)]
    pub(crate) what: WaitFor,

    /// Give up after so many seconds [default: never]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) timeout: Option<u64>,
}

/// What a worker, or `migrate`, needs before it can work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum WaitFor {
    /// The database, whatever is in it
    Database,
    /// The database, with the control plane's tables in it
    Schema,
    /// The packs directory, with the core pack in it
    Packs,
    /// The broker
    Queue,
    /// All of them
    All,
}

#[derive(Debug, Args)]
pub(crate) struct InstallArgs {
    /// Where to; made where it is missing
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    pub(crate) verb: ConfigVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigVerb {
    /// Show every setting as it is in force, and where it comes from; of a credential, only whether it is set
    Show {
        /// Print JSON on standard output
        #[arg(long)]
        json: bool,
    },
    /// Print a JSON schema of the configuration file, for editors
    Schema,
}

#[derive(Debug, Args)]
pub(crate) struct PackArgs {
    #[command(subcommand)]
    pub(crate) verb: PackVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PackVerb {
    /// Copy the pack in DIR into the control plane and make its actions known; an earlier version is replaced
    Register {
        /// The pack's directory, with pack.yaml in it
        #[arg(required_unless_present = "builtin")]
        directory: Option<PathBuf>,
        /// A pack that comes with this program, instead of a directory; may be given again
        #[arg(long, value_name = "NAME", conflicts_with = "directory")]
        builtin: Vec<String>,
        /// The control plane in DIR, one SQLite file [default: PostgreSQL, as configured]
        #[arg(long, value_name = "DIR")]
        embedded: Option<PathBuf>,
    },
}
