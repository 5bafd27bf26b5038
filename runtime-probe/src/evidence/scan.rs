//! Looking for a version among a program's constants.

use std::ops::Range;

use memchr::memmem;

use crate::catalogue::Span;
use crate::elf::{Elf, Source};
use crate::version::{LONGEST, Mark};

/// Large enough that system calls do not count, small enough to stay in the cache and to cost a new process
/// few page faults. Mapping the file instead costs more than it saves: a fault for every page of it.
const CHUNK: usize = 32 * 1024;
/// The first chunk is smaller: many versions are among the first constants.
const FIRST_CHUNK: usize = 16 * 1024;

/// The memory that all scans of one probe share.
#[derive(Debug, Default)]
pub(crate) struct Buffer(Vec<u8>);

impl Buffer {
    fn chunk(&mut self) -> &mut [u8] {
        self.0.resize(CHUNK, 0);
        &mut self.0
    }
}

const MEBIBYTE: u64 = 1024 * 1024;

/// The first version that one of `marks` shows, and which one it was.
pub(super) fn first(
    elf: &Elf,
    source: &impl Source,
    buffer: &mut Buffer,
    span: Span,
    marks: &[Mark],
) -> Option<(usize, String)> {
    let reach = marks.iter().map(Mark::reach).max()?;
    each(elf, source, buffer, span, reach, |window| {
        marks.iter().enumerate().find_map(|(index, mark)| {
            Some((index, mark.find_within(window.text, window.starts.clone())?.to_owned()))
        })
    })
}

/// The toolchain that a Go program says it was built with: for `go` itself, its own version.
pub(super) fn go_build_info(elf: &Elf, source: &impl Source, buffer: &mut Buffer) -> Option<String> {
    const MAGIC: &[u8] = b"\xff Go buildinf:";
    const LENGTH: usize = 96;
    each(elf, source, buffer, Span::Everything, LENGTH, |window| {
        let at = window.find(MAGIC).next()?;
        let info = &window.text[at + MAGIC.len()..(at + LENGTH).min(window.text.len())];
        Mark::after("go").find(info).map(str::to_owned)
    })
}

/// A piece of a file with some of what surrounds it.
pub(super) struct Window<'b> {
    pub(super) text: &'b [u8],
    /// Where an occurrence must start to count: every byte of the file is in just one window's range, with
    /// enough before and behind it to be judged.
    pub(super) starts: Range<usize>,
}

impl Window<'_> {
    /// Where `needle` is.
    pub(super) fn find<'n>(&'n self, needle: &'n [u8]) -> impl Iterator<Item = usize> + 'n {
        memmem::find_iter(self.text, needle).filter(|at| self.starts.contains(at))
    }
}

/// What may stand before an occurrence and belong to it: a version, and the byte before that.
const LEAD: usize = LONGEST + 1;

/// Shows every part of the file that may hold constants to `look`, piece by piece, until it finds what it
/// looks for. An occurrence needs at most `reach` bytes from its start on.
pub(super) fn each<T>(
    elf: &Elf,
    source: &impl Source,
    buffer: &mut Buffer,
    span: Span,
    reach: usize,
    mut look: impl FnMut(&Window<'_>) -> Option<T>,
) -> Option<T> {
    let mut parts = elf.constants(source);
    let mut left = match span {
        Span::Constants => 4 * MEBIBYTE,
        Span::Everything => {
            parts.extend(elf.writable());
            64 * MEBIBYTE
        }
    };
    let buffer = buffer.chunk();
    let overlap = (LEAD + reach).min(FIRST_CHUNK / 2);
    for Range { start, end } in parts {
        let mut at = start;
        while at < end && left > 0 {
            let size = if at == start { FIRST_CHUNK } else { CHUNK };
            let wanted = usize::try_from((end - at).min(left)).map_or(size, |wanted| wanted.min(size));
            let filled = source.read_at(&mut buffer[..wanted], at);
            let is_last = filled < size;
            let starts = Range {
                start: if at == start { 0 } else { LEAD },
                end: if is_last { filled } else { size - overlap + LEAD },
            };
            if let Some(found) = look(&Window { text: &buffer[..filled], starts }) {
                return Some(found);
            }
            if is_last {
                break;
            }
            left = left.saturating_sub(filled as u64);
            at += (size - overlap) as u64;
        }
    }
    None
}
