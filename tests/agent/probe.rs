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
