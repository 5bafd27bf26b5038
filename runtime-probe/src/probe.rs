//! One probe, from options to report.

use std::time::Instant;

use crate::cache;
use crate::capabilities::{self, Gpu};
use crate::catalogue;
use crate::error::Error;
use crate::hints::{self, Hints};
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
    let elapsed = || u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
    if let Some(file) = &options.cache
        && let Some(report) = cache::recall(file, options)
    {
        return Ok(Report { elapsed_us: elapsed(), gpus: gpus_here(options), ..report });
    }
    let root = options.root.as_deref();
    let tree = Tree::new(root, options.cache.is_some())
        .map_err(|source| Error::Root { path: root.unwrap_or("/".as_ref()).to_owned(), source })?;
    if options.mode == Mode::Full && tree.is_foreign() {
        return Err(Error::FullUnderRoot);
    }
    let hints = hints::load(&tree, options)?;
    let wanted = wanted(options, &hints)?;
    let found = search::search(&tree, options, &wanted, &hints.search);
    let mut survey = Survey::new(&tree, options, &hints);
    for hint in &hints.interpreters {
        let runtime = catalogue::all().iter().position(|runtime| runtime.name == hint.name);
        let is_wanted =
            runtime.is_none_or(|runtime| wanted.as_ref().is_none_or(|all| all.contains(&runtime)));
        if is_wanted {
            survey.visit_hint(hint, runtime);
        }
    }
    survey.visit(&found);
    match (options.mode, options.ask) {
        (Mode::Full, _) => survey.ask(|_, _| true),
        (Mode::Fast, Ask::WhenUnknown) if !tree.is_foreign() => {
            survey.ask(|program, confidence| program.worth_asking && confidence <= Confidence::Weak);
        }
        (Mode::Fast, _) => {}
    }
    let runtimes = survey.finish();
    let mut warnings = found.warnings;
    warnings.append(&mut survey.warnings);
    let mut report = Report {
        mode: options.mode,
        elapsed_us: 0,
        spawned: survey.spawned,
        cached: false,
        runtimes,
        rejected: survey.rejected,
        warnings,
        gpus: Vec::new(),
    };
    if let Some(file) = &options.cache
        && let Err(error) = cache::keep(file, options, tree.watches(), &report)
    {
        report.warnings.push(format!("the cache {} cannot be written: {error}", file.display()));
    }
    report.gpus = gpus_here(options);
    report.elapsed_us = elapsed();
    Ok(report)
}

/// Graphics processors are devices of this machine, not of a root that lies on it, and never cached.
fn gpus_here(options: &Options) -> Vec<Gpu> {
    match Tree::new(None, false) {
        Ok(tree) if options.root.is_none() => capabilities::gpus(&tree),
        _ => Vec::new(),
    }
}

fn wanted(options: &Options, hints: &Hints) -> Result<Wanted, Error> {
    let Some(only) = &options.only else {
        return Ok(None);
    };
    let mut wanted = Vec::new();
    for name in only {
        let canonical = catalogue::canonical(name);
        match catalogue::all().iter().position(|runtime| Some(runtime.name) == canonical) {
            Some(runtime) => wanted.push(runtime),
            None if hints.interpreters.iter().any(|hint| hint.name == name.to_lowercase()) => {}
            None => return Err(Error::UnknownRuntime { name: name.clone() }),
        }
    }
    Ok(Some(wanted))
}
