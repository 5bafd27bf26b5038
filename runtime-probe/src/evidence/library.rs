//! The library that carries the engine: found as the dynamic loader would find it.

use std::path::{Path, PathBuf};

use crate::elf::{Dynamic, Elf, Source};
use crate::pages::{File, FileSource, PAGE};
use crate::tree::Tree;

/// An open shared library.
#[derive(Debug)]
pub(super) struct Library {
    pub(super) file: File,
    pub(super) elf: Elf,
    pub(super) path: PathBuf,
}

/// The library whose name starts with `prefix`, if the program needs one.
pub(super) fn needed(
    tree: &Tree,
    real: &Path,
    elf: &Elf,
    source: &FileSource<'_>,
    prefix: &str,
) -> Option<Library> {
    let dynamic = Dynamic::read(elf, source)?;
    let name = dynamic.needs(prefix)?;
    let run_path = dynamic.run_path();
    directories(real, elf.arch(), run_path.as_deref()).find_map(|directory| {
        let path = directory.join(&name);
        let file = tree.pages.file(tree.open(&path).ok()?);
        let mut page = [0; PAGE];
        let source = tree.pages.source(&file);
        let filled = source.read_at(&mut page, 0);
        let library = Elf::parse(&page[..filled], &source)?;
        // A library for another processor, beside the right one, is not it.
        (library.arch() == elf.arch()).then_some(Library { file, elf: library, path })
    })
}

/// Where to look: where the program says, then beside it, then where systems keep libraries.
fn directories<'d>(
    real: &'d Path,
    arch: &'static str,
    run_path: Option<&'d str>,
) -> impl Iterator<Item = PathBuf> + 'd {
    let directory = real.parent().unwrap_or(Path::new("/"));
    let prefix = directory.parent().unwrap_or(Path::new("/"));
    let own = run_path.into_iter().flat_map(|paths| paths.split(':')).map(move |path| {
        let origin = directory.to_string_lossy();
        PathBuf::from(path.replace("$ORIGIN", &origin).replace("${ORIGIN}", &origin))
    });
    let triplet = move |base: &str| PathBuf::from(format!("{base}/{arch}-linux-gnu"));
    own.chain([triplet(&format!("{}/lib", prefix.display())), prefix.join("lib"), prefix.join("lib64")])
        .chain(["/usr/local/lib", "/lib64", "/usr/lib64", "/lib", "/usr/lib"].map(PathBuf::from))
        .chain(["/lib", "/usr/lib"].map(triplet))
        .filter(|path| path.is_absolute())
}
