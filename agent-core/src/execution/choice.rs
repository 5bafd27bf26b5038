//! Which runtime, which version of it and which interpreter run an action.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use runtime_probe::{Interpreter, Report};

use crate::model::{
    Action, CONSTRAINT_GRAMMAR, ExecutionConfig, Outcome, Reason, Runtime, RuntimeVersion, Version,
    VersionConstraint, WorkOrder, canonical_name,
};

/// What runs an action.
#[derive(Debug)]
pub(super) struct Choice<'a> {
    /// `None`: the file runs itself.
    pub(super) runtime: Option<&'a Runtime>,
    /// The declared version whose configuration counts; `None`: the runtime's own does.
    pub(super) version: Option<&'a RuntimeVersion>,
    /// What the probe knows of the program, where it found it.
    pub(super) interpreter: Option<&'a Interpreter>,
    /// The program; `None`: the file runs itself.
    pub(super) program: Option<PathBuf>,
    /// What goes before the file.
    pub(super) args: Vec<OsString>,
}

impl<'a> Choice<'a> {
    /// The configuration that counts.
    pub(super) fn config(&self) -> &'a ExecutionConfig {
        static NONE: LazyLock<ExecutionConfig> = LazyLock::new(ExecutionConfig::default);
        let version = self.version.map(|version| &version.config);
        version.or(self.runtime.map(|runtime| &runtime.config)).unwrap_or(&NONE)
    }
}

/// Chooses for `order`, whose code is in `file` where it is in one.
pub(super) fn choose<'a>(
    order: &'a WorkOrder,
    file: Option<&Path>,
    found: &'a Report,
) -> Result<Choice<'a>, Box<Outcome>> {
    check_required(&order.action, found)?;
    let Some(runtime) = runtime_of(order, file).filter(|runtime| !runtime.is_native()) else {
        let runtime = runtime_of(order, file);
        return Ok(Choice { runtime, version: None, interpreter: None, program: None, args: Vec::new() });
    };
    let constraint = constraint_of(&order.action)?;
    if let Some(fit) = fitting(runtime, &constraint, found) {
        return Ok(fit.of(runtime));
    }
    if !constraint.is_any() {
        return Err(no_such_version(&order.action, runtime, found));
    }
    unprobed(runtime).ok_or_else(|| missing(runtime, found))
}

/// A program that the probe does not know, such as a runtime of a pack's own.
fn unprobed(runtime: &Runtime) -> Option<Choice<'_>> {
    let binary = Path::new(&runtime.config.interpreter.binary);
    let program = if binary.is_absolute() && binary.exists() {
        binary.to_owned()
    } else {
        which::which(binary.file_name().unwrap_or(binary.as_os_str())).ok()?
    };
    let args = runtime.config.interpreter.args.iter().map(OsString::from).collect();
    Some(Choice { runtime: Some(runtime), version: None, interpreter: None, program: Some(program), args })
}

/// Chooses for actions of `runtime` that do not care which version they run with; `None` where nothing here runs them.
pub(super) fn unconstrained<'a>(runtime: &'a Runtime, found: &'a Report) -> Option<Choice<'a>> {
    if runtime.is_native() {
        return None;
    }
    match fitting(runtime, &"".parse().ok()?, found) {
        Some(fit) => Some(fit.of(runtime)),
        None => unprobed(runtime),
    }
}

/// The runtime of an action: the one it names, else the one that claims its file's extension, else none: the file
/// runs itself.
fn runtime_of<'a>(order: &'a WorkOrder, file: Option<&Path>) -> Option<&'a Runtime> {
    order.declared_runtime().or_else(|| {
        let extension = file?.extension()?.to_str()?;
        order.runtimes.iter().find(|runtime| {
            let claimed = runtime.config.interpreter.file_extension.as_deref().unwrap_or_default();
            claimed.trim_start_matches('.').eq_ignore_ascii_case(extension)
        })
    })
}

fn constraint_of(action: &Action) -> Result<VersionConstraint, Box<Outcome>> {
    action.version_constraint.as_deref().unwrap_or_default().parse().map_err(|error| {
        let message = format!("the version constraint of {} cannot be read: {error}", action.reference);
        Box::new(Outcome::without_process(Reason::ConstraintInvalid, message).with_hint(CONSTRAINT_GRAMMAR))
    })
}

/// What an action needs beside its own runtime, in order to call it.
fn check_required(action: &Action, found: &Report) -> Result<(), Box<Outcome>> {
    for (name, wanted) in &action.required_runtimes {
        let canonical = canonical_name(name);
        let constraint: VersionConstraint = wanted.parse().map_err(|error| {
            let message = format!("what {} requires of {name} cannot be read: {error}", action.reference);
            Box::new(
                Outcome::without_process(Reason::ConstraintInvalid, message).with_hint(CONSTRAINT_GRAMMAR),
            )
        })?;
        let has = canonical == "native"
            || found.all(&canonical).any(|candidate| constraint.is_any() || allows(&constraint, candidate));
        if !has {
            let wanted = if constraint.is_any() { String::new() } else { format!(" {wanted}") };
            let message = format!("{} requires {name}{wanted} beside its own runtime", action.reference);
            let outcome = Outcome::without_process(Reason::RequiredRuntimeMissing, message);
            return Err(Box::new(outcome.with_hint(what_is_here(&canonical, found))));
        }
    }
    Ok(())
}

/// An interpreter of a runtime, and the declared version that it is.
struct Fit<'a> {
    interpreter: &'a Interpreter,
    version: Option<&'a RuntimeVersion>,
}

impl<'a> Fit<'a> {
    fn of(self, runtime: &'a Runtime) -> Choice<'a> {
        let config = self.version.map_or(&runtime.config, |version| &version.config);
        Choice {
            runtime: Some(runtime),
            version: self.version,
            interpreter: Some(self.interpreter),
            program: Some(self.interpreter.path.clone()),
            args: arguments(self.interpreter, config),
        }
    }
}

/// The interpreter that `runtime` means under `constraint`.
///
/// Those on `PATH` go before all others. A version is one of the program that the definition names: a constraint on bash
/// is none on zsh. With a constraint, the newest is taken that is a declared version, else the newest. Without one, a path
/// in the definition is taken as it is, as long as it is there; then the default version where the image has it; then the
/// interpreter that the definition names, else the image's preferred one, as whichever version it is: an image without
/// `bash` still has a `sh`.
fn fitting<'a>(runtime: &'a Runtime, constraint: &VersionConstraint, found: &'a Report) -> Option<Fit<'a>> {
    let canonical = runtime.canonical();
    let all = || found.runtimes.iter().filter(|candidate| candidate.name == canonical);
    let binary = Path::new(&runtime.config.interpreter.binary);
    let meant = named(binary, all()).or_else(|| all().next());
    let fitting: Vec<&Interpreter> = all()
        .filter(|candidate| meant.is_some_and(|meant| candidate.implementation == meant.implementation))
        .filter(|candidate| constraint.is_any() || allows(constraint, candidate))
        .collect();
    let on_path = fitting.iter().any(|candidate| candidate.on_path);
    let candidates = || fitting.iter().copied().filter(|candidate| candidate.on_path || !on_path);
    if !constraint.is_any() {
        let newest = |fits: &mut dyn Iterator<Item = Fit<'a>>| {
            // Of equals the first, which the definition's own name put there.
            fits.fold(None, |best: Option<Fit<'a>>, fit| match best {
                Some(best) if version_of(best.interpreter) >= version_of(fit.interpreter) => Some(best),
                _ => Some(fit),
            })
        };
        let mut declared = runtime.versions.iter().filter_map(|version| declared_fit(version, candidates()));
        return newest(&mut declared)
            .or_else(|| newest(&mut candidates().map(|interpreter| Fit { interpreter, version: None })));
    }
    if binary.is_absolute() && binary.exists() {
        let interpreter = all().find(|candidate| is_at(candidate, binary))?;
        return Some(Fit { interpreter, version: declared_version(runtime, interpreter) });
    }
    let default = runtime.versions.iter().find(|version| version.is_default);
    if let Some(fit) = default.and_then(|version| declared_fit(version, candidates())) {
        return Some(fit);
    }
    let interpreter = meant?;
    Some(Fit { interpreter, version: declared_version(runtime, interpreter) })
}

/// The interpreter that is this declared version: the one that its configuration names, else the first.
fn declared_fit<'a>(
    version: &'a RuntimeVersion,
    candidates: impl Iterator<Item = &'a Interpreter>,
) -> Option<Fit<'a>> {
    let constraint: VersionConstraint = version.version.parse().ok()?;
    let fitting: Vec<_> = candidates.filter(|candidate| allows(&constraint, candidate)).collect();
    let by_name = named(Path::new(&version.config.interpreter.binary), fitting.iter().copied());
    let interpreter = by_name.or_else(|| fitting.first().copied())?;
    Some(Fit { interpreter, version: Some(version) })
}

/// The declared version that an interpreter is, the default before others.
fn declared_version<'a>(runtime: &'a Runtime, interpreter: &Interpreter) -> Option<&'a RuntimeVersion> {
    let is_it = |version: &&RuntimeVersion| {
        version.version.parse().is_ok_and(|constraint| allows(&constraint, interpreter))
    };
    let default = runtime.versions.iter().filter(|version| version.is_default).find(is_it);
    default.or_else(|| runtime.versions.iter().find(is_it))
}

fn named<'a>(
    binary: &Path,
    mut candidates: impl Iterator<Item = &'a Interpreter>,
) -> Option<&'a Interpreter> {
    let name = binary.file_name()?.to_str()?;
    candidates.find(|candidate| candidate.names.iter().any(|alias| alias == name))
}

/// Whether a path leads to this interpreter: `/bin` is a link to `/usr/bin` in most images.
fn is_at(interpreter: &Interpreter, path: &Path) -> bool {
    interpreter.path == path || path.canonicalize().is_ok_and(|real| real == interpreter.real)
}

fn version_of(interpreter: &Interpreter) -> Option<Version> {
    interpreter.version.as_deref()?.parse().ok()
}

fn allows(constraint: &VersionConstraint, interpreter: &Interpreter) -> bool {
    version_of(interpreter).is_some_and(|version| constraint.allows(version))
}

/// What the program needs before a script comes first, unless the definition says it too: `go run`.
fn arguments(interpreter: &Interpreter, config: &ExecutionConfig) -> Vec<OsString> {
    let said = config.interpreter.args.starts_with(&interpreter.args);
    let needed = interpreter.args.iter().filter(|_| !said);
    needed.chain(&config.interpreter.args).map(OsString::from).collect()
}

fn no_such_version(action: &Action, runtime: &Runtime, found: &Report) -> Box<Outcome> {
    let constraint = action.version_constraint.as_deref().unwrap_or_default();
    let message = format!(
        "{} needs {} {constraint}, which this container does not have",
        action.reference, runtime.reference
    );
    let outcome = Outcome::without_process(Reason::RuntimeVersionMissing, message);
    Box::new(outcome.with_hint(what_is_here(&runtime.canonical(), found)))
}

fn what_is_here(canonical: &str, found: &Report) -> String {
    let here: Vec<String> = found
        .all(canonical)
        .map(|interpreter| {
            let version = interpreter.version.as_deref().unwrap_or("of unknown version");
            format!("{} {version}", interpreter.path.display())
        })
        .collect();
    if here.is_empty() {
        return format!("this container has no {canonical}; `attune-agent probe` lists what it has");
    }
    format!("this container has {}", here.join(", "))
}

fn missing(runtime: &Runtime, found: &Report) -> Box<Outcome> {
    let binary = &runtime.config.interpreter.binary;
    let message = format!("{} needs `{binary}`, which this container does not have", runtime.reference);
    let outcome = Outcome::without_process(Reason::InterpreterMissing, message);
    // Something of that name that does not work is worth more than "not there".
    let canonical = runtime.canonical();
    let rejected = found.rejected.iter().find(|rejected| rejected.name == canonical);
    Box::new(match rejected {
        Some(rejected) => outcome.with_hint(format!(
            "{} is there but unusable: {}",
            rejected.path.display(),
            rejected.reason
        )),
        None => outcome,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::{ExecutionId, RuntimeId};

    fn found(interpreters: &[(&str, &str, &str, &str)]) -> Report {
        let runtimes: Vec<_> = interpreters
            .iter()
            .map(|(name, path, version, on_path)| {
                json!({
                    "name": name, "path": path, "found_as": path, "args": [], "version": version,
                    "evidence": {"kind": "text"}, "confidence": "exact", "implementation": name, "real": path,
                    "names": [path.rsplit('/').next()], "on_path": *on_path == "on", "via": null, "arch": null,
                    "libc": null, "runnable": "likely", "environment": null, "capabilities": {}
                })
            })
            .collect();
        serde_json::from_value(json!({
            "mode": "fast", "elapsed_us": 1, "spawned": 0, "cached": false, "runtimes": runtimes, "rejected": [],
            "warnings": [], "gpus": []
        }))
        .unwrap()
    }

    fn runtime(name: &str, binary: &str, versions: &[(&str, &str)]) -> Runtime {
        let config = |binary: &str| -> ExecutionConfig {
            serde_json::from_value(json!({"interpreter": {"binary": binary}})).unwrap()
        };
        Runtime {
            id: RuntimeId(1),
            reference: format!("core.{name}"),
            name: name.to_owned(),
            aliases: vec![name.to_owned()],
            config: config(binary),
            versions: versions
                .iter()
                .map(|(version, binary)| RuntimeVersion {
                    id: None,
                    version: version.trim_end_matches('*').to_owned(),
                    config: config(binary),
                    is_default: version.ends_with('*'),
                })
                .collect(),
        }
    }

    fn order(runtime: Runtime, constraint: &str, required: &[(&str, &str)]) -> WorkOrder {
        WorkOrder {
            execution: ExecutionId(1),
            action: Action {
                runtime: Some(runtime.id),
                version_constraint: Some(constraint.to_owned()),
                required_runtimes: required.iter().map(|(n, c)| ((*n).to_owned(), (*c).to_owned())).collect(),
                ..Action::simple("a")
            },
            file: None,
            runtimes: vec![runtime],
            parameters: crate::model::Parameters::new(),
            env_vars: Vec::new(),
            task_timeout_seconds: None,
            origin: crate::model::Origin::default(),
            sealed: crate::model::Sealed::default(),
        }
    }

    const PYTHONS: &[(&str, &str, &str, &str)] = &[
        ("python", "/usr/bin/python3", "3.11.7", "on"),
        ("python", "/usr/bin/python3.12", "3.12.4", "on"),
        ("python", "/opt/python3.13", "3.13.0", "off"),
    ];

    /// The program and the declared version chosen, or why none.
    fn chosen(
        runtime: Runtime,
        constraint: &str,
        image: &[(&str, &str, &str, &str)],
    ) -> Result<(String, Option<String>), Reason> {
        let (order, found) = (order(runtime, constraint, &[]), found(image));
        let choice = choose(&order, None, &found).map_err(|outcome| outcome.reason())?;
        let program = choice.program.unwrap().display().to_string();
        Ok((program, choice.version.map(|version| version.version.clone())))
    }

    fn python(versions: &[(&str, &str)]) -> Runtime {
        runtime("python", "python3", versions)
    }

    #[test]
    fn without_a_constraint_the_default_version_goes_first_where_the_image_has_it() {
        let declared = [("3.11", "python3.11"), ("3.12*", "python3.12"), ("3.13", "python3.13")];
        let default = ("/usr/bin/python3.12".to_owned(), Some("3.12".to_owned()));
        assert_eq!(chosen(python(&declared), "", PYTHONS), Ok(default));
        let first = ("/usr/bin/python3".to_owned(), Some("3.11".to_owned()));
        assert_eq!(chosen(python(&declared), "", &PYTHONS[..1]), Ok(first));
        assert_eq!(chosen(python(&[]), "", PYTHONS), Ok(("/usr/bin/python3".to_owned(), None)));
    }

    #[test]
    fn a_constraint_takes_the_newest_on_path_that_satisfies_it_and_nothing_else() {
        let declared = [("3.11", "python3.11"), ("3.12", "python3.12")];
        let newest = ("/usr/bin/python3.12".to_owned(), Some("3.12".to_owned()));
        assert_eq!(chosen(python(&declared), ">=3.9", PYTHONS), Ok(newest));
        let other = ("/usr/bin/python3".to_owned(), Some("3.11".to_owned()));
        assert_eq!(chosen(python(&declared), "3.11", PYTHONS), Ok(other));
        // One beside PATH is better than none; no version of that name is declared.
        assert_eq!(chosen(python(&declared), "3.13", PYTHONS), Ok(("/opt/python3.13".to_owned(), None)));
        assert_eq!(chosen(python(&declared), "4", PYTHONS), Err(Reason::RuntimeVersionMissing));
        assert_eq!(chosen(python(&declared), "new", PYTHONS), Err(Reason::ConstraintInvalid));
    }

    #[test]
    fn a_bare_major_version_is_that_major_version() {
        let node = [("node", "/usr/bin/node", "20.20.2", "on")];
        let declared = [("18", "node18"), ("20*", "node20"), ("22", "node22")];
        for constraint in ["", "20", ">=18"] {
            let twenty = ("/usr/bin/node".to_owned(), Some("20".to_owned()));
            assert_eq!(chosen(runtime("node", "node", &declared), constraint, &node), Ok(twenty));
        }
    }

    #[test]
    fn what_an_action_requires_beside_its_runtime_must_be_here() {
        let image = found(PYTHONS);
        let reason = |required: &[(&str, &str)]| {
            choose(&order(python(&[]), "", required), None, &image).map(|_| ()).map_err(|o| o.reason())
        };
        assert_eq!(reason(&[("python3", ">=3.12"), ("native", "*")]), Ok(()));
        assert_eq!(reason(&[("python", "<3")]), Err(Reason::RequiredRuntimeMissing));
        assert_eq!(reason(&[("ruby", "*")]), Err(Reason::RequiredRuntimeMissing));
        assert_eq!(reason(&[("python", "~")]), Err(Reason::ConstraintInvalid));
    }

    #[test]
    fn a_version_of_bash_is_none_of_another_shell() {
        let shells = [("bash", "5.2.15"), ("zsh", "5.9"), ("mksh", "59")];
        let mut image = found(&shells.map(|(name, version)| ("shell", name, version, "on")));
        for interpreter in &mut image.runtimes {
            interpreter.implementation = interpreter.names[0].clone();
        }
        let reason = |constraint: &str| {
            let order = order(runtime("shell", "bash", &[("9*", "bash")]), constraint, &[]);
            let choice = choose(&order, None, &image).map_err(|outcome| outcome.reason())?;
            Ok(choice.interpreter.and_then(|interpreter| interpreter.version.clone()))
        };
        assert_eq!(reason(">=5"), Ok(Some("5.2.15".to_owned())));
        assert_eq!(reason(""), Ok(Some("5.2.15".to_owned())));
        assert_eq!(reason(">=9"), Err(Reason::RuntimeVersionMissing));
    }

    #[test]
    fn a_path_is_taken_as_it_is_and_a_name_in_any_place() {
        let sh = [("shell", "/bin/sh", "1.36.1", "on")];
        // Whether or not this machine has the path: another interpreter of the runtime serves where it is absent.
        let absent = runtime("shell", "/nowhere/bash", &[]);
        assert_eq!(chosen(absent, "", &sh), Ok(("/bin/sh".to_owned(), None)));
        assert_eq!(
            chosen(runtime("cobol", "no-such-program", &[]), "", &sh),
            Err(Reason::InterpreterMissing)
        );
    }
}
