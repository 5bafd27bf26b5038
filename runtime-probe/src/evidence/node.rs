//! Node.js: the record that its native interface hands out.

use crate::elf::{Dynamic, Elf, Source};

/// The function that returns a pointer to the record.
pub(super) const FUNCTION: &str = "napi_get_node_version";

/// The version that [`FUNCTION`] returns: three numbers, and the address of the word `node`, by which the record is
/// told from anything else. In position-independent programs that address is not in the file, and nothing is found.
pub(super) fn returned(elf: &Elf, source: &impl Source) -> Option<String> {
    let dynamic = Dynamic::read(elf, source)?;
    dynamic.constants_of::<24>(FUNCTION).find_map(|(record, filled)| {
        let number = |at: usize| u32::from_le_bytes(record[at..at + 4].try_into().expect("four bytes"));
        let (low, high) = (u64::from(number(16)), u64::from(number(20)));
        let is_record = filled == record.len() && dynamic.holds(high << 32 | low, b"node\0");
        is_record.then(|| format!("{}.{}.{}", number(0), number(4), number(8)))
    })
}
