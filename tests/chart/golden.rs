//! What each of the chart's cases renders to, written down, so that a change of the chart is seen whole in review. What is in
//! them is right because the other tests say so, not because it is written down.

use std::fmt::Write;
use std::path::Path;

use chart_tests::engines::{Case, Rendered, cases_of_chart};

/// Set to anything, writes the files anew.
const WRITE: &str = "CHART_GOLDEN_WRITE";

/// The texts in the order of their paths, without what is made anew each time.
fn golden(rendered: &Rendered) -> String {
    let mut all = String::new();
    for (path, text) in &rendered.texts {
        let secret = path.ends_with("quickstart/secret.yaml");
        writeln!(all, "# {path}").expect("a string takes all");
        for line in text.trim().lines() {
            match line.split_once(": \"").filter(|_| secret) {
                Some((key, _)) => writeln!(all, "{key}: MADE-ONCE"),
                None => writeln!(all, "{}", line.trim_end()),
            }
            .expect("a string takes all");
        }
    }
    all
}

#[test]
fn everything_is_as_it_was_reviewed() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    for name in cases_of_chart() {
        let path = directory.join(format!("{name}.yaml"));
        let now = golden(&Case::of_chart(&name).rendered());
        if std::env::var_os(WRITE).is_some() {
            std::fs::write(&path, &now).expect("a writable directory");
        }
        let then = std::fs::read_to_string(&path).unwrap_or_default();
        let same = now.lines().zip(then.lines()).take_while(|(now, then)| now == then).count();
        let line = now.lines().nth(same);
        assert_eq!(now, then, "{name}.yaml, from line {}: {line:?}; {WRITE}=1 writes it anew", same + 1);
    }
}
