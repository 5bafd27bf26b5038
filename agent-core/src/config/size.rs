//! Sizes as people write them.

use std::str::FromStr;

/// A number of bytes: `1048576`, `1024K`, `1M`, `1Mi`, `1MiB`, each the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size(u64);

impl Size {
    pub(super) const fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for Size {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let digits = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let shift = match unit.trim().to_ascii_lowercase().trim_end_matches('b').trim_end_matches('i') {
            "" => 0,
            "k" => 10,
            "m" => 20,
            "g" => 30,
            "t" => 40,
            _ => return Err(()),
        };
        number.parse::<u64>().ok().and_then(|number| number.checked_mul(1 << shift)).map(Self).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_has_the_units_that_people_use() {
        for (text, bytes) in
            [("7", 7), ("512M", 512 << 20), ("512Mi", 512 << 20), ("2 GiB", 2 << 30), ("1k", 1024)]
        {
            assert_eq!(text.parse::<Size>().map(Size::bytes), Ok(bytes), "{text}");
        }
        for text in ["", "M", "1.5G", "-1", "1X", "99999999999999999999", "99999999999T"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }
}
