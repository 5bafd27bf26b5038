//! Prints a table that only a library knows: `settings`, `reasons`, `result` or `catalogue`. Run by `cargo xtask docs`.
//!
//! An example, because examples may have what `xtask` itself must not: dependencies.

#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use std::process::ExitCode;

use agent_core::config::SETTINGS;
use agent_core::model::{Reason, ResultField};

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("settings") => settings(),
        Some("reasons") => reasons(),
        Some("result") => result(),
        Some("catalogue") => catalogue(),
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

/// What a result holds, by the names that it has in its row and in what is printed of it.
fn result() {
    row(["in `execution.result`", "whose", "printed as", "what it is", "what it says"]);
    row(["---"; 5]);
    for field in ResultField::ALL {
        let whose = if field.is_of_reference() { "Attune's" } else { "this agent's" };
        row([&code(field.place()), whose, &code(field.shown()), field.holds(), field.meaning()]);
    }
}

/// What is looked for in an image, in the order in which it is reported.
fn catalogue() {
    row(["runtime", "also called", "programs that are looked for", "source files"]);
    row(["---"; 4]);
    for runtime in runtime_probe::catalogue::all() {
        let aliases: Vec<_> = runtime.aliases.iter().map(|alias| code(alias)).collect();
        let named = |program: &runtime_probe::catalogue::Program| {
            let plain = program.names.iter().map(|name| code(name));
            let versioned = program.versioned.iter().map(|family| code(&format!("{}*", family.prefix)));
            plain.chain(versioned).collect::<Vec<_>>()
        };
        let mut programs: Vec<_> = runtime.programs.iter().flat_map(named).collect();
        let mut seen = std::collections::HashSet::new();
        programs.retain(|program| seen.insert(program.clone()));
        row([&code(runtime.name), &aliases.join(", "), &programs.join(", "), &code(runtime.extension)]);
    }
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

/// A row of a Markdown table, in which a bar inside a cell would begin another.
fn row<const N: usize>(cells: [&str; N]) {
    println!("| {} |", cells.map(|cell| cell.replace('|', "\\|")).join(" | "));
}
