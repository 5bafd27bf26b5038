//! The chart, as it is rendered, in podman: what a cluster would be given, run as a kubelet runs it.

mod quickstart;
mod release;
mod rollout;

use chart_tests::engines::Rendered;
use chart_tests::objects::Object;
use container_tests::kubernetes::{Cluster, RunningPod};
use serde_json::Value;

use crate::dist::AGENT;
use crate::site::warnings;

/// Whether it is one of the pods that `helm test` runs, and no part of an installation.
fn is_test(object: &Value) -> bool {
    object["metadata"]["annotations"]["helm.sh/hook"] == "test"
}

/// Installs everything that was rendered; returns its pods once they are ready, or done.
fn install<'c>(cluster: &'c Cluster, rendered: &Rendered, revision: &str) -> Vec<RunningPod<'c>> {
    let objects = rendered.objects.iter().map(Object::value).filter(|object| !is_test(object));
    let objects: Vec<&Value> = objects.collect();
    cluster.apply(objects.iter().copied());
    let with_pods = |object: &&Value| object["spec"]["template"]["spec"].is_object();
    cluster.install(&objects.into_iter().filter(with_pods).collect::<Vec<_>>(), revision)
}

/// `helm test`: the pods of all its hooks, one after the other. What `doctor` warns of there is that no image knows the
/// chart's user, and nothing else.
#[track_caller]
fn helm_test(cluster: &Cluster, rendered: &Rendered) -> Vec<String> {
    let tests = rendered.objects.iter().map(Object::value).filter(|object| is_test(object));
    let told: Vec<String> = tests.map(|test| cluster.run(test)).collect();
    for line in told.iter().flat_map(|told| told.lines()).filter(|line| line.contains(" warning ")) {
        assert!(line.trim_start().starts_with("user "), "{}", told.join("\n"));
    }
    told
}

/// The pods of one component of the release, by the beginning of their names.
fn take<'c>(pods: &mut Vec<RunningPod<'c>>, prefix: &str) -> Vec<RunningPod<'c>> {
    pods.extract_if(.., |pod| pod.name().starts_with(prefix)).collect()
}

/// Runs an action in a pool, asked for from one of its workers, as NOTES.txt tells to; returns what came of it.
#[track_caller]
fn submit(worker: &RunningPod<'_>, pool: &str, action: &str) -> Value {
    let select = format!("pool={pool}");
    let words = [AGENT, "submit", action, "--direct", "--wait", "--json", "--select", &select];
    serde_json::from_str(&worker.exec("worker", &words).stdout).expect("JSON")
}

/// Ends a worker as a kubelet does: it leaves in order, and has warned of nothing.
#[track_caller]
fn assert_drains(worker: &mut RunningPod<'_>) {
    assert_eq!(worker.stop(), [0], "{}", worker.log());
    let log = worker.said("worker");
    assert!(warnings(&log).is_empty(), "{}: {log}", worker.name());
}
