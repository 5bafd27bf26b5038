//! Images, built from a Containerfile and a directory.

use std::path::Path;

use crate::{Engine, Ran};

/// What builds images. Both read the same Containerfile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Builder {
    /// `podman build`.
    Podman,
    /// `buildah build`.
    Buildah,
}

/// An image in the store, or a list of images for several architectures.
#[derive(Clone, Debug)]
pub struct Image {
    name: String,
}

impl Image {
    /// Builds it for this machine from the text of a Containerfile and the directory that it copies from.
    ///
    /// # Panics
    /// Where it cannot be built.
    #[track_caller]
    pub fn build(engine: &Engine, name: &str, containerfile: &str, context: &Path) -> Self {
        Self::build_with(engine, &[], name, containerfile, context)
    }

    /// Builds it for another platform.
    ///
    /// # Panics
    /// Where it cannot be built.
    #[track_caller]
    pub fn build_for(
        engine: &Engine,
        platform: &str,
        name: &str,
        containerfile: &str,
        context: &Path,
    ) -> Self {
        Self::build_with(engine, &["--platform", platform], name, containerfile, context)
    }

    #[track_caller]
    fn build_with(
        engine: &Engine,
        options: &[&str],
        name: &str,
        containerfile: &str,
        context: &Path,
    ) -> Self {
        let file = engine.path("Containerfile");
        std::fs::write(&file, containerfile).expect("an own file");
        let mut build = engine.podman();
        build.args(["build", "--quiet", "--layers=false", "--tag", name]).args(options);
        Ran::of(build.arg("--file").arg(&file).arg(context)).expect_success();
        Self { name: format!("localhost/{name}") }
    }

    /// Builds a list of images, one for each platform, from a Containerfile; `options` go to the builder.
    ///
    /// # Panics
    /// Where it cannot be built.
    #[track_caller]
    pub fn build_list(
        engine: &Engine,
        builder: Builder,
        name: &str,
        platforms: &str,
        (containerfile, context): (&Path, &Path),
        options: &[&str],
    ) -> Self {
        let mut build = match builder {
            Builder::Podman => engine.podman(),
            Builder::Buildah => engine.buildah(),
        };
        build.args(["build", "--quiet", "--platform", platforms, "--manifest", name]);
        build.args(options).arg("--file").arg(containerfile).arg(context);
        Ran::of(&mut build).expect_success();
        Self { name: format!("localhost/{name}") }
    }

    /// Copies a list, with all its images, to where `destination` says, as a registry would hold it.
    ///
    /// # Panics
    /// Where it cannot be copied.
    #[track_caller]
    pub fn push(&self, engine: &Engine, destination: &str) {
        engine.expect(&["manifest", "push", "--all", "--quiet", &self.name, destination]);
    }

    /// Its name in the store.
    pub fn name(&self) -> &str {
        &self.name
    }
}
