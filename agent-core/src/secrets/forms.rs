//! The forms in which a secret is seen: as it is, line by line, and as tools write it down elsewhere.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde_json::Value;

use super::masker::{Masker, SHORTEST};

/// Words that stand for a secret in examples and defaults, and occur in anything: covering them would make logs
/// unreadable, and hide nothing.
pub const COMMON: &[&str] = &[
    "12345678",
    "123456789",
    "1234567890",
    "administrator",
    "anonymous",
    "changeme",
    "container",
    "database",
    "development",
    "disabled",
    "external",
    "internal",
    "localhost",
    "password",
    "postgres",
    "postgresql",
    "production",
    "rabbitmq",
    "readonly",
    "required",
    "undefined",
    "username",
];

/// A pattern that is longer is looked for piece by piece: this bounds what a stream holds back.
const PIECE: usize = 256;

/// Of a longer value only the value itself is looked for, and its lines.
const ENCODED_LIMIT: usize = 8 << 10;

/// Of a longer value only the value itself is looked for.
const LINES_LIMIT: usize = 64 << 10;

/// Where tools break lines of base64: MIME and `base64`, PEM.
const WRAPS: [usize; 2] = [76, 64];

/// Why a value is not looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unmaskable {
    /// It would be found in anything.
    #[error("it has fewer than {SHORTEST} bytes")]
    TooShort,
    /// It would be found in rulers and tables.
    #[error("it is one character, repeated")]
    Repeated,
    /// It would be found in sentences.
    #[error("it is a common word")]
    Common,
}

/// What is to be covered.
#[derive(Debug, Clone, Default)]
pub struct Patterns(BTreeSet<Box<[u8]>>);

impl Patterns {
    /// Adds a value in all its forms.
    ///
    /// # Errors
    /// Where covering it would cover more than it.
    pub fn add(&mut self, value: &str) -> Result<(), Unmaskable> {
        let value = value.trim();
        check(value)?;
        self.cut(value);
        if value.len() <= LINES_LIMIT {
            for line in value.lines().map(str::trim).filter(|line| check(line).is_ok()) {
                self.cut(line);
            }
        }
        if value.len() <= ENCODED_LIMIT {
            self.quoted(value);
            self.percent(value);
            self.base64(value.as_bytes());
            self.hexadecimal(value.as_bytes());
        }
        Ok(())
    }

    /// Adds every text in `value`, and every number; names are no secrets. `refused` is told of texts that cannot be
    /// covered.
    pub fn add_json(&mut self, value: &Value, refused: &mut dyn FnMut(Unmaskable)) {
        match value {
            Value::String(text) => match self.add(text) {
                Err(why) if !text.trim().is_empty() => refused(why),
                _ => {}
            },
            // A number that is short is no secret that anybody would think of as one.
            Value::Number(number) => drop(self.add(&number.to_string())),
            Value::Array(values) => values.iter().for_each(|value| self.add_json(value, refused)),
            Value::Object(values) => values.values().for_each(|value| self.add_json(value, refused)),
            Value::Null | Value::Bool(_) => {}
        }
    }

    /// Adds everything of `others`.
    pub fn extend(&mut self, others: &Self) {
        self.0.extend(others.0.iter().cloned());
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(AsRef::as_ref)
    }

    /// Whether there is nothing to cover.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What looks for all of them; `None` where there is nothing to look for.
    pub fn masker(self) -> Option<Masker> {
        Masker::new(self.0)
    }

    /// Adds a text, or its pieces. The last piece reaches back, so that none is too short to be looked for.
    fn cut(&mut self, text: &str) {
        let mut rest = text;
        while rest.len() > PIECE {
            let (piece, after) = rest.split_at(rest.floor_char_boundary(PIECE));
            self.insert(piece.as_bytes());
            rest = after;
        }
        let last = if rest.len() < text.len() {
            &text[text.floor_char_boundary(text.len() - PIECE)..]
        } else {
            text
        };
        self.insert(last.as_bytes());
    }

    fn insert(&mut self, pattern: &[u8]) {
        if pattern.len() >= SHORTEST && !self.0.contains(pattern) {
            self.0.insert(pattern.into());
        }
    }

    /// As JSON writes it: with characters as they are, in ASCII alone (Python), and with slashes escaped (PHP); and as a
    /// shell quotes it, which is how `dotenv` parameters are delivered.
    fn quoted(&mut self, value: &str) {
        let json = Value::from(value).to_string();
        let json = &json[1..json.len() - 1];
        let ascii = in_ascii(json);
        self.cut(&ascii.replace('/', "\\/"));
        self.cut(&ascii);
        self.cut(&json.replace('/', "\\/"));
        self.cut(json);
        self.cut(&value.replace('\'', r"'\''"));
    }

    /// As it stands in URLs and forms: tools differ in what they leave as it is.
    fn percent(&mut self, value: &str) {
        if value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) {
            return;
        }
        for kept in ["-_.~", "-_.~/", "-_.!~*'()", "-_.!~*'();/?:@&=+$,#", "-_.*", "-_."] {
            for upper in [true, false] {
                let written = percent(value, kept.as_bytes(), upper);
                self.cut(&written.replace("%20", "+"));
                self.cut(&written);
            }
        }
    }

    /// In base64, wherever in what is encoded it begins: what the bytes around it cannot change.
    fn base64(&mut self, value: &[u8]) {
        self.cut(&STANDARD.encode(value));
        for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
            for before in 0..3 {
                let encoded = engine.encode([&[0; 3][..before], value].concat());
                // Six bits a character.
                let first = (before * 8).div_ceil(6);
                let end = (before + value.len()) * 8 / 6;
                let certain = &encoded[first..end];
                self.cut(certain);
                if before == 0 {
                    for line in WRAPS.iter().flat_map(|wrap| certain.as_bytes().chunks(*wrap)) {
                        self.insert(line);
                    }
                }
            }
        }
    }

    fn hexadecimal(&mut self, value: &[u8]) {
        let lower: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
        self.cut(&lower.to_ascii_uppercase());
        self.cut(&lower);
    }
}

fn check(value: &str) -> Result<(), Unmaskable> {
    if value.len() < SHORTEST {
        return Err(Unmaskable::TooShort);
    }
    let first = value.chars().next();
    if value.chars().all(|character| Some(character) == first) {
        return Err(Unmaskable::Repeated);
    }
    if COMMON.iter().any(|word| word.eq_ignore_ascii_case(value)) {
        return Err(Unmaskable::Common);
    }
    Ok(())
}

/// JSON's own escapes for what is not ASCII.
fn in_ascii(json: &str) -> String {
    let mut written = String::with_capacity(json.len());
    for character in json.chars() {
        if character.is_ascii() {
            written.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                written.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    written
}

fn percent(value: &str, kept: &[u8], upper: bool) -> String {
    let mut written = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || kept.contains(&byte) {
            written.push(byte.into());
        } else if upper {
            written.push_str(&format!("%{byte:02X}"));
        } else {
            written.push_str(&format!("%{byte:02x}"));
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(value: &str, text: &str) -> String {
        let mut patterns = Patterns::default();
        patterns.add(value).unwrap();
        patterns.masker().unwrap().mask_text(text).into_owned()
    }

    #[test]
    fn every_form_of_a_secret_is_covered() {
        let secret = "pa/ss \"wörd\" +&'#x";
        for (form, text) in [
            ("itself", secret.to_owned()),
            ("JSON", r#"pa/ss \"wörd\" +&'#x"#.to_owned()),
            ("JSON of Python", r#"pa/ss \"w\u00f6rd\" +&'#x"#.to_owned()),
            ("JSON of PHP", r#"pa\/ss \"w\u00f6rd\" +&'#x"#.to_owned()),
            ("encodeURIComponent", "pa%2Fss%20%22w%C3%B6rd%22%20%2B%26'%23x".to_owned()),
            ("urllib.parse.quote", "pa/ss%20%22w%C3%B6rd%22%20%2B%26%27%23x".to_owned()),
            ("urllib.parse.quote_plus", "pa%2Fss+%22w%C3%B6rd%22+%2B%26%27%23x".to_owned()),
            ("in lower case", "pa%2fss%20%22w%c3%b6rd%22%20%2b%26%27%23x".to_owned()),
            ("shell", r#"pa/ss "wörd" +&'\''#x"#.to_owned()),
            ("base64", STANDARD.encode(secret)),
            ("hexadecimal", secret.bytes().map(|byte| format!("{byte:02x}")).collect()),
        ] {
            assert_eq!(masked(secret, &format!("<{text}>")), "<***>", "{form}");
        }
    }

    #[test]
    fn base64_is_covered_wherever_the_secret_begins() {
        let secret = "xyzzy?>?>plugh";
        for before in 0..7 {
            for after in 0..4 {
                let whole = format!("{}{secret}{}", "b".repeat(before), "a".repeat(after));
                for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
                    let masked = masked(secret, &engine.encode(&whole));
                    assert!(masked.contains("***"), "{before} {after} {masked}");
                    // What is left was made of other bytes too, two characters on each side at most.
                    let others = (before + after) * 8 / 6 + 2;
                    assert!(masked.len() - 3 <= others + 2, "{before} {after} {masked}");
                }
            }
        }
    }

    #[test]
    fn lines_of_a_secret_are_secrets_and_so_is_its_base64_in_lines() {
        let secret = "-----BEGIN KEY-----\nMIIEpAIBAAKCAQEA7bq1\nx\nZm9vYmFyYmF6cXV4\n-----END KEY-----\n";
        assert_eq!(masked(secret, "got ZM9 and Zm9vYmFyYmF6cXV4!"), "got ZM9 and ***!");
        assert_eq!(masked(secret, secret), "***\n");
        let encoded = STANDARD.encode(secret.trim());
        for wrap in WRAPS {
            let lines: Vec<_> =
                encoded.as_bytes().chunks(wrap).map(|line| std::str::from_utf8(line).unwrap()).collect();
            let masked = masked(secret, &lines.join("\n"));
            assert!(masked.chars().all(|c| "*\n=".contains(c)) || masked.len() < 16, "{masked}");
        }
    }

    #[test]
    fn long_secrets_are_covered_whole() {
        let secret: String = (0..5000).map(|n| format!("{n:x}-é")).collect();
        assert_eq!(masked(&secret, &format!("a{secret}b")), "a***b");
    }

    #[test]
    fn what_occurs_in_anything_is_refused() {
        let mut patterns = Patterns::default();
        assert_eq!(patterns.add("1234567"), Err(Unmaskable::TooShort));
        assert_eq!(patterns.add(" 1234567 \n"), Err(Unmaskable::TooShort));
        assert_eq!(patterns.add("----------"), Err(Unmaskable::Repeated));
        assert_eq!(patterns.add("Postgres"), Err(Unmaskable::Common));
        assert!(patterns.is_empty());
        let mut refused = Vec::new();
        let value =
            serde_json::json!({"user": "", "on": true, "n": 7, "pin": "1234", "deep": ["longer than that"]});
        patterns.add_json(&value, &mut |why| refused.push(why));
        assert_eq!(refused, [Unmaskable::TooShort]);
        assert!(!patterns.is_empty());
    }
}
