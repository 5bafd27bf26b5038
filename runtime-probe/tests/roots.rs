//! Whole unpacked images, of this architecture and of others.

mod support;

use std::fs;

use runtime_probe::{Libc, Options, Runnable, probe};
use support::{Elf, MUSL, Root, at, version};

#[test]
fn a_debian_image() {
    let root = Root::with_loaders();
    root.link("/bin", "usr/bin").link("/sbin", "usr/sbin").directory("/usr/sbin");
    root.elf("/usr/bin/bash", &Elf::new().text(b"@(#)Bash version 5.2.15(1) release GNU"));
    root.elf("/usr/bin/dash", &Elf::new()).link("/usr/bin/sh", "dash");
    root.elf("/usr/bin/mawk", &Elf::new()).link("/etc/alternatives/awk", "/usr/bin/mawk");
    root.link("/usr/bin/awk", "/etc/alternatives/awk");
    root.elf("/usr/bin/python3.11", &Elf::python(0x030b_02f0)).link("/usr/bin/python3", "python3.11");
    let perl = Elf::new()
        .symbol("PL_revision", b"\x05")
        .symbol("PL_version", b"\x24")
        .symbol("PL_subversion", b"\0");
    root.elf("/usr/bin/perl", &perl);
    let report = probe(&Options::fast().root(root.host("/"))).unwrap();
    let found: Vec<(&str, &str, Option<&str>)> = report
        .runtimes
        .iter()
        .map(|found| (found.name.as_str(), found.path.to_str().unwrap(), found.version.as_deref()))
        .collect();
    assert_eq!(
        found,
        [
            ("shell", "/usr/bin/bash", Some("5.2.15")),
            ("shell", "/usr/bin/sh", None),
            ("python", "/usr/bin/python3", Some("3.11.2")),
            ("perl", "/usr/bin/perl", Some("5.36.0")),
            ("awk", "/usr/bin/awk", None),
        ]
    );
    assert_eq!(at(&report, "/usr/bin/sh").implementation, "dash");
    assert_eq!(at(&report, "/usr/bin/awk").implementation, "mawk");
    assert_eq!((report.spawned, report.rejected.len()), (0, 0));
}

#[test]
fn an_alpine_image_has_a_shell_in_busybox() {
    let root = Root::new();
    root.elf(MUSL, &Elf::library());
    root.elf(
        "/bin/busybox",
        &Elf::new().loader(MUSL).text(b"BusyBox v1.36.1").text(b"[\0[[\0ash\0sh\0wget\0"),
    );
    for applet in ["sh", "ash", "awk", "ls"] {
        root.link(&format!("/bin/{applet}"), "/bin/busybox");
    }
    let report = root.probe();
    let shell = report.preferred("shell").unwrap();
    assert_eq!((shell.path.to_str(), shell.found_as.as_str()), (Some("/bin/sh"), "sh"));
    assert_eq!((shell.version.as_deref(), shell.libc), (Some("1.36.1"), Some(Libc::Musl)));
    assert!(shell.args.is_empty(), "its name says that it is a shell");
    assert_eq!(report.all("shell").count(), 1);
    assert_eq!(report.preferred("awk").unwrap().implementation, "busybox");
}

#[test]
fn a_distroless_image_has_python_and_no_shell() {
    let root = Root::new();
    root.file(support::GLIBC, b"").elf("/usr/bin/python3.11", &Elf::python(0x030b_02f0));
    root.link("/usr/bin/python3", "/usr/bin/python3.11").link("/usr/bin/python", "python3.11");
    root.file("/usr/lib/python3.11/os.py", b"").file("/usr/lib/python3.11/venv/__init__.py", b"");
    let report = root.probe();
    assert!(report.preferred("shell").is_none());
    let python = report.preferred("python").unwrap();
    assert_eq!(python.names, ["python3", "python", "python3.11"]);
    assert_eq!(python.capabilities.ensurepip, Some(false), "so a venv would come without pip");
}

#[test]
fn an_arm64_image_is_read_on_any_machine() {
    let root = Root::new();
    let loader = "/lib/ld-linux-aarch64.so.1";
    root.file(loader, b"");
    // Without separate code the constants share a segment with it, as linkers for arm64 like it.
    let arm =
        |elf: Elf| Elf { joined: true, ..elf.machine(support::elf::AARCH64, true, false).loader(loader) };
    root.elf("/usr/local/bin/node", &arm(Elf::new().text(b"/node-v24.1.0.tar.xz")));
    root.elf("/usr/local/bin/python3", &arm(Elf::python(0x030d_01f0)));
    let report = root.probe();
    assert_eq!(version(&report, "/usr/local/bin/node"), Some("24.1.0"));
    let python = at(&report, "/usr/local/bin/python3");
    assert_eq!((python.version.as_deref(), python.arch.as_deref()), (Some("3.13.1"), Some("aarch64")));
    if cfg!(not(target_arch = "aarch64")) {
        assert_eq!(python.runnable, Runnable::Unknown);
    }
}

#[test]
fn a_link_never_leads_out_of_the_root() {
    let outside = tempfile::tempdir().unwrap();
    let secret = outside.path().join("python3");
    fs::write(&secret, Elf::python(0x030c_01f0).build()).unwrap();
    let root = Root::with_loaders();
    root.link("/usr/bin/python3", secret.to_str().unwrap());
    root.link("/usr/bin/ruby", "../../../../../../../../../../../../../../bin/sh");
    root.link("/usr/local/bin", outside.path().to_str().unwrap());
    let report = root.probe();
    assert!(report.runtimes.is_empty(), "{}", report.table());
}

#[test]
fn a_root_that_is_none_is_an_error() {
    let error = probe(&Options::fast().root("/nowhere/at/all")).unwrap_err().to_string();
    assert!(error.starts_with("read the root directory /nowhere/at/all: "), "{error}");
}
