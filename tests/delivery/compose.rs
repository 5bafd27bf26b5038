//! `compose.yaml`: a system that asks for its passwords, starts in order, and stops as a worker needs.

use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::tool::python_tool;
use crate::{entries, items, project, yaml};

const COMPOSE: &str = "compose.yaml";
const POOLS: [&str; 3] = ["python", "node", "ruby"];
const PASSWORDS: [&str; 2] = ["POSTGRES_PASSWORD", "RABBITMQ_PASSWORD"];

fn service(name: &str) -> Value {
    let mut services = yaml(COMPOSE).1["services"].take();
    assert!(services[name].is_object(), "there is no {name}");
    services[name].take()
}

/// What has to have happened before `service` starts, at any distance.
fn before(name: &str) -> Vec<(String, String)> {
    let own = service(name)["depends_on"].take();
    if own.is_null() {
        return Vec::new();
    }
    entries(&own)
        .flat_map(|(other, needs)| {
            let condition = needs["condition"].as_str().expect("a condition").to_owned();
            before(other).into_iter().chain([(other.clone(), condition)])
        })
        .collect()
}

#[test]
fn no_password_stands_in_the_file_and_each_has_to_be_set() {
    let (text, compose) = yaml(COMPOSE);
    for (name, service) in entries(&compose["services"]) {
        let Some(variables) = service["environment"].as_object() else { continue };
        for (variable, value) in variables {
            let is_secret = ["PASSWORD", "PASS", "KEY", "SECRET"].iter().any(|end| variable.ends_with(end));
            let value = value.as_str().expect("text");
            assert!(!is_secret || value.starts_with("${"), "{variable} of {name} is {value}");
        }
    }
    for password in PASSWORDS {
        let uses = text.matches(&format!("${{{password}")).count();
        assert_eq!(uses, text.matches(&format!("${{{password}:?")).count(), "{password} has no default");
        assert!(uses >= 2, "{password} is set for the server and for who connects to it");
    }
}

#[test]
fn a_pool_is_the_users_image_with_the_agent_as_its_entry_point() {
    for pool in POOLS {
        let service = service(pool);
        assert!(service["image"].as_str().is_some_and(|image| image.contains(pool)), "{service}");
        assert_eq!(service["entrypoint"], json!(["/opt/attune/agent/attune-agent"]));
        let volumes = items(&service["volumes"]);
        assert!(volumes.contains(&json!("agent:/opt/attune/agent:ro")), "{volumes:?}");
        assert!(volumes.contains(&json!("packs:/opt/attune/packs:ro")), "{volumes:?}");
        assert_eq!(
            service["healthcheck"]["test"],
            json!(["CMD", "/opt/attune/agent/attune-agent", "health", "ready"]),
            "the image may have no shell"
        );
        assert_eq!(service["stop_grace_period"], "45s");
        assert_eq!(service["read_only"], true);
        assert_eq!(service["cap_drop"], json!(["ALL"]));
    }
}

#[test]
fn everything_is_there_before_what_needs_it() {
    let (done, healthy) = ("service_completed_successfully", "service_healthy");
    for pool in POOLS {
        let before = before(pool);
        for (name, condition) in [
            ("loader", done),
            ("migrate", done),
            ("register", done),
            ("postgres", healthy),
            ("rabbitmq", healthy),
        ] {
            assert!(
                before.contains(&(name.to_owned(), condition.to_owned())),
                "{name} before {pool}: {before:?}"
            );
        }
    }
    for server in ["postgres", "rabbitmq"] {
        assert!(service(server)["healthcheck"]["test"].is_array());
        assert!(service(server)["ports"].is_null(), "nobody outside reaches {server}");
    }
    // What runs once does not run again and again, and reaches no further than it must.
    for once in ["loader", "migrate", "register"] {
        assert_eq!(service(once)["restart"], "no", "{once}");
    }
    assert_eq!(service("loader")["command"], json!(["install", "/opt/attune/agent"]));
    assert_eq!(service("loader")["network_mode"], "none");
}

#[test]
fn every_volume_is_declared_and_every_pack_is_built_in() {
    let compose = yaml(COMPOSE).1;
    let declared: Vec<&String> = entries(&compose["volumes"]).map(|(name, _)| name).collect();
    for (name, service) in entries(&compose["services"]) {
        for volume in service["volumes"].as_array().into_iter().flatten() {
            let source = volume.as_str().and_then(|volume| volume.split(':').next()).expect("a source");
            let there = if source.starts_with('.') {
                project(source).is_dir()
            } else {
                declared.iter().any(|one| *one == source)
            };
            assert!(there, "{source} of {name}");
        }
    }
    assert_eq!(
        service("register")["command"],
        json!(["pack", "register", "--builtin", "core", "--builtin", "examples"])
    );
    for pack in ["core", "examples"] {
        assert!(project(&format!("packs/{pack}/pack.yaml")).is_file());
    }
}

/// `podman-compose config` with these variables and no others of the file's.
fn config(mut podman_compose: Command, variables: &[(&str, &str)]) -> Output {
    for password in PASSWORDS {
        podman_compose.env_remove(password);
    }
    let file: PathBuf = project(COMPOSE);
    podman_compose
        .arg("--file")
        .arg(file)
        .arg("config")
        .envs(variables.iter().copied())
        .output()
        .expect("it starts")
}

#[test]
fn podman_compose_reads_it_once_the_passwords_are_set() {
    let tool = || python_tool("podman-compose", &["podman-compose==1.5.0"]);
    let Some(first) = tool() else { return };
    let [postgres, rabbit] = PASSWORDS.map(|password| (password, "p@ss/w:rd"));
    for (variables, missing) in [(&[][..], PASSWORDS[0]), (&[postgres][..], PASSWORDS[1])] {
        let refused = config(tool().expect("it was there before"), variables);
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && said.contains(missing), "{said}");
    }
    let read = config(first, &[postgres, rabbit]);
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    let text = String::from_utf8(read.stdout).expect("text");
    let resolved: Value = serde_saphyr::from_str(&text).expect("YAML");
    for pool in POOLS {
        let pool = &resolved["services"][pool];
        assert_eq!(pool["environment"]["ATTUNE__DATABASE__PASSWORD"], "p@ss/w:rd");
        assert_eq!(pool["stop_grace_period"], "45s");
    }
}
