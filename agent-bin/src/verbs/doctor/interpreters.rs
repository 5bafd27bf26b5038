//! Which interpreters there are, and what can be done with them.

use agent_core::config::WorkerConfig;
use agent_core::worker::{available, capabilities};
use runtime_probe::{Capabilities, Interpreter, Report};

use super::check::Check;

const CATEGORY: &str = "interpreters";

/// Something beside an interpreter that decides what can be done with it.
struct Tool {
    runtime: &'static str,
    name: &'static str,
    /// `None` where it cannot be told.
    is_there: fn(&Capabilities) -> Option<bool>,
    /// What is not possible without it.
    without: &'static str,
}

const TOOLS: &[Tool] = &[
    Tool { runtime: "python", name: "venv", is_there: |has| has.venv, without: PYTHON },
    Tool { runtime: "python", name: "ensurepip", is_there: |has| has.ensurepip, without: PYTHON },
    Tool {
        runtime: "python",
        name: "pip",
        is_there: |has| has.pip,
        without: "`pip` is not there for actions",
    },
    Tool {
        runtime: "node",
        name: "npm",
        is_there: |has| has.npm,
        without: "a pack's package.json cannot be installed",
    },
    Tool { runtime: "ruby", name: "gem", is_there: |has| has.gem, without: "`gem` is not there for actions" },
    Tool {
        runtime: "ruby",
        name: "bundle",
        is_there: |has| has.bundle,
        without: "a pack's Gemfile cannot be installed",
    },
    Tool {
        runtime: "java",
        name: "javac",
        is_there: |has| has.javac,
        without: "only what is compiled can be run",
    },
    Tool {
        runtime: "go",
        name: "toolchain",
        is_there: |has| has.toolchain,
        without: "`go run` cannot compile",
    },
    Tool {
        runtime: "dotnet",
        name: "sdk",
        is_there: |has| has.sdk,
        without: "only what is compiled can be run",
    },
];

const PYTHON: &str = "a pack's requirements.txt cannot be installed";

/// Every runtime's preferred interpreter with its tools, and what cannot be used.
pub(super) fn found(found: &Report) -> Vec<Check> {
    let mut checks = Vec::new();
    for (number, interpreter) in found.runtimes.iter().enumerate() {
        if found.runtimes[..number].iter().all(|before| before.name != interpreter.name) {
            checks.push(check(interpreter));
        }
    }
    if checks.is_empty() {
        let detail =
            "no interpreter was found: only native actions, which are programs themselves, can run here";
        let hint =
            "name one that is somewhere unusual in /.attune-runtime.yaml, or use an image that has one";
        checks.push(Check::doubtful(CATEGORY, detail, hint));
    }
    // What is unusable matters where nothing else serves: an image may have a shim for every version there ever was.
    let usable = available(found);
    let in_vain = found.rejected.iter().filter(|rejected| !usable.contains(&rejected.name));
    checks.extend(in_vain.map(|rejected| {
        let detail = format!("{} cannot be used: {}", rejected.path.display(), rejected.reason);
        Check::doubtful(CATEGORY, detail, "`attune-agent probe` shows all that was found")
    }));
    checks
}

fn check(interpreter: &Interpreter) -> Check {
    let version = interpreter.version.as_deref().unwrap_or("of unknown version");
    let mut detail = format!("{} {version} is {}", interpreter.name, interpreter.path.display());
    let tools = || TOOLS.iter().filter(|tool| tool.runtime == interpreter.name);
    let with =
        |there: bool| tools().filter(move |tool| (tool.is_there)(&interpreter.capabilities) == Some(there));
    let there: Vec<_> = with(true).map(|tool| tool.name).collect();
    if !there.is_empty() {
        detail.push_str(&format!(", with {}", there.join(", ")));
    }
    let check = Check::fine(CATEGORY, detail);
    match with(false).next() {
        Some(missing) => check.hint(format!("without {}, {}", missing.name, missing.without)),
        None => check,
    }
}

/// What a worker that is configured so offers of them.
pub(super) fn offered(found: &Report, worker: &WorkerConfig) -> Vec<Check> {
    let offer = capabilities(found, worker);
    let offers = Check::fine(CATEGORY, format!("offers {}", offer.capabilities.runtimes.join(", ")));
    let missing = offer.missing.iter().map(|missing| {
        Check::doubtful(
            CATEGORY,
            format!("`{missing}` is to be offered and is not in this container"),
            "take it out of ATTUNE_WORKER_RUNTIMES, or use an image that has it",
        )
    });
    std::iter::once(offers).chain(missing).collect()
}
