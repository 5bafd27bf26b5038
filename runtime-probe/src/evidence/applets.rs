//! BusyBox: the commands that are compiled into it.

use std::path::Path;

use super::{Buffer, scan};
use crate::capabilities::Applets;
use crate::catalogue::Span;
use crate::elf::{Elf, Source};
use crate::pages::PAGE;
use crate::tree::Tree;

/// The table of names is sorted, and these two are always first.
const START: &[u8] = b"\0[\0[[\0";
/// A full BusyBox has about 400 applets, in less than this many bytes.
const LONGEST_TABLE: usize = 6 * 1024;

/// The applets of the BusyBox whose file is `real`, sorted; none when the table is not found.
pub(crate) fn applets(tree: &Tree, real: &Path, buffer: &mut Buffer) -> Applets {
    let Ok(fd) = tree.open(real) else {
        return Applets::default();
    };
    let file = tree.pages.file(fd);
    let source = tree.pages.source(&file);
    let mut page = [0; PAGE];
    let filled = source.read_at(&mut page, 0);
    let Some(elf) = Elf::parse(&page[..filled], &source) else {
        return Applets::default();
    };
    scan::each(&elf, &source, buffer, Span::Constants, LONGEST_TABLE, |window| {
        let start = window.find(START).next()? + 1;
        let end = (start + LONGEST_TABLE).min(window.text.len());
        Some(table(&window.text[start..end]).collect())
    })
    .unwrap_or_default()
}

/// The names in a table: they are sorted, so the first that is out of order belongs to something else.
pub(crate) fn table(bytes: &[u8]) -> impl Iterator<Item = &str> {
    let mut last: &[u8] = b"";
    bytes.split(|&byte| byte == 0).map_while(move |name| {
        let is_name = name.len() < 32 && name.iter().all(u8::is_ascii_graphic) && name > last;
        last = name;
        std::str::from_utf8(name).ok().filter(|_| is_name)
    })
}
