//! Records the commit and the target for `--version`.

use std::path::Path;
use std::process::Command;

fn main() {
    let target = std::env::var("TARGET").unwrap_or_else(|_| "unknown target".to_owned());
    println!("cargo::rustc-env=ATTUNE_TARGET={target}");
    // A release archive has no repository; its builder names the commit.
    println!("cargo::rerun-if-env-changed=ATTUNE_BUILD_COMMIT");
    let commit =
        std::env::var("ATTUNE_BUILD_COMMIT").ok().or_else(head).unwrap_or_else(|| "unknown".to_owned());
    println!("cargo::rustc-env=ATTUNE_COMMIT={commit}");
}

fn head() -> Option<String> {
    let git = |arguments: &[&str]| {
        let output =
            Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
        String::from_utf8(output.stdout).ok().map(|text| text.trim().to_owned())
    };
    // HEAD's log changes with every commit and check-out, whatever branch is on.
    let log = git(&["rev-parse", "--path-format=absolute", "--git-path", "logs/HEAD"])?;
    if Path::new(&log).exists() {
        println!("cargo::rerun-if-changed={log}");
    }
    git(&["rev-parse", "--short=12", "HEAD"])
}
