//! Sizes in bytes as people write and read them.

use serde::{Deserializer, de};
use std::fmt;

/// A size: `512 MiB`, `2 GiB`, `1.5TB`, or a bare number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size {
    /// Bytes.
    pub bytes: u64,
}

/// The units, largest first; the binary ones are those that are shown.
const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

impl Size {
    /// Reads a size; the error says what a size looks like.
    pub fn parse(text: &str) -> Result<Self, SizeError> {
        let refuse = || SizeError { text: text.to_owned() };
        let text = text.trim();
        let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let unit = unit.trim();
        let bytes = match unit {
            "" => 1,
            unit => {
                let known = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit));
                known.map(|(_, bytes)| *bytes).ok_or_else(refuse)?
            }
        };
        if let Ok(whole) = number.parse::<u64>() {
            return whole.checked_mul(bytes).map(|bytes| Self { bytes }).ok_or_else(refuse);
        }
        let (whole, fraction) = number.split_once('.').ok_or_else(refuse)?;
        // Tenths and hundredths are what people write; more digits would be false precision.
        if fraction.is_empty() || fraction.len() > 3 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
            return Err(refuse());
        }
        let whole: u64 = whole.parse().map_err(|_| refuse())?;
        let parts: u64 = fraction.parse().map_err(|_| refuse())?;
        let scale = 10_u64.pow(u32::try_from(fraction.len()).unwrap_or(0));
        let whole = whole.checked_mul(bytes).ok_or_else(refuse)?;
        let part = u128::from(parts) * u128::from(bytes) / u128::from(scale);
        whole
            .checked_add(u64::try_from(part).unwrap_or(u64::MAX))
            .map(|bytes| Self { bytes })
            .ok_or_else(refuse)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let binary = UNITS.iter().take(4).find(|(_, unit)| self.bytes >= *unit);
        let Some((name, unit)) = binary else { return write!(f, "{} B", self.bytes) };
        let tenths = u128::from(self.bytes) * 10 / u128::from(*unit);
        match (tenths / 10, tenths % 10) {
            (whole, 0) => write!(f, "{whole} {name}"),
            (whole @ 0..10, tenth) => write!(f, "{whole}.{tenth} {name}"),
            (whole, _) => write!(f, "{whole} {name}"),
        }
    }
}

/// Reads an optional number of bytes as a person writes it: for serde's `deserialize_with`.
pub fn read_optional<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    struct Visitor;
    impl<'de> de::Visitor<'de> for Visitor {
        type Value = Option<u64>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a size like `512 MiB` or `2 GiB`, or a number of bytes")
        }
        fn visit_u64<E: de::Error>(self, bytes: u64) -> Result<Option<u64>, E> {
            Ok(Some(bytes))
        }
        fn visit_i64<E: de::Error>(self, bytes: i64) -> Result<Option<u64>, E> {
            u64::try_from(bytes).map(Some).map_err(|_| E::custom("a size is not negative"))
        }
        fn visit_str<E: de::Error>(self, text: &str) -> Result<Option<u64>, E> {
            Size::parse(text).map(|size| Some(size.bytes)).map_err(E::custom)
        }
        fn visit_unit<E: de::Error>(self) -> Result<Option<u64>, E> {
            Ok(None)
        }
        fn visit_none<E: de::Error>(self) -> Result<Option<u64>, E> {
            Ok(None)
        }
        fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<u64>, D::Error> {
            deserializer.deserialize_any(self)
        }
    }
    deserializer.deserialize_any(Visitor)
}

/// A size that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a size: write one like `512 MiB` or `2 GiB`")]
pub struct SizeError {
    text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_people_write_them() {
        let cases = [
            ("0", Some(0)),
            ("512", Some(512)),
            ("512 MiB", Some(512 << 20)),
            ("2GiB", Some(2 << 30)),
            ("1.5 gib", Some(3 << 29)),
            ("1 MB", Some(1_000_000)),
            ("", None),
            ("GiB", None),
            ("-1 GiB", None),
            ("1.GiB", None),
            ("1 parsec", None),
            ("99999999 TiB", None),
        ];
        for (text, want) in cases {
            assert_eq!(Size::parse(text).ok().map(|size| size.bytes), want, "{text:?}");
        }
    }

    #[test]
    fn sizes_are_shown_short() {
        let cases =
            [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (1 << 30, "1 GiB"), (25 << 29, "12 GiB")];
        for (bytes, want) in cases {
            assert_eq!(Size { bytes }.to_string(), want);
        }
    }
}
