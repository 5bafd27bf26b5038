//! What a schema declares secret is covered wherever people look, without any control plane too.

use crate::support::{Plane, Ran, agent};

const SECRET: &str = "correct-horse-battery";

/// Prints its parameter in two pieces, as base64 and on standard error.
const SCRIPT: &str = "read -r line; s=${line#*':\"'}; s=${s%%'\"'*}; rest=${s#????????}\n\
    printf %s \"${s%\"$rest\"}\"; sleep 0; printf '%s\\n' \"$rest\"; printf %s \"$s\" | base64; echo \"no $s\" >&2; exit 3\n";

fn plane() -> Plane {
    let plane = Plane::new();
    plane.action("login", SCRIPT, "parameters:\n  password: {type: string, secret: true}\n");
    plane
}

#[test]
fn a_secret_parameter_is_covered_in_what_is_shown_and_in_the_result() {
    let plane = plane();
    let param = format!("password={SECRET}");
    let packs = plane.path().join("packs");
    let ran = Ran::of(agent().args(["exec", "my.login", "--param", &param, "--packs-dir"]).arg(packs));
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let result = ran.json();
    assert_eq!((&result["stdout"], &result["error"]), (&"***\n***\n".into(), &"no ***".into()), "{result}");
    assert!(ran.stderr.contains("***\n***\n") && ran.stderr.contains("no ***"), "{}", ran.stderr);
    assert!(!ran.stdout.contains(SECRET) && !ran.stderr.contains(SECRET), "{}", ran.stderr);
    // What is too short to be covered without covering half of everything else is said, and said without the value.
    let ran = Ran::of(
        agent()
            .args(["exec", "my.login", "--param", "password=hush", "--packs-dir"])
            .arg(plane.path().join("packs")),
    );
    let warning = ran.stderr.lines().find(|line| line.contains("is not covered"));
    let warning = warning.unwrap_or_else(|| panic!("{}", ran.stderr));
    assert!(warning.contains("`password` of my.login") && !warning.contains("hush"), "{warning}");
}

#[test]
fn a_worker_covers_it_in_its_log_files_too() {
    let plane = plane();
    let _worker = plane.worker();
    let result = plane.run(&["my.login", "--param", &format!("password={SECRET}")]);
    assert_eq!(result["error"], "no ***", "{result}");
    let log = std::fs::read_to_string(result["stderr_log"].as_str().expect("a path")).expect("a log");
    assert_eq!(log, "no ***\n");
}
