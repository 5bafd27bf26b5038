//! BusyBox: the commands that are compiled into it.

use super::{Buffer, scan};
use crate::capabilities::Applets;
use crate::catalogue::Span;
use crate::program::{Kind, Program};
use crate::tree::Tree;

/// The table of names is sorted, and these two are always first.
const START: &[u8] = b"\0[\0[[\0";
/// A full BusyBox has about 400 applets, in less than this many bytes.
const LONGEST_TABLE: usize = 6 * 1024;

/// The applets of a BusyBox, sorted; none when the table is not found.
pub(crate) fn applets(tree: &Tree, program: &Program, buffer: &mut Buffer) -> Applets {
    let Kind::Elf(elf) = &program.kind else {
        return Applets::default();
    };
    let source = tree.pages.source(&program.file);
    scan::each(elf, &source, buffer, Span::Constants, LONGEST_TABLE, |window| {
        let start = window.find(START).next()? + 1;
        let end = (start + LONGEST_TABLE).min(window.text.len());
        Some(Applets::from_table(names(&window.text[start..end])))
    })
    .unwrap_or_default()
}

/// The names in a table, as they stand there: they are sorted, so the first that is out of order belongs to
/// something else.
pub(crate) fn names(bytes: &[u8]) -> &str {
    let (mut at, mut last): (usize, &[u8]) = (0, b"");
    while at < bytes.len() {
        let rest = &bytes[at..];
        let length = memchr::memchr(0, rest).unwrap_or(rest.len());
        let name = &rest[..length];
        let is_name = length < 32 && name.iter().all(u8::is_ascii_graphic) && name > last;
        if !is_name {
            break;
        }
        last = name;
        at += length + 1;
    }
    // Each is ASCII, so all of them together are text.
    std::str::from_utf8(&bytes[..at.min(bytes.len())]).unwrap_or_default()
}
