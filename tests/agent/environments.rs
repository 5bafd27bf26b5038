//! What packs depend on: built once, refreshed when it changes, never half-built, and told plainly when it cannot be had.
//!
//! Two tests need the package registries of Python and Node.js and say so; all others bring what is installed with them.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::mixed_pack::{Came, MixedPack};
use crate::support::{Gate, Plane, Ran, Worker, agent, await_end};

/// A runtime of the pack's own, whose environments are a directory with a copy of the manifest. Its install command tells
/// a gate that it runs, waits until it may go on, and counts.
struct Slow {
    plane: Plane,
    gate: Gate,
    go: File,
}

impl Slow {
    fn new() -> Self {
        let plane = Plane::new();
        let gate = Gate::new(&plane, "building");
        let go = fifo(&plane.file("go"));
        let install = format!(
            "set -e\n{}read -r _ < {}\necho \"once more\" >> {}\ncp deps.txt \"$1/installed\"\necho \"all of it is there\"\n",
            gate.pass(),
            plane.file("go").display(),
            plane.file("count").display()
        );
        let slow = Self { plane, gate, go };
        slow.runtime("slow", "deps.txt", &install);
        slow.write("deps.txt", "first\n");
        slow.action("show", "slow", "cat \"$WHERE/installed\"\n", "");
        slow
    }

    /// A runtime `my.<name>` whose install command is the script with the environment as its argument.
    fn runtime(&self, name: &str, manifest: &str, install: &str) {
        self.write(&format!("{name}.install"), install);
        let definition = json!({
            "ref": format!("my.{name}"), "name": name, "aliases": ["shell"],
            "execution_config": {
                "interpreter": {"binary": "/bin/sh", "args": [], "file_extension": format!(".{name}")},
                "environment": {"env_type": "scratch", "create_command": ["mkdir", "{env_dir}"]},
                "dependencies": {"manifest_file": manifest,
                    "install_command": ["/bin/sh", format!("{{pack_dir}}/{name}.install"), "{env_dir}"]},
                "env_vars": {"WHERE": "{env_dir}"}
            }
        });
        self.write(&format!("runtimes/{name}.yaml"), &definition.to_string());
    }

    fn action(&self, name: &str, runtime: &str, script: &str, manifest: &str) {
        self.write(&format!("actions/{name}.{runtime}"), script);
        let text = format!("ref: my.{name}\nentrypoint: {name}.{runtime}\nruntime: my.{runtime}\n{manifest}");
        self.write(&format!("actions/{name}.yaml"), &text);
        self.register();
    }

    /// Writes a file of the pack.
    fn write(&self, name: &str, text: &str) {
        write(&self.plane.file("my").join(name), text);
    }

    fn register(&self) {
        let registered = self.plane.register(&self.plane.file("my"));
        assert_eq!(registered.code, 0, "{}", registered.stderr);
    }

    /// A worker that runs one execution at a time.
    fn worker(&self, name: &str) -> Worker {
        Worker::start(
            self.plane.run_command().args(["--name", name]).env("ATTUNE__WORKER__MAX_CONCURRENT_TASKS", "1"),
        )
    }

    fn submit(&self, action: &str) -> Child {
        let mut command = self.plane.submit(&[action, "--wait", "--json"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the agent starts")
    }

    /// Lets one install command go on.
    fn go_on(&self) {
        (&self.go).write_all(b"\n").expect("room in the pipe");
    }

    /// How often the install command came to its end.
    fn count(&self) -> usize {
        std::fs::read_to_string(self.plane.file("count")).unwrap_or_default().lines().count()
    }

    /// Directories of builds, complete or not.
    fn builds(&self) -> Vec<PathBuf> {
        builds(&self.plane.path().join("runtime_envs/my"))
    }
}

fn fifo(path: &Path) -> File {
    rustix::fs::mkfifoat(rustix::fs::CWD, path, rustix::fs::Mode::RWXU).expect("a named pipe");
    // Both ends are held here, so nobody sees an end of file.
    OpenOptions::new().read(true).write(true).open(path).expect("the named pipe")
}

fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().expect("a file below a directory")).expect("a writable directory");
    std::fs::write(path, text).expect("a writable directory");
}

fn builds(envs: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(envs).into_iter().flatten();
    let paths = entries.map(|entry| entry.expect("a readable directory").path());
    paths.filter(|path| path.is_dir() && !path.is_symlink()).collect()
}

fn result(child: Child) -> Value {
    Ran::from(child.wait_with_output().expect("the submission is ours")).json()
}

#[test]
fn two_workers_that_need_the_same_environment_build_it_once() {
    let slow = Slow::new();
    let _builder = slow.worker("builder");
    let first = slow.submit("my.show");
    slow.gate.wait();
    let waiter = slow.worker("waiter");
    let second = slow.submit("my.show");
    let said = waiter.wait_for("waiting for another process that builds the same environment");
    assert!(said.contains("pid:"), "it says who: {said}");
    slow.go_on();
    for ended in [result(first), result(second)] {
        assert_eq!(ended["stdout"], "first\n", "{ended}");
    }
    assert_eq!((slow.count(), slow.builds().len()), (1, 1));
}

#[test]
fn executions_of_one_worker_build_together_and_what_is_ready_is_not_built_again() {
    let slow = Slow::new();
    let _worker = slow.plane.worker();
    let submitted: Vec<_> = (0..3).map(|_| slow.submit("my.show")).collect();
    slow.gate.wait();
    slow.go_on();
    for ended in submitted.into_iter().map(result) {
        assert_eq!(ended["stdout"], "first\n", "{ended}");
    }
    assert_eq!(slow.plane.run(&["my.show"])["stdout"], "first\n");
    assert_eq!(slow.count(), 1);
}

#[test]
fn a_builder_that_is_killed_is_succeeded_by_whoever_waits() {
    let slow = Slow::new();
    let builder = slow.worker("builder");
    let lost = slow.submit("my.show");
    let tool = slow.gate.wait();
    let waiter = slow.worker("waiter");
    let kept = slow.submit("my.show");
    waiter.wait_for("waiting for another process");
    builder.kill();
    await_end(&tool);
    slow.gate.wait();
    slow.go_on();
    let kept = result(kept);
    assert_eq!((kept["status"].as_str(), kept["stdout"].as_str()), (Some("completed"), Some("first\n")));
    assert_eq!(slow.count(), 1, "the first build was not completed");
    drop(waiter);
    // The next worker settles what the dead one left, and finds nothing to build.
    let _next = slow.worker("next");
    assert_eq!(result(lost)["reason"], "worker_lost");
    assert_eq!(slow.plane.run(&["my.show"])["stdout"], "first\n");
    assert_eq!(slow.count(), 1);
}

#[test]
fn a_changed_manifest_makes_another_environment_and_leaves_the_one_in_use_alone() {
    let slow = Slow::new();
    let hold = fifo(&slow.plane.file("hold"));
    let begun = Gate::new(&slow.plane, "begun");
    let wait = format!(
        "{}read -r _ < {}\ncat \"$WHERE/installed\"\n",
        begun.pass(),
        slow.plane.file("hold").display()
    );
    slow.action("late", "slow", &wait, "");
    let _worker = slow.plane.worker();
    let late = slow.submit("my.late");
    slow.gate.wait();
    slow.go_on();
    begun.wait();
    slow.write("deps.txt", "again\n");
    slow.register();
    let shown = slow.submit("my.show");
    slow.gate.wait();
    slow.go_on();
    assert_eq!(result(shown)["stdout"], "again\n");
    (&hold).write_all(b"\n").expect("room in the pipe");
    assert_eq!(result(late)["stdout"], "first\n");
    assert_eq!((slow.count(), slow.builds().len()), (2, 2));
}

#[test]
fn a_cancelled_execution_takes_its_build_with_it() {
    let slow = Slow::new();
    let _worker = slow.plane.worker();
    let waiting = slow.submit("my.show");
    let tool = slow.gate.wait();
    let pid = rustix::process::Pid::from_child(&waiting);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it waits");
    let ended = result(waiting);
    assert_eq!((ended["reason"].as_str(), ended["status"].as_str()), (Some("cancelled"), Some("cancelled")));
    assert!(ended["error"].as_str().is_some_and(|error| error.contains("being built")), "{ended}");
    await_end(&tool);
    // The next one begins anew.
    let next = slow.submit("my.show");
    slow.gate.wait();
    slow.go_on();
    assert_eq!(result(next)["stdout"], "first\n");
}

#[test]
fn a_build_that_takes_too_long_is_ended_and_says_so() {
    let slow = Slow::new();
    let _worker = Worker::start(slow.plane.run_command().env("ATTUNE__ENVIRONMENTS__BUILD_TIMEOUT", "0.5"));
    let waiting = slow.submit("my.show");
    let tool = slow.gate.wait();
    let ended = result(waiting);
    assert_eq!(
        (ended["reason"].as_str(), ended["status"].as_str()),
        (Some("environment_timeout"), Some("failed"))
    );
    assert!(
        ended["error"].as_str().is_some_and(|error| error.contains("within the build's 0.5 s")),
        "{ended}"
    );
    await_end(&tool);
    assert_eq!((slow.count(), slow.builds().len()), (0, 0));
}

#[test]
fn a_failure_is_told_with_its_log_and_not_repeated_until_something_changes() {
    let slow = Slow::new();
    slow.runtime(
        "picky",
        "deps.txt",
        "echo tried >> ../tries\necho \"there is no package like it\" >&2\ngrep -q again deps.txt\n",
    );
    slow.action("pick", "picky", "echo fine\n", "");
    let _worker = slow.plane.worker();
    let first = slow.plane.run(&["my.pick"]);
    assert_eq!(
        (first["reason"].as_str(), first["status"].as_str()),
        (Some("environment_failed"), Some("failed"))
    );
    let error = first["error"].as_str().expect("a sentence");
    assert!(error.contains("my.picky") && error.contains("exited with status 1"), "{error}");
    assert!(error.ends_with("there is no package like it"), "{error}");
    let log = first["stderr_log"].as_str().expect("a log");
    assert!(std::fs::read_to_string(log).expect("the log").contains("there is no package like it"));
    let second = slow.plane.run(&["my.pick"]);
    assert!(second["error"].as_str().is_some_and(|error| error.contains("it is tried again in")), "{second}");
    let tries = || std::fs::read_to_string(slow.plane.path().join("packs/tries")).unwrap_or_default();
    assert_eq!(tries().lines().count(), 1);
    slow.write("deps.txt", "again\n");
    slow.register();
    assert_eq!(slow.plane.run(&["my.pick"])["stdout"], "fine\n");
    assert_eq!(tries().lines().count(), 2);
}

#[test]
fn exec_keeps_what_it_builds() {
    let slow = Slow::new();
    let home = slow.plane.file("home");
    std::fs::create_dir(&home).expect("a writable directory");
    slow.register();
    slow.go_on();
    let exec = || {
        let mut command = agent();
        command.args(["exec", "my.show", "--packs-dir"]).arg(slow.plane.path().join("packs"));
        command
            .env("ATTUNE__RUNTIME_ENVS_DIR", "/nonexistent")
            .env("HOME", &home)
            .env_remove("XDG_CACHE_HOME");
        Ran::of(&mut command)
    };
    for _ in 0..2 {
        let ran = exec();
        assert_eq!((ran.code, ran.json()["stdout"].as_str()), (0, Some("first\n")), "{}", ran.stderr);
    }
    assert_eq!(slow.count(), 1);
    assert_eq!(builds(&home.join(".cache/attune-agent/environments/my")).len(), 1);
}

#[test]
fn a_definition_that_swallows_errors_is_found_out() {
    // As the control plane's own definitions are written.
    let golden: Value = serde_json::from_str(include_str!("../golden/runtime-rows.json")).expect("JSON");
    let row = |name: &str| {
        golden.as_array().expect("rows").iter().find(|row| row["ref"] == name).expect("a row").clone()
    };
    let slow = Slow::new();
    for (name, manifest, text, package) in [
        (
            "core.ruby",
            "Gemfile",
            "source 'file:///nonexistent'\ngem 'no_such_gem_at_all'\n",
            "no_such_gem_at_all",
        ),
        ("core.perl", "cpanfile", "requires 'No::Such::Module';\n", "No::Such::Module"),
        ("core.r", "renv.lock", "{\"R\": {}, \"Packages\": {\"noSuchPackage\": {}}}", "noSuchPackage"),
        (
            "core.go",
            "go.mod",
            "module m\ngo 1.18\nrequire example.invalid/nothing v1.0.0\n",
            "example.invalid/nothing",
        ),
    ] {
        let row = row(name);
        let short = name.strip_prefix("core.").expect("a core runtime");
        let extension =
            row["execution_config"]["interpreter"]["file_extension"].as_str().expect("an extension");
        let definition = json!({
            "ref": format!("my.{short}"), "name": row["name"], "aliases": row["aliases"],
            "execution_config": row["execution_config"]
        });
        slow.write(&format!("runtimes/{short}.yaml"), &definition.to_string());
        slow.write(manifest, text);
        slow.write(&format!("actions/{short}{extension}"), "this must not run");
        let action = format!("ref: my.{short}\nentrypoint: {short}{extension}\nruntime: my.{short}\n");
        slow.write(&format!("actions/{short}.yaml"), &action);
        slow.register();
        let _worker = slow.plane.worker();
        let ended = slow.plane.run(&[&format!("my.{short}")]);
        assert_eq!(ended["reason"], "environment_failed", "{ended}");
        assert!(ended["error"].as_str().is_some_and(|error| error.contains(package)), "{ended}");
    }
}

/// A pack of its own kind: manifest, an action for a core runtime.
fn core_action(plane: &Plane, runtime: &str, file: &str, code: &str) {
    let pack = plane.file("my");
    write(&pack.join("actions").join(file), code);
    let text = format!("ref: my.it\nentrypoint: {file}\nruntime: {runtime}\noutput_format: json\n");
    write(&pack.join("actions/it.yaml"), &text);
    assert_eq!(plane.register(&pack).code, 0);
}

fn completed(plane: &Plane) -> Value {
    let ended = plane.run(&["my.it"]);
    assert_eq!(ended["status"], "completed", "{ended:#}");
    ended["data"].clone()
}

/// Needs the Python package registry.
#[test]
fn a_python_action_has_its_packages_and_a_broken_requirement_names_the_package() {
    let plane = Plane::new();
    write(&plane.file("my/requirements.txt"), "six==1.16.0\n");
    let code = "import json, six, sys\nprint(json.dumps({'six': six.__version__, 'prefix': sys.prefix}))\n";
    core_action(&plane, "core.python", "it.py", code);
    let _worker = plane.worker();
    let data = completed(&plane);
    assert_eq!(data["six"], "1.16.0");
    let prefix = Path::new(data["prefix"].as_str().expect("a path"));
    assert!(
        prefix.starts_with(plane.path().join("runtime_envs/my").canonicalize().expect("it is there")),
        "{data}"
    );
    assert_eq!(completed(&plane)["prefix"], data["prefix"]);
    write(&plane.file("my/requirements.txt"), "no-such-package-of-anybody==1.0\n");
    assert_eq!(plane.register(&plane.file("my")).code, 0);
    let ended = plane.run(&["my.it"]);
    assert_eq!(ended["reason"], "environment_failed", "{ended}");
    assert!(
        ended["error"].as_str().is_some_and(|error| error.contains("no-such-package-of-anybody")),
        "{ended}"
    );
}

/// Needs the Node.js package registry.
#[test]
fn a_node_action_has_its_packages() {
    let plane = Plane::new();
    write(&plane.file("my/package.json"), r#"{"private": true, "dependencies": {"ms": "2.1.3"}}"#);
    core_action(
        &plane,
        "core.nodejs",
        "it.js",
        "console.log(JSON.stringify({day: require('ms')('1 day')}));\n",
    );
    let _worker = plane.worker();
    assert_eq!(completed(&plane), json!({"day": 86_400_000}));
    let written: Vec<_> =
        std::fs::read_dir(plane.path().join("packs/my")).expect("the pack").flatten().collect();
    assert_eq!(written.len(), 3, "nothing was written into the pack: {written:?}");
}

fn sh(directory: &Path, script: &str) {
    let ran = Command::new("sh").args(["-ec", script]).current_dir(directory).output().expect("a shell");
    assert!(ran.status.success(), "{script}: {}", String::from_utf8_lossy(&ran.stderr));
}

#[test]
fn a_ruby_action_has_its_gems() {
    let plane = Plane::new();
    let source = plane.file("source");
    write(
        &source.join("tiny.gemspec"),
        "Gem::Specification.new do |s|\ns.name = 'tiny_words'\ns.version = '1.2.3'\ns.summary = 'x'\ns.authors = ['x']\ns.files = ['lib/tiny_words.rb']\nend\n",
    );
    write(&source.join("lib/tiny_words.rb"), "module TinyWords\n  WORD = 'small'\nend\n");
    sh(
        &source,
        "mkdir -p repo/gems && gem build -q tiny.gemspec && mv *.gem repo/gems && cd repo && gem generate_index -q",
    );
    write(
        &plane.file("my/Gemfile"),
        &format!("source 'file://{}/repo'\ngem 'tiny_words'\n", source.display()),
    );
    core_action(
        &plane,
        "core.ruby",
        "it.rb",
        "require 'json'\nrequire 'tiny_words'\nputs({word: TinyWords::WORD}.to_json)\n",
    );
    let _worker = plane.worker();
    assert_eq!(completed(&plane), json!({"word": "small"}));
    assert!(!plane.path().join("packs/my/Gemfile.lock").exists());
}

#[test]
fn a_go_action_has_its_modules() {
    let plane = Plane::new();
    // A module proxy is a directory of files.
    let proxy = plane.file("proxy/example.com/tiny/@v");
    write(&proxy.join("list"), "v1.0.0\n");
    write(&proxy.join("v1.0.0.info"), r#"{"Version": "v1.0.0", "Time": "2024-01-01T00:00:00Z"}"#);
    write(&proxy.join("v1.0.0.mod"), "module example.com/tiny\n\ngo 1.18\n");
    write(&plane.file("tree/example.com/tiny@v1.0.0/go.mod"), "module example.com/tiny\n\ngo 1.18\n");
    write(&plane.file("tree/example.com/tiny@v1.0.0/tiny.go"), "package tiny\n\nconst Word = \"small\"\n");
    // Files only: Go takes no archive with directories in it.
    let pack = "import sys, zipfile\nwith zipfile.ZipFile(sys.argv[1], 'w') as z:\n    for name in sys.argv[2:]: z.write(name)";
    let module = "example.com/tiny@v1.0.0/go.mod example.com/tiny@v1.0.0/tiny.go";
    sh(&plane.file("tree"), &format!("python3 -c \"{pack}\" {}/v1.0.0.zip {module}", proxy.display()));
    write(&plane.file("my/go.mod"), "module my\n\ngo 1.18\n\nrequire example.com/tiny v1.0.0\n");
    let go = |command: &mut Command| {
        command
            .env("GOPROXY", format!("file://{}", plane.file("proxy").display()))
            .env("GOSUMDB", "off")
            .env("GOFLAGS", "-mod=mod");
    };
    let code = "package main\n\nimport (\n\t\"fmt\"\n\n\t\"example.com/tiny\"\n)\n\nfunc main() {\n\tfmt.Printf(\"{\\\"word\\\": %q}\\n\", tiny.Word)\n}\n";
    core_action(&plane, "core.go", "it.go", code);
    let mut command = plane.run_command();
    go(&mut command);
    let _worker = Worker::start(&mut command);
    assert_eq!(completed(&plane), json!({"word": "small"}));
}

#[test]
fn a_perl_action_has_its_modules() {
    let plane = Plane::new();
    let source = plane.file("source/Tiny-Words-1.0");
    write(
        &source.join("lib/Tiny/Words.pm"),
        "package Tiny::Words;\nour $VERSION = '1.0';\nsub word { 'small' }\n1;\n",
    );
    write(
        &source.join("Makefile.PL"),
        "use ExtUtils::MakeMaker;\nWriteMakefile(NAME => 'Tiny::Words', VERSION_FROM => 'lib/Tiny/Words.pm');\n",
    );
    let mirror = plane.file("mirror");
    let index = mirror.join("modules");
    write(
        &index.join("02packages.details.txt"),
        "File: 02packages.details.txt\nLine-Count: 1\n\nTiny::Words 1.0 X/XX/XX/Tiny-Words-1.0.tar.gz\n",
    );
    sh(
        &plane.file("source"),
        &format!(
            "mkdir -p {0}/authors/id/X/XX/XX && tar czf {0}/authors/id/X/XX/XX/Tiny-Words-1.0.tar.gz Tiny-Words-1.0 && gzip {0}/modules/02packages.details.txt",
            mirror.display()
        ),
    );
    write(&plane.file("my/cpanfile"), "requires 'Tiny::Words';\n");
    core_action(
        &plane,
        "core.perl",
        "it.pl",
        "use Tiny::Words;\nprint '{\"word\": \"', Tiny::Words::word(), \"\\\"}\\n\";\n",
    );
    let mut command = plane.run_command();
    command.env("PERL_CPANM_OPT", format!("--mirror file://{} --mirror-only --notest", mirror.display()));
    let _worker = Worker::start(&mut command);
    assert_eq!(completed(&plane), json!({"word": "small"}));
}

#[test]
fn what_is_broken_for_one_runtime_of_a_pack_is_nothing_to_the_others() {
    let plane = Plane::new();
    let directory = plane.file("mixed");
    let pack = MixedPack::write(&directory);
    // Its packs have to be there before it reads them.
    let registered = || assert_eq!(plane.register(&directory).code, 0);
    registered();
    let _worker = plane.worker();
    pack.assert_apart(registered, |action| {
        let ended = plane.run(&[action]);
        let text = |key: &str| ended[key].as_str().unwrap_or_default().to_owned();
        Came { reason: text("reason"), stdout: text("stdout"), error: text("error") }
    });
}

#[test]
fn an_environment_that_would_hold_nothing_is_not_missed() {
    let slow = Slow::new();
    let definition = json!({
        "ref": "my.node", "name": "node", "aliases": ["shell"],
        "execution_config": {
            "interpreter": {"binary": "/bin/sh", "args": [], "file_extension": ".node"},
            // As in an image that has an interpreter and nothing to install with.
            "environment": {"env_type": "node_modules", "create_command": ["mkdir", "{env_dir}"]},
            "dependencies": {"manifest_file": "package.json", "install_command": ["no-such-installer"]},
            "env_vars": {"WHERE": "{env_dir}"}
        }
    });
    slow.write("runtimes/node.yaml", &definition.to_string());
    slow.write("package.json", "{\"private\": true, \"type\": \"module\"}");
    slow.action("bare", "node", "echo \"<$WHERE>\"\n", "");
    let worker = slow.plane.worker();
    assert_eq!(slow.plane.run(&["my.bare"])["stdout"], "<>\n");
    worker.wait_for("its manifest asks for nothing");
    slow.write("package.json", "{\"dependencies\": {\"ms\": \"2\"}}");
    slow.register();
    let ended = slow.plane.run(&["my.bare"]);
    assert_eq!(ended["reason"], "environment_failed", "{ended}");
    assert!(ended["error"].as_str().is_some_and(|error| error.contains("no-such-installer")), "{ended}");
}
