//! Names: as long as Kubernetes allows, and still different.

use std::collections::BTreeSet;

use chart_tests::engines::{Case, ENGINES, cases_of_chart};
use chart_tests::objects::{Object, texts};

/// As long as Helm allows.
const LONG: &str = "a-release-whose-name-is-as-long-as-helm-allows-it-53c";

fn is_label(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !name.is_empty()
        && name.len() <= 63
        && name.bytes().all(fits)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

/// What a server takes as the value of a label.
fn is_value(value: &str) -> bool {
    let ends = |byte: Option<&u8>| byte.is_none_or(u8::is_ascii_alphanumeric);
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let bytes = value.as_bytes();
    bytes.len() <= 63 && value.bytes().all(fits) && ends(bytes.first()) && ends(bytes.last())
}

/// The values of all labels of an object: its own, its pods', and those that it selects by.
fn labels(object: &Object) -> Vec<(String, String)> {
    let own = Some(&object.value()["metadata"]["labels"]);
    let pods = object.pod().map(|pod| &pod["metadata"]["labels"]);
    let maps = [own, pods].into_iter().flatten().filter(|labels| labels.is_object());
    maps.flat_map(texts).chain(object.selector().unwrap_or_default()).collect()
}

fn assert_fits(object: &Object, place: &str) {
    assert!(is_label(object.name()), "{place}: {} {}", object.kind(), object.name());
    // A revision's hash goes behind the names of these in a label.
    assert!(object.kind() != "StatefulSet" || object.name().len() <= 52, "{place}: {}", object.name());
    for (label, value) in labels(object) {
        assert!(is_value(&value), "{place}: {} {}: {label}={value}", object.kind(), object.name());
    }
}

#[test]
fn names_and_labels_fit_however_long_the_release_is_called() {
    assert_eq!(LONG.len(), 53);
    for name in cases_of_chart() {
        for release in ["rel", LONG] {
            let case = Case::of_chart(&name).release(release);
            for engine in ENGINES {
                for object in &case.rendered_by(engine).objects {
                    assert_fits(object, &name);
                }
            }
        }
    }
}

/// Wherever a name is cut: behind a letter, or in the middle of what a server refuses at the end.
#[test]
fn names_and_labels_fit_however_long_the_pools_are_called() {
    let pool = |length: usize, pair: &str| {
        let name: String = pair.chars().cycle().take(length).collect();
        format!("  - {{name: a{length}{name}c, image: busybox}}\n")
    };
    let pools: String = (20..=46).flat_map(|length| [pool(length, "b-"), pool(length, "-b")]).collect();
    let servers = "security: {existingSecret: s}\nsharedStorage: {packs: {existingClaim: p}}\n";
    let tag = format!("images: {{agent: {{registry: r.example, tag: {}}}}}\n", "v-".repeat(50));
    let values = format!("{servers}{tag}agentWorkers:\n{pools}");
    for release in ["rel", LONG] {
        for engine in ENGINES {
            let rendered = Case::new(&values).release(release).rendered_by(engine);
            let names: BTreeSet<_> = rendered.objects.iter().map(|it| (it.kind(), it.name())).collect();
            assert_eq!(names.len(), rendered.objects.len(), "all are different");
            for object in &rendered.objects {
                assert_fits(object, release);
            }
        }
    }
}

#[test]
fn names_that_are_cut_stay_different() {
    let pool = |last: char| format!("a-pool-whose-name-is-as-long-as-the-chart-allows-{last}");
    assert_eq!(pool('1').len(), 50);
    let pools: String =
        ['1', '2', '3'].map(|last| format!("  - {{name: {}, image: busybox}}\n", pool(last))).concat();
    let case = Case::new(&format!("security: {{existingSecret: s}}\nsharedStorage: {{packs: {{existingClaim: p}}}}\nagentWorkers:\n{pools}")).release(LONG);
    let rendered = case.rendered();
    let names: BTreeSet<_> = rendered.of_kind("Deployment").map(Object::name).collect();
    assert_eq!(names.len(), 3, "{names:?}");
    assert!(names.iter().all(|name| is_label(name)), "{names:?}");
    let tests: BTreeSet<_> = rendered.of_kind("Pod").map(Object::name).collect();
    assert_eq!(tests.len(), 6, "{tests:?}");
}

#[test]
fn names_are_those_that_the_values_say() {
    let pool = "security: {existingSecret: s}\nsharedStorage: {packs: {existingClaim: p}}\nagentWorkers: [{name: Big_Data, image: busybox}]\n";
    let name = |values: &str| {
        let rendered = Case::new(&format!("{values}\n{pool}")).rendered();
        rendered.of_kind("Deployment").next().expect("a pool").name().to_owned()
    };
    assert_eq!(name(""), "rel-attune-agent-worker-big-data");
    assert_eq!(name("nameOverride: workers"), "rel-workers-agent-worker-big-data");
    assert_eq!(name("fullnameOverride: attune"), "attune-agent-worker-big-data");
}
