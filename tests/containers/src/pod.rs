//! A pod: containers that share volumes, a user and the order in which they start.

use std::collections::BTreeMap;

use crate::{Container, Engine, Ran, Running, Source, Volume};

/// Starts containers as a kubelet does.
#[derive(Debug)]
pub struct Pod<'a> {
    engine: &'a Engine,
    name: String,
    user: Option<String>,
    volumes: BTreeMap<String, Volume>,
}

impl<'a> Pod<'a> {
    /// One without anything in it.
    pub fn new(engine: &'a Engine, name: &str) -> Self {
        Self { engine, name: name.to_owned(), user: None, volumes: BTreeMap::new() }
    }

    /// `runAsUser` and `runAsGroup` of all its containers, as `user` or `user:group`.
    #[must_use]
    pub fn user(mut self, user: &str) -> Self {
        self.user = Some(user.to_owned());
        self
    }

    /// Its volume of this name, an `emptyDir` unless it was given another.
    pub fn volume(&mut self, name: &str) -> Volume {
        let made = || Volume::new(self.engine, &format!("{}-{name}", self.name));
        self.volumes.entry(name.to_owned()).or_insert_with(made).clone()
    }

    /// A container of this pod.
    pub fn container(&self, name: &str, source: impl Into<Source>) -> Container<'a> {
        let container = Container::new(self.engine, &format!("{}-{name}", self.name), source);
        match &self.user {
            Some(user) => container.user(user),
            None => container,
        }
    }

    /// Runs an init container; the pod goes on only where it ends well.
    ///
    /// # Panics
    /// Where it does not.
    #[track_caller]
    pub fn init(&self, container: &Container<'_>) -> Ran {
        container.run().expect_success()
    }

    /// Starts a container of the pod.
    #[track_caller]
    pub fn start(&self, container: &Container<'a>) -> Running<'a> {
        container.start()
    }
}
