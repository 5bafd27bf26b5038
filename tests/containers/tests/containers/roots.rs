//! The images that users bring, as root file systems. None has a `/tmp`: where there is to be one, it is a volume.

use container_tests::{Engine, Root, busybox};

/// What a kind of image has.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) make: fn(&Engine) -> Root,
    /// Its `PATH`, where that is not the usual one.
    pub(crate) path: Option<&'static str>,
    /// Every runtime that a worker in it offers; where there are more, at least these.
    pub(crate) runtimes: &'static [&'static str],
    pub(crate) exact: bool,
}

pub(crate) const KINDS: &[Kind] = &[
    Kind {
        name: "every runtime",
        make: every_runtime,
        path: None,
        runtimes: &[
            "shell", "python", "node", "perl", "ruby", "go", "java", "r", "lua", "awk", "tcl", "native",
        ],
        exact: false,
    },
    Kind {
        name: "Debian slim",
        make: |engine| Root::scratch(engine, "slim").debian(&[]).without("/tmp"),
        path: None,
        runtimes: &["shell", "perl", "awk", "native"],
        exact: true,
    },
    Kind {
        name: "python, distroless",
        make: distroless,
        path: None,
        runtimes: &["python", "native"],
        exact: true,
    },
    Kind {
        name: "python alone",
        make: python_alone,
        path: Some("/srv/python/bin"),
        runtimes: &["python", "native"],
        exact: true,
    },
    Kind {
        name: "busybox",
        make: busybox::root,
        path: None,
        runtimes: &["shell", "awk", "native"],
        exact: true,
    },
    Kind { name: "one program", make: one_program, path: None, runtimes: &["native"], exact: true },
];

/// A static program, and nothing else: not even a directory.
pub(crate) fn one_program(engine: &Engine) -> Root {
    Root::scratch(engine, "one-program").copy("/usr/sbin/ldconfig", "/program")
}

/// The packages that distroless images of Python consist of: no shell among them, no package manager, and no `/tmp`.
fn distroless(engine: &Engine) -> Root {
    const PACKAGES: &[&str] = &[
        "base-files",
        "ca-certificates",
        "libbz2-1.0",
        "libc6",
        "libcrypt1",
        "libdb5.3",
        "libexpat1",
        "libffi8",
        "liblzma5",
        "libncursesw6",
        "libpython3.11-minimal",
        "libpython3.11-stdlib",
        "libsqlite3-0",
        "libssl3",
        "libtinfo6",
        "libuuid1",
        "media-types",
        "netbase",
        "python3",
        "python3-minimal",
        "python3.11",
        "python3.11-minimal",
        "tzdata",
        "zlib1g",
    ];
    Root::scratch(engine, "distroless").packages(PACKAGES).without("/tmp").write(
        "/etc/passwd",
        "root:x:0:0:root:/root:/sbin/nologin\n",
        0o644,
    )
}

/// An interpreter, the libraries that it is linked with, and its own, where no package would put them. No `/etc`.
fn python_alone(engine: &Engine) -> Root {
    let python = std::fs::canonicalize("/usr/bin/python3.11").expect("python3 is installed");
    Root::scratch(engine, "python-alone")
        .copy("/usr/bin/python3.11", "/srv/python/bin/python3.11")
        .link("python3.11", "/srv/python/bin/python3")
        .copy("/usr/lib/python3.11", "/srv/python/lib/python3.11")
        .libraries_of([python.as_path()])
}

/// Debian with an interpreter of every kind that this machine has.
fn every_runtime(engine: &Engine) -> Root {
    const PACKAGES: &[&str] = &[
        "bash",
        "busybox-static",
        "default-jdk-headless",
        "elixir",
        "erlang-base",
        "fish",
        "gawk",
        "golang-go",
        "guile-3.0",
        "ksh",
        "lua5.1",
        "lua5.4",
        "luajit",
        "mksh",
        "nodejs",
        "openjdk-17-jdk-headless",
        "perl",
        "php-cli",
        "python3",
        "r-base-core",
        "ruby",
        "tcl",
        "zsh",
    ];
    // What R's installation writes there is in no package.
    Root::scratch(engine, "every-runtime").debian(PACKAGES).without("/tmp").copy("/etc/R", "/etc/R")
}
