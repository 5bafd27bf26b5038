//! `attune-agent doctor`: everything that a worker needs, checked, each with what to do about it.

use std::path::Path;
use std::process::ExitCode;

use agent_core::control_plane::attune::{DatabaseFacts, examine_broker, examine_database};
use agent_core::process::{Exposed, is_hardened};
use agent_core::worker::capabilities;
use comfy_table::{Table, presets};
use serde_json::json;

use crate::cli::DoctorArgs;
use crate::exit::{FAILED, Failure, print};
use crate::lookup;
use crate::session::Session;

/// Clocks that differ by more make a worker look dead, or its logs confusing.
const SKEW_MS: i64 = 2_000;

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Fine,
    /// Somebody should look.
    Doubtful,
    /// A worker cannot do without.
    Broken,
}

impl Verdict {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Fine => "ok",
            Self::Doubtful => "warning",
            Self::Broken => "failed",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug)]
struct Check {
    category: &'static str,
    verdict: Verdict,
    detail: String,
    hint: Option<String>,
}

impl Check {
    fn fine(category: &'static str, detail: impl Into<String>) -> Self {
        Self { category, verdict: Verdict::Fine, detail: detail.into(), hint: None }
    }

    fn not_fine(
        category: &'static str,
        verdict: Verdict,
        detail: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self { category, verdict, detail: detail.into(), hint: Some(hint.into()) }
    }

    fn broken(category: &'static str, error: &agent_core::Error) -> Self {
        let hint = error.hint_text().map(str::to_owned);
        Self { category, verdict: Verdict::Broken, detail: error.to_string(), hint }
    }
}

pub(crate) async fn run(session: &Session, args: &DoctorArgs) -> Result<ExitCode, Failure> {
    let mut checks = interpreters(session)?;
    checks.extend(volumes(session));
    checks.extend(credentials(session));
    let servers = &session.config.servers;
    let (database, broker) = tokio::join!(examine_database(servers), examine_broker(servers));
    checks.extend(database_checks(database));
    checks.push(match broker {
        Ok(()) => Check::fine("broker", "connected"),
        Err(error) => Check::broken("broker", &error),
    });
    let failed = checks.iter().any(|check| check.verdict == Verdict::Broken);
    if args.json {
        print_json(&checks, failed)?;
    } else {
        print_table(&checks)?;
    }
    Ok(if failed { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
}

fn interpreters(session: &Session) -> Result<Vec<Check>, Failure> {
    const CATEGORY: &str = "interpreters";
    let found = lookup::interpreters()?;
    let offer = capabilities(&found, &session.config.worker);
    let mut checks =
        vec![Check::fine(CATEGORY, format!("offers {}", offer.capabilities.runtimes.join(", ")))];
    checks.extend(offer.missing.iter().map(|missing| {
        Check::not_fine(
            CATEGORY,
            Verdict::Doubtful,
            format!("`{missing}` is to be offered and is not in this container"),
            "take it out of ATTUNE_WORKER_RUNTIMES, or use an image that has it",
        )
    }));
    // What is unusable matters where nothing else serves: an image may have a shim for every version there ever was.
    let in_vain =
        found.rejected.iter().filter(|rejected| !offer.capabilities.runtimes.contains(&rejected.name));
    checks.extend(in_vain.map(|rejected| {
        Check::not_fine(
            CATEGORY,
            Verdict::Doubtful,
            format!("{} cannot be used: {}", rejected.path.display(), rejected.reason),
            "`attune-agent probe` shows all that was found",
        )
    }));
    Ok(checks)
}

fn volumes(session: &Session) -> Vec<Check> {
    const CATEGORY: &str = "volumes";
    let directories = &session.config.directories;
    let core = directories.packs.join("core/pack.yaml");
    let packs = if core.is_file() {
        Check::fine(CATEGORY, format!("packs are in {}", directories.packs.display()))
    } else {
        let detail = format!("{} holds no core pack", directories.packs.display());
        Check::not_fine(
            CATEGORY,
            Verdict::Broken,
            detail,
            "mount the packs there, or set ATTUNE__PACKS_BASE_DIR",
        )
    };
    let written = [
        ("artifacts", &directories.artifacts, Verdict::Doubtful),
        ("environments", &directories.runtime_envs, Verdict::Doubtful),
        ("the journal", &session.config.worker.work_dir, Verdict::Doubtful),
    ];
    let written = written.into_iter().map(|(what, directory, verdict)| match try_to_write(directory) {
        Ok(()) => Check::fine(CATEGORY, format!("{what} can be written in {}", directory.display())),
        Err(error) => Check::not_fine(
            CATEGORY,
            verdict,
            format!("{what} cannot be written in {}: {error}", directory.display()),
            "mount a directory there that this user may write",
        ),
    });
    std::iter::once(packs).chain(written).collect()
}

/// What actions, which run as the same user, could find out.
fn credentials(session: &Session) -> Vec<Check> {
    const CATEGORY: &str = "credentials";
    let worker = &session.config.worker;
    let mut checks: Vec<_> = worker
        .confinement
        .exposed_files()
        .into_iter()
        .map(|Exposed { file, why }| {
            let detail = format!("actions can read {}, which holds a credential: {why}", file.display());
            Check::not_fine(CATEGORY, Verdict::Doubtful, detail, Exposed::HINT)
        })
        .collect();
    if !is_hardened() {
        let detail = "actions can read the worker's memory: dumps are allowed";
        let hint = "unset ATTUNE_ALLOW_DUMP once there is nothing to debug";
        checks.push(Check::not_fine(CATEGORY, Verdict::Doubtful, detail, hint));
    }
    if checks.is_empty() {
        checks.push(Check::fine(
            CATEGORY,
            "actions can read neither the worker's memory nor its credential files",
        ));
    }
    checks
}

/// A file that is made and removed at once.
fn try_to_write(directory: &Path) -> std::io::Result<()> {
    tempfile::NamedTempFile::new_in(directory).map(drop)
}

fn database_checks(examined: agent_core::Result<DatabaseFacts>) -> Vec<Check> {
    let facts = match examined {
        Ok(facts) => facts,
        Err(error) => return vec![Check::broken("database", &error)],
    };
    let encrypted = if facts.encrypted { "encrypted" } else { "not encrypted" };
    let mut checks = vec![Check::fine("database", format!("PostgreSQL {}, {encrypted}", facts.version))];
    checks.push(match facts.schema_problem {
        None => Check::fine("schema", "the control plane's tables are there"),
        Some((detail, hint)) => Check { category: "schema", verdict: Verdict::Broken, detail, hint },
    });
    let skew = format!("the database's clock differs by {} ms", facts.skew_ms);
    checks.push(if facts.skew_ms.abs() <= SKEW_MS {
        Check::fine("clock", skew)
    } else {
        let hint = "the agent goes by the database's clock; let both machines keep the time by NTP";
        Check::not_fine("clock", Verdict::Doubtful, skew, hint)
    });
    checks
}

fn print_table(checks: &[Check]) -> Result<(), Failure> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    for check in checks {
        let hint = check.hint.as_ref().map(|hint| format!("\n  hint: {hint}")).unwrap_or_default();
        let detail = format!("{}{hint}", check.detail);
        table.add_row([check.category.to_owned(), check.verdict.as_str().to_owned(), detail]);
    }
    print(&format!("{table}\n"))
}

fn print_json(checks: &[Check], failed: bool) -> Result<(), Failure> {
    let rows: Vec<_> = checks
        .iter()
        .map(|check| {
            json!({"category": check.category, "verdict": check.verdict.as_str(), "detail": check.detail,
                "hint": check.hint})
        })
        .collect();
    print(&format!("{}\n", json!({"healthy": !failed, "checks": rows})))
}
