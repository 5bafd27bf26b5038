//! Wrong values: each is refused by both engines, with the field named.

use serde_json::json;

use chart_tests::driver::{ask, chart};
use chart_tests::engines::{Case, ENGINES, KUBERNETES, helm_three};

/// Values that would be right, for the mistakes below to be made in.
const SERVERS: &str = "database: {host: d, password: p}\nrabbitmq: {host: m, password: p}\n";

/// Packs, without which there is no pool either.
const PACKS: &str = "sharedStorage: {packs: {existingClaim: p}}\n";

/// What is wrong in a pool; and what the message has to name.
const POOLS: &[(&str, &str)] = &[
    ("{name: a}", "image"),
    ("{image: b}", "name"),
    ("{name: a, image: ''}", "agentWorkers.0.image"),
    ("{name: a, image: 'b c'}", "agentWorkers.0.image"),
    ("{name: 'a b', image: b}", "agentWorkers.0.name"),
    ("{name: '-a', image: b}", "agentWorkers.0.name"),
    ("{name: a-name-of-more-characters-than-a-label-has-room-for, image: b}", "agentWorkers.0.name"),
    ("{name: a, image: b, replica: 2}", "replica"),
    ("{name: a, image: b, replicas: '2'}", "replicas"),
    ("{name: a, image: b, replicas: -1}", "replicas"),
    ("{name: a, image: b, runtimes: python}", "runtimes"),
    ("{name: a, image: b, runtimes: ['shell,python']}", "runtimes"),
    ("{name: a, image: b, resources: {limits: {memory: 8GB}}}", "memory"),
    ("{name: a, image: b, resources: {request: {cpu: 1}}}", "request"),
    ("{name: a, image: b, env: {A: b}}", "env"),
    ("{name: a, image: b, env: [{name: A, value: 1}]}", "env.0.value"),
    ("{name: a, image: b, env: [{name: A, value: b}, {name: A, value: c}]}", "env"),
    ("{name: a, image: b, imagePullPolicy: Sometimes}", "imagePullPolicy"),
    ("{name: a, image: b, stopGracePeriod: 45s}", "stopGracePeriod"),
    ("{name: a, image: b, drainTimeout: 60}", "drainTimeout"),
    ("{name: a, image: b, stopGracePeriod: 30, drainTimeout: 30}", "drainTimeout"),
    ("{name: a, image: b, concurrency: -1}", "concurrency"),
    ("{name: a, image: b, labels: {a: 1}}", "labels"),
    ("{name: a, image: b, taints: [{key: k, effect: NoSchedule}]}", "effect"),
    ("{name: a, image: b, nodeSelector: {gpu: true}}", "gpu"),
    ("{name: a, image: b, tolerations: [{key: k, efect: NoSchedule}]}", "efect"),
    ("{name: a, image: b, gpu: {count: one}}", "count"),
    ("{name: a, image: b, gpu: {resource: nvidia.com/gpu}}", "resource"),
    ("{name: a, image: b, injection: sidecar}", "injection"),
    ("{name: a, image: b, workdir: {sizeLimit: lots}}", "workdir.sizeLimit"),
    ("{name: a, image: b, hints: {runtime: []}}", "runtime"),
    ("{name: a, image: b, hints: {runtimes: [{name: python}]}}", "path"),
    ("{name: a, image: b, probes: {liveness: {exec: {command: [true]}}}}", "exec"),
    ("{name: a, image: b, securityContext: {readOnlyRootFilesystem: 'yes'}}", "readOnlyRootFilesystem"),
    ("{name: a, image: b, podSecurityContext: {runAsUser: root}}", "runAsUser"),
    ("{name: a, image: b, extraVolumes: [{name: packs, emptyDir: {}}]}", "extraVolumes"),
    ("{name: a, image: b, extraVolumeMounts: [{name: x}]}", "mountPath"),
    ("{name: a, image: b, podLabels: {team: 'a b'}}", "podLabels.team"),
    ("{name: a, image: b, podLabels: {team: a-}}", "podLabels.team"),
    ("{name: a, image: b, updateStrategy: {type: Rolling}}", "updateStrategy.type"),
    (
        "{name: a, image: b, resources: {requests: {cpu: 1}}, autoscaling: {enabled: true, minReplicas: 6}}",
        "minReplicas",
    ),
    (
        "{name: a, image: b, resources: {requests: {cpu: 1}}, autoscaling: {enabled: true, minReplicas: 0}}",
        "minReplicas",
    ),
    ("{name: a, image: b, autoscaling: {enabled: true, minReplicas: 0, type: keda}}", "minReplicas"),
    ("{name: a, image: b, autoscaling: {enabled: true}}", "resources.requests.cpu"),
    ("{name: a, image: b, autoscaling: {type: vpa}}", "autoscaling.type"),
    ("{name: a, image: b, test: {action: noop}}", "test.action"),
];

/// Wrong values beside a pool that is right.
const OTHERS: &[(&str, &str)] = &[
    ("databse: {host: d}", "databse"),
    ("agentWorker: [{name: b, image: c}]", "agentWorkers"),
    ("actionWorkers: {name: b, image: c}", "actionWorkers"),
    ("actionWorkers: [{name: b}]", "actionWorkers.0"),
    ("actionWorkers: [{name: b, image: c, replica: 2}]", "replica"),
    ("security: {existingSecret: s}\nactionWorkers: [{name: A, image: c}]", "actionWorkers"),
    ("database: {hostt: d}", "hostt"),
    ("database: {host: d}", "database.password"),
    ("database: {host: d, password: 12345}", "database.password"),
    ("database: {host: d, password: p, port: 70000}", "database.port"),
    ("database: {url: 'mysql://u:p@d/x'}", "database.url"),
    ("database: {existingSecret: s, passwordKey: k}", "database.host"),
    ("database: {existingSecret: Not_A_Name}", "existingSecret"),
    ("database: {host: d, password: p, schema: a-b}", "database.schema"),
    ("database: {host: d, password: p, tls: {mode: full}}", "database.tls.mode"),
    ("database: {host: d, password: p}", "rabbitmq"),
    ("rabbitmq: {host: m, password: p}", "database"),
    ("rabbitmq: {url: 'http://m'}", "rabbitmq.url"),
    ("quickstart: {enabled: true}\ndatabase: {host: d, password: p}", "quickstart.enabled"),
    ("quickstart: {enabled: true}\nrabbitmq: {tls: {enabled: true}}", "rabbitmq.tls"),
    ("quickstart: {enabled: true}\ndatabase: {tls: {mode: require}}", "database.tls"),
    ("quickstart: {enabled: 'yes'}", "quickstart.enabled"),
    ("quickstart: {enabled: true, packs: []}", "packs"),
    ("security: {encryptionKey: short}", "encryptionKey"),
    ("security: {existingSecrets: s}", "existingSecrets"),
    ("credentials: {mode: env}", "credentials.mode"),
    ("sharedStorage: {packs: {size: 2 GB}}", "packs.size"),
    ("security: {existingSecret: s}\nsharedStorage: {packs: {enabled: false}}", "api.url"),
    (
        "security: {existingSecret: s, keys: {jwtSecret: ''}}\napi: {url: 'http://a'}\nsharedStorage: {packs: {enabled: false}}",
        "security.jwtSecret",
    ),
    ("quickstart: {enabled: true}\nsharedStorage: {packs: {enabled: false}}", "sharedStorage.packs.enabled"),
    ("security: {existingSecret: s}\nsharedStorage: {accessMode: ReadWriteMany}", "sharedStorage.packs"),
    (
        "security: {existingSecret: s}\napi: {url: 'http://a'}\nsharedStorage: {}",
        "sharedStorage.packs.enabled",
    ),
    ("sharedStorage: {runtime_envs: {size: 2Gi}}", "runtime_envs"),
    ("sharedStorage: {accessMode: RWX}", "accessMode"),
    ("images: {agent: {digest: sha256:abc}}", "digest"),
    ("images: {agents: {tag: '1'}}", "agents"),
    ("rabbitmq: {enable: true, host: m, password: p}", "enable"),
    ("sharedStorage: {packs: {accessModes: ReadWriteMany}}", "accessModes"),
    ("sharedStorage: {packs: {accessModes: [RWX]}}", "accessModes.0"),
    ("agentWorkerDefaults: {image: b}", "agentWorkerDefaults"),
    ("agentWorkerDefaults: {logLevel: 3}", "agentWorkerDefaults.logLevel"),
    ("security: {existingSecret: s}\nconfig: {database: {url: 'postgres://d/x'}}", "config.database.url"),
    ("security: {existingSecret: s}\nconfig: {security: {jwt_secret: x}}", "config.security.jwt_secret"),
    ("api: {url: api.example.com}", "api.url"),
    ("wait: {timeout: 5m}", "wait.timeout"),
    ("extraObjects: [1]", "extraObjects"),
    ("global: {imageRegistry: [a]}", "imageRegistry"),
    ("nameOverride: A_B", "nameOverride"),
    ("commonLabels: {team: -a}", "commonLabels.team"),
    ("images: {agent: {tag: -a}}", "tag"),
];

/// Whether an error names a field: a whole word, or a place such as `database.port`, which one engine writes as
/// `/database/port`.
fn names(error: &str, field: &str) -> bool {
    if field.contains('.') {
        return error.replace('/', ".").contains(field);
    }
    error.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').any(|word| word == field)
}

/// Whether the schema refuses: Helm says by itself in which field.
fn is_of_schema(error: &str) -> bool {
    error.contains("values don't meet the specifications of the schema(s)")
}

/// The sentence with which the chart refuses: behind what Helm puts before every one, and alone. There is no trace of templates
/// in it that a reader would have to get through.
fn sentence(error: &str) -> Option<&str> {
    let begun = error.trim_start_matches("Error: ");
    let place = begun.strip_prefix("execution error at (attune/templates/validate/values.yaml:")?;
    let (_, told) = place.split_once("): ")?;
    let (sentence, rest) = told.trim_end().split_once('\n').unwrap_or((told, ""));
    let rest = rest.trim();
    let is_alone = rest.is_empty() || rest == "Use --debug flag to render out invalid YAML";
    (is_alone && !sentence.contains("error calling")).then_some(sentence)
}

#[test]
fn a_mistake_is_named() {
    let pools = POOLS.iter().map(|(pool, field)| (format!("{SERVERS}{PACKS}agentWorkers: [{pool}]"), *field));
    let others = OTHERS.iter().map(|(values, field)| {
        let packs = if values.contains("sharedStorage") { "" } else { PACKS };
        (format!("{values}\n{packs}agentWorkers: [{{name: a, image: busybox}}]"), *field)
    });
    let wrong: Vec<_> = pools.chain(others).collect();
    assert!(wrong.len() >= 25);
    let mut unnamed = Vec::new();
    for (values, field) in &wrong {
        for engine in ENGINES {
            let error = Case::new(values).refused_by(engine);
            if !names(&error, field) {
                unnamed.push(format!("{engine:?} does not name {field}:\n{values}\n{error}"));
            }
            if !is_of_schema(&error) && sentence(&error).is_none() {
                unnamed.push(format!("{engine:?} says more than a sentence:\n{values}\n{error}"));
            }
        }
    }
    assert!(unnamed.is_empty(), "{}", unnamed.join("\n\n"));
}

#[test]
fn pools_of_one_name_are_told_where_both_are() {
    for engine in ENGINES {
        let pools =
            "agentWorkers: [{name: big_data, image: b}, {name: other, image: b}, {name: Big-Data, image: c}]";
        let error = Case::new(&format!("{SERVERS}{PACKS}{pools}")).refused_by(engine);
        assert!(
            error.contains("agentWorkers[2].name: Big-Data is the name of agentWorkers[0] too"),
            "{error}"
        );
    }
}

#[test]
fn a_chart_within_another_may_be_given_globals_that_it_does_not_know() {
    let values = format!(
        "global: {{storageClass: fast, imageRegistry: r.example}}\n{SERVERS}{PACKS}agentWorkers: [{{name: a, image: busybox}}]"
    );
    for engine in ENGINES {
        Case::new(&values).rendered_by(engine);
    }
}

/// The first that one sees is what is wrong, whichever of the templates would stumble over it.
#[test]
fn what_the_chart_refuses_it_refuses_with_a_sentence_alone() {
    let pool = "agentWorkers: [{name: a, image: b}]";
    for (values, says) in [
        (
            "quickstart: {enabled: true}\ndatabase: {host: d}",
            "quickstart.enabled: it brings a server of its own",
        ),
        ("databse: {host: d}", "databse: no section"),
        ("", "database: there is no database"),
        ("database: {host: d}", "database.password: it is empty"),
        (SERVERS, "sharedStorage.packs: a claim made here would be empty"),
    ] {
        for engine in ENGINES {
            let error = Case::new(&format!("{values}\n{pool}")).refused_by(engine);
            assert!(
                sentence(&error).is_some_and(|sentence| sentence.starts_with(says)),
                "{engine:?}: {error}"
            );
        }
    }
}

/// The linters say it too, though they go on where a rendering ends.
#[test]
fn what_is_refused_fails_a_linter_too() {
    for (values, says) in [
        ("databse: {host: d}", "did you mean database?"),
        ("agentWorkers: [{name: a, image: b}]", "there is no database"),
    ] {
        let values = format!("{PACKS}global: {{imageRegistry: r.example}}\n{values}");
        let question = json!({ "verb": "lint", "chart": chart(), "values": values, "kubernetes": format!("v{KUBERNETES}") });
        let answer = ask(&question).expect("an answer").to_string();
        assert!(answer.contains(says), "{answer}");
        let version = format!("kubeVersionOverride={KUBERNETES}");
        let arguments = ["lint", "--strict", "--values", "-", "--set", &version];
        let error = helm_three(&arguments, &values).expect_err("it is wrong");
        assert!(error.contains(says), "{error}");
    }
}

/// What the chart cannot see, it does not refuse: a pool may bring its packs, or be led to them by variables of its own.
#[test]
fn a_pool_that_may_have_packs_of_its_own_is_not_refused() {
    let none = "security: {existingSecret: s}\nsharedStorage: {packs: {enabled: false}}";
    for (values, fields) in [
        ("api: {url: 'http://a'}", ""),
        ("existingConfigMap: m", ""),
        ("config: {packs_base_dir: /packs}", ""),
        ("config: {api: {url: 'http://a'}}", ""),
        ("", ", env: [{name: ATTUNE__PACKS_BASE_DIR, value: /packs}]"),
        ("", ", envFrom: [{secretRef: {name: s}}]"),
        ("agentWorkerDefaults: {env: [{name: ATTUNE_API_URL, value: 'http://a'}]}", ""),
    ] {
        for engine in ENGINES {
            let pool = format!("agentWorkers: [{{name: a, image: b{fields}}}]");
            Case::new(&format!("{none}\n{values}\n{pool}")).rendered_by(engine);
        }
    }
}
