//! The quickstart: servers, jobs and pools, from nothing, and once more on what they left.

use chart_tests::engines::{Case, Rendered, render_beside};
use container_tests::Engine;
use container_tests::kubernetes::{Cluster, RunningPod};

use super::{assert_drains, helm_test, install, submit, take};
use crate::dist;

const SECRET: &str = "rel-attune-quickstart";

/// The pools, and an action for what each image has.
const POOLS: &[(&str, &str)] = &[("python", "examples.python_words"), ("busybox", "examples.shell_facts")];

#[test]
fn the_quickstart_runs_and_a_second_run_finds_everything_in_place() {
    let Some(engine) = Engine::shared() else { return };
    let cluster = Cluster::alone(engine, "quickstart")
        .image("registry.example.com/attune/agent:", dist::loader().into());
    let case = Case::of_chart("quickstart");
    let first = render_beside(&case, &[]);
    run(&cluster, &first, "first", 1);
    // Nothing runs any more; the secret and the claims are there, as after `helm uninstall`.
    let second = render_beside(&case, &[first.find("Secret", SECRET).value().clone()]);
    run(&cluster, &second, "second", 2);
}

/// From the installation to the end of every pod; it is the release's run of this number.
fn run(cluster: &Cluster, rendered: &Rendered, revision: &str, number: usize) {
    let mut pods = install(cluster, rendered, revision);
    let told = helm_test(cluster, rendered);
    assert_eq!(told.len(), 2 * POOLS.len(), "what is there, and one execution");
    let database = take(&mut pods, "rel-attune-postgresql").pop().expect("a database");
    for (pool, action) in POOLS {
        let workers = take(&mut pods, &format!("rel-attune-agent-worker-{pool}"));
        let [mut worker] = <[_; 1]>::try_from(workers).expect("one worker");
        let ended = submit(&worker, pool, action);
        assert_eq!(ended["status"], "completed", "{ended}");
        // What `helm test` ran, and this, in each run.
        let of_pool = format!(
            "execution e JOIN attune.worker w ON w.id = e.worker WHERE w.capabilities->'labels'->>'pool' = '{pool}'"
        );
        let counted = ask(
            &database,
            &format!("SELECT count(*), min(e.status::text), max(e.status::text) FROM attune.{of_pool}"),
        );
        assert_eq!(counted, format!("{}|completed|completed", 2 * number), "{pool}");
        assert!(worker.volume("packs").path().join("examples/pack.yaml").is_file(), "{pool}");
        worker.assert_live();
        assert_drains(&mut worker);
        let status = format!("SELECT status FROM attune.worker WHERE name = '{}'", worker.name());
        assert_eq!(ask(&database, &status), "inactive");
    }
    let mut broker = take(&mut pods, "rel-attune-rabbitmq").pop().expect("a broker");
    assert_eq!(broker.stop(), [0], "{}", broker.log());
    let mut database = database;
    assert_eq!(database.stop(), [0], "{}", database.log());
}

/// The only row of a query.
#[track_caller]
fn ask(database: &RunningPod<'_>, query: &str) -> String {
    let words =
        ["psql", "--no-psqlrc", "--tuples-only", "--no-align", "--username=attune", "--command", query];
    database.exec("postgresql", &words).stdout.trim().to_owned()
}
