//! Version managers' shims, and what else on `PATH` only chooses another program.
//!
//! A shim exists for every version that was ever installed, so it proves nothing: `python3.9` may be on
//! `PATH` and exit with 127. What counts is what the manager would choose, and that is decided by a
//! variable or a file. The choice is made here in the same order, without starting the manager's shell
//! script (60 ms, 40 processes); files that depend on the caller's working directory are left out, because
//! an agent's scripts run anywhere. Where the manager chooses nothing it passes on to the next directory
//! of `PATH`, and so does the search.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use memchr::memmem;

use crate::options::Options;
use crate::program::{Kind, Program};
use crate::tree::Tree;
use crate::version;

/// What a shim turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Shim {
    /// It would run this program.
    Leads(&'static str, PathBuf),
    /// It would run nothing, and say so.
    Nowhere(&'static str, String),
}

/// A member of the family that grew out of rbenv: shell scripts with `versions/` beside them.
struct Manager {
    name: &'static str,
    root: &'static str,
    version: &'static str,
    file: &'static str,
    /// What may precede a version (`python-3.12`).
    prefix: &'static str,
}

const FAMILY: &[Manager] = &[
    Manager::new("pyenv", "PYENV_ROOT", "PYENV_VERSION", ".python-version", "python-"),
    Manager::new("rbenv", "RBENV_ROOT", "RBENV_VERSION", ".ruby-version", "ruby-"),
    Manager::new("nodenv", "NODENV_ROOT", "NODENV_VERSION", ".node-version", "v"),
    Manager::new("goenv", "GOENV_ROOT", "GOENV_VERSION", ".go-version", "go"),
    Manager::new("jenv", "JENV_ROOT", "JENV_VERSION", ".java-version", ""),
    Manager::new("plenv", "PLENV_ROOT", "PLENV_VERSION", ".perl-version", ""),
    Manager::new("phpenv", "PHPENV_ROOT", "PHPENV_VERSION", ".php-version", ""),
    Manager::new("luaenv", "LUAENV_ROOT", "LUAENV_VERSION", ".lua-version", ""),
    Manager::new("exenv", "EXENV_ROOT", "EXENV_VERSION", ".exenv-version", ""),
];

impl Manager {
    const fn new(
        name: &'static str,
        root: &'static str,
        version: &'static str,
        file: &'static str,
        prefix: &'static str,
    ) -> Self {
        Self { name, root, version, file, prefix }
    }
}

/// What is looked at while a shim is followed.
struct Trail<'t> {
    tree: &'t Tree,
    options: &'t Options,
    selections: &'t Selections,
    /// The shim.
    path: &'t Path,
    /// The program it stands for.
    name: &'t OsStr,
}

/// What was found out about managers, once for each probe: a manager has a shim for every program.
#[derive(Debug, Default)]
pub(crate) struct Selections {
    /// What version files select.
    files: RefCell<Vec<(PathBuf, Option<String>)>>,
    /// What scripts lead to; most shims of a manager are the same text.
    scripts: RefCell<Vec<(Vec<u8>, Rc<Selected>)>>,
}

/// What a member of the family would choose from, whatever the program.
#[derive(Debug)]
struct Selected {
    manager: &'static str,
    /// The directories to look into, in order, and the words that selected them; or why there are none.
    directories: Result<(String, Vec<PathBuf>), &'static str>,
}

impl Selections {
    /// Follows `program`, found as `path`, if it is a shim; `runtime` is whose program it stands for.
    pub(crate) fn follow(
        &self,
        tree: &Tree,
        options: &Options,
        program: &Program,
        path: &Path,
        runtime: &str,
    ) -> Option<Shim> {
        let name = path.file_name()?;
        let trail = Trail { tree, options, selections: self, path, name };
        if let Kind::Script { text, .. } = &program.kind {
            let known =
                self.scripts.borrow().iter().find(|(known, _)| known == text).map(|(_, known)| known.clone());
            if let Some(selected) = known {
                return Some(trail.family(&selected));
            }
            let script = text;
            let text = std::str::from_utf8(text).ok()?;
            if let Some(manager) = manager_of(text) {
                let selected = Rc::new(trail.select(manager, text));
                self.scripts.borrow_mut().push((script.clone(), selected.clone()));
                return Some(trail.family(&selected));
            }
            return text.contains("asdf exec").then(|| trail.asdf(text));
        }
        // These are one program under many names.
        match program.real.file_name()?.to_str()? {
            "mise" | "rtx" if name != "mise" && name != "rtx" => Some(trail.mise(runtime)),
            "volta-shim" => Some(trail.volta(runtime)),
            "snap" if name != "snap" => Some(trail.snap(runtime)),
            _ => None,
        }
    }
}

/// The manager that a script hands everything to: `exec "/opt/pyenv/libexec/pyenv" exec "$program" "$@"`.
fn manager_of(script: &str) -> Option<&'static Manager> {
    memmem::find_iter(script.as_bytes(), " exec ").find_map(|at| {
        let called = script[..at].trim_end_matches('"');
        FAMILY.iter().find(|manager| {
            called.strip_suffix(manager.name).is_some_and(|directory| directory.ends_with('/'))
        })
    })
}

impl Trail<'_> {
    /// What a manager chooses from.
    fn select(&self, manager: &Manager, script: &str) -> Selected {
        let nothing = |cause| Selected { manager: manager.name, directories: Err(cause) };
        let Some(root) = root_of(script, manager) else {
            return nothing("and its root cannot be told");
        };
        let selected = self
            .options
            .variable(manager.version)
            .and_then(|version| version.into_string().ok())
            .or_else(|| self.words(&Path::new("/").join(manager.file)))
            .or_else(|| self.words(&root.join("version")));
        let Some(selected) = selected.filter(|selected| selected != "system") else {
            return nothing("which selects the system's own");
        };
        let versions = root.join("versions");
        let named = selected.split(':').filter(|version| *version != "system");
        let directories =
            named.filter_map(|version| self.installed(&versions, version, manager.prefix)).collect();
        Selected { manager: manager.name, directories: Ok((selected, directories)) }
    }

    fn family(&self, selected: &Selected) -> Shim {
        let Selected { manager, directories } = selected;
        let (selected, directories) = match directories {
            Ok(found) => found,
            Err(cause) => return Shim::Nowhere(manager, (*cause).to_owned()),
        };
        let mut programs = directories.iter().map(|directory| directory.join("bin").join(self.name));
        if let Some(program) = programs.find(|program| self.tree.exists(program)) {
            return Shim::Leads(manager, program);
        }
        let name = self.name.to_string_lossy();
        Shim::Nowhere(manager, format!("which selects {selected}, and there is no {name} in it"))
    }

    /// The directory of a version: by its exact name, or the greatest that it is a prefix of.
    fn installed(&self, versions: &Path, version: &str, prefix: &str) -> Option<PathBuf> {
        let plain = version.strip_prefix(prefix).unwrap_or(version);
        for exact in [version, plain] {
            let directory = versions.join(exact);
            if is_one_name(exact) && self.tree.exists(&directory) {
                return Some(directory);
            }
        }
        let names = self.tree.names(versions);
        let candidates = names.iter().filter_map(|name| name.to_str());
        let newest = candidates
            .filter(|name| {
                let rest = name.strip_prefix(plain);
                rest.is_some_and(|rest| {
                    rest.starts_with(['.', '-']) && !rest.bytes().any(|byte| byte.is_ascii_alphabetic())
                })
            })
            .max_by(|left, right| version::compare(left, right))?;
        Some(versions.join(newest))
    }

    /// asdf's shims list the plugins and versions they stand for in comments.
    fn asdf(&self, script: &str) -> Shim {
        let mut plugins = script.lines().filter_map(|line| line.strip_prefix("# asdf-plugin: "));
        let plugin = plugins.find_map(|line| line.split_whitespace().next()).unwrap_or_default();
        let variable = format!("ASDF_{}_VERSION", plugin.to_uppercase().replace('-', "_"));
        let selected = self.option(&variable).or_else(|| self.tool_versions(plugin));
        self.tool("asdf", plugin, selected)
    }

    /// mise keeps its tools under the runtime's name.
    fn mise(&self, tool: &str) -> Shim {
        let variable = format!("MISE_{}_VERSION", tool.to_uppercase());
        let selected =
            self.option(&variable).or_else(|| self.mise_config(tool)).or_else(|| self.tool_versions(tool));
        self.tool("mise", tool, selected)
    }

    /// Volta has one default for each tool.
    fn volta(&self, tool: &str) -> Shim {
        let nowhere = |detail: String| Shim::Nowhere("volta", detail);
        let Some(root) = self.path.parent().and_then(Path::parent) else {
            return nowhere("and its root cannot be told".into());
        };
        let platform = self.tree.read(&root.join("tools/user/platform.json"), 4096).unwrap_or_default();
        let platform: serde_json::Value = serde_json::from_slice(&platform).unwrap_or_default();
        let Some(version) = platform[tool]["runtime"].as_str().filter(|version| is_one_name(version)) else {
            return nowhere("which has no default version".into());
        };
        let program = root.join("tools/image").join(tool).join(version).join("bin").join(self.name);
        if self.tree.exists(&program) {
            Shim::Leads("volta", program)
        } else {
            nowhere(format!("which selects {version}, and that is not installed"))
        }
    }

    /// Every program of every snap is the launcher `snap`; the snap itself lies beside it, mostly under the program's
    /// name or the runtime's.
    fn snap(&self, runtime: &str) -> Shim {
        let snaps = self.path.parent().and_then(Path::parent).unwrap_or(Path::new("/snap"));
        let owners = [self.name, OsStr::new(runtime)].map(|owner| snaps.join(owner).join("current"));
        let mut programs =
            owners.iter().flat_map(|owner| ["bin", "usr/bin"].map(|bin| owner.join(bin).join(self.name)));
        match programs.find(|program| self.tree.exists(program)) {
            Some(program) => Shim::Leads("snap", program),
            None => Shim::Nowhere("snap", "whose program is not where snaps have it".into()),
        }
    }

    /// A tool under `installs/`, as asdf and mise both have it.
    fn tool(&self, manager: &'static str, tool: &str, selected: Option<String>) -> Shim {
        let Some(selected) = selected.filter(|selected| selected != "system") else {
            return Shim::Nowhere(manager, "which has no version selected".into());
        };
        let installs = self.path.parent().and_then(Path::parent).map(|root| root.join("installs").join(tool));
        let program = installs
            .and_then(|installs| self.installed(&installs, &selected, ""))
            .map(|directory| directory.join("bin").join(self.name))
            .filter(|program| self.tree.exists(program));
        match program {
            Some(program) => Shim::Leads(manager, program),
            None => Shim::Nowhere(manager, format!("which selects {selected}, and that is not installed")),
        }
    }

    fn option(&self, variable: &str) -> Option<String> {
        let value = self.options.variable(variable)?.into_string().ok()?;
        value.split_whitespace().next().map(str::to_owned)
    }

    /// The first version that `/.tool-versions` or the home's selects for a tool.
    fn tool_versions(&self, tool: &str) -> Option<String> {
        let home = self.options.variable("HOME").map(PathBuf::from);
        [Some(PathBuf::from("/")), home].into_iter().flatten().find_map(|directory| {
            let text = self.tree.read(&directory.join(".tool-versions"), 4096)?;
            String::from_utf8_lossy(&text).lines().find_map(|line| {
                let mut words = line.split_whitespace();
                (words.next() == Some(tool)).then(|| words.next().map(str::to_owned))?
            })
        })
    }

    /// The version that mise's global configuration selects: `node = "22"` under `[tools]`.
    fn mise_config(&self, tool: &str) -> Option<String> {
        let home =
            self.options.variable("HOME").map(|home| PathBuf::from(home).join(".config/mise/config.toml"));
        let files = [Some(PathBuf::from("/mise.toml")), home, Some(PathBuf::from("/etc/mise/config.toml"))];
        files.into_iter().flatten().find_map(|file| {
            let text = self.tree.read(&file, 16 * 1024)?;
            let text = String::from_utf8_lossy(&text).into_owned();
            let tools = text.split("[tools]").nth(1)?;
            let tools = tools.split("\n[").next()?;
            tools.lines().find_map(|line| {
                let (key, value) = line.split_once('=')?;
                (key.trim().trim_matches('"') == tool).then(|| value.split('"').nth(1).map(str::to_owned))?
            })
        })
    }

    /// The versions in a version file, as one list; comments are no versions.
    fn words(&self, file: &Path) -> Option<String> {
        let mut known = self.selections.files.borrow_mut();
        if let Some((_, words)) = known.iter().find(|(path, _)| path.as_os_str() == file.as_os_str()) {
            return words.clone();
        }
        let text = self.tree.read(file, 4096).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
        let words: Vec<&str> = lines.flat_map(str::split_whitespace).collect();
        let words = (!words.is_empty()).then(|| words.join(":"));
        known.push((file.to_owned(), words.clone()));
        words
    }
}

/// Where a member of the family keeps its versions: what the shim exports, else where the manager is.
fn root_of(script: &str, manager: &Manager) -> Option<PathBuf> {
    let exported = script.split(&format!("export {}=\"", manager.root)).nth(1);
    let root = if let Some(rest) = exported {
        Path::new(rest.split('"').next()?)
    } else {
        let call = script.split("exec \"").find(|call| call.contains(&format!("/{}\"", manager.name)))?;
        Path::new(call.split('"').next()?).parent()?.parent()?
    };
    root.is_absolute().then(|| root.to_owned())
}

/// A version is a directory's name, never a path: these words come from files anybody may have written.
fn is_one_name(version: &str) -> bool {
    !version.is_empty() && !version.contains('/') && version != "." && version != ".."
}
