//! Beside a release of Attune: its secret, its `ConfigMap` and its claims, under its names.

use chart_tests::engines::Case;
use container_tests::Engine;
use container_tests::kubernetes::Cluster;
use serde_json::{Value, json};

use super::{assert_drains, helm_test, install, submit, take};
use crate::dist;
use crate::site::Site;

/// What a release's secret holds that is nobody's but its own. Each value is found nowhere else.
const OTHERS_SECRETS: &[(&str, &str)] = &[
    ("ATTUNE__SECURITY__JWT_SECRET", "jwt-secret-that-is-long-enough-for-all"),
    ("ATTUNE__SECURITY__ENCRYPTION_KEY", "encryption-key-of-thirty-two-characters"),
    ("DB_HOST", "host-of-the-release"),
    ("DB_PASSWORD", "password-of-the-database"),
    ("TEST_LOGIN", "test@attune.local"),
    ("TEST_DISPLAY_NAME", "the-first-user"),
    ("TEST_PASSWORD", "TestPass123!"),
    ("DEFAULT_ADMIN_LOGIN", "login-of-the-administrator"),
    ("DEFAULT_ADMIN_PERMISSION_SET_REF", "core.admin-of-the-release"),
    ("LOADER_SCRIPT", "/opt/attune/scripts/loader-of-the-release.py"),
];

/// The rest of it.
const OTHERS: &[(&str, &str)] = &[
    ("DB_PORT", "5432"),
    ("DB_USER", "attune"),
    ("DB_NAME", "attune"),
    ("DB_SCHEMA", "attune"),
    ("SOURCE_PACKS_DIR", "/source/packs"),
    ("TARGET_PACKS_DIR", "/opt/attune/packs"),
    ("RUNTIME_ENVS_DIR", "/opt/attune/runtime_envs"),
    ("ARTIFACTS_DIR", "/opt/attune/artifacts"),
];

/// What its API writes into the volume of artifacts, by which workers know that it reads them there.
const API_MARKER: &str = ".attune-api-sentinel";

/// What such a release has made, called `attune`.
fn objects(site: &Site) -> Vec<Value> {
    let [database, broker] = site.urls();
    let own = [("ATTUNE__DATABASE__URL", database), ("ATTUNE__MESSAGE_QUEUE__URL", broker)];
    let held = own.into_iter().chain(OTHERS_SECRETS.iter().copied()).chain(OTHERS.iter().copied());
    let held: serde_json::Map<_, _> = held.map(|(key, value)| (key.to_owned(), json!(value))).collect();
    let claim = |name: &str| json!({ "kind": "PersistentVolumeClaim", "metadata": { "name": name } });
    vec![
        json!({ "kind": "Secret", "metadata": { "name": "attune-attune-secrets" }, "stringData": held }),
        // The file that its chart would put there is not in its chart.
        json!({
            "kind": "ConfigMap", "metadata": { "name": "attune-attune-config" }, "data": { "config.yaml": "" },
        }),
        json!({
            "kind": "Service", "metadata": { "name": "attune-attune-api" }, "spec": { "ports": [{ "port": 8080 }] },
        }),
        claim("attune-attune-runtime-envs"),
        claim("attune-attune-artifacts"),
    ]
}

#[test]
fn pools_beside_a_release_use_what_is_its_own_under_its_names() {
    let Some(engine) = Engine::shared() else { return };
    let site = Site::for_direct_submissions(engine, "release");
    site.action("environment", "env");
    let cluster = Cluster::beside_servers(engine, "release")
        .image("registry.example.com/attune/agent:", dist::loader().into());
    let cluster = cluster.claim("attune-attune-packs", site.packs());
    cluster.apply(&objects(&site));
    let artifacts = cluster.bound("attune-attune-artifacts");
    std::fs::write(artifacts.path().join(API_MARKER), "{}").expect("an own directory");
    let rendered = Case::of_chart("existing-attune").rendered();
    let mut pods = install(&cluster, &rendered, "1");
    let mut full = take(&mut pods, "rel-attune-agent-worker-full");
    let mut ruby = take(&mut pods, "rel-attune-agent-worker-any-thing");
    assert_eq!((full.len(), ruby.len(), pods.len()), (1, 2, 0));
    assert_eq!(helm_test(&cluster, &rendered).len(), 4);
    for (workers, pool, action) in [
        (&full, "full", "examples.python_words"),
        (&full, "full", "examples.node_group"),
        (&ruby, "any-thing", "examples.ruby_dates"),
    ] {
        let ended = submit(&workers[0], pool, action);
        assert_eq!(ended["status"], "completed", "{ended}");
    }
    // The container has the whole secret among its variables, and an action has none of it.
    let ended = submit(&full[0], "full", "my.environment");
    assert_eq!(ended["status"], "completed", "{ended}");
    let seen = ended.to_string();
    assert!(seen.contains("HOME="), "{seen}");
    let [database, broker] = site.urls();
    for secret in OTHERS_SECRETS.iter().map(|(_, value)| *value).chain([database, broker]) {
        assert!(!seen.contains(secret), "{secret}: {seen}");
    }
    assert!(
        artifacts.path().join("examples/python_words/stdout/log/v1.txt").is_file(),
        "its log is kept there"
    );
    for worker in full.iter_mut().chain(&mut ruby) {
        assert_drains(worker);
        assert_eq!(site.status_of(worker.name()), "inactive");
    }
}
