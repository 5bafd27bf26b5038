//! One probe, from options to report.

use std::time::Instant;

use crate::capabilities;
use crate::catalogue;
use crate::error::Error;
use crate::options::{Ask, Mode, Options};
use crate::report::{Confidence, Report};
use crate::search::{self, Wanted};
use crate::survey::Survey;
use crate::tree::Tree;

/// Finds the interpreters of this system, or of another root.
///
/// # Errors
///
/// Only when the question cannot be answered: a root that is no directory, hints that are wrong, an
/// unknown runtime in [`Options::only`]. Interpreters that do not work are in [`Report::rejected`].
///
/// ```
/// # fn main() -> Result<(), runtime_probe::Error> {
/// use runtime_probe::{Ask, Options, probe};
///
/// let report = probe(&Options::fast().ask(Ask::Never).only(["python", "shell"]))?;
/// assert_eq!(report.spawned, 0);
/// # Ok(())
/// # }
/// ```
pub fn probe(options: &Options) -> Result<Report, Error> {
    let start = Instant::now();
    let root = options.root.as_deref();
    let tree = Tree::new(root, options.cache.is_some()).map_err(|source| Error::Root {
        path: root.unwrap_or("/".as_ref()).to_owned(),
        source,
    })?;
    if options.mode == Mode::Full && tree.is_foreign() {
        return Err(Error::FullUnderRoot);
    }
    let wanted = wanted(options)?;
    let found = search::search(&tree, options, &wanted, &[]);
    let mut survey = Survey::new(&tree, options.mode);
    survey.visit(&found);
    match (options.mode, options.ask) {
        (Mode::Full, _) => survey.ask(|_, _| true, options.deadline),
        (Mode::Fast, Ask::WhenUnknown) if !tree.is_foreign() => {
            survey.ask(
                |program, confidence| program.worth_asking && confidence <= Confidence::Weak,
                options.deadline,
            );
        }
        (Mode::Fast, _) => {}
    }
    let mut warnings = found.warnings;
    warnings.append(&mut survey.warnings);
    let spawned = survey.spawned;
    let (runtimes, rejected) = survey.finish();
    Ok(Report {
        mode: options.mode,
        elapsed_us: u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX),
        spawned,
        cached: false,
        runtimes,
        rejected,
        warnings,
        gpus: capabilities::gpus(&tree),
    })
}

fn wanted(options: &Options) -> Result<Wanted, Error> {
    let Some(only) = &options.only else {
        return Ok(None);
    };
    let index = |name: &String| {
        let canonical = catalogue::canonical(name);
        catalogue::all()
            .iter()
            .position(|runtime| Some(runtime.name) == canonical)
            .ok_or_else(|| Error::UnknownRuntime { name: name.clone() })
    };
    only.iter()
        .map(index)
        .collect::<Result<Vec<usize>, Error>>()
        .map(Some)
}
