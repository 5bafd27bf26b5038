//! What lies between an action's output and everybody who may see it.

use std::borrow::Cow;
use std::sync::Arc;

use super::capture::INLINE_BYTES;
use crate::model::OutputFormat;
use crate::secrets::{MaskedStream, Masker};

/// One stream, without secrets. Where there are none to cover, it is passed on as it is.
#[derive(Debug)]
pub(super) struct Veil {
    stream: Option<MaskedStream>,
    original: Original,
}

/// What a structured output is read from: secrets are covered in what was read, so that it can be read at all, and so
/// that those which are kept encrypted are there to be encrypted.
enum Original {
    /// The output is text, or is not masked.
    Unneeded,
    Kept(Vec<u8>),
    /// It is longer than what memory is to hold; then what was masked has to do.
    TooLong,
}

impl Veil {
    /// A veil of any stream.
    pub(super) fn new(masker: Option<&Arc<Masker>>) -> Self {
        Self { stream: masker.cloned().map(MaskedStream::new), original: Original::Unneeded }
    }

    /// A veil of the stream that is read as `format`.
    pub(super) fn of_stdout(masker: Option<&Arc<Masker>>, format: OutputFormat) -> Self {
        let veil = Self::new(masker);
        if veil.stream.is_some() && format != OutputFormat::Text {
            return Self { original: Original::Kept(Vec::new()), ..veil };
        }
        veil
    }

    /// Takes what was printed next; returns what may be seen of it by now.
    pub(super) fn pass<'a>(&'a mut self, bytes: &'a [u8]) -> &'a [u8] {
        if let Original::Kept(kept) = &mut self.original {
            if kept.len() + bytes.len() <= INLINE_BYTES {
                kept.extend_from_slice(bytes);
            } else {
                self.original = Original::TooLong;
            }
        }
        match &mut self.stream {
            Some(stream) => stream.push(bytes),
            None => bytes,
        }
    }

    /// What was held back, once nothing more will come.
    pub(super) fn end(&mut self) -> &[u8] {
        self.stream.as_mut().map(MaskedStream::finish).unwrap_or_default()
    }

    /// All that was printed, where it is kept.
    pub(super) fn original(&self) -> Option<Cow<'_, str>> {
        match &self.original {
            Original::Kept(kept) => Some(String::from_utf8_lossy(kept)),
            Original::Unneeded | Original::TooLong => None,
        }
    }
}

impl std::fmt::Debug for Original {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[hidden]")
    }
}
