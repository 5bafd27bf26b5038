//! Credentials, and the files they stand in.

use std::io::Read;
use std::path::Path;

use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind, Result};

/// A file that is larger holds no credential.
const FILE_LIMIT: u64 = 64 << 10;

/// Text that must not be seen: it has no way to be printed, and its memory is overwritten when it is dropped.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// The text, for whoever has to use it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[hidden]")
    }
}

/// The credential in the file `path`, which the setting at `place` names, without white space around it.
pub(super) fn read_file(path: &Path, place: &str) -> Result<(String, String)> {
    let wrong = |message: String| {
        Error::new(ErrorKind::Invalid, format!("{place} names {}, which {message}", path.display()))
            .hint("it names a file that holds the value and nothing else, and that this user may read")
    };
    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(FILE_LIMIT + 1).read_to_string(&mut text))
        .map_err(|error| wrong("cannot be read".to_owned()).because(error))?;
    if text.len() as u64 > FILE_LIMIT {
        return Err(wrong(format!("has more than {FILE_LIMIT} bytes")));
    }
    if text.trim().is_empty() {
        return Err(wrong("is empty".to_owned()));
    }
    Ok((text.trim().to_owned(), place.to_owned()))
}
