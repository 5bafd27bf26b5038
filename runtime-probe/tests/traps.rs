//! Every trap that interpreter detection is known to fall into, with a fixture that sets it.

mod support;

use std::process::Command;

use runtime_probe::{Ask, Confidence, EnvironmentKind, EvidenceKind, Options, Reason, Runnable, probe};
use support::{Elf, MUSL, Root, at, rejected, version};

/// CPython before 3.11: a bare version among other constants.
fn old_python(version: &str) -> Elf {
    Elf::new().text(b"3.2.0").text(b"13.0.0").text(version.as_bytes())
}

#[test]
fn dangling_links_and_loops_are_not_interpreters() {
    let root = Root::new();
    root.link("/usr/bin/python3", "python3.9")
        .link("/usr/bin/ruby", "ruby3.1")
        .link("/usr/bin/ruby3.1", "ruby");
    let report = root.probe();
    assert!(report.runtimes.is_empty(), "{}", report.table());
    assert_eq!(rejected(&report, "/usr/bin/python3").reason, Reason::Dangling { target: "python3.9".into() });
    assert_eq!(rejected(&report, "/usr/bin/ruby").reason, Reason::Loop);
}

#[test]
fn directories_and_pipes_with_an_interpreters_name_are_passed_over() {
    let root = Root::new();
    root.directory("/bin/python3").directory("/bin/real").link("/bin/node", "pipe").link("/bin/ruby", "real");
    let made = Command::new("mkfifo").arg(root.host("/bin/pipe")).arg(root.host("/bin/perl")).status();
    assert!(made.is_ok_and(|status| status.success()), "mkfifo is in coreutils");
    // A plain open of the pipe would wait for its other end for ever.
    let report = probe(&root.here("/bin")).unwrap();
    assert!(report.runtimes.is_empty(), "{}", report.table());
    let codes: Vec<&str> = report.rejected.iter().map(|rejected| rejected.reason.code()).collect();
    assert_eq!(codes, ["not-a-file", "not-a-file"], "{}", report.table());
}

#[test]
fn a_file_nobody_may_execute_is_rejected() {
    let root = Root::new();
    root.file("/bin/python3", &Elf::python(0x030c_01f0).build());
    let report = probe(&root.here("/bin")).unwrap();
    assert_eq!(report.rejected[0].reason, Reason::NotExecutable);
}

#[test]
fn a_noexec_mount_is_named_as_such() {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mut noexec = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ');
        let (place, options) = (words.nth(1)?, words.nth(1)?);
        options.split(',').any(|option| option == "noexec").then(|| place.to_owned())
    });
    let Some(directory) = noexec.find_map(|place| tempfile::tempdir_in(place).ok()) else {
        println!("skipped: no writable file system here is mounted noexec");
        return;
    };
    let program = directory.path().join("perl");
    std::fs::write(&program, b"#!/bin/sh\n").unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let report = probe(&Options::fast().path(directory.path()).off_path(false)).unwrap();
    assert_eq!(report.rejected[0].reason, Reason::NoExecMount);
}

#[test]
fn another_architecture_is_rejected_here_and_read_under_a_root() {
    let foreign = if cfg!(target_arch = "aarch64") { 62 } else { support::elf::AARCH64 };
    let node = Elf::fixed()
        .machine(foreign, true, false)
        .text(b"https://nodejs.org/download/release/v24.19.0/node-v24.19.0.tar.gz");
    let root = Root::new();
    root.elf("/bin/node", &node);
    let report = probe(&root.here("/bin")).unwrap();
    if report.rejected.is_empty() {
        println!("skipped: an emulator is installed here");
    } else {
        assert_eq!(report.rejected[0].reason.code(), "wrong-architecture");
    }
    let report = root.probe();
    assert_eq!(version(&report, "/bin/node"), Some("24.19.0"));
    assert_eq!(at(&report, "/bin/node").runnable, Runnable::Unknown);
}

#[test]
fn a_program_for_another_c_library_lacks_its_loader() {
    let root = Root::new();
    root.file(support::GLIBC, b"");
    root.elf("/usr/bin/perl", &Elf::new().loader(MUSL)).elf("/usr/bin/php", &Elf::new().text(b"PHP/8.2.29"));
    let report = root.probe();
    let reason = &rejected(&report, "/usr/bin/perl").reason;
    assert_eq!(*reason, Reason::MissingLoader { loader: MUSL.into() });
    assert!(reason.to_string().ends_with("built for musl"), "{reason}");
    assert_eq!(version(&report, "/usr/bin/php"), Some("8.2.29"));
}

#[test]
fn a_version_that_ends_the_prefix_is_found() {
    // The linker stores "3.10.13" only as the end of the longer string.
    let root = Root::with_loaders();
    root.elf("/opt/python/3.10.13/bin/python3.10", &old_python("/opt/python/3.10.13"));
    root.link("/usr/bin/python3", "/opt/python/3.10.13/bin/python3.10");
    assert_eq!(version(&root.probe(), "/usr/bin/python3"), Some("3.10.13"));
}

#[test]
fn decoys_are_not_versions() {
    let root = Root::with_loaders();
    root.elf(
        "/usr/bin/python3.9",
        &Elf::new().text(b"3.2.0").text(b"13.9.1").text(b"3.9.1.2").text(b"3.9.2"),
    );
    root.elf("/usr/bin/node", &Elf::new().text(b"/node-v0.x-archive").text(b"/node-v20.19.2.tar.gz"));
    root.elf("/usr/bin/deno", &Elf::new().text(b"OTel-OTLP-Exporter-Deno/0.80.0Deno/2.9.6Deno/2.9.6+abcdef"));
    root.elf("/usr/bin/bun", &Elf::new().text(b"Bun/1.2.").text(b"Bun/1.3.1"));
    let report = root.probe();
    assert_eq!(version(&report, "/usr/bin/python3.9"), Some("3.9.2"));
    assert_eq!(version(&report, "/usr/bin/node"), Some("20.19.2"));
    assert_eq!(version(&report, "/usr/bin/deno"), Some("2.9.6"), "and it is not terminated by NUL");
    assert_eq!(version(&report, "/usr/bin/bun"), Some("1.3.1"));
}

/// Code that returns what stands `offset` bytes into the constants, after the filler of [`Elf::text`].
fn returning(offset: u8) -> Vec<u8> {
    let [low, high, ..] = (0x2008_u16 + u16::from(offset)).to_le_bytes();
    vec![0xf3, 0x0f, 0x1e, 0xfa, 0xb8, low, high, 0, 0, 0xc3, 0x90, 0x90, 0x90, 0x90]
}

#[test]
fn what_a_function_returns_outweighs_what_merely_looks_like_a_version() {
    let root = Root::with_loaders();
    let old = Elf::new().text(b"3.9.18").text(b"3.9.99");
    root.elf("/usr/bin/python3.9", &old.symbol("Py_GetVersion", &returning(0)));
    // Its numbers, and where the word is by which the record is told from any other.
    let mut record: Vec<u8> =
        [20_u32, 19, 2, 0, 0x2020, 0].iter().flat_map(|word| word.to_le_bytes()).collect();
    record.extend(b"node");
    let node = |record: &[u8]| {
        Elf::new().text(record).text(b"/node-v18.0.0.tar.gz").symbol("napi_get_node_version", &returning(0))
    };
    root.elf("/usr/bin/node", &node(&record));
    record.truncate(24);
    root.elf("/usr/local/bin/node", &node(&record));
    let report = root.probe();
    let python = at(&report, "/usr/bin/python3.9");
    assert_eq!((python.version.as_deref(), python.confidence), (Some("3.9.18"), Confidence::Exact));
    assert_eq!(python.evidence.what.as_deref(), Some("Py_GetVersion"));
    assert_eq!(version(&report, "/usr/bin/node"), Some("20.19.2"));
    assert_eq!(version(&report, "/usr/local/bin/node"), Some("18.0.0"), "a record without the word is none");
}

#[test]
fn a_version_on_the_edge_of_two_chunks_is_found() {
    let root = Root::with_loaders();
    for length in (16_340..16_400).chain(48_700..49_160) {
        let mut elf = Elf::new();
        elf.constants = vec![b'x'; length];
        root.elf("/usr/bin/php", &elf.text(b"PHP/8.2.29"));
        assert_eq!(version(&root.probe(), "/usr/bin/php"), Some("8.2.29"), "{length}");
    }
}

#[test]
fn a_wrapper_script_is_no_evidence() {
    let root = Root::with_loaders();
    root.program("/usr/bin/env", b"").program("/bin/sh", &Elf::new().build());
    root.program("/usr/local/bin/python3", b"#!/bin/sh\n# Python 3.9.9\nexec /usr/bin/python3.11 \"$@\"\n");
    root.program("/usr/local/bin/go", b"#!/bin/sh\nexec /opt/go/bin/go \"$@\"\n");
    root.file("/usr/local/VERSION", b"go1.2.3\n");
    let report = root.probe();
    for path in ["/usr/local/bin/python3", "/usr/local/bin/go"] {
        assert_eq!(version(&report, path), None);
        assert_eq!(at(&report, path).confidence, Confidence::None);
    }
    root.program("/usr/local/bin/ruby", b"#!/nowhere/ruby\n");
    assert_eq!(rejected(&root.probe(), "/usr/local/bin/ruby").reason.code(), "missing-interpreter");
}

#[test]
fn the_launch_scripts_that_are_evidence() {
    let root = Root::with_loaders();
    root.program("/bin/sh", &Elf::new().build());
    root.program("/usr/lib/elixir/bin/elixir", b"#!/bin/sh\nset -e\nELIXIR_VERSION=1.18.0-rc.0\n");
    root.link("/usr/bin/elixir", "../lib/elixir/bin/elixir");
    root.elf("/usr/bin/Rscript", &Elf::new()).program("/usr/bin/R", b"#!/bin/sh\nR_HOME_DIR=/srv/R\n");
    root.file("/srv/R/library/base/DESCRIPTION", b"Package: base\nVersion: 4.4.1\n");
    root.program("/usr/lib/erlang/bin/erl", b"#!/bin/sh\nROOTDIR=\"/usr/lib/erlang\"\n");
    root.link("/usr/bin/erl", "../lib/erlang/bin/erl");
    root.file("/usr/lib/erlang/releases/start_erl.data", b"13.1.5 25\n");
    root.file("/usr/lib/erlang/releases/25/OTP_VERSION", b"25.2.3\n");
    let report = root.probe();
    assert_eq!(version(&report, "/usr/bin/elixir"), Some("1.18.0-rc.0"));
    assert_eq!(version(&report, "/usr/bin/Rscript"), Some("4.4.1"));
    assert_eq!(version(&report, "/usr/bin/erl"), Some("25.2.3"));
    assert_eq!(report.all("r").count(), 1, "R and Rscript are one installation");
}

#[test]
fn a_venv_is_an_interpreter_of_its_own() {
    let root = Root::with_loaders();
    root.elf("/usr/bin/python3.12", &Elf::python(0x030c_01f0)).link("/usr/bin/python3", "python3.12");
    root.file("/usr/lib/python3.12/os.py", b"").file("/usr/lib/python3.12/venv/__init__.py", b"");
    root.file("/usr/lib/python3.12/EXTERNALLY-MANAGED", b"");
    root.link("/venv/bin/python3", "/usr/bin/python3");
    root.file("/venv/pyvenv.cfg", b"home = /usr/bin\nversion = 3.12.0\n")
        .directory("/venv/lib/python3.12/site-packages/pip");
    // A venv made with copies: nothing in its names tells a version, and its record is out of date.
    root.elf("/copies/bin/python", &old_python("3.9.18").text(b"/usr/lib/python3.9"));
    root.file("/copies/pyvenv.cfg", b"home = /usr/bin\nversion = 3.9.2\n");
    let report = probe(&root.options().path("/venv/bin:/copies/bin:/usr/bin")).unwrap();
    let venv = at(&report, "/venv/bin/python3");
    assert_eq!(venv.version.as_deref(), Some("3.12.1"), "what runs counts, not what pyvenv.cfg remembers");
    assert_eq!(venv.environment.as_ref().map(|environment| environment.kind), Some(EnvironmentKind::Venv));
    assert_eq!((venv.capabilities.pip, venv.capabilities.externally_managed), (Some(true), Some(false)));
    let base = at(&report, "/usr/bin/python3");
    assert_eq!((base.capabilities.venv, base.capabilities.ensurepip), (Some(true), Some(false)));
    assert_eq!((base.capabilities.pip, base.capabilities.externally_managed), (Some(false), Some(true)));
    assert_eq!(version(&report, "/copies/bin/python"), Some("3.9.18"));
    assert_eq!(report.preferred("python").unwrap().path, venv.path, "it is first on PATH");
}

#[test]
fn alternatives_and_a_merged_usr_give_one_row() {
    let root = Root::with_loaders();
    root.elf("/usr/lib/jvm/java-17-openjdk-amd64/bin/java", &Elf::new());
    root.file(
        "/usr/lib/jvm/java-17-openjdk-amd64/release",
        b"IMPLEMENTOR=\"Debian\"\nJAVA_VERSION=\"17.0.15\"\n",
    );
    root.link("/etc/alternatives/java", "/usr/lib/jvm/java-17-openjdk-amd64/bin/java");
    root.link("/usr/bin/java", "/etc/alternatives/java").link("/bin", "usr/bin");
    let report = root.probe();
    assert_eq!(report.runtimes.len(), 1, "{}", report.table());
    let java = at(&report, "/usr/bin/java");
    assert_eq!(java.version.as_deref(), Some("17.0.15"));
    assert_eq!(java.real.to_str(), Some("/usr/lib/jvm/java-17-openjdk-amd64/bin/java"));
    assert_eq!(java.capabilities.javac, Some(false), "a JRE cannot compile");
}

#[test]
fn java_8_keeps_its_launcher_one_floor_down() {
    let root = Root::with_loaders();
    root.elf("/opt/java/openjdk/jre/bin/java", &Elf::new())
        .link("/usr/bin/java", "/opt/java/openjdk/jre/bin/java");
    root.file("/opt/java/openjdk/release", b"JAVA_VERSION=\"1.8.0_392\"\n");
    assert_eq!(version(&root.probe(), "/usr/bin/java"), Some("1.8.0_392"));
}

#[test]
fn what_a_program_is_counts_and_not_what_it_is_called() {
    let root = Root::with_loaders();
    let bash = Elf::new().text(b"@(#)Bash version 5.2.15(1) release GNU");
    root.elf("/bin/bash", &bash).link("/bin/sh", "bash");
    root.elf("/usr/local/bin/dash", &bash);
    root.elf(
        "/bin/busybox",
        &Elf::fixed().text(b"BusyBox v1.36.1 (2024-06-10)").text(b"[\0[[\0ash\0awk\0cat\0a"),
    );
    root.link("/usr/bin/awk", "/bin/busybox")
        .elf("/usr/bin/mksh", &Elf::new().text(b"@(#)MIRBSD KSH R59 2020"));
    root.link("/usr/bin/ksh", "mksh");
    let report = root.probe();
    let sh = at(&report, "/bin/bash");
    assert_eq!(sh.names, ["bash", "sh"]);
    let copy = at(&report, "/usr/local/bin/dash");
    assert_eq!((copy.implementation.as_str(), copy.version.as_deref()), ("bash", Some("5.2.15")));
    let awk = at(&report, "/usr/bin/awk");
    assert_eq!((awk.implementation.as_str(), awk.version.as_deref()), ("busybox", Some("1.36.1")));
    let busybox = at(&report, "/bin/busybox");
    assert_eq!(busybox.args, ["sh"], "it must be told that it is a shell");
    assert_eq!(busybox.capabilities.applets.iter().collect::<Vec<_>>(), ["[", "[[", "ash", "awk", "cat"]);
    assert_eq!(at(&report, "/usr/bin/ksh").implementation, "mksh");
}

#[test]
fn the_current_directory_is_never_searched() {
    let root = Root::with_loaders();
    root.elf("/usr/bin/perl", &Elf::new());
    let report = probe(&root.options().path(":bin:/usr/bin:.")).unwrap();
    assert_eq!(report.warnings.len(), 3, "{:?}", report.warnings);
    assert_eq!(report.runtimes.len(), 1);
}

#[test]
fn interpreters_beside_path_are_found_and_marked() {
    let root = Root::with_loaders();
    let node = Elf::new().text(b"/node-v22.1.0.tar.gz");
    root.elf("/nodejs/bin/node", &node).elf("/usr/local/go/bin/go", &Elf::new());
    root.file("/usr/local/go/VERSION", b"go1.22.1\ntime 2024-03-05T15:05:01Z\n")
        .directory("/usr/local/go/pkg/tool");
    root.elf("/jdk/bin/java", &Elf::new()).file("/jdk/release", b"JAVA_VERSION=\"21\"\n");
    root.elf("/opt/bitnami/php/bin/php", &Elf::new().text(b"PHP/8.3.0RC1"));
    let report = probe(&root.options().variables([("JAVA_HOME", "/jdk")])).unwrap();
    for (path, expected) in [
        ("/nodejs/bin/node", "22.1.0"),
        ("/usr/local/go/bin/go", "1.22.1"),
        ("/jdk/bin/java", "21"),
        ("/opt/bitnami/php/bin/php", "8.3.0RC1"),
    ] {
        assert_eq!(version(&report, path), Some(expected));
        assert!(!at(&report, path).on_path);
    }
    assert_eq!(at(&report, "/usr/local/go/bin/go").args, ["run"]);
    assert_eq!(at(&report, "/usr/local/go/bin/go").capabilities.toolchain, Some(true));
    assert!(probe(&root.options().off_path(false)).unwrap().runtimes.is_empty());
}

#[test]
fn an_image_without_anything_is_a_valid_answer() {
    let report = Root::new().probe();
    assert!(report.runtimes.is_empty() && report.rejected.is_empty() && report.warnings.is_empty());
    assert!(report.preferred("shell").is_none());
}

#[test]
fn odd_files_are_malformed_and_other_classes_are_read() {
    let root = Root::with_loaders();
    let whole = Elf::python(0x030c_01f0).build();
    root.program("/usr/bin/python3", &whole[..60])
        .program("/usr/bin/ruby", b"")
        .program("/usr/bin/perl", b"\x7fELF\x09\x09");
    root.program("/usr/bin/lua", b"no shebang\n");
    let big = Elf::library()
        .machine(support::elf::S390X, true, true)
        .symbol("Py_Version", &0x030b_02f0_u64.to_be_bytes());
    root.elf("/usr/local/bin/python3", &big);
    let small = Elf::library().machine(support::elf::ARM, false, false).symbol("ruby_version", b"3.1.2\0");
    root.elf("/usr/local/bin/ruby", &small);
    let report = root.probe();
    for path in ["/usr/bin/python3", "/usr/bin/ruby", "/usr/bin/perl", "/usr/bin/lua"] {
        assert_eq!(rejected(&report, path).reason, Reason::Malformed, "{path}");
    }
    assert_eq!(version(&report, "/usr/local/bin/python3"), Some("3.11.2"));
    assert_eq!(at(&report, "/usr/local/bin/python3").arch.as_deref(), Some("s390x"));
    assert_eq!(version(&report, "/usr/local/bin/ruby"), Some("3.1.2"));
}

#[test]
fn every_version_is_reported_and_path_decides_which_is_first() {
    let root = Root::with_loaders();
    root.elf("/usr/bin/python3.9", &old_python("3.9.18"))
        .elf("/usr/bin/python3.12", &Elf::python(0x030c_01f0));
    root.elf("/usr/bin/python3.99", &Elf::python(0x0363_00b1)).link("/usr/bin/python3", "python3.9");
    root.elf("/usr/share/dotnet/dotnet", &Elf::new()).link("/usr/bin/dotnet", "/usr/share/dotnet/dotnet");
    root.directory("/usr/share/dotnet/shared/Microsoft.NETCore.App/8.0.4");
    root.directory("/usr/share/dotnet/shared/Microsoft.NETCore.App/10.0.1");
    let report = root.probe();
    let versions: Vec<&str> = report.all("python").filter_map(|python| python.version.as_deref()).collect();
    assert_eq!(versions, ["3.9.18", "3.99.0b1", "3.12.1"]);
    let dotnet = at(&report, "/usr/bin/dotnet");
    assert_eq!(dotnet.version.as_deref(), Some("10.0.1"));
    assert_eq!(dotnet.capabilities.side_by_side, ["8.0.4", "10.0.1"]);
    assert_eq!(dotnet.capabilities.sdk, Some(false));
}

#[test]
fn libraries_are_found_where_the_loader_finds_them() {
    let root = Root::with_loaders();
    let program = || Elf::new().needs("libc.so.6").needs("libpython3.13.so.1.0");
    let library = |hex: u32| Elf { interpreter: None, ..Elf::python(hex) };
    root.elf("/a/bin/python3", &program().run_path("$ORIGIN/../elsewhere"));
    root.elf("/a/elsewhere/libpython3.13.so.1.0", &library(0x030d_00f0));
    root.elf("/b/bin/python3", &program()).elf("/b/lib/libpython3.13.so.1.0", &library(0x030d_01f0));
    root.elf("/c/bin/python3", &program())
        .elf("/usr/lib/x86_64-linux-gnu/libpython3.13.so.1.0", &library(0x030d_02f0));
    let report = probe(&root.options().path("/a/bin:/b/bin:/c/bin")).unwrap();
    assert_eq!(version(&report, "/a/bin/python3"), Some("3.13.0"));
    assert_eq!(version(&report, "/b/bin/python3"), Some("3.13.1"));
    assert_eq!(version(&report, "/c/bin/python3"), Some("3.13.2"));
    assert_eq!(at(&report, "/c/bin/python3").evidence.kind, EvidenceKind::Symbol);
}

#[test]
fn constants_are_found_where_linkers_put_them() {
    let root = Root::with_loaders();
    let classic = Elf { classic_hash: true, ..Elf::python(0x030c_01f0) };
    let joined = Elf { joined: true, ..Elf::new().text(b"PHP/8.2.29") };
    root.elf("/usr/bin/python3", &classic).elf("/usr/bin/php", &joined);
    let report = root.probe();
    assert_eq!(version(&report, "/usr/bin/python3"), Some("3.12.1"));
    assert_eq!(version(&report, "/usr/bin/php"), Some("8.2.29"));
}

#[test]
fn weaker_evidence_says_that_it_is_weaker() {
    let root = Root::with_loaders();
    root.elf("/opt/a/bin/python3.8", &Elf::new());
    root.file(
        "/opt/a/include/python3.8/patchlevel.h",
        b"#define PY_MAJOR_VERSION 3\n#define PY_VERSION      \t\"3.8.20\"\n",
    );
    root.elf("/opt/b/bin/python3.8", &Elf::new());
    root.file("/opt/b/include/python3.8/patchlevel.h", b"#define PY_VERSION \"3.7.1\"\n");
    root.elf("/opt/c/bin/python3.8", &Elf::new()).file("/opt/c/conda-meta/ipython-9.0.0-py38.json", b"{}");
    root.file("/opt/c/conda-meta/python-3.8.19-h955ad1f_0.json", b"{}");
    let report = probe(&root.options().path("/opt/a/bin:/opt/b/bin:/opt/c/bin")).unwrap();
    assert_eq!(version(&report, "/opt/a/bin/python3.8"), Some("3.8.20"));
    assert_eq!(at(&report, "/opt/a/bin/python3.8").confidence, Confidence::Strong);
    assert_eq!(version(&report, "/opt/b/bin/python3.8"), None, "headers of another minor");
    assert_eq!(version(&report, "/opt/c/bin/python3.8"), Some("3.8.19"));
    let conda = at(&report, "/opt/c/bin/python3.8").environment.clone().unwrap();
    assert_eq!(conda.kind, EnvironmentKind::Conda);
}

#[test]
fn stores_are_recognised() {
    let root = Root::with_loaders();
    root.elf("/nix/store/abc-bash-5.2p26/bin/bash", &Elf::new().text(b"@(#)Bash version 5.2.26(1) release"));
    root.link("/run/current-system/sw/bin/bash", "/nix/store/abc-bash-5.2p26/bin/bash");
    let report = root.probe();
    let bash = at(&report, "/run/current-system/sw/bin/bash");
    let environment = bash.environment.clone().unwrap();
    assert_eq!(
        (environment.kind, environment.prefix.to_str()),
        (EnvironmentKind::Nix, Some("/nix/store/abc-bash-5.2p26"))
    );
}

#[test]
fn nothing_is_asked_under_another_root() {
    let root = Root::with_loaders();
    root.program("/bin/sh", &Elf::new().build())
        .program("/usr/bin/fish", b"#!/bin/sh\necho fish, version 9.9.9\n");
    let report = probe(&root.options().ask(Ask::WhenUnknown)).unwrap();
    assert_eq!((report.spawned, version(&report, "/usr/bin/fish")), (0, None));
    assert!(probe(&Options { mode: runtime_probe::Mode::Full, ..root.options() }).is_err());
}
