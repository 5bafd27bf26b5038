//! Where an action's entry point is: below its pack's `actions/` directory, and nowhere else.

use std::io;
use std::path::{Component, Path, PathBuf};

use crate::model::{Action, Outcome, Reason};

/// The action's file and its pack's directory, both without symbolic links.
#[derive(Debug)]
pub(super) struct Entrypoint {
    pub(super) file: PathBuf,
    pub(super) pack_dir: PathBuf,
}

/// Finds the entry point. Names that lead out are refused as they are written, and links that lead out as they
/// resolve.
pub(super) fn locate(packs_dir: &Path, action: &Action) -> Result<Entrypoint, Box<Outcome>> {
    let pack_dir = packs_dir.join(action.pack.as_str());
    let pack_dir = pack_dir.canonicalize().map_err(|error| {
        fail(
            Reason::PackMissing,
            format!("the pack {} is not at {}: {error}", action.pack, pack_dir.display()),
        )
    })?;
    let relative = Path::new(&action.entrypoint);
    let leads_out = || {
        fail(
            Reason::EntrypointOutsidePack,
            format!("the entry point `{}` of {} leads out of its pack", action.entrypoint, action.reference),
        )
    };
    if !relative.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
        return Err(leads_out());
    }
    let actions = pack_dir.join("actions");
    let path = actions.join(relative);
    let file = path.canonicalize().map_err(|error| missing(action, &path, &error))?;
    // The pack, not `actions/` itself, bounds links: sharing a file between directories of one pack is common.
    if !file.starts_with(&pack_dir) {
        return Err(leads_out());
    }
    if !file.is_file() {
        return Err(missing(action, &path, &io::Error::from(io::ErrorKind::IsADirectory)));
    }
    Ok(Entrypoint { file, pack_dir })
}

/// A file that somebody at this machine named: it is its own pack.
pub(super) fn loose(path: &Path) -> Result<Entrypoint, Box<Outcome>> {
    let unusable = |error: io::Error| {
        fail(Reason::EntrypointMissing, format!("the file {} cannot be used: {error}", path.display()))
    };
    let file = path.canonicalize().map_err(unusable)?;
    if !file.is_file() {
        return Err(unusable(io::ErrorKind::IsADirectory.into()));
    }
    let pack_dir = file.parent().map_or_else(|| PathBuf::from("/"), Path::to_owned);
    Ok(Entrypoint { file, pack_dir })
}

fn missing(action: &Action, path: &Path, error: &io::Error) -> Box<Outcome> {
    let message = match error.kind() {
        io::ErrorKind::NotFound => {
            format!("the entry point `{}` of {} is not in its pack", action.entrypoint, action.reference)
        }
        _ => format!("the entry point {} cannot be used: {error}", path.display()),
    };
    fail(Reason::EntrypointMissing, message)
}

fn fail(reason: Reason, message: String) -> Box<Outcome> {
    Box::new(Outcome::without_process(reason, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{OutputFormat, ParameterDelivery, ParameterFormat, Schema};

    fn action(entrypoint: &str) -> Action {
        Action {
            id: None,
            reference: "mine.a".parse().unwrap(),
            pack: "mine".parse().unwrap(),
            entrypoint: entrypoint.to_owned(),
            runtime: None,
            parameters: Schema::default(),
            delivery: ParameterDelivery::default(),
            format: ParameterFormat::default(),
            output: OutputFormat::default(),
            timeout_seconds: None,
        }
    }

    #[test]
    fn only_what_is_in_the_pack_is_found() {
        let packs = tempfile::tempdir().unwrap();
        let actions = packs.path().join("mine/actions");
        std::fs::create_dir_all(actions.join("sub")).unwrap();
        std::fs::write(actions.join("a.sh"), "").unwrap();
        std::fs::write(actions.join("sub/b.sh"), "").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", actions.join("link.sh")).unwrap();
        let find = |entrypoint: &str| locate(packs.path(), &action(entrypoint));
        assert!(find("a.sh").unwrap().file.ends_with("mine/actions/a.sh"));
        assert!(find("sub/b.sh").unwrap().file.ends_with("sub/b.sh"));
        for outside in ["../../../etc/passwd", "/etc/passwd", "sub/../../../x", "link.sh"] {
            assert_eq!(find(outside).unwrap_err().reason(), Reason::EntrypointOutsidePack, "{outside}");
        }
        for absent in ["c.sh", "sub", ""] {
            assert_eq!(find(absent).unwrap_err().reason(), Reason::EntrypointMissing, "{absent}");
        }
    }
}
