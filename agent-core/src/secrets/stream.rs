//! Covering secrets in a stream that comes in pieces, cut anywhere.

use std::sync::Arc;

use super::masker::{Masker, cover};

/// One stream on its way to where people see it. Of what it is given it holds back only an end with which a pattern may
/// begin: at most one byte less than the longest pattern has.
#[derive(Debug)]
pub struct MaskedStream {
    masker: Arc<Masker>,
    /// What was passed on last, then what is held back. Empty where nothing is.
    text: Vec<u8>,
    /// How much of `text` was passed on.
    passed: usize,
    /// How much of what is held back is covered already.
    covered: usize,
    /// Whether the last byte that was passed on is covered.
    covering: bool,
    masked: Vec<u8>,
}

impl MaskedStream {
    /// A stream of which nothing has come yet.
    pub fn new(masker: Arc<Masker>) -> Self {
        Self { masker, text: Vec::new(), passed: 0, covered: 0, covering: false, masked: Vec::new() }
    }

    /// Takes what came next; returns what may be seen by now. Without secrets in it, nothing is copied.
    pub fn push<'a>(&'a mut self, bytes: &'a [u8]) -> &'a [u8] {
        self.advance(bytes, false)
    }

    /// Returns what was held back: nothing more will come.
    pub fn finish(&mut self) -> &[u8] {
        self.advance(&[], true)
    }

    fn advance<'a>(&'a mut self, bytes: &'a [u8], last: bool) -> &'a [u8] {
        self.text.drain(..self.passed);
        self.passed = 0;
        let joined = !self.text.is_empty();
        if joined {
            self.text.extend_from_slice(bytes);
        }
        let text = if joined { self.text.as_slice() } else { bytes };
        let settled = if last { text.len() } else { self.masker.settled(text) };
        let mut spans = self.masker.spans(text, self.covered);
        // A span that begins in what is held back will be found again, together with what follows.
        spans.retain(|span| span.start < settled);
        let end = spans.last().map_or(self.covered, |span| span.end.max(self.covered));
        if let Some(crossing) = spans.last_mut() {
            crossing.end = crossing.end.min(settled);
        }
        let begun = self.covering;
        self.covered = end.saturating_sub(settled);
        if settled > 0 {
            self.covering = spans.last().is_some_and(|span| span.end == settled);
        }
        let clean = spans.is_empty();
        if !clean {
            self.masked.clear();
            cover(&text[..settled], &spans, begun, &mut self.masked);
        }
        if joined {
            self.passed = settled;
        } else {
            // Of what was not joined, only the end is kept.
            self.text.extend_from_slice(&bytes[settled..]);
        }
        match (clean, joined) {
            (false, _) => &self.masked,
            (true, true) => &self.text[..settled],
            (true, false) => &bytes[..settled],
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::secrets::{MASK, Patterns, SHORTEST};

    fn masker(patterns: &[&[u8]]) -> Arc<Masker> {
        Arc::new(Masker::new(patterns.iter().map(|pattern| (*pattern).into())).unwrap())
    }

    /// The text in pieces of these lengths, and what is left in a last one.
    fn in_pieces(masker: &Arc<Masker>, text: &[u8], lengths: &[usize]) -> Vec<u8> {
        let mut stream = MaskedStream::new(Arc::clone(masker));
        let (mut seen, mut rest) = (Vec::new(), text);
        for length in lengths.iter().chain([&text.len()]) {
            let (piece, after) = rest.split_at((*length).min(rest.len()));
            seen.extend_from_slice(stream.push(piece));
            rest = after;
        }
        seen.extend_from_slice(stream.finish());
        seen
    }

    /// The same by the definition: every byte of every occurrence is covered, and what is covered in a row is one mask.
    fn by_definition(patterns: &[Vec<u8>], text: &[u8]) -> Vec<u8> {
        let mut covered = vec![false; text.len()];
        for pattern in patterns {
            for start in 0..text.len() {
                if text[start..].starts_with(pattern) {
                    covered[start..start + pattern.len()].fill(true);
                }
            }
        }
        let mut masked = Vec::new();
        for (at, byte) in text.iter().enumerate() {
            if !covered[at] {
                masked.push(*byte);
            } else if at == 0 || !covered[at - 1] {
                masked.extend_from_slice(MASK.as_bytes());
            }
        }
        masked
    }

    #[test]
    fn occurrences_that_overlap_or_touch_are_covered_whole() {
        let masker = masker(&[b"abcdefgh1234", b"1234zzzzyyyy", b"abcdefgh"]);
        for (text, masked) in [
            ("abcdefgh1234zzzzyyyy.", "***."),
            ("abcdefgh123!", "***123!"),
            ("<abcdefghabcdefgh>", "<***>"),
            ("abcdefgh abcdefgh", "*** ***"),
            ("", ""),
        ] {
            assert_eq!(masker.mask(text.as_bytes()), masked.as_bytes(), "{text}");
            for length in 1..=text.len() {
                let pieces = in_pieces(&masker, text.as_bytes(), &vec![length; text.len()]);
                assert_eq!(pieces, masked.as_bytes(), "{text} in pieces of {length}");
            }
        }
    }

    #[test]
    fn nothing_is_held_back_that_cannot_be_a_secret() {
        let masker = masker(&[b"sesame-open"]);
        let mut stream = MaskedStream::new(masker);
        assert_eq!(stream.push(b"progress: 10 %\n"), b"progress: 10 %\n");
        assert_eq!(stream.push(b"open ses"), b"open ");
        assert_eq!(stream.push(b"ame"), b"");
        assert_eq!(stream.push(b"!\n"), b"sesame!\n");
        assert_eq!(stream.push(b"sesame-open"), b"***");
        assert_eq!(stream.push(b"sesame-ope"), b"");
        assert_eq!(stream.push(b"n done\n"), b" done\n");
        assert_eq!(stream.push(b"s"), b"");
        assert_eq!(stream.finish(), b"s");
    }

    /// Few different bytes, so that patterns overlap, repeat and begin with each other.
    fn narrow(length: std::ops::Range<usize>) -> impl Strategy<Value = Vec<u8>> {
        vec(prop_oneof![4 => Just(b'a'), 3 => Just(b'b'), 1 => Just(b'c')], length)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn whole_and_in_pieces_it_is_what_the_definition_says(
            patterns in vec(narrow(SHORTEST..20), 1..6),
            text in narrow(0..120),
            lengths in vec(0..12_usize, 0..40),
        ) {
            let masker = Arc::new(Masker::new(patterns.iter().map(|p| p.as_slice().into())).unwrap());
            let expected = by_definition(&patterns, &text);
            prop_assert_eq!(&*masker.mask(&text), &expected);
            prop_assert_eq!(in_pieces(&masker, &text, &lengths), expected);
        }

        #[test]
        fn no_chunking_reveals_a_secret_and_all_else_stays(
            secrets in vec("[ -~]{8,40}", 1..5),
            between in vec("[ -~é€\n]{0,30}", 1..5),
            lengths in vec(0..20_usize, 0..60),
        ) {
            let mut patterns = Patterns::default();
            let hidden: Vec<_> = secrets.iter().filter(|secret| patterns.add(secret).is_ok()).collect();
            prop_assume!(!hidden.is_empty());
            let masker = Arc::new(patterns.masker().unwrap());
            let text: String =
                between.iter().zip(secrets.iter().cycle()).flat_map(|(text, secret)| [text, secret]).cloned().collect();
            let seen = String::from_utf8(in_pieces(&masker, text.as_bytes(), &lengths)).unwrap();
            for secret in hidden {
                prop_assert!(!seen.contains(secret.trim()), "{} in {}", secret, seen);
            }
            prop_assert_eq!(masker.mask_text(&text), seen);
        }

        #[test]
        fn text_without_secrets_is_left_alone(text in "\\PC{0,200}", lengths in vec(0..20_usize, 0..40)) {
            let mut patterns = Patterns::default();
            patterns.add("correct-horse-battery-staple").unwrap();
            let masker = Arc::new(patterns.masker().unwrap());
            prop_assert_eq!(in_pieces(&masker, text.as_bytes(), &lengths), text.as_bytes());
        }

        #[test]
        fn what_is_held_back_is_shorter_than_the_longest_pattern(
            patterns in vec(narrow(SHORTEST..20), 1..4),
            pieces in vec(narrow(0..30), 0..20),
        ) {
            let longest = patterns.iter().map(Vec::len).max().unwrap();
            let mut stream =
                MaskedStream::new(Arc::new(Masker::new(patterns.iter().map(|p| p.as_slice().into())).unwrap()));
            for piece in pieces {
                stream.push(&piece);
                prop_assert!(stream.text.len() - stream.passed < longest);
            }
        }
    }
}
