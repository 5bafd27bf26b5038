//! Covering secrets in text that people will see.
//!
//! Every byte that belongs to an occurrence of a pattern is covered, where occurrences overlap too; what lies between
//! two uncovered bytes becomes one [`MASK`]. So the result does not depend on which occurrence is found first, and a
//! longer secret is never left half visible by a shorter one inside it.
//!
//! **How it searches.** All patterns are at least [`SHORTEST`] bytes long. Of every pattern, each block of four bytes
//! within its first bytes is entered in a filter; the text is then looked at once in as many bytes as there are such
//! blocks in a pattern, because any occurrence has to hold one of them at one of these places. The lookups do not depend on
//! each other, so the processor makes several at a time; an automaton takes one step a byte, each after the other.
//! Where the filter says yes, the patterns that have this block are compared in full.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde_json::Value;

/// What stands in the place of a secret.
pub const MASK: &str = "***";

/// Shorter values are not looked for: they occur by accident in anything.
pub const SHORTEST: usize = 8;

/// Bytes that are looked up at once.
const BLOCK: usize = 4;

/// How many of a pattern's first bytes are entered in the filter. More would fill it and gain little.
const WINDOW: usize = 16;

/// Looks for a fixed set of patterns.
pub struct Masker {
    /// In order.
    patterns: Vec<Box<[u8]>>,
    longest: usize,
    /// From one look at the text to the next.
    stride: usize,
    filter: Filter,
    /// Every block within every pattern's first bytes, in order.
    places: Vec<Place>,
}

/// A block, and where in a pattern it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    block: u32,
    /// How many bytes before the block the pattern begins. Larger ones first: then occurrences are found in the order
    /// of their beginnings.
    before: std::cmp::Reverse<u8>,
    pattern: u32,
}

/// Which blocks there are; sometimes says yes of one that there is not.
struct Filter {
    bits: Box<[u64]>,
    shift: u32,
}

impl Filter {
    /// Room for so many blocks, so that it is wrong once in thirty times or less: 16 KiB for a few patterns, so that it
    /// stays in the processor's nearest cache.
    fn with_room(blocks: usize) -> Self {
        let bits = (blocks * 32).next_power_of_two().clamp(1 << 17, 1 << 22);
        Self { bits: vec![0; bits / 64].into(), shift: 32 - bits.trailing_zeros() }
    }

    const fn place(&self, block: u32) -> (usize, u32) {
        let hash = block.wrapping_mul(0x9E37_79B1) >> self.shift;
        ((hash / 64) as usize, hash % 64)
    }

    fn add(&mut self, block: u32) {
        let (word, bit) = self.place(block);
        self.bits[word] |= 1 << bit;
    }

    fn may_hold(&self, block: u32) -> bool {
        let (word, bit) = self.place(block);
        self.bits[word] >> bit & 1 == 1
    }
}

fn block_at(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().map(|block| u32::from_le_bytes(*block))
}

impl Masker {
    /// A masker of these patterns; `None` where there are none. Patterns shorter than [`SHORTEST`] are left out.
    pub(super) fn new(patterns: impl IntoIterator<Item = Box<[u8]>>) -> Option<Self> {
        let mut patterns: Vec<_> = patterns.into_iter().filter(|pattern| pattern.len() >= SHORTEST).collect();
        patterns.sort_unstable();
        patterns.dedup();
        let shortest = patterns.iter().map(|pattern| pattern.len()).min()?;
        let longest = patterns.iter().map(|pattern| pattern.len()).max()?;
        let stride = shortest.min(WINDOW) - BLOCK + 1;
        let mut filter = Filter::with_room(patterns.len() * stride);
        let mut places = Vec::with_capacity(patterns.len() * stride);
        for (number, pattern) in (0..).zip(&patterns) {
            for (before, block) in (0..).zip(pattern.windows(BLOCK).take(stride)) {
                let Some(block) = block_at(block) else { continue };
                filter.add(block);
                places.push(Place { block, before: std::cmp::Reverse(before), pattern: number });
            }
        }
        places.sort_unstable();
        Some(Self { patterns, longest, stride, filter, places })
    }

    /// The text without what must not be seen.
    pub fn mask<'t>(&self, text: &'t [u8]) -> Cow<'t, [u8]> {
        let spans = self.spans(text, 0);
        if spans.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut masked = Vec::with_capacity(text.len());
        cover(text, &spans, false, &mut masked);
        Cow::Owned(masked)
    }

    /// The text without what must not be seen.
    pub fn mask_text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        match self.mask(text.as_bytes()) {
            Cow::Borrowed(_) => Cow::Borrowed(text),
            // Patterns are whole characters, or pure ASCII, so what is left between them is text.
            Cow::Owned(masked) => Cow::Owned(
                String::from_utf8(masked)
                    .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()),
            ),
        }
    }

    /// Masks every text in `value`, names included, and every number that is a secret in decimals. What it is made of
    /// stays as it is.
    pub fn mask_json(&self, value: &mut Value) {
        match value {
            Value::String(text) => {
                if let Cow::Owned(masked) = self.mask_text(text) {
                    *text = masked;
                }
            }
            Value::Number(number) => {
                if let Cow::Owned(masked) = self.mask_text(&number.to_string()) {
                    *value = Value::String(masked);
                }
            }
            Value::Array(values) => values.iter_mut().for_each(|value| self.mask_json(value)),
            Value::Object(values) => {
                if values.keys().any(|name| matches!(self.mask_text(name), Cow::Owned(_))) {
                    *values = std::mem::take(values)
                        .into_iter()
                        .map(|(name, value)| (self.mask_text(&name).into_owned(), value))
                        .collect();
                }
                values.values_mut().for_each(|value| self.mask_json(value));
            }
            Value::Null | Value::Bool(_) => {}
        }
    }

    /// What is to be covered, in order, apart from each other; the first `covered` bytes are, whatever they hold.
    pub(super) fn spans(&self, text: &[u8], covered: usize) -> Vec<Range<usize>> {
        let mut spans = Vec::new();
        if covered > 0 {
            spans.push(0..covered);
        }
        // A block is never longer than the stride, so it lies within its chunk; but for the last, which may be cut.
        for (number, chunk) in text.chunks(self.stride).enumerate() {
            if let Some(block) = block_at(chunk)
                && self.filter.may_hold(block)
            {
                self.compare(text, number * self.stride, block, &mut spans);
            }
        }
        spans
    }

    /// Compares the patterns that have `block` with the text in which it is at `at`.
    #[cold]
    fn compare(&self, text: &[u8], at: usize, block: u32, spans: &mut Vec<Range<usize>>) {
        let first = self.places.partition_point(|place| place.block < block);
        for place in self.places[first..].iter().take_while(|place| place.block == block) {
            let Some(start) = at.checked_sub(place.before.0.into()) else { continue };
            let pattern = &self.patterns[place.pattern as usize];
            if !text[start..].starts_with(pattern) {
                continue;
            }
            let end = start + pattern.len();
            match spans.last_mut() {
                Some(last) if start <= last.end => last.end = last.end.max(end),
                _ => spans.push(start..end),
            }
        }
    }

    /// Where the first pattern may begin of which the text does not hold the end.
    pub(super) fn settled(&self, text: &[u8]) -> usize {
        let first = text.len().saturating_sub(self.longest - 1);
        (first..text.len()).find(|start| self.may_begin(&text[*start..])).unwrap_or(text.len())
    }

    /// Whether a pattern begins with `rest`, and goes on.
    fn may_begin(&self, rest: &[u8]) -> bool {
        if block_at(rest).is_some_and(|block| !self.filter.may_hold(block)) {
            return false;
        }
        let next = self.patterns.partition_point(|pattern| **pattern <= *rest);
        self.patterns.get(next).is_some_and(|pattern| pattern.starts_with(rest))
    }
}

/// Appends `text` to `masked` with the spans covered; the first needs no mask of its own where it goes on with one that
/// was `begun` before.
pub(super) fn cover(text: &[u8], spans: &[Range<usize>], begun: bool, masked: &mut Vec<u8>) {
    let mut shown = 0;
    for span in spans {
        masked.extend_from_slice(&text[shown..span.start]);
        if span.start > 0 || !begun {
            masked.extend_from_slice(MASK.as_bytes());
        }
        shown = span.end;
    }
    masked.extend_from_slice(&text[shown..]);
}

impl fmt::Debug for Masker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Masker of {} patterns", self.patterns.len())
    }
}
