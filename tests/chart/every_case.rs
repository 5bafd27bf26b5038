//! What holds for everything that the chart renders, whatever the values.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use chart_tests::driver::{ask, chart};
use chart_tests::engines::{Case, ENGINES, Engine, OLDEST, cases_of_chart, helm_three};
use chart_tests::objects::{Container, Object, selects, texts};

/// Calls `check` for each of the chart's cases.
fn for_each_case(mut check: impl FnMut(&str, &Case)) {
    for name in cases_of_chart() {
        check(&name, &Case::of_chart(&name));
    }
}

/// What the quickstart makes anew each time that it is rendered without a cluster.
fn without_what_is_made_once(object: &Object) -> Value {
    let mut value = object.value().clone();
    if object.kind() == "Secret" && object.name().ends_with("-quickstart") {
        for (_, held) in value["data"].as_object_mut().expect("data") {
            *held = Value::Null;
        }
    }
    value
}

#[test]
fn both_engines_render_the_same() {
    for_each_case(|name, case| {
        let [four, three] = ENGINES.map(|engine| {
            let rendered = case.rendered_by(engine);
            let key = |object: &&Object| (object.kind().to_owned(), object.name().to_owned());
            let mut objects: Vec<_> = rendered.objects.iter().collect();
            objects.sort_by_key(key);
            objects.into_iter().map(without_what_is_made_once).collect::<Vec<_>>()
        });
        assert_eq!(four, three, "{name}");
    });
}

#[test]
fn no_object_is_rendered_twice() {
    for_each_case(|name, case| {
        let mut seen = BTreeSet::new();
        for object in &case.rendered().objects {
            assert!(
                seen.insert((object.kind(), object.name())),
                "{name}: {} {}",
                object.kind(),
                object.name()
            );
        }
    });
}

#[test]
fn both_linters_are_content() {
    for_each_case(|name, case| {
        let question = json!({
            "verb": "lint", "chart": chart(), "values": case.values, "kubernetes": format!("v{}", case.kubernetes),
        });
        assert_eq!(ask(&question).expect("an answer"), json!([]), "{name}");
        // The linter of Helm 3.6 cannot be told a version of Kubernetes, and supposes 1.20.
        let version = format!("kubeVersionOverride={}", case.kubernetes);
        helm_three(&["lint", "--strict", "--values", "-", "--set", &version], &case.values)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    });
    // The values as they come, which make no pool yet.
    let question = json!({ "verb": "lint", "chart": chart(), "values": "", "kubernetes": "v1.37.0" });
    assert_eq!(ask(&question).expect("an answer"), json!([]));
}

/// The three newest minors whose schemas there are, and the oldest that the chart claims.
fn minors() -> Vec<String> {
    let all = ask(&json!({ "verb": "minors" })).expect("versions");
    let all: Vec<String> = all
        .as_array()
        .expect("a list")
        .iter()
        .map(|minor| minor.as_str().expect("text").to_owned())
        .collect();
    let claimed = std::fs::read_to_string(chart().join("Chart.yaml")).expect("the chart");
    assert!(claimed.contains(&format!("kubeVersion: \">={OLDEST}.0-0\"")), "the chart claims {OLDEST}");
    assert!(all.contains(&OLDEST.to_owned()), "{all:?}");
    let mut minors = vec![OLDEST.to_owned()];
    minors.extend(all.into_iter().rev().take(3));
    minors
}

#[test]
fn every_object_is_what_the_api_of_kubernetes_takes() {
    let minors = minors();
    for_each_case(|name, case| {
        let rendered = case.rendered();
        for minor in &minors {
            // Image volumes came later; the chart says so, as another test shows.
            if name == "imagevolume" && minor == OLDEST {
                continue;
            }
            // Of KEDA's kinds there is no schema here: `scaling` looks at their fields.
            for object in
                rendered.objects.iter().filter(|object| object.at("/apiVersion") != "keda.sh/v1alpha1")
            {
                let question = json!({ "verb": "validate", "object": object.value(), "kubernetes": minor });
                let wrong = ask(&question).expect("an answer");
                assert_eq!(
                    wrong,
                    Value::Null,
                    "{name}, {} {}, Kubernetes {minor}",
                    object.kind(),
                    object.name()
                );
            }
        }
    });
}

#[test]
fn a_schema_that_is_violated_is_noticed() {
    let object = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "a" }, "dat": {} });
    let question = json!({ "verb": "validate", "object": object, "kubernetes": OLDEST });
    let wrong = ask(&question).expect("an answer");
    assert!(wrong.as_str().is_some_and(|wrong| wrong.contains("'dat'")), "{wrong}");
}

#[test]
fn what_is_mounted_is_there_and_what_is_there_is_mounted() {
    for_each_case(|name, case| {
        for object in case.rendered().objects.iter().filter(|object| object.pod().is_some()) {
            let spec = object.pod_spec();
            let named = |list: &Value| -> Vec<String> {
                let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
                list.iter().map(|volume| volume["name"].as_str().expect("a name").to_owned()).collect()
            };
            let mut volumes = named(&spec["volumes"]);
            if object.kind() == "StatefulSet" {
                volumes.push("data".to_owned());
            }
            let there: BTreeSet<_> = volumes.iter().cloned().collect();
            assert_eq!(there.len(), volumes.len(), "{name}, {}: {volumes:?}", object.name());
            let mut mounted = BTreeSet::new();
            for container in object.containers() {
                let mut places = BTreeSet::new();
                for mount in container.mounts() {
                    mounted.insert(mount["name"].as_str().expect("a name").to_owned());
                    assert!(
                        places.insert(mount["mountPath"].as_str()),
                        "{name}, {}: {mount}",
                        container.name()
                    );
                }
            }
            assert_eq!(mounted, there, "{name}, {}", object.name());
        }
    });
}

/// A worker that waits for packs has somebody who puts them there: a release, on a claim of its own, or a job.
#[test]
fn packs_that_are_waited_for_come() {
    for_each_case(|name, case| {
        let rendered = case.rendered();
        let made: Vec<_> = rendered.of_kind("PersistentVolumeClaim").map(Object::name).collect();
        let writes = |object: &Object, claim: &Value| {
            let named = |volume: &Value| volume["persistentVolumeClaim"]["claimName"] == *claim;
            let words = |container: &Container<'_>| {
                container.words().starts_with(&["/attune-agent", "pack", "register"])
            };
            object.volume("packs").is_some_and(named) && object.containers().iter().any(words)
        };
        for object in rendered.of_kind("Deployment") {
            let claim = &object.volume("packs").expect("packs")["persistentVolumeClaim"]["claimName"];
            let waits = object.containers().iter().any(|container| container.words().contains(&"packs"));
            assert_eq!(waits, !claim.is_null(), "{name}, {}", object.name());
            let is_made = made.iter().any(|made| claim == made);
            assert!(
                !is_made || rendered.of_kind("Job").any(|job| writes(job, claim)),
                "{name}, {}: nobody puts packs on {claim}",
                object.name()
            );
            let from_api = object.container("worker").variable("ATTUNE_API_URL").is_some();
            assert!(waits || from_api, "{name}, {}: packs come from nowhere", object.name());
        }
    });
}

/// Where a storage class waits for the first pod, a claim that none mounts is never bound, and `helm install --wait` never ends.
#[test]
fn every_claim_is_mounted_by_a_pod_that_an_installation_starts() {
    let mounted = |name: &str, case: &Case| {
        let rendered = case.rendered();
        for claim in rendered.of_kind("PersistentVolumeClaim") {
            let mounts = |object: &&Object| {
                let volumes = object.pod_spec()["volumes"].as_array().into_iter().flatten();
                volumes
                    .map(|volume| &volume["persistentVolumeClaim"]["claimName"])
                    .any(|it| it == claim.name())
            };
            let workloads = rendered.objects.iter().filter(|it| it.pod().is_some() && it.kind() != "Pod");
            assert!(workloads.filter(mounts).count() > 0, "{name}: nobody mounts {}", claim.name());
        }
    };
    for_each_case(mounted);
    mounted("quickstart without pools", &Case::new("quickstart: {enabled: true}"));
    mounted("nothing", &Case::new(""));
}

#[test]
fn what_is_referred_to_is_rendered_or_named_in_the_values() {
    for_each_case(|name, case| {
        let rendered = case.rendered();
        let is_there = |kind: &str, reference: &Value| {
            let wanted = reference.as_str().expect("a name");
            rendered.objects.iter().any(|object| object.kind() == kind && object.name() == wanted)
                || case.values.contains(wanted)
        };
        for object in rendered.objects.iter().filter(|object| object.pod().is_some()) {
            let spec = object.pod_spec();
            for volume in spec["volumes"].as_array().into_iter().flatten() {
                let claim = &volume["persistentVolumeClaim"]["claimName"];
                assert!(claim.is_null() || is_there("PersistentVolumeClaim", claim), "{name}: {volume}");
                let map = &volume["configMap"]["name"];
                assert!(map.is_null() || is_there("ConfigMap", map), "{name}: {volume}");
                for source in volume["projected"]["sources"].as_array().into_iter().flatten() {
                    assert!(is_there("Secret", &source["secret"]["name"]), "{name}: {source}");
                }
            }
            for container in object.containers() {
                for variable in container.variables() {
                    let secret = &variable["valueFrom"]["secretKeyRef"]["name"];
                    assert!(secret.is_null() || is_there("Secret", secret), "{name}: {variable}");
                }
                for source in container.value["envFrom"].as_array().into_iter().flatten() {
                    assert!(is_there("Secret", &source["secretRef"]["name"]), "{name}: {source}");
                }
            }
            let account = &spec["serviceAccountName"];
            assert!(account.is_null() || is_there("ServiceAccount", account), "{name}: {account}");
        }
    });
}

#[test]
fn no_variable_is_set_twice() {
    for_each_case(|name, case| {
        for object in case.rendered().objects.iter().filter(|object| object.pod().is_some()) {
            for container in object.containers() {
                let mut seen = BTreeSet::new();
                for variable in container.variables() {
                    let variable = variable["name"].as_str().expect("a name");
                    assert!(seen.insert(variable), "{name}, {}: {variable}", container.name());
                }
            }
        }
    });
}

/// The restricted profile of Kubernetes' pod security standards, as far as it is about what the chart sets.
#[test]
fn every_pod_is_restricted() {
    for_each_case(|name, case| {
        for object in case.rendered().objects.iter().filter(|object| object.pod().is_some()) {
            let spec = object.pod_spec();
            let place = format!("{name}, {} {}", object.kind(), object.name());
            let context = &spec["securityContext"];
            assert_eq!(context["runAsNonRoot"], true, "{place}");
            assert_eq!(context["seccompProfile"]["type"], "RuntimeDefault", "{place}");
            assert_ne!(context["runAsUser"], 0, "{place}");
            assert_eq!(spec["automountServiceAccountToken"], false, "{place}");
            assert_eq!(spec["enableServiceLinks"], false, "{place}");
            for field in ["hostNetwork", "hostPID", "hostIPC"] {
                assert_eq!(spec[field], Value::Null, "{place}");
            }
            for container in object.containers() {
                let context = &container.value["securityContext"];
                assert_eq!(context["allowPrivilegeEscalation"], false, "{place}, {}", container.name());
                assert_eq!(context["capabilities"]["drop"], json!(["ALL"]), "{place}, {}", container.name());
            }
        }
    });
}

#[test]
fn nothing_needs_a_shell_or_somebody_elses_image_to_start_a_worker() {
    for_each_case(|name, case| {
        for object in case.rendered().objects.iter().filter(|object| object.pod().is_some()) {
            for container in object.containers() {
                let words = container.words();
                let place = format!("{name}, {}, {}: {words:?}", object.name(), container.name());
                assert!(!words.iter().any(|word| ["sh", "bash", "-c", "-ec"].contains(word)), "{place}");
                let agents = container.image().contains("attune/agent");
                if agents {
                    assert_eq!(words[0], "/attune-agent", "{place}");
                    assert_eq!(container.value["securityContext"]["readOnlyRootFilesystem"], true, "{place}");
                }
                assert!(agents || !container.is_init, "{place}");
            }
        }
    });
}

/// A hook that runs after everything is ready would wait for pods that wait for it: `helm install --wait` would not end.
#[test]
fn only_tests_are_hooks() {
    for_each_case(|name, case| {
        for object in &case.rendered().objects {
            let hook = object.annotation("helm.sh/hook");
            assert!(hook.is_none() || hook == Some("test"), "{name}, {}: {hook:?}", object.name());
            assert_eq!(hook == Some("test"), object.kind() == "Pod", "{name}, {}", object.name());
        }
    });
}

/// Helm shows what a pod's container said, and not those that ran before it: with what is looked for in one of those, a test
/// that fails only says that its container waits to start.
#[test]
fn a_test_says_itself_why_it_fails() {
    for_each_case(|name, case| {
        for object in case.rendered().of_kind("Pod") {
            let (before, own): (Vec<_>, Vec<_>) =
                object.containers().into_iter().partition(|container| container.is_init);
            assert_eq!(own.len(), 1, "{name}, {}", object.name());
            let before: Vec<_> = before.iter().map(Container::name).collect();
            assert!(before.is_empty() || before == ["agent-loader"], "{name}, {}: {before:?}", object.name());
            // Nothing else would delete it, and what it said is shown before.
            let policy = |what: &str| object.annotation(&format!("helm.sh/hook-{what}-policy"));
            assert_eq!(policy("delete"), Some("before-hook-creation,hook-succeeded"), "{name}");
            assert_eq!(policy("output-log"), Some("hook-failed,hook-succeeded"), "{name}");
        }
    });
}

#[test]
fn a_selector_takes_the_pods_of_one_workload_alone() {
    for_each_case(|name, case| {
        let rendered = case.rendered();
        for object in &rendered.objects {
            let Some(selector) = object.selector() else { continue };
            let taken: Vec<_> = rendered
                .objects
                .iter()
                .filter(|other| {
                    let pod = other.pod();
                    pod.is_some_and(|pod| selects(&selector, &texts(&pod["metadata"]["labels"])))
                })
                .collect();
            assert_eq!(taken.len(), 1, "{name}, {} {}", object.kind(), object.name());
            if object.pod().is_some() {
                assert_eq!(taken[0], object, "{name}");
            }
        }
    });
}

#[test]
fn an_old_cluster_is_told_what_it_cannot_do() {
    let old = Case::of_chart("imagevolume").kubernetes("1.25.0");
    for engine in ENGINES {
        let error = old.refused_by(engine);
        assert!(error.contains("agentWorkers[0].injection: imageVolume needs Kubernetes 1.33"), "{error}");
    }
    let older = Case::of_chart("minimal").kubernetes("1.24.0");
    let error = older.refused_by(Engine::Three);
    assert!(error.contains("1.24"), "{error}");
}

#[test]
fn chart_and_agent_have_one_version() {
    let metadata = std::fs::read_to_string(chart().join("Chart.yaml")).expect("the chart");
    let version = env!("CARGO_PKG_VERSION");
    assert!(metadata.contains(&format!("\nversion: {version}\nappVersion: \"{version}\"\n")), "{version}");
    assert!(
        !metadata.contains("attune/agent:"),
        "nobody has published an image under a name that all could use"
    );
}

/// The part of the reference about a verb.
fn about<'r>(reference: &'r str, verb: &str) -> Option<&'r str> {
    let begun = reference.split_once(&format!("\n### attune-agent {verb}\n"))?.1;
    begun.split("\n### ").next()
}

/// What a container is told to run, and asked by its probes.
fn commands(container: Container<'_>) -> Vec<Vec<&str>> {
    let probes = ["startupProbe", "livenessProbe", "readinessProbe"].map(|probe| {
        let words = container.value[probe]["exec"]["command"].as_array().into_iter().flatten();
        words.map(|word| word.as_str().expect("a word")).collect()
    });
    let all = probes.into_iter().chain([container.words()]);
    all.filter(|words| words.len() > 1 && words[0].ends_with("/attune-agent")).collect()
}

/// Verbs, what they are asked, and options are such as the program has.
#[test]
fn the_program_knows_what_it_is_told() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference.md");
    let reference = std::fs::read_to_string(path).expect("the reference");
    let mut verbs = BTreeSet::new();
    for_each_case(|name, case| {
        for object in case.rendered().objects.iter().filter(|object| object.pod().is_some()) {
            for words in object.containers().into_iter().flat_map(commands) {
                // A verb may be two words.
                let two = words[1..].iter().take(2).copied().collect::<Vec<_>>().join(" ");
                let verb = if about(&reference, &two).is_some() { two } else { words[1].to_owned() };
                let about = about(&reference, &verb);
                let about = about.unwrap_or_else(|| panic!("{name}: nobody knows {words:?}"));
                for option in words.iter().filter(|word| word.starts_with("--")) {
                    assert!(about.contains(&format!(" {option} ")), "{name}: {words:?}");
                }
                if ["wait", "health"].contains(&verb.as_str()) {
                    assert!(about.contains(&format!("- {}: ", words[2])), "{name}: {words:?}");
                }
                verbs.insert(verb);
            }
        }
    });
    let expected = ["doctor", "health", "install", "migrate", "pack register", "submit", "wait"];
    assert_eq!(verbs.into_iter().collect::<Vec<_>>(), expected);
}
