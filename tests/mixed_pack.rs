//! A pack in several languages, each of which has a manifest of its own that may be broken. Shared by the tests of both
//! control planes.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::json;

/// What one of its actions came to: why it ended, its standard output, its error.
#[derive(Debug)]
pub(crate) struct Came {
    pub(crate) reason: String,
    pub(crate) stdout: String,
    pub(crate) error: String,
}

/// A language that packs depend on something in.
struct Language {
    runtime: &'static str,
    program: &'static str,
    extension: &'static str,
    code: &'static str,
    manifest: &'static str,
    broken: &'static str,
}

/// An action that says `ok`.
struct Part {
    action: String,
    /// Where its runtime has dependencies: the manifest, its text when it is broken, and when it is whole; without a text
    /// there is no manifest.
    manifest: Option<(String, String, Option<String>)>,
}

/// The pack, and what is in it.
pub(crate) struct MixedPack {
    directory: PathBuf,
    parts: Vec<Part>,
}

const GO: &str = "package main\n\nimport \"fmt\"\n\nfunc main() { fmt.Println(\"ok\") }\n";

const LANGUAGES: [Language; 6] = [
    language(["core.python", "python3", "py", "print('ok')", "requirements.txt", "no === requirement\n"]),
    language(["core.nodejs", "node", "js", "console.log('ok')", "package.json", "{ no package"]),
    language(["core.ruby", "ruby", "rb", "puts 'ok'", "Gemfile", "no Gemfile (\n"]),
    language(["core.perl", "perl", "pl", "print \"ok\\n\";", "cpanfile", "no cpanfile (\n"]),
    language(["core.go", "go", "go", GO, "go.mod", "no go.mod\n"]),
    language(["core.r", "Rscript", "R", "cat('ok\\n')", "renv.lock", "{ no lock"]),
];

const fn language(of: [&'static str; 6]) -> Language {
    let [runtime, program, extension, code, manifest, broken] = of;
    Language { runtime, program, extension, code, manifest, broken }
}

impl MixedPack {
    /// Writes the pack `mixed` to `directory`, with every manifest broken. It has runtimes of its own, actions of those, of
    /// core runtimes that this machine has an interpreter for, and of what has no dependencies.
    pub(crate) fn write(directory: &Path) -> Self {
        let mut pack = Self { directory: directory.to_owned(), parts: Vec::new() };
        pack.file("pack.yaml", "ref: mixed\nlabel: Mixed\nversion: 0.1.0\n");
        pack.file("install", "! grep broken \"$1\"\n");
        for name in ["one", "two", "three"] {
            let definition = json!({
                "ref": format!("mixed.{name}"), "name": name, "aliases": ["shell"],
                "execution_config": {
                    "interpreter": {"binary": "/bin/sh", "args": [], "file_extension": format!(".{name}")},
                    "environment": {"env_type": "scratch", "create_command": ["mkdir", "{env_dir}"]},
                    "dependencies": {"manifest_file": format!("{name}.txt"),
                        "install_command": ["/bin/sh", "{pack_dir}/install", "{manifest_path}"]},
                }
            });
            pack.file(&format!("runtimes/{name}.yaml"), &definition.to_string());
            let manifest = (format!("{name}.txt"), "broken\n".to_owned(), Some("whole\n".to_owned()));
            pack.action(name, &format!("{name}.{name}"), Some(&format!("mixed.{name}")), "echo ok");
            pack.part(name, Some(manifest));
        }
        // By its extension it is one of `two`.
        pack.action("unnamed", "unnamed.two", None, "echo ok");
        pack.part("unnamed", Some(("two.txt".to_owned(), "broken\n".to_owned(), Some("whole\n".to_owned()))));
        for language in LANGUAGES.iter().filter(|language| is_here(language.program)) {
            let entrypoint = format!("{}.{}", language.extension.to_lowercase(), language.extension);
            let name = language.extension.to_lowercase();
            pack.action(&name, &entrypoint, Some(language.runtime), language.code);
            pack.part(&name, Some((language.manifest.to_owned(), language.broken.to_owned(), None)));
        }
        pack.action("shell", "shell.sh", Some("core.shell"), "echo ok");
        pack.action("native", "native", Some("core.native"), "#!/bin/sh\necho ok");
        pack.action("itself", "itself", None, "#!/bin/sh\necho ok");
        pack.file("actions/inline.yaml", "ref: mixed.inline\nentrypoint: echo ok\nruntime: core.shell\n");
        for name in ["shell", "native", "itself", "inline"] {
            pack.part(name, None);
        }
        for part in &pack.parts {
            pack.set(part, false);
        }
        pack
    }

    /// Breaks every manifest but one, each in its turn, and runs what that one is for; first, all of them are broken.
    /// `register` makes the control plane see the pack as it is, `run` runs an action of it.
    pub(crate) fn assert_apart(&self, register: impl Fn(), run: impl Fn(&str) -> Came) {
        register();
        for part in &self.parts {
            let came = run(&part.action);
            if part.manifest.is_none() {
                assert_ok(&part.action, &came);
            } else {
                assert_eq!(came.reason, "environment_failed", "{}: {came:?}", part.action);
                assert!(came.error.starts_with("the environment of mixed for "), "{came:?}");
            }
        }
        for part in self.parts.iter().filter(|part| part.manifest.is_some()) {
            self.set(part, true);
            register();
            assert_ok(&part.action, &run(&part.action));
            self.set(part, false);
        }
    }

    fn set(&self, part: &Part, is_whole: bool) {
        let Some((manifest, broken, whole)) = &part.manifest else { return };
        match whole {
            _ if !is_whole => self.file(manifest, broken),
            Some(whole) => self.file(manifest, whole),
            None => std::fs::remove_file(self.directory.join(manifest)).expect("it was written"),
        }
    }

    fn part(&mut self, name: &str, manifest: Option<(String, String, Option<String>)>) {
        self.parts.push(Part { action: format!("mixed.{name}"), manifest });
    }

    fn action(&self, name: &str, entrypoint: &str, runtime: Option<&str>, code: &str) {
        self.file(&format!("actions/{entrypoint}"), &format!("{code}\n"));
        let runtime = runtime.map_or_else(String::new, |runtime| format!("runtime: {runtime}\n"));
        let manifest = format!("ref: mixed.{name}\nentrypoint: {entrypoint}\n{runtime}");
        self.file(&format!("actions/{name}.yaml"), &manifest);
    }

    fn file(&self, name: &str, text: &str) {
        let path = self.directory.join(name);
        std::fs::create_dir_all(path.parent().expect("a file below the pack")).expect("a writable directory");
        std::fs::write(&path, text).expect("a writable directory");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("an own file");
    }
}

#[track_caller]
fn assert_ok(action: &str, came: &Came) {
    assert_eq!((came.reason.as_str(), came.stdout.as_str()), ("completed", "ok\n"), "{action}: {came:?}");
}

fn is_here(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}
