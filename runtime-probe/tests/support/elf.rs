//! An ELF file as small as a version needs: headers, a dynamic section, one segment of constants.

/// What to build. Addresses equal file offsets, which the format allows and keeps this readable.
#[derive(Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is one way in which ELF files differ")]
pub struct Elf {
    pub machine: u16,
    pub wide: bool,
    pub big: bool,
    pub interpreter: Option<String>,
    pub needed: Vec<String>,
    pub run_path: Option<String>,
    /// Exported data.
    pub symbols: Vec<(String, Vec<u8>)>,
    /// What the segment of constants holds, before the symbols' data.
    pub constants: Vec<u8>,
    /// Use the older hash table.
    pub classic_hash: bool,
    /// Put the constants into a segment with the code, as on arm64, and name them in a section.
    pub joined: bool,
}

const X86_64: u16 = 62;
pub const AARCH64: u16 = 183;
pub const S390X: u16 = 22;
pub const ARM: u16 = 40;
const CONSTANTS_AT: usize = 0x2000;

impl Elf {
    /// A program for x86-64 and glibc.
    pub fn new() -> Self {
        Self {
            machine: X86_64,
            wide: true,
            big: false,
            interpreter: Some(super::GLIBC.to_owned()),
            needed: Vec::new(),
            run_path: None,
            symbols: Vec::new(),
            constants: Vec::new(),
            classic_hash: false,
            joined: false,
        }
    }

    /// A shared library.
    pub fn library() -> Self {
        Self { interpreter: None, ..Self::new() }
    }

    /// A static program.
    pub fn fixed() -> Self {
        Self::library()
    }

    pub fn text(mut self, text: &[u8]) -> Self {
        self.constants.extend_from_slice(b"\0filler\0");
        self.constants.extend_from_slice(text);
        self.constants.push(0);
        self
    }

    pub fn symbol(mut self, name: &str, data: &[u8]) -> Self {
        self.symbols.push((name.to_owned(), data.to_vec()));
        self
    }

    pub fn needs(mut self, library: &str) -> Self {
        self.needed.push(library.to_owned());
        self
    }

    pub fn run_path(mut self, path: &str) -> Self {
        self.run_path = Some(path.to_owned());
        self
    }

    pub fn loader(mut self, path: &str) -> Self {
        self.interpreter = Some(path.to_owned());
        self
    }

    pub fn machine(mut self, machine: u16, wide: bool, big: bool) -> Self {
        (self.machine, self.wide, self.big) = (machine, wide, big);
        self
    }

    /// CPython 3.11 or later: the version as it exports it.
    pub fn python(hex: u32) -> Self {
        Self::new().symbol("Py_Version", &u64::from(hex).to_le_bytes())
    }

    fn number(&self, value: usize, size: usize) -> Vec<u8> {
        let bytes = (value as u64).to_le_bytes();
        let mut bytes = bytes[..size].to_vec();
        if self.big {
            bytes.reverse();
        }
        bytes
    }

    fn word(&self, value: usize) -> Vec<u8> {
        self.number(value, if self.wide { 8 } else { 4 })
    }

    /// The file.
    pub fn build(&self) -> Vec<u8> {
        let mut strings = vec![0_u8];
        let mut intern = |text: &str| {
            let at = strings.len();
            strings.extend_from_slice(text.as_bytes());
            strings.push(0);
            at
        };
        let needed: Vec<usize> = self.needed.iter().map(|name| intern(name)).collect();
        let run_path = self.run_path.as_deref().map(&mut intern);
        let names: Vec<usize> = self.symbols.iter().map(|(name, _)| intern(name)).collect();

        let mut constants = self.constants.clone();
        let mut symbols = self.symbol_entry(0, 0, 0, 0);
        for ((_, data), name) in self.symbols.iter().zip(names) {
            constants.resize(constants.len().next_multiple_of(8), 0);
            symbols.extend(self.symbol_entry(name, CONSTANTS_AT + constants.len(), data.len(), 1));
            constants.extend_from_slice(data);
        }

        let mut file = vec![0; 0x200];
        let place = |file: &mut Vec<u8>, bytes: &[u8]| {
            file.resize(file.len().next_multiple_of(8), 0);
            let at = file.len();
            file.extend_from_slice(bytes);
            at
        };
        let interpreter = self
            .interpreter
            .as_ref()
            .map(|path| (place(&mut file, format!("{path}\0").as_bytes()), path.len() + 1));
        let strings_at = place(&mut file, &strings);
        let symbols_at = place(&mut file, &symbols);
        let hash_at = place(&mut file, &if self.classic_hash { self.classic() } else { self.gnu() });
        let mut dynamic = Vec::new();
        let mut entry =
            |tag: usize, value: usize| dynamic.extend([self.word(tag), self.word(value)].concat());
        for name in needed {
            entry(1, name);
        }
        if let Some(path) = run_path {
            entry(29, path);
        }
        entry(5, strings_at);
        entry(6, symbols_at);
        entry(if self.classic_hash { 4 } else { 0x6fff_fef5 }, hash_at);
        entry(0, 0);
        let dynamic_at = place(&mut file, &dynamic);
        assert!(file.len() <= CONSTANTS_AT, "the fixture's headers are too long");
        file.resize(CONSTANTS_AT, 0);
        file.extend_from_slice(&constants);

        let end = CONSTANTS_AT + constants.len();
        let code = 5;
        let mut segments = if self.joined {
            vec![(1, code, 0, end)]
        } else {
            vec![(1, code, 0, CONSTANTS_AT), (1, 4, CONSTANTS_AT, constants.len())]
        };
        segments.push((2, 6, dynamic_at, dynamic.len()));
        segments.extend(interpreter.map(|(at, length)| (3, 4, at, length)));
        let sections = if self.joined { self.sections(&mut file, constants.len()) } else { (0, 0) };
        self.headers(&mut file, &segments, sections);
        file
    }

    fn symbol_entry(&self, name: usize, value: usize, size: usize, section: usize) -> Vec<u8> {
        let (name, section) = (self.number(name, 4), self.number(section, 2));
        let (value, size) = (self.word(value), self.word(size));
        if self.wide {
            [name, vec![0x11, 0], section, value, size].concat()
        } else {
            [name, value, size, vec![0x11, 0], section].concat()
        }
    }

    /// One bucket, and a filter that lets everything through.
    fn gnu(&self) -> Vec<u8> {
        let mut table = [self.number(1, 4), self.number(1, 4), self.number(1, 4), self.number(6, 4)].concat();
        table.extend(self.word(usize::MAX));
        table.extend(self.number(usize::from(!self.symbols.is_empty()), 4));
        for (index, (name, _)) in self.symbols.iter().enumerate() {
            let hash =
                name.bytes().fold(5381_u32, |hash, byte| hash.wrapping_mul(33).wrapping_add(byte.into()));
            let last = u32::from(index + 1 == self.symbols.len());
            table.extend(self.number((hash & !1 | last) as usize, 4));
        }
        table
    }

    /// One bucket whose chain runs through all symbols.
    fn classic(&self) -> Vec<u8> {
        let count = self.symbols.len();
        let mut table = [self.number(1, 4), self.number(count + 1, 4)].concat();
        table.extend(self.number(usize::from(count > 0), 4));
        table.extend(self.number(0, 4));
        for index in 1..=count {
            table.extend(self.number(if index == count { 0 } else { index + 1 }, 4));
        }
        table
    }

    /// A section table with nothing but `.rodata`, and its offset and count.
    fn sections(&self, file: &mut Vec<u8>, length: usize) -> (usize, usize) {
        let names_at = file.len();
        file.extend_from_slice(b"\0.rodata\0");
        file.resize(file.len().next_multiple_of(8), 0);
        let at = file.len();
        for (name, offset, length) in [(0, 0, 0), (1, CONSTANTS_AT, length), (0, names_at, 9)] {
            let zero = || self.word(0);
            file.extend(
                [
                    self.number(name, 4),
                    self.number(1, 4),
                    zero(),
                    zero(),
                    self.word(offset),
                    self.word(length),
                ]
                .concat(),
            );
            file.extend([self.number(0, 4), self.number(0, 4), zero(), zero()].concat());
        }
        (at, 3)
    }

    fn headers(&self, file: &mut [u8], segments: &[(usize, usize, usize, usize)], sections: (usize, usize)) {
        let mut header = b"\x7fELF".to_vec();
        header.extend([1 + u8::from(self.wide), 1 + u8::from(self.big), 1, 0]);
        header.resize(16, 0);
        let (size, entry, section) = if self.wide { (64, 56, 64) } else { (52, 32, 40) };
        header.extend([self.number(3, 2), self.number(self.machine.into(), 2), self.number(1, 4)].concat());
        header.extend([self.word(0), self.word(size), self.word(sections.0), self.number(0, 4)].concat());
        for half in [size, entry, segments.len(), section, sections.1, sections.1.saturating_sub(1)] {
            header.extend(self.number(half, 2));
        }
        for &(kind, flags, offset, length) in segments {
            let (kind, flags) = (self.number(kind, 4), self.number(flags, 4));
            let [offset, length, align] = [offset, length, 8].map(|value| self.word(value));
            let places = [offset.clone(), offset.clone(), offset, length.clone(), length];
            header.extend(if self.wide {
                [kind, flags, places.concat(), align].concat()
            } else {
                [kind, places.concat(), flags, align].concat()
            });
        }
        file[..header.len()].copy_from_slice(&header);
    }
}
