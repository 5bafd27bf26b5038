//! Files nobody meant to be read: no panic, and no more work than a file is worth.

mod support;

use proptest::prelude::*;
use runtime_probe::fuzzing;
use support::Elf;

fn sound() -> Vec<u8> {
    Elf::python(0x030c_01f0)
        .symbol("ruby_version", b"3.1.2\0")
        .needs("libpython3.12.so.1.0")
        .run_path("$ORIGIN/../lib")
        .text(b"PHP/8.2.29")
        .build()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..8192)) {
        fuzzing::program(&bytes);
        fuzzing::text(&bytes);
    }

    #[test]
    fn arbitrary_bytes_that_claim_to_be_elf(wide: bool, big: bool, mut bytes in proptest::collection::vec(any::<u8>(), 64..8192)) {
        bytes[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', 1 + u8::from(wide), 1 + u8::from(big)]);
        fuzzing::program(&bytes);
    }

    #[test]
    fn a_sound_file_with_some_bytes_changed(
        changes in proptest::collection::vec((0_usize..0x2100, prop_oneof![Just(0), Just(0xff), any::<u8>()]), 1..40),
        joined: bool,
    ) {
        let mut bytes = if joined { Elf { joined, ..Elf::new().text(b"PHP/8.2.29") }.build() } else { sound() };
        for (at, byte) in changes {
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
        }
        fuzzing::program(&bytes);
    }

    #[test]
    fn a_sound_file_cut_off(length in 0_usize..0x2100) {
        let bytes = sound();
        fuzzing::program(&bytes[..length.min(bytes.len())]);
    }

    #[test]
    fn text_of_versions_and_words(words in proptest::collection::vec("(Python |go|v|[0-9]{1,30}|\\.|-|rc|\n|\0|JAVA_VERSION=\"|\\[ |: |#)", 0..200)) {
        fuzzing::text(words.concat().as_bytes());
    }
}

#[test]
fn a_program_that_claims_to_be_huge_is_not_read_to_an_end_it_does_not_have() {
    let mut bytes = sound();
    // The size of the constants' segment: everything.
    let headers = 64;
    let constants = headers + 56;
    bytes[constants + 32..constants + 48].fill(0x7f);
    fuzzing::program(&bytes);
}
