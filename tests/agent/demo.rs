use crate::support::{Ran, agent};

#[test]
fn demo_runs_an_example_in_every_interpreter_and_leaves_nothing() {
    let scratch = tempfile::tempdir().unwrap();
    let probed = Ran::of(agent().args(["probe", "--json"])).json();
    let found = probed["runtimes"].as_array().unwrap();
    // Twice, because it must not need cleaning up in between.
    for _ in 0..2 {
        let ran = Ran::of(agent().arg("demo").env("TMPDIR", scratch.path()));
        assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
        let rows: Vec<_> = ran.stdout.lines().skip(2).take_while(|line| !line.is_empty()).collect();
        assert_eq!(rows.len(), found.len(), "{}", ran.stdout);
        for (row, interpreter) in rows.iter().zip(found) {
            assert!(row.contains(interpreter["path"].as_str().unwrap()), "{row}");
            if let Some(version) = interpreter["version"].as_str() {
                assert!(row.contains(version), "{row}");
            }
            assert!(row.contains("completed") || row.contains("no example"), "{row}");
        }
        assert!(rows.iter().any(|row| row.contains("examples.shell_facts")), "{}", ran.stdout);
    }
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0, "something was left behind");
}
