//! What a stream printed, kept within bounds: its head and its tail, and how much lay between.
//!
//! Memory holds at most [`INLINE_BYTES`] a stream, whatever is printed and however; the live log file holds up to the
//! configured limit. Nothing is ever dropped silently.

use std::collections::VecDeque;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::artifacts::{LiveLog, WrittenLog};
use crate::model::{Stream, StreamReport};

/// How much of a stream goes into `execution.result`, which the control plane indexes: more is slow for everybody.
pub(super) const INLINE_BYTES: usize = 1 << 20;

/// How much of the end is kept where not everything can be.
const TAIL_BYTES: usize = 64 << 10;

/// Bytes that are not text are added exactly, in base64, up to this many.
const BASE64_BYTES: usize = 64 << 10;

/// One stream of one execution.
#[derive(Debug)]
pub(super) struct Capture {
    limit: usize,
    total: u64,
    head: Vec<u8>,
    tail: VecDeque<u8>,
    log: LiveLog,
}

/// How many bytes of the beginning, and how many of the end, fit into a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Split {
    head: usize,
    tail: usize,
}

impl Split {
    const fn of(limit: usize) -> Self {
        let tail = if limit / 2 < TAIL_BYTES { limit / 2 } else { TAIL_BYTES };
        Self { head: limit - tail, tail }
    }

    /// How many of `total` bytes fall between head and tail.
    fn dropped(self, total: u64) -> u64 {
        total.saturating_sub((self.head + self.tail) as u64)
    }
}

impl Capture {
    /// Captures a stream, keeping up to `limit` bytes of it in `log`.
    pub(super) fn new(limit: usize, log: LiveLog) -> Self {
        Self { limit, total: 0, head: Vec::new(), tail: VecDeque::new(), log }
    }

    /// Captures a stream in memory alone, instead of in `log`.
    pub(super) fn in_memory(limit: usize, log: LiveLog) -> Self {
        Self::new(limit.min(INLINE_BYTES), log.withheld())
    }

    /// Takes what was printed next.
    pub(super) async fn take(&mut self, bytes: &[u8]) {
        let before = self.total;
        self.total += bytes.len() as u64;
        let log_head = remaining(Split::of(self.limit).head, before);
        self.log.write(&bytes[..bytes.len().min(log_head)]).await;
        let inline = self.inline();
        let (head, rest) = bytes.split_at(bytes.len().min(remaining(inline.head, before)));
        self.head.extend_from_slice(head);
        self.keep_tail(rest, inline.tail);
    }

    fn inline(&self) -> Split {
        Split::of(self.limit.min(INLINE_BYTES))
    }

    fn keep_tail(&mut self, bytes: &[u8], capacity: usize) {
        let bytes = &bytes[bytes.len().saturating_sub(capacity)..];
        let excess = (self.tail.len() + bytes.len()).saturating_sub(capacity);
        self.tail.drain(..excess);
        self.tail.extend(bytes);
    }

    /// Completes the log and makes the report.
    pub(super) async fn finish(mut self) -> (StreamReport, Option<WrittenLog>) {
        let kept = Split::of(self.limit);
        // What goes into the file after its head is the end of what the tail holds.
        let after_head = self.total.saturating_sub(kept.head as u64);
        if after_head > 0 && kept.head as u64 <= self.total {
            let dropped = kept.dropped(self.total);
            let mut end =
                if dropped > 0 { notice(self.log.stream(), dropped).into_bytes() } else { Vec::new() };
            let wanted =
                usize::try_from(after_head).unwrap_or(usize::MAX).min(kept.tail).min(self.tail.len());
            end.extend(self.tail.iter().skip(self.tail.len() - wanted));
            self.log.write(&end).await;
        }
        let Self { limit, total, head, tail, log } = self;
        let stream = log.stream();
        let written = log.finish().await;
        (report(stream, Split::of(limit.min(INLINE_BYTES)), total, head, &Vec::from(tail)), written)
    }

    /// All of the stream, where it is within the limit: what a structured output is read from. `log` is where it was
    /// written to.
    ///
    /// # Errors
    /// A sentence, where not all of it was kept.
    pub(super) async fn whole(
        report: &StreamReport,
        log: Option<&WrittenLog>,
        total: u64,
        limit: usize,
    ) -> Result<String, String> {
        if report.dropped == 0 {
            return Ok(report.text.clone());
        }
        match log {
            Some(log) if total <= limit as u64 => tokio::fs::read(&log.path)
                .await
                .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
                .map_err(|error| format!("stdout could not be read back from its log: {error}")),
            _ => Err(format!(
                "stdout has {total} bytes, more than the {limit} that are kept, and was not parsed"
            )),
        }
    }

    /// Bytes printed so far.
    pub(super) const fn total(&self) -> u64 {
        self.total
    }

    /// Bytes that are kept in the log, or in memory where there is to be none.
    pub(super) const fn limit(&self) -> usize {
        self.limit
    }
}

fn report(stream: Stream, kept: Split, total: u64, head: Vec<u8>, tail: &[u8]) -> StreamReport {
    let dropped = kept.dropped(total);
    if dropped == 0 {
        let mut bytes = head;
        bytes.extend_from_slice(tail);
        return match String::from_utf8(bytes) {
            Ok(text) => StreamReport { text, base64: None, dropped, log: None },
            Err(error) => StreamReport {
                text: String::from_utf8_lossy(error.as_bytes()).into_owned(),
                base64: (error.as_bytes().len() <= BASE64_BYTES).then(|| STANDARD.encode(error.as_bytes())),
                dropped,
                log: None,
            },
        };
    }
    // A character that was cut in two belongs to what was dropped.
    let head = without_cut_end(&head);
    let tail = without_cut_start(tail);
    let dropped = total - (head.len() + tail.len()) as u64;
    let mut text = String::from_utf8_lossy(head).into_owned();
    text.push_str(&notice(stream, dropped));
    text.push_str(&String::from_utf8_lossy(tail));
    StreamReport { text, base64: None, dropped, log: None }
}

/// What is left of `budget` after `used` bytes.
fn remaining(budget: usize, used: u64) -> usize {
    budget.saturating_sub(usize::try_from(used).unwrap_or(usize::MAX))
}

fn notice(stream: Stream, dropped: u64) -> String {
    format!("\n\n[OUTPUT TRUNCATED: {dropped} bytes of {stream} left out]\n\n")
}

fn without_cut_end(bytes: &[u8]) -> &[u8] {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => &bytes[..error.valid_up_to()],
        _ => bytes,
    }
}

fn without_cut_start(bytes: &[u8]) -> &[u8] {
    let continuation = bytes.iter().take(3).take_while(|byte| **byte & 0b1100_0000 == 0b1000_0000).count();
    &bytes[continuation..]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::artifacts::Artifacts;
    use crate::model::ExecutionId;

    fn capture(limit: usize, chunks: &[&[u8]]) -> (StreamReport, Option<Vec<u8>>) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let directory = tempfile::tempdir().unwrap();
        runtime.block_on(async {
            let artifacts = Artifacts::local(directory.path().to_owned());
            let mut capture = Capture::new(limit, artifacts.live_log(ExecutionId(7), Stream::Stdout));
            for chunk in chunks {
                capture.take(chunk).await;
            }
            let (report, written) = capture.finish().await;
            let log = written.map(|written| std::fs::read(written.path).unwrap());
            (report, log)
        })
    }

    #[test]
    fn silence_makes_no_file() {
        let (report, log) = capture(100, &[]);
        assert_eq!((report.text.as_str(), report.dropped, log), ("", 0, None));
    }

    #[test]
    fn what_fits_is_whole() {
        let (report, log) = capture(10, &[b"01234", b"56789"]);
        assert_eq!((report.text.as_str(), report.dropped), ("0123456789", 0));
        assert_eq!(log.unwrap(), b"0123456789");
    }

    #[test]
    fn what_does_not_fit_keeps_head_and_tail_and_says_so() {
        let (report, log) = capture(10, &[b"abcdefgh", b"ijklmnopqrstuvwxyz"]);
        assert_eq!(report.dropped, 16);
        assert_eq!(report.text, "abcde\n\n[OUTPUT TRUNCATED: 16 bytes of stdout left out]\n\nvwxyz");
        assert_eq!(log.unwrap(), report.text.as_bytes());
    }

    #[test]
    fn a_character_cut_in_two_is_dropped_whole() {
        let (report, _) = capture(8, &["aaa€bbbbbbbbb€ccc".as_bytes()]);
        assert!(!report.text.contains('\u{fffd}'), "{}", report.text);
    }

    #[test]
    fn bytes_that_are_not_text_are_kept_exactly() {
        let (report, _) = capture(100, &[b"a\xff\0b"]);
        assert_eq!(report.text, "a\u{fffd}\0b");
        assert_eq!(STANDARD.decode(report.base64.unwrap()).unwrap(), b"a\xff\0b");
        let (text, _) = capture(100, &[b"a\0b"]);
        assert_eq!((text.text.as_str(), text.base64), ("a\0b", None));
    }

    proptest! {
        #[test]
        fn chunks_do_not_matter(
            bytes in proptest::collection::vec(b'a'..=b'z', 0..400),
            cuts in proptest::collection::vec(1..50usize, 0..40),
            limit in 2..300usize,
        ) {
            let whole = capture(limit, &[&bytes]);
            let mut rest = bytes.as_slice();
            let mut chunks = Vec::new();
            for cut in cuts {
                let (chunk, after) = rest.split_at(cut.min(rest.len()));
                chunks.push(chunk);
                rest = after;
            }
            chunks.push(rest);
            let chunked = capture(limit, &chunks);
            prop_assert_eq!(&whole.0.text, &chunked.0.text);
            prop_assert_eq!(whole.1, chunked.1);
            let kept = if whole.0.dropped == 0 { bytes.len() } else { limit };
            prop_assert_eq!(whole.0.dropped, (bytes.len() - kept) as u64);
        }
    }
}
