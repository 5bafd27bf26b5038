//! How many pods: autoscaling, disruption budgets; and whom they may speak to.

use serde_json::{Value, json};

use chart_tests::engines::Case;

#[test]
fn keda_follows_the_executions_of_the_pools_own_workers() {
    let rendered = Case::of_chart("keda").rendered();
    let name = "rel-attune-agent-worker-bursts";
    let scaled = rendered.find("ScaledObject", name);
    assert_eq!(scaled.at("/spec/scaleTargetRef/name"), name);
    assert_eq!(scaled.at("/spec/minReplicaCount"), 1);
    assert_eq!(scaled.at("/spec/maxReplicaCount"), 20);
    let trigger = scaled.at("/spec/triggers/0");
    assert_eq!(trigger["type"], "postgresql");
    assert_eq!(trigger["metadata"]["port"], "6432");
    assert_eq!(trigger["metadata"]["targetQueryValue"], "4", "as many as one worker runs at once");
    let query = trigger["metadata"]["query"].as_str().expect("a query");
    assert!(query.contains("'pool' = 'bursts'") && query.contains("'release' = 'rel'"), "{query}");
    let password = json!([{ "parameter": "password", "name": "attune-database", "key": "password" }]);
    assert_eq!(rendered.find("TriggerAuthentication", name).at("/spec/secretTargetRef"), &password);
    // Who counts the pods must be alone in it.
    assert_eq!(rendered.find("Deployment", name).at("/spec/replicas"), &Value::Null);
    // Triggers of one's own need no database.
    let nightly = rendered.find("ScaledObject", "rel-attune-agent-worker-nightly");
    assert_eq!(nightly.at("/spec/triggers/0/type"), "cron");
    assert_eq!(rendered.of_kind("TriggerAuthentication").count(), 1);
}

#[test]
fn keda_takes_a_whole_url_where_there_is_one() {
    let values = "security: {existingSecret: s}\nsharedStorage: {packs: {existingClaim: p}}\nagentWorkers: [{name: a, image: busybox, autoscaling: {enabled: true, type: keda}}]";
    let rendered = Case::new(values).rendered();
    let name = "rel-attune-agent-worker-a";
    let connection = json!([{ "parameter": "connection", "name": "s", "key": "ATTUNE__DATABASE__URL" }]);
    assert_eq!(rendered.find("TriggerAuthentication", name).at("/spec/secretTargetRef"), &connection);
    let metadata = rendered.find("ScaledObject", name).at("/spec/triggers/0/metadata").clone();
    let fields: Vec<_> = metadata.as_object().expect("fields").keys().cloned().collect();
    assert_eq!(fields, ["query", "targetQueryValue"]);
    assert_eq!(metadata["targetQueryValue"], "10");
}

#[test]
fn without_keda_pods_follow_processor_time() {
    let rendered = Case::of_chart("keda").rendered();
    let name = "rel-attune-agent-worker-steady";
    let scaler = rendered.find("HorizontalPodAutoscaler", name);
    assert_eq!(scaler.at("/spec/scaleTargetRef/name"), name);
    assert_eq!((scaler.at("/spec/minReplicas"), scaler.at("/spec/maxReplicas")), (&json!(2), &json!(8)));
    assert_eq!(scaler.at("/spec/metrics/0/resource/target/averageUtilization"), 75);
    assert_eq!(rendered.find("Deployment", name).at("/spec/replicas"), &Value::Null);
}

#[test]
fn a_budget_keeps_what_it_is_told_to() {
    let spec = |fields: &str| {
        let values = format!(
            "security: {{existingSecret: s}}\nsharedStorage: {{packs: {{existingClaim: p}}}}\nagentWorkers: [{{name: a, image: b, podDisruptionBudget: {{enabled: true, {fields}}}}}]"
        );
        Case::new(&values)
            .rendered()
            .find("PodDisruptionBudget", "rel-attune-agent-worker-a")
            .at("/spec")
            .clone()
    };
    assert_eq!((&spec("")["maxUnavailable"], &spec("")["minAvailable"]), (&json!(1), &Value::Null));
    let half = spec("minAvailable: 50%");
    assert_eq!((&half["maxUnavailable"], &half["minAvailable"]), (&Value::Null, &json!("50%")));
    assert_eq!(spec("minAvailable: 0")["minAvailable"], 0);
}

#[test]
fn a_network_policy_lets_the_worker_reach_what_it_is_led_to_and_nothing_else() {
    let ports = |values: &str| -> Vec<Value> {
        let values = format!(
            "{values}\nsharedStorage: {{packs: {{existingClaim: p}}}}\nagentWorkers: [{{name: a, image: b, networkPolicy: {{enabled: true}}}}]"
        );
        let rendered = Case::new(&values).rendered();
        let policy = rendered.find("NetworkPolicy", "rel-attune-agent-worker-a");
        // Nothing in: by the type, as a server keeps it, and not by a list that it drops.
        assert_eq!(policy.at("/spec/ingress"), &Value::Null);
        assert_eq!(policy.at("/spec/policyTypes"), &json!(["Ingress", "Egress"]));
        let ports = policy.at("/spec/egress/1/ports").as_array().expect("ports").clone();
        ports.into_iter().map(|port| port["port"].clone()).collect()
    };
    assert_eq!(ports("security: {existingSecret: s}"), [5432, 5672, 5671], "what is usual");
    assert_eq!(
        ports(
            "database: {host: d, password: p, port: 6432}\nrabbitmq: {host: m, password: p, tls: {enabled: true}}\napi: {url: 'https://api.example'}"
        ),
        [6432, 5671, 443]
    );
    assert_eq!(
        ports(
            "database: {url: 'postgres://u:p@d:7000/x'}\nrabbitmq: {url: 'amqp://u:p@m:7001/v'}\napi: {url: 'http://api:8080'}"
        ),
        [7000, 7001, 8080]
    );
}
