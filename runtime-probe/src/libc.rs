//! Which release of the C library a program would run with.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use memchr::memmem;

use crate::elf::Elf;

/// Headers and the loader's path are within this much of a program's start.
const HEAD: u64 = 64 << 10;

/// The largest C library that is looked through; real ones have two megabytes.
const LARGEST: u64 = 32 << 20;

/// What stands before the release in the library's own words: `GNU C Library (…) stable release version 2.36.`
const MARK: &[u8] = b" release version ";

/// The release of the GNU C library that `program` would run with here, such as `2.36`: the one beside the loader that
/// the program asks for. `None` for whatever needs another C library, or none, and where it cannot be told.
pub fn glibc_release(program: &Path) -> Option<String> {
    let mut head = Vec::new();
    File::open(program).ok()?.take(HEAD).read_to_end(&mut head).ok()?;
    let loader = Elf::parse(&head, &head.as_slice())?.interpreter?;
    let library = loader.canonicalize().ok()?.with_file_name("libc.so.6");
    let mut text = Vec::new();
    File::open(library).ok()?.take(LARGEST).read_to_end(&mut text).ok()?;
    release_in(&text)
}

fn release_in(library: &[u8]) -> Option<String> {
    let start = memmem::find(library, MARK)? + MARK.len();
    let digits = library[start..].iter().take(16).take_while(|byte| byte.is_ascii_digit() || **byte == b'.');
    let release: String = digits.map(|byte| char::from(*byte)).collect();
    let release = release.trim_end_matches('.');
    release.contains('.').then(|| release.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_librarys_own_words_are_understood() {
        let said = b"\0GNU C Library (Debian GLIBC 2.36-9) stable release version 2.36.\nCopyright";
        assert_eq!(release_in(said).as_deref(), Some("2.36"));
        assert_eq!(release_in(b" release version 2.40.9000."), Some("2.40.9000".to_owned()));
        assert_eq!(release_in(b" release version unknown"), None);
        assert_eq!(release_in(b""), None);
    }

    #[test]
    fn what_is_no_program_needs_no_library() {
        assert_eq!(glibc_release(Path::new("/etc/passwd")), None);
        assert_eq!(glibc_release(Path::new("/nonexistent")), None);
    }
}
