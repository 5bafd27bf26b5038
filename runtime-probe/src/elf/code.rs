//! What a function refers to.
//!
//! CPython before 3.11 and Node.js export no version, but a function that returns one. The constant that this
//! function names is better evidence than any constant that looks like a version, and it is found without looking
//! through megabytes. Only x86-64 is read; elsewhere, and where a compiler did something else, the constants are
//! searched.

use super::{Dynamic, Source};

/// A function that returns a constant is shorter.
const LONGEST: usize = 256;
const EM_X86_64: u16 = 62;

/// The addresses that the code at `address` may refer to. Instructions are not told from their operands, so some
/// are none: what stands there decides.
fn references(code: &[u8], address: u64) -> impl Iterator<Item = u64> {
    code.windows(7).enumerate().filter_map(move |(at, bytes)| {
        let operand = |bytes: &[u8]| i32::from_le_bytes(bytes.try_into().expect("four bytes"));
        match *bytes {
            // lea register, [rip + operand], seven bytes long
            [0x48 | 0x4c, 0x8d, form, ..] if form & 0xc7 == 0x05 => {
                let next = address.checked_add(at as u64 + 7)?;
                next.checked_add_signed(i64::from(operand(&bytes[3..])))
            }
            // mov [register], operand
            [0x48, 0xc7, form, ..] if form < 8 => u64::try_from(operand(&bytes[3..])).ok(),
            // mov register, operand
            [0xb8..=0xbf, ..] => u64::try_from(operand(&bytes[1..5])).ok(),
            _ => None,
        }
    })
}

impl<S: Source> Dynamic<'_, S> {
    /// What the function `name` refers to, `length` bytes of each.
    pub(crate) fn constants_of<const LENGTH: usize>(
        &self,
        name: &str,
    ) -> impl Iterator<Item = ([u8; LENGTH], usize)> {
        let mut code = [0; LONGEST];
        let found = self.code(name, &mut code);
        let targets: Vec<u64> =
            found.map(|(address, filled)| references(&code[..filled], address).collect()).unwrap_or_default();
        targets.into_iter().filter_map(|target| {
            let mut bytes = [0; LENGTH];
            let filled = self.source.read_at(&mut bytes, self.elf.offset_of(target)?);
            Some((bytes, filled))
        })
    }

    fn code(&self, name: &str, code: &mut [u8; LONGEST]) -> Option<(u64, usize)> {
        if self.elf.machine != EM_X86_64 || !self.elf.layout.wide || self.elf.layout.big {
            return None;
        }
        let (address, size) = self.find(name)?;
        let size = usize::try_from(size).ok().filter(|size| *size <= LONGEST)?;
        let filled = self.source.read_at(&mut code[..size], self.elf.offset_of(address)?);
        Some((address, filled))
    }

    /// The bytes at an address, if the file has them all.
    pub(crate) fn holds(&self, address: u64, text: &[u8]) -> bool {
        let mut bytes = [0; 16];
        let Some((offset, bytes)) = self.elf.offset_of(address).zip(bytes.get_mut(..text.len())) else {
            return false;
        };
        self.source.read_at(bytes, offset) == text.len() && bytes == text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_of_position_independent_and_fixed_code() {
        let lea = [0x90, 0x48, 0x8d, 0x15, 0x10, 0, 0, 0];
        assert_eq!(references(&lea, 0x1000).collect::<Vec<_>>(), [0x1018]);
        let backwards = [0x4c, 0x8d, 0x0d, 0xf9, 0xff, 0xff, 0xff];
        assert_eq!(references(&backwards, 0x1000).collect::<Vec<_>>(), [0x1000]);
        let stored = [0x48, 0xc7, 0x06, 0x70, 0x3d, 0x62, 0x02];
        assert_eq!(references(&stored, 0x1000).collect::<Vec<_>>(), [0x0262_3d70]);
        let loaded = [0xba, 0x70, 0x3d, 0x62, 0x02, 0xc3, 0x90];
        assert_eq!(references(&loaded, 0x1000).collect::<Vec<_>>(), [0x0262_3d70]);
        assert_eq!(references(&[0xc3; 64], u64::MAX).count(), 0);
    }
}
