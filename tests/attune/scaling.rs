//! The number by which the chart's pools are scaled, asked of a real database.

use serde_json::json;

use crate::site::{Gate, Site, Worker};
use crate::wire::Wire;

/// The chart's query for its pool `bursts`, as it is rendered.
fn query() -> String {
    let rendered = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/chart/golden/keda.yaml");
    let rendered = std::fs::read_to_string(rendered).expect("the rendered chart");
    let line = rendered.lines().find_map(|line| line.trim().strip_prefix("query: \"")).expect("a query");
    line.strip_suffix('"').expect("one line").to_owned()
}

fn labelled(site: &Site, name: &str, pool: &str) -> Worker {
    let mut command = site.worker_command(name);
    command
        .env("ATTUNE__WORKER__LABELS", json!({ "pool": pool, "release": "rel" }).to_string())
        .env("ATTUNE__WORKER__MAX_CONCURRENT_TASKS", "1")
        .env("ATTUNE_WORK_DIR", site.path(&format!("work-{name}")));
    let worker = Worker::spawn(&mut command);
    worker.wait_for("the worker takes work");
    worker
}

#[test]
fn what_waits_and_runs_in_a_pool_is_counted_and_nothing_else() {
    let site = Site::shared("scaling");
    let wire = Wire::new(&site);
    let gate = Gate::new(&site, "gate");
    site.action("waits", &gate.wait(), "");
    let _workers = [labelled(&site, "ours", "bursts"), labelled(&site, "theirs", "other")];
    let query = query();
    assert_eq!(wire.value(&query), 0);
    for pool in ["bursts", "bursts", "bursts", "other"] {
        site.expect(&["submit", "my.waits", "--direct", "--select", &format!("pool={pool}")]);
    }
    // One runs, two wait in the worker's queue.
    wire.await_value("SELECT count(*) FROM execution WHERE status = 'running'", &json!(2));
    assert_eq!(wire.value(&query), 3);
    gate.open(4);
    wire.await_value(&query, &json!(0));
}
