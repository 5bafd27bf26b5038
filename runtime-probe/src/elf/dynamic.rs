//! The dynamic section: which libraries a program needs, and which data it exports.

use super::{Elf, Layout, Source};

const DT_NEEDED: u64 = 1;
const DT_HASH: u64 = 4;
const DT_STRTAB: u64 = 5;
const DT_SYMTAB: u64 = 6;
const DT_RPATH: u64 = 15;
const DT_RUNPATH: u64 = 29;
const DT_GNU_HASH: u64 = 0x6fff_fef5;
/// Larger dynamic sections are not read to their end.
const LARGEST: u64 = 8 * 1024;
/// As much of one as is read at once: most end within it.
const PIECE: usize = 512;
const MOST_NEEDED: usize = 128;
/// A hash chain that is longer belongs to no real symbol table.
const LONGEST_CHAIN: u64 = 256;

/// What the dynamic section of one file says. Addresses are already offsets.
#[derive(Debug)]
pub(super) struct Section {
    needed: Vec<u64>,
    run_path: Option<u64>,
    strings: u64,
    symbols: Option<u64>,
    gnu_hash: Option<u64>,
    hash: Option<u64>,
}

impl Section {
    fn read(elf: &Elf, source: &impl Source) -> Option<Self> {
        let range = elf.dynamic.clone()?;
        let layout = elf.layout;
        let mut section = Self {
            needed: Vec::new(),
            run_path: None,
            strings: 0,
            symbols: None,
            gnu_hash: None,
            hash: None,
        };
        let mut buffer = [0; PIECE];
        let end = range.end.min(range.start.saturating_add(LARGEST));
        let mut at = range.start;
        'section: while at < end {
            let wanted = usize::try_from(end - at).map_or(PIECE, |left| left.min(PIECE));
            let filled = source.read_at(&mut buffer[..wanted], at);
            for entry in buffer[..filled].chunks_exact(2 * layout.word()) {
                let (tag, value) = entry.split_at(layout.word());
                let (tag, value) = (layout.number(tag), layout.number(value));
                match tag {
                    0 => break 'section,
                    DT_NEEDED if section.needed.len() < MOST_NEEDED => section.needed.push(value),
                    DT_RPATH if section.run_path.is_none() => section.run_path = Some(value),
                    DT_RUNPATH => section.run_path = Some(value),
                    DT_STRTAB => section.strings = elf.offset_of(value)?,
                    DT_SYMTAB => section.symbols = elf.offset_of(value),
                    DT_GNU_HASH => section.gnu_hash = elf.offset_of(value),
                    DT_HASH => section.hash = elf.offset_of(value),
                    _ => {}
                }
            }
            if filled < PIECE {
                break;
            }
            at += PIECE as u64;
        }
        (section.strings != 0).then_some(section)
    }
}

/// The dynamic section of a file, and the file.
#[derive(Debug)]
pub(crate) struct Dynamic<'e, S> {
    pub(super) elf: &'e Elf,
    pub(super) source: &'e S,
    section: &'e Section,
}

impl<'e, S: Source> Dynamic<'e, S> {
    /// Reads the dynamic section, if the file has one and it was not read before.
    pub(crate) fn read(elf: &'e Elf, source: &'e S) -> Option<Self> {
        let section = elf.section.get_or_init(|| Section::read(elf, source)).as_ref()?;
        Some(Self { elf, source, section })
    }

    /// The names of the libraries it needs.
    pub(crate) fn needed(&self) -> impl Iterator<Item = String> {
        self.section.needed.iter().filter_map(|&at| self.string(at))
    }

    /// The first needed library whose name starts with `prefix`.
    pub(crate) fn needs(&self, prefix: &str) -> Option<String> {
        self.needed().find(|name| name.starts_with(prefix))
    }

    /// Where the program says its libraries are, as it is written.
    pub(crate) fn run_path(&self) -> Option<String> {
        self.string(self.section.run_path?)
    }

    fn string(&self, at: u64) -> Option<String> {
        let at = self.section.strings.checked_add(at)?;
        let mut buffer = [0; 256];
        let filled = self.source.read_at(&mut buffer, at);
        let end = memchr::memchr(0, &buffer[..filled])?;
        std::str::from_utf8(&buffer[..end]).ok().map(str::to_owned)
    }

    /// The first bytes of the data that the symbol `name` stands for, into `buffer`.
    pub(crate) fn data<'b>(&self, name: &str, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
        let (address, size) = self.find(name)?;
        let wanted = usize::try_from(size).map_or(buffer.len(), |size| size.min(buffer.len()));
        let offset = self.elf.offset_of(address)?;
        let filled = self.source.read_at(&mut buffer[..wanted], offset);
        Some(&buffer[..filled])
    }

    /// Address and size of what the symbol `name` stands for.
    pub(super) fn find(&self, name: &str) -> Option<(u64, u64)> {
        match self.section.gnu_hash {
            Some(table) => self.find_gnu(table, name),
            None => self.find_classic(self.section.hash?, name),
        }
    }

    /// The number that the symbol `name` stands for.
    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        let mut buffer = [0; 8];
        let layout = self.layout();
        let data = self.data(name, &mut buffer)?;
        (!data.is_empty()).then(|| layout.number(data))
    }

    const fn layout(&self) -> Layout {
        self.elf.layout
    }

    fn u32_at(&self, offset: u64) -> Option<u64> {
        let mut word = [0; 4];
        (self.source.read_at(&mut word, offset) == 4).then(|| self.layout().number(&word))
    }

    /// A look-up as the loader does it: a filter, a bucket, a short chain.
    fn find_gnu(&self, table: u64, name: &str) -> Option<(u64, u64)> {
        let layout = self.layout();
        let mut header = [0; 16];
        if self.source.read_at(&mut header, table) != 16 {
            return None;
        }
        let field = |index: usize| layout.number(&header[4 * index..4 * index + 4]);
        let (buckets, first, filters, shift) = (field(0), field(1), field(2), field(3));
        let hash = gnu_hash(name);
        let word = layout.word() as u64;
        let bits = word * 8;
        if buckets == 0 || filters == 0 || shift >= 32 {
            return None;
        }
        let mut filter = [0; 8];
        let filter = &mut filter[..layout.word()];
        let at = table.checked_add(16 + (hash / bits % filters) * word)?;
        if self.source.read_at(filter, at) != filter.len() {
            return None;
        }
        let filter = layout.number(filter);
        if filter >> (hash % bits) & filter >> ((hash >> shift) % bits) & 1 == 0 {
            return None;
        }
        let bucket_table = table.checked_add(16)?.checked_add(filters.checked_mul(word)?)?;
        let chain_table = bucket_table.checked_add(buckets.checked_mul(4)?)?;
        let start = self.u32_at(bucket_table.checked_add(hash % buckets * 4)?)?;
        let chain = chain_table.checked_add(start.checked_sub(first)?.checked_mul(4)?)?;
        for index in 0..LONGEST_CHAIN {
            let stored = self.u32_at(chain.checked_add(4 * index)?)?;
            if stored | 1 == hash | 1
                && let Some(found) = self.symbol(start + index, name)
            {
                return Some(found);
            }
            if stored & 1 == 1 {
                return None;
            }
        }
        None
    }

    /// The older hash table, which some musl distributions still use alone.
    fn find_classic(&self, table: u64, name: &str) -> Option<(u64, u64)> {
        let buckets = self.u32_at(table)?;
        if buckets == 0 {
            return None;
        }
        let bucket = table.checked_add(8)?.checked_add(classic_hash(name) % buckets * 4)?;
        let chains = table.checked_add(8)?.checked_add(buckets * 4)?;
        let mut index = self.u32_at(bucket)?;
        for _ in 0..LONGEST_CHAIN {
            if index == 0 {
                return None;
            }
            if let Some(found) = self.symbol(index, name) {
                return Some(found);
            }
            index = self.u32_at(chains.checked_add(index * 4)?)?;
        }
        None
    }

    /// Address and size of the symbol at `index`, if it is `name` and defined here.
    fn symbol(&self, index: u64, name: &str) -> Option<(u64, u64)> {
        let layout = self.layout();
        let (entry, section, value, size) = if layout.wide { (24, 6, 8, 16) } else { (16, 14, 4, 8) };
        let mut symbol = [0; 24];
        let symbol = &mut symbol[..entry];
        let at = self.section.symbols?.checked_add(index.checked_mul(entry as u64)?)?;
        if self.source.read_at(symbol, at) != entry {
            return None;
        }
        if layout.at(symbol, section, 2)? == 0 {
            return None; // wanted here, defined elsewhere
        }
        let mut stored = [0; 64];
        let stored = stored.get_mut(..=name.len())?;
        let text = self.section.strings.checked_add(layout.at(symbol, 0, 4)?)?;
        let same = self.source.read_at(stored, text) == stored.len()
            && stored.split_last() == Some((&0, name.as_bytes()));
        let word = layout.word();
        same.then_some((layout.at(symbol, value, word)?, layout.at(symbol, size, word)?))
    }
}

fn gnu_hash(name: &str) -> u64 {
    u64::from(name.bytes().fold(5381_u32, |hash, byte| hash.wrapping_mul(33).wrapping_add(u32::from(byte))))
}

fn classic_hash(name: &str) -> u64 {
    let hash = name.bytes().fold(0_u32, |hash, byte| {
        let hash = (hash << 4).wrapping_add(u32::from(byte));
        let high = hash & 0xf000_0000;
        (hash ^ high >> 24) & !high
    });
    u64::from(hash)
}
