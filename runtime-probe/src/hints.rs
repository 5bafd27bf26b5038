//! The hints file: what an image's author knows better.
//!
//! ```yaml
//! # /.attune-runtime.yaml
//! search:                 # directories to search after PATH
//!   - /opt/tools/bin
//! ignore:                 # files that are not reported, and directories with all that is in them
//!   - /usr/bin/python2
//! runtimes:               # interpreters to add, or to correct
//!   - name: python        # a runtime of the catalogue, or a new one
//!     path: /opt/python/bin/python3
//!     version: 3.12.4     # optional: otherwise it is read
//!     args: [-I]          # optional: what must stand before a script
//! ```

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_saphyr::Spanned;

use crate::error::Error;
use crate::options::Options;
use crate::tree::Tree;

/// Where an image carries its hints.
const USUAL_FILE: &str = "/.attune-runtime.yaml";
/// Hints are written by hand: a longer file is something else.
const LIMIT: usize = 256 * 1024;

/// What the hints file says.
#[derive(Debug, Default)]
pub(crate) struct Hints {
    pub(crate) search: Vec<PathBuf>,
    pub(crate) ignore: Vec<PathBuf>,
    pub(crate) interpreters: Vec<Hint>,
}

/// One interpreter that the hints add or correct.
#[derive(Debug)]
pub(crate) struct Hint {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) version: Option<String>,
    pub(crate) args: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    search: Vec<Spanned<PathBuf>>,
    #[serde(default)]
    ignore: Vec<Spanned<PathBuf>>,
    #[serde(default)]
    runtimes: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: Spanned<String>,
    path: Spanned<PathBuf>,
    version: Option<Spanned<String>>,
    args: Option<Vec<String>>,
}

/// Reads the hints that were named, or those the tree carries.
pub(crate) fn load(tree: &Tree, options: &Options) -> Result<Hints, Error> {
    let (path, text) = match &options.hints {
        // A file that is named is the caller's, not the image's.
        Some(path) => match std::fs::read(path) {
            Ok(text) => (path.clone(), text),
            Err(source) => {
                return Err(Error::HintsFile { path: path.clone(), source });
            }
        },
        None => match tree.read(Path::new(USUAL_FILE), LIMIT) {
            Some(text) => (PathBuf::from(USUAL_FILE), text),
            None => return Ok(Hints::default()),
        },
    };
    parse(&text).map_err(|(line, message)| Error::Hints { path, line, message })
}

/// The hints in a text, or the line that is wrong and what is wrong there.
pub(crate) fn parse(text: &[u8]) -> Result<Hints, (u64, String)> {
    if text.len() >= LIMIT {
        return Err((1, "this is too long for a hints file".into()));
    }
    let text = std::str::from_utf8(text).map_err(|error| {
        let line = memchr::memchr_iter(b'\n', &text[..error.valid_up_to()]).count();
        (line as u64 + 1, "this is not UTF-8 text".to_owned())
    })?;
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Ok(Hints::default());
    }
    let file: File = serde_saphyr::from_str(text).map_err(|error| {
        let error = error.without_snippet();
        let line = error.location().map_or(1, |location| location.line());
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or(&message);
        (line, message.lines().next().unwrap_or(message).to_owned())
    })?;
    Ok(Hints {
        search: file.search.into_iter().map(absolute).collect::<Result<_, _>>()?,
        ignore: file.ignore.into_iter().map(absolute).collect::<Result<_, _>>()?,
        interpreters: file.runtimes.into_iter().map(hint).collect::<Result<_, _>>()?,
    })
}

fn absolute(path: Spanned<PathBuf>) -> Result<PathBuf, (u64, String)> {
    if path.value.is_absolute() {
        return Ok(path.value);
    }
    Err((path.referenced.line(), format!("the path \"{}\" is not absolute", path.value.display())))
}

fn hint(entry: Entry) -> Result<Hint, (u64, String)> {
    let name = entry.name.value.trim().to_lowercase();
    if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c == ',') {
        return Err((entry.name.referenced.line(), format!("\"{name}\" is not a runtime's name")));
    }
    let version = match entry.version {
        Some(version) if crate::version::read(version.value.as_bytes()) == Some(version.value.as_str()) => {
            Some(version.value)
        }
        Some(version) => {
            return Err((version.referenced.line(), format!("\"{}\" is not a version", version.value)));
        }
        None => None,
    };
    let name = crate::catalogue::canonical(&name).map_or(name, str::to_owned);
    Ok(Hint { name, path: absolute(entry.path)?, version, args: entry.args })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_file() {
        let hints = parse(
            b"search: [/opt/tools/bin]\nignore:\n  - /usr/bin/python2\nruntimes:\n  - name: Python3\n    path: /opt/py/bin/python3\n    version: 3.10\n    args: [-I]\n",
        )
        .unwrap();
        assert_eq!(hints.search, [PathBuf::from("/opt/tools/bin")]);
        assert_eq!(hints.interpreters[0].name, "python");
        assert_eq!(hints.interpreters[0].version.as_deref(), Some("3.10"), "and not the number 3.1");
    }

    #[test]
    fn a_mistake_is_named_with_its_line() {
        for (text, line, part) in [
            ("search: [/a]\nserch: [/b]\n", 2, "serch"),
            ("runtimes:\n  - name: python\n    path: bin/python\n", 3, "not absolute"),
            ("runtimes:\n  - name: python\n    path: /p\n    version: latest\n", 4, "not a version"),
            ("runtimes:\n  - name: python\n", 2, "path"),
            ("search: [/a\n", 1, "bracket"),
            ("ignore: 7\n", 1, ""),
        ] {
            let (found, message) = parse(text.as_bytes()).unwrap_err();
            assert_eq!(found, line, "{text}: {message}");
            assert!(message.contains(part), "{text}: {message}");
        }
    }

    #[test]
    fn nothing_but_comments_is_no_hint() {
        assert!(parse(b"# nothing yet\n\n").unwrap().interpreters.is_empty());
        assert!(parse(b"").unwrap().search.is_empty());
    }
}
