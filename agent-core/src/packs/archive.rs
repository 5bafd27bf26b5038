//! Archives of packs, as the API sends them: a tar within gzip, whose root is a directory of the pack's name
//! (CONTRACT §3.10). What is in one is believed no more than what comes from anybody else over a network.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, symlink};
use std::path::{Component, Path, PathBuf};

use flate2::read::GzDecoder;
use tar::{Archive, Entry, EntryType};

use crate::error::{Doing, Error, ErrorKind, Result};
use crate::model::PackRef;

/// What an archive may hold at most.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Bytes of all files together, unpacked.
    pub(super) bytes: u64,
    /// Files, directories and links.
    pub(super) entries: usize,
}

/// Unpacks the archive of `pack` into the empty directory `target`, which then is the pack's.
///
/// # Errors
/// Where the archive is damaged, too large, of another pack, or where anything in it would be outside of `target`.
pub(super) fn extract(archive: impl Read, pack: &PackRef, target: &Path, bounds: Bounds) -> Result<()> {
    let damaged = |error: io::Error| {
        Error::new(ErrorKind::ControlPlane, format!("the archive of the pack {} is damaged", pack.as_str()))
            .because(error)
    };
    let refused = |what: String| {
        Error::new(ErrorKind::ControlPlane, format!("the archive of the pack {} {what}", pack.as_str()))
            .hint("nothing of it was taken; register the pack again from a source that you trust")
    };
    let mut left = bounds.bytes;
    let mut archive = Archive::new(GzDecoder::new(archive));
    for (count, entry) in archive.entries().map_err(damaged)?.enumerate() {
        let mut entry = entry.map_err(damaged)?;
        if count >= bounds.entries {
            return Err(refused(format!("holds more than {} files", bounds.entries)));
        }
        left = left
            .checked_sub(entry.size())
            .ok_or_else(|| refused(format!("unpacks to more than {} bytes", bounds.bytes)))?;
        let named = entry.path().map_err(damaged)?.into_owned();
        let below = below(&named, pack).ok_or_else(|| refused(format!("holds `{}`", named.display())))?;
        let Some(below) = below else { continue };
        unpack(&mut entry, &below, target)
            .doing(|| format!("unpack {}", named.display()))?
            .map_err(|what| refused(format!("holds `{}`, {what}", named.display())))?;
    }
    if target.join("pack.yaml").is_file() { Ok(()) } else { Err(refused("holds no pack.yaml".to_owned())) }
}

/// A path without the pack's own directory, where it is in there; inside `None` for that directory itself.
#[expect(clippy::option_option, reason = "the outer says whether it may be, the inner what it is")]
fn below(named: &Path, pack: &PackRef) -> Option<Option<PathBuf>> {
    let mut components = named.components().filter(|component| *component != Component::CurDir).peekable();
    if components.peek().is_none() {
        return Some(None);
    }
    if components.next()? != Component::Normal(pack.as_str().as_ref()) {
        return None;
    }
    let mut below = PathBuf::new();
    for component in components {
        let Component::Normal(name) = component else { return None };
        below.push(name);
    }
    Some((!below.as_os_str().is_empty()).then_some(below))
}

/// Writes one entry; the inner error is a sentence about one that is not to be written.
fn unpack<R: Read>(
    entry: &mut Entry<'_, R>,
    below: &Path,
    target: &Path,
) -> io::Result<std::result::Result<(), String>> {
    let kind = entry.header().entry_type();
    if kind.is_pax_global_extensions() {
        return Ok(Ok(()));
    }
    // A link on the way would lead what follows elsewhere: there are none, for these are made one by one.
    if let Err(error) = directories(target, below.parent().unwrap_or(Path::new(""))) {
        return if error.kind() == io::ErrorKind::NotADirectory {
            Ok(Err("which leads through a file or a link".to_owned()))
        } else {
            Err(error)
        };
    }
    let path = target.join(below);
    match kind {
        EntryType::Directory => match directories(target, below) {
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                return Ok(Err("which is something else already".to_owned()));
            }
            made => made?,
        },
        EntryType::Regular | EntryType::Continuous => {
            let executable = entry.header().mode().is_ok_and(|mode| mode & 0o100 != 0);
            let mode = if executable { 0o755 } else { 0o644 };
            let mut options = OpenOptions::new();
            match options.write(true).create_new(true).mode(mode).open(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    return Ok(Err("and that twice".to_owned()));
                }
                file => io::copy(entry, &mut file?)?,
            };
        }
        EntryType::Symlink => {
            let Some(leads_to) = entry.link_name()? else {
                return Ok(Err("a link to nowhere".to_owned()));
            };
            if !stays_inside(below, &leads_to) {
                return Ok(Err(format!("a link to `{}`", leads_to.display())));
            }
            symlink(leads_to, &path)?;
        }
        other => return Ok(Err(format!("which is neither a file nor a directory nor a link ({other:?})"))),
    }
    Ok(Ok(()))
}

/// Makes the directories of `below` that are missing.
///
/// # Errors
/// [`io::ErrorKind::NotADirectory`] where one of them is something else.
fn directories(target: &Path, below: &Path) -> io::Result<()> {
    let mut path = target.to_owned();
    for component in below.components() {
        path.push(component);
        match DirBuilder::new().mode(0o755).create(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if !std::fs::symlink_metadata(&path)?.is_dir() {
                    return Err(io::ErrorKind::NotADirectory.into());
                }
            }
            made => made?,
        }
    }
    Ok(())
}

/// Whether a link at `below` leads to a place in the same pack. It may climb at its beginning only: after a name, which
/// may be a link itself, `..` could be anywhere.
fn stays_inside(below: &Path, leads_to: &Path) -> bool {
    let mut components = leads_to.components().filter(|component| *component != Component::CurDir).peekable();
    let mut climbed = 0;
    while components.next_if_eq(&Component::ParentDir).is_some() {
        climbed += 1;
    }
    let depth = below.components().count() - 1;
    climbed <= depth && components.all(|component| matches!(component, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use tar::{Builder, Header};

    use super::*;

    const BOUNDS: Bounds = Bounds { bytes: 10_000, entries: 20 };

    /// Name, kind, mode, and content or where it leads.
    type Row<'a> = (&'a str, EntryType, u32, &'a str);

    const FILE: EntryType = EntryType::Regular;
    const LINK: EntryType = EntryType::Symlink;
    const GOOD: Row<'static> = ("mine/pack.yaml", FILE, 0o600, "ref: mine\n");

    /// Writes headers byte by byte: the library itself refuses to write what a hostile archive holds.
    fn archive(rows: &[Row<'_>]) -> Vec<u8> {
        let mut builder = Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        for (name, kind, mode, text) in rows {
            let mut header = Header::new_ustar();
            let holds = *kind == FILE;
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            if !holds {
                header.as_old_mut().linkname[..text.len()].copy_from_slice(text.as_bytes());
            }
            header.set_entry_type(*kind);
            header.set_mode(*mode);
            header.set_size(if holds { text.len() as u64 } else { 0 });
            header.set_cksum();
            builder.append(&header, if holds { text.as_bytes() } else { b"" }).unwrap();
        }
        builder.into_inner().unwrap().finish().unwrap()
    }

    fn extracted(archive: &[u8]) -> (tempfile::TempDir, Result<()>) {
        let outside = tempfile::tempdir().unwrap();
        let target = outside.path().join("target");
        std::fs::create_dir(&target).unwrap();
        let done = extract(archive, &"mine".parse().unwrap(), &target, BOUNDS);
        (outside, done)
    }

    #[test]
    fn a_pack_is_unpacked_with_its_programs_and_its_links() {
        let (root, done) = extracted(&archive(&[
            ("mine/", EntryType::Directory, 0o755, ""),
            GOOD,
            ("./mine/actions/run.sh", FILE, 0o4775, "#!/bin/sh\n"),
            ("mine/actions/again.sh", LINK, 0o777, "./run.sh"),
            ("mine/lib/deep/up", LINK, 0o777, "../../actions/run.sh"),
        ]));
        done.unwrap();
        let target = root.path().join("target");
        let mode = |name: &str| std::fs::metadata(target.join(name)).unwrap().mode() & 0o7777;
        assert_eq!(mode("actions/run.sh") & 0o7711, 0o711, "a program, and no more than that");
        assert_eq!(mode("pack.yaml") & 0o7111, 0);
        for link in ["actions/again.sh", "lib/deep/up"] {
            assert_eq!(std::fs::read_to_string(target.join(link)).unwrap(), "#!/bin/sh\n");
        }
    }

    #[test]
    fn what_would_be_outside_is_refused_and_not_written() {
        let hostile: &[&[Row<'_>]] = &[
            &[("/etc/passwd", FILE, 0o644, "x")],
            &[("mine/../../evil", FILE, 0o644, "x")],
            &[("../evil", FILE, 0o644, "x")],
            &[("other/pack.yaml", FILE, 0o644, "x")],
            &[("mine/out", LINK, 0o777, "/etc")],
            &[("mine/out", LINK, 0o777, "..")],
            &[("mine/a/out", LINK, 0o777, "../../evil")],
            // Through a link that is harmless by itself.
            &[("mine/here", LINK, 0o777, "."), ("mine/out", LINK, 0o777, "here/../../evil")],
            &[("mine/a", LINK, 0o777, "b"), ("mine/a/evil", FILE, 0o644, "x")],
            &[("mine/a", LINK, 0o777, "b"), ("mine/a", EntryType::Directory, 0o755, "")],
            // Over what is there.
            &[("mine/a", LINK, 0o777, "pack.yaml"), ("mine/a", FILE, 0o644, "x")],
            &[GOOD],
            &[("mine/hard", EntryType::Link, 0o644, "/etc/passwd")],
            &[("mine/pipe", EntryType::Fifo, 0o644, "")],
            &[("mine/disk", EntryType::Block, 0o644, "")],
        ];
        for rows in hostile {
            let rows: Vec<Row<'_>> = std::iter::once(GOOD).chain(rows.iter().copied()).collect();
            let (root, done) = extracted(&archive(&rows));
            let error = done.expect_err(rows.last().expect("a row").0);
            assert_eq!(error.kind(), ErrorKind::ControlPlane, "{error}");
            let around: Vec<_> =
                std::fs::read_dir(root.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
            assert_eq!(around, ["target"], "{error}");
        }
    }

    #[test]
    fn what_is_too_large_damaged_or_no_pack_is_refused() {
        let large = "x".repeat(9_995);
        let many: Vec<String> = (0..25).map(|number| format!("mine/{number}")).collect();
        let many: Vec<Row<'_>> = many.iter().map(|name| (name.as_str(), FILE, 0o644, "")).collect();
        for (bytes, says) in [
            (archive(&[GOOD, ("mine/large", FILE, 0o644, &large)]), "more than 10000 bytes"),
            (archive(&many), "more than 20 files"),
            (archive(&[("mine/readme", FILE, 0o644, "")]), "no pack.yaml"),
            (b"<html>502</html>".to_vec(), "damaged"),
            (archive(&[GOOD, ("mine/more", FILE, 0o644, &large[..5000])])[..60].to_vec(), "damaged"),
        ] {
            let error = extracted(&bytes).1.unwrap_err();
            assert!(error.to_string().contains(says), "{error}");
        }
    }
}
