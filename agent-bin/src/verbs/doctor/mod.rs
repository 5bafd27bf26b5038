//! `attune-agent doctor`: everything that a worker needs, checked, each with what to do about it. One file a category.

mod check;
mod credentials;
mod files;
mod interpreters;
mod sandbox;
mod servers;
mod user;
mod volumes;

use std::process::ExitCode;

use self::check::{Check, is_healthy, show};
use crate::cli::DoctorArgs;
use crate::exit::{FAILED, Failure};
use crate::lookup;
use crate::session::Session;

/// Checks everything.
pub(crate) async fn run(session: &Session, args: &DoctorArgs) -> Result<ExitCode, Failure> {
    let found = lookup::interpreters()?;
    let mut checks = image_checks(&found);
    checks.extend(interpreters::offered(&found, &session.config.worker));
    checks.extend(volumes::checks(session));
    checks.extend(credentials::checks(session));
    checks.extend(servers::checks(&session.config.servers).await);
    conclude(&checks, args)
}

/// Checks what the image and the container bring, which no configuration and no server has a say in.
pub(crate) fn run_image(args: &DoctorArgs) -> Result<ExitCode, Failure> {
    let found = lookup::interpreters()?;
    // The helper process is reached through one.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _inside = runtime.enter();
    conclude(&image_checks(&found), args)
}

fn image_checks(found: &runtime_probe::Report) -> Vec<Check> {
    [user::checks(), files::checks(found), sandbox::checks(), interpreters::found(found)]
        .into_iter()
        .flatten()
        .collect()
}

fn conclude(checks: &[Check], args: &DoctorArgs) -> Result<ExitCode, Failure> {
    show(checks, args.json)?;
    Ok(if is_healthy(checks) { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}
