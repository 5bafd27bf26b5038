//! Installing the same again: an upgrade that changes nothing is none.

use serde_json::{Value, json};

use chart_tests::engines::{Case, ENGINES, Rendered, cases_of_chart, render_beside, try_beside};
use chart_tests::objects::Object;

/// Everything that values can empty: each field that the chart would pass on is left out then.
const EMPTIED: &str = "
quickstart:
  enabled: true
  resources: {requests: null}
  postgresql: &server
    resources: {requests: null}
    podSecurityContext: &nothing
      {runAsNonRoot: null, runAsUser: null, runAsGroup: null, fsGroup: null, fsGroupChangePolicy: null, seccompProfile: null}
  rabbitmq: *server
wait: {timeout: 0, resources: {requests: null}}
agentWorkers:
  - name: a
    image: b
    podSecurityContext: *nothing
    securityContext: {allowPrivilegeEscalation: null, readOnlyRootFilesystem: null, capabilities: null}
    probes: {startup: {periodSeconds: null, timeoutSeconds: null, failureThreshold: null}}
    networkPolicy: {enabled: true, ingress: [], extraEgress: []}
    serviceAccount: {create: true, annotations: {}}
    resources: {}
    podAnnotations: {}
    hints: {}
";

/// Maps that mean something when they are empty, and are kept.
const MEANT: [&str; 1] = ["emptyDir"];

/// Where something stands that no server keeps: null, an empty list, an empty map.
fn dropped(value: &Value, path: &str, found: &mut Vec<String>) {
    let is_empty = match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty() && !MEANT.iter().any(|meant| path.ends_with(meant)),
        _ => false,
    };
    if is_empty {
        found.push(format!("{path}: {value}"));
    }
    for (key, below) in value.as_object().into_iter().flatten() {
        dropped(below, &format!("{path}.{key}"), found);
    }
    for (index, below) in value.as_array().into_iter().flatten().enumerate() {
        dropped(below, &format!("{path}[{index}]"), found);
    }
}

/// A server that is sent what it does not keep finds it changed by every upgrade, and counts a generation more: a policy's rules
/// are then written anew on every node.
#[test]
fn nothing_is_rendered_that_a_server_would_not_keep() {
    let cases = cases_of_chart().into_iter().map(|name| Case::of_chart(&name)).chain([Case::new(EMPTIED)]);
    for case in cases {
        for engine in ENGINES {
            for object in &case.rendered_by(engine).objects {
                let mut found = Vec::new();
                dropped(object.value(), "", &mut found);
                assert!(found.is_empty(), "{engine:?}, {} {}: {found:?}", object.kind(), object.name());
            }
        }
    }
}

#[test]
fn what_a_server_would_not_keep_is_noticed() {
    let mut found = Vec::new();
    let object =
        json!({ "a": [], "b": [{ "c": {} }], "d": null, "volumes": [{ "emptyDir": {} }], "e": "", "f": 0 });
    dropped(&object, "", &mut found);
    assert_eq!(found, [".a: []", ".b[0].c: {}", ".d: null"]);
}

/// What is there, of kinds that the chart looks for.
fn lasting(rendered: &Rendered) -> Vec<Value> {
    let kinds = ["Secret", "PersistentVolumeClaim", "StatefulSet"];
    let looked_for = rendered.objects.iter().filter(|object| kinds.contains(&object.kind()));
    looked_for.map(|object| object.value().clone()).collect()
}

#[test]
fn a_second_upgrade_with_the_same_values_changes_nothing() {
    for name in cases_of_chart() {
        let case = Case::of_chart(&name);
        let first = render_beside(&case, &[]);
        let made = lasting(&first);
        let [second, third] = [(); 2].map(|()| render_beside(&case, &made));
        let objects = |objects: &[Object]| objects.iter().map(|it| it.value().clone()).collect::<Vec<_>>();
        assert_eq!(objects(&first.objects), objects(&second.objects), "{name}");
        assert_eq!(objects(&second.objects), objects(&third.objects), "{name}");
    }
}

/// What a server would refuse half-way through an upgrade is refused before.
#[test]
fn what_cannot_change_about_a_volume_is_refused_before_anything_is_touched() {
    let case = Case::of_chart("quickstart");
    let there = lasting(&render_beside(&case, &[]));
    let beside = |values: &str| {
        let values = case.values.replace("quickstart:\n  enabled: true\n", values);
        assert_ne!(values, case.values);
        try_beside(&Case::new(&values), &there).map(|_| ())
    };
    let quickstart = |fields: &str| beside(&format!("quickstart:\n  enabled: true\n  {fields}\n"));
    let storage =
        |fields: &str| beside(&format!("quickstart:\n  enabled: true\nsharedStorage: {{{fields}}}\n"));
    // The same by other words, and more where more can be had.
    assert_eq!(quickstart("postgresql: {size: 8192Mi}"), Ok(()));
    assert_eq!(storage("packs: {size: 3Gi}, artifacts: {size: 0.02Ti}"), Ok(()));
    assert_eq!(storage("packs: {accessModes: [ReadWriteOnce]}"), Ok(()));
    for (refused, says) in [
        (
            quickstart("postgresql: {size: 9Gi}"),
            "quickstart.postgresql.size: rel-attune-postgresql was made with 8Gi",
        ),
        (
            quickstart("rabbitmq: {size: 1Gi}"),
            "quickstart.rabbitmq.size: rel-attune-rabbitmq was made with 4Gi",
        ),
        (
            quickstart("rabbitmq: {storageClassName: fast}"),
            "quickstart.rabbitmq.storageClassName: rel-attune-rabbitmq was made with \"\"",
        ),
        (storage("packs: {size: 2G}"), "sharedStorage.packs.size: the claim rel-attune-packs has 2Gi"),
        (
            storage("accessMode: ReadWriteMany"),
            "sharedStorage.artifacts: the claim rel-attune-artifacts was made with ReadWriteOnce",
        ),
    ] {
        let error = refused.expect_err(says);
        assert!(error.contains(says), "{error}");
    }
    let mut of_class = there.clone();
    for claim in of_class.iter_mut().filter(|it| it["kind"] == "PersistentVolumeClaim") {
        claim["spec"]["storageClassName"] = json!("standard");
    }
    let renewed = |fields: &str| {
        let values = format!("{}\nsharedStorage: {{{fields}}}", case.values);
        try_beside(&Case::new(&values), &of_class).map(|_| ())
    };
    assert_eq!(renewed("packs: {size: 2Gi}"), Ok(()), "the cluster's default, which nobody named");
    let error = renewed("runtimeEnvs: {storageClassName: fast}").expect_err("another class");
    assert!(error.contains("rel-attune-runtime-envs is of standard, which cannot change to fast"), "{error}");
}

/// A field that was there and is left out goes to 1: all pods but one would end, and what they run with them, until the
/// autoscaler has looked.
#[test]
fn a_pool_keeps_its_pods_when_something_else_begins_to_count_them() {
    let name = "rel-attune-agent-worker-a";
    let replicas = |scaling: &str, there: Option<u64>| {
        let values = format!(
            "security: {{existingSecret: s}}\nsharedStorage: {{packs: {{existingClaim: p}}}}\nagentWorkers: \
             [{{name: a, image: b, replicas: 2, resources: {{requests: {{cpu: 1}}}}, autoscaling: {{{scaling}}}}}]"
        );
        let there: Vec<_> = there
            .map(|replicas| json!({ "kind": "Deployment", "metadata": { "name": name }, "spec": { "replicas": replicas } }))
            .into_iter()
            .collect();
        render_beside(&Case::new(&values), &there).find("Deployment", name).at("/spec/replicas").clone()
    };
    let fixed = "enabled: false";
    assert_eq!((replicas(fixed, None), replicas(fixed, Some(4))), (json!(2), json!(2)));
    for scaling in ["enabled: true, minReplicas: 2", "enabled: true, type: keda, minReplicas: 2"] {
        assert_eq!(replicas(scaling, None), Value::Null, "who counts the pods is alone in it");
        assert_eq!(replicas(scaling, Some(4)), 4);
        // An autoscaler does nothing for a pool of none, and would undo what is beyond its bounds.
        assert_eq!((replicas(scaling, Some(0)), replicas(scaling, Some(9))), (json!(2), json!(5)));
    }
}
