//! Prints a table of the reference page that only the library knows: `settings` or `reasons`. Run by
//! `cargo xtask docs`.
//!
//! An example, because examples may have what `xtask` itself must not: dependencies.

#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use std::process::ExitCode;

use agent_core::config::SETTINGS;
use agent_core::model::Reason;

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("settings") => settings(),
        Some("reasons") => reasons(),
        _ => return ExitCode::from(2),
    }
    ExitCode::SUCCESS
}

fn settings() {
    row(["setting", "variables", "default", "takes", "what it is for"]);
    row(["---"; 5]);
    for setting in SETTINGS {
        let variables: Vec<_> = setting.variables().iter().map(|name| code(name)).collect();
        let default = setting.default.map_or_else(String::new, code);
        row([&code(setting.key), &variables.join(", "), &default, &setting.takes.to_string(), setting.about]);
    }
}

fn reasons() {
    row(["reason", "status", "meaning", "hint"]);
    row(["---"; 4]);
    for reason in Reason::ALL {
        let hint = reason.hint().unwrap_or_default();
        row([&code(reason.code()), reason.status().as_str(), reason.meaning(), hint]);
    }
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

/// A row of a Markdown table, in which a bar inside a cell would begin another.
fn row<const N: usize>(cells: [&str; N]) {
    println!("| {} |", cells.map(|cell| cell.replace('|', "\\|")).join(" | "));
}
