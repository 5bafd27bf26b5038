//! The loader image, as each builder makes it: one file for each architecture, and what it says about itself.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use container_tests::{Builder, Engine, Image, Ran, Volume};
use serde_json::Value;

use crate::dist;

const ARCHITECTURES: [&str; 2] = ["amd64", "arm64"];

#[test]
fn it_is_one_program_for_each_architecture_whoever_builds_it() {
    let Some(engine) = Engine::shared() else { return };
    for architecture in ARCHITECTURES {
        dist::agent(architecture);
    }
    for builder in [Builder::Podman, Builder::Buildah] {
        let name = format!("loader-{builder:?}").to_lowercase();
        let (containerfile, context) = (dist::containerfile(), dist::directory());
        let options =
            ["--target", "agent-init", "--build-arg", "VERSION=1.2.3", "--build-arg", "REVISION=abc"];
        let image = Image::build_list(
            engine,
            builder,
            &name,
            "linux/amd64,linux/arm64",
            (&containerfile, &context),
            &options,
        );
        let layout = Volume::new(engine, "layout");
        image.push(engine, &format!("oci:{}:{name}", layout.path().display()));
        let images = images(layout.path());
        assert_eq!(images.keys().collect::<Vec<_>>(), ARCHITECTURES, "{builder:?}");
        for (architecture, manifest) in &images {
            assert_image(layout.path(), architecture, manifest);
        }
    }
}

/// The manifests of a list in a directory that holds what a registry would hold, by architecture.
fn images(layout: &Path) -> BTreeMap<String, Value> {
    let index: Value =
        serde_json::from_slice(&std::fs::read(layout.join("index.json")).expect("a file")).expect("JSON");
    let list = blob(layout, &index["manifests"][0]);
    let list = list["manifests"].as_array().expect("a list of images").clone();
    let named = |entry: &Value| {
        assert_eq!(entry["platform"]["os"], "linux");
        (entry["platform"]["architecture"].as_str().expect("text").to_owned(), blob(layout, entry))
    };
    list.iter().map(named).collect()
}

fn blob(layout: &Path, descriptor: &Value) -> Value {
    serde_json::from_slice(&std::fs::read(blob_path(layout, descriptor)).expect("a file")).expect("JSON")
}

fn blob_path(layout: &Path, descriptor: &Value) -> std::path::PathBuf {
    let digest = descriptor["digest"].as_str().expect("a digest").strip_prefix("sha256:").expect("a digest");
    layout.join("blobs/sha256").join(digest)
}

#[expect(clippy::print_stdout, reason = "its size is a figure to know")]
fn assert_image(layout: &Path, architecture: &str, manifest: &Value) {
    let config = blob(layout, &manifest["config"]);
    assert_eq!(config["architecture"], architecture);
    let config = &config["config"];
    assert_eq!(config["User"], "65532:65532");
    assert_eq!(config["Entrypoint"], serde_json::json!(["/attune-agent"]));
    assert_eq!(config["Cmd"], serde_json::json!(["install", dist::AGENT_DIR]));
    for (label, value) in
        [("title", "attune-agent"), ("version", "1.2.3"), ("revision", "abc"), ("licenses", "Apache-2.0")]
    {
        assert_eq!(config["Labels"][format!("org.opencontainers.image.{label}")], value);
    }
    let layers = manifest["layers"].as_array().expect("layers");
    assert_eq!(layers.len(), 1, "{manifest}");
    let layer = blob_path(layout, &layers[0]);
    let listed = Ran::of(Command::new("tar").arg("--list").arg("--verbose").arg("--file").arg(&layer));
    let listed = listed.expect_success().stdout;
    let lines: Vec<_> = listed.lines().collect();
    assert_eq!(lines.len(), 1, "{listed}");
    assert!(
        lines[0].starts_with("-r-xr-xr-x 0/0") || lines[0].starts_with("-r-xr-xr-x root/root"),
        "{listed}"
    );
    assert!(lines[0].ends_with(" attune-agent"), "{listed}");
    let mut unpack = Command::new("tar");
    unpack.arg("--extract").arg("--to-stdout").arg("--file").arg(&layer).arg("attune-agent");
    let bytes = unpack.output().expect("tar starts").stdout;
    assert!(bytes == std::fs::read(dist::agent(architecture)).expect("a file"), "it is the program itself");
    let size = std::fs::metadata(&layer).expect("a file").len();
    println!("loader image, {architecture}: {} KB compressed", size / 1000);
}
