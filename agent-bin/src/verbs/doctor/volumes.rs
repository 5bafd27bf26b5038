//! The directories that are mounted for a worker.

use super::check::Check;
use super::files::try_to_write;
use crate::session::Session;

const CATEGORY: &str = "volumes";

pub(super) fn checks(session: &Session) -> Vec<Check> {
    let directories = &session.config.directories;
    let core = directories.packs.join("core/pack.yaml");
    let packs = if core.is_file() {
        Check::fine(CATEGORY, format!("packs are in {}", directories.packs.display()))
    } else {
        let detail = format!("{} holds no core pack", directories.packs.display());
        let hint = "mount the packs there, or set ATTUNE__PACKS_BASE_DIR";
        Check::broken(CATEGORY, detail, Some(hint.to_owned()))
    };
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
    std::iter::once(packs).chain(written).collect()
}
