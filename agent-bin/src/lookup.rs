//! Looking for interpreters, with the options that this program always uses.

use std::sync::Arc;

use runtime_probe::{Options, Report};

use crate::exit::Failure;

/// What this container has.
pub(crate) fn interpreters() -> Result<Arc<Report>, Failure> {
    let report = runtime_probe::probe(&Options::default())?;
    for warning in &report.warnings {
        tracing::warn!("{warning}");
    }
    Ok(Arc::new(report))
}
