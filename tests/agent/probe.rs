use crate::support::{Ran, agent};

#[test]
fn probe_prints_the_documented_json() {
    let report = Ran::of(agent().args(["probe", "--mode", "full", "--json"])).json();
    assert_eq!(report["mode"], "full");
    assert!(report["elapsed_us"].is_u64() && report["spawned"].is_u64(), "{report}");
    let shell =
        report["runtimes"].as_array().unwrap().iter().find(|row| row["name"] == "shell").expect("a shell");
    for field in ["name", "path", "found_as", "version", "evidence", "confidence"] {
        assert!(shell.get(field).is_some(), "{field} in {shell}");
    }
    assert!(report["rejected"].is_array());
}

#[test]
fn probe_prints_a_table_for_people() {
    let ran = Ran::of(agent().arg("probe"));
    assert_eq!(ran.code, 0);
    assert!(ran.stdout.contains("shell") && ran.stdout.contains("/bin/"), "{}", ran.stdout);
}

#[test]
fn detect_only_ends_with_a_line_for_scripts_and_needs_nothing() {
    let ran = Ran::of(agent().arg("--detect-only").env("ATTUNE_CONFIG", "/nowhere.yaml"));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let last = ran.stdout.lines().last().unwrap();
    let runtimes: Vec<_> = last.strip_prefix("ATTUNE_WORKER_RUNTIMES=").expect(last).split(',').collect();
    assert!(runtimes.contains(&"shell") && runtimes.contains(&"python"), "{last}");
}

#[test]
fn compare_holds_what_was_read_against_what_is_said() {
    let agrees = Ran::of(agent().args(["probe", "--mode", "compare", "--only", "shell,perl,python"]));
    assert_eq!(agrees.code, 0, "{}{}", agrees.stdout, agrees.stderr);
    // A perl that lies about its version, beside the file that says the truth.
    let directory = tempfile::tempdir().unwrap();
    let liar = directory.path().join("perl");
    std::fs::write(&liar, "#!/bin/sh\necho 'This is perl 5, version 1, subversion 1 (v5.1.1)'\n").unwrap();
    std::fs::set_permissions(&liar, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let hints = directory.path().join("hints.yaml");
    std::fs::write(
        &hints,
        format!("runtimes:\n  - {{name: perl, path: {}, version: 5.36.0}}\n", liar.display()),
    )
    .unwrap();
    let mut command = agent();
    command
        .args(["probe", "--mode", "compare", "--only", "perl", "--only-path", "--path"])
        .arg(directory.path());
    let disagrees = Ran::of(command.arg("--hints").arg(&hints));
    assert_eq!(disagrees.code, 1, "{}{}", disagrees.stdout, disagrees.stderr);
}
