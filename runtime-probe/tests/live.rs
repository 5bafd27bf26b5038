//! The interpreters of this very machine: what is read must be what they say.

use runtime_probe::{Options, Verdict, compare};

#[test]
fn every_version_read_here_is_the_version_said_here() {
    let comparison = compare(&Options::default()).unwrap();
    let different: Vec<_> = comparison.rows.iter().filter(|row| row.verdict == Verdict::Different).collect();
    assert!(different.is_empty(), "{different:#?}");
    println!("{comparison}");
}
