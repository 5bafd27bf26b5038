//! How the agent is led to its servers: by parts, by URL, by secrets; in files, or in its environment.

use base64::Engine as _;
use serde_json::{Value, json};

use chart_tests::engines::{Case, ENGINES, cases_of_chart};
use chart_tests::objects::Object;

const POOL: &str = "sharedStorage: {packs: {existingClaim: p}}\nagentWorkers: [{name: a, image: busybox}]";
const WORKER: &str = "rel-attune-agent-worker-a";

/// What stands in a secret under a key.
fn decoded(secret: &Object, key: &str) -> String {
    let text = secret.at("/data")[key].as_str().unwrap_or_else(|| panic!("{} has no {key}", secret.name()));
    let bytes = base64::engine::general_purpose::STANDARD.decode(text).expect("base64");
    String::from_utf8(bytes).expect("text")
}

/// The files of the volume `credentials`: from which secret, which key, as what.
fn files(object: &Object) -> Vec<(String, String, String)> {
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let volume = object.volume("credentials").expect("a volume");
    let sources = volume["projected"]["sources"].as_array().expect("sources");
    let of_secret = |source: &Value| {
        let secret = text(&source["secret"]["name"]);
        let items = source["secret"]["items"].as_array().expect("items").clone();
        items.into_iter().map(move |item| (secret.clone(), text(&item["key"]), text(&item["path"])))
    };
    sources.iter().flat_map(of_secret).collect()
}

#[test]
fn passwords_are_escaped_in_urls_and_stand_in_secrets_alone() {
    for engine in ENGINES {
        let rendered = Case::of_chart("minimal").rendered_by(engine);
        let secret = rendered.find("Secret", "rel-attune-secrets");
        let database = "postgres://attune:p%40ss%3Aw%2Frd%201%2B1%25@db.example.com:5432/attune";
        assert_eq!(decoded(secret, "ATTUNE__DATABASE__URL"), database);
        assert_eq!(
            decoded(secret, "ATTUNE__MESSAGE_QUEUE__URL"),
            "amqp://attune:am%3Fqp%232@mq.example.com:5672/%2F"
        );
        let escaped = percent_encoding::percent_decode_str(database).decode_utf8().expect("text");
        assert!(escaped.contains("p@ss:w/rd 1+1%"), "{escaped}");
        for object in rendered.objects.iter().filter(|object| object.kind() != "Secret") {
            let text = object.value().to_string();
            for part in ["p@ss", "p%40ss", "am?qp", "am%3Fqp"] {
                assert!(!text.contains(part), "{} {}: {part}", object.kind(), object.name());
            }
        }
    }
}

#[test]
fn credentials_are_files_that_every_container_of_the_agent_is_told_of() {
    for name in cases_of_chart() {
        let case = Case::of_chart(&name);
        if case.values.contains("mode: environment") {
            continue;
        }
        for object in case.rendered().objects.iter().filter(|object| object.pod().is_some()) {
            for container in object.containers() {
                let named = container.variables().iter().filter_map(|variable| {
                    let named = variable["name"].as_str()?.strip_suffix("_FILE")?;
                    Some((named, variable["value"].as_str()?))
                });
                for (variable, file) in named {
                    let below =
                        file.strip_prefix("/opt/attune/credentials/").expect("where they are mounted");
                    assert!(
                        files(object).iter().any(|(_, _, path)| path == below),
                        "{name}: {variable}={file}"
                    );
                    let mount = container.mount("credentials").expect("the mount");
                    assert_eq!(mount["readOnly"], true, "{name}");
                    assert_eq!(
                        container.variable(variable.strip_suffix("_CA").unwrap_or(variable)),
                        None,
                        "{name}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_secret_that_is_there_is_used_as_it_is() {
    let rendered = Case::new(&format!("security: {{existingSecret: attune-secrets}}\n{POOL}")).rendered();
    let worker = rendered.find("Deployment", WORKER);
    let from = |variable: &str| ("attune-secrets".to_owned(), variable.to_owned(), variable.to_owned());
    let all = [
        "ATTUNE__DATABASE__URL",
        "ATTUNE__MESSAGE_QUEUE__URL",
        "ATTUNE__SECURITY__ENCRYPTION_KEY",
        "ATTUNE__SECURITY__JWT_SECRET",
    ];
    assert_eq!(files(worker), all.map(from));
    assert_eq!(rendered.of_kind("Secret").count(), 0);
    // Without the two that not every secret has.
    let values = "security: {existingSecret: attune-secrets, keys: {jwtSecret: '', encryptionKey: ''}}";
    let rendered = Case::new(&format!("{values}\n{POOL}")).rendered();
    assert_eq!(files(rendered.find("Deployment", WORKER)).len(), 2);
}

#[test]
fn a_password_from_a_secret_of_its_own_goes_with_parts_from_values() {
    let rendered = Case::of_chart("restricted").rendered();
    let worker = rendered.find("Deployment", "rel-attune-agent-worker-locked-down");
    let container = worker.container("worker");
    assert_eq!(
        container.variable("ATTUNE__DATABASE__URL"),
        Some("postgres://attune@db.example.com:5432/attune?sslmode=verify-full")
    );
    let file = |secret: &str, key: &str, path: &str| (secret.to_owned(), key.to_owned(), path.to_owned());
    let files = files(worker);
    assert!(files.contains(&file("attune-database", "password", "ATTUNE__DATABASE__PASSWORD")), "{files:?}");
    assert!(files.contains(&file("attune-broker", "url", "ATTUNE__MESSAGE_QUEUE__URL")), "{files:?}");
    assert!(files.contains(&file("internal-ca", "ca.crt", "database-ca.crt")), "{files:?}");
    assert_eq!(
        container.variable("ATTUNE__DATABASE__CA_FILE"),
        Some("/opt/attune/credentials/database-ca.crt")
    );
    let secret = rendered.find("Secret", "rel-attune-secrets");
    let held: Vec<_> = secret.at("/data").as_object().expect("data").keys().map(String::as_str).collect();
    assert_eq!(held, ["ATTUNE__SECURITY__ENCRYPTION_KEY", "ATTUNE__SECURITY__JWT_SECRET"]);
}

#[test]
fn the_environment_holds_the_secret_where_that_is_asked_for() {
    let rendered = Case::of_chart("existing-attune").rendered();
    let worker = rendered.find("Deployment", "rel-attune-agent-worker-full");
    let names = json!([{ "secretRef": { "name": "attune-attune-secrets" } }]);
    for container in worker.containers().iter().filter(|container| container.name() != "agent-loader") {
        assert_eq!(container.value["envFrom"], names, "{}", container.name());
        assert!(container.mount("credentials").is_none(), "{}", container.name());
    }
    // A key that is not called like its variable is given by itself.
    let values = "credentials: {mode: environment}\ndatabase: {existingSecret: d, urlKey: uri}\nrabbitmq: {existingSecret: m}";
    let rendered = Case::new(&format!("{values}\n{POOL}")).rendered();
    let container = rendered.find("Deployment", WORKER).container("worker");
    assert_eq!(container.value["envFrom"], json!([{ "secretRef": { "name": "m" } }]));
    let variable = json!({
        "name": "ATTUNE__DATABASE__URL", "valueFrom": { "secretKeyRef": { "name": "d", "key": "uri" } },
    });
    assert!(container.variables().contains(&variable), "{:?}", container.variables());
}

#[test]
fn pods_are_replaced_where_what_they_read_once_changes() {
    let checksums = |values: &str| {
        let rendered = Case::new(values).rendered();
        rendered.find("Deployment", WORKER).at("/spec/template/metadata/annotations").clone()
    };
    let values = |password: &str, level: &str| {
        let servers =
            format!("database: {{host: d, password: {password}}}\nrabbitmq: {{host: m, password: q}}");
        format!("{servers}\nconfig: {{log: {{level: {level}}}}}\n{POOL}")
    };
    let first = checksums(&values("one", "info"));
    let other_password = checksums(&values("two", "info"));
    assert_ne!(first["checksum/credentials"], other_password["checksum/credentials"]);
    assert_eq!(first["checksum/config"], other_password["checksum/config"]);
    let other_level = checksums(&values("one", "debug"));
    assert_ne!(first["checksum/config"], other_level["checksum/config"]);
    assert_eq!(first["checksum/credentials"], other_level["checksum/credentials"]);
}
