//! Versions of runtimes (CONTRACT §3.3), what an action requires beside its own, and code that is in no file (§3.4).

use serde_json::json;

use crate::site::{PATIENCE, Site};
use crate::wire::{EVENTS, Wire, until};

/// The versions of the shell that the worker shows.
const SHOWN: &str = "SELECT capabilities->'runtime_versions'->'shell' FROM worker WHERE name = 'w'";

/// Declares a version of the shell whose actions see `WHICH`.
fn declare(wire: &Wire, version: &str) {
    wire.execute(&format!(
        "INSERT INTO runtime_version (runtime, runtime_ref, version, execution_config, is_default, available)
         SELECT id, ref, '{version}', execution_config || '{{\"env_vars\": {{\"WHICH\": \"{version}\"}}}}', false, false
         FROM runtime WHERE ref = 'core.shell'"
    ));
}

/// The exact version of bash here, and its major version.
fn bash(wire: &Wire) -> (String, String) {
    let exact = wire.value(
        "SELECT i->>'version' FROM worker, jsonb_array_elements(capabilities->'detected_interpreters') i
         WHERE worker.name = 'w' AND i->>'path' LIKE '%/bash' LIMIT 1",
    );
    let exact = exact.as_str().expect("this machine has a bash").to_owned();
    let major = exact.split('.').next().unwrap_or_default().to_owned();
    (exact, major)
}

#[test]
fn a_declared_version_is_shown_and_its_own_configuration_counts() {
    let site = Site::shared("version_declared");
    let wire = Wire::new(&site);
    site.action("which", "echo \"${WHICH:-none}\"\n", "");
    let worker = site.worker("w");
    let number = wire.worker("w");
    let which = |wire: &Wire| {
        wire.run(number, "my.which", &json!({}))["stdout"].as_str().expect("text").trim_end().to_owned()
    };
    assert_eq!(which(&wire), "none");
    let (exact, major) = bash(&wire);
    let shown = |version: &str| {
        wire.value(SHOWN).as_array().is_some_and(|versions| versions.contains(&json!(version)))
    };
    assert!(shown(&exact) && !shown(&major), "{}", wire.value(SHOWN));

    declare(&wire, "1");
    declare(&wire, &major);
    // Whoever else verified the version in another image has nothing to say about this one.
    assert_eq!(which(&wire), major);
    let news = json!({"pack_id": 1, "pack_ref": "core", "version": "0.1.0", "runtime_names": ["shell"]});
    wire.send(EVENTS, "pack.registered", "PackRegistered", &news);
    assert!(until(PATIENCE, || shown(&major)), "{}", wire.value(SHOWN));
    assert!(shown(&exact));
    worker.drain();
    // A start finds it at once.
    let worker = site.worker("w");
    assert!(shown(&exact) && shown(&major), "{}", wire.value(SHOWN));
    worker.drain();
}

#[test]
fn what_the_image_does_not_satisfy_fails_with_what_it_has() {
    let site = Site::shared("version_missing");
    let wire = Wire::new(&site);
    site.action("new", "true\n", "runtime_version_constraint: '>=99'\n");
    site.action("odd", "true\n", "runtime_version_constraint: latest\n");
    site.action("both", "true\n", "required_worker_runtimes: {cobol: '>=1'}\n");
    let worker = site.worker("w");
    let number = wire.worker("w");
    let (exact, major) = bash(&wire);
    site.action("fits", "echo fits\n", &format!("runtime_version_constraint: '{major}'\n"));
    for (action, reason, hint) in [
        ("my.new", "runtime_version_missing", exact.as_str()),
        ("my.odd", "constraint_invalid", ">=3.10"),
        ("my.both", "required_runtime_missing", "no cobol"),
    ] {
        let result = wire.run(number, action, &json!({}));
        assert_eq!(result["_agent"]["reason"], reason, "{result}");
        assert!(result["_agent"]["hint"].as_str().is_some_and(|said| said.contains(hint)), "{result}");
        assert!(result["error"].as_str().is_some_and(|said| said.contains(action)), "{result}");
    }
    assert_eq!(wire.run(number, "my.fits", &json!({}))["stdout"], "fits\n");
    worker.drain();
}

#[test]
fn the_code_of_an_ad_hoc_action_runs_with_its_parameters_as_variables() {
    let site = Site::shared("ad_hoc");
    let wire = Wire::new(&site);
    site.action("code", "", "");
    site.action("typo", "", "");
    let code = "echo \"$name|$PARAM_N|$a_b\"\nwc -c\nls -l \"$0\" | cut -c1-10\nenv | grep -c Ada";
    wire.execute(&format!(
        "UPDATE action SET is_adhoc = true, entrypoint = $q${code}$q$ WHERE ref = 'my.code'"
    ));
    wire.execute("UPDATE action SET entrypoint = 'typo.hs' WHERE ref = 'my.typo'");
    let worker = site.worker("w");
    let number = wire.worker("w");
    let parameters = json!({"name": "Ada's $(id)", "n": 3, "a-b": "x"});
    let result = wire.run(number, "my.code", &parameters);
    // Nothing on standard input, nothing in the environment, and nobody else may read the script.
    assert_eq!(result["stdout"], "Ada's $(id)|3|x\n0\n-r--------\n0\n", "{result}");
    assert_eq!(wire.run(number, "my.typo", &json!({}))["_agent"]["reason"], "entrypoint_missing");
    let left = std::fs::read_dir(site.path("work/w.private")).expect("the worker's own directory");
    assert_eq!(left.count(), 0, "private files go with their executions");
    worker.drain();
}
