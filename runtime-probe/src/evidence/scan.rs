//! Looking for a version among a program's constants.

use std::ops::Range;

use crate::catalogue::Span;
use crate::elf::{Elf, Source};
use crate::version::Mark;

/// Large enough that system calls do not count, small enough to stay in the cache. Mapping the file
/// instead costs more than it saves: a fault for every page.
const CHUNK: usize = 64 * 1024;
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
    let overlap = marks.iter().map(Mark::span).max()?;
    each(elf, source, buffer, span, overlap, |chunk| {
        marks.iter().enumerate().find_map(|(index, mark)| Some((index, mark.find(chunk)?.to_owned())))
    })
}

/// The toolchain that a Go program says it was built with: for `go` itself, its own version.
pub(super) fn go_build_info(elf: &Elf, source: &impl Source, buffer: &mut Buffer) -> Option<String> {
    const MAGIC: &[u8] = b"\xff Go buildinf:";
    each(elf, source, buffer, Span::Everything, 128, |chunk| {
        let at = memchr::memmem::find(chunk, MAGIC)?;
        let info = chunk.get(at..(at + 96).min(chunk.len()))?;
        Mark::after("go").find(&info[MAGIC.len()..]).map(str::to_owned)
    })
}

/// Shows every part of the file that may hold constants to `look`, in chunks that overlap, until it finds
/// what it looks for.
pub(super) fn each<T>(
    elf: &Elf,
    source: &impl Source,
    buffer: &mut Buffer,
    span: Span,
    overlap: usize,
    mut look: impl FnMut(&[u8]) -> Option<T>,
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
    for Range { mut start, end } in parts {
        while start < end && left > 0 {
            let wanted = usize::try_from((end - start).min(left)).map_or(CHUNK, |wanted| wanted.min(CHUNK));
            let filled = source.read_at(&mut buffer[..wanted], start);
            if let Some(found) = look(&buffer[..filled]) {
                return Some(found);
            }
            if filled < CHUNK {
                break;
            }
            left = left.saturating_sub(filled as u64);
            start += (CHUNK - overlap.min(CHUNK / 2)) as u64;
        }
    }
    None
}
