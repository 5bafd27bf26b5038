//! What is written about the Helm chart from its values: its README, and parts of the quick reference.

use super::programs::Programs;
use super::values::{self, Field};
use crate::step::{self, Failure, Result};

/// The fields of a pool are described where their defaults are.
const DEFAULTS: &str = "agentWorkerDefaults.";

/// What stands before and behind a part of a page that is written.
const BEGIN: &str = "<!-- begin: ";
const END: &str = "<!-- end -->";

const README: &str = "\
# attune

Any container image becomes a pool of Attune workers: an init container copies one static program into the pod, where it is
the entry point of your own image. [The quick reference](../../docs/QUICKREF-kubernetes-agent-workers.md) shows how;
[Registry and Helm](../../docs/deployment/gitea-registry-and-helm.md) says where chart and image come from. The files in
`ci/` are complete examples, each of them tested.

```console
$ helm install try charts/attune --namespace try --create-namespace --values charts/attune/ci/quickstart-values.yaml --set images.agent.repository=git.example.com/team/attune/agent
```

This page is written from `values.yaml` by `cargo xtask docs`; what is to be changed is changed there.
";

/// The chart's README.
pub(super) fn readme() -> Result<String> {
    let fields = fields()?;
    let (pool, others): (Vec<_>, Vec<_>) = fields.iter().partition(|field| field.path.starts_with(DEFAULTS));
    Ok(format!(
        "{README}\n## Values\n\n{}\n## A pool\n\nEach entry of `agentWorkers` has a `name`, an `image`, and any of these; \
         what is set under `agentWorkerDefaults` holds for every pool that does not say otherwise.\n\n{}",
        table(others.into_iter(), ""),
        table(pool.into_iter(), DEFAULTS)
    ))
}

/// The quick reference, with its written parts as they are to be.
pub(super) fn quickref(programs: &Programs, now: &str) -> Result<String> {
    let fields = fields()?;
    let mut page = String::new();
    let mut rest = now;
    while let Some((before, part)) = rest.split_once(BEGIN) {
        let (name, part) = part.split_once(" -->").ok_or_else(|| torn("a part has no name"))?;
        let (_, after) = part.split_once(END).ok_or_else(|| torn(&format!("`{name}` does not end")))?;
        let written = match name {
            "pool fields" => table(fields.iter().filter(|field| field.path.starts_with(DEFAULTS)), DEFAULTS),
            "other fields" => table(fields.iter().filter(|field| !field.path.starts_with(DEFAULTS)), ""),
            "detection" => programs.table("catalogue")?,
            _ => return Err(torn(&format!("nobody knows how to write `{name}`"))),
        };
        page.push_str(&format!("{before}{BEGIN}{name} -->\n\n{}\n\n{END}", written.trim_end()));
        rest = after;
    }
    page.push_str(rest);
    Ok(page)
}

fn torn(why: &str) -> Failure {
    Failure::new(format!("the quick reference: {why}"))
}

fn fields() -> Result<Vec<Field>> {
    let path = step::workspace().join("charts/attune/values.yaml");
    let text = std::fs::read_to_string(&path)
        .map_err(|error| Failure::new(format!("cannot read {}: {error}", path.display())))?;
    values::fields(&text)
}

/// A table of fields, by their places below `prefix`. Examples have a column where there are some.
fn table<'f>(fields: impl Iterator<Item = &'f Field>, prefix: &str) -> String {
    let fields: Vec<_> = fields.collect();
    let with_examples = fields.iter().any(|field| !field.example.is_empty());
    let row = |cells: [&str; 4]| {
        let cells = &cells[..if with_examples { 4 } else { 3 }];
        format!("| {} |\n", cells.iter().map(|cell| cell.replace('|', "\\|")).collect::<Vec<_>>().join(" | "))
    };
    let mut table = row(["field", "default", "what it is for", "example"]) + &row(["---"; 4]);
    for field in fields {
        let path = field.path.strip_prefix(prefix).unwrap_or(&field.path);
        let (path, default) = (format!("`{path}`"), format!("`{}`", field.default));
        table.push_str(&row([&path, &default, &field.about, &field.example]));
    }
    table
}
