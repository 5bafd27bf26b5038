//! The directories that are mounted for a worker.

use agent_core::config::Config;
use agent_core::packs::RemotePacks;

use super::check::Check;
use super::files::try_to_write;
use crate::session::Session;
use crate::transfer;

const CATEGORY: &str = "volumes";

pub(super) fn checks(session: &Session) -> Vec<Check> {
    let directories = &session.config.directories;
    // A worker makes its own directory: where it is missing, what counts is the one that it would be made in.
    let work_dir = session.config.worker.work_dir.as_path();
    let journal = work_dir.ancestors().find(|above| above.is_dir()).unwrap_or(work_dir);
    let written = [
        ("artifacts", directories.artifacts.as_path(), directories.artifacts.as_path()),
        ("environments", &directories.runtime_envs, &directories.runtime_envs),
        ("the journal", work_dir, journal),
    ];
    let written = written.into_iter().map(|(what, directory, tried)| match try_to_write(tried) {
        Ok(()) => Check::fine(CATEGORY, format!("{what} can be written in {}", directory.display())),
        Err(error) => Check::doubtful(
            CATEGORY,
            format!("{what} cannot be written in {}: {error}", directory.display()),
            "mount a directory there that this user may write",
        ),
    });
    std::iter::once(packs(&session.config)).chain(written).collect()
}

fn packs(config: &Config) -> Check {
    let directory = config.directories.packs.as_path();
    if directory.join("core/pack.yaml").is_file() {
        return Check::fine(CATEGORY, format!("packs are in {}", directory.display()));
    }
    let none = format!("{} holds no core pack", directory.display());
    // Whether the API is asked for packs is decided as a worker decides it.
    match transfer::api(config) {
        Err(error) => Check::failed(CATEGORY, &error),
        Ok(Some(_)) if !RemotePacks::is_shared(directory) => {
            Check::fine(CATEGORY, format!("packs come from the API at {}", config.api_url))
        }
        Ok(None) if config.transport.api_is_named => {
            let hint =
                "set ATTUNE__SECURITY__JWT_SECRET to the API's secret: without it, no pack is asked for";
            Check::broken(CATEGORY, none, Some(hint.to_owned()))
        }
        Ok(_) => {
            let hint = "mount the packs there, or set ATTUNE__PACKS_BASE_DIR";
            Check::broken(CATEGORY, none, Some(hint.to_owned()))
        }
    }
}
