//! Packs of the tests' own: a native action that runs everywhere, and an action for every interpreter that is not its
//! runtime's first.

use std::path::{Path, PathBuf};

use container_tests::{Engine, Volume, busybox};
use serde_json::{Value, json};

/// The native action of the pack.
pub(crate) const NATIVE: &str = "images.id";

/// An interpreter that an image has beside the first one of its runtime.
struct Further {
    runtime: &'static str,
    path: &'static str,
    arguments: &'static [&'static str],
}

const FURTHER: &[Further] = &[
    Further { runtime: "awk", path: "/usr/bin/mawk", arguments: &["-f"] },
    Further { runtime: "lua", path: "/usr/bin/lua5.4", arguments: &[] },
    Further { runtime: "lua", path: "/usr/bin/luajit", arguments: &[] },
    Further { runtime: "shell", path: "/usr/bin/busybox", arguments: &["sh"] },
    Further { runtime: "shell", path: "/usr/bin/ksh", arguments: &[] },
    Further { runtime: "shell", path: "/usr/bin/mksh", arguments: &[] },
    Further { runtime: "shell", path: "/usr/bin/sh", arguments: &[] },
    Further { runtime: "shell", path: "/usr/bin/zsh", arguments: &[] },
];

/// A program of each runtime that [`FURTHER`] names: its extension and its text. All print the same.
const PROGRAMS: &[(&str, &str, &str)] = &[
    ("awk", ".awk", "BEGIN { print 6 * 7 }\n"),
    ("lua", ".lua", "print(6 * 7)\n"),
    ("shell", ".sh", "echo $((6 * 7))\n"),
];

/// The action for one of these interpreters.
///
/// # Panics
/// Where there is none.
pub(crate) fn action_on(path: &str) -> String {
    let further = FURTHER.iter().find(|further| further.path == path);
    format!("images.{}", name(further.unwrap_or_else(|| panic!("there is no action for {path}")).path))
}

/// Writes the pack; returns its directory.
pub(crate) fn images(engine: &Engine) -> PathBuf {
    let pack = Volume::new(engine, "images").path().to_owned();
    write(&pack.join("pack.yaml"), "ref: images\nlabel: Images\nversion: 0.1.0\n");
    let native =
        json!({"ref": NATIVE, "runtime": "core.native", "entrypoint": "id", "output_format": "text"});
    write_json(&pack.join("actions/id.yaml"), &native);
    // It is the program that it is called as, and needs nothing but the kernel.
    std::fs::copy(busybox::program(), pack.join("actions/id")).expect("a program and a writable directory");
    for Further { runtime, path, arguments } in FURTHER {
        let (_, extension, text) = PROGRAMS.iter().find(|(of, ..)| of == runtime).expect("it has a program");
        let (name, reference) = (name(path), action_on(path));
        let interpreter = json!({"binary": path, "args": arguments, "file_extension": extension});
        let own = json!({
            "ref": reference, "name": name, "aliases": [runtime],
            "execution_config": {"interpreter": interpreter},
        });
        let entrypoint = format!("{name}{extension}");
        let action = json!({"ref": reference, "runtime": reference, "entrypoint": entrypoint, "output_format": "text"});
        write_json(&pack.join(format!("runtimes/{name}.yaml")), &own);
        write_json(&pack.join(format!("actions/{name}.yaml")), &action);
        write(&pack.join("actions").join(entrypoint), text);
    }
    pack
}

/// What an interpreter's runtime and action are called: `on_lua54`.
fn name(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    format!("on_{}", file.replace('.', ""))
}

/// JSON is YAML.
fn write_json(path: &Path, value: &Value) {
    write(path, &value.to_string());
}

fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().expect("a file in a directory")).expect("a writable directory");
    std::fs::write(path, text).expect("an own file");
}
