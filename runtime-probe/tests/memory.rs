//! Hints and the cache: what is said beforehand, and what is remembered.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

use runtime_probe::{Error, EvidenceKind, Options, Report, probe};
use support::{Elf, Root, at, rejected, version};

#[test]
fn hints_add_correct_and_hide() {
    let root = Root::with_loaders();
    root.elf("/opt/py/bin/python3", &Elf::new()).elf("/opt/tools/bin/php", &Elf::new().text(b"PHP/8.4.1"));
    root.elf("/usr/bin/python3", &Elf::python(0x030b_02f0)).elf("/usr/bin/perl", &Elf::new());
    root.elf("/usr/bin/ruby", &Elf::new().symbol("ruby_version", b"3.1.2\0")).elf("/opt/cobol", &Elf::new());
    root.file(
        "/.attune-runtime.yaml",
        b"search: [/opt/tools/bin]
ignore: [/usr/bin/perl]
runtimes:
  - {name: py, path: /opt/py/bin/python3, version: 3.10, args: [-I]}
  - {name: ruby, path: /usr/bin/ruby, version: 3.2.0}
  - {name: cobol, path: /opt/cobol, version: 3.2, args: [-xjd]}
  - {name: lua, path: /opt/nothing/lua}
",
    );
    let report = root.probe();
    let python = report.preferred("python").unwrap();
    assert_eq!((python.version.as_deref(), &python.args[..]), (Some("3.10"), &["-I".to_owned()][..]));
    assert_eq!(python.evidence.kind, EvidenceKind::Hint);
    assert_eq!(version(&report, "/opt/tools/bin/php"), Some("8.4.1"));
    assert!(report.preferred("perl").is_none());
    assert_eq!(version(&report, "/usr/bin/ruby"), Some("3.2.0"));
    assert!(report.warnings.iter().any(|warning| warning.contains("shows 3.1.2")), "{:?}", report.warnings);
    assert_eq!(at(&report, "/opt/cobol").name, "cobol");
    assert_eq!(rejected(&report, "/opt/nothing/lua").reason.code(), "unreadable");
    assert!(probe(&root.options().only(["cobol"])).is_ok());
    assert!(matches!(probe(&root.options().only(["fortran"])), Err(Error::UnknownRuntime { .. })));
}

#[test]
fn wrong_hints_are_an_error_with_a_line() {
    let root = Root::new();
    root.file("/.attune-runtime.yaml", b"# ours\nruntimes:\n  - name: python\n    pth: /opt/py\n");
    let error = probe(&root.options()).unwrap_err().to_string();
    assert!(error.starts_with("/.attune-runtime.yaml:4: "), "{error}");
    let missing = probe(&root.options().hints(root.host("/missing.yaml"))).unwrap_err();
    assert!(matches!(missing, Error::HintsFile { .. }));
}

/// A root whose files are all older than the cache's patience with file times.
struct Aged {
    root: Root,
    options: Options,
}

impl Aged {
    fn new() -> Self {
        let root = Root::with_loaders();
        root.elf("/usr/bin/python3.12", &Elf::python(0x030c_01f0)).link("/usr/bin/python3", "python3.12");
        let options = root.options().cache(root.host("/cache/probe.json"));
        Self { root, options }
    }

    fn probe(&self) -> Report {
        probe(&self.options).expect("a report")
    }

    /// Probes until the answer is remembered: files must have rested for two seconds.
    fn remembered(&self) -> Report {
        let start = SystemTime::now();
        while start.elapsed().is_ok_and(|waited| waited < Duration::from_mins(1)) {
            let report = self.probe();
            if report.cached {
                return report;
            }
            std::thread::park_timeout(Duration::from_millis(200));
        }
        panic!("nothing was remembered");
    }
}

#[test]
fn an_answer_is_remembered_until_anything_changes() {
    let aged = Aged::new();
    assert!(!aged.probe().cached);
    let remembered = aged.remembered();
    assert_eq!(version(&remembered, "/usr/bin/python3"), Some("3.12.1"));

    // The same size, and the same modification time: only the inode's own times tell.
    let program = aged.root.host("/usr/bin/python3.12");
    let modified = fs::metadata(&program).unwrap().modified().unwrap();
    fs::write(&program, Elf::python(0x030c_02f0).build()).unwrap();
    fs::File::options().write(true).open(&program).unwrap().set_modified(modified).unwrap();
    let report = aged.probe();
    assert_eq!((report.cached, version(&report, "/usr/bin/python3")), (false, Some("3.12.2")));

    // A name that was not there.
    aged.remembered();
    aged.root.elf("/usr/bin/ruby", &Elf::new().symbol("ruby_version", b"3.1.2\0"));
    assert!(aged.probe().preferred("ruby").is_some());

    // A file that was looked for in vain, beside PATH.
    aged.remembered();
    aged.root.elf("/nodejs/bin/node", &Elf::new().text(b"/node-v22.1.0.tar.gz"));
    assert!(aged.probe().preferred("node").is_some());

    // Another question.
    aged.remembered();
    assert!(!probe(&aged.options.clone().path("/usr/bin")).unwrap().cached);
}

#[test]
fn what_is_not_a_cache_is_replaced_and_what_cannot_be_written_is_a_warning() {
    let aged = Aged::new();
    aged.root.file("/cache/probe.json", b"{\"format\":\"another\"");
    assert!(!aged.probe().cached);
    aged.remembered();
    aged.root.file("/blocked", b"");
    let report = probe(&aged.options.clone().cache(aged.root.host("/blocked/probe.json"))).unwrap();
    assert_eq!(report.warnings.len(), 1, "{:?}", report.warnings);
    let mode = fs::metadata(aged.root.host("/cache")).unwrap().permissions().mode();
    assert_eq!(mode & 0o022, 0, "nobody else may plant an answer");
}
