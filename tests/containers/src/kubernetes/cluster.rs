//! What is there beside pods.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{PoisonError, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::images::{Images, StandIn};
use super::manifest::Held;
use super::network::Network;
use super::pod::{Condition, RunningPod};
use super::volumes;
use crate::{Engine, Volume};

/// One node, and what its kubelet knows.
#[derive(Debug)]
pub struct Cluster {
    pub(super) engine: &'static Engine,
    /// What its containers' names begin with.
    pub(super) name: String,
    pub(super) images: Images,
    pub(super) network: Network,
    objects: RwLock<Objects>,
}

/// What pods refer to by name.
#[derive(Debug, Default)]
pub(super) struct Objects {
    secrets: BTreeMap<String, Held>,
    config_maps: BTreeMap<String, Held>,
    claims: BTreeMap<String, Volume>,
    pub(super) services: BTreeSet<String>,
}

impl Objects {
    #[track_caller]
    pub(super) fn secret(&self, name: &str) -> &Held {
        self.secrets.get(name).unwrap_or_else(|| panic!("there is no secret {name}"))
    }

    #[track_caller]
    pub(super) fn config_map(&self, name: &str) -> &Held {
        self.config_maps.get(name).unwrap_or_else(|| panic!("there is no ConfigMap {name}"))
    }

    #[track_caller]
    pub(super) fn claim(&self, name: &str) -> &Volume {
        self.claims.get(name).unwrap_or_else(|| panic!("there is no claim {name}"))
    }

    fn apply(&mut self, engine: &Engine, object: &Value) {
        let name = text(&object["metadata"]["name"]).to_owned();
        match text(&object["kind"]) {
            "Secret" => {
                let mut held = held(&object["stringData"], str::to_owned);
                held.extend(self::held(&object["data"], decoded));
                self.secrets.insert(name, held);
            }
            "ConfigMap" => {
                self.config_maps.insert(name, held(&object["data"], str::to_owned));
            }
            "PersistentVolumeClaim" => self.make_claim(engine, &name),
            "Service" => {
                for port in list(&object["spec"]["ports"]) {
                    let (port, target) = (&port["port"], &port["targetPort"]);
                    assert!(target.is_null() || port == target, "{name}: {port} leads to {target}");
                }
                self.services.insert(name);
            }
            "StatefulSet" => {
                for template in list(&object["spec"]["volumeClaimTemplates"]) {
                    let volume = text(&template["metadata"]["name"]);
                    self.make_claim(engine, &format!("{volume}-{name}-0"));
                }
            }
            "Deployment" | "Job" | "Pod" => {}
            other => panic!("{name}: a {other} is nothing that podman could run or hold"),
        }
    }

    /// One that is there already keeps what is in it.
    fn make_claim(&mut self, engine: &Engine, name: &str) {
        self.claims.entry(name.to_owned()).or_insert_with(|| volumes::claim(engine, name));
    }
}

impl Cluster {
    /// One with a network of its own, in which nothing is but its pods.
    pub fn alone(engine: &'static Engine, name: &str) -> Self {
        Self::with(engine, name, Network::own(engine, name))
    }

    /// One on the machine's network, where the test has its servers.
    pub fn beside_servers(engine: &'static Engine, name: &str) -> Self {
        Self::with(engine, name, Network::Machine)
    }

    fn with(engine: &'static Engine, name: &str, network: Network) -> Self {
        let name = name.to_owned();
        Self { engine, name, images: Images::default(), network, objects: RwLock::default() }
    }

    /// Gives it an image, by the beginning of the name by which manifests refer to it.
    #[must_use]
    pub fn image(mut self, reference: &'static str, image: StandIn) -> Self {
        self.images.add(reference, image);
        self
    }

    /// Gives it a claim that is bound to this volume.
    #[must_use]
    pub fn claim(self, name: &str, volume: &Volume) -> Self {
        let mut objects = self.objects.write().unwrap_or_else(PoisonError::into_inner);
        objects.claims.insert(name.to_owned(), volume.clone());
        drop(objects);
        self
    }

    /// The volume that is bound to a claim.
    ///
    /// # Panics
    /// Where there is no such claim.
    #[track_caller]
    pub fn bound(&self, claim: &str) -> Volume {
        self.objects.read().unwrap_or_else(PoisonError::into_inner).claim(claim).clone()
    }

    /// Takes objects in, new ones and others in place of those it has; pods are not started.
    ///
    /// # Panics
    /// Where one is of a kind that is not known here.
    #[track_caller]
    pub fn apply<'o>(&self, objects: impl IntoIterator<Item = &'o Value>) {
        let mut known = self.objects.write().unwrap_or_else(PoisonError::into_inner);
        for object in objects {
            known.apply(self.engine, object);
        }
    }

    /// Starts the pods of all these workloads at once, and waits for each as `helm install --wait --wait-for-jobs` does:
    /// servers and workers until they are ready, jobs until they are done. `revision` tells their names from those of
    /// others of the same workload.
    ///
    /// # Panics
    /// Where one fails.
    pub fn install<'c>(&'c self, workloads: &[&Value], revision: &str) -> Vec<RunningPod<'c>> {
        std::thread::scope(|scope| {
            let pods = workloads.iter().flat_map(|workload| {
                let count = workload["spec"]["replicas"].as_u64().unwrap_or(1);
                (0..count).map(move |number| (*workload, number))
            });
            let started: Vec<_> = pods
                .map(|(workload, number)| scope.spawn(move || self.bring_up(workload, revision, number)))
                .collect();
            started.into_iter().map(|pod| pod.join().expect("the pod comes up")).collect()
        })
    }

    fn bring_up(&self, workload: &Value, revision: &str, number: u64) -> RunningPod<'_> {
        let until = if workload["kind"] == "Job" { Condition::Done } else { Condition::Ready };
        let name = text(&workload["metadata"]["name"]);
        let name = match text(&workload["kind"]) {
            "StatefulSet" => format!("{name}-{number}"),
            "Pod" => name.to_owned(),
            _ => format!("{name}-{revision}-{number}"),
        };
        let pod = match workload["kind"].as_str() {
            Some("Pod") => &workload["spec"],
            _ => &workload["spec"]["template"]["spec"],
        };
        let mut pod = self.pod(&name, pod, workload);
        pod.await_condition(until);
        pod
    }

    fn pod(&self, name: &str, spec: &Value, workload: &Value) -> RunningPod<'_> {
        let mut spec = spec.clone();
        // What a StatefulSet adds to its pods.
        let volumes = list(&workload["spec"]["volumeClaimTemplates"]).iter().map(|template| {
            let volume = text(&template["metadata"]["name"]);
            let claim = serde_json::json!({ "claimName": format!("{volume}-{name}") });
            serde_json::json!({ "name": volume, "persistentVolumeClaim": claim })
        });
        let volumes: Vec<_> = volumes.collect();
        if let Some(list) = spec["volumes"].as_array_mut() {
            list.extend(volumes);
        } else {
            spec["volumes"] = volumes.into();
        }
        let objects = self.objects.read().unwrap_or_else(PoisonError::into_inner);
        RunningPod::make(self, &objects, name, &spec)
    }

    /// Runs a pod to its end, and returns what its containers said.
    ///
    /// # Panics
    /// Where it does not end well.
    #[track_caller]
    pub fn run(&self, pod: &Value) -> String {
        let mut pod = self.pod(text(&pod["metadata"]["name"]), &pod["spec"], pod);
        pod.await_condition(Condition::Done);
        pod.log()
    }
}

fn held(map: &Value, read: fn(&str) -> String) -> Held {
    let map = map.as_object().into_iter().flat_map(Map::iter);
    map.map(|(key, value)| (key.clone(), read(text(value)))).collect()
}

fn decoded(text: &str) -> String {
    String::from_utf8(STANDARD.decode(text).expect("base64")).expect("a secret that is text")
}

#[track_caller]
fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("text, not {value}"))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}
