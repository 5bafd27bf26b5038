//! The quickstart: a whole system, whose passwords nobody has to think of.

use base64::Engine as _;
use serde_json::{Value, json};

use chart_tests::engines::{Case, ENGINES, Rendered, render_beside};
use chart_tests::objects::{Object, selects, texts};

const SECRET: &str = "rel-attune-quickstart";

fn decoded(secret: &Object) -> std::collections::BTreeMap<String, String> {
    let decode = |text: String| {
        let bytes = base64::engine::general_purpose::STANDARD.decode(text).expect("base64");
        String::from_utf8(bytes).expect("text")
    };
    texts(secret.at("/data")).into_iter().map(|(key, text)| (key, decode(text))).collect()
}

fn job<'r>(rendered: &'r Rendered, name: &str) -> &'r Object {
    let prefix = format!("rel-attune-{name}-");
    rendered.of_kind("Job").find(|job| job.name().starts_with(&prefix)).expect("a job")
}

#[test]
fn it_is_there_only_where_it_is_asked_for() {
    for name in ["minimal", "existing-attune"] {
        let rendered = Case::of_chart(name).rendered();
        for kind in ["StatefulSet", "Service", "Job"] {
            assert_eq!(rendered.of_kind(kind).count(), 0, "{name}: {kind}");
        }
    }
}

#[test]
fn servers_jobs_and_pools_know_the_same_passwords() {
    for engine in ENGINES {
        let rendered = Case::of_chart("quickstart").rendered_by(engine);
        let held = decoded(rendered.find("Secret", SECRET));
        let database =
            format!("postgres://attune:{}@rel-attune-postgresql:5432/attune", held["POSTGRES_PASSWORD"]);
        assert_eq!(held["ATTUNE__DATABASE__URL"], database);
        let broker = format!("amqp://attune:{}@rel-attune-rabbitmq:5672/%2F", held["RABBITMQ_DEFAULT_PASS"]);
        assert_eq!(held["ATTUNE__MESSAGE_QUEUE__URL"], broker);
        for key in ["POSTGRES_PASSWORD", "RABBITMQ_DEFAULT_PASS", "ATTUNE__SECURITY__JWT_SECRET"] {
            assert!(held[key].len() >= 32, "{key}");
        }
        assert!(held["ATTUNE__SECURITY__ENCRYPTION_KEY"].len() >= 32);
        // The addresses are those of services that lead to the servers.
        for server in ["postgresql", "rabbitmq"] {
            let service = rendered.find("Service", &format!("rel-attune-{server}"));
            let set = rendered.find("StatefulSet", &format!("rel-attune-{server}"));
            let labels = texts(set.at("/spec/template/metadata/labels"));
            assert!(selects(&service.selector().expect("a selector"), &labels));
            assert_eq!(set.at("/spec/serviceName"), service.name());
        }
        let password = json!({ "secretKeyRef": { "name": SECRET, "key": "POSTGRES_PASSWORD" } });
        let server = rendered.find("StatefulSet", "rel-attune-postgresql").container("postgresql");
        assert!(server.variables().iter().any(|variable| variable["valueFrom"] == password));
        for user in [job(&rendered, "migrate"), rendered.find("Deployment", "rel-attune-agent-worker-python")]
        {
            let sources = &user.volume("credentials").expect("credentials")["projected"]["sources"];
            for source in sources.as_array().expect("sources") {
                assert_eq!(source["secret"]["name"], SECRET);
            }
        }
    }
}

#[test]
fn passwords_are_made_once_and_kept_by_upgrades() {
    let case = Case::of_chart("quickstart");
    let first = render_beside(&case, &[]);
    let secret = first.find("Secret", SECRET);
    assert_eq!(secret.annotation("helm.sh/resource-policy"), Some("keep"));
    let second = render_beside(&case, &[secret.value().clone()]);
    assert_eq!(second.find("Secret", SECRET), secret);
    // Without it, others are made: what is tested above is not that they are fixed.
    let other = render_beside(&case, &[]);
    assert_ne!(decoded(other.find("Secret", SECRET)), decoded(secret));
    // A secret of an earlier chart, which lacks one, keeps the others.
    let mut earlier = secret.value().clone();
    earlier["data"].as_object_mut().expect("data").remove("ATTUNE__SECURITY__JWT_SECRET");
    let third = render_beside(&case, &[earlier]);
    let (before, after) = (decoded(secret), decoded(third.find("Secret", SECRET)));
    assert_eq!(before["POSTGRES_PASSWORD"], after["POSTGRES_PASSWORD"]);
    assert_ne!(before["ATTUNE__SECURITY__JWT_SECRET"], after["ATTUNE__SECURITY__JWT_SECRET"]);
    // Nothing else follows them, so that no pod is replaced for them.
    for object in first.objects.iter().filter(|object| object.kind() != "Secret") {
        assert_eq!(other.find(object.kind(), object.name()), object);
    }
}

#[test]
fn jobs_do_what_attune_does_elsewhere() {
    let rendered = Case::of_chart("quickstart").rendered();
    let migrate = job(&rendered, "migrate");
    assert_eq!(migrate.container("migrate").words(), ["/attune-agent", "migrate"]);
    // A server that is new takes its time, and a job that fails is started again later and later.
    let waits = migrate.container("wait-for-database");
    assert!(waits.is_init);
    assert_eq!(waits.words()[..3], ["/attune-agent", "wait", "database"]);
    let packs = job(&rendered, "packs");
    let words = packs.container("register").words();
    assert_eq!(words, ["/attune-agent", "pack", "register", "--builtin", "core", "--builtin", "examples"]);
    assert_eq!(packs.container("register").mount("packs").expect("a mount")["readOnly"], Value::Null);
    let waits = packs.container("wait-for-schema").words();
    assert_eq!(waits[..3], ["/attune-agent", "wait", "schema"]);
    for job in [migrate, packs] {
        assert_eq!(job.pod_spec()["restartPolicy"], "OnFailure");
    }
}

#[test]
fn a_job_with_another_pod_is_another_job() {
    let name = |values: &str| {
        let case = Case::of_chart("quickstart");
        let rendered = Case::new(&format!("{}\n{values}", case.values)).rendered();
        job(&rendered, "migrate").name().to_owned()
    };
    assert_eq!(name(""), name("agentWorkerDefaults: {replicas: 3}"), "what is not in it does not count");
    assert_ne!(name(""), name("images: {agent: {tag: next}}"));
}

#[test]
fn claims_are_such_as_a_small_cluster_has() {
    let mode = |name: &str| -> Vec<Value> {
        let rendered = Case::of_chart(name).rendered();
        rendered
            .of_kind("PersistentVolumeClaim")
            .map(|claim| claim.at("/spec/accessModes/0").clone())
            .collect()
    };
    assert_eq!(mode("quickstart"), ["ReadWriteOnce"; 3]);
    assert_eq!(mode("minimal"), ["ReadWriteMany"; 2]);
    for claim in Case::of_chart("minimal").rendered().of_kind("PersistentVolumeClaim") {
        assert_eq!(claim.annotation("helm.sh/resource-policy"), Some("keep"));
    }
}

#[test]
fn a_test_runs_one_execution_in_each_pool() {
    let rendered = Case::of_chart("quickstart").rendered();
    for pool in ["python", "busybox"] {
        let test = rendered.find("Pod", &format!("rel-attune-test-execution-agent-worker-{pool}"));
        let worker =
            rendered.find("Deployment", &format!("rel-attune-agent-worker-{pool}")).container("worker");
        let doctor = rendered.find("Pod", &format!("rel-attune-test-doctor-agent-worker-{pool}"));
        assert_eq!(doctor.container("doctor").image(), worker.image());
        assert_eq!(doctor.container("doctor").words(), ["/opt/attune/agent/attune-agent", "doctor"]);
        // What is missing is told before anything is asked for.
        let weight = |pod: &Object| pod.annotation("helm.sh/hook-weight").map(str::to_owned);
        assert!(weight(doctor) < weight(test), "{:?}", weight(doctor));
        let words = test.container("execution").words();
        let selected = format!("pool={pool}");
        assert_eq!(words[1..5], ["submit", "core.noop", "--direct", "--wait"]);
        assert_eq!(words[5..], ["--select", &selected, "--select", "release=rel"]);
        // Its workers have these very labels.
        let labels: Value =
            serde_json::from_str(worker.variable("ATTUNE__WORKER__LABELS").expect("labels")).expect("JSON");
        assert_eq!(labels, json!({ "pool": pool, "release": "rel" }));
        assert_eq!(test.pod_spec()["restartPolicy"], "Never");
    }
}
