//! `--detect-only`: a report for people, then one line for scripts (CONTRACT §4.2). Needs no configuration.

use std::process::ExitCode;

use agent_core::worker::available;

use crate::exit::{Failure, print};
use crate::lookup;

const OVERRIDE: &str = "ATTUNE_WORKER_RUNTIMES";

pub(crate) fn run() -> Result<ExitCode, Failure> {
    let found = lookup::interpreters()?;
    let mut text = "=== Interpreters in this container ===\n\n".to_owned();
    for interpreter in &found.runtimes {
        let version = interpreter.version.as_deref().unwrap_or("version unknown");
        text.push_str(&format!("  {:<12} {} ({version})\n", interpreter.name, interpreter.path.display()));
    }
    if found.runtimes.is_empty() {
        text.push_str("  none: only native actions can run here\n");
    }
    if std::env::var_os(OVERRIDE).is_some_and(|value| !value.is_empty()) {
        text.push_str(&format!("\nNOTE: {OVERRIDE} is set; this is what would be found without it.\n"));
    }
    let mut runtimes = available(&found);
    // Needs no detection, so it is not something that was detected.
    runtimes.retain(|runtime| runtime != "native");
    text.push_str(&format!("\n{OVERRIDE}={}\n", runtimes.join(",")));
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}
