//! The values of a release of Attune, as its own chart has them, given to this one.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use chart_tests::driver::chart;
use chart_tests::engines::{Case, ENGINES};
use chart_tests::objects::Object;

/// Every section that such values have, with what its fields are. For this chart, its own agent, the release's secret and
/// its packs were added.
const RELEASE: &str = r#"
nameOverride: ""
fullnameOverride: ""
global: {imageRegistry: ghcr.io, imageNamespace: attune-system, imageTag: 0.2.1, imagePullSecrets: []}
security:
  {existingSecret: attune-attune-secrets, jwtSecret: change-me, encryptionKey: change-me-in-production-32-bytes-minimum}
database:
  {schema: attune, username: attune, password: attune, database: attune, host: "", port: 5432, url: "",
   postgresql: {enabled: true, image: {repository: timescale/timescaledb}, persistence: {size: 20Gi}, resources: {}}}
rabbitmq:
  {username: attune, password: attune, host: "", port: 5672, url: "", managementPort: 15672, enabled: true,
   image: {repository: rabbitmq}, persistence: {enabled: true, accessModes: [ReadWriteOnce]}, resources: {}}
bootstrap: {testUser: {login: test@attune.local}}
sharedStorage:
  packs: {enabled: true, accessModes: [ReadWriteMany], size: 2Gi, storageClassName: "", existingClaim: packs}
  runtimeEnvs: {enabled: true, accessModes: [ReadWriteMany], size: 10Gi, storageClassName: ""}
  artifacts: {enabled: true, accessModes: [ReadWriteMany], size: 20Gi, storageClassName: ""}
images:
  api: {repository: attune/api, tag: "", pullPolicy: IfNotPresent}
  executor: {repository: attune/executor}
  notifier: {repository: attune/notifier}
  supervisor: {repository: attune/supervisor}
  mcp: {repository: attune/agent}
  web: {repository: attune/web}
  migrations: {repository: attune/migrations}
  initUser: {repository: attune/init-user}
  initPacks: {repository: attune/init-packs}
  agent: {repository: git.example.com/team/attune/agent, tag: 0.1.0, pullPolicy: IfNotPresent}
jobs: {migrations: {ttlSecondsAfterFinished: 300}}
api: {replicaCount: 2, service: {type: ClusterIP, port: 8080}, resources: {}}
executor: {replicaCount: 2}
supervisor: {replicaCount: 1}
notifier: {replicaCount: 2, service: {port: 8081}}
mcp: {enabled: false, auth: {useBootstrapTestUser: true}}
web: {replicaCount: 1, ingress: {enabled: false, hosts: [{host: attune.local}]}}
actionWorkers:
  - name: full
    image: nikolaik/python-nodejs:python3.12-nodejs22-slim
    replicas: 1
    runtimes: [shell, python, node, native]
    resources: {}
    env: [{name: TZ, value: Etc/UTC}]
    imagePullPolicy: IfNotPresent
    logLevel: debug
    runtimeClassName: nvidia
    nodeSelector: {gpu: "true"}
    tolerations: [{key: gpu, operator: Exists}]
    stopGracePeriod: 60
sensorWorkers:
  - {name: default, image: python:3.12-slim, allowInsecureNotifierWs: true}
"#;

/// What the notes say is left alone.
fn left_alone(notes: &str) -> BTreeSet<String> {
    let line = notes.lines().find_map(|line| line.split_once("leaves them alone: ")).map_or("", |(_, it)| it);
    line.trim_end_matches('.').split(", ").filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// The schema of the values.
fn schema() -> Value {
    let text = std::fs::read_to_string(chart().join("values.schema.json")).expect("the schema");
    serde_json::from_str(&text).expect("JSON")
}

/// Every place that the schema leaves to a release.
fn of_release() -> BTreeSet<String> {
    fn gather(at: &Value, path: &str, found: &mut BTreeSet<String>) {
        for (name, field) in at["properties"].as_object().into_iter().flatten() {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            if field["$ref"] == "#/definitions/ofRelease" {
                found.insert(path.clone());
            }
            gather(field, &path, found);
        }
    }
    let mut found = BTreeSet::new();
    gather(&schema(), "", &mut found);
    found
}

#[test]
fn one_file_of_values_serves_both_charts() {
    let case = Case::new(RELEASE);
    for engine in ENGINES {
        let rendered = case.rendered_by(engine);
        let pool = rendered.find("Deployment", "rel-attune-agent-worker-full");
        let worker = pool.container("worker");
        assert_eq!(worker.image(), "nikolaik/python-nodejs:python3.12-nodejs22-slim");
        assert_eq!(worker.variable("ATTUNE_WORKER_RUNTIMES"), Some("shell,python,node,native"));
        assert_eq!(worker.variable("RUST_LOG"), Some("debug"));
        assert_eq!(worker.variable("TZ"), Some("Etc/UTC"));
        assert_eq!(pool.pod_spec()["terminationGracePeriodSeconds"], 60);
        assert_eq!(pool.pod_spec()["runtimeClassName"], "nvidia");
        // Neither the registry nor the tag of the release's images.
        assert_eq!(pool.container("agent-loader").image(), "git.example.com/team/attune/agent:0.1.0");
        assert_eq!(rendered.of_kind("Deployment").count(), 1, "sensors are no pool here");
    }
    let rendered = case.rendered();
    let notes = rendered.notes();
    assert_eq!(left_alone(notes), of_release(), "{notes}");
    assert!(notes.contains("attune-sensor-agent, which this chart does not bring"), "{notes}");
    assert!(
        notes.contains("git.example.com/team/attune/agent:0.1.0. It has to be this chart's own"),
        "{notes}"
    );
}

#[test]
fn the_notes_say_nothing_of_a_release_whose_values_are_not_there() {
    let rendered = Case::of_chart("existing-attune").rendered();
    for word in ["leaves them alone", "sensors"] {
        assert!(!rendered.notes().contains(word), "{}", rendered.notes());
    }
    let pool = "security: {existingSecret: s}\nsharedStorage: {packs: {existingClaim: p}}\nagentWorkers: [{name: a, image: b}]\n";
    let none = Case::new(&format!("{pool}sensorWorkers: []\nweb: {{replicaCount: 1}}")).rendered();
    assert_eq!(left_alone(none.notes()), ["sensorWorkers", "web"].map(str::to_owned).into());
    assert!(!none.notes().contains("attune-sensor-agent"), "{}", none.notes());
}

#[test]
fn the_pools_of_both_lists_are_made_and_no_two_have_one_name() {
    let lists = |action: &str| {
        Case::new(&format!(
            "security: {{existingSecret: s}}\nsharedStorage: {{packs: {{existingClaim: p}}}}\nagentWorkers: [{{name: a, image: b}}]\n\
             actionWorkers: [{{name: {action}, image: c}}]"
        ))
    };
    for engine in ENGINES {
        let rendered = lists("c").rendered_by(engine);
        let names: BTreeSet<_> = rendered.of_kind("Deployment").map(Object::name).collect();
        assert_eq!(names, BTreeSet::from(["rel-attune-agent-worker-a", "rel-attune-agent-worker-c"]));
        let error = lists("A").refused_by(engine);
        assert!(error.contains("actionWorkers[0].name: A is the name of agentWorkers[0] too"), "{error}");
        // Pools want servers, whichever list they are in.
        let packs = "sharedStorage: {packs: {existingClaim: p}}";
        let error = Case::new(&format!("{packs}\nactionWorkers: [{{name: a, image: b}}]")).refused_by(engine);
        assert!(error.contains("database: there is no database"), "{error}");
    }
    let none = Case::new("actionWorkers: null\nagentWorkers: null").rendered();
    assert_eq!(none.of_kind("Deployment").count(), 0);
}

#[test]
fn access_modes_are_taken_as_a_list_too() {
    let modes = |packs: &str| {
        let values = format!(
            "quickstart: {{enabled: true}}\nsharedStorage: {{accessMode: ReadWriteOncePod, packs: {{{packs}}}}}"
        );
        let rendered = Case::new(&values).rendered();
        rendered.find("PersistentVolumeClaim", "rel-attune-packs").at("/spec/accessModes").clone()
    };
    assert_eq!(modes(""), json!(["ReadWriteOncePod"]));
    assert_eq!(
        modes("accessModes: [ReadWriteMany, ReadWriteOnce]"),
        json!(["ReadWriteMany", "ReadWriteOnce"])
    );
    assert_eq!(modes("accessModes: [ReadWriteMany], accessMode: ReadWriteOnce"), json!(["ReadWriteOnce"]));
}

/// Every section that there is, with a letter too few: its name is told, and so all of them are known.
#[test]
fn a_section_with_a_wrong_name_is_told_the_right_one() {
    let sections = schema()["properties"].as_object().expect("sections").clone();
    assert!(sections.len() >= 28, "{}", sections.len());
    for engine in ENGINES {
        for section in sections.keys() {
            let wrong = &section[..section.len() - 1];
            let error = Case::new(&format!("{wrong}: {{}}")).refused_by(engine);
            let told = format!("{wrong}: no section of the values has this name; did you mean {section}?");
            assert!(error.contains(&told), "{engine:?}: {error}");
        }
        let error = Case::new("xyz: {}").refused_by(engine);
        assert!(error.contains("xyz: no section") && !error.contains("did you mean"), "{error}");
    }
}
