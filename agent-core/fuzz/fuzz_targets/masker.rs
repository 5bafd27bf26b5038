//! Arbitrary secrets, text and cuts: what is seen is the same however the text is cut, and holds none of the secrets.
//!
//! `cargo +nightly fuzz run masker` in `agent-core/`.

#![no_main]

use std::sync::Arc;

use agent_core::secrets::{MaskedStream, Patterns};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (Vec<String>, Vec<u8>, Vec<u8>)| {
    let (secrets, mut text, cuts) = input;
    let mut patterns = Patterns::default();
    let covered: Vec<_> = secrets.iter().filter(|secret| patterns.add(secret).is_ok()).collect();
    // A fuzzer rarely hits upon a secret in the text by itself.
    for (number, secret) in covered.iter().enumerate() {
        let at = cuts.get(number).map_or(0, |cut| usize::from(*cut) % (text.len() + 1));
        text.splice(at..at, secret.bytes());
    }
    let Some(masker) = patterns.masker().map(Arc::new) else { return };
    let whole = masker.mask(&text);
    let mut stream = MaskedStream::new(Arc::clone(&masker));
    let (mut seen, mut rest) = (Vec::new(), text.as_slice());
    for cut in cuts {
        let (piece, after) = rest.split_at(usize::from(cut).min(rest.len()));
        seen.extend_from_slice(stream.push(piece));
        rest = after;
    }
    seen.extend_from_slice(stream.push(rest));
    seen.extend_from_slice(stream.finish());
    assert_eq!(seen, &*whole);
    for secret in covered.iter().map(|secret| secret.trim().as_bytes()) {
        // A mask may complete what looks like a secret, where that holds one itself.
        let mask_alike = secret.contains(&b'*');
        assert!(mask_alike || !seen.windows(secret.len()).any(|window| window == secret));
    }
});
