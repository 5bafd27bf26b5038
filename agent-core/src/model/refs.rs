//! References: the names people give to packs and to what is in them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A pack's name: a lower-case letter, then at least one lower-case letter, digit, `_` or `-`. No dots, so it is always one
/// path component (CONTRACT §1.7).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PackRef(String);

/// `pack.name`: what an action, or a runtime, is called everywhere (CONTRACT §1.6).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Ref {
    text: String,
    dot: usize,
}

/// Text that was meant as a reference and is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a valid {kind}: {rule}")]
pub struct InvalidRef {
    text: String,
    kind: &'static str,
    rule: &'static str,
}

const PACK_RULE: &str = "a lower-case letter, then at least one lower-case letter, digit, `_` or `-`";
const REF_RULE: &str = "it is written pack.name, lower-case, with exactly one dot and no spaces or slashes";

fn is_pack_name(text: &str) -> bool {
    text.len() >= 2
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'))
}

impl PackRef {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Ref {
    /// The whole reference as text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The part before the dot.
    pub fn pack(&self) -> PackRef {
        PackRef(self.text[..self.dot].to_owned())
    }

    /// The part after the dot.
    pub fn name(&self) -> &str {
        &self.text[self.dot + 1..]
    }
}

impl FromStr for PackRef {
    type Err = InvalidRef;

    fn from_str(text: &str) -> Result<Self, InvalidRef> {
        if is_pack_name(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidRef { text: text.to_owned(), kind: "pack name", rule: PACK_RULE })
        }
    }
}

impl FromStr for Ref {
    type Err = InvalidRef;

    fn from_str(text: &str) -> Result<Self, InvalidRef> {
        let invalid = || InvalidRef { text: text.to_owned(), kind: "reference", rule: REF_RULE };
        let (pack, name) = text.split_once('.').ok_or_else(invalid)?;
        // Wider than a pack's: the control plane asks only for lower case, and a name is never a path.
        let fits =
            |c: char| !(c == '.' || c == '/' || c.is_uppercase() || c.is_whitespace() || c.is_control());
        let name_ok = !name.is_empty() && name.chars().all(fits);
        if is_pack_name(pack) && name_ok {
            Ok(Self { text: text.to_owned(), dot: pack.len() })
        } else {
            Err(invalid())
        }
    }
}

impl TryFrom<String> for PackRef {
    type Error = InvalidRef;

    fn try_from(text: String) -> Result<Self, InvalidRef> {
        text.parse()
    }
}

impl TryFrom<String> for Ref {
    type Error = InvalidRef;

    fn try_from(text: String) -> Result<Self, InvalidRef> {
        text.parse()
    }
}

impl From<PackRef> for String {
    fn from(pack: PackRef) -> Self {
        pack.0
    }
}

impl From<Ref> for String {
    fn from(reference: Ref) -> Self {
        reference.text
    }
}

impl fmt::Display for PackRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Ref {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ref_is_pack_dot_name() {
        let echo: Ref = "core.echo".parse().unwrap();
        assert_eq!((echo.pack().as_str(), echo.name()), ("core", "echo"));
        for bad in
            ["", "core", "core.", ".echo", "core.echo.x", "Core.echo", "core.Echo", "9.x", "../a.b", "a/b.c"]
        {
            assert!(bad.parse::<Ref>().is_err(), "{bad:?} was taken for a reference");
        }
    }

    #[test]
    fn a_pack_name_is_one_path_component() {
        for bad in ["..", ".", "", "a/b", "a.b", "-a", "_a", "a"] {
            assert!(bad.parse::<PackRef>().is_err(), "{bad:?} was taken for a pack name");
        }
    }
}
