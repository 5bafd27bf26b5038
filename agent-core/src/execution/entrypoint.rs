//! Where an action's entry point is: below its pack's `actions/` directory and nowhere else, or in the action itself.

use std::io;
use std::path::{Component, Path, PathBuf};

use crate::model::{Action, Outcome, Reason};

/// What runs, and where: both paths are without symbolic links.
#[derive(Debug)]
pub(super) struct Entrypoint<'a> {
    pub(super) code: Code<'a>,
    /// `None` where the pack has no directory, which only code can do without.
    pub(super) pack_dir: Option<PathBuf>,
}

/// What runs.
#[derive(Debug)]
pub(super) enum Code<'a> {
    /// A file.
    File(PathBuf),
    /// The entry point's own text.
    Inline(&'a str),
}

/// Finds the entry point. Names that lead out are refused as they are written, and links that lead out as they
/// resolve.
///
/// The text of an ad-hoc action is code, unless it names a file of its pack; and so is text that is not one word, which
/// no file of an action is called. A single word that names no file is a mistake and is never run.
pub(super) fn locate<'a>(packs_dir: &Path, action: &'a Action) -> Result<Entrypoint<'a>, Box<Outcome>> {
    let pack_dir = packs_dir.join(action.pack.as_str());
    let is_code = action.is_adhoc || action.entrypoint.trim().contains(char::is_whitespace);
    let code = Code::Inline(&action.entrypoint);
    let pack_dir = match pack_dir.canonicalize() {
        Ok(pack_dir) => pack_dir,
        Err(_) if is_code => return Ok(Entrypoint { code, pack_dir: None }),
        Err(error) => {
            let message = format!("the pack {} is not at {}: {error}", action.pack, pack_dir.display());
            return Err(fail(Reason::PackMissing, message));
        }
    };
    match file_in(&pack_dir, action) {
        Ok(file) => Ok(Entrypoint { code: Code::File(file), pack_dir: Some(pack_dir) }),
        Err(_) if is_code => Ok(Entrypoint { code, pack_dir: Some(pack_dir) }),
        Err(outcome) => Err(outcome),
    }
}

fn file_in(pack_dir: &Path, action: &Action) -> Result<PathBuf, Box<Outcome>> {
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
    if !file.starts_with(pack_dir) {
        return Err(leads_out());
    }
    if !file.is_file() {
        return Err(missing(action, &path, &io::Error::from(io::ErrorKind::IsADirectory)));
    }
    Ok(file)
}

/// A file that somebody at this machine named: it is its own pack.
pub(super) fn loose(path: &Path) -> Result<Entrypoint<'static>, Box<Outcome>> {
    let unusable = |error: io::Error| {
        fail(Reason::EntrypointMissing, format!("the file {} cannot be used: {error}", path.display()))
    };
    let file = path.canonicalize().map_err(unusable)?;
    if !file.is_file() {
        return Err(unusable(io::ErrorKind::IsADirectory.into()));
    }
    let pack_dir = file.parent().map_or_else(|| PathBuf::from("/"), Path::to_owned);
    Ok(Entrypoint { code: Code::File(file), pack_dir: Some(pack_dir) })
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

    #[test]
    fn only_what_is_in_the_pack_is_found() {
        let packs = tempfile::tempdir().unwrap();
        let actions = packs.path().join("mine/actions");
        std::fs::create_dir_all(actions.join("sub")).unwrap();
        std::fs::write(actions.join("a.sh"), "").unwrap();
        std::fs::write(actions.join("sub/b.sh"), "").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", actions.join("link.sh")).unwrap();
        let find = |action: Action| match locate(packs.path(), &action) {
            Ok(Entrypoint { code: Code::File(file), .. }) => Ok(file),
            Ok(Entrypoint { code: Code::Inline(code), .. }) => Ok(PathBuf::from(format!("code: {code}"))),
            Err(outcome) => Err(outcome.reason()),
        };
        let named = |entrypoint: &str| find(Action::simple(entrypoint));
        assert!(named("a.sh").unwrap().ends_with("mine/actions/a.sh"));
        assert!(named("sub/b.sh").unwrap().ends_with("sub/b.sh"));
        for outside in ["../../../etc/passwd", "/etc/passwd", "sub/../../../x", "link.sh"] {
            assert_eq!(named(outside), Err(Reason::EntrypointOutsidePack), "{outside}");
        }
        for absent in ["c.sh", "sub", ""] {
            assert_eq!(named(absent), Err(Reason::EntrypointMissing), "{absent}");
        }
        let adhoc = |entrypoint: &str| find(Action { is_adhoc: true, ..Action::simple(entrypoint) }).unwrap();
        assert!(adhoc("a.sh").ends_with("mine/actions/a.sh"));
        assert_eq!(adhoc("hostname"), Path::new("code: hostname"));
        assert_eq!(named("echo hello").unwrap(), Path::new("code: echo hello"));
        let elsewhere = Action { pack: "other".parse().unwrap(), ..Action::simple("a.sh") };
        assert_eq!(find(elsewhere), Err(Reason::PackMissing));
    }
}
