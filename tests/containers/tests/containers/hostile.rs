//! Images and pods that make it hard for what is started in them.

use container_tests::{Container, Engine, Image, Pod, busybox};

use crate::dist;
use crate::site::{Site, warnings};

/// One way to be hostile.
struct Hostile {
    name: &'static str,
    user: &'static str,
    /// Further lines of the image's Containerfile.
    image: &'static str,
    /// What the pod does.
    pod: fn(Container<'_>) -> Container<'_>,
    /// Whether there are volumes that the worker may write to.
    volumes: bool,
    /// Said by the worker, beside what it always says.
    says: Option<&'static str>,
}

const AS_IT_IS: fn(Container<'_>) -> Container<'_> = |container| container;

const HOSTILE: &[Hostile] = &[
    Hostile {
        name: "entry-point",
        user: "1000",
        image: "ENTRYPOINT [\"/bin/sh\", \"-c\", \"echo not what you asked for; exit 42\"]\nCMD [\"more\"]",
        pod: AS_IT_IS,
        volumes: true,
        says: None,
    },
    Hostile {
        name: "no-path",
        user: "65532",
        image: "ENV PATH=\"\"",
        pod: AS_IT_IS,
        volumes: true,
        says: Some("is relative to the current directory and was skipped"),
    },
    Hostile {
        name: "relative-path",
        user: "65532",
        image: "ENV PATH=\"bin:.:../bin\"\nWORKDIR /dev",
        pod: AS_IT_IS,
        volumes: true,
        says: Some("is relative to the current directory and was skipped"),
    },
    Hostile {
        name: "home",
        user: "1000680000:0",
        image: "ENV HOME=/",
        pod: |container| container.read_only(),
        volumes: true,
        says: None,
    },
    Hostile {
        name: "little-shm",
        user: "1000",
        image: "",
        pod: |container| container.option("--shm-size=1m"),
        volumes: true,
        says: None,
    },
    Hostile {
        name: "restricted",
        user: "1000680000:0",
        image: "",
        pod: |container| {
            container.read_only().option("--cap-drop=all").option("--security-opt=no-new-privileges")
        },
        volumes: true,
        says: None,
    },
    Hostile {
        name: "root-restricted",
        user: "0",
        image: "",
        pod: |container| container.option("--cap-drop=all").option("--security-opt=no-new-privileges"),
        volumes: true,
        says: None,
    },
    Hostile {
        name: "nothing-writable",
        user: "1000680000:0",
        image: "",
        pod: |container| container.read_only(),
        volumes: false,
        says: Some("there is no directory for the journal"),
    },
];

#[test]
fn a_worker_starts_and_works_all_the_same() {
    let Some(engine) = Engine::shared() else { return };
    let site = Site::new(engine, "hostile");
    let root = busybox::root(engine);
    for hostile in HOSTILE {
        let text = format!("FROM scratch\nCOPY . /\n{}\n", hostile.image);
        let image = Image::build(engine, &format!("hostile-{}", hostile.name), &text, root.path());
        let mut pod = Pod::new(engine, hostile.name).user(hostile.user);
        dist::install(&mut pod, dist::loader());
        let container = if hostile.volumes {
            site.worker(&mut pod, hostile.name, &image)
        } else {
            site.bare_worker(&mut pod, hostile.name, &image)
        };
        let mut worker = pod.start(&(hostile.pod)(container));
        worker.wait_for("the worker takes work");
        assert_confined(hostile, worker.first_process());
        assert_eq!(site.runtimes_of(hostile.name), ["shell", "awk", "native"], "{}", hostile.name);
        for ended in site.run(&["images.id", "examples.shell_facts", "examples.awk_columns"]) {
            assert_eq!(ended.status, "completed", "{}: {}: {}", hostile.name, ended.action, ended.result);
        }
        site.assert_drains(hostile.name, &mut worker);
        let log = worker.log();
        let warnings = warnings(&log);
        match hostile.says {
            Some(said) => assert!(warnings.iter().any(|line| line.contains(said)), "{}: {log}", hostile.name),
            None => assert!(warnings.is_empty(), "{}: {log}", hostile.name),
        }
    }
}

/// The engine's default seccomp filter is in force; and where the pod is restricted, process 1 has no capability and can
/// get none.
fn assert_confined(hostile: &Hostile, process: u32) {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("no {name} in {status}")).trim().to_owned()
    };
    assert_eq!(field("Seccomp:"), "2", "{}", hostile.name);
    if hostile.name.ends_with("restricted") {
        assert_eq!(field("CapEff:"), "0000000000000000", "{}", hostile.name);
        assert_eq!(field("NoNewPrivs:"), "1", "{}", hostile.name);
    }
}
