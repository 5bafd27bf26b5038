//! Versions of interpreters, and constraints on them (CONTRACT §3.3).

use std::fmt;
use std::str::FromStr;

/// A version as interpreters show it: up to three numbers count, whatever follows them (`rc1`, `_392`, `(1)`) does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version([u64; 3]);

/// Versions that will do: a list of comparisons, all of which must hold.
///
/// ```
/// use agent_core::model::VersionConstraint;
///
/// let constraint: VersionConstraint = ">=3.10, <3.13".parse().unwrap();
/// assert!(constraint.allows("3.12.4".parse().unwrap()));
/// assert!(!constraint.allows("3.13.0".parse().unwrap()));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionConstraint(Vec<Comparison>);

/// Text that is no version, or no constraint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {expected}")]
pub struct InvalidVersion {
    text: String,
    expected: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Comparison {
    operator: Operator,
    version: Version,
    /// How many numbers were written down.
    given: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    /// The numbers that were written down are the version's first ones.
    Equal,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    /// The same minor version, or the same major one where no minor was written down; and not older.
    Tilde,
    /// The same first number that is not zero, and not older.
    Caret,
}

/// The longer ones first, so that `>=` is not read as `>`.
const OPERATORS: [(&str, Operator); 7] = [
    (">=", Operator::GreaterOrEqual),
    ("<=", Operator::LessOrEqual),
    (">", Operator::Greater),
    ("<", Operator::Less),
    ("=", Operator::Equal),
    ("~", Operator::Tilde),
    ("^", Operator::Caret),
];

/// What constraints look like, for whoever wrote one that is none.
pub const CONSTRAINT_GRAMMAR: &str =
    "a constraint is one or more of 3.12, =3.12.1, >=3.10, <4, ~3.12, ^3.10, separated by commas, or *";

/// The numbers at the beginning of `text`, and how many there are.
fn numbers(text: &str) -> Option<(Version, usize)> {
    let text = text.trim();
    let text = text.strip_prefix(['v', 'V']).unwrap_or(text);
    let mut version = [0; 3];
    let mut given = 0;
    for (slot, part) in version.iter_mut().zip(text.split('.')) {
        let digits = part.len() - part.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        if digits == 0 {
            break;
        }
        *slot = part[..digits].parse().ok()?;
        given += 1;
        if digits < part.len() {
            break;
        }
    }
    (given > 0).then_some((Version(version), given))
}

impl FromStr for Version {
    type Err = InvalidVersion;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = numbers(text).map(|(version, _)| version);
        found.ok_or_else(|| InvalidVersion { text: text.to_owned(), expected: "a version" })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.0;
        write!(f, "{major}.{minor}.{patch}")
    }
}

impl FromStr for VersionConstraint {
    type Err = InvalidVersion;

    /// Blank text and `*` allow everything. A version alone allows whatever begins with it: `20` is every 20.x.y.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidVersion { text: text.to_owned(), expected: "a version constraint" };
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty() && *part != "*");
        let comparisons = parts.map(|part| Comparison::read(part).ok_or_else(invalid));
        comparisons.collect::<Result<_, _>>().map(Self)
    }
}

impl VersionConstraint {
    /// Whether `version` will do.
    pub fn allows(&self, version: Version) -> bool {
        self.0.iter().all(|comparison| comparison.holds(version))
    }

    /// Whether every version will do.
    pub fn is_any(&self) -> bool {
        self.0.is_empty()
    }
}

impl Comparison {
    fn read(text: &str) -> Option<Self> {
        let found = OPERATORS.iter().find_map(|(sign, operator)| Some((text.strip_prefix(sign)?, *operator)));
        let (rest, operator) = found.unwrap_or((text, Operator::Equal));
        // `3.x` and `3.*` say in another way that nothing more was written down.
        let rest = rest.trim().trim_end_matches(['x', 'X', '*']).trim_end_matches('.');
        let (version, given) = numbers(rest)?;
        let is_clean = rest.chars().all(|c| c.is_ascii_alphanumeric() || ".-_+()".contains(c));
        (is_clean && !rest.contains("..")).then_some(Self { operator, version, given })
    }

    fn holds(self, version: Version) -> bool {
        let same = |count: usize| version.0[..count] == self.version.0[..count];
        match self.operator {
            Operator::Equal => same(self.given),
            Operator::Greater => version > self.version,
            Operator::GreaterOrEqual => version >= self.version,
            Operator::Less => version < self.version,
            Operator::LessOrEqual => version <= self.version,
            Operator::Tilde => version >= self.version && same(self.given.min(2)),
            Operator::Caret => {
                let first = self.version.0.iter().position(|number| *number != 0);
                version >= self.version && same(first.unwrap_or(self.given - 1) + 1)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn allows(constraint: &str, version: &str) -> bool {
        constraint.parse::<VersionConstraint>().unwrap().allows(version.parse().unwrap())
    }

    #[test]
    fn constraints_mean_what_people_expect() {
        for (constraint, yes, no) in [
            ("20", "20.11.1", "21.0.0"),
            ("3.12", "3.12.4", "3.13.0"),
            ("=3.12.1", "3.12.1", "3.12.2"),
            ("v18", "v18.19.0", "19.0.0"),
            (">=3.10, <3.13", "3.12.9", "3.13.0"),
            (">20", "20.0.1", "20.0.0"),
            ("<=3.12", "3.12.0", "3.12.1"),
            ("~3.12", "3.12.9", "3.13.0"),
            ("~20", "20.9.0", "21.0.0"),
            ("~1.2.3", "1.2.9", "1.2.2"),
            ("^1.2", "1.9.0", "2.0.0"),
            ("^0.2.3", "0.2.9", "0.3.0"),
            ("^0", "0.9.9", "1.0.0"),
            ("3.x", "3.1.0", "4.0.0"),
            ("1.8", "1.8.0_392", "11.0.2"),
            ("5.2", "5.2.15(1)", "5.1.0"),
            ("3.13", "3.13.0rc1", "3.12.0"),
            ("1.2.3.4", "1.2.3", "1.2.4"),
        ] {
            assert!(allows(constraint, yes), "{constraint} allows {yes}");
            assert!(!allows(constraint, no), "{constraint} does not allow {no}");
        }
        for any in ["", "  ", "*", " * , "] {
            assert!(allows(any, "0.0.1"), "`{any}`");
        }
    }

    #[test]
    fn what_is_no_constraint_is_named() {
        for wrong in ["latest", ">=", ">=3.10 <3.13", "3..1", "-1", "=>3", "3.12; rm"] {
            let error = wrong.parse::<VersionConstraint>();
            assert!(error.is_err(), "{wrong}: {error:?}");
        }
    }

    proptest! {
        #[test]
        fn a_version_satisfies_itself_in_every_spelling(version in proptest::array::uniform3(0..1000u64)) {
            let text = Version(version).to_string();
            for operator in ["", "=", ">=", "<=", "~", "^"] {
                let constraint = format!("{operator}{text}");
                prop_assert!(allows(&constraint, &text));
            }
            let newer = format!(">{text}");
            prop_assert!(!allows(&newer, &text));
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,40}") {
            drop(text.parse::<VersionConstraint>());
            drop(text.parse::<Version>());
        }
    }
}
