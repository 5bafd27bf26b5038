//! What actions, which run as the same user, could find out.

use agent_core::process::{Exposed, is_hardened};

use super::check::Check;
use crate::session::Session;

const CATEGORY: &str = "credentials";

pub(super) fn checks(session: &Session) -> Vec<Check> {
    let worker = &session.config.worker;
    let mut checks: Vec<_> = worker
        .confinement
        .exposed_files()
        .into_iter()
        .map(|Exposed { file, why }| {
            let detail = format!("actions can read {}, which holds a credential: {why}", file.display());
            Check::doubtful(CATEGORY, detail, Exposed::HINT)
        })
        .collect();
    if !is_hardened() {
        let detail = "actions can read the worker's memory: dumps are allowed";
        let hint = "unset ATTUNE_ALLOW_DUMP once there is nothing to debug";
        checks.push(Check::doubtful(CATEGORY, detail, hint));
    }
    if checks.is_empty() {
        let detail = "actions can read neither the worker's memory nor its credential files";
        checks.push(Check::fine(CATEGORY, detail));
    }
    checks
}
