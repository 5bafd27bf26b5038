use crate::support::{Ran, agent};

#[test]
fn the_version_names_commit_and_target() {
    let ran = Ran::of(agent().arg("--version"));
    assert_eq!(ran.code, 0);
    assert!(
        ran.stdout.starts_with(concat!("attune-agent ", env!("CARGO_PKG_VERSION"), " (commit ")),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.contains("-linux-"), "{}", ran.stdout);
}

#[test]
fn help_has_every_exit_code_that_a_test_here_sees() {
    let ran = Ran::of(agent().arg("--help"));
    for code in ["\n  0 ", "\n  1 ", "\n  2 ", "\n  65 ", "\n  71 ", "\n  73 ", "\n  130 "] {
        assert!(ran.stdout.contains(code), "{code:?} in {}", ran.stdout);
    }
}
