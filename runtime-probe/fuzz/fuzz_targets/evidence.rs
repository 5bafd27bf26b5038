//! Arbitrary bytes as an ELF file, as a release file, as hints and as an answer.
//!
//! `cargo +nightly fuzz run evidence` in `runtime-probe/`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    runtime_probe::fuzzing::program(bytes);
    runtime_probe::fuzzing::text(bytes);
});
