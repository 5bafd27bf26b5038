//! Python before 3.11, which exports no version, and the files beside any Python.

use std::path::Path;

use memchr::memmem;

use super::{Buffer, Version, scan};
use crate::catalogue::Span;
use crate::elf::{Dynamic, Elf, Source};
use crate::report::{Evidence, EvidenceKind};
use crate::tree::Tree;
use crate::version::{self, LONGEST, Mark};

/// `PY_VERSION_HEX`: major, minor, micro, then a stage and its number.
pub(super) fn version_of_hex(hex: u64) -> Option<String> {
    let hex = u32::try_from(hex & 0xffff_ffff).ok()?;
    let [major, minor, micro, stage] = hex.to_be_bytes();
    let serial = stage & 0xf;
    let stage = match stage >> 4 {
        0xa => "a",
        0xb => "b",
        0xc => "rc",
        0xf => "",
        _ => return None,
    };
    if !(2..=9).contains(&major) {
        return None;
    }
    let serial = if stage.is_empty() { String::new() } else { serial.to_string() };
    Some(format!("{major}.{minor}.{micro}{stage}{serial}"))
}

/// The function whose result starts with the version; it names that as a constant of its own.
pub(super) const FUNCTION: &str = "Py_GetVersion";

/// The version that [`FUNCTION`] returns.
pub(super) fn returned(elf: &Elf, source: &impl Source) -> Option<String> {
    Dynamic::read(elf, source)?
        .constants_of::<{ LONGEST + 2 }>(FUNCTION)
        .find_map(|(bytes, filled)| alone(&bytes[..filled]).map(str::to_owned))
}

/// The version that `text` starts with, if it is a whole one and nothing follows it.
fn alone(text: &[u8]) -> Option<&str> {
    let version = version::read(text)?;
    let rest = &text[version.len()..];
    // Development builds end in a plus sign.
    let ends = rest.first() == Some(&0) || rest.starts_with(b"+\0");
    (ends && version::numbers(version).count() == 3).then_some(version)
}

/// The version string among the constants, and what was looked for.
///
/// It is a bare `3.9.18`, and there are decoys (`3.2.0`, the Unicode database of old times), so its
/// minor must be the one that the library's or the program's name carries. What precedes it may be
/// anything but a digit or a dot: where the installation prefix ends in the version, the linker keeps one
/// string for both.
pub(super) fn text(
    elf: &Elf,
    source: &impl Source,
    buffer: &mut Buffer,
    object: &Path,
    real: &Path,
) -> Option<(String, String)> {
    let minor = minor_of(object).or_else(|| minor_of(real)).or_else(|| minor_inside(elf, source, buffer))?;
    let needle = format!("{minor}.");
    let reach = LONGEST + needle.len() + 2;
    let version = scan::each(elf, source, buffer, Span::Constants, reach, |window| {
        window.find(needle.as_bytes()).find_map(|at| {
            let before = at.checked_sub(1).map(|before| window.text[before]);
            if before.is_some_and(|byte| byte.is_ascii_digit() || byte == b'.') {
                return None;
            }
            alone(&window.text[at..]).map(str::to_owned)
        })
    })?;
    Some((version, needle))
}

/// `3.9` from `libpython3.9.so.1.0`, `python3.9` or `pypy3.9`.
fn minor_of(path: &Path) -> Option<String> {
    let name = path.file_name()?.as_encoded_bytes();
    ["python", "pypy"].iter().find_map(|family| {
        let version = Mark::after(family).find(name)?;
        let mut numbers = version::numbers(version);
        Some(format!("{}.{}", numbers.next()?, numbers.next()?))
    })
}

/// A program that is only called `python` names its library directory inside.
fn minor_inside(elf: &Elf, source: &impl Source, buffer: &mut Buffer) -> Option<String> {
    let (_, version) = scan::first(elf, source, buffer, Span::Constants, &[Mark::after("lib/python")])?;
    let mut numbers = version::numbers(&version);
    Some(format!("{}.{}", numbers.next()?, numbers.next()?))
}

/// What an installation says of itself: PEP 739's `build-details.json`, the C headers, conda's records.
pub(super) fn files(tree: &Tree, real: &Path) -> Option<Version> {
    let prefix = real.parent()?.parent()?;
    let minor = minor_of(real);
    let details = minor.as_ref().and_then(|minor| {
        let file = prefix.join(format!("lib/python{minor}/build-details.json"));
        let text = tree.read(&file, 64 * 1024)?;
        let version = build_details(&text).filter(|version| agrees(version, minor))?;
        Some((version, Evidence::read(EvidenceKind::File, &file, "language.version_info")))
    });
    details.or_else(|| headers(tree, prefix, minor.as_deref())).or_else(|| conda(tree, prefix))
}

/// `version_info` of a `build-details.json`.
pub(crate) fn build_details(text: &[u8]) -> Option<String> {
    let details: serde_json::Value = serde_json::from_slice(text).ok()?;
    let info = details.get("language")?.get("version_info")?;
    let number = |name: &str| info.get(name)?.as_u64();
    let stage = match info.get("releaselevel")?.as_str()? {
        "alpha" => format!("a{}", number("serial")?),
        "beta" => format!("b{}", number("serial")?),
        "candidate" => format!("rc{}", number("serial")?),
        _ => String::new(),
    };
    Some(format!("{}.{}.{}{stage}", number("major")?, number("minor")?, number("micro")?))
}

/// `patchlevel.h`. Headers need not belong to the program beside them: the minor must agree at least.
fn headers(tree: &Tree, prefix: &Path, minor: Option<&str>) -> Option<Version> {
    let minor = minor?;
    ["python", "pypy"].iter().find_map(|family| {
        let file = prefix.join(format!("include/{family}{minor}/patchlevel.h"));
        let text = tree.read(&file, 16 * 1024)?;
        let line = &text[memmem::find(&text, b"#define PY_VERSION ")?..];
        let start = memchr::memchr(b'"', &line[..line.len().min(80)])?;
        let version = version::read(&line[start + 1..]).filter(|version| agrees(version, minor))?;
        Some((version.to_owned(), Evidence::read(EvidenceKind::File, &file, "PY_VERSION")))
    })
}

/// Conda keeps one record for each package it installed, named after the version.
fn conda(tree: &Tree, prefix: &Path) -> Option<Version> {
    let records = prefix.join("conda-meta");
    let mark = Mark::starts_with("python-").parts(2).then("-");
    let names = tree.names(&records);
    let version = names.iter().find_map(|name| mark.find(name.as_encoded_bytes()))?.to_owned();
    Some((version, Evidence::read(EvidenceKind::File, &records, "the record of the package python")))
}

fn agrees(version: &str, minor: &str) -> bool {
    version.strip_prefix(minor).is_some_and(|rest| rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_versions() {
        assert_eq!(version_of_hex(0x030b_02f0).as_deref(), Some("3.11.2"));
        assert_eq!(version_of_hex(0x030d_00c2).as_deref(), Some("3.13.0rc2"));
        assert_eq!(version_of_hex(0x030e_00a4).as_deref(), Some("3.14.0a4"));
        assert_eq!(version_of_hex(0), None);
    }

    #[test]
    fn build_details_of_a_release_candidate() {
        let text = br#"{"schema_version":"1.0","language":{"version":"3.14","version_info":
            {"major":3,"minor":14,"micro":0,"releaselevel":"candidate","serial":2}}}"#;
        assert_eq!(build_details(text).as_deref(), Some("3.14.0rc2"));
        assert_eq!(build_details(b"{"), None);
    }
}
