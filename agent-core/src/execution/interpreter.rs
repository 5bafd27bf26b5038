//! Which program runs an action's file.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use runtime_probe::Report;

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
    let own_args = interpreter.args.iter().map(OsString::from);
    let binary = Path::new(&interpreter.binary);
    if binary.is_absolute() && binary.exists() {
        return Ok(Runner { program: Some(binary.to_owned()), args: own_args.collect() });
    }
    let name = binary.file_name().and_then(|name| name.to_str()).unwrap_or(&interpreter.binary);
    let canonical = runtime.canonical();
    let of_runtime = || found.runtimes.iter().filter(|candidate| candidate.name == canonical);
    let probed = of_runtime().find(|candidate| candidate.found_as == name).or_else(|| found.preferred(&canonical));
    if let Some(candidate) = probed {
        let args = candidate.args.iter().map(OsString::from).chain(own_args).collect();
        return Ok(Runner { program: Some(candidate.path.clone()), args });
    }
    match which::which(name) {
        Ok(program) => Ok(Runner { program: Some(program), args: own_args.collect() }),
        Err(_) => Err(missing(runtime, &canonical, found)),
    }
}

fn missing(runtime: &Runtime, canonical: &str, found: &Report) -> Box<Outcome> {
    let binary = &runtime.config.interpreter.binary;
    let message = format!("{} needs `{binary}`, which this container does not have", runtime.reference);
    let outcome = Outcome::without_process(Reason::InterpreterMissing, message);
    // Something of that name that does not work is worth more than "not there".
    let rejected = found.rejected.iter().find(|rejected| rejected.name == canonical);
    Box::new(match rejected {
        Some(rejected) => {
            outcome.with_hint(format!("{} is there but unusable: {}", rejected.path.display(), rejected.reason))
        }
        None => outcome,
    })
}
