//! Version managers: the interpreter behind the shim is what counts.

mod support;

use runtime_probe::{EnvironmentKind, Options, Report, probe};
use support::{Elf, Root, at, rejected, version};

fn env_and_bash(root: &Root) {
    root.program("/usr/bin/env", b"").program("/bin/sh", &Elf::new().build());
}

/// pyenv's shim, word for word what `pyenv rehash` writes.
fn family_shim(root: &Root, path: &str, manager: &str, home: &str) {
    let variable = manager.to_uppercase();
    let text = format!(
        "#!/usr/bin/env bash\nset -e\n[ -n \"${variable}_DEBUG\" ] && set -x\n\nprogram=\"${{0##*/}}\"\n\nexport {variable}_ROOT=\"{home}\"\nexec \"{home}/libexec/{manager}\" exec \"$program\" \"$@\"\n"
    );
    root.program(path, text.as_bytes());
}

/// A root with pyenv's shims first on `PATH`, three of its Pythons, and the system's.
fn pyenv() -> Root {
    let root = Root::with_loaders();
    env_and_bash(&root);
    for name in ["python", "python3", "python3.9", "python3.12"] {
        family_shim(&root, &format!("/root/.pyenv/shims/{name}"), "pyenv", "/root/.pyenv");
    }
    for (directory, minor, hex) in [
        ("3.12.1", "3.12", 0x030c_01f0),
        ("3.12.10", "3.12", 0x030c_0af0),
        ("3.13.0rc2", "3.13", 0x030d_00c2),
    ] {
        let bin = format!("/root/.pyenv/versions/{directory}/bin");
        root.elf(&format!("{bin}/python{minor}"), &Elf::python(hex));
        root.link(&format!("{bin}/python3"), &format!("python{minor}"))
            .link(&format!("{bin}/python"), "python3");
    }
    root.elf("/usr/bin/python3", &Elf::python(0x030b_02f0));
    root
}

fn with(root: &Root, variables: &[(&str, &str)]) -> Report {
    let options = root.options().path("/root/.pyenv/shims:/usr/bin").variables(variables.iter().copied());
    probe(&options).expect("a report")
}

const HOME: (&str, &str) = ("HOME", "/root");

#[test]
fn pyenv_selects_by_its_version_file() {
    let root = pyenv();
    root.file("/root/.pyenv/version", b"# chosen\n3.12.1\n");
    let report = with(&root, &[HOME]);
    let python = report.preferred("python").unwrap();
    assert_eq!(python.path.to_str(), Some("/root/.pyenv/versions/3.12.1/bin/python3"));
    assert_eq!(
        (python.version.as_deref(), python.via.as_deref(), python.on_path),
        (Some("3.12.1"), Some("pyenv"), true)
    );
    let shim = rejected(&report, "/root/.pyenv/shims/python3.9");
    assert_eq!(shim.reason.code(), "shim");
    assert!(shim.reason.to_string().contains("3.12.1"), "{}", shim.reason);
    let versions: Vec<&str> = report.all("python").filter_map(|python| python.version.as_deref()).collect();
    assert_eq!(
        versions,
        ["3.12.1", "3.11.2", "3.13.0rc2", "3.12.10"],
        "what is not selected is there all the same"
    );
}

#[test]
fn a_variable_outweighs_the_files_and_may_name_a_prefix_or_several() {
    let root = pyenv();
    root.file("/root/.pyenv/version", b"3.12.1\n").file("/.python-version", b"3.12.10\n");
    let first = |variables: &[(&str, &str)]| {
        let report = with(&root, variables);
        report.preferred("python").and_then(|python| python.version.clone()).unwrap()
    };
    assert_eq!(first(&[HOME]), "3.12.10", "a file in / holds for every working directory");
    assert_eq!(first(&[HOME, ("PYENV_VERSION", "3.12.1")]), "3.12.1");
    assert_eq!(first(&[HOME, ("PYENV_VERSION", "3.12")]), "3.12.10", "the newest 3.12");
    assert_eq!(first(&[HOME, ("PYENV_VERSION", "python-3.13.0rc2")]), "3.13.0rc2");
    assert_eq!(first(&[HOME, ("PYENV_VERSION", "3.99:3.13.0rc2")]), "3.13.0rc2");
    assert_eq!(first(&[HOME, ("PYENV_VERSION", "../../../usr")]), "3.11.2", "a version is never a path");
}

#[test]
fn where_pyenv_selects_nothing_the_search_goes_on() {
    let root = pyenv();
    for selected in ["system", "nope"] {
        let report = with(&root, &[HOME, ("PYENV_VERSION", selected)]);
        assert_eq!(report.preferred("python").unwrap().path.to_str(), Some("/usr/bin/python3"), "{selected}");
        assert_eq!(rejected(&report, "/root/.pyenv/shims/python3").reason.code(), "shim");
    }
}

#[test]
fn rbenv_and_nodenv_are_of_the_same_family() {
    let root = Root::with_loaders();
    env_and_bash(&root);
    family_shim(&root, "/opt/rbenv/shims/ruby", "rbenv", "/opt/rbenv");
    root.elf("/opt/rbenv/versions/3.3.0/bin/ruby", &Elf::new().symbol("ruby_version", b"3.3.0\0"));
    root.file("/opt/rbenv/version", b"3.3.0\n");
    family_shim(&root, "/opt/nodenv/shims/node", "nodenv", "/opt/nodenv");
    root.elf("/opt/nodenv/versions/20.1.0/bin/node", &Elf::new().text(b"/node-v20.1.0.tar.gz"));
    root.file("/opt/nodenv/version", b"v20.1.0\n");
    let report = probe(&root.options().path("/opt/rbenv/shims:/opt/nodenv/shims")).unwrap();
    assert_eq!(version(&report, "/opt/rbenv/versions/3.3.0/bin/ruby"), Some("3.3.0"));
    assert_eq!(version(&report, "/opt/nodenv/versions/20.1.0/bin/node"), Some("20.1.0"));
}

#[test]
fn asdf_selects_by_tool_versions() {
    let root = Root::with_loaders();
    env_and_bash(&root);
    let shim = b"#!/usr/bin/env bash\n# asdf-plugin: nodejs 18.0.0\n# asdf-plugin: nodejs 20.1.0\nexec asdf exec \"node\" \"$@\"\n";
    root.program("/root/.asdf/shims/node", shim);
    root.elf("/root/.asdf/installs/nodejs/20.1.0/bin/node", &Elf::new().text(b"/node-v20.1.0.tar.gz"));
    let options = |variables: &[(&str, &str)]| {
        root.options().path("/root/.asdf/shims").variables(variables.iter().copied())
    };
    let report = probe(&options(&[HOME])).unwrap();
    assert_eq!(rejected(&report, "/root/.asdf/shims/node").reason.code(), "shim");
    root.file("/root/.tool-versions", b"ruby 3.3.0\nnodejs 20.1.0 18.0.0\n");
    let report = probe(&options(&[HOME])).unwrap();
    assert_eq!(version(&report, "/root/.asdf/installs/nodejs/20.1.0/bin/node"), Some("20.1.0"));
    let report = probe(&options(&[HOME, ("ASDF_NODEJS_VERSION", "18.0.0")])).unwrap();
    assert!(report.preferred("node").is_none(), "18.0.0 is not installed");
}

#[test]
fn mise_and_volta_are_one_program_under_many_names() {
    let root = Root::with_loaders();
    // Go programs: they contain a Go version, which is nobody's here.
    root.elf("/usr/local/bin/mise", &Elf::new().text(b"\xff Go buildinf:\x08\x02go1.22.0"));
    root.link("/root/.local/share/mise/shims/go", "/usr/local/bin/mise");
    root.elf("/root/.local/share/mise/installs/go/1.23.4/bin/go", &Elf::new());
    root.file("/root/.local/share/mise/installs/go/1.23.4/VERSION", b"go1.23.4\n");
    root.link("/root/.local/share/mise/installs/go/1.23", "1.23.4");
    root.file(
        "/root/.config/mise/config.toml",
        b"[settings]\ngo = \"9\"\n[tools]\nnode = \"22\"\ngo = \"1.23\"\n",
    );
    root.elf("/root/.volta/bin/volta-shim", &Elf::new()).link("/root/.volta/bin/node", "volta-shim");
    root.file("/root/.volta/tools/user/platform.json", br#"{"node":{"runtime":"20.1.0","npm":null}}"#);
    root.elf("/root/.volta/tools/image/node/20.1.0/bin/node", &Elf::new().text(b"/node-v20.1.0.tar.gz"));
    let path = "/root/.local/share/mise/shims:/root/.volta/bin";
    let report = probe(&root.options().path(path).variables([HOME])).unwrap();
    let go = report.preferred("go").unwrap_or_else(|| panic!("{}", report.table()));
    assert_eq!((go.version.as_deref(), go.via.as_deref()), (Some("1.23.4"), Some("mise")));
    let node = report.preferred("node").unwrap();
    assert_eq!((node.version.as_deref(), node.via.as_deref()), (Some("20.1.0"), Some("volta")));
}

#[test]
fn a_snap_is_not_its_launcher() {
    let root = Root::with_loaders();
    // The launcher is a Go program, and contains the version of the Go it was built with.
    root.elf("/usr/bin/snap", &Elf::new().text(b"\xff Go buildinf:\x08\x02go1.18.1"));
    for name in ["go", "node", "ruby"] {
        root.link(&format!("/snap/bin/{name}"), "/usr/bin/snap");
    }
    root.elf("/snap/go/10660/bin/go", &Elf::new()).file("/snap/go/10660/VERSION", b"go1.22.5\n");
    root.link("/snap/go/current", "10660");
    root.elf("/snap/node/9/bin/node", &Elf::new().text(b"/node-v20.1.0.tar.gz"))
        .link("/snap/node/current", "9");
    let report = probe(&root.options().path("/snap/bin")).unwrap();
    let go = report.preferred("go").unwrap_or_else(|| panic!("{}", report.table()));
    assert_eq!((go.version.as_deref(), go.via.as_deref()), (Some("1.22.5"), Some("snap")));
    let environment = go.environment.as_ref().map(|environment| environment.kind);
    assert_eq!(environment, Some(EnvironmentKind::Snap));
    assert_eq!(version(&report, "/snap/node/current/bin/node"), Some("20.1.0"));
    assert_eq!(rejected(&report, "/snap/bin/ruby").reason.code(), "shim");
}

#[test]
fn nvm_keeps_versions_beside_path() {
    let root = Root::with_loaders();
    for release in ["v18.20.0", "v22.1.0"] {
        let path = format!("/root/.nvm/versions/node/{release}/bin/node");
        root.elf(&path, &Elf::new().text(format!("/node-{release}.tar.gz").as_bytes()));
    }
    let options: Options = root.options().variables([HOME]);
    let report = probe(&options).unwrap();
    let versions: Vec<&str> = report.all("node").filter_map(|node| node.version.as_deref()).collect();
    assert_eq!(versions, ["22.1.0", "18.20.0"]);
    assert!(!at(&report, "/root/.nvm/versions/node/v22.1.0/bin/node").on_path);
}
