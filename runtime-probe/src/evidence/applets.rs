//! BusyBox: the commands that are compiled into it.

use std::path::Path;

use super::{Buffer, scan};
use crate::catalogue::Span;
use crate::elf::{Elf, Source};
use crate::pages::PAGE;
use crate::tree::Tree;

/// The table of names is sorted, and these two are always first.
const START: &[u8] = b"\0[\0[[\0";
/// A full BusyBox has about 400 applets, in less than this many bytes.
const LONGEST_TABLE: usize = 6 * 1024;

/// The applets of the BusyBox whose file is `real`, sorted; none when the table is not found.
pub(crate) fn applets(tree: &Tree, real: &Path, buffer: &mut Buffer) -> Vec<String> {
    let Ok(fd) = tree.open(real) else {
        return Vec::new();
    };
    let file = tree.pages.file(fd);
    let source = tree.pages.source(&file);
    let mut page = [0; PAGE];
    let filled = source.read_at(&mut page, 0);
    let Some(elf) = Elf::parse(&page[..filled], &source) else {
        return Vec::new();
    };
    scan::each(&elf, &source, buffer, Span::Constants, LONGEST_TABLE, |window| {
        let start = window.find(START).next()? + 1;
        let end = (start + LONGEST_TABLE).min(window.text.len());
        Some(table(&window.text[start..end]))
    })
    .unwrap_or_default()
}

/// The names in a table: they are sorted, so the first that is out of order belongs to something else.
pub(crate) fn table(bytes: &[u8]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in bytes.split(|&byte| byte == 0) {
        let is_name = !name.is_empty() && name.len() < 32 && name.iter().all(u8::is_ascii_graphic);
        let Some(name) = std::str::from_utf8(name).ok().filter(|_| is_name) else {
            break;
        };
        if names.last().is_some_and(|last| last.as_str() >= name) {
            break;
        }
        names.push(name.to_owned());
    }
    names
}
