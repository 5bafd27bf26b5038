//! What a version looks like, and how to find one between other bytes.
//!
//! Every reader of this crate, of a program's memory image, of a file beside it, or of what it
//! printed, ends here: a [`Mark`] says which text stands next to the version, and one grammar says
//! how far the version reaches. There is no regular expression: compiling one costs as much as
//! reading five interpreters.

use std::ops::Range;

use memchr::memmem;

/// Where a version stands in a piece of text.
///
/// ```
/// use runtime_probe::version::Mark;
///
/// const BASH: Mark = Mark::after("@(#)Bash version ").then("(");
/// assert_eq!(BASH.find(b"...\0@(#)Bash version 5.2.15(1) release GNU\0"), Some("5.2.15"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The version follows (or, with [`Mark::before`], precedes) this text.
    text: &'static str,
    /// What must stand on the far side of the version; empty for "anything".
    then: &'static str,
    /// How many dotted numbers the version must at least have.
    parts: u8,
    side: Side,
    /// Reject an occurrence that follows this byte: it belongs to a longer word.
    unless_after: Option<u8>,
    /// Of several occurrences take the greatest version instead of the first.
    greatest: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    /// The version starts where the text ends.
    After,
    /// The version ends where the text starts.
    Before,
    /// The text is the first thing there is, and the version follows it.
    Start,
}

impl Mark {
    /// The version comes right after `text`.
    pub const fn after(text: &'static str) -> Self {
        Self { text, then: "", parts: 2, side: Side::After, unless_after: None, greatest: false }
    }

    /// The version ends right before `text`. Nothing but a non-version byte may precede it.
    pub const fn before(text: &'static str) -> Self {
        Self { side: Side::Before, ..Self::after(text) }
    }

    /// The version is the first thing there is.
    pub const fn start() -> Self {
        Self::starts_with("")
    }

    /// `text` is the first thing there is, and the version comes right after it.
    pub const fn starts_with(text: &'static str) -> Self {
        Self { side: Side::Start, ..Self::after(text) }
    }

    /// The text that the version stands next to.
    pub const fn text(&self) -> &'static str {
        self.text
    }

    /// `then` must follow the version.
    #[must_use]
    pub const fn then(self, then: &'static str) -> Self {
        Self { then, ..self }
    }

    /// The version has at least `parts` numbers.
    #[must_use]
    pub const fn parts(self, parts: u8) -> Self {
        Self { parts, ..self }
    }

    /// An occurrence right after `byte` does not count.
    #[must_use]
    pub const fn unless_after(self, byte: u8) -> Self {
        Self { unless_after: Some(byte), ..self }
    }

    /// Take the greatest of several versions, not the first.
    #[must_use]
    pub const fn greatest(self) -> Self {
        Self { greatest: true, ..self }
    }

    /// How many bytes from its start on an occurrence can need.
    pub(crate) const fn reach(&self) -> usize {
        self.text.len() + self.then.len() + LONGEST + 1
    }

    /// The version in `text`, if it is there.
    pub fn find<'t>(&self, text: &'t [u8]) -> Option<&'t str> {
        self.find_within(text, 0..text.len())
    }

    /// [`Mark::find`] for a text that starts and ends in `starts`: what surrounds that is context.
    pub(crate) fn find_within<'t>(&self, text: &'t [u8], starts: Range<usize>) -> Option<&'t str> {
        match self.side {
            Side::Start if text.starts_with(self.text.as_bytes()) => self.at(text, self.text.len()),
            Side::Start => None,
            Side::After | Side::Before if self.greatest => {
                self.occurrences(text, starts).max_by(|left, right| compare(left, right))
            }
            Side::After | Side::Before => self.occurrences(text, starts).next(),
        }
    }

    fn occurrences<'t>(&self, text: &'t [u8], starts: Range<usize>) -> impl Iterator<Item = &'t str> {
        let mark = *self;
        let places = memmem::find_iter(text, mark.text.as_bytes());
        places.skip_while(move |at| *at < starts.start).take_while(move |at| *at < starts.end).filter_map(
            move |at| match mark.side {
                Side::Before => mark.until(text, at),
                Side::After | Side::Start => {
                    let previous = at.checked_sub(1).map(|previous| text[previous]);
                    let is_longer_word = mark.unless_after.is_some() && previous == mark.unless_after;
                    if is_longer_word { None } else { mark.at(text, at + mark.text.len()) }
                }
            },
        )
    }

    fn at<'t>(&self, text: &'t [u8], start: usize) -> Option<&'t str> {
        let version = read(text.get(start..)?)?;
        let rest = &text[start + version.len()..];
        (rest.starts_with(self.then.as_bytes()) && self.is_long_enough(version)).then_some(version)
    }

    fn until<'t>(&self, text: &'t [u8], end: usize) -> Option<&'t str> {
        let floor = end.saturating_sub(LONGEST);
        let start = text[floor..end]
            .iter()
            .rposition(|&byte| !is_version_byte(byte))
            .map_or(floor, |last| floor + last + 1);
        let version = read(&text[start..end])?;
        (version.len() == end - start && self.is_long_enough(version)).then_some(version)
    }

    fn is_long_enough(&self, version: &str) -> bool {
        numbers(version).count() >= usize::from(self.parts)
    }
}

/// No version is longer than this; a run of digits that is longer is something else.
pub(crate) const LONGEST: usize = 40;

/// What may follow the numbers and still belong to the version: a release that is not one yet.
const STAGES: &[&str] =
    &["alpha", "beta", "rc", "preview", "pre", "dev", "nightly", "canary", "rolling", "ea", "a", "b", "c"];

const fn is_version_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_')
}

/// The version that `text` starts with: numbers separated by dots, then at most one update number
/// (`1.8.0_392`) and one stage (`3.13.0rc1`, `2.1.0-beta3`, `1.18.0-rc.0`).
///
/// ```
/// assert_eq!(runtime_probe::version::read(b"5.2.15(1)-release"), Some("5.2.15"));
/// assert_eq!(runtime_probe::version::read(b"3.1.2p20 (2022-04-12)"), Some("3.1.2"));
/// assert_eq!(runtime_probe::version::read(b"1.8.0_392-b08"), Some("1.8.0_392"));
/// assert_eq!(runtime_probe::version::read(b"2.1.0-beta3"), Some("2.1.0-beta3"));
/// ```
pub fn read(text: &[u8]) -> Option<&str> {
    let text = &text[..text.len().min(LONGEST + 1)];
    let mut end = digits(text, 0)?;
    while text.get(end) == Some(&b'.') {
        match digits(text, end + 1) {
            Some(next) => end = next,
            None => break,
        }
    }
    if text.get(end) == Some(&b'_') {
        end = digits(text, end + 1).unwrap_or(end);
    } else {
        end = stage(text, end);
    }
    if end > LONGEST {
        return None;
    }
    std::str::from_utf8(&text[..end]).ok()
}

fn digits(text: &[u8], start: usize) -> Option<usize> {
    let count = text.get(start..)?.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (count > 0).then_some(start + count)
}

/// Where the stage that may start at `start` ends; `start` when there is none.
fn stage(text: &[u8], start: usize) -> usize {
    let word = match text.get(start) {
        Some(b'-' | b'.') => start + 1,
        Some(byte) if byte.is_ascii_alphabetic() => start,
        _ => return start,
    };
    let letters = text[word..].iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    let name = &text[word..word + letters];
    if !STAGES.iter().any(|stage| stage.as_bytes().eq_ignore_ascii_case(name)) {
        return start;
    }
    let mut end = word + letters;
    if let Some(next) = digits(text, end) {
        end = next;
    } else if matches!(text.get(end), Some(b'.' | b'-')) {
        end = digits(text, end + 1).unwrap_or(end);
    }
    // A lone letter is a stage only between numbers: `9.0b2`, but neither `8.6a` nor `1.8-b08`.
    let is_lone = letters == 1 && (word > start || end == word + letters);
    if is_lone { start } else { end }
}

/// The numbers of a version, without its stage.
pub fn numbers(version: &str) -> impl Iterator<Item = u64> {
    let end = version.find(|c: char| !matches!(c, '0'..='9' | '.' | '_')).unwrap_or(version.len());
    version[..end]
        .split(['.', '_'])
        .filter(|part| !part.is_empty())
        .map(|part| part.parse().unwrap_or(u64::MAX))
}

/// Orders two versions by their numbers; a release comes after its own release candidates.
///
/// ```
/// use std::cmp::Ordering;
/// use runtime_probe::version::compare;
/// assert_eq!(compare("3.9.18", "3.12.1"), Ordering::Less);
/// assert_eq!(compare("3.13.0rc1", "3.13.0"), Ordering::Less);
/// ```
pub fn compare(left: &str, right: &str) -> std::cmp::Ordering {
    let is_release = |version: &str| !version.bytes().any(|byte| byte.is_ascii_alphabetic());
    numbers(left)
        .cmp(numbers(right))
        .then_with(|| is_release(left).cmp(&is_release(right)))
        .then_with(|| left.cmp(right))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grammar_stops_where_the_version_stops() {
        for (text, version) in [
            ("3.11.2", Some("3.11.2")),
            ("3.13.0rc1\0", Some("3.13.0rc1")),
            ("3.13.0a4+", Some("3.13.0a4")),
            ("17.0.16+8-Debian", Some("17.0.16")),
            ("1.18.0-rc.0", Some("1.18.0-rc.0")),
            ("8.3.0RC1", Some("8.3.0RC1")),
            ("2.1.0-beta3 -- Copyright", Some("2.1.0-beta3")),
            ("20.19.2.tar.gz", Some("20.19.2")),
            ("2.9.6Deno/2.9.6", Some("2.9.6")),
            ("5.2.15(1)-release", Some("5.2.15")),
            ("9.0b2", Some("9.0b2")),
            ("8.6a", Some("8.6")),
            ("1.8.0_392-b08", Some("1.8.0_392")),
            ("25.392-b08", Some("25.392")),
            ("v1", None),
            ("", None),
            (".1", None),
            ("1.", Some("1")),
            ("11111111111111111111111111111111111111111111111111", None),
        ] {
            assert_eq!(read(text.as_bytes()), version, "{text}");
        }
    }

    #[test]
    fn marks_reject_decoys() {
        let deno = Mark::after("Deno/").parts(3).unless_after(b'-');
        assert_eq!(deno.find(b"OTel-OTLP-Exporter-Deno/0.80.0 Deno/2.9.6Deno/2.9.6+ab"), Some("2.9.6"));
        let node = Mark::after("/node-v").parts(3).then(".tar");
        assert_eq!(node.find(b"/node-v0.x-archive /node-v20.19.2.tar.gz"), Some("20.19.2"));
        let zsh = Mark::before("\0zsh %s (%s-%s-%s)");
        assert_eq!(zsh.find(b"x86_64\0deb\x005.9\0zsh %s (%s-%s-%s)\n"), Some("5.9"));
        assert_eq!(zsh.find(b"no5.9\0zsh %s (%s-%s-%s)\n"), None);
    }

    #[test]
    fn the_greatest_of_several() {
        let dotnet = Mark::after("Microsoft.NETCore.App ").parts(3).greatest();
        let text = b"Microsoft.NETCore.App 10.0.1 [/d]\nMicrosoft.NETCore.App 8.0.4 [/d]\n";
        assert_eq!(dotnet.find(text), Some("10.0.1"));
    }
}
