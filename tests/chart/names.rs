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

#[test]
fn names_and_labels_fit_however_long_the_release_is_called() {
    assert_eq!(LONG.len(), 53);
    for name in cases_of_chart() {
        let case = Case::of_chart(&name).release(LONG);
        for engine in ENGINES {
            for object in &case.rendered_by(engine).objects {
                assert!(is_label(object.name()), "{name}: {} {}", object.kind(), object.name());
                // A revision's hash goes behind the names of these in a label.
                assert!(
                    object.kind() != "StatefulSet" || object.name().len() <= 52,
                    "{name}: {}",
                    object.name()
                );
                let own = &object.value()["metadata"]["labels"];
                let pods = object.pod().map(|pod| &pod["metadata"]["labels"]);
                for labels in [Some(own), pods].into_iter().flatten().filter(|labels| labels.is_object()) {
                    for (label, value) in texts(labels) {
                        assert!(value.len() <= 63 && !value.ends_with('-'), "{name}: {label}={value}");
                    }
                }
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
