//! The catalogue's names, sorted by the compiler: nothing is put together when a probe starts.

use std::ffi::CStr;

use super::{Slot, Wanted};
use crate::catalogue::{Runtime, TABLE, Versioned};

/// Programs have fewer names than this, so that a rank tells both program and name.
const NAMES_PER_PROGRAM: usize = 32;
/// The rank of a name that carries a version, behind the program's plain names.
const VERSIONED: usize = NAMES_PER_PROGRAM - 1;
/// No name of the catalogue is longer.
pub(super) const LONGEST: usize = 32;

const EXACT: usize = count(TABLE).0;
const FAMILIES: usize = count(TABLE).1;

/// Names, or families of them, by their first byte.
struct Sorted<T, const COUNT: usize> {
    /// Those that start with the byte `b` are from `starts[b]` to `starts[b + 1]`.
    starts: [usize; 257],
    entries: [(T, Slot); COUNT],
}

static NAMES: Sorted<&str, EXACT> = sorted_names();
static PREFIXES: Sorted<Versioned, FAMILIES> = sorted_families();

impl<T, const COUNT: usize> Sorted<T, COUNT> {
    fn from(&self, first: u8) -> &[(T, Slot)] {
        let first = usize::from(first);
        &self.entries[self.starts[first]..self.starts[first + 1]]
    }
}

/// Whether anything in the catalogue starts as `name` does.
pub(super) fn may_be(name: &[u8]) -> bool {
    name.first().is_some_and(|&first| !NAMES.from(first).is_empty() || !PREFIXES.from(first).is_empty())
}

/// What `name` means; exact names first.
pub(super) fn slot(name: &[u8]) -> Option<Slot> {
    let first = *name.first()?;
    let exact = NAMES.from(first).iter().find(|(exact, _)| exact.as_bytes() == name).map(|(_, slot)| *slot);
    exact.or_else(|| {
        PREFIXES.from(first).iter().find(|(family, _)| family.matches(name)).map(|(_, slot)| *slot)
    })
}

/// A name that can be looked up: `python`, or `python` and `3.12`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Known {
    prefix: &'static str,
    version: &'static str,
}

impl Known {
    /// The name as the system takes it.
    pub(super) fn write<'b>(&self, buffer: &'b mut [u8; LONGEST]) -> Option<&'b CStr> {
        let (prefix, version) = (self.prefix.as_bytes(), self.version.as_bytes());
        let length = prefix.len() + version.len();
        buffer.get_mut(..prefix.len())?.copy_from_slice(prefix);
        buffer.get_mut(prefix.len()..length)?.copy_from_slice(version);
        *buffer.get_mut(length)? = 0;
        CStr::from_bytes_with_nul(&buffer[..=length]).ok()
    }
}

/// Every name of the wanted runtimes that can be looked up.
pub(super) fn known(wanted: &Wanted) -> impl Iterator<Item = (Known, Slot)> {
    let runtimes = TABLE.iter().enumerate();
    let runtimes =
        runtimes.filter(|(runtime, _)| wanted.as_ref().is_none_or(|wanted| wanted.contains(runtime)));
    let programs = runtimes.flat_map(|(runtime, entry)| {
        entry.programs.iter().enumerate().map(move |(program, entry)| (runtime, program, entry))
    });
    programs.flat_map(|(runtime, program, entry)| {
        let names = entry.names.iter().enumerate();
        let names = names
            .map(move |(rank, name)| (Known { prefix: name, version: "" }, place(runtime, program, rank)));
        let families = entry.versioned.iter().flat_map(move |family| {
            family.known.iter().map(move |version| {
                (Known { prefix: family.prefix, version }, place(runtime, program, VERSIONED))
            })
        });
        names.chain(families)
    })
}

const fn place(runtime: usize, program: usize, rank: usize) -> Slot {
    Slot { runtime, program, rank: program * NAMES_PER_PROGRAM + rank }
}

/// How many names there are, and how many families.
const fn count(table: &[Runtime]) -> (usize, usize) {
    let (mut names, mut families) = (0, 0);
    let mut runtime = 0;
    while runtime < table.len() {
        let programs = table[runtime].programs;
        let mut program = 0;
        while program < programs.len() {
            names += programs[program].names.len();
            families += programs[program].versioned.len();
            program += 1;
        }
        runtime += 1;
    }
    (names, families)
}

const fn sorted_names() -> Sorted<&'static str, EXACT> {
    let mut sorted = Sorted { starts: [0; 257], entries: [("", place(0, 0, 0)); EXACT] };
    let (mut first, mut filled) = (0, 0);
    while first < 256 {
        let mut runtime = 0;
        while runtime < TABLE.len() {
            let programs = TABLE[runtime].programs;
            let mut program = 0;
            while program < programs.len() {
                let mut rank = 0;
                while rank < programs[program].names.len() {
                    let name = programs[program].names[rank];
                    if name.as_bytes()[0] as usize == first {
                        sorted.entries[filled] = (name, place(runtime, program, rank));
                        filled += 1;
                    }
                    rank += 1;
                }
                program += 1;
            }
            runtime += 1;
        }
        first += 1;
        sorted.starts[first] = filled;
    }
    sorted
}

const fn sorted_families() -> Sorted<Versioned, FAMILIES> {
    let mut sorted =
        Sorted { starts: [0; 257], entries: [(Versioned::new("", &[]), place(0, 0, 0)); FAMILIES] };
    let (mut first, mut filled) = (0, 0);
    while first < 256 {
        let mut runtime = 0;
        while runtime < TABLE.len() {
            let programs = TABLE[runtime].programs;
            let mut program = 0;
            while program < programs.len() {
                let mut family = 0;
                while family < programs[program].versioned.len() {
                    let versioned = programs[program].versioned[family];
                    if versioned.prefix.as_bytes()[0] as usize == first {
                        sorted.entries[filled] = (versioned, place(runtime, program, VERSIONED));
                        filled += 1;
                    }
                    family += 1;
                }
                program += 1;
            }
            runtime += 1;
        }
        first += 1;
        sorted.starts[first] = filled;
    }
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_name_means_what_it_was_listed_for() {
        let mut buffer = [0; LONGEST];
        for (known, listed) in known(&None) {
            let name = known.write(&mut buffer).expect("short enough, and no NUL in it").to_bytes();
            assert_eq!(slot(name), Some(listed), "{}", name.escape_ascii());
            assert!(may_be(name));
        }
        assert_eq!(known(&None).filter(|(known, _)| known.version.is_empty()).count(), EXACT);
    }

    #[test]
    fn names_that_nobody_has_mean_nothing() {
        for name in ["", "pythonx", "python3.12-config", "zshx", "0", "\u{ff}"] {
            assert_eq!(slot(name.as_bytes()), None, "{name}");
        }
    }

    #[test]
    fn only_what_is_wanted_is_looked_up() {
        let perl = slot(b"perl").expect("in the catalogue").runtime;
        let names: Vec<Known> = known(&Some(vec![perl])).map(|(known, _)| known).collect();
        assert_eq!(names, [Known { prefix: "perl", version: "" }]);
    }
}
