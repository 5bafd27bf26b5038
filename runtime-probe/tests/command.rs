//! The `runtime-probe` command, as a user runs it.

#![cfg(feature = "cli")]

mod support;

use std::process::{Command, Output};

use serde_json::Value;
use support::{Elf, Root};

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_runtime-probe")).args(arguments).output().expect("the command runs")
}

#[test]
fn the_json_is_what_is_documented() {
    let root = Root::with_loaders();
    root.elf("/usr/bin/python3", &Elf::python(0x030c_01f0)).link("/usr/bin/ruby", "gone");
    let output = run(&["--root", root.host("/").to_str().unwrap(), "--json", "--never-ask"]);
    assert!(output.status.success());
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let keys: Vec<&String> = report.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["mode", "elapsed_us", "spawned", "cached", "runtimes", "rejected", "warnings", "gpus"]);
    assert_eq!((report["mode"].as_str(), report["spawned"].as_u64()), (Some("fast"), Some(0)));
    let python = &report["runtimes"][0];
    for (field, expected) in [
        ("name", "python"),
        ("path", "/usr/bin/python3"),
        ("found_as", "python3"),
        ("version", "3.12.1"),
        ("confidence", "exact"),
        ("implementation", "cpython"),
        ("arch", "x86_64"),
        ("libc", "glibc"),
    ] {
        assert_eq!(python[field].as_str(), Some(expected), "{field}");
    }
    assert_eq!(python["evidence"]["kind"].as_str(), Some("symbol"));
    let ruby = &report["rejected"][0];
    assert_eq!((ruby["name"].as_str(), ruby["reason"].as_str()), (Some("ruby"), Some("dangling")));
    assert_eq!(ruby["detail"].as_str(), Some("it points to gone, which does not exist"));
    // What is printed can be read back.
    let read: runtime_probe::Report = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(read.preferred("py").unwrap().version.as_deref(), Some("3.12.1"));
}

#[test]
fn the_table_is_for_people() {
    let root = Root::with_loaders();
    root.elf("/usr/bin/python3", &Elf::python(0x030c_01f0));
    let output = run(&["--root", root.host("/").to_str().unwrap()]);
    let text = String::from_utf8(output.stdout).unwrap();
    let row = text.lines().nth(1).unwrap();
    assert_eq!(row.split_whitespace().take(3).collect::<Vec<_>>(), ["python", "3.12.1", "/usr/bin/python3"]);
    assert!(text.trim_end().ends_with("and started nothing"), "{text}");
}

#[test]
fn disagreement_and_misuse_have_their_own_exit_codes() {
    let root = Root::new();
    root.program("/bin/elixir", b"#!/bin/sh\nELIXIR_VERSION=1.18.1\necho 1.18.2\n");
    let path = root.host("/bin");
    let compare = |path: &str| run(&["--mode", "compare", "--only-path", "--path", path]).status.code();
    assert_eq!(compare(path.to_str().unwrap()), Some(1));
    assert_eq!(compare("/nowhere"), Some(0));
    assert_eq!(run(&["--mode", "sideways"]).status.code(), Some(2));
    assert_eq!(run(&["--only", "cobol"]).status.code(), Some(2));
    let output = run(&["--root", "/nowhere/at/all"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("runtime-probe: read the root directory"));
}
