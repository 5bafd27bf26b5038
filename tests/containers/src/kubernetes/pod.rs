//! A pod's life: volumes, init containers, containers, probes, and its end.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::cluster::{Cluster, Objects};
use super::images::{Shape, StandIn};
use super::manifest::{ContainerSpec, PodSecurity, PodSpec, VolumeMount};
use super::translation::obeyed;
use super::{variables, volumes};
use crate::{Access, Container, Instance, Ran, Running, Source, Volume};

/// What is waited for once a pod is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Its containers have started and are ready.
    Ready,
    /// Its containers have ended well.
    Done,
}

/// A pod. Dropping it kills its containers.
#[derive(Debug)]
pub struct RunningPod<'c> {
    cluster: &'c Cluster,
    name: String,
    spec: PodSpec,
    /// By container.
    variables: BTreeMap<String, BTreeMap<String, String>>,
    volumes: BTreeMap<String, Volume>,
    services: Vec<String>,
    /// What those containers said that have ended.
    log: String,
    // Ended in this order.
    running: Vec<Running<'static>>,
    roots: Vec<Instance>,
    _memory: Vec<volumes::InMemory>,
}

impl<'c> RunningPod<'c> {
    /// Its volumes and variables, before anything is started.
    ///
    /// # Panics
    /// Where it refers to what is not there, or has a field that is not known here.
    #[track_caller]
    pub(super) fn make(cluster: &'c Cluster, objects: &Objects, name: &str, spec: &Value) -> Self {
        let spec = PodSpec::deserialize(obeyed(spec)).unwrap_or_else(|error| panic!("{name}: {error}"));
        check(name, &spec.security_context);
        let mut made = BTreeMap::new();
        let mut memory = Vec::new();
        for volume in &spec.volumes {
            let place = format!("{name}-{}", volume.name);
            let (here, in_memory) =
                volumes::make(cluster.engine, &place, &volume.source, &spec.security_context, objects);
            made.insert(volume.name.clone(), here);
            memory.extend(in_memory);
        }
        let all = spec.init_containers.iter().chain(&spec.containers);
        let variables =
            all.map(|container| (container.name.clone(), variables::of(container, name, objects)));
        Self {
            cluster,
            name: name.to_owned(),
            variables: variables.collect(),
            volumes: made,
            services: objects.services.iter().cloned().collect(),
            log: String::new(),
            running: Vec::new(),
            roots: Vec::new(),
            _memory: memory,
            spec,
        }
    }

    /// Runs its init containers one after the other, starts the others, and waits until it is what it is to be.
    #[track_caller]
    pub(super) fn await_condition(&mut self, condition: Condition) {
        for number in 0..self.spec.init_containers.len() {
            self.run(true, number);
        }
        let containers = 0..self.spec.containers.len();
        if condition == Condition::Done {
            containers.for_each(|number| self.run(false, number));
            return;
        }
        for number in containers {
            let (container, root) = self.container(&self.spec.containers[number]);
            self.roots.extend(root);
            self.running.push(container.start());
        }
        let network = &self.cluster.network;
        for (spec, running) in self.spec.containers.iter().zip(&self.running) {
            if let Some(probe) = &spec.startup_probe {
                probe.await_start(running, network);
            }
            if let Some(probe) = &spec.readiness_probe {
                probe.await_ready(running, network);
            }
        }
        self.assert_live();
    }

    /// Runs a container to its end, which has to be a good one.
    #[track_caller]
    fn run(&mut self, is_init: bool, number: usize) {
        let list = if is_init { &self.spec.init_containers } else { &self.spec.containers };
        let spec = &list[number];
        let (container, _root) = self.container(spec);
        let ran = container.run();
        assert_eq!(ran.code, 0, "{}, {}: {}{}", self.name, spec.name, ran.stdout, ran.stderr);
        self.log.push_str(&format!("{}{}", ran.stdout, ran.stderr));
    }

    /// A container as it is to be, and the root that it writes to, where that is not podman's to make.
    fn container(&self, spec: &ContainerSpec) -> (Container<'static>, Option<Instance>) {
        let engine = self.cluster.engine;
        let image = self.cluster.images.find(engine, &spec.image);
        let (source, root) = match &image.shape {
            Shape::Image(image) => (Source::from(image), None),
            Shape::Root(root) => {
                let instance = root.instance(engine);
                (Source::from(&instance), Some(instance))
            }
        };
        let name = format!("{}-{}-{}", self.cluster.name, self.name, spec.name);
        let container = Container::new(engine, &name, source).network(&self.cluster.network.option());
        let container = container.option("--hostname").option(&self.name);
        let hosts = self.services.iter().chain([&self.name]);
        let container = hosts.fold(container, |container, name| {
            container.option("--add-host").option(format!("{name}:127.0.0.1"))
        });
        let container = self.confined(container, spec);
        let container = image
            .variables
            .iter()
            .fold(container, |container, (name, value)| container.variable(name, value));
        let container = self.variables[&spec.name]
            .iter()
            .fold(container, |container, (name, value)| container.variable(name, value));
        let container =
            spec.volume_mounts.iter().fold(container, |container, at| self.mounted(container, at));
        (commanded(container, spec, &image), root)
    }

    /// Its user, and what it may do.
    fn confined(&self, container: Container<'static>, spec: &ContainerSpec) -> Container<'static> {
        let pod = &self.spec.security_context;
        let mut container = match (pod.run_as_user, pod.run_as_group) {
            (Some(user), Some(group)) => container.user(&format!("{user}:{group}")),
            (Some(user), None) => container.user(&user.to_string()),
            (None, _) => container,
        };
        if let Some(group) = pod.fs_group {
            container = container.option("--group-add").option(group.to_string());
        }
        let own = &spec.security_context;
        if own.allow_privilege_escalation == Some(false) {
            container = container.option("--security-opt=no-new-privileges");
        }
        if own.read_only_root_filesystem {
            container = container.read_only();
        }
        let dropped = own.capabilities.drop.iter();
        dropped.fold(container, |container, name| container.option("--cap-drop").option(name))
    }

    fn mounted(&self, container: Container<'static>, at: &VolumeMount) -> Container<'static> {
        let volume = self.volumes.get(&at.name);
        let volume = volume.unwrap_or_else(|| panic!("{}: there is no volume {}", self.name, at.name));
        let access = if at.read_only { Access::ReadOnly } else { Access::ReadWrite };
        match &at.sub_path {
            None => container.mount(volume, &at.mount_path, access),
            // The link is followed now: what changes later is not seen.
            Some(below) => {
                let file = volume.path().join(below).canonicalize();
                let file = file.unwrap_or_else(|error| panic!("{}: {below}: {error}", self.name));
                container.mount(&Volume::at(&file), &at.mount_path, access)
            }
        }
    }

    /// Its name, which is its workers' too.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where one of its volumes is, seen from outside.
    #[track_caller]
    pub fn volume(&self, name: &str) -> &Volume {
        &self.volumes[name]
    }

    /// A container that runs.
    ///
    /// # Panics
    /// Where none of this name does.
    #[track_caller]
    fn find(&self, container: &str) -> &Running<'static> {
        let mut all = self.spec.containers.iter().zip(&self.running);
        let found = all.find(|(spec, _)| spec.name == container);
        found.unwrap_or_else(|| panic!("{} runs no {container}", self.name)).1
    }

    /// `kubectl exec`.
    #[track_caller]
    pub fn exec(&self, container: &str, words: &[&str]) -> Ran {
        self.find(container).exec(words)
    }

    /// That each of its containers is alive, as its probe has it.
    ///
    /// # Panics
    /// Where one is not.
    #[track_caller]
    pub fn assert_live(&self) {
        for (spec, running) in self.spec.containers.iter().zip(&self.running) {
            let answer = spec.liveness_probe.as_ref().map(|probe| probe.ask(running, &self.cluster.network));
            assert!(!matches!(answer, Some(Err(_))), "{}: {answer:?}", self.name);
        }
    }

    /// Ends it as a kubelet does, with the grace that it has; returns the exit code of each container.
    #[track_caller]
    pub fn stop(&mut self) -> Vec<i32> {
        let grace = self.spec.termination_grace_period_seconds;
        self.running.iter_mut().map(|running| running.stop(grace)).collect()
    }

    /// What one of its containers has said.
    #[track_caller]
    pub fn said(&self, container: &str) -> String {
        self.find(container).said()
    }

    /// What all its containers have said, those first that ran first.
    pub fn log(&self) -> String {
        let running = self.running.iter().map(Running::said);
        [self.log.clone()].into_iter().chain(running).collect::<Vec<_>>().join("\n")
    }
}

/// What a kubelet checks before it starts anything.
#[track_caller]
fn check(name: &str, security: &PodSecurity) {
    if security.run_as_non_root == Some(true) {
        assert!(security.run_as_user.is_some_and(|user| user != 0), "{name}: it is not to run as root");
    }
    if let Some(profile) = &security.seccomp_profile {
        assert_eq!(profile.kind, "RuntimeDefault", "{name}: this profile is not known here");
    }
}

/// `command` and `args`, where they are not the image's.
fn commanded(
    container: Container<'static>,
    spec: &ContainerSpec,
    image: &Arc<StandIn>,
) -> Container<'static> {
    let container = match image.stop_signal {
        Some(signal) => container.option("--stop-signal").option(signal),
        None => container,
    };
    let own = image.entrypoint.map(|program| vec![program.to_owned()]);
    let command = spec.command.clone().or(own);
    let args = spec.args.clone().unwrap_or_default();
    let words: Vec<String> = command.into_iter().flatten().chain(args).collect();
    if words.is_empty() {
        return container;
    }
    container.command(&words.iter().map(String::as_str).collect::<Vec<_>>())
}
