//! What a worker offers (CONTRACT §4.2), and the rows for runtimes that nobody else knows (§4.3).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::site::{Site, Worker, golden};
use crate::wire::Wire;

const CAPABILITIES: &str = "SELECT capabilities FROM worker WHERE name = 'w'";

fn texts(value: &Value) -> Vec<String> {
    let list = value.as_array().expect("a list").iter();
    list.map(|text| text.as_str().expect("text").to_owned()).collect()
}

#[test]
fn a_worker_offers_what_it_is_told_to_by_any_name_and_only_what_is_there() {
    let site = Site::shared("offer");
    let wire = Wire::new(&site);
    site.worker("all").drain();
    let all = wire.value("SELECT capabilities->'runtimes' FROM worker WHERE name = 'all'");
    let there: BTreeSet<String> = texts(&all).into_iter().collect();
    assert!(there.contains("native"), "what runs itself needs nothing: {there:?}");

    let mut command = site.worker_command("w");
    // Aliases, another spelling, a repetition, blanks, and one that no machine has.
    command.env("ATTUNE_WORKER_RUNTIMES", " nodejs,BASH, python3 ,sh,,cobol,rscript");
    let worker = Worker::spawn(&mut command);
    worker.wait_for("the worker takes work");
    let capabilities = wire.value(CAPABILITIES);
    let wanted = ["node", "shell", "python", "cobol", "r"];
    let (offered, missing): (Vec<_>, Vec<_>) = wanted.iter().partition(|name| there.contains(**name));
    assert_eq!(capabilities["runtimes"], json!(offered), "in the order in which they were asked for");
    assert!(offered.contains(&&"shell") && missing.contains(&&"cobol"));
    assert_eq!(
        wire.value("SELECT meta->'agent'->'missing_runtimes' FROM worker WHERE name = 'w'"),
        json!(missing)
    );
    let offered: BTreeSet<_> = offered
        .into_iter()
        .map(|name| json!(name))
        .collect::<Vec<_>>()
        .iter()
        .map(Value::to_string)
        .collect();
    for interpreter in capabilities["detected_interpreters"].as_array().expect("a list") {
        assert!(offered.contains(&interpreter["name"].to_string()), "{interpreter}");
    }
    for name in capabilities["runtime_versions"].as_object().expect("an object").keys() {
        assert!(offered.contains(&json!(name).to_string()), "{name}");
    }
    let log = worker.drain().join("\n");
    for name in missing {
        let said =
            log.lines().any(|line| line.contains(" WARN ") && line.contains(&format!("runtime={name:?}")));
        assert!(said, "{name}: {log}");
    }
}

#[test]
fn a_worker_that_can_offer_nothing_of_what_it_is_told_to_offers_nothing() {
    let site = Site::shared("offer_none");
    let wire = Wire::new(&site);
    let mut command = site.worker_command("w");
    let worker = Worker::spawn(command.env("ATTUNE_WORKER_RUNTIMES", "cobol"));
    worker.wait_for("the worker takes work");
    assert_eq!(wire.value(CAPABILITIES)["runtimes"], json!([]));
    worker.drain();
}

#[test]
fn a_runtime_that_the_control_plane_does_not_know_gets_a_row_that_serves_every_image() {
    let site = Site::shared("auto");
    let wire = Wire::new(&site);
    // A control plane that knows the shell by its reference alone, and another by an alias alone.
    wire.execute(
        "UPDATE action SET runtime = NULL;
         DELETE FROM runtime WHERE ref NOT IN ('core.shell', 'core.python');
         UPDATE runtime SET ref = 'theirs.snake', aliases = '{python}', description = 'theirs' WHERE ref = 'core.python';
         UPDATE runtime SET aliases = '{}', description = 'theirs' WHERE ref = 'core.shell'",
    );
    let before = wire.rows("SELECT * FROM runtime ORDER BY ref");
    let worker = site.worker("w");
    let offered: BTreeSet<String> = texts(&wire.value(CAPABILITIES)["runtimes"]).into_iter().collect();
    let added = wire.rows("SELECT * FROM runtime WHERE auto_detected ORDER BY ref");
    let others = wire.rows("SELECT * FROM runtime WHERE NOT auto_detected ORDER BY ref");
    assert_eq!(others, before, "what is known is not touched");
    let names: BTreeSet<_> = added.iter().map(|row| row["ref"].as_str().expect("text").to_owned()).collect();
    assert!(!names.contains("auto.shell") && !names.contains("auto.python"), "{names:?}");
    for row in &added {
        assert_auto(row, &offered);
    }
    // Every one of the reference's that is offered here has one.
    for name in ["node", "ruby", "go", "java", "r", "perl", "native"] {
        assert_eq!(
            names.contains(&format!("auto.{name}")),
            offered.contains(name),
            "{name}: {names:?} of {offered:?}"
        );
    }
    assert!(!added.is_empty());
    worker.drain();

    // The next start finds them and adds nothing.
    site.worker("w").drain();
    assert_eq!(wire.rows("SELECT * FROM runtime WHERE auto_detected ORDER BY ref"), added);
}

fn assert_auto(row: &Value, offered: &BTreeSet<String>) {
    let canonical = row["ref"].as_str().and_then(|name| name.strip_prefix("auto.")).expect("a name of ours");
    assert!(offered.contains(canonical), "{row}");
    assert_eq!((&row["pack"], &row["pack_ref"]), (&Value::Null, &Value::Null));
    let aliases = texts(&row["aliases"]);
    assert!(
        aliases.contains(&canonical.to_owned()) && aliases.iter().all(|alias| *alias == alias.to_lowercase())
    );
    assert_eq!(row["detection_config"]["detected_name"], canonical);
    // No path of this image, in any column.
    let text = row.to_string();
    for place in ["/usr/", "/bin/", "/opt/", "/root/", "/home/"] {
        assert!(!text.contains(place), "{place} in {text}");
    }
    // As the reference's own rows are: an interpreter is a name, and the extension has its dot.
    let interpreter = &row["execution_config"]["interpreter"];
    if canonical != "native" {
        assert!(interpreter["binary"].as_str().is_some_and(|binary| !binary.is_empty()), "{row}");
        assert!(
            interpreter["file_extension"].as_str().is_some_and(|extension| extension.starts_with('.')),
            "{row}"
        );
    }
    if canonical == "native" {
        return;
    }
    for recorded in golden("runtime-rows.json").as_array().expect("a list") {
        if texts(&recorded["aliases"]).contains(&canonical.to_owned()) {
            assert_eq!(interpreter["binary"], recorded["execution_config"]["interpreter"]["binary"], "{row}");
            assert_eq!(interpreter["args"], recorded["execution_config"]["interpreter"]["args"], "{row}");
        }
    }
}
