//! Just enough of an ELF file's head to tell whether any container can run it. Little-endian and of 64 bits, as both
//! architectures are.

/// What matters about a program.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Elf {
    /// It names a dynamic loader.
    pub(crate) has_interpreter: bool,
    /// It may be loaded anywhere.
    pub(crate) is_position_independent: bool,
    /// It still has its table of symbols.
    pub(crate) has_symbols: bool,
}

const MAGIC: &[u8] = b"\x7fELF\x02\x01";
const ET_DYN: u16 = 3;
const PT_INTERP: u32 = 3;
const SHT_SYMTAB: u32 = 2;

impl Elf {
    /// `None` where `bytes` are something else, or end too early.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        if !bytes.starts_with(MAGIC) {
            return None;
        }
        let segments =
            Table { offset: long(bytes, 0x20)?, each: short(bytes, 0x36)?, count: short(bytes, 0x38)? };
        let sections =
            Table { offset: long(bytes, 0x28)?, each: short(bytes, 0x3a)?, count: short(bytes, 0x3c)? };
        Some(Self {
            has_interpreter: segments.words(bytes, 0)?.contains(&PT_INTERP),
            is_position_independent: short(bytes, 0x10)? == ET_DYN,
            has_symbols: sections.words(bytes, 4)?.contains(&SHT_SYMTAB),
        })
    }
}

/// A table of headers.
struct Table {
    offset: u64,
    each: u16,
    count: u16,
}

impl Table {
    /// The word at `within` of each header.
    fn words(&self, bytes: &[u8], within: u64) -> Option<Vec<u32>> {
        let at = |index| self.offset + u64::from(index) * u64::from(self.each) + within;
        (0..self.count).map(|index| word(bytes, at(index))).collect()
    }
}

fn array<const N: usize>(bytes: &[u8], at: u64) -> Option<[u8; N]> {
    bytes.get(usize::try_from(at).ok()?..)?.first_chunk().copied()
}

fn short(bytes: &[u8], at: u64) -> Option<u16> {
    array(bytes, at).map(u16::from_le_bytes)
}

fn word(bytes: &[u8], at: u64) -> Option<u32> {
    array(bytes, at).map(u32::from_le_bytes)
}

fn long(bytes: &[u8], at: u64) -> Option<u64> {
    array(bytes, at).map(u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_of_this_machine_needs_its_loader() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let elf = Elf::parse(&own).unwrap();
        assert!(elf.has_interpreter && elf.is_position_independent && elf.has_symbols, "{elf:?}");
    }

    #[test]
    fn what_is_cut_off_is_no_program() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        for bytes in [&b"#!/bin/sh"[..], &own[..0x30], &own[..0x80]] {
            assert_eq!(Elf::parse(bytes), None);
        }
    }
}
