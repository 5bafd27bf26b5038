//! Which program runs an action's file.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use runtime_probe::{Interpreter, Report};

use crate::model::{Outcome, Reason, Runtime, WorkOrder};

/// The program and what goes before the file. `None` as program means: the file runs itself.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Runner {
    pub(super) program: Option<PathBuf>,
    pub(super) args: Vec<OsString>,
}

/// The runtime of an action: the one it names, else the one that claims its file's extension, else none: the file
/// runs itself.
pub(super) fn runtime_of<'a>(order: &'a WorkOrder, file: &Path) -> Option<&'a Runtime> {
    order.declared_runtime().or_else(|| {
        let extension = file.extension()?.to_str()?;
        order.runtimes.iter().find(|runtime| {
            let claimed = runtime.config.interpreter.file_extension.as_deref().unwrap_or_default();
            claimed.trim_start_matches('.').eq_ignore_ascii_case(extension)
        })
    })
}

/// Finds the program for `runtime` in this container.
///
/// A path in the definition is taken as it is, as long as it is there. A bare name is looked up among the interpreters
/// that the probe found, which sees through shims and knows what is broken; a name that the probe does not know, such
/// as a runtime of a pack's own, is looked up in `PATH`. Where the very name is absent, another interpreter of the
/// same runtime serves: an image without `bash` still has a `sh`.
pub(super) fn resolve(runtime: Option<&Runtime>, found: &Report) -> Result<Runner, Box<Outcome>> {
    let Some(runtime) = runtime.filter(|runtime| !runtime.is_native()) else {
        return Ok(Runner { program: None, args: Vec::new() });
    };
    let interpreter = &runtime.config.interpreter;
    let binary = Path::new(&interpreter.binary);
    let canonical = runtime.canonical();
    if let Some(candidate) = probed(binary, &canonical, found) {
        // What the program needs before a script comes first, unless the definition says it too: `go run`.
        let said = interpreter.args.starts_with(&candidate.args);
        let needed = candidate.args.iter().filter(|_| !said);
        let args = needed.chain(&interpreter.args).map(OsString::from).collect();
        return Ok(Runner { program: Some(candidate.path.clone()), args });
    }
    let args = interpreter.args.iter().map(OsString::from).collect();
    if binary.is_absolute() && binary.exists() {
        return Ok(Runner { program: Some(binary.to_owned()), args });
    }
    let name = binary.file_name().unwrap_or(binary.as_os_str());
    match which::which(name) {
        Ok(program) => Ok(Runner { program: Some(program), args }),
        Err(_) => Err(missing(runtime, &canonical, found)),
    }
}

/// The interpreter that `binary` means, among those that the probe found.
fn probed<'a>(binary: &Path, canonical: &str, found: &'a Report) -> Option<&'a Interpreter> {
    if binary.is_absolute() && binary.exists() {
        return found.runtimes.iter().find(|candidate| candidate.path == binary);
    }
    let name = binary.file_name()?.to_str()?;
    let of_runtime = || found.runtimes.iter().filter(|candidate| candidate.name == canonical);
    let by_name = of_runtime().find(|candidate| candidate.names.iter().any(|alias| alias == name));
    by_name.or_else(|| found.preferred(canonical))
}

fn missing(runtime: &Runtime, canonical: &str, found: &Report) -> Box<Outcome> {
    let binary = &runtime.config.interpreter.binary;
    let message = format!("{} needs `{binary}`, which this container does not have", runtime.reference);
    let outcome = Outcome::without_process(Reason::InterpreterMissing, message);
    // Something of that name that does not work is worth more than "not there".
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
