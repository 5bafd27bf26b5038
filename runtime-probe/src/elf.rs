//! As much of the ELF format as a version needs: headers, the dynamic section, one symbol, the constants.
//!
//! Only program headers are used where possible: they are in the first page, section headers are at the
//! other end of the file and may be stripped. The input is hostile: every offset is checked, every count
//! is capped, and nothing is read that a caller did not bound.

mod code;
mod dynamic;

pub(crate) use dynamic::Dynamic;

use std::cell::OnceCell;
use std::ops::Range;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// Somewhere bytes can be read from at an offset.
pub(crate) trait Source {
    /// Fills the start of `buffer` and says how much of it; less than asked for is the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> usize;
}

impl Source for &[u8] {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> usize {
        let rest = usize::try_from(offset).ok().and_then(|offset| self.get(offset..)).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        count
    }
}

const MAGIC: &[u8] = b"\x7fELF";
const PT_LOAD: u64 = 1;
const PT_DYNAMIC: u64 = 2;
const PT_INTERP: u64 = 3;
const PF_X: u64 = 1;
const PF_W: u64 = 2;
/// No real program has more program headers than this.
const MOST_HEADERS: usize = 64;
const LONGEST_PATH: usize = 4096;

/// What the headers of an ELF file say.
#[derive(Debug)]
pub(crate) struct Elf {
    layout: Layout,
    machine: u16,
    /// The dynamic loader the program asks for; static programs and libraries have none.
    pub(crate) interpreter: Option<PathBuf>,
    loads: Vec<Load>,
    dynamic: Option<Range<u64>>,
    sections: Option<(u64, u16, u16, u16)>,
    /// The dynamic section, once it was read.
    section: OnceCell<Option<dynamic::Section>>,
}

/// Word size and byte order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Layout {
    wide: bool,
    big: bool,
}

impl Layout {
    /// The number in `bytes`, however many there are.
    fn number(self, bytes: &[u8]) -> u64 {
        let fold = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        if self.big { bytes.iter().fold(0, fold) } else { bytes.iter().rev().fold(0, fold) }
    }

    /// The number of `size` bytes at `at`.
    fn at(self, bytes: &[u8], at: usize, size: usize) -> Option<u64> {
        Some(self.number(bytes.get(at..at.checked_add(size)?)?))
    }

    const fn word(self) -> usize {
        if self.wide { 8 } else { 4 }
    }
}

#[derive(Debug, Clone, Copy)]
struct Load {
    flags: u64,
    offset: u64,
    address: u64,
    size: u64,
}

impl Elf {
    /// Reads the headers; `head` is the file's first page. `None` when it is no sound ELF file.
    pub(crate) fn parse(head: &[u8], source: &impl Source) -> Option<Self> {
        if !head.starts_with(MAGIC) {
            return None;
        }
        let layout = Layout {
            wide: match head.get(4)? {
                1 => false,
                2 => true,
                _ => return None,
            },
            big: match head.get(5)? {
                1 => false,
                2 => true,
                _ => return None,
            },
        };
        let machine = u16::try_from(layout.at(head, 18, 2)?).ok()?;
        let (phoff, phentsize, phnum) = if layout.wide { (32, 54, 56) } else { (28, 42, 44) };
        let table = layout.at(head, phoff, layout.word())?;
        let entry = usize::try_from(layout.at(head, phentsize, 2)?).ok()?;
        let count = usize::try_from(layout.at(head, phnum, 2)?).ok()?.min(MOST_HEADERS);
        if entry < if layout.wide { 56 } else { 32 } || entry > 256 {
            return None;
        }
        let mut elf = Self {
            layout,
            machine,
            interpreter: None,
            loads: Vec::with_capacity(6),
            dynamic: None,
            sections: section_table(layout, head),
            section: OnceCell::new(),
        };
        let mut own = Vec::new();
        let headers = slice(head, source, table, entry * count, &mut own)?;
        for header in headers.chunks_exact(entry) {
            elf.segment(header, head, source)?;
        }
        Some(elf)
    }

    fn segment(&mut self, header: &[u8], head: &[u8], source: &impl Source) -> Option<()> {
        let layout = self.layout;
        let word = layout.word();
        // The flags moved between the 32-bit and the 64-bit format.
        let (flags, offset, address, size) = if layout.wide { (4, 8, 16, 32) } else { (24, 4, 8, 16) };
        let offset = layout.at(header, offset, word)?;
        let size = layout.at(header, size, word)?;
        match layout.at(header, 0, 4)? {
            PT_LOAD => self.loads.push(Load {
                flags: layout.at(header, flags, 4)?,
                offset,
                address: layout.at(header, address, word)?,
                size,
            }),
            PT_DYNAMIC => self.dynamic = Some(offset..offset.checked_add(size)?),
            PT_INTERP => {
                let length = usize::try_from(size).ok().filter(|&length| length <= LONGEST_PATH)?;
                let mut own = Vec::new();
                let path = slice(head, source, offset, length, &mut own)?;
                let path = path.strip_suffix(b"\0").unwrap_or(path);
                self.interpreter = Some(PathBuf::from(std::ffi::OsString::from_vec(path.to_vec())));
            }
            _ => {}
        }
        Some(())
    }

    /// The architecture, as `uname -m` calls it.
    pub(crate) fn arch(&self) -> &'static str {
        let Layout { wide, big } = self.layout;
        match (self.machine, wide, big) {
            (62, true, _) => "x86_64",
            (62, false, _) => "x32",
            (3, ..) => "i686",
            (183, _, false) => "aarch64",
            (183, _, true) => "aarch64_be",
            (40, ..) => "armv7l",
            (21, _, false) => "ppc64le",
            (21, _, true) => "ppc64",
            (22, ..) => "s390x",
            (243, true, _) => "riscv64",
            (243, false, _) => "riscv32",
            (258, ..) => "loongarch64",
            (8, ..) => "mips",
            _ => "unknown",
        }
    }

    /// Where in the file the byte at a virtual address is.
    fn offset_of(&self, address: u64) -> Option<u64> {
        self.loads.iter().find_map(|load| {
            let within = address.checked_sub(load.address)?;
            (within < load.size).then(|| load.offset.checked_add(within))?
        })
    }

    /// The parts of the file that may hold constants, best first.
    ///
    /// The linker puts constants into a segment that is neither writable nor executable. Where it has
    /// only one such segment, at the start, that one holds them (lld); where it has none (GNU ld without
    /// separate code, usual on arm64), they share a segment with the code, and the section table knows where.
    pub(crate) fn constants(&self, source: &impl Source) -> Vec<Range<u64>> {
        let range = |load: &Load| load.offset..load.offset.saturating_add(load.size);
        let read_only = |load: &&Load| load.flags & (PF_W | PF_X) == 0;
        let mut parts: Vec<Range<u64>> =
            self.loads.iter().filter(read_only).filter(|load| load.offset > 0).map(range).collect();
        if parts.is_empty() {
            parts.extend(self.rodata(source));
        }
        if parts.is_empty() {
            parts.extend(self.loads.iter().filter(read_only).map(range));
        }
        if parts.is_empty() {
            parts.extend(self.loads.iter().filter(|load| load.flags & PF_W == 0).map(range));
        }
        parts
    }

    /// The parts of the file that are loaded as writable data.
    pub(crate) fn writable(&self) -> impl Iterator<Item = Range<u64>> {
        self.loads
            .iter()
            .filter(|load| load.flags & PF_W != 0)
            .map(|load| load.offset..load.offset.saturating_add(load.size))
    }

    /// The `.rodata` section, from the section table.
    fn rodata(&self, source: &impl Source) -> Option<Range<u64>> {
        let (table, entry, count, names) = self.sections?;
        let (entry, count) = (usize::from(entry), usize::from(count).min(128));
        let minimum = if self.layout.wide { 64 } else { 40 };
        if entry < minimum || entry > 256 {
            return None;
        }
        let mut headers = vec![0; entry * count];
        let filled = source.read_at(&mut headers, table);
        headers.truncate(filled);
        let field = |header: &[u8], wide: usize, narrow: usize| {
            self.layout.at(header, if self.layout.wide { wide } else { narrow }, self.layout.word())
        };
        let names = headers.chunks_exact(entry).nth(usize::from(names))?;
        let names = field(names, 24, 16)?;
        headers.chunks_exact(entry).find_map(|header| {
            let mut name = [0; 8];
            let at = names.checked_add(self.layout.at(header, 0, 4)?)?;
            source.read_at(&mut name, at);
            let (offset, size) = (field(header, 24, 16)?, field(header, 32, 20)?);
            (&name == b".rodata\0").then(|| offset..offset.saturating_add(size))
        })
    }
}

fn section_table(layout: Layout, head: &[u8]) -> Option<(u64, u16, u16, u16)> {
    let (shoff, rest) = if layout.wide { (40, 58) } else { (32, 46) };
    let half = |at| layout.at(head, at, 2).and_then(|value| u16::try_from(value).ok());
    Some((layout.at(head, shoff, layout.word())?, half(rest)?, half(rest + 2)?, half(rest + 4)?))
}

/// `length` bytes at `offset`: from the page that was already read, or else from the file.
fn slice<'b>(
    head: &'b [u8],
    source: &impl Source,
    offset: u64,
    length: usize,
    own: &'b mut Vec<u8>,
) -> Option<&'b [u8]> {
    let start = usize::try_from(offset).ok()?;
    if let Some(bytes) = head.get(start..start.checked_add(length)?) {
        return Some(bytes);
    }
    own.resize(length, 0);
    (source.read_at(own, offset) == length).then_some(own)
}
