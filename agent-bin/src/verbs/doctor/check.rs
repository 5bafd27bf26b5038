//! One thing that was looked at, and how that is shown.

use comfy_table::{Table, presets};
use serde_json::json;

use crate::exit::{Failure, print};

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
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
pub(super) struct Check {
    category: &'static str,
    verdict: Verdict,
    detail: String,
    hint: Option<String>,
}

impl Check {
    pub(super) fn fine(category: &'static str, detail: impl Into<String>) -> Self {
        Self { category, verdict: Verdict::Fine, detail: detail.into(), hint: None }
    }

    pub(super) fn doubtful(
        category: &'static str,
        detail: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self { category, verdict: Verdict::Doubtful, detail: detail.into(), hint: Some(hint.into()) }
    }

    pub(super) fn broken(category: &'static str, detail: impl Into<String>, hint: Option<String>) -> Self {
        Self { category, verdict: Verdict::Broken, detail: detail.into(), hint }
    }

    /// What an error says.
    pub(super) fn failed(category: &'static str, error: &agent_core::Error) -> Self {
        Self::broken(category, error.to_string(), error.hint_text().map(str::to_owned))
    }

    /// With what may be done about it, though nothing has to be.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Whether a worker can do with what was found.
pub(super) fn is_healthy(checks: &[Check]) -> bool {
    checks.iter().all(|check| check.verdict != Verdict::Broken)
}

/// Shows them to people, or to programs.
pub(super) fn show(checks: &[Check], as_json: bool) -> Result<(), Failure> {
    if as_json { print_json(checks) } else { print_table(checks) }
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

fn print_json(checks: &[Check]) -> Result<(), Failure> {
    let rows: Vec<_> = checks
        .iter()
        .map(|check| {
            json!({"category": check.category, "verdict": check.verdict.as_str(), "detail": check.detail,
                "hint": check.hint})
        })
        .collect();
    print(&format!("{}\n", json!({"healthy": is_healthy(checks), "checks": rows})))
}
