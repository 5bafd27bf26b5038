//! A pool: what its fields become, and what is there where it says nothing.

use serde_json::{Value, json};

use chart_tests::engines::{Case, ENGINES, Rendered};
use chart_tests::objects::{Container, Object};

/// The Deployment of the pool `a`, which has these further fields; each begins a line.
fn pool(fields: &str) -> Object {
    beside("", fields)
}

/// The same, with further values beside the pool.
fn beside(values: &str, fields: &str) -> Object {
    case(values, fields).rendered().find("Deployment", "rel-attune-agent-worker-a").clone()
}

fn case(values: &str, fields: &str) -> Case {
    let fields: String = fields.lines().map(|line| format!("    {line}\n")).collect();
    Case::new(&format!(
        "security: {{existingSecret: s}}\nsharedStorage: {{packs: {{existingClaim: p}}}}\n{values}\nagentWorkers:\n  - name: a\n    image: busybox\n{fields}"
    ))
}

fn worker(object: &Object) -> Container<'_> {
    object.container("worker")
}

#[test]
fn a_worker_is_the_users_image_with_the_agent_as_its_entry_point() {
    let object = pool("");
    let worker = worker(&object);
    assert_eq!(worker.image(), "busybox");
    assert_eq!(worker.value["command"], json!(["/opt/attune/agent/attune-agent"]));
    assert_eq!(worker.value["args"], Value::Null);
    let mount = |path: &str, read_only: bool| {
        let mut mount = json!({ "mountPath": path });
        if read_only {
            mount["readOnly"] = json!(true);
        }
        mount
    };
    for (volume, expected) in [
        ("agent-bin", mount("/opt/attune/agent", true)),
        ("packs", mount("/opt/attune/packs", true)),
        ("runtime-envs", mount("/opt/attune/runtime_envs", false)),
        ("artifacts", mount("/opt/attune/artifacts", false)),
        ("work", mount("/opt/attune/work", false)),
    ] {
        let mut found = worker.mount(volume).expect(volume).clone();
        found.as_object_mut().expect("a mount").remove("name");
        assert_eq!(found, expected, "{volume}");
    }
    let config = worker.mount("config").expect("the configuration");
    assert_eq!(config["mountPath"], "/opt/attune/config.yaml");
    assert_eq!(config["subPath"], "config.yaml");
    for (variable, value) in [
        ("ATTUNE_CONFIG", "/opt/attune/config.yaml"),
        ("ATTUNE__DATABASE__SCHEMA", "attune"),
        ("ATTUNE_WORKER_TYPE", "container"),
        ("RUST_LOG", "info"),
        ("ATTUNE__WORKER__LABELS", r#"{"pool":"a","release":"rel"}"#),
        ("ATTUNE__WORKER__SHUTDOWN_TIMEOUT", "35"),
    ] {
        assert_eq!(worker.variable(variable), Some(value), "{variable}");
    }
    let name = json!({
        "name": "ATTUNE_WORKER_NAME", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } },
    });
    assert!(worker.variables().contains(&name));
    // Journal, HOME and TMPDIR are on the one volume that is always writable.
    for variable in ["ATTUNE_WORK_DIR", "HOME", "TMPDIR"] {
        assert!(worker.variable(variable).expect(variable).starts_with("/opt/attune/work"), "{variable}");
    }
    assert_eq!(object.volume("work").expect("a volume")["emptyDir"]["sizeLimit"], "2Gi");
}

#[test]
fn init_containers_bring_the_agent_and_wait_for_all_that_a_worker_needs() {
    let object = pool("");
    let before: Vec<_> =
        object.containers().iter().filter(|one| one.is_init).map(|one| (one.name(), one.words())).collect();
    assert_eq!(
        before,
        [
            ("agent-loader", vec!["/attune-agent", "install", "/opt/attune/agent"]),
            ("wait-for-schema", vec!["/attune-agent", "wait", "schema", "--timeout", "300"]),
            ("wait-for-packs", vec!["/attune-agent", "wait", "packs", "--timeout", "300"]),
            ("wait-for-queue", vec!["/attune-agent", "wait", "queue", "--timeout", "300"]),
        ]
    );
    let loader = object.container("agent-loader");
    assert_eq!(loader.mounts(), [json!({ "name": "agent-bin", "mountPath": "/opt/attune/agent" })]);
    assert_eq!(loader.variables(), [] as [Value; 0], "it needs no credentials");
    assert!(object.container("wait-for-packs").mount("packs").is_some());
    // A limit would only slow the copy down.
    assert_eq!(loader.value["resources"]["limits"], Value::Null);
    let patient = beside("wait: {timeout: 0}", "");
    assert_eq!(patient.container("wait-for-queue").words(), ["/attune-agent", "wait", "queue"]);
}

#[test]
fn runtimes_are_told_only_where_there_are_some() {
    for engine in ENGINES {
        let rendered = |fields: &str| case("", fields).rendered_by(engine);
        let variable = |rendered: &Rendered| {
            let object = rendered.find("Deployment", "rel-attune-agent-worker-a");
            worker(object).variable("ATTUNE_WORKER_RUNTIMES").map(str::to_owned)
        };
        assert_eq!(variable(&rendered("")), None);
        assert_eq!(variable(&rendered("runtimes: []")), None);
        assert_eq!(variable(&rendered("runtimes: [shell, python]")).as_deref(), Some("shell,python"));
    }
}

#[test]
fn graphics_processors_are_asked_for_by_the_pod() {
    for engine in ENGINES {
        let rendered = Case::of_chart("gpu").rendered_by(engine);
        let object = rendered.find("Deployment", "rel-attune-agent-worker-cuda");
        let spec = object.pod_spec();
        assert_eq!(spec["runtimeClassName"], "nvidia");
        assert_eq!(spec["nodeSelector"], json!({ "nvidia.com/gpu.present": "true" }));
        let tolerated: Vec<_> = spec["tolerations"]
            .as_array()
            .expect("tolerations")
            .iter()
            .map(|one| one["key"].clone())
            .collect();
        assert_eq!(tolerated, ["dedicated", "nvidia.com/gpu"]);
        let worker = worker(object);
        assert_eq!(worker.value["resources"]["limits"], json!({ "memory": "16Gi", "nvidia.com/gpu": 2 }));
        for field in ["runtimeClassName", "nodeSelector", "tolerations"] {
            assert_eq!(worker.value[field], Value::Null, "{field} is the pod's");
        }
        // Those that are there may all be in use: a new pod waits for an old one's.
        assert_eq!(object.at("/spec/strategy/rollingUpdate"), &json!({ "maxSurge": 0, "maxUnavailable": 1 }));
        assert_eq!(spec["terminationGracePeriodSeconds"], 600);
        assert_eq!(worker.variable("ATTUNE__WORKER__SHUTDOWN_TIMEOUT"), Some("570"));
        assert_eq!(worker.variable("ATTUNE__WORKER__MAX_CONCURRENT_TASKS"), Some("2"));
        assert_eq!(
            worker.variable("ATTUNE__WORKER__TAINTS"),
            Some(r#"[{"effect":"no_schedule","key":"gpu","value":"true"}]"#)
        );
        assert_eq!(
            worker.variable("ATTUNE__WORKER__LABELS"),
            Some(r#"{"accelerator":"nvidia","pool":"cuda","release":"rel"}"#)
        );
        // `helm test` runs where the pool runs.
        let test = rendered.find("Pod", "rel-attune-test-execution-agent-worker-cuda");
        assert_eq!(test.pod_spec()["runtimeClassName"], "nvidia");
        // And takes no processor from the pool.
        assert_eq!(test.container("execution").value["resources"]["limits"], json!({ "memory": "16Gi" }));
    }
}

#[test]
fn probes_are_the_agents_own_answers() {
    let object = pool("probes: {liveness: {periodSeconds: 20}}");
    let worker = worker(&object);
    for (probe, ask) in [("startupProbe", "live"), ("livenessProbe", "live"), ("readinessProbe", "ready")] {
        let command = json!(["/opt/attune/agent/attune-agent", "health", ask]);
        assert_eq!(worker.value[probe]["exec"]["command"], command, "{probe}");
    }
    assert_eq!(worker.value["livenessProbe"]["periodSeconds"], 20);
    assert_eq!(worker.value["livenessProbe"]["failureThreshold"], 6, "what is not said stays");
    let none = pool("probes: {enabled: false}");
    assert_eq!(none.container("worker").value["livenessProbe"], Value::Null);
}

#[test]
fn the_drain_ends_before_the_kill() {
    let told = |fields: &str| {
        let object = pool(fields);
        let drain = worker(&object).variable("ATTUNE__WORKER__SHUTDOWN_TIMEOUT").expect("set").to_owned();
        (drain, object.pod_spec()["terminationGracePeriodSeconds"].clone())
    };
    assert_eq!(told(""), ("35".to_owned(), json!(45)));
    assert_eq!(told("stopGracePeriod: 600"), ("590".to_owned(), json!(600)));
    assert_eq!(told("stopGracePeriod: 5"), ("1".to_owned(), json!(5)));
    assert_eq!(told("stopGracePeriod: 60\ndrainTimeout: 59"), ("59".to_owned(), json!(60)));
}

#[test]
fn a_variable_of_the_pools_own_goes_before_the_charts() {
    let object =
        pool("env:\n  - {name: RUST_LOG, value: trace}\n  - {name: MINE, value: 'yes'}\nlogLevel: warn");
    let worker = worker(&object);
    assert_eq!(worker.variable("RUST_LOG"), Some("trace"));
    assert_eq!(worker.variable("MINE"), Some("yes"));
    assert_eq!(worker.variables().iter().filter(|variable| variable["name"] == "RUST_LOG").count(), 1);
}

#[test]
fn defaults_are_for_all_pools_and_a_pool_goes_before_them() {
    let values = "agentWorkerDefaults:\n  replicas: 3\n  logLevel: debug\n  nodeSelector: {a: '1'}\n  \
        podSecurityContext: {runAsUser: 7}\n  serviceAccount: {name: robot}";
    let object = beside(values, "replicas: 0\nnodeSelector: {b: '2'}\nprobes: {enabled: false}");
    assert_eq!(object.at("/spec/replicas"), 0, "nothing is a value too");
    assert_eq!(object.pod_spec()["nodeSelector"], json!({ "a": "1", "b": "2" }));
    assert_eq!(object.pod_spec()["securityContext"]["runAsUser"], 7);
    assert_eq!(object.pod_spec()["securityContext"]["runAsNonRoot"], true);
    assert_eq!(object.pod_spec()["serviceAccountName"], "robot");
    assert_eq!(worker(&object).variable("RUST_LOG"), Some("debug"));
    // Null takes away; lists are replaced.
    let values = "agentWorkerDefaults:\n  runtimes: [shell]";
    let object = beside(values, "podSecurityContext: {runAsUser: null, fsGroup: null}\nruntimes: [python]");
    let context = object.pod_spec()["securityContext"].as_object().expect("a context").clone();
    assert!(!context.contains_key("runAsUser") && !context.contains_key("fsGroup"), "{context:?}");
    assert_eq!(worker(&object).variable("ATTUNE_WORKER_RUNTIMES"), Some("python"));
}

#[test]
fn both_engines_lay_a_pool_on_the_defaults_alike() {
    let case = case(
        "agentWorkerDefaults: {replicas: 3, securityContext: {readOnlyRootFilesystem: true}, probes: {enabled: true}}",
        "replicas: 0\nsecurityContext: {readOnlyRootFilesystem: false}\nprobes: {enabled: false}",
    );
    let [four, three] = ENGINES.map(|engine| case.rendered_by(engine));
    assert_eq!(four.objects.len(), three.objects.len());
    for rendered in [four, three] {
        let object = rendered.find("Deployment", "rel-attune-agent-worker-a");
        assert_eq!(object.at("/spec/replicas"), 0);
        assert_eq!(worker(object).value["securityContext"]["readOnlyRootFilesystem"], false);
        assert_eq!(worker(object).value["startupProbe"], Value::Null);
    }
}

#[test]
fn a_root_that_is_read_only_gets_a_place_for_temporary_files() {
    let object = pool("securityContext: {readOnlyRootFilesystem: true}");
    assert_eq!(worker(&object).mount("tmp").expect("a mount")["mountPath"], "/tmp");
    assert!(object.volume("tmp").is_some());
    assert!(pool("").volume("tmp").is_none());
}

#[test]
fn openshift_chooses_users_itself() {
    let rendered = Case::of_chart("openshift").rendered();
    let pods: Vec<_> = rendered.objects.iter().filter(|object| object.pod().is_some()).collect();
    assert_eq!(pods.len(), 3);
    for object in pods {
        let context = object.pod_spec()["securityContext"].as_object().expect("a context");
        for field in ["runAsUser", "runAsGroup", "fsGroup"] {
            assert!(!context.contains_key(field), "{}: {field}", object.name());
        }
        assert_eq!(context["runAsNonRoot"], true);
    }
}

#[test]
fn an_image_volume_needs_no_loader_and_without_shared_volumes_nothing_is_shared() {
    let rendered = Case::of_chart("imagevolume").rendered();
    let object = rendered.find("Deployment", "rel-attune-agent-worker-distroless");
    let volume = object.volume("agent-bin").expect("a volume");
    assert_eq!(
        volume["image"],
        json!({ "reference": "registry.example.com/attune/agent:0.1.0", "pullPolicy": "IfNotPresent" })
    );
    let names: Vec<_> = object.containers().iter().map(|container| container.name().to_owned()).collect();
    assert_eq!(names, ["wait-for-schema", "wait-for-queue", "worker"], "packs come through the API");
    assert_eq!(worker(object).mount("packs").expect("a mount")["readOnly"], Value::Null);
    for volume in ["packs", "runtime-envs", "artifacts"] {
        assert_eq!(object.volume(volume).expect(volume)["emptyDir"], json!({}));
    }
    assert_eq!(rendered.of_kind("PersistentVolumeClaim").count(), 0);
    // What its images can run is what `helm test` runs.
    let test = rendered.find("Pod", "rel-attune-test-execution-agent-worker-distroless");
    let words = test.container("execution").words();
    assert!(words.ends_with(&["--param", "name=Ada"]), "{words:?}");
    let of_scratch: Vec<_> =
        rendered.of_kind("Pod").map(Object::name).filter(|name| name.ends_with("-scratch")).collect();
    assert_eq!(of_scratch, ["rel-attune-test-doctor-agent-worker-scratch"], "doctor alone");
}

#[test]
fn the_agents_image_is_put_together_from_what_is_known() {
    let image = |values: &str| {
        let object = beside(values, "");
        object.container("agent-loader").image().to_owned()
    };
    assert_eq!(image(""), "registry.example.com/attune/agent:0.1.0");
    assert_eq!(image("global: {imageRegistry: r.example, imageTag: edge}"), "r.example/attune/agent:edge");
    assert_eq!(
        image("global: {imageRegistry: r.example, imageNamespace: mirror}\nimages: {agent: {tag: '2'}}"),
        "r.example/mirror/attune/agent:2"
    );
    assert_eq!(image("global: {imageRegistry: a}\nimages: {agent: {registry: b}}"), "b/attune/agent:0.1.0");
    let digest = format!("sha256:{}", "0".repeat(64));
    assert_eq!(
        image(&format!("images: {{agent: {{registry: b, digest: '{digest}'}}}}")),
        format!("b/attune/agent@{digest}")
    );
    // One that begins with a registry is taken as it is.
    let global = "global: {imageRegistry: r.example, imageNamespace: mirror}";
    for repository in ["git.example.com/team/agent", "localhost/agent", "registry:5000/a/b/agent"] {
        let values = format!("{global}\nimages: {{agent: {{repository: '{repository}', tag: '2'}}}}");
        assert_eq!(image(&values), format!("{repository}:2"));
    }
}

/// Under a name without a registry, a cluster would run what a stranger has put on a public one.
#[test]
fn an_agent_that_comes_from_nowhere_is_refused() {
    let pool = "security: {existingSecret: s}\nsharedStorage: {packs: {existingClaim: p}}\nagentWorkers: [{name: a, image: b}]";
    for engine in ENGINES {
        for values in [pool, "quickstart: {enabled: true}", &pool.replace("agentW", "actionW")] {
            for images in
                ["", "global: {imageNamespace: team}", "images: {agent: {repository: me/agent, tag: '1'}}"]
            {
                let error = Case::bare(&format!("{images}\n{values}")).refused_by(engine);
                assert!(
                    error.contains("images.agent.repository: ") && error.contains("has no registry"),
                    "{error}"
                );
                assert!(error.contains("set it to where your image of the agent is"), "{error}");
            }
        }
        let none = Case::bare("").rendered_by(engine);
        assert_eq!(none.of_kind("Deployment").count(), 0, "nothing needs it yet");
    }
}

#[test]
fn what_is_passed_on_is_passed_on() {
    let rendered = Case::of_chart("restricted").rendered();
    let object = rendered.find("Deployment", "rel-attune-agent-worker-locked-down");
    let spec = object.pod_spec();
    assert_eq!(spec["imagePullSecrets"], json!([{ "name": "regcred" }]));
    assert_eq!(spec["priorityClassName"], "batch");
    assert_eq!(spec["serviceAccountName"], "rel-attune-agent-worker-locked-down");
    let spread = &spec["topologySpreadConstraints"][0];
    let selector = object.selector().expect("a selector");
    assert_eq!(spread["labelSelector"]["matchLabels"], json!(selector), "it is about this pool");
    assert_eq!(worker(object).mount("cache").expect("a mount")["mountPath"], "/var/cache/tools");
    assert!(object.volume("cache").is_some());
    assert_eq!(object.container("sidecar").image(), "registry.example.com/tools/sidecar:1.0");
    assert!(worker(object).value["lifecycle"]["preStop"].is_object());
    let hints = worker(object).mount("hints").expect("a mount");
    assert_eq!(hints["mountPath"], "/.attune-runtime.yaml");
    let map = rendered.find("ConfigMap", "rel-attune-agent-worker-locked-down");
    assert!(map.at("/data")["hints.yaml"].as_str().is_some_and(|text| text.contains("/opt/tools/bin")));
    assert_eq!(object.at("/metadata/labels/team"), "automation");
    assert_eq!(object.annotation("example.com/owner"), Some("automation@example.com"));
    let config = rendered.find("ConfigMap", "rel-attune-config");
    assert!(config.at("/data")["config.yaml"].as_str().is_some_and(|text| text.contains("processes: 256")));
    // Further objects are templates, as maps and as text.
    assert_eq!(rendered.find("ConfigMap", "rel-attune-extra").at("/data/release"), "rel");
    assert_eq!(rendered.find("ConfigMap", "rel-attune-text").at("/data/pools"), "1");
}

/// A pod in a cluster where Attune is: its secret, configuration and claims, by the names that they have there.
#[test]
fn beside_a_release_of_attune_nothing_of_it_is_made_again() {
    for engine in ENGINES {
        let rendered = Case::of_chart("existing-attune").rendered_by(engine);
        let mut kinds: Vec<_> = rendered.objects.iter().map(Object::kind).collect();
        kinds.sort_unstable();
        assert_eq!(kinds, ["Deployment", "Deployment", "Pod", "Pod", "Pod", "Pod"]);
        for name in ["rel-attune-agent-worker-full", "rel-attune-agent-worker-any-thing"] {
            let object = rendered.find("Deployment", name);
            assert_eq!(object.volume("config").expect("it")["configMap"]["name"], "attune-attune-config");
            for (volume, claim) in [
                ("packs", "attune-attune-packs"),
                ("runtime-envs", "attune-attune-runtime-envs"),
                ("artifacts", "attune-attune-artifacts"),
            ] {
                let found = object.volume(volume).expect(volume);
                assert_eq!(found["persistentVolumeClaim"]["claimName"], claim);
            }
            let worker = worker(object);
            assert_eq!(
                worker.value["envFrom"],
                json!([{ "secretRef": { "name": "attune-attune-secrets" } }])
            );
            assert_eq!(worker.variable("ATTUNE_API_URL"), Some("http://attune-attune-api:8080"));
        }
        let full = rendered.find("Deployment", "rel-attune-agent-worker-full");
        assert_eq!(worker(full).variable("ATTUNE_WORKER_RUNTIMES"), Some("shell,python,node,native"));
    }
}

#[test]
fn the_notes_name_each_pool_and_what_to_type_next() {
    let rendered = Case::of_chart("existing-attune").rendered();
    let notes = rendered.notes();
    for text in ["nikolaik/python-nodejs", "shell, python, node, native", "auto-detect", "replicas  2"] {
        assert!(notes.contains(text), "{text}: {notes}");
    }
    assert!(notes.contains("helm --namespace ns test rel\n"), "{notes}");
    assert!(notes.contains("exec deploy/rel-attune-agent-worker-full --container worker"), "{notes}");
    let none = Case::new("").rendered();
    assert!(none.notes().contains("There is no pool yet"), "{}", none.notes());
    assert_eq!(none.of_kind("Deployment").count(), 0);
}
